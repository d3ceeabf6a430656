/* rows.h - sharing rows among threads: element-wise jobs, and sums over rows in a fixed order.
 *
 * A job's rows are cut into pieces by shape alone, never by who is free, so that sums come out the same every time. */
#ifndef CPU_KERNELS_ROWS_H
#define CPU_KERNELS_ROWS_H
#include "backend/cpu/cpu.h"
#include "backend/cpu/kernels/simd.h"

/* y += x */
INLINE void add_row(float *y, const float *x, int n)
{
    for (int c = 0; c < n; c += VL) v_storen(y + c, v_loadn(y + c, n - c) + v_loadn(x + c, n - c), n - c);
}

/* ---- jobs without sums ---- */

typedef struct rows_job rows_job;
struct rows_job {
    void (*fn)(const rows_job *j, int row0, int row1);
    tensor t[5]; /* operands, by the job's own convention; t[0] is written */
    float s;
    grid g;
    const void *extra;
    int rows, each;
};

static void rows_task(void *arg, int task, int worker)
{
    const rows_job *j = arg;
    (void)worker;
    j->fn(j, task * j->each, imin(j->rows, (task + 1) * j->each));
}

/* Run j.fn over `rows` rows of about `cols` numbers each. */
static void rows_run(device *dev, rows_job j, int rows, int cols)
{
    if (rows <= 0 || cols <= 0) return;
    j.rows = rows;
    j.each = imax(1, 16384 / cols);
    int tasks = ceil_div(rows, j.each);
    if (tasks == 1) j.fn(&j, 0, rows);
    else pool_run(dev->threads, tasks, rows_task, &j);
}

/* ---- pieces: rows of one sample, with a place for partial sums ---- */

typedef struct piece { int row0, row1, sample; } piece;

typedef struct pieces {
    piece *at;      /* [n], in the layout's order */
    int n, samples;
    float *sums;    /* [n, width] partial sums, not cleared */
    int width;
} pieces;

static layout layout_whole(const span *s) { return (layout){.samples = 1, .nspans = 1, .spans = s}; }

/* Cut a layout into pieces of rows of `cols` numbers.  Lives in TEMP scratch.  at == NULL: no memory. */
static pieces pieces_cut(device *dev, layout l, int cols, int width)
{
    int each = imin(256, imax(4, 16384 / imax(cols, 1)));
    int n = 0;
    for (int i = 0; i < l.nspans; i++) n += ceil_div(l.spans[i].rows, each);
    size_t head = ((size_t)n * sizeof(piece) + 63) / 64 * 64;
    pieces p = {.n = n, .samples = l.samples, .width = width};
    char *memory = (char *)cpu_scratch(dev, CPU_TEMP, head / sizeof(float) + (size_t)n * (size_t)width + 1);
    if (!memory) return p;
    p.at = (piece *)memory;
    p.sums = (float *)(memory + head);
    n = 0;
    for (int i = 0; i < l.nspans; i++)
        for (int r = 0; r < l.spans[i].rows; r += each)
            p.at[n++] = (piece){l.spans[i].start + r, l.spans[i].start + imin(l.spans[i].rows, r + each), l.spans[i].sample};
    return p;
}

/* out[sample][c] += sum over the sample's pieces of column col0 + c of their sums, c < cols. */
static void pieces_add(const pieces *p, int col0, int cols, float *out, size_t ld)
{
    if (!out) return;
    for (int i = 0; i < p->n; i++) {
        float *y = out + (size_t)p->at[i].sample * ld;
        const float *x = p->sums + (size_t)i * (size_t)p->width + col0;
        add_row(y, x, cols);
    }
}

/* ---- column sums: out[c] += sum over rows of x[row][c] ---- */

typedef struct colsum_job { tensor x; const pieces *p; } colsum_job;

static void colsum_task(void *arg, int task, int worker)
{
    const colsum_job *j = arg;
    (void)worker;
    float *y = j->p->sums + (size_t)task * (size_t)j->p->width;
    for (int c = 0; c < j->x.cols; c += 4 * VL) { /* four vectors wide: whole cache lines of each row */
        vf sum[4] = {v_zero(), v_zero(), v_zero(), v_zero()};
        int left = j->x.cols - c;
        for (int r = j->p->at[task].row0; r < j->p->at[task].row1; r++) {
            const float *x = row(j->x, r) + c;
            if (left >= 4 * VL) for (int i = 0; i < 4; i++) sum[i] += v_load(x + i * VL);
            else for (int i = 0; i * VL < left; i++) sum[i] += v_loadn(x + i * VL, left - i * VL);
        }
        for (int i = 0; i < 4 && i * VL < left; i++) v_storen(y + c + i * VL, sum[i], left - i * VL);
    }
}

static void colsum_add(device *dev, float *out, tensor x)
{
    span all = {0, x.rows, 0};
    pieces p = pieces_cut(dev, layout_whole(&all), x.cols, x.cols);
    if (!p.at) return;
    colsum_job j = {x, &p};
    pool_run(dev->threads, p.n, colsum_task, &j);
    pieces_add(&p, 0, x.cols, out, 0);
}
#endif
