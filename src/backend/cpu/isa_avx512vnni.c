/* isa_avx512vnni.c - the tiles of products in integers for AVX-512 with VNNI; CMake adds the flags to this file alone. */
#ifdef __AVX512VNNI__
#define INT8_TABLE cpu_int8_avx512vnni
#include "backend/cpu/kernels/tile_int8.h"
#else
typedef int nothing_to_compile_here;
#endif
