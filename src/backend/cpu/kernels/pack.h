/* pack.h - operands of a product as the micro-kernel takes them: panels of B and blocks of A, in fp32.
 *
 * Where the operands count as rounded to bf16 and the machine has no instruction for that (pack_pairs.h), what was packed is rounded. */
#ifndef CPU_KERNELS_PACK_H
#define CPU_KERNELS_PACK_H
#include "backend/cpu/kernels/product.h"

enum {
    PACK_NUMBERS = 1, /* in a step of k */
    PACK_STEPS = 1,   /* of k that are multiplied at once: what was packed is a multiple */
    PACK_MR = MR,     /* rows of a tile */
    PACK_OFTEN = 6,   /* column chunks that make one shared copy of A pay */
      /* tiles of rows that meet a panel of B one after the other */
    PACK_AHEAD = 1    /* the next tile's rows of such a copy are fetched while one is multiplied */
};
INLINE bool pack_a_in_cols(const gemm *g) { return g->a_cols; } /* the form that A has when it was packed */
INLINE void pack_tile(const tile *t, int m, int n, bool cols) { micro(*t, m, n, cols); }
INLINE void pack_begin(void) {}  /* around a task's tiles */
INLINE void pack_end(void) {}

/* Rows of A are multiplied where they lie when they are wanted as they are and the MR of a tile do not all meet in one or two sets of the L1 cache. */
INLINE bool pack_needs_no_a(const gemm *g) { return !g->a_cols && g->a_scale == 1 && !g->rounded && g->lda % 512 != 0; }

static void round_packed(float *p, size_t n)
{
    for (size_t i = 0; i < n; i++) p[i] = round_bf16(p[i]);
}

/* The first VL columns of panel[k][NR] = n rows of b[n][k], k0..k0+k; absent rows are zero. */
INLINE void pack_rows_as(dtype t, float *panel, const void *b, size_t ldb, int n, int k0, int k)
{
    for (int kk = 0; kk < k; kk += VL) {
        vf r[VL];
        for (int i = 0; i < VL; i++) r[i] = i < n ? v_load_as(t, b, (size_t)i * ldb + (size_t)(k0 + kk), k - kk) : v_zero();
        v_transpose(r);
        for (int i = 0; i < VL && kk + i < k; i++) v_store(panel + (kk + i) * NR, r[i]);
    }
}

/* panel[k][NR] = columns n0.. of b[k][n]. */
INLINE void pack_cols_as(dtype t, float *panel, const void *b, size_t ldb, int n0, int n, int k0, int k)
{
    for (int kk = 0; kk < k; kk++) {
        size_t at = (size_t)(k0 + kk) * ldb + (size_t)n0;
        v_store(panel + kk * NR, v_load_as(t, b, at, n));
        v_store(panel + kk * NR + VL, n > VL ? v_load_as(t, b, at + VL, n - VL) : v_zero());
    }
}

/* Half a panel from n rows of b[n][k], n0.., through decoded rows that stay in the L1 cache. */
static void pack_decoded_rows(float *panel, const gemm *g, int n0, int n, int k0, int k)
{
    _Alignas(64) float rows[VL * (GEMM_KC + 16)];
    for (int i = 0; i < n; i++) decode_row(g->b_type, gemm_b_row(g, n0 + i), k0, k, gemm_b_scale(g, n0 + i), rows + (size_t)i * gemm_lda(k));
    pack_rows_as(DT_F32, panel, rows, gemm_lda(k), n, 0, k);
}

/* Panels from b[k][n], columns n0 .. n0 + n: a decoded row is shared out among them. */
static void pack_decoded_cols(float *panels, const gemm *g, int n0, int n, int k0, int k)
{
    _Alignas(64) float line[GEMM_NC] = {0};
    for (int kk = 0; kk < k; kk++) {
        decode_row(g->b_type, gemm_b_row(g, k0 + kk), n0, n, gemm_b_scale(g, k0 + kk), line);
        for (int c = 0; c < n; c += NR)
            for (int half = 0; half < NR; half += VL) v_store(panels + (size_t)c * (size_t)k + kk * NR + half, v_load(line + c + half));
    }
}

