/* product.h - what a product of matrices is to the CPU kernels, and what both ways of packing it (pack.h, pack_pairs.h) share. */
#ifndef CPU_KERNELS_PRODUCT_H
#define CPU_KERNELS_PRODUCT_H
#include "backend/cpu/kernels/decode.h"
#include "backend/cpu/kernels/micro.h"

/* A block 300 KiB, panels of B 320 KiB: together less than an L2 cache; multiples of every MR and NR. */
#ifdef MICRO_AMX
enum { GEMM_KC = 320, GEMM_MC = 256, GEMM_NC = 256 };
#else
enum { GEMM_KC = 320, GEMM_MC = 240, GEMM_NC = 256 };
#endif

typedef struct gemm {
    int M, N, K;
    const float *a;
    size_t lda;
    bool a_cols;       /* false: a[m][k]; true: a[k][m] */
    float a_scale;     /* s; 0 means 1 */
    const void *b;
    size_t ldb;        /* numbers, whole blocks */
    dtype b_type;      /* any that dtype_is_weight */
    bool b_rows;       /* false: b[k][n]; true: b[n][k], as weights lie in files */
    const float *b_scale; /* of the stored rows: [k] or, with b_rows, [n]; NULL = 1 */
    float *c;
    size_t ldc;
    const float *bias; /* [N] start value when !add */
    bool add;
    bool lower;        /* only what tiles on and below the diagonal hold */
    bool rounded;      /* both operands count as rounded to bf16 */
} gemm;

/* Types of 32 and 16 bits go straight into a panel; others, and rows with a scale, are decoded a piece of a row at a time. */
INLINE bool gemm_decodes(const gemm *g) { return g->b_type > DT_F16 || g->b_scale; }
INLINE const void *gemm_b_row(const gemm *g, int i) { return (const char *)g->b + (size_t)i * dtype_nbytes_of(g->b_type, g->ldb); }
INLINE const float *gemm_b_scale(const gemm *g, int i) { return g->b_scale ? g->b_scale + i : NULL; }

/* Rows of a copied block are this far apart (ROWS): off the powers of two, so that the rows of a tile share no cache set. */
INLINE size_t gemm_lda(int k) { return (size_t)round_up(k, VL) + 16; }
#endif
