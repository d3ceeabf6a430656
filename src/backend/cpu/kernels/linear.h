/* linear.h - linear layers with stacked parts and adapters, and embedding tables. */
#ifndef CPU_KERNELS_LINEAR_H
#define CPU_KERNELS_LINEAR_H
#include "backend/cpu/kernels/gemm.h"
#include "backend/cpu/kernels/gemm_int8.h"
#include "backend/cpu/kernels/rows.h"

static tensor cols_of(tensor x, int col0, int cols)
{
    if (x.p) x.p += col0;
    x.cols = cols;
    return x;
}

/* Where a device that may round is fastest in bf16, whatever the weights. */
static bool linear_in_bf16(const device *dev, tensor x)
{
    const cpu_bf16 *bf16 = ((const cpu_state *)dev->state)->bf16;
    return dev->fast && x.rows >= FAST_ROWS && bf16 && bf16->beats_ints;
}

/* x in 8 bits when the device may and a part is multiplied in integers; else q is NULL. */
static quantised linear_quantise(device *dev, tensor x, const weight *w)
{
    if (linear_in_bf16(dev, x)) return (quantised){0};
    for (int i = 0; dev->fast && x.rows >= FAST_ROWS && i < w->nparts; i++)
        if (int8_takes(&w->part[i])) return quantise(dev, x);
    return (quantised){0};
}

/* In bf16 where the device is asked for that. */
static void product(device *dev, gemm g)
{
    const cpu_bf16 *bf16 = ((const cpu_state *)dev->state)->bf16;
    g.rounded |= dev->bf16;
    if (g.rounded && bf16) bf16->product(dev, &g);
    else gemm_run(dev, g);
}

/* y[:, part] = x W_part^T + bias;  y[:, adapter] += scale (x A^T) B^T, x A^T being kept in `low`. */
static void k_linear(device *dev, tensor y, tensor x, const weight *w, tensor low)
{
    const quantised in_ints = linear_quantise(dev, x, w);
    bool rounded = linear_in_bf16(dev, x);
    for (int i = 0, at = 0; i < w->nparts; at += w->part[i++].rows) {
        const weight_part *p = &w->part[i];
        if (in_ints.q && int8_takes(p)) gemm_int8(dev, &in_ints, p, y.p + at, y.ld);
        else product(dev, (gemm){.M = x.rows, .N = p->rows, .K = w->in, .a = x.p, .lda = (size_t)x.ld, .b = p->data, .ldb = (size_t)w->in,
                             .b_type = p->type, .b_rows = true, .b_scale = p->row_scale, .c = y.p + at, .ldc = (size_t)y.ld, .bias = p->bias, .rounded = rounded});
    }
    int at = 0;
    for (const adapter *a = w->adapters; a; at += a->rank, a = a->next) {
        product(dev, (gemm){.M = x.rows, .N = a->rank, .K = w->in, .a = x.p, .lda = (size_t)x.ld, .b = a->A, .ldb = (size_t)w->in,
                             .b_type = DT_F32, .b_rows = true, .c = low.p + at, .ldc = (size_t)low.ld, .rounded = rounded});
        product(dev, (gemm){.M = x.rows, .N = a->rows, .K = a->rank, .a = low.p + at, .lda = (size_t)low.ld, .a_scale = a->scale,
                             .b = a->B, .ldb = (size_t)a->rank, .b_type = DT_F32, .b_rows = true,
                             .c = y.p + a->row0, .ldc = (size_t)y.ld, .add = true, .rounded = rounded});
    }
}

/* grad[out,in] += scale dy^T x */
static void weight_gradient(device *dev, float *grad, tensor dy, tensor x, float scale)
{
    if (grad)
        product(dev, (gemm){.M = dy.cols, .N = x.cols, .K = x.rows, .a = dy.p, .lda = (size_t)dy.ld, .a_cols = true, .a_scale = scale,
                             .b = x.p, .ldb = (size_t)x.ld, .b_type = DT_F32, .c = grad, .ldc = (size_t)x.cols, .add = true});
}

static void adapter_backward(device *dev, const adapter *a, tensor dx, tensor dy, tensor x, tensor low)
{
    tensor dlow = {.rows = dy.rows, .cols = a->rank, .ld = round_up(a->rank, VL)}; /* scale dy B */
    weight_gradient(dev, a->grad_B, dy, low, a->scale);
    if (!dx.p && !a->grad_A) return;
    dlow.p = cpu_scratch(dev, CPU_TEMP, (size_t)dlow.rows * (size_t)dlow.ld);
    if (!dlow.p) return;
    product(dev, (gemm){.M = dy.rows, .N = a->rank, .K = a->rows, .a = dy.p, .lda = (size_t)dy.ld, .a_scale = a->scale,
                         .b = a->B, .ldb = (size_t)a->rank, .b_type = DT_F32, .c = dlow.p, .ldc = (size_t)dlow.ld});
    weight_gradient(dev, a->grad_A, dlow, x, 1);
    if (dx.p)
        product(dev, (gemm){.M = dy.rows, .N = x.cols, .K = a->rank, .a = dlow.p, .lda = (size_t)dlow.ld, .b = a->A, .ldb = (size_t)x.cols,
                             .b_type = DT_F32, .c = dx.p, .ldc = (size_t)dx.ld, .add = true});
}

