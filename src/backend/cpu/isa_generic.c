/* isa_generic.c - the kernels in plain C (vectors of four floats as the compiler makes them): any machine. */
#define CPU_NAME generic
#define CPU_TABLE backend_cpu
#include "backend/cpu/kernels/table.h"
