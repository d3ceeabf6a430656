/* attention_job.h - what the directions, precisions and compilations of attention share. */
#ifndef CPU_KERNELS_ATTENTION_JOB_H
#define CPU_KERNELS_ATTENTION_JOB_H
#include "backend/cpu/cpu.h"
#include "backend/cpu/kernels/simd.h"

typedef struct att_sample { int first, rows; } att_sample; /* its part of `order` */

typedef struct att_job {
    tensor y, q, k, v, lse;
    tensor dq, dk, dv, dy;
    attention_opts o;
    int dim, wide;               /* head_dim, and rounded up to NR */
    float scale;
    const int *order;
    const att_sample *sample;
    const int *key_order;        /* of k's and v's rows: the same two, but where q looks across (forward only) */
    const att_sample *key_sample;
    int samples, longest;
    int q_each, q_blocks;        /* queries a task, blocks of the longest sample */
    const float *bias;           /* T5's [heads][2 longest - 1], at query - key + longest - 1 forward, key - query + ... back; NULL: none */
    float *work;
    size_t work_each;
    float *dbias;                /* [samples][heads][buckets] */
    cpu_pairs *pairs;            /* forward: not NULL: products in bf16 (attention_bf16.h) */
} att_job;

enum { ATT_AHEAD = 12 };

/* One head's part of a row is a line or two far from the next row's: fetch some rows ahead. */
INLINE void att_ahead(const att_job *j, tensor x, const int *rows, int i, int n, int head)
{
    const float *p = row(x, rows[imin(i + ATT_AHEAD, n - 1)]) + head * j->dim;
    for (int c = 0; c < j->dim; c += 16) __builtin_prefetch(p + c);
}
#endif
