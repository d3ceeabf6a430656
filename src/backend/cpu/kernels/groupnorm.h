/* groupnorm.h - GroupNorm over the pixels of a picture and the channels of a group, then SiLU when asked.
 *
 * Pixels are cut into pieces (rows.h).  A piece sums every channel about its own first pixel, so that a mean far from zero
 * costs no digits; groups are put together in double. */
#ifndef CPU_KERNELS_GROUPNORM_H
#define CPU_KERNELS_GROUPNORM_H
#include "backend/cpu/kernels/elementwise.h"

typedef struct gn_job {
    tensor y, dy, x;    /* y is dx on the way back */
    const pieces *p;    /* sums: [2 channels] a piece */
    bool silu;
    const float *a, *b; /* y = f(a x + b): [pictures, channels] */
    const float *k, *u, *v; /* way back: dx += k dz + u x + v */
} gn_job;

/* The layout of a batch of pictures: one span each, in `spans` [g.n]. */
static layout gn_layout(grid g, span *spans)
{
    for (int i = 0; i < g.n; i++) spans[i] = (span){i * g.h * g.w, g.h * g.w, i};
    return (layout){g.n, g.n, spans};
}

static void gn_moments_task(void *arg, int task, int worker)
{
    const gn_job *j = arg;
    (void)worker;
    piece p = j->p->at[task];
    int n = j->x.cols;
    float *sum = j->p->sums + (size_t)task * (size_t)j->p->width, *square = sum + n;
    const float *first = row(j->x, p.row0);
    for (int c = 0; c < n; c += VL) {
        vf zero = v_loadn(first + c, n - c), s = v_zero(), q = v_zero();
        for (int r = p.row0 + 1; r < p.row1; r++) {
            vf d = v_loadn(row(j->x, r) + c, n - c) - zero;
            s += d;
            q = v_fma(d, d, q);
        }
        v_storen(sum + c, s, n - c);
        v_storen(square + c, q, n - c);
    }
}

static void gn_apply_task(void *arg, int task, int worker)
{
    const gn_job *j = arg;
    (void)worker;
    piece p = j->p->at[task];
    int n = j->x.cols;
    const float *a = j->a + (size_t)p.sample * (size_t)n, *b = j->b + (size_t)p.sample * (size_t)n;
    for (int r = p.row0; r < p.row1; r++) {
        const float *x = row(j->x, r);
        float *y = row(j->y, r);
        for (int c = 0; c < n; c += VL) {
            vf z = v_fma(v_loadn(x + c, n - c), v_loadn(a + c, n - c), v_loadn(b + c, n - c));
            if (j->silu) z *= v_sigmoid(z);
            v_storen(y + c, z, n - c);
        }
    }
}

/* mean and variance of every group from the pieces' sums (Chan's update), mean -> stats[2g], 1/std -> stats[2g + 1] */
static void gn_statistics(const pieces *p, tensor x, int picture, int groups, float eps, float *stats)
{
    int n = x.cols, each = n / groups;
    for (int g = 0; g < groups; g++) {
        double count = 0, mean = 0, m2 = 0;
        for (int i = 0; i < p->n; i++) {
            if (p->at[i].sample != picture) continue;
            const float *sum = p->sums + (size_t)i * (size_t)p->width, *square = sum + n, *first = row(x, p->at[i].row0);
            double rows = p->at[i].row1 - p->at[i].row0;
            for (int c = g * each; c < (g + 1) * each; c++) {
                double s = sum[c] / rows, d = (double)first[c] + s - mean, total = count + rows;
                m2 += (double)square[c] - s * sum[c] + d * d * count * rows / total;
                mean += d * rows / total;
                count = total;
            }
        }
        stats[2 * g] = (float)mean;
        stats[2 * g + 1] = (float)(1.0 / sqrt(m2 / count + (double)eps));
    }
}

/* a = rstd gain, b = bias - mean a for every channel of a picture */
static void gn_coefficients(const float *stats, int n, int groups, vec gain, vec bias, float *a, float *b)
{
    for (int c = 0; c < n; c++) {
        int g = c / (n / groups);
        a[c] = stats[2 * g + 1] * (gain.p ? gain.p[c] : 1.0f);
        b[c] = (bias.p ? bias.p[c] : 0.0f) - stats[2 * g] * a[c];
    }
}

/* Memory for the spans of n pictures, in numbers. */
static size_t gn_spans_room(int n) { return (sizeof(span) * (size_t)n + 63) / 64 * 16; }

static void k_groupstats(device *dev, tensor stats, tensor x, grid g, int groups, float eps)
{
    float *spans = cpu_scratch(dev, CPU_WORK, gn_spans_room(g.n));
    if (!spans) return;
    pieces p = pieces_cut(dev, gn_layout(g, (span *)spans), x.cols, 2 * x.cols);
    if (!p.at) return;
    gn_job j = {.x = x, .p = &p};
    pool_run(dev->threads, p.n, gn_moments_task, &j);
    for (int i = 0; i < g.n; i++) gn_statistics(&p, x, i, groups, eps, row(stats, i));
}

static void k_groupnorm(device *dev, tensor y, tensor x, grid g, int groups, vec gain, vec bias, bool silu, tensor stats)
{
    int n = x.cols;
    size_t spans_n = gn_spans_room(g.n), all = (size_t)n * (size_t)g.n;
    float *own = cpu_scratch(dev, CPU_WORK, spans_n + 2 * all);
    if (!own) return;
    float *a = own + spans_n, *b = a + all;
    pieces p = pieces_cut(dev, gn_layout(g, (span *)own), n, 0);
    if (!p.at) return;
    for (int i = 0; i < g.n; i++) gn_coefficients(row(stats, i), n, groups, gain, bias, a + (size_t)i * (size_t)n, b + (size_t)i * (size_t)n);
    gn_job j = {.y = y, .x = x, .p = &p, .silu = silu, .a = a, .b = b};
    pool_run(dev->threads, p.n, gn_apply_task, &j);
}

