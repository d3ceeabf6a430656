/* norm.h - normalisations over the channels of a row: adaln and layernorm (one piece of code), qknorm and rmsnorm
 * (one piece of code), and gateadd, which sums over a sample's rows in the same way. */
#ifndef CPU_KERNELS_NORM_H
#define CPU_KERNELS_NORM_H
#include "backend/cpu/kernels/rows.h"

/* ---- LayerNorm: y = xhat (one + scale) + shift, scale and shift a row a sample ---- */

typedef struct ln_job {
    tensor y, dy, x, scale, shift; /* y is dx on the way back */
    float one, eps;                /* 1 for adaln, 0 when scale is a gain */
    const pieces *p;
} ln_job;

INLINE void ln_stats(const float *x, int n, float eps, float *mean, float *rstd)
{
    vf s = v_zero();
    for (int c = 0; c < n; c += VL) s += v_loadn(x + c, n - c);
    *mean = v_sum(s) / (float)n;
    vf m = v_set(*mean), q = v_zero();
    for (int c = 0; c < n; c += VL) {
        vf d = v_keep(v_loadn(x + c, n - c) - m, n - c, 0.0f);
        q = v_fma(d, d, q);
    }
    *rstd = 1.0f / sqrtf(v_sum(q) / (float)n + eps);
}

INLINE vf ln_factor(const ln_job *j, const float *scale, int c, int n)
{
    vf f = v_set(j->one);
    if (scale) f += v_loadn(scale + c, n - c);
    return f;
}

static void ln_task(void *arg, int task, int worker)
{
    const ln_job *j = arg;
    (void)worker;
    piece p = j->p->at[task];
    const float *scale = j->scale.p ? row(j->scale, p.sample) : NULL, *shift = j->shift.p ? row(j->shift, p.sample) : NULL;
    int n = j->x.cols;
    for (int r = p.row0; r < p.row1; r++) {
        const float *x = row(j->x, r);
        float *y = row(j->y, r), mean, rstd;
        ln_stats(x, n, j->eps, &mean, &rstd);
        vf k = v_set(rstd), m = v_set(mean);
        for (int c = 0; c < n; c += VL) {
            vf v = (v_loadn(x + c, n - c) - m) * k * ln_factor(j, scale, c, n);
            if (shift) v += v_loadn(shift + c, n - c);
            v_storen(y + c, v, n - c);
        }
    }
}

/* With g = dy (one + scale): dx += rstd (g - mean(g) - xhat mean(g xhat)).  sums: [dscale | dshift]. */
static void ln_backward_task(void *arg, int task, int worker)
{
    const ln_job *j = arg;
    (void)worker;
    piece p = j->p->at[task];
    const float *scale = j->scale.p ? row(j->scale, p.sample) : NULL;
    int n = j->x.cols, width = j->p->width;
    float *dscale = width ? j->p->sums + (size_t)task * (size_t)width : NULL, *dshift = dscale ? dscale + n : NULL;
    if (dscale) memset(dscale, 0, sizeof(float) * (size_t)width);
    for (int r = p.row0; r < p.row1; r++) {
        const float *x = row(j->x, r), *dy = row(j->dy, r);
        float mean, rstd;
        ln_stats(x, n, j->eps, &mean, &rstd);
        vf k = v_set(rstd), m = v_set(mean), sg = v_zero(), sgx = v_zero();
        for (int c = 0; c < n; c += VL) {
            vf d = v_loadn(dy + c, n - c), xhat = (v_loadn(x + c, n - c) - m) * k, g = d * ln_factor(j, scale, c, n);
            sg += g;
            sgx = v_fma(g, xhat, sgx);
            if (dscale) {
                v_storen(dscale + c, v_fma(d, xhat, v_loadn(dscale + c, n - c)), n - c);
                v_storen(dshift + c, d + v_loadn(dshift + c, n - c), n - c);
            }
        }
        if (!j->y.p) continue;
        float *dx = row(j->y, r);
        vf mg = v_set(v_sum(sg) / (float)n), mgx = v_set(v_sum(sgx) / (float)n);
        for (int c = 0; c < n; c += VL) {
            vf xhat = (v_loadn(x + c, n - c) - m) * k, g = v_loadn(dy + c, n - c) * ln_factor(j, scale, c, n);
            v_storen(dx + c, v_fma(g - mg - xhat * mgx, k, v_loadn(dx + c, n - c)), n - c);
        }
    }
}

