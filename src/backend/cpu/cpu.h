/* cpu.h - what the files of the fast CPU backend share: a device's state and scratch memory.
 *
 * The kernels are written once, over vectors of VL floats (kernels/simd.h), and compiled three times with different
 * flags (isa_*.c): plain C, AVX2+FMA+F16C, AVX-512.  Each compilation yields a whole table of kernels; cpu_open picks
 * the table and the device carries it (dev->be). */
#ifndef BACKEND_CPU_CPU_H
#define BACKEND_CPU_CPU_H
#include "nn/backend.h"

extern const backend cpu_avx2, cpu_avx512; /* backend_cpu itself is the plain C table */

/* Grow-only memory, gone when the device is closed.  TEMP holds an op's intermediate results while the products it is made
 * of use WORK. */
enum { CPU_WORK, CPU_TEMP, CPU_SCRATCHES };
typedef struct scratch { float *p; size_t nfloats; } scratch;

typedef struct cpu_state {
    int threads;
    scratch s[CPU_SCRATCHES];
} cpu_state;

device *cpu_open(int threads);
void    cpu_close(device *dev);

/* nfloats floats, 64-byte aligned, contents undefined; the previous answer for `which` is void.  NULL: no memory, and
 * dev->failed is set. */
float *cpu_scratch(device *dev, int which, size_t nfloats);

static inline int cpu_threads(const device *dev) { return ((const cpu_state *)dev->state)->threads; }
#endif