static void pack_b_rows(float *panel, const gemm *g, int n0, int n, int k0, int k)
{
    if (n <= 0) for (int kk = 0; kk < k; kk++) v_store(panel + kk * NR, v_zero());
    else if (gemm_decodes(g)) pack_decoded_rows(panel, g, n0, n, k0, k);
    else switch (g->b_type) {
        case DT_F32: pack_rows_as(DT_F32, panel, gemm_b_row(g, n0), g->ldb, n, k0, k); break;
        case DT_BF16: pack_rows_as(DT_BF16, panel, gemm_b_row(g, n0), g->ldb, n, k0, k); break;
        default: pack_rows_as(DT_F16, panel, gemm_b_row(g, n0), g->ldb, n, k0, k); break;
    }
}

static void pack_b_cols(float *panel, const gemm *g, int n0, int n, int k0, int k)
{
    switch (g->b_type) {
    case DT_F32: pack_cols_as(DT_F32, panel, g->b, g->ldb, n0, n, k0, k); break;
    case DT_BF16: pack_cols_as(DT_BF16, panel, g->b, g->ldb, n0, n, k0, k); break;
    default: pack_cols_as(DT_F16, panel, g->b, g->ldb, n0, n, k0, k); break;
    }
}

/* panels[n / NR][k][NR] = columns n0 .. n0 + n of B, rows k0 .. k0 + k; absent columns are zero. */
static void pack_b(float *panels, const gemm *g, int n0, int n, int k0, int k)
{
    if (!g->b_rows && gemm_decodes(g)) pack_decoded_cols(panels, g, n0, n, k0, k);
    else for (int c = 0; c < n; c += NR) {
        float *panel = panels + (size_t)c * (size_t)k;
        if (!g->b_rows) pack_b_cols(panel, g, n0 + c, imin(NR, n - c), k0, k);
        else for (int half = 0; half < NR; half += VL) pack_b_rows(panel + half, g, n0 + c + half, imin(VL, n - c - half), k0, k);
    }
    if (g->rounded) round_packed(panels, (size_t)round_up(n, NR) * (size_t)k);
}

/* A block of m rows of A: [m][gemm_lda] ... */
static void pack_a_rows(float *block, const gemm *g, int m0, int m, int k0, int k)
{
    vf s = v_set(g->a_scale);
    for (int i = 0; i < m; i++) {
        const float *src = g->a + (size_t)(m0 + i) * g->lda + k0;
        float *dst = block + (size_t)i * gemm_lda(k);
        for (int kk = 0; kk < k; kk += VL) v_store(dst + kk, v_loadn(src + kk, k - kk) * s);
        if (g->rounded) round_packed(dst, (size_t)k);
    }
}

/* ... or panels of MR rows in COLS form, [m/MR][k][MR].  Stores are VL wide, and what they spill is overwritten by the next;
 * the last one is exact, for the next panel may be there already. */
static void pack_a_cols(float *block, const gemm *g, int m0, int m, int k0, int k)
{
    vf s = v_set(g->a_scale);
    for (int i = 0; i < m; i += MR) {
        float *panel = block + (size_t)i * (size_t)k;
        const float *src = g->a + (size_t)k0 * g->lda + m0 + i;
        int left = g->M - m0 - i;
        for (int kk = 0; kk < k - 1; kk++) v_store(panel + kk * MR, v_loadn(src + (size_t)kk * g->lda, left) * s);
        v_storen(panel + (k - 1) * MR, v_loadn(src + (size_t)(k - 1) * g->lda, left) * s, MR);
        if (g->rounded) round_packed(panel, (size_t)k * MR);
    }
}
#endif