static void ln_run(device *dev, ln_job j, layout l)
{
    pieces p = pieces_cut(dev, l, j.x.cols, 0);
    if (!p.at) return;
    j.p = &p;
    pool_run(dev->threads, p.n, ln_task, &j);
}

static void ln_run_backward(device *dev, ln_job j, layout l, tensor dscale, tensor dshift)
{
    int n = j.x.cols;
    pieces p = pieces_cut(dev, l, n, dscale.p || dshift.p ? 2 * n : 0);
    if (!p.at) return;
    j.p = &p;
    pool_run(dev->threads, p.n, ln_backward_task, &j);
    pieces_add(&p, 0, n, dscale.p, (size_t)dscale.ld);
    pieces_add(&p, n, n, dshift.p, (size_t)dshift.ld);
}

static void k_adaln(device *dev, tensor y, tensor x, modulation m, layout l, float eps)
{
    ln_run(dev, (ln_job){.y = y, .x = x, .scale = m.scale, .shift = m.shift, .one = 1, .eps = eps}, l);
}

static void k_adaln_backward(device *dev, tensor dx, modulation dm, tensor dy, tensor x, modulation m, layout l, float eps)
{
    ln_run_backward(dev, (ln_job){.y = dx, .dy = dy, .x = x, .scale = m.scale, .one = 1, .eps = eps}, l, dm.scale, dm.shift);
}

static tensor as_row(const float *p, int n) { return (tensor){.p = (float *)p, .rows = 1, .cols = n, .ld = n}; }

static void k_layernorm(device *dev, tensor y, tensor x, vec gain, vec bias, float eps)
{
    span all = {0, x.rows, 0};
    ln_run(dev, (ln_job){.y = y, .x = x, .scale = as_row(gain.p, x.cols), .shift = as_row(bias.p, x.cols), .one = gain.p ? 0 : 1, .eps = eps},
           layout_whole(&all));
}

static void k_layernorm_backward(device *dev, tensor dx, tensor dy, tensor x, vec gain, vec bias, float eps)
{
    span all = {0, x.rows, 0};
    ln_run_backward(dev, (ln_job){.y = dx, .dy = dy, .x = x, .scale = as_row(gain.p, x.cols), .one = gain.p ? 0 : 1, .eps = eps},
                    layout_whole(&all), as_row(gain.grad, x.cols), as_row(bias.grad, x.cols));
}

/* ---- gateadd: y = x + gate * d ---- */

typedef struct gate_job {
    tensor y, x, gate, d;      /* forward */
    tensor dx, dd, dy;         /* backward */
    const pieces *p;
} gate_job;

static void gate_task(void *arg, int task, int worker)
{
    const gate_job *j = arg;
    (void)worker;
    piece p = j->p->at[task];
    const float *g = row(j->gate, p.sample);
    int n = j->y.cols;
    for (int r = p.row0; r < p.row1; r++) {
        const float *x = row(j->x, r), *d = row(j->d, r);
        float *y = row(j->y, r);
        for (int c = 0; c < n; c += VL)
            v_storen(y + c, v_fma(v_loadn(g + c, n - c), v_loadn(d + c, n - c), v_loadn(x + c, n - c)), n - c);
    }
}

