/* optimizer.c - the two passes over the parameters: the norm, then the update. */
#include "train/optimizer.h"

#include <math.h>

/* ---- the norm ---- */

typedef struct norm_job { const float *grad; double *partial; } norm_job;

enum { LANES = 8 }; /* independent sums, so that the loop can be vectorised without changing its meaning */

static void norm_chunk(void *arg, const param_chunk *c, int number)
{
    const norm_job *j = arg;
    const float *g = j->grad + c->at;
    double sum[LANES] = { 0 }, total = 0;
    size_t i = 0;
    for (; i + LANES <= c->count; i += LANES)
        for (int k = 0; k < LANES; k++) sum[k] += (double)g[i + (size_t)k] * g[i + (size_t)k];
    for (; i < c->count; i++) sum[0] += (double)g[i] * g[i];
    for (int k = 0; k < LANES; k++) total += sum[k];
    j->partial[number] = total;
}

double optimizer_norm(const params *p, pool *threads, double *partial)
{
    norm_job j = { p->grad, partial };
    double sum = 0;
    params_run(p, threads, norm_chunk, &j);
    for (int i = 0; i < p->nchunks; i++) sum += partial[i];
    return sqrt(sum);
}

/* ---- the update ---- */

typedef struct step_job {
    params *p;
    float scale;               /* on gradients: micro-batches and clipping */
    float beta1, beta2;
    float keep;                /* 1 - lr * decay, for matrices */
    float rate;                /* lr / (1 - beta1^t) */
    float root;                /* 1 / sqrt(1 - beta2^t) */
    float eps;
} step_job;

static void step_chunk(void *arg, const param_chunk *c, int number)
{
    const step_job *j = arg;
    (void)number;
    float *restrict x = j->p->value + c->at, *restrict g = j->p->grad + c->at;
    float *restrict m = j->p->m + c->at, *restrict v = j->p->v + c->at;
    float keep = j->p->slot[c->slot].decay ? j->keep : 1.0f;
    float b1 = j->beta1, b2 = j->beta2, a1 = 1 - j->beta1, a2 = 1 - j->beta2;
    float scale = j->scale, rate = j->rate, root = j->root, eps = j->eps;
    for (size_t i = 0; i < c->count; i++) {
        float d = g[i] * scale;
        m[i] = b1 * m[i] + a1 * d;
        v[i] = b2 * v[i] + a2 * d * d;
        x[i] = x[i] * keep - rate * m[i] / (sqrtf(v[i]) * root + eps);
        g[i] = 0;
    }
}

void optimizer_step(const adamw *o, params *p, pool *threads, int64_t step, double lr, double scale, double norm)
{
    double length = norm * scale, clip = o->clip > 0 && length > o->clip ? o->clip / (length + 1e-6) : 1;
    step_job j = {
        .p = p, .scale = (float)(scale * clip), .beta1 = (float)o->beta1, .beta2 = (float)o->beta2,
        .keep = (float)(1 - lr * o->decay),
        .rate = (float)(lr / (1 - pow(o->beta1, (double)step))), .root = (float)(1 / sqrt(1 - pow(o->beta2, (double)step))),
        .eps = (float)o->eps,
    };
    params_run(p, threads, step_chunk, &j);
}
