/* pack_pairs.h - operands of a product rounded to bf16 and packed as pairs of numbers that follow each other in k (micro.h): the layouts of
 * pack.h with a pair in the place of a number.  k0 and k count pairs.
 *
 * For AMX (tile_amx.h) A comes in rows whichever way it lay, and k is filled up with zeros to whole tiles.
 *
 * The instructions that round take numbers below the normal range for zero. */
#ifndef CPU_KERNELS_PACK_PAIRS_H
#define CPU_KERNELS_PACK_PAIRS_H
#include "backend/cpu/kernels/product.h"
#ifdef MICRO_AMX
#include "backend/cpu/kernels/tile_amx.h"

enum { PACK_NUMBERS = 2, PACK_STEPS = AMX_PAIRS, PACK_MR = AMX_MR, PACK_OFTEN = 2, PACK_AHEAD = 0 };
INLINE bool pack_a_in_cols(const gemm *g) { (void)g; return false; }
INLINE void pack_tile(const tile *t, int m, int n, bool cols) { (void)cols; amx_tile(t, m, n); }
INLINE void pack_begin(void) { amx_begin(); }
INLINE void pack_end(void) { amx_end(); }
#else
enum { PACK_NUMBERS = 2, PACK_STEPS = 1, PACK_MR = MR, PACK_OFTEN = 2, PACK_AHEAD = 1 };
INLINE bool pack_a_in_cols(const gemm *g) { return g->a_cols; }
INLINE void pack_tile(const tile *t, int m, int n, bool cols) { micro(*t, m, n, cols); }
INLINE void pack_begin(void) {}
INLINE void pack_end(void) {}
#endif

INLINE bool pack_needs_no_a(const gemm *g) { (void)g; return false; }

/* 2 VL numbers of a row -> VL pairs */
INLINE vf pairs_of(vf low, vf high) { return (vf)_mm512_cvtne2ps_pbh(high, low); }

/* VL numbers of a row and those below them -> VL pairs */
INLINE vf zip(vf even, vf odd)
{
    static const uint16_t order[32] = {0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31};
    return (vf)_mm512_permutexvar_epi16(_mm512_loadu_si512(order), (__m512i)_mm512_cvtne2ps_pbh(odd, even));
}

/* Elements from i on as v_load_as, none where n <= 0. */
INLINE vf load_some(dtype t, const void *p, size_t i, int n) { return n > 0 ? v_load_as(t, p, i, n) : v_zero(); }

/* The first VL columns of panel[k][NR] = n rows of b[n][numbers], from number `at` on; absent rows are zero. */
INLINE void pack_rows_as(dtype t, float *panel, const void *b, size_t ldb, int n, size_t at, int numbers)
{
    for (int c = 0; c < numbers; c += 2 * VL) {
        vf r[VL];
        for (int i = 0; i < VL; i++) {
            size_t from = (size_t)i * ldb + at + (size_t)c;
            r[i] = i < n ? pairs_of(v_load_as(t, b, from, numbers - c), load_some(t, b, from + VL, numbers - c - VL)) : v_zero();
        }
        v_transpose(r);
        for (int i = 0; i < VL && c + 2 * i < numbers; i++) v_store(panel + (c / 2 + i) * NR, r[i]);
    }
}

/* panel[k][NR] = columns n0.. of `rows` rows of b[k][n]. */
INLINE void pack_cols_as(dtype t, float *panel, const void *b, size_t ldb, int n0, int n, int row0, int rows)
{
    for (int r = 0; r < rows; r += 2, panel += NR) {
        size_t at = (size_t)(row0 + r) * ldb + (size_t)n0;
        bool two = r + 1 < rows;
        for (int half = 0; half < NR; half += VL, at += VL)
            v_store(panel + half, zip(load_some(t, b, at, n - half), two ? load_some(t, b, at + ldb, n - half) : v_zero()));
    }
}

/* Half a panel through decoded rows. */
static void pack_decoded_rows(float *panel, const gemm *g, int n0, int n, int from, int numbers)
{
    _Alignas(64) float rows[VL * (2 * GEMM_KC + 16)];
    for (int i = 0; i < n; i++)
        decode_row(g->b_type, gemm_b_row(g, n0 + i), from, numbers, gemm_b_scale(g, n0 + i), rows + (size_t)i * gemm_lda(numbers));
    pack_rows_as(DT_F32, panel, rows, gemm_lda(numbers), n, 0, numbers);
}

/* Panels of k pairs from `rows` rows of b[k][n], columns n0 .. n0 + n: two decoded rows are shared out among them. */
static void pack_decoded_cols(float *panels, const gemm *g, int n0, int n, int row0, int rows, int k)
{
    _Alignas(64) float line[2][GEMM_NC] = {{0}};
    for (int r = 0; r < rows; r++) {
        decode_row(g->b_type, gemm_b_row(g, row0 + r), n0, n, gemm_b_scale(g, row0 + r), line[r % 2]);
        if (r % 2 == 0 && r + 1 < rows) continue;
        if (r % 2 == 0) memset(line[1], 0, sizeof line[1]);
        for (int c = 0; c < n; c += NR)
            for (int half = 0; half < NR; half += VL)
                v_store(panels + (size_t)c * (size_t)k + r / 2 * NR + half, zip(v_load(line[0] + c + half), v_load(line[1] + c + half)));
    }
}