static void gate_backward_task(void *arg, int task, int worker)
{
    const gate_job *j = arg;
    (void)worker;
    piece p = j->p->at[task];
    const float *g = row(j->gate, p.sample);
    int n = j->dy.cols;
    float *sum = j->p->width ? j->p->sums + (size_t)task * (size_t)n : NULL;
    if (sum) memset(sum, 0, sizeof(float) * (size_t)n);
    for (int r = p.row0; r < p.row1; r++) {
        const float *dy = row(j->dy, r), *d = row(j->d, r);
        float *dx = j->dx.p ? row(j->dx, r) : NULL, *dd = j->dd.p ? row(j->dd, r) : NULL;
        for (int c = 0; c < n; c += VL) {
            vf v = v_loadn(dy + c, n - c);
            if (sum) v_storen(sum + c, v_fma(v, v_loadn(d + c, n - c), v_loadn(sum + c, n - c)), n - c);
            if (dx) v_storen(dx + c, v_loadn(dx + c, n - c) + v, n - c);
            if (dd) v_storen(dd + c, v_fma(v, v_loadn(g + c, n - c), v_loadn(dd + c, n - c)), n - c);
        }
    }
}

static void k_gateadd(device *dev, tensor y, tensor x, tensor gate, tensor d, layout l)
{
    pieces p = pieces_cut(dev, l, y.cols, 0);
    gate_job j = {.y = y, .x = x, .gate = gate, .d = d, .p = &p};
    if (p.at) pool_run(dev->threads, p.n, gate_task, &j);
}

static void k_gateadd_backward(device *dev, tensor dx, tensor dgate, tensor dd, tensor dy, tensor gate, tensor d, layout l)
{
    pieces p = pieces_cut(dev, l, dy.cols, dgate.p ? dy.cols : 0);
    gate_job j = {.dx = dx, .dd = dd, .dy = dy, .gate = gate, .d = d, .p = &p};
    if (!p.at) return;
    pool_run(dev->threads, p.n, gate_backward_task, &j);
    pieces_add(&p, 0, dy.cols, dgate.p, (size_t)dgate.ld);
}

/* ---- RMSNorm of each head with gain [n], then rotary on adjacent pairs ---- */

typedef struct rms_job {
    tensor y, dy, x; /* y is dx on the way back */
    vec gain;
    rope pe;
    float eps;
    const pieces *p;
} rms_job;

INLINE float rms_scale(const float *x, int n, float eps)
{
    vf q = v_zero();
    for (int c = 0; c < n; c += VL) {
        vf v = v_loadn(x + c, n - c);
        q = v_fma(v, v, q);
    }
    return 1.0f / sqrtf(v_sum(q) / (float)n + eps);
}

/* -1 +1 -1 +1 ...: (a, b) -> (a cos - b sin, b cos + a sin) is x cos + swap(x) sin * this */
INLINE vf rope_sign(void)
{
    float s[VL];
    for (int i = 0; i < VL; i++) s[i] = i % 2 ? 1.0f : -1.0f;
    return v_load(s);
}

static void rms_task(void *arg, int task, int worker)
{
    const rms_job *j = arg;
    (void)worker;
    piece p = j->p->at[task];
    int n = j->gain.n, heads = j->x.cols / n;
    vf sign = rope_sign();
    for (int r = p.row0; r < p.row1; r++) {
        const float *cosine = j->pe.cos ? j->pe.cos + (size_t)r * (size_t)j->pe.dim : NULL;
        const float *sine = j->pe.cos ? j->pe.sin + (size_t)r * (size_t)j->pe.dim : NULL;
        for (int h = 0; h < heads; h++) {
            const float *x = row(j->x, r) + h * n;
            float *y = row(j->y, r) + h * n;
            vf k = v_set(rms_scale(x, n, j->eps));
            for (int c = 0; c < n; c += VL) {
                vf v = v_loadn(x + c, n - c) * k;
                if (j->gain.p) v *= v_loadn(j->gain.p + c, n - c);
                if (cosine) v = v * v_loaddup(cosine + c / 2, n - c) + v_swap(v) * sign * v_loaddup(sine + c / 2, n - c);
                v_storen(y + c, v, n - c);
            }
        }
    }
}

