/* choose.h - rows chosen, and rows weighed against each other. */
#ifndef CPU_KERNELS_CHOOSE_H
#define CPU_KERNELS_CHOOSE_H
#include "backend/cpu/kernels/rows.h"

/* A softmax is over a handful of numbers (which placeholder a reference means): one thread, in double. */
static void k_softmax(device *dev, tensor y, tensor x, layout l)
{
    (void)dev;
    for (int i = 0; i < l.nspans; i++)
        for (int c = 0; c < x.cols; c++) {
            int row0 = l.spans[i].start, row1 = row0 + l.spans[i].rows;
            double most = row(x, row0)[c], sum = 0;
            for (int r = row0; r < row1; r++) most = fmax(most, (double)row(x, r)[c]);
            for (int r = row0; r < row1; r++) sum += exp((double)row(x, r)[c] - most);
            for (int r = row0; r < row1; r++) row(y, r)[c] = (float)(exp((double)row(x, r)[c] - most) / sum);
        }
}

static void k_softmax_backward(device *dev, tensor dx, tensor dy, tensor y, layout l)
{
    (void)dev;
    for (int i = 0; dx.p && i < l.nspans; i++)
        for (int c = 0; c < y.cols; c++) {
            int row0 = l.spans[i].start, row1 = row0 + l.spans[i].rows;
            double dot = 0;
            for (int r = row0; r < row1; r++) dot += (double)row(y, r)[c] * (double)row(dy, r)[c];
            for (int r = row0; r < row1; r++) row(dx, r)[c] += (float)((double)row(y, r)[c] * ((double)row(dy, r)[c] - dot));
        }
}

enum { TAKE_ROWS = 16, TAKE_COLS = 64 };
typedef struct take_job { tensor y, x; const int32_t *ids; } take_job;

static void take_task(void *arg, int task, int worker)
{
    const take_job *j = arg;
    (void)worker;
    for (int r = task * TAKE_ROWS; r < imin(j->y.rows, (task + 1) * TAKE_ROWS); r++)
        memcpy(row(j->y, r), row(j->x, j->ids[r]), (size_t)j->y.cols * sizeof(float));
}

/* x is dx, y is dy.  Rows may repeat, so a task owns a block of columns. */
static void take_back_task(void *arg, int task, int worker)
{
    const take_job *j = arg;
    (void)worker;
    int c0 = task * TAKE_COLS, c1 = imin(j->y.cols, c0 + TAKE_COLS);
    for (int r = 0; r < j->y.rows; r++) {
        float *to = row(j->x, j->ids[r]);
        const float *from = row(j->y, r);
        for (int c = c0; c < c1; c += VL) v_storen(to + c, v_loadn(to + c, c1 - c) + v_loadn(from + c, c1 - c), c1 - c);
    }
}

static void k_takerows(device *dev, tensor y, tensor x, const int32_t *ids)
{
    take_job j = {y, x, ids};
    pool_run(dev->threads, ceil_div(y.rows, TAKE_ROWS), take_task, &j);
}

static void k_takerows_backward(device *dev, tensor dx, tensor dy, const int32_t *ids)
{
    take_job j = {dy, dx, ids};
    if (dx.p) pool_run(dev->threads, ceil_div(dy.cols, TAKE_COLS), take_back_task, &j);
}
#endif
