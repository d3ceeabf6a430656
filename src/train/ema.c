/* ema.c - the running average. */
#include "train/ema.h"

#include <string.h>

void ema_start(params *p) { memcpy(p->ema, p->value, p->count * sizeof(float)); }

double ema_decay(double decay, int64_t step)
{
    double warm = (1.0 + (double)step) / (10.0 + (double)step);
    return warm < decay ? warm : decay;
}

typedef struct ema_job { params *p; float take; } ema_job;

static void ema_chunk(void *arg, const param_chunk *c, int number)
{
    const ema_job *j = arg;
    float *restrict e = j->p->ema + c->at;
    const float *restrict x = j->p->value + c->at;
    (void)number;
    for (size_t i = 0; i < c->count; i++) e[i] += j->take * (x[i] - e[i]);
}

void ema_update(params *p, pool *threads, double d)
{
    ema_job j = { p, (float)(1 - d) };
    params_run(p, threads, ema_chunk, &j);
}
