/* windows.h - attention within Swin's windows.
 *
 * A task is one window of one picture.  A head at a time, its q, k (transposed) and v are copied beside each other, pixels that fill the window up
 * among them; scores, softmax and the sum over v are then products of small dense matrices.  Queries that fill up are computed and dropped. */
#ifndef CPU_KERNELS_WINDOWS_H
#define CPU_KERNELS_WINDOWS_H
#include "backend/cpu/kernels/attention.h"

typedef struct win_job {
    tensor y, qkv;
    grid g;
    swin m;
    const float *fill;
    int down, across, tokens, pad, dim, wide; /* pad, wide: tokens and head dim rounded up to NR */
    const float *bias;                        /* [heads][tokens][pad] */
    float *work;
    size_t work_each;
} win_job;

/* The window's tokens: pixel of the whole tensor or -1, and the label that says who were neighbours.  False: all have the same. */
static bool win_places(const win_job *j, int task, int *pixel, int *label)
{
    int side = j->m.side, shift = j->m.shift, nh = j->down * side, nw = j->across * side, n = task / (j->down * j->across);
    int wy = task / j->across % j->down * side, wx = task % j->across * side;
    bool differ = false;
    for (int i = 0; i < j->tokens; i++) {
        int r = wy + i / side, c = wx + i % side, lr = r < nh - side ? 0 : r < nh - shift ? 1 : 2, lc = c < nw - side ? 0 : c < nw - shift ? 1 : 2;
        label[i] = 3 * lr + lc;
        differ = differ || label[i] != label[0];
        r = (r + shift) % nh;
        c = (c + shift) % nw;
        pixel[i] = r < j->g.h && c < j->g.w ? (n * j->g.h + r) * j->g.w + c : -1;
    }
    return shift && differ;
}

/* scores -> e^(score - max); the sum of each row. */
static void win_softmax(const win_job *j, float *s, const float *bias, const float *mask, float *sum)
{
    int n = j->tokens;
    for (int i = 0; i < n; i++, s += j->pad, bias += j->pad) {
        vf top = v_set(-INFINITY), total = v_zero();
        for (int c = 0; c < n; c += VL) {
            vf x = v_load(s + c) + v_load(bias + c);
            if (mask) x += v_load(mask + i * j->pad + c);
            x = v_keep(x, n - c, -INFINITY);
            v_store(s + c, x);
            top = v_max(top, x);
        }
        vf most = v_set(v_hmax(top));
        for (int c = 0; c < n; c += VL) {
            vf e = v_keep(v_exp(v_load(s + c) - most), n - c, 0.0f);
            v_store(s + c, e);
            total += e;
        }
        sum[i] = v_sum(total);
    }
}

static void win_task(void *arg, int task, int worker)
{
    const win_job *j = arg;
    int n = j->tokens, pad = j->pad, dim = j->dim, wide = j->wide, C = j->y.cols;
    float *q = j->work + (size_t)worker * j->work_each, *kt = q + n * dim, *v = kt + dim * pad, *s = v + n * wide, *out = s + n * pad, *mask = out + n * wide;
    float *sum = mask + n * pad;
    int *pixel = (int *)(sum + n), *label = pixel + n;
    bool masked = win_places(j, task, pixel, label);
    float scale = 1.0f / sqrtf((float)dim);
    for (int i = 0; masked && i < n; i++)
        for (int k = 0; k < n; k++) mask[i * pad + k] = label[i] == label[k] ? 0.0f : -100.0f;
    for (int h = 0; h < j->m.heads; h++) {
        for (int i = 0; i < n; i++) {
            const float *from = (pixel[i] < 0 ? j->fill : row(j->qkv, pixel[i])) + h * dim;
            for (int c = 0; c < dim; c++) q[i * dim + c] = from[c] * scale;
            for (int c = 0; c < dim; c++) kt[c * pad + i] = from[C + c];
            memcpy(v + i * wide, from + 2 * C, sizeof(float) * (size_t)dim);
        }
        for (int c = 0; c < n; c += NR) {
            tile t = {.a = q, .lda = dim, .b = kt + c, .ldb = pad, .segments = 1, .k = dim, .c = s + c, .ldc = pad};
            micro_strip(t, n, n - c > VL ? NR : VL, false);
        }
        win_softmax(j, s, j->bias + (size_t)h * (size_t)(n * pad), masked ? mask : NULL, sum);
        for (int c = 0; c < dim; c += NR) {
            tile t = {.a = s, .lda = pad, .b = v + c, .ldb = wide, .segments = 1, .k = n, .c = out + c, .ldc = wide};
            micro_strip(t, n, dim - c > VL ? NR : VL, false);
        }
        for (int i = 0; i < n; i++) {
            if (pixel[i] < 0) continue;
            float *y = row(j->y, pixel[i]) + h * dim;
            vf inv = v_set(1.0f / sum[i]);
            for (int c = 0; c < dim; c += VL) v_storen(y + c, v_load(out + i * wide + c) * inv, dim - c);
        }
    }
}

static void k_windowattention(device *dev, tensor y, tensor qkv, grid g, swin m, vec fill, vec table)
{
    int side = m.side, n = side * side, span_n = 2 * side - 1;
    win_job j = {.y = y, .qkv = qkv, .g = g, .m = m, .fill = fill.p, .down = ceil_div(g.h, side), .across = ceil_div(g.w, side), .tokens = n,
                 .pad = round_up(n, NR), .dim = y.cols / m.heads, .wide = round_up(y.cols / m.heads, NR)};
    size_t bias = (size_t)m.heads * (size_t)(n * j.pad);
    float *to = cpu_scratch(dev, CPU_TEMP, bias);
    j.work_each = (size_t)round_up(n * j.dim + j.dim * j.pad + 2 * n * j.wide + 2 * n * j.pad + 3 * n + NR, 16);
    j.work = cpu_scratch(dev, CPU_WORK, j.work_each * (size_t)cpu_threads(dev));
    if (!to || !j.work) return;
    memset(j.work, 0, sizeof(float) * j.work_each * (size_t)cpu_threads(dev)); /* what lies beyond the tokens is multiplied, too */
    j.bias = to;
    memset(to, 0, sizeof(float) * bias);
    for (int h = 0; h < m.heads; h++)
        for (int q = 0; q < n; q++, to += j.pad)
            for (int k = 0; k < n; k++)
                to[k] = table.p[((q / side - k / side + side - 1) * span_n + q % side - k % side + side - 1) * m.heads + h];
    pool_run(dev->threads, g.n * j.down * j.across, win_task, &j);
}
#endif
