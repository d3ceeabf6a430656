/* isa_avx2.c - the kernels for AVX2 + FMA + F16C; CMake adds the flags to this file alone. */
#ifdef __AVX2__
#define CPU_NAME avx2
#include "backend/cpu/kernels/table.h"
#else
typedef int nothing_to_compile_here;
#endif
