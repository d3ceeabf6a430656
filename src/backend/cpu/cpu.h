/* cpu.h - what the files of the fast CPU backend share: a device's state and scratch memory.
 *
 * The kernels are written once, over vectors of VL floats (kernels/simd.h), and compiled three times with different
 * flags (isa_*.c): plain C, AVX2+FMA+F16C, AVX-512.  Each compilation yields a whole table of kernels; cpu_open picks
 * the table and the device carries it (dev->be). */
#ifndef BACKEND_CPU_CPU_H
#define BACKEND_CPU_CPU_H
#include "nn/backend.h"

/* One compilation of the kernels. */
typedef struct cpu_isa {
    const char *name;             /* "generic", "avx2", "avx512" */
    const backend *table;
    double (*burn)(long rounds);  /* multiply-adds in registers, nothing else; returns the number of floating-point operations */
} cpu_isa;
extern const cpu_isa cpu_isa_generic, cpu_isa_avx2, cpu_isa_avx512;

/* Grow-only memory, gone when the device is closed.  TEMP holds an op's intermediate results while the products it is made
 * of use WORK. */
enum { CPU_WORK, CPU_TEMP, CPU_SCRATCHES };
typedef struct scratch { float *p; size_t nfloats; } scratch;

typedef struct cpu_state {
    const cpu_isa *isa;
    int threads;
    scratch s[CPU_SCRATCHES];
} cpu_state;

device *cpu_open(int threads);
void    cpu_close(device *dev);

/* nfloats floats, 64-byte aligned, contents undefined; the previous answer for `which` is void.  NULL: no memory, and
 * dev->failed is set. */
float *cpu_scratch(device *dev, int which, size_t nfloats);

/* The machine's limit at this moment: floating-point operations a second of pure multiply-adds on all threads, measured for
 * about a millisecond.  Measurements are judged against it, taken next to them. */
double cpu_peak(device *dev);

static inline int cpu_threads(const device *dev) { return ((const cpu_state *)dev->state)->threads; }
#endif
