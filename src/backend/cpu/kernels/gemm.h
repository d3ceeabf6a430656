/* gemm.h - C[M,N] (+)= s A B for matrices of any size.
 *
 * The plan (Goto and van de Geijn 2008): C is cut into chunks, one a task; for each slab of K the task copies its part
 * of B (converted to fp32) into panels [k][NR] that stay in the L2 cache, then block after block of A, and runs the
 * micro-kernel over them.  Copying is 1/NC and 1/M of the work; A stays where it lies when its rows are well placed.
 *
 * Compiled with MICRO_PAIRS it multiplies in bf16: then k, wherever it counts what was packed, counts pairs of numbers. */
#ifndef CPU_KERNELS_GEMM_H
#define CPU_KERNELS_GEMM_H
#ifdef MICRO_PAIRS
#include "backend/cpu/kernels/pack_pairs.h"
#else
#include "backend/cpu/kernels/pack.h"
#endif

typedef struct gemm_job {
    gemm g;
    int m_each, n_each, m_chunks; /* task = n chunk * m_chunks + m chunk */
    int k_each, k_slabs, m_blocks;
    float *work;       /* a worker's part: its panels of B, its block of A */
    size_t work_each;
    float *a_copy, *b_copy; /* all of A or B, slab after slab, when it is used often; NULL: tasks copy blocks as they go */
    int a_copies;      /* tasks that make a_copy */
} gemm_job;

/* One copy of B serves all chunks of rows, unless it is large: then each has many rows to work on. */
enum { GEMM_B_MOST = 1 << 20, GEMM_B_EACH = 64 };

INLINE int gemm_steps(const gemm *g) { return round_up(ceil_div(g->K, PACK_NUMBERS), PACK_STEPS); }

/* Numbers that m rows of a slab of k take, and where row i (a multiple of PACK_MR) begins. */
INLINE size_t gemm_block(const gemm *g, int m, int k) { return (size_t)round_up(m, PACK_MR) * (pack_a_in_cols(g) ? (size_t)k : gemm_lda(k)); }
INLINE size_t gemm_row(const gemm *g, int i, int k) { return (size_t)i * (pack_a_in_cols(g) ? (size_t)k : gemm_lda(k)); }

/* The panels of a slab of k steps from column n0 (a multiple of NR) on. */
INLINE float *gemm_b_copy(const gemm_job *j, int slab, int n0, int k)
{
    return j->b_copy + (size_t)slab * (size_t)j->k_each * (size_t)round_up(j->g.N, NR) + (size_t)n0 * (size_t)k;
}

static void pack_a(float *block, const gemm *g, int m0, int m, int k0, int k)
{
    if (g->a_cols) pack_a_cols(block, g, m0, m, k0, k);
    else pack_a_rows(block, g, m0, m, k0, k);
}

/* What many tasks use, packed once: a block of rows of one slab into a_copy, or a chunk of columns of one slab into b_copy. */
static void gemm_copy_task(void *arg, int task, int worker)
{
    const gemm_job *j = arg;
    const gemm *g = &j->g;
    (void)worker;
    bool of_a = task < j->a_copies;
    int each = of_a ? j->m_blocks : ceil_div(g->N, GEMM_B_EACH), piece = of_a ? task : task - j->a_copies;
    int slab = piece / each, k0 = slab * j->k_each, k = imin(j->k_each, gemm_steps(g) - k0);
    if (of_a) {
        int m0 = piece % each * GEMM_MC;
        pack_a(j->a_copy + (size_t)slab * gemm_block(g, g->M, j->k_each) + gemm_row(g, m0, k), g, m0, imin(GEMM_MC, g->M - m0), k0, k);
    } else {
        int n0 = piece % each * GEMM_B_EACH;
        pack_b(gemm_b_copy(j, slab, n0, k), g, n0, imin(GEMM_B_EACH, g->N - n0), k0, k);
    }
}

/* A share of the lines of a region into the cache. */
INLINE void prefetch_share(const float *p, size_t nfloats, int share, int shares)
{
    size_t lines = nfloats / 16, from = lines * (size_t)share / (size_t)shares, to = lines * (size_t)(share + 1) / (size_t)shares;
    for (size_t i = from; i < to; i++) __builtin_prefetch(p + 16 * i);
}

/* m rows of A (a copied block, or where they lie: `lda` apart) times the panels of B -> rows m0.., columns n_begin..n_end of C */
static void gemm_block_times_panels(const gemm *g, const float *a, size_t lda, const float *bp, int m0, int m, int k, int n_begin, int n_end,
                                    bool add, bool ahead)
{
    int panels = ceil_div(n_end - n_begin, NR);
    bool cols = pack_a_in_cols(g);
    for (int i = 0; i < m; i += PACK_MR)
        for (int p = 0; p < panels; p++) {
            int n = n_begin + p * NR;
            if (g->lower && n >= m0 + i + PACK_MR) break;
            if (PACK_AHEAD && ahead) prefetch_share(a + gemm_row(g, i + PACK_MR, k), gemm_row(g, PACK_MR, k), p, panels);
            tile t = {.a = a + (cols ? gemm_row(g, i, k) : (size_t)i * lda), .lda = (ptrdiff_t)lda, .b = bp + (size_t)(p * NR) * (size_t)k, .ldb = NR,
                      .segments = 1, .k = k, .c = g->c + (size_t)(m0 + i) * g->ldc + n, .ldc = (ptrdiff_t)g->ldc,
                      .bias = g->bias && !add ? g->bias + n : NULL, .add = add};
            pack_tile(&t, imin(PACK_MR, m - i), imin(NR, n_end - n), cols);
        }
}

