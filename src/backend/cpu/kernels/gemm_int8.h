/* gemm_int8.h - C[M,N] = A W^T + bias for weights in ggml's blocks and activations in 8 bits.
 *
 * A task owns some panels of NR columns.  It turns their weights into panels of integers and scales once (tile_int8.h has the layout),
 * over the whole of K, so that they lie in the L2 cache, and runs the tiles of all its rows over them: no sum leaves the registers before
 * it is complete, and what a number is does not depend on how the work was shared. */
#ifndef CPU_KERNELS_GEMM_INT8_H
#define CPU_KERNELS_GEMM_INT8_H
#include "backend/cpu/kernels/quantise.h"
#include "backend/cpu/kernels/tile_int8.h"

enum { INT8_CACHE = 448 << 10, INT8_PANELS = 8 }; /* bytes of panels that a task works on; and their number at most */

typedef struct int8_job {
    const quantised *a;
    const weight_part *p;
    float *c; /* [M][ldc] */
    size_t ldc;
    const int8_micro *micro;
    int m_rows; /* of a tile */
    blocks_kind kind;
    int m_each, m_chunks, n_each; /* task = n chunk * m_chunks + m chunk */
    size_t run_nbytes, work_each; /* of a panel's run; of a worker's panels */
    char *work;
} int8_job;

/* Parts that `linear` may multiply in integers. */
INLINE bool int8_takes(const weight_part *p) { return blocks_int8_kind(p->type) != BLOCKS_NOT_INT8 && !p->row_scale; }

/* One column of a panel's run or half run: integers, where the sums begin, scale, offset. */
INLINE void pack_ints(char *at, int column, const int8_t *q, int quads, int shift, float scale, const float *offset)
{
    int32_t sum = 0;
    for (int k = 0; k < 4 * quads; k++) sum += q[k];
    sum *= -shift;
    for (int k = 0; k < quads; k++) memcpy(at + (k * NR + column) * 4, q + 4 * k, 4);
    at += (quads * NR + column) * 4;
    memcpy(at, &sum, 4);
    memcpy(at + NR * 4, &scale, 4);
    if (offset) memcpy(at + 2 * NR * 4, offset, 4);
}

/* Column `column` of a panel: row `n` of the weights; zeros where there is none. */
static void pack_int8_column(const int8_job *j, char *panel, int column, int n)
{
    const weight_part *p = j->p;
    int shift = j->micro->shift;
    size_t row_nbytes = dtype_nbytes_of(p->type, (size_t)j->a->runs * BLOCKS_RUN), run_nbytes = row_nbytes / (size_t)j->a->runs;
    const uint8_t *row = (const uint8_t *)p->data + (size_t)n * row_nbytes;
    blocks_ints b = {0};
    for (int r = 0; r < j->a->runs; r++, panel += j->run_nbytes) {
        if (n < p->rows) {
            blocks_int8(p->type, row, (size_t)r, &b);
            __builtin_prefetch(row + row_nbytes + (size_t)r * run_nbytes); /* the next column's, perhaps on another page */
        }
        if (j->kind == BLOCKS_HALVES) {
            pack_ints(panel, column, b.q, 4, shift, b.scale[0], NULL);
            pack_ints(panel + j->run_nbytes / 2, column, b.q + 16, 4, shift, b.scale[1], NULL);
        } else {
            pack_ints(panel, column, b.q, 8, shift, b.scale[0], j->kind == BLOCKS_OFFSET ? &b.offset : NULL);
        }
    }
}

/* Rows m0 .. m0 + m of C (one tile), the `n` columns of one panel from n0. */
static void int8_one_tile(const int8_job *j, const char *panel, int m0, int m, int n0, int n)
{
    const quantised *a = j->a;
    float edge[INT8_ROWS * NR], bias[NR] = {0}, *c = j->c + (size_t)m0 * j->ldc + n0;
    bool whole = n == NR;
    size_t first = (size_t)m0 * (size_t)a->runs;
    if (j->p->bias) memcpy(bias, j->p->bias + n0, sizeof(float) * (size_t)n);
    int8_tile t = {.a = a->q + (size_t)m0 * a->lda, .lda = a->lda, .scale = a->scale + first, .sum = a->sum + first, .lds = (size_t)a->runs,
                   .panel = panel, .bias = bias, .c = whole ? c : edge, .ldc = whole ? j->ldc : NR, .runs = a->runs};
    j->micro->tile[m - 1][j->kind](&t);
    for (int i = 0; !whole && i < m; i++) memcpy(c + (size_t)i * j->ldc, edge + i * NR, sizeof(float) * (size_t)n);
}

static void int8_task(void *arg, int task, int worker)
{
    const int8_job *j = arg;
    int m_begin = task % j->m_chunks * j->m_each, m_end = imin(j->a->x.rows, m_begin + j->m_each);
    int n_begin = task / j->m_chunks * j->n_each, n_end = imin(j->p->rows, n_begin + j->n_each);
    size_t panel_nbytes = j->run_nbytes * (size_t)j->a->runs;
    char *panels = j->work + (size_t)worker * j->work_each;
    for (int n = n_begin; n < n_end; n += NR)
        for (int c = 0; c < NR; c++) pack_int8_column(j, panels + (size_t)((n - n_begin) / NR) * panel_nbytes, c, n + c);
    for (int i = m_begin; i < m_end; i += j->m_rows)
        for (int n = n_begin; n < n_end; n += NR)
            int8_one_tile(j, panels + (size_t)((n - n_begin) / NR) * panel_nbytes, i, imin(j->m_rows, m_end - i), n, imin(NR, n_end - n));
}

/* c[x.rows, p.rows] = x W_p^T + bias_p, a being x in 8 bits and p a part that int8_takes. */
static void gemm_int8(device *dev, const quantised *a, const weight_part *p, float *c, int ldc)
{
    const int8_micro *micro = ((const cpu_state *)dev->state)->int8;
    int8_job j = {.a = a, .p = p, .c = c, .ldc = (size_t)ldc, .micro = micro, .kind = blocks_int8_kind(p->type), .m_rows = INT8_ROWS};
    while (!micro->tile[j.m_rows - 1][j.kind]) j.m_rows--;
    int threads = cpu_threads(dev), wanted = threads == 1 ? 1 : 3 * threads;
    j.run_nbytes = NR * 4 * (size_t)(j.kind == BLOCKS_HALVES ? 8 + 4 : j.kind == BLOCKS_OFFSET ? 8 + 3 : 8 + 2);
    size_t panel_nbytes = j.run_nbytes * (size_t)a->runs;
    int panels = imax(1, imin(INT8_PANELS, (int)(INT8_CACHE / panel_nbytes)));
    panels = imax(1, imin(panels, ceil_div(p->rows, NR) / wanted));
    j.n_each = panels * NR;
    int n_chunks = ceil_div(p->rows, j.n_each);
    j.m_chunks = imax(1, imin(ceil_div(wanted, n_chunks), a->x.rows / (8 * j.m_rows)));
    j.m_each = round_up(ceil_div(a->x.rows, j.m_chunks), j.m_rows);
    j.m_chunks = ceil_div(a->x.rows, j.m_each);
    j.work_each = panel_nbytes * (size_t)panels;
    j.work = (char *)cpu_scratch(dev, CPU_WORK, j.work_each / sizeof(float) * (size_t)threads);
    if (j.work) pool_run(dev->threads, n_chunks * j.m_chunks, int8_task, &j);
}
#endif
