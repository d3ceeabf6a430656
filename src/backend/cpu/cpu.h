/* cpu.h - what the files of the fast CPU backend share: a device's state and scratch memory.
 *
 * The kernels are written once, over vectors of VL floats (kernels/simd.h), and compiled three times with different
 * flags (isa_*.c): plain C, AVX2+FMA+F16C, AVX-512.  Each compilation yields a whole table of kernels; cpu_open picks
 * the table and the device carries it (dev->be).  The innermost parts of products in integers and in bf16 have
 * compilations of their own, for AVX-512 with VNNI and with BF16, and for AMX. */
#ifndef BACKEND_CPU_CPU_H
#define BACKEND_CPU_CPU_H
#include "nn/backend.h"

/* A tile of a product in integers (kernels/tile_int8.h): at most INT8_ROWS rows of activations in 8 bits times a panel of weights. */
enum { INT8_ROWS = 6 };
typedef struct int8_tile {
    const uint8_t *a;         /* [m][lda] */
    const float *scale, *sum; /* [m][lds], one number a run: A's scale, and the sum of the run's rounded numbers */
    const char *panel;        /* weights, [runs] */
    const float *bias;        /* [NR], where C begins */
    float *c;                 /* [m][ldc], NR columns */
    size_t lda, lds, ldc;
    int runs;
} int8_tile;

typedef struct int8_micro {
    int shift;                                    /* what was added to A's numbers */
    void (*tile[INT8_ROWS][4])(const int8_tile *); /* [m - 1][blocks_kind]; NULL: more rows than this instruction set takes at a time */
} int8_micro;
extern const int8_micro cpu_int8_avx512vnni;

/* A tile of a product in bf16 (kernels/micro.h over pairs of bf16 in place of floats), [m - 1][columns of A][vectors - 1]. */
struct tile;
typedef void (*const cpu_pairs[12][2][2])(const struct tile *);
extern cpu_pairs cpu_pairs_avx512bf16;

/* Products in bf16: tiles of them, whole matrices (kernels/gemm.h over pairs), and attention of heads that are multiples of 32, without
 * bias or mask (kernels/attention_amx.h; NULL: none). */
struct gemm;
struct att_job;
typedef struct cpu_bf16 {
    cpu_pairs *tiles;
    bool beats_ints; /* a product of blocks is faster in bf16 than in integers */
    void (*product)(device *, const struct gemm *);
    void (*attention)(device *, struct att_job *);
    void (*attention_backward)(device *, struct att_job *);
} cpu_bf16;
extern const cpu_bf16 cpu_bf16_avx512, cpu_bf16_amx;

/* One compilation of the kernels. */
typedef struct cpu_isa {
    const char *name;             /* "generic", "avx2", "avx512" */
    const backend *table;
    const int8_micro *int8;
    double (*burn)(long rounds);  /* multiply-adds in registers, nothing else; returns the number of floating-point operations */
} cpu_isa;
extern const cpu_isa cpu_isa_generic, cpu_isa_avx2, cpu_isa_avx512;

/* Grow-only memory, gone when the device is closed.  TEMP holds an op's intermediate results while the products it is made
 * of use WORK. */
enum { CPU_WORK, CPU_TEMP, CPU_SCRATCHES };
typedef struct scratch { float *p; size_t nfloats; } scratch;

typedef struct cpu_state {
    const cpu_isa *isa;
    const int8_micro *int8; /* isa's, or the one with VNNI */
    const cpu_bf16 *bf16;   /* NULL: no products in bf16 */
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

static inline float *row(tensor t, int i) { return t.p + (size_t)i * (size_t)t.ld; }
static inline int cpu_threads(const device *dev) { return ((const cpu_state *)dev->state)->threads; }
#endif