static void gemm_task(void *arg, int task, int worker)
{
    const gemm_job *j = arg;
    const gemm *g = &j->g;
    bool in_place = pack_needs_no_a(g);
    pack_begin();
    int m_begin = task % j->m_chunks * j->m_each, m_end = imin(g->M, m_begin + j->m_each);
    int n_begin = task / j->m_chunks * j->n_each, n_end = imin(g->N, n_begin + j->n_each);
    float *bp = j->work + (size_t)worker * j->work_each, *block = bp + (size_t)j->n_each * (size_t)j->k_each;
    for (int slab = 0; slab < j->k_slabs; slab++) {
        int k0 = slab * j->k_each, k = imin(j->k_each, gemm_steps(g) - k0);
        bool add = slab > 0 || g->add;
        const float *copy = j->a_copy ? j->a_copy + (size_t)slab * gemm_block(g, g->M, j->k_each) : NULL;
        const float *panels = j->b_copy ? gemm_b_copy(j, slab, n_begin, k) : bp;
        if (!j->b_copy) pack_b(bp, g, n_begin, n_end - n_begin, k0, k);
        for (int m0 = m_begin; m0 < m_end; m0 += GEMM_MC) {
            int m = imin(GEMM_MC, m_end - m0);
            if (in_place) {
                gemm_block_times_panels(g, g->a + (size_t)m0 * g->lda + k0, g->lda, panels, m0, m, k, n_begin, n_end, add, false);
                continue;
            }
            if (!copy) pack_a(block, g, m0, m, k0, k);
            gemm_block_times_panels(g, copy ? copy + gemm_row(g, m0, k) : block, pack_a_in_cols(g) ? MR : gemm_lda(k), panels, m0, m, k, n_begin, n_end, add,
                                    copy);
        }
    }
    pack_end();
}

static void gemm_run(device *dev, gemm g)
{
    if (g.M <= 0 || g.N <= 0 || g.K <= 0) return;
    if (g.a_scale == 0) g.a_scale = 1;
    gemm_job j = {.g = g};
    int threads = cpu_threads(dev), n_chunks = ceil_div(g.N, GEMM_NC), wanted = threads == 1 ? 1 : 3 * threads;
    j.k_slabs = ceil_div(gemm_steps(&g), GEMM_KC);
    int unit = decode_unit(g.b_type);
    j.k_each = round_up(ceil_div(gemm_steps(&g), j.k_slabs), imax(g.b_rows ? imax(8, unit) : 8, PACK_STEPS));
    j.k_slabs = ceil_div(gemm_steps(&g), j.k_each);
    j.m_chunks = imax(1, imin(ceil_div(wanted, n_chunks), g.M / (8 * MR)));
    j.m_each = round_up(ceil_div(g.M, j.m_chunks), PACK_MR);
    j.m_chunks = ceil_div(g.M, j.m_each);
    if (j.m_chunks * n_chunks < wanted) n_chunks = imin(ceil_div(wanted, j.m_chunks), ceil_div(g.N, NR));
    j.n_each = round_up(ceil_div(g.N, n_chunks), g.b_rows ? NR : imax(NR, unit));
    n_chunks = ceil_div(g.N, j.n_each);
    j.m_blocks = ceil_div(g.M, GEMM_MC);
    j.work_each = (size_t)j.k_each * (size_t)j.n_each + gemm_block(&g, GEMM_MC, j.k_each);
    j.work_each = (j.work_each + 15) / 16 * 16;
    size_t a_copy = n_chunks >= PACK_OFTEN && !pack_needs_no_a(&g) ? (size_t)j.k_slabs * gemm_block(&g, g.M, j.k_each) : 0;
    size_t b_copy = (size_t)j.k_slabs * (size_t)j.k_each * (size_t)round_up(g.N, NR);
    if (j.m_chunks == 1 || b_copy > GEMM_B_MOST) b_copy = 0;
    a_copy = (a_copy + 15) / 16 * 16;
    j.work = cpu_scratch(dev, CPU_WORK, j.work_each * (size_t)threads + a_copy + b_copy);
    if (!j.work) return;
    if (a_copy) j.a_copy = j.work + j.work_each * (size_t)threads;
    if (b_copy) j.b_copy = j.work + j.work_each * (size_t)threads + a_copy;
    if (a_copy) j.a_copies = j.k_slabs * j.m_blocks;
    if (a_copy || b_copy) pool_run(dev->threads, j.a_copies + (b_copy ? j.k_slabs * ceil_div(g.N, GEMM_B_EACH) : 0), gemm_copy_task, &j);
    pool_run(dev->threads, j.m_chunks * n_chunks, gemm_task, &j);
}
#endif
