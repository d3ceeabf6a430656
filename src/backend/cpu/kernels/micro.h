/* micro.h - the one place where floating-point multiplication happens fast: C[m, n] (+)= A[m, k] B[k, n] for a tile of
 * at most MR x NR held in registers.
 *
 * B is [k][ldb], its columns contiguous.  A comes in two forms: ROWS, each row contiguous in k (activations, attention
 * probabilities, the pixels under a filter tap), or COLS, contiguous in m (packed panels, transposed operands).  The
 * k axis may consist of several segments (filter taps, picture rows), each `k` long, at any distance in A and at a
 * fixed distance in B.
 *
 * With MICRO_PAIRS every number of A and B is a pair of bf16 that follow each other in k (the lower half first): a product is the sum of
 * two, added in fp32, and k counts pairs. */
#ifndef CPU_KERNELS_MICRO_H
#define CPU_KERNELS_MICRO_H
#include <stdbool.h>
#include "backend/cpu/kernels/simd.h"

/* The tile's registers are an array; only loops that are unrolled leave it in registers. */
#ifdef __clang__
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 12")
#endif

#ifdef MICRO_PAIRS
INLINE vf micro_fma(vf a, vf b, vf c) { return _mm512_dpbf16_ps(c, (__m512bh)a, (__m512bh)b); }
#else
INLINE vf micro_fma(vf a, vf b, vf c) { return v_fma(a, b, c); }
#endif

typedef struct tile {
    const float *a;
    ptrdiff_t lda;          /* ROWS: from row to row; COLS: from k to k */
    const ptrdiff_t *a_at;  /* start of each segment of A; NULL: one segment at 0 */
    const float *b;
    ptrdiff_t ldb, b_step;  /* from k to k, from segment to segment */
    int segments, k;
    float *c;
    ptrdiff_t ldc;
    const float *bias;      /* [n], added; NULL: none */
    bool add;
} tile;

INLINE void micro_body(const tile *t, const int m, const int nv, const bool cols)
{
    vf acc[MR][2];
    const ptrdiff_t lda = t->lda, ldb = t->ldb;
    UNROLL
    for (int i = 0; i < m; i++)
        UNROLL
        for (int j = 0; j < nv; j++) {
            acc[i][j] = t->bias ? v_load(t->bias + j * VL) : v_zero();
            __builtin_prefetch(t->c + i * t->ldc + j * VL, 1); /* C is wanted at the end only, and then at once */
        }
    for (int s = 0; s < t->segments; s++) {
        const float *a = t->a + (t->a_at ? t->a_at[s] : 0), *b = t->b + s * t->b_step;
        /* four row pointers, three rows each: what x86 addressing reaches with lda and 2 lda */
        const float *a3 = a + 3 * lda, *a6 = a + 6 * lda, *a9 = a + 9 * lda;
        for (int k = 0; k < t->k; k++) {
            vf bv[2];
            UNROLL
            for (int j = 0; j < nv; j++) bv[j] = v_load(b + j * VL);
            UNROLL
            for (int i = 0; i < m; i++) {
                const float *r = i < 3 ? a : i < 6 ? a3 : i < 9 ? a6 : a9;
                vf x = v_set(cols ? a[i] : r[(i % 3) * lda]);
                UNROLL
                for (int j = 0; j < nv; j++) acc[i][j] = micro_fma(x, bv[j], acc[i][j]);
            }
            b += ldb;
            a += cols ? lda : 1;
            a3++, a6++, a9++;
        }
    }
    UNROLL
    for (int i = 0; i < m; i++)
        UNROLL
        for (int j = 0; j < nv; j++) {
            float *c = t->c + i * t->ldc + j * VL;
            if (t->add) acc[i][j] += v_load(c);
            v_store(c, acc[i][j]);
        }
}

#define MICRO(m)                                                                                                  \
    static void micro_rows_##m##_2(const tile *t) { micro_body(t, m, 2, false); }                                 \
    static void micro_rows_##m##_1(const tile *t) { micro_body(t, m, 1, false); }                                 \
    static void micro_cols_##m##_2(const tile *t) { micro_body(t, m, 2, true); }                                  \
    static void micro_cols_##m##_1(const tile *t) { micro_body(t, m, 1, true); }
#define MICRO_ROW(m) {{micro_rows_##m##_1, micro_rows_##m##_2}, {micro_cols_##m##_1, micro_cols_##m##_2}}
MICRO(1) MICRO(2) MICRO(3) MICRO(4)
#if MR > 4
MICRO(5) MICRO(6)
#endif
#if MR > 6
MICRO(7) MICRO(8) MICRO(9) MICRO(10) MICRO(11) MICRO(12)
#endif

#ifndef MICRO_TABLE
#define MICRO_TABLE micro_kernel
static
#endif
void (*const MICRO_TABLE[MR][2][2])(const tile *) = { /* [m - 1][cols][vectors - 1] */
    MICRO_ROW(1), MICRO_ROW(2), MICRO_ROW(3), MICRO_ROW(4),
#if MR > 4
    MICRO_ROW(5), MICRO_ROW(6),
#endif
#if MR > 6
    MICRO_ROW(7), MICRO_ROW(8), MICRO_ROW(9), MICRO_ROW(10), MICRO_ROW(11), MICRO_ROW(12),
#endif
};

/* The tile's first m rows and n columns.  B must be readable (anything finite or not) up to a multiple of VL columns. */
INLINE void micro(tile t, int m, int n, bool cols)
{
    if (n == NR || n == VL) {
        MICRO_TABLE[m - 1][cols][n / VL - 1](&t);
        return;
    }
    float edge[MR * NR]; /* too narrow for whole vectors: multiply beside, then move the part that counts */
    float *c = t.c;
    ptrdiff_t ldc = t.ldc;
    const float *bias = t.bias;
    bool add = t.add;
    t.c = edge;
    t.ldc = NR;
    t.bias = NULL;
    t.add = false;
    MICRO_TABLE[m - 1][cols][n > VL](&t);
    for (int i = 0; i < m; i++)
        for (int j = 0; j < n; j += VL) {
            vf v = v_load(edge + i * NR + j);
            if (add) v += v_loadn(c + i * ldc + j, n - j);
            if (bias) v += v_loadn(bias + j, n - j);
            v_storen(c + i * ldc + j, v, n - j);
        }
}

/* A strip: m rows (any number) of A in tiles of at most MR, evenly cut. */
INLINE void micro_strip(tile t, int m, int n, bool cols)
{
    int tiles = (m + MR - 1) / MR, each = cols ? MR : (m + tiles - 1) / tiles;
    for (int i = 0; i < m; i += each) {
        tile u = t;
        u.a = cols ? t.a + i : t.a + i * t.lda;
        u.c = t.c + i * t.ldc;
        micro(u, m - i < each ? m - i : each, n, cols);
    }
}
#endif