INLINE vf gn_dz(const gn_job *j, vf x, vf dy, vf a, vf b)
{
    if (j->silu) dy *= swish_slope(v_fma(x, a, b), v_set(1.0f));
    return dy;
}

/* sums of dz and dz x over the piece, a channel each */
static void gn_back_sums_task(void *arg, int task, int worker)
{
    const gn_job *j = arg;
    (void)worker;
    piece p = j->p->at[task];
    int n = j->x.cols;
    const float *a = j->a + (size_t)p.sample * (size_t)n, *b = j->b + (size_t)p.sample * (size_t)n;
    float *sum = j->p->sums + (size_t)task * (size_t)j->p->width, *sumx = sum + n;
    const float *first = row(j->x, p.row0);
    for (int c = 0; c < n; c += VL) {
        vf s = v_zero(), q = v_zero(), va = v_loadn(a + c, n - c), vb = v_loadn(b + c, n - c), zero = v_loadn(first + c, n - c);
        for (int r = p.row0; r < p.row1; r++) {
            vf x = v_loadn(row(j->x, r) + c, n - c), dz = gn_dz(j, x, v_loadn(row(j->dy, r) + c, n - c), va, vb);
            s += dz;
            q = v_fma(dz, x - zero, q);
        }
        v_storen(sum + c, s, n - c);
        v_storen(sumx + c, q, n - c);
    }
}

static void gn_back_apply_task(void *arg, int task, int worker)
{
    const gn_job *j = arg;
    (void)worker;
    piece p = j->p->at[task];
    int n = j->x.cols;
    size_t at = (size_t)p.sample * (size_t)n;
    for (int r = p.row0; r < p.row1; r++) {
        const float *x = row(j->x, r), *dy = row(j->dy, r);
        float *dx = row(j->y, r);
        for (int c = 0; c < n; c += VL) {
            vf vx = v_loadn(x + c, n - c);
            vf dz = gn_dz(j, vx, v_loadn(dy + c, n - c), v_loadn(j->a + at + c, n - c), v_loadn(j->b + at + c, n - c));
            vf d = v_fma(dz, v_loadn(j->k + at + c, n - c), v_fma(vx, v_loadn(j->u + at + c, n - c), v_loadn(j->v + at + c, n - c)));
            v_storen(dx + c, d + v_loadn(dx + c, n - c), n - c);
        }
    }
}

/* For one picture: gain and bias gradients, and dx = k dz + u x + v with
 * dx = rstd (gain dz - mean(gain dz) - xhat mean(gain dz xhat)), means over the group. */
static void gn_back_coefficients(const pieces *p, tensor x, int picture, int groups, const float *stats, vec gain, vec bias,
                                 float *k, float *u, float *v)
{
    int n = x.cols, each = n / groups;
    for (int g = 0; g < groups; g++) {
        double mean = stats[2 * g], rstd = stats[2 * g + 1], sg = 0, sgx = 0, count = 0;
        for (int c = g * each; c < (g + 1) * each; c++) {
            double s = 0, sx = 0, weight = gain.p ? gain.p[c] : 1.0;
            for (int i = 0; i < p->n; i++) {
                if (p->at[i].sample != picture) continue;
                const float *sum = p->sums + (size_t)i * (size_t)p->width, *first = row(x, p->at[i].row0);
                s += sum[c];
                sx += ((double)sum[n + c] + ((double)first[c] - mean) * sum[c]) * rstd; /* dz xhat */
                if (c == g * each) count += (double)(p->at[i].row1 - p->at[i].row0) * each;
            }
            if (gain.grad) gain.grad[c] += (float)sx;
            if (bias.grad) bias.grad[c] += (float)s;
            sg += weight * s;
            sgx += weight * sx;
        }
        for (int c = g * each; c < (g + 1) * each; c++) {
            k[c] = (float)(rstd * (gain.p ? gain.p[c] : 1.0f));
            u[c] = (float)(-rstd * rstd * sgx / count);
            v[c] = (float)(-rstd * sg / count + rstd * rstd * mean * sgx / count);
        }
    }
}

static void k_groupnorm_backward(device *dev, tensor dx, tensor dy, tensor x, grid g, int groups, vec gain, vec bias, float eps, bool silu, tensor stats)
{
    (void)eps;
    int n = x.cols;
    size_t spans_n = gn_spans_room(g.n), all = (size_t)n * (size_t)g.n;
    float *own = cpu_scratch(dev, CPU_WORK, spans_n + 5 * all);
    if (!own) return;
    float *a = own + spans_n, *b = a + all, *k = b + all, *u = k + all, *v = u + all;
    pieces p = pieces_cut(dev, gn_layout(g, (span *)own), n, 2 * n);
    if (!p.at) return;
    for (int i = 0; i < g.n; i++) gn_coefficients(row(stats, i), n, groups, gain, bias, a + (size_t)i * (size_t)n, b + (size_t)i * (size_t)n);
    gn_job j = {.y = dx, .dy = dy, .x = x, .p = &p, .silu = silu, .a = a, .b = b, .k = k, .u = u, .v = v};
    pool_run(dev->threads, p.n, gn_back_sums_task, &j);
    for (int i = 0; i < g.n; i++) {
        size_t at = (size_t)i * (size_t)n;
        gn_back_coefficients(&p, x, i, groups, row(stats, i), gain, bias, k + at, u + at, v + at);
    }
    if (dx.p) pool_run(dev->threads, p.n, gn_back_apply_task, &j);
}
#endif
