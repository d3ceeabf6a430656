/* loss.h - the autoencoder's sample and its KL term, mean squared error.  Sums over everything go piece by piece in
 * double. */
#ifndef CPU_KERNELS_LOSS_H
#define CPU_KERNELS_LOSS_H
#include "backend/cpu/kernels/elementwise.h"

/* log variance clamped to [-30, 20] (spec 2.4); outside, no gradient passes */
INLINE vf clamp_logvar(vf x) { return v_min(v_max(x, v_set(-30.0f)), v_set(20.0f)); }
INLINE float inside_logvar(float x) { return x >= -30.0f && x <= 20.0f ? 1.0f : 0.0f; }

/* t = {y, x, eps} */
static void gaussian_rows(const rows_job *j, int row0, int row1)
{
    int n = j->t[0].cols;
    for (int r = row0; r < row1; r++) {
        float *y = row(j->t[0], r);
        const float *mean = row(j->t[1], r), *logvar = mean + n, *e = row(j->t[2], r);
        for (int c = 0; c < n; c += VL) {
            vf std = v_exp(v_set(0.5f) * clamp_logvar(v_loadn(logvar + c, n - c)));
            v_storen(y + c, v_fma(std, v_loadn(e + c, n - c), v_loadn(mean + c, n - c)), n - c);
        }
    }
}

/* t = {dx, dy, x, eps} */
static void gaussian_back_rows(const rows_job *j, int row0, int row1)
{
    int n = j->t[1].cols;
    for (int r = row0; r < row1; r++) {
        float *dx = row(j->t[0], r);
        const float *dy = row(j->t[1], r), *logvar = row(j->t[2], r) + n, *e = row(j->t[3], r);
        for (int c = 0; c < n; c++) {
            dx[c] += dy[c];
            dx[n + c] += inside_logvar(logvar[c]) * dy[c] * e[c] * 0.5f * expf(0.5f * logvar[c]);
        }
    }
}

static void k_gaussian(device *dev, tensor y, tensor x, tensor eps)
{
    rows_run(dev, (rows_job){.fn = gaussian_rows, .t = {y, x, eps}}, y.rows, y.cols);
}

static void k_gaussian_backward(device *dev, tensor dx, tensor dy, tensor x, tensor eps)
{
    if (dx.p) rows_run(dev, (rows_job){.fn = gaussian_back_rows, .t = {dx, dy, x, eps}}, dy.rows, dy.cols);
}

static void k_kl(device *dev, tensor y, tensor x)
{
    (void)dev;
    int n = x.cols / 2;
    double sum = 0;
    for (int r = 0; r < x.rows; r++)
        for (int c = 0; c < n; c++) {
            double mean = row(x, r)[c], logvar = fmin(fmax(row(x, r)[n + c], -30.0), 20.0);
            sum += mean * mean + exp(logvar) - 1.0 - logvar;
        }
    *y.p = (float)(0.5 * sum / ((double)x.rows * n));
}

/* t = {dx, x}, s = dy / count */
static void kl_back_rows(const rows_job *j, int row0, int row1)
{
    int n = j->t[1].cols / 2;
    for (int r = row0; r < row1; r++) {
        float *dx = row(j->t[0], r);
        const float *x = row(j->t[1], r);
        for (int c = 0; c < n; c++) {
            dx[c] += j->s * x[c];
            dx[n + c] += j->s * 0.5f * inside_logvar(x[n + c]) * (expf(fminf(x[n + c], 20.0f)) - 1.0f);
        }
    }
}

static void k_kl_backward(device *dev, tensor dx, tensor dy, tensor x)
{
    float s = *dy.p / ((float)x.rows * (float)(x.cols / 2));
    if (dx.p) rows_run(dev, (rows_job){.fn = kl_back_rows, .t = {dx, x}, .s = s}, x.rows, x.cols);
}

typedef struct mse_job { tensor a, b; const float *weight; const pieces *p; } mse_job;

static void mse_task(void *arg, int task, int worker)
{
    const mse_job *j = arg;
    (void)worker;
    double sum = 0;
    int n = j->a.cols;
    for (int r = j->p->at[task].row0; r < j->p->at[task].row1; r++) {
        const float *a = row(j->a, r), *b = row(j->b, r);
        vf s = v_zero();
        for (int c = 0; c < n; c += VL) {
            vf d = v_loadn(a + c, n - c) - v_loadn(b + c, n - c);
            s = v_fma(d, d, s);
        }
        sum += (double)v_sum(s) * (j->weight ? (double)j->weight[r] : 1.0);
    }
    memcpy(j->p->sums + (size_t)task * 2, &sum, sizeof sum);
}

static void k_mse(device *dev, tensor y, tensor a, tensor b, const float *row_weight)
{
    span all = {0, a.rows, 0};
    pieces p = pieces_cut(dev, layout_whole(&all), a.cols, sizeof(double) / sizeof(float));
    mse_job j = {a, b, row_weight, &p};
    if (!p.at) return;
    pool_run(dev->threads, p.n, mse_task, &j);
    double sum = 0;
    for (int i = 0; i < p.n; i++) {
        double part;
        memcpy(&part, p.sums + (size_t)i * 2, sizeof part);
        sum += part;
    }
    *y.p = (float)(sum / ((double)a.rows * a.cols));
}

/* t = {da, a, b}, s = 2 dy / count */
static void mse_back_rows(const rows_job *j, int row0, int row1)
{
    const float *weight = j->extra;
    int n = j->t[0].cols;
    for (int r = row0; r < row1; r++) {
        float *da = row(j->t[0], r);
        const float *a = row(j->t[1], r), *b = row(j->t[2], r);
        vf s = v_set(weight ? weight[r] * j->s : j->s);
        for (int c = 0; c < n; c += VL)
            v_storen(da + c, v_fma(v_loadn(a + c, n - c) - v_loadn(b + c, n - c), s, v_loadn(da + c, n - c)), n - c);
    }
}

static void k_mse_backward(device *dev, tensor da, tensor dy, tensor a, tensor b, const float *row_weight)
{
    float s = 2.0f * *dy.p / ((float)a.rows * (float)a.cols);
    if (da.p) rows_run(dev, (rows_job){.fn = mse_back_rows, .t = {da, a, b}, .s = s, .extra = row_weight}, a.rows, a.cols);
}
#endif
