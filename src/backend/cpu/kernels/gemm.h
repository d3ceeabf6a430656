/* gemm.h - C[M,N] (+)= s A B for matrices of any size.
 *
 * The plan (Goto and van de Geijn 2008): C is cut into chunks, one a task; for each slab of K the task copies its part
 * of B (converted to fp32) into panels [k][NR] that stay in the L2 cache, then block after block of A, and runs the
 * micro-kernel over them.  Copying is 1/NC and 1/M of the work; A stays where it lies when its rows are well placed. */
#ifndef CPU_KERNELS_GEMM_H
#define CPU_KERNELS_GEMM_H
#include "backend/cpu/kernels/decode.h"
#include "backend/cpu/kernels/micro.h"
#include "backend/cpu/kernels/rows.h"

/* A block 300 KiB, panels of B 320 KiB: together less than an L2 cache; multiples of every MR and NR. */
enum { GEMM_KC = 320, GEMM_MC = 240, GEMM_NC = 256, GEMM_OFTEN = 6 /* column chunks that make one shared copy of A pay */ };

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
} gemm;

typedef struct gemm_job {
    gemm g;
    int m_each, n_each, m_chunks; /* task = n chunk * m_chunks + m chunk */
    int k_each, k_slabs, m_blocks;
    float *work;       /* a worker's part: its panels of B, its block of A */
    size_t work_each;
    float *a_copy;     /* all of A, slab after slab, when it is used often; NULL: tasks copy blocks as they go */
} gemm_job;

/* Rows of a copied block are this far apart (ROWS): off the powers of two, so that the rows of a tile share no cache set. */
INLINE size_t gemm_lda(int k) { return (size_t)round_up(k, VL) + 16; }

/* Numbers that m rows of a slab of k take, and where row i (a multiple of MR) begins. */
INLINE size_t gemm_block(const gemm *g, int m, int k) { return g->a_cols ? (size_t)round_up(m, MR) * (size_t)k : (size_t)m * gemm_lda(k); }
INLINE size_t gemm_row(const gemm *g, int i, int k) { return (size_t)i * (g->a_cols ? (size_t)k : gemm_lda(k)); }

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

/* Types of 32 and 16 bits go straight into a panel; others, and rows with a scale, are decoded a piece of a row at a time. */
INLINE bool gemm_decodes(const gemm *g) { return g->b_type > DT_F16 || g->b_scale; }
INLINE const void *gemm_b_row(const gemm *g, int i) { return (const char *)g->b + (size_t)i * dtype_nbytes_of(g->b_type, g->ldb); }
INLINE const float *gemm_b_scale(const gemm *g, int i) { return g->b_scale ? g->b_scale + i : NULL; }

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
    if (!g->b_rows && gemm_decodes(g)) {
        pack_decoded_cols(panels, g, n0, n, k0, k);
        return;
    }
    for (int c = 0; c < n; c += NR) {
        float *panel = panels + (size_t)c * (size_t)k;
        if (!g->b_rows) pack_b_cols(panel, g, n0 + c, imin(NR, n - c), k0, k);
        else for (int half = 0; half < NR; half += VL) pack_b_rows(panel + half, g, n0 + c + half, imin(VL, n - c - half), k0, k);
    }
}

/* A block of m rows of A: [m][gemm_lda] ... */
static void pack_a_rows(float *block, const gemm *g, int m0, int m, int k0, int k)
{
    vf s = v_set(g->a_scale);
    for (int i = 0; i < m; i++) {
        const float *src = g->a + (size_t)(m0 + i) * g->lda + k0;
        float *dst = block + (size_t)i * gemm_lda(k);
        for (int kk = 0; kk < k; kk += VL) v_store(dst + kk, v_loadn(src + kk, k - kk) * s);
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
    }
}

static void pack_a(float *block, const gemm *g, int m0, int m, int k0, int k)
{
    if (g->a_cols) pack_a_cols(block, g, m0, m, k0, k);
    else pack_a_rows(block, g, m0, m, k0, k);
}

/* One block of rows of one slab into a_copy. */
static void gemm_copy_task(void *arg, int task, int worker)
{
    const gemm_job *j = arg;
    (void)worker;
    int slab = task / j->m_blocks, m0 = task % j->m_blocks * GEMM_MC, k0 = slab * j->k_each, k = imin(j->k_each, j->g.K - k0);
    pack_a(j->a_copy + (size_t)slab * gemm_block(&j->g, j->g.M, j->k_each) + gemm_row(&j->g, m0, k), &j->g, m0, imin(GEMM_MC, j->g.M - m0), k0, k);
}

/* A share of the lines of a region into the cache. */
INLINE void prefetch_share(const float *p, size_t nfloats, int share, int shares)
{
    size_t lines = nfloats / 16, from = lines * (size_t)share / (size_t)shares, to = lines * (size_t)(share + 1) / (size_t)shares;
    for (size_t i = from; i < to; i++) __builtin_prefetch(p + 16 * i);
}

/* Rows of A are multiplied where they lie when they need no factor and the MR of a tile do not all meet in one or two sets of the L1 cache. */
INLINE bool gemm_in_place(const gemm *g) { return !g->a_cols && g->a_scale == 1 && g->lda % 512 != 0; }