static void k_linear_backward(device *dev, tensor dx, tensor dy, tensor x, const weight *w, tensor low)
{
    for (int i = 0, at = 0; i < w->nparts; at += w->part[i++].rows) {
        const weight_part *p = &w->part[i];
        tensor d = cols_of(dy, at, p->rows);
        if (dx.p)
            product(dev, (gemm){.M = dy.rows, .N = w->in, .K = p->rows, .a = d.p, .lda = (size_t)d.ld, .b = p->data, .ldb = (size_t)w->in,
                                 .b_type = p->type, .b_scale = p->row_scale, .c = dx.p, .ldc = (size_t)dx.ld, .add = true});
        weight_gradient(dev, p->grad, d, x, 1);
        if (p->grad_bias) colsum_add(dev, p->grad_bias, d);
    }
    int at = 0;
    for (const adapter *a = w->adapters; a; at += a->rank, a = a->next)
        adapter_backward(dev, a, dx, cols_of(dy, a->row0, a->rows), x, cols_of(low, at, a->rank));
}

/* What lies below the diagonal to above it, a tile at a time: a line of the cache is used while it is there. */
static void mirror_task(void *arg, int task, int worker)
{
    const tensor *y = arg;
    (void)worker;
    for (int r0 = 0, c0 = task * VL; r0 <= c0; r0 += VL)
        for (int i = r0; i < imin(r0 + VL, y->rows); i++)
            for (int j = imax(c0, i + 1); j < imin(c0 + VL, y->rows); j++) row(*y, i)[j] = row(*y, j)[i];
}

static void k_symmetric(device *dev, tensor y, tensor x, tensor w)
{
    product(dev, (gemm){.M = x.rows, .N = w.rows, .K = x.cols, .a = x.p, .lda = (size_t)x.ld, .b = w.p, .ldb = (size_t)w.ld, .b_type = DT_F32, .b_rows = true,
                        .c = y.p, .ldc = (size_t)y.ld, .lower = true});
    pool_run(dev->threads, ceil_div(y.rows, VL), mirror_task, &y);
}

/* The part that holds row id of the stacked table; id becomes the row within it. */
static const weight_part *part_of(const weight *w, int *id)
{
    for (int i = 0; i < w->nparts; i++) {
        if (*id < w->part[i].rows) return &w->part[i];
        *id -= w->part[i].rows;
    }
    return NULL;
}

static void k_embed(device *dev, tensor y, const int32_t *ids, const weight *w)
{
    (void)dev;
    for (int i = 0; i < y.rows; i++) {
        int id = ids[i];
        const weight_part *p = id < 0 ? NULL : part_of(w, &id);
        float *out = row(y, i);
        if (!p) memset(out, 0, sizeof(float) * (size_t)y.cols);
        else decode_row(p->type, (const char *)p->data + (size_t)id * dtype_nbytes_of(p->type, (size_t)w->in), 0, w->in, p->row_scale ? p->row_scale + id : NULL, out);
    }
}

typedef struct embed_job { tensor dy; const int32_t *ids; const weight *w; } embed_job;

static void embed_backward_task(void *arg, int task, int worker) /* one task a block of columns: ids may repeat */
{
    const embed_job *j = arg;
    (void)worker;
    int c0 = task * 64, n = imin(64, j->dy.cols - c0);
    for (int i = 0; i < j->dy.rows; i++) {
        int id = j->ids[i];
        const weight_part *p = id < 0 ? NULL : part_of(j->w, &id);
        if (!p || !p->grad) continue;
        float *g = p->grad + (size_t)id * (size_t)j->w->in + c0;
        const float *d = row(j->dy, i) + c0;
        for (int c = 0; c < n; c += VL) v_storen(g + c, v_loadn(g + c, n - c) + v_loadn(d + c, n - c), n - c);
    }
}

static void k_embed_backward(device *dev, tensor dy, const int32_t *ids, const weight *w)
{
    embed_job j = {dy, ids, w};
    pool_run(dev->threads, ceil_div(dy.cols, 64), embed_backward_task, &j);
}
#endif
