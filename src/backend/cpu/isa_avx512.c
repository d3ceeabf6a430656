/* isa_avx512.c - the kernels for AVX-512 F/BW/DQ/VL; CMake adds the flags to this file alone. */
#ifdef __AVX512F__
#define CPU_NAME avx512
#include "backend/cpu/kernels/table.h"
#else
typedef int nothing_to_compile_here;
#endif