/* g = R^T dy gain; dx += k (g - x k^2 mean(g x)); dgain += R^T dy x k. */
static void rms_backward_task(void *arg, int task, int worker)
{
    const rms_job *j = arg;
    (void)worker;
    piece p = j->p->at[task];
    int n = j->gain.n, heads = j->x.cols / n;
    float *dgain = j->p->width ? j->p->sums + (size_t)task * (size_t)n : NULL;
    if (dgain) memset(dgain, 0, sizeof(float) * (size_t)n);
    vf sign = rope_sign();
    for (int r = p.row0; r < p.row1; r++) {
        const float *cosine = j->pe.cos ? j->pe.cos + (size_t)r * (size_t)j->pe.dim : NULL;
        const float *sine = j->pe.cos ? j->pe.sin + (size_t)r * (size_t)j->pe.dim : NULL;
        for (int h = 0; h < heads; h++) {
            const float *x = row(j->x, r) + h * n, *dy = row(j->dy, r) + h * n;
            float scale = rms_scale(x, n, j->eps);
            vf k = v_set(scale), dot = v_zero(), factor = v_zero();
            for (int pass = 0; pass < (j->y.p ? 2 : 1); pass++) { /* first mean(g x) and dgain, then dx */
                float *dx = pass ? row(j->y, r) + h * n : NULL;
                for (int c = 0; c < n; c += VL) {
                    vf v = v_loadn(dy + c, n - c), u = v_loadn(x + c, n - c);
                    if (cosine) v = v * v_loaddup(cosine + c / 2, n - c) - v_swap(v) * sign * v_loaddup(sine + c / 2, n - c);
                    if (!pass && dgain) v_storen(dgain + c, v_fma(v, u * k, v_loadn(dgain + c, n - c)), n - c);
                    if (j->gain.p) v *= v_loadn(j->gain.p + c, n - c);
                    if (pass) v_storen(dx + c, v_fma(v - u * factor, k, v_loadn(dx + c, n - c)), n - c);
                    else dot = v_fma(v, u, dot);
                }
                if (!pass) factor = v_set(v_sum(dot) / (float)n * scale * scale);
            }
        }
    }
}

static void k_qknorm(device *dev, tensor y, tensor x, vec gain, rope pe, float eps)
{
    span all = {0, x.rows, 0};
    pieces p = pieces_cut(dev, layout_whole(&all), x.cols, 0);
    rms_job j = {.y = y, .x = x, .gain = gain, .pe = pe, .eps = eps, .p = &p};
    if (p.at) pool_run(dev->threads, p.n, rms_task, &j);
}

static void k_qknorm_backward(device *dev, tensor dx, tensor dy, tensor x, vec gain, rope pe, float eps)
{
    span all = {0, x.rows, 0};
    pieces p = pieces_cut(dev, layout_whole(&all), x.cols, gain.grad ? gain.n : 0);
    rms_job j = {.y = dx, .dy = dy, .x = x, .gain = gain, .pe = pe, .eps = eps, .p = &p};
    if (!p.at) return;
    pool_run(dev->threads, p.n, rms_backward_task, &j);
    pieces_add(&p, 0, gain.n, gain.grad, 0);
}

static void k_rmsnorm(device *dev, tensor y, tensor x, vec gain, float eps)
{
    k_qknorm(dev, y, x, (vec){x.cols, gain.p, gain.grad}, (rope){0}, eps);
}

static void k_rmsnorm_backward(device *dev, tensor dx, tensor dy, tensor x, vec gain, float eps)
{
    k_qknorm_backward(dev, dx, dy, x, (vec){x.cols, gain.p, gain.grad}, (rope){0}, eps);
}
#endif
