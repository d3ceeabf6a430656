/* gemm.h - C[M,N] (+)= s A B for matrices of any size.
 *
 * The plan (Goto and van de Geijn 2008): C is cut into chunks, one a task; for each slab of K the task copies its part
 * of B (converted to fp32) into panels [k][NR] that stay in the L2 cache, then block after block of A, and runs the
 * micro-kernel over them.  Copying is 1/NC and 1/M of the work. */
#ifndef CPU_KERNELS_GEMM_H
#define CPU_KERNELS_GEMM_H
#include "backend/cpu/kernels/micro.h"
#include "backend/cpu/kernels/rows.h"

enum { GEMM_KC = 320, GEMM_MC = 240, GEMM_NC = 256 }; /* A block 300 KiB, B block 320 KiB; multiples of MR and NR for all */

typedef struct gemm {
    int M, N, K;
    const float *a;
    size_t lda;
    bool a_cols;       /* false: a[m][k]; true: a[k][m] */
    float a_scale;     /* s; 0 means 1 */
    const void *b;
    size_t ldb;
    dtype b_type;
    bool b_rows;       /* false: b[k][n]; true: b[n][k], as weights lie in files */
    float *c;
    size_t ldc;
    const float *bias; /* [N] start value when !add */
    bool add;
} gemm;

typedef struct gemm_job {
    gemm g;
    int m_each, n_each, m_chunks; /* task = n chunk * m_chunks + m chunk */
    int k_each;
    float *work;
    size_t work_each;
} gemm_job;