/* m rows of A (a copied block, or where they lie: `lda` apart) times the panels of B -> rows m0.., columns n_begin..n_end of C */
static void gemm_block_times_panels(const gemm *g, const float *a, size_t lda, const float *bp, int m0, int m, int k, int n_begin, int n_end,
                                    bool add, bool ahead)
{
    int panels = ceil_div(n_end - n_begin, NR);
    for (int i = 0; i < m; i += MR)
        for (int p = 0; p < panels; p++) {
            int n = n_begin + p * NR;
            if (ahead) prefetch_share(a + gemm_row(g, i + MR, k), gemm_row(g, MR, k), p, panels);
            tile t = {.a = a + (g->a_cols ? gemm_row(g, i, k) : (size_t)i * lda), .lda = (ptrdiff_t)lda, .b = bp + (size_t)(p * NR) * (size_t)k, .ldb = NR,
                      .segments = 1, .k = k, .c = g->c + (size_t)(m0 + i) * g->ldc + n, .ldc = (ptrdiff_t)g->ldc,
                      .bias = g->bias && !add ? g->bias + n : NULL, .add = add};
            micro(t, imin(MR, m - i), imin(NR, n_end - n), g->a_cols);
        }
}

static void gemm_task(void *arg, int task, int worker)
{
    const gemm_job *j = arg;
    const gemm *g = &j->g;
    bool in_place = gemm_in_place(g);
    int m_begin = task % j->m_chunks * j->m_each, m_end = imin(g->M, m_begin + j->m_each);
    int n_begin = task / j->m_chunks * j->n_each, n_end = imin(g->N, n_begin + j->n_each);
    float *bp = j->work + (size_t)worker * j->work_each, *block = bp + (size_t)j->n_each * (size_t)j->k_each;
    for (int slab = 0; slab < j->k_slabs; slab++) {
        int k0 = slab * j->k_each, k = imin(j->k_each, g->K - k0);
        bool add = slab > 0 || g->add;
        const float *copy = j->a_copy ? j->a_copy + (size_t)slab * gemm_block(g, g->M, j->k_each) : NULL;
        pack_b(bp, g, n_begin, n_end - n_begin, k0, k);
        for (int m0 = m_begin; m0 < m_end; m0 += GEMM_MC) {
            int m = imin(GEMM_MC, m_end - m0);
            if (in_place) {
                gemm_block_times_panels(g, g->a + (size_t)m0 * g->lda + k0, g->lda, bp, m0, m, k, n_begin, n_end, add, false);
                continue;
            }
            if (!copy) pack_a(block, g, m0, m, k0, k);
            gemm_block_times_panels(g, copy ? copy + gemm_row(g, m0, k) : block, g->a_cols ? MR : gemm_lda(k), bp, m0, m, k, n_begin, n_end, add,
                                    copy);
        }
    }
}

static void gemm_run(device *dev, gemm g)
{
    if (g.M <= 0 || g.N <= 0 || g.K <= 0) return;
    if (g.a_scale == 0) g.a_scale = 1;
    gemm_job j = {.g = g};
    int threads = cpu_threads(dev), n_chunks = ceil_div(g.N, GEMM_NC), wanted = threads == 1 ? 1 : 3 * threads;
    j.k_slabs = ceil_div(g.K, GEMM_KC);
    int unit = decode_unit(g.b_type);
    j.k_each = round_up(ceil_div(g.K, j.k_slabs), g.b_rows ? imax(8, unit) : 8);
    j.k_slabs = ceil_div(g.K, j.k_each);
    j.m_chunks = imax(1, imin(ceil_div(wanted, n_chunks), g.M / (8 * MR)));
    j.m_each = round_up(ceil_div(g.M, j.m_chunks), MR);
    j.m_chunks = ceil_div(g.M, j.m_each);
    if (j.m_chunks * n_chunks < wanted) n_chunks = imin(ceil_div(wanted, j.m_chunks), ceil_div(g.N, NR));
    j.n_each = round_up(ceil_div(g.N, n_chunks), g.b_rows ? NR : imax(NR, unit));
    n_chunks = ceil_div(g.N, j.n_each);
    j.m_blocks = ceil_div(g.M, GEMM_MC);
    j.work_each = (size_t)j.k_each * (size_t)j.n_each + gemm_block(&g, GEMM_MC, j.k_each);
    j.work_each = (j.work_each + 15) / 16 * 16;
    size_t copy = n_chunks >= GEMM_OFTEN && !gemm_in_place(&g) ? (size_t)j.k_slabs * gemm_block(&g, g.M, j.k_each) : 0;
    j.work = cpu_scratch(dev, CPU_WORK, j.work_each * (size_t)threads + copy);
    if (!j.work) return;
    if (copy) {
        j.a_copy = j.work + j.work_each * (size_t)threads;
        pool_run(dev->threads, j.k_slabs * j.m_blocks, gemm_copy_task, &j);
    }
    pool_run(dev->threads, j.m_chunks * n_chunks, gemm_task, &j);
}
#endif
