/* isa_avx512bf16.c - the tiles of products in bf16 for AVX-512 with BF16; CMake adds the flags to this file alone. */
#ifdef __AVX512BF16__
#define MICRO_PAIRS
#define MICRO_TABLE cpu_pairs_avx512bf16
#include "backend/cpu/cpu.h"
#include "backend/cpu/kernels/micro.h"
#else
typedef int nothing_to_compile_here;
#endif