/* panel[k][NR] = rows n0.. of b[n][k], k0..k0+k; absent rows are zero. */
INLINE void pack_rows_as(dtype t, float *panel, const void *b, size_t ldb, int n, int k0, int k)
{
    for (int half = 0; half < NR; half += VL)
        for (int kk = 0; kk < k; kk += VL) {
            vf r[VL];
            for (int i = 0; i < VL; i++)
                r[i] = half + i < n ? v_load_as(t, b, (size_t)(half + i) * ldb + (size_t)(k0 + kk), k - kk) : v_zero();
            v_transpose(r);
            for (int i = 0; i < VL && kk + i < k; i++) v_store(panel + (kk + i) * NR + half, r[i]);
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

static void pack_b(float *panel, const gemm *g, int n0, int n, int k0, int k)
{
    static const size_t nbytes[] = {[DT_F32] = 4, [DT_BF16] = 2, [DT_F16] = 2};
    const void *first_row = (const char *)g->b + (size_t)n0 * g->ldb * nbytes[g->b_type];
    if (g->b_rows) switch (g->b_type) {
        case DT_F32: pack_rows_as(DT_F32, panel, first_row, g->ldb, n, k0, k); break;
        case DT_BF16: pack_rows_as(DT_BF16, panel, first_row, g->ldb, n, k0, k); break;
        default: pack_rows_as(DT_F16, panel, first_row, g->ldb, n, k0, k); break;
    } else switch (g->b_type) {
        case DT_F32: pack_cols_as(DT_F32, panel, g->b, g->ldb, n0, n, k0, k); break;
        case DT_BF16: pack_cols_as(DT_BF16, panel, g->b, g->ldb, n0, n, k0, k); break;
        default: pack_cols_as(DT_F16, panel, g->b, g->ldb, n0, n, k0, k); break;
    }
}

/* A block of m rows: ROWS form [m][ld] */
static void pack_a_rows(float *block, size_t ld, const gemm *g, int m0, int m, int k0, int k)
{
    vf s = v_set(g->a_scale);
    for (int i = 0; i < m; i++) {
        const float *src = g->a + (size_t)(m0 + i) * g->lda + k0;
        float *dst = block + (size_t)i * ld;
        for (int kk = 0; kk < k; kk += VL) v_store(dst + kk, v_loadn(src + kk, k - kk) * s);
    }
}

/* ... or panels of MR rows in COLS form, [m/MR][k][MR].  Every store is VL wide: what it spills is overwritten by the next. */
static void pack_a_cols(float *block, const gemm *g, int m0, int m, int k0, int k)
{
    vf s = v_set(g->a_scale);
    for (int i = 0; i < m; i += MR) {
        float *panel = block + (size_t)i * (size_t)k;
        const float *src = g->a + (size_t)k0 * g->lda + m0 + i;
        int left = g->M - m0 - i;
        for (int kk = 0; kk < k; kk++)
            for (int v = 0; v < MR; v += VL) v_store(panel + kk * MR + v, v_loadn(src + (size_t)kk * g->lda + v, left - v) * s);
    }
}

static void gemm_task(void *arg, int task, int worker)
{
    const gemm_job *j = arg;
    const gemm *g = &j->g;
    int m_begin = task % j->m_chunks * j->m_each, m_end = imin(g->M, m_begin + j->m_each);
    int n_begin = task / j->m_chunks * j->n_each, n_end = imin(g->N, n_begin + j->n_each);
    float *bp = j->work + (size_t)worker * j->work_each, *ap = bp + (size_t)j->n_each * (size_t)j->k_each;
    for (int k0 = 0; k0 < g->K; k0 += j->k_each) {
        int k = imin(j->k_each, g->K - k0);
        size_t lda = (size_t)round_up(k, VL) + 16; /* off the powers of two: the rows of a tile share no cache set */
        bool first = k0 == 0 && !g->add;
        for (int n = n_begin; n < n_end; n += NR) pack_b(bp + (size_t)(n - n_begin) * (size_t)k, g, n, imin(NR, n_end - n), k0, k);
        for (int m0 = m_begin; m0 < m_end; m0 += GEMM_MC) {
            int m = imin(GEMM_MC, m_end - m0);
            if (g->a_cols) pack_a_cols(ap, g, m0, m, k0, k);
            else pack_a_rows(ap, lda, g, m0, m, k0, k);
            for (int i = 0; i < m; i += MR)
                for (int n = n_begin; n < n_end; n += NR) {
                    tile t = {.a = g->a_cols ? ap + (size_t)i * (size_t)k : ap + (size_t)i * lda, .lda = g->a_cols ? MR : (ptrdiff_t)lda,
                              .b = bp + (size_t)(n - n_begin) * (size_t)k, .ldb = NR, .segments = 1, .k = k,
                              .c = g->c + (size_t)(m0 + i) * g->ldc + n, .ldc = (ptrdiff_t)g->ldc,
                              .bias = g->bias ? g->bias + n : NULL, .add = !first};
                    micro(t, imin(MR, m - i), imin(NR, n_end - n), g->a_cols);
                }
        }
    }
}

static void gemm_run(device *dev, gemm g)
{
    if (g.M <= 0 || g.N <= 0 || g.K <= 0) return;
    if (g.a_scale == 0) g.a_scale = 1;
    gemm_job j = {.g = g};
    int threads = cpu_threads(dev), n_chunks = ceil_div(g.N, GEMM_NC), wanted = threads == 1 ? 1 : 3 * threads;
    j.k_each = round_up(ceil_div(g.K, ceil_div(g.K, GEMM_KC)), 8);
    j.m_chunks = imax(1, imin(ceil_div(wanted, n_chunks), g.M / (8 * MR)));
    j.m_each = round_up(ceil_div(g.M, j.m_chunks), MR);
    j.m_chunks = ceil_div(g.M, j.m_each);
    if (j.m_chunks * n_chunks < wanted) n_chunks = imin(ceil_div(wanted, j.m_chunks), ceil_div(g.N, NR));
    j.n_each = round_up(ceil_div(g.N, n_chunks), NR);
    n_chunks = ceil_div(g.N, j.n_each);
    j.work_each = (size_t)j.k_each * (size_t)j.n_each + (size_t)(GEMM_MC + MR) * (size_t)(j.k_each + VL + 16) + 64;
    j.work_each = (j.work_each + 15) / 16 * 16;
    j.work = cpu_scratch(dev, CPU_WORK, j.work_each * (size_t)threads);
    if (!j.work) return;
    pool_run(dev->threads, j.m_chunks * n_chunks, gemm_task, &j);
}
#endif