static void pack_b_rows(float *panel, const gemm *g, int n0, int n, int k0, int k)
{
    int from = 2 * k0, numbers = imin(2 * k, g->K - from);
    if (n <= 0) for (int kk = 0; kk < k; kk++) v_store(panel + kk * NR, v_zero());
    else if (gemm_decodes(g)) pack_decoded_rows(panel, g, n0, n, from, numbers);
    else switch (g->b_type) {
        case DT_F32: pack_rows_as(DT_F32, panel, gemm_b_row(g, n0), g->ldb, n, (size_t)from, numbers); break;
        case DT_BF16: pack_rows_as(DT_BF16, panel, gemm_b_row(g, n0), g->ldb, n, (size_t)from, numbers); break;
        default: pack_rows_as(DT_F16, panel, gemm_b_row(g, n0), g->ldb, n, (size_t)from, numbers); break;
    }
}

static void pack_b_cols(float *panel, const gemm *g, int n0, int n, int k0, int k)
{
    int row0 = 2 * k0, rows = imin(2 * k, g->K - row0);
    switch (g->b_type) {
    case DT_F32: pack_cols_as(DT_F32, panel, g->b, g->ldb, n0, n, row0, rows); break;
    case DT_BF16: pack_cols_as(DT_BF16, panel, g->b, g->ldb, n0, n, row0, rows); break;
    default: pack_cols_as(DT_F16, panel, g->b, g->ldb, n0, n, row0, rows); break;
    }
}

static void pack_b(float *panels, const gemm *g, int n0, int n, int k0, int k)
{
    if (!g->b_rows && gemm_decodes(g)) pack_decoded_cols(panels, g, n0, n, 2 * k0, imin(2 * k, g->K - 2 * k0), k);
    else for (int c = 0; c < n; c += NR) {
        float *panel = panels + (size_t)c * (size_t)k;
        if (!g->b_rows) pack_b_cols(panel, g, n0 + c, imin(NR, n - c), k0, k);
        else for (int half = 0; half < NR; half += VL) pack_b_rows(panel + half, g, n0 + c + half, imin(VL, n - c - half), k0, k);
    }
    int pairs = imin(k, ceil_div(g->K, 2) - k0);
    for (int c = 0; c < n && pairs < k; c += NR) memset(panels + (size_t)c * (size_t)k + pairs * NR, 0, sizeof(float) * (size_t)((k - pairs) * NR));
}

static void pack_a_rows(float *block, const gemm *g, int m0, int m, int k0, int k)
{
    vf s = v_set(g->a_scale);
    int numbers = imin(2 * k, g->K - 2 * k0);
    for (int i = 0; i < m; i++) {
        const float *src = g->a + (size_t)(m0 + i) * g->lda + 2 * k0;
        float *dst = block + (size_t)i * gemm_lda(k);
        for (int c = 0; c < numbers; c += 2 * VL)
            v_store(dst + c / 2, pairs_of(v_loadn(src + c, numbers - c) * s, load_some(DT_F32, src, (size_t)c + VL, numbers - c - VL) * s));
    }
}

#ifdef MICRO_AMX
static void pack_a_cols(float *block, const gemm *g, int m0, int m, int k0, int k)
{
    vf s = v_set(g->a_scale);
    for (int i = 0; i < m; i += VL)
        for (int c = 0; c < k; c += VL) {
            vf r[VL];
            for (int e = 0; e < VL; e++) {
                int kk = 2 * (k0 + c + e), left = g->M - m0 - i;
                const float *src = g->a + (size_t)kk * g->lda + m0 + i;
                r[e] = zip(load_some(DT_F32, src, 0, kk < g->K ? left : 0) * s, load_some(DT_F32, src, g->lda, kk + 1 < g->K ? left : 0) * s);
            }
            v_transpose(r);
            for (int e = 0; e < VL; e++) v_store(block + (size_t)(i + e) * gemm_lda(k) + c, r[e]);
        }
}
#else
static void pack_a_cols(float *block, const gemm *g, int m0, int m, int k0, int k)
{
    vf s = v_set(g->a_scale);
    for (int i = 0; i < m; i += MR) {
        float *panel = block + (size_t)i * (size_t)k;
        int left = g->M - m0 - i;
        for (int kk = 0; kk < k; kk++) {
            const float *src = g->a + (size_t)(2 * (k0 + kk)) * g->lda + m0 + i;
            vf odd = 2 * (k0 + kk) + 1 < g->K ? v_loadn(src + g->lda, left) : v_zero(), both = zip(v_loadn(src, left) * s, odd * s);
            if (kk < k - 1) v_store(panel + kk * MR, both);
            else v_storen(panel + kk * MR, both, MR);
        }
    }
}
#endif
#endif
