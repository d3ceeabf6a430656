/* isa_avx512bf16.c - products in bf16 for AVX-512 with BF16; CMake adds the flags to this file alone. */
#ifdef __AVX512BF16__
#define MICRO_PAIRS
#define MICRO_TABLE cpu_pairs_avx512bf16
#include "backend/cpu/cpu.h"
#include "backend/cpu/kernels/gemm.h"

static void product_of_pairs(device *dev, const gemm *g) { gemm_run(dev, *g); }

const cpu_bf16 cpu_bf16_avx512 = {.tiles = &cpu_pairs_avx512bf16, .product = product_of_pairs};
#else
typedef int nothing_to_compile_here;
#endif
