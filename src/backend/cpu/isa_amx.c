/* isa_amx.c - products and attention in bf16 for AMX; CMake adds the flags to this file alone. */
#if (defined(__AMX_BF16__) || defined(__AMXBF16__)) && defined(__AVX512BF16__) /* gcc, new clang; clang before 16 */
#define MICRO_PAIRS
#define MICRO_AMX
#include "backend/cpu/cpu.h"
#include "backend/cpu/kernels/attention_amx.h"

static void product_of_tiles(device *dev, const gemm *g) { gemm_run(dev, *g); }

const cpu_bf16 cpu_bf16_amx = {.tiles = &cpu_pairs_avx512bf16, .beats_ints = true, .product = product_of_tiles,
                                .attention = amx_attention, .attention_backward = amx_attention_backward};
#else
typedef int nothing_to_compile_here;
#endif
