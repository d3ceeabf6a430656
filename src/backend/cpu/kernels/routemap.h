/* routemap.h - the routing map: (mean over a reference's queries) . k / sqrt(head_dim), mean over heads (training 1.2). */
#ifndef CPU_KERNELS_ROUTEMAP_H
#define CPU_KERNELS_ROUTEMAP_H
#include "backend/cpu/kernels/rows.h"

enum { ROUTE_COLS = 64 };

typedef struct route_job {
    tensor y, q, k, dq, dk;  /* y is dy on the way back */
    const route *r;
    float s;                 /* 1 / (heads sqrt(head_dim)) */
    float *mean;             /* [routes][cols] */
} route_job;

static void route_mean_task(void *arg, int task, int worker)
{
    const route_job *j = arg;
    (void)worker;
    int c0 = task * ROUTE_COLS, c1 = imin(j->q.cols, c0 + ROUTE_COLS);
    for (int i = 0; i < j->y.rows; i++)
        for (int c = c0; c < c1; c += VL) {
            vf s = v_zero();
            for (int r = 0; r < j->r[i].nref; r++) s += v_loadn(row(j->q, j->r[i].ref0 + r) + c, c1 - c);
            v_storen(j->mean + (size_t)i * (size_t)j->q.cols + c, s * v_set(j->s / (float)imax(1, j->r[i].nref)), c1 - c);
        }
}

static void route_map_task(void *arg, int task, int worker)
{
    const route_job *j = arg;
    (void)worker;
    const float *mean = j->mean + (size_t)task * (size_t)j->q.cols;
    float *y = row(j->y, task);
    int n = j->q.cols;
    for (int i = 0; i < j->y.cols; i++) {
        vf s = v_zero();
        if (i < j->r[task].nimg) {
            const float *k = row(j->k, j->r[task].img0 + i);
            for (int c = 0; c < n; c += VL) s = v_fma(v_loadn(mean + c, n - c), v_loadn(k + c, n - c), s);
        }
        y[i] = v_sum(s);
    }
}

/* Routes may share rows, so a task owns a block of columns. */
static void route_backward_task(void *arg, int task, int worker)
{
    const route_job *j = arg;
    (void)worker;
    int c0 = task * ROUTE_COLS, c1 = imin(j->q.cols, c0 + ROUTE_COLS);
    for (int i = 0; i < j->y.rows; i++) {
        const float *dy = row(j->y, i);
        route r = j->r[i];
        for (int c = c0; c < c1; c += VL) {
            int n = c1 - c;
            vf mean = v_loadn(j->mean + (size_t)i * (size_t)j->q.cols + c, n), dmean = v_zero();
            for (int p = 0; p < r.nimg; p++) {
                dmean = v_fma(v_set(dy[p]), v_loadn(row(j->k, r.img0 + p) + c, n), dmean);
                if (j->dk.p) {
                    float *dk = row(j->dk, r.img0 + p) + c;
                    v_storen(dk, v_fma(v_set(dy[p]), mean, v_loadn(dk, n)), n);
                }
            }
            dmean *= v_set(j->s / (float)imax(1, r.nref));
            for (int p = 0; j->dq.p && p < r.nref; p++) {
                float *dq = row(j->dq, r.ref0 + p) + c;
                v_storen(dq, v_loadn(dq, n) + dmean, n);
            }
        }
    }
}

static bool route_prepare(device *dev, route_job *j, int heads)
{
    j->s = 1.0f / ((float)heads * sqrtf((float)j->q.cols / (float)heads));
    j->mean = cpu_scratch(dev, CPU_TEMP, (size_t)j->y.rows * (size_t)j->q.cols);
    if (j->mean) pool_run(dev->threads, ceil_div(j->q.cols, ROUTE_COLS), route_mean_task, j);
    return j->mean;
}

static void k_routemap(device *dev, tensor y, tensor q, tensor k, const route *r, int heads)
{
    route_job j = {.y = y, .q = q, .k = k, .r = r};
    if (route_prepare(dev, &j, heads)) pool_run(dev->threads, y.rows, route_map_task, &j);
}

static void k_routemap_backward(device *dev, tensor dq, tensor dk, tensor dy, tensor q, tensor k, const route *r, int heads)
{
    route_job j = {.y = dy, .q = q, .k = k, .dq = dq, .dk = dk, .r = r};
    if (route_prepare(dev, &j, heads)) pool_run(dev->threads, ceil_div(q.cols, ROUTE_COLS), route_backward_task, &j);
}
#endif
