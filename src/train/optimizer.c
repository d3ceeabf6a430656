/* optimizer.c - the two passes over the parameters: the norm, then the update. */
#include "train/optimizer.h"

#include <math.h>

#include "base/mem.h"
#include "train/moments8.h"
#include "train/muon.h"

typedef enum rule { RULE_ADAMW, RULE_ADAMW8, RULE_MUON } rule;

/* Where a slot's moments lie; the arrays belong to p->state. */
typedef struct memory {
    rule rule;
    float *m, *v;             /* v NULL: Muon */
    unsigned char *m8, *v8;   /* codes and, a block each, their scales */
    float *m_scale, *v_scale;
} memory;

struct optimizer {
    optimizer_kind kind;
    params *p;
    device *dev;
    memory *slot;             /* [p->n] */
    code8 codes[2];           /* signed for m, unsigned for v */
    muon *muon;
};

const char *optimizer_name(optimizer_kind kind)
{
    static const char *const names[] = { "adamw", "adamw8", "muon" };
    return names[kind];
}

static bool owned(const params *p, int slot) { return slot >= p->first && slot < p->end; }

/* ---- opening ---- */

static void pin_values(const optimizer *o, bool on)
{
    if (o->dev->be->pin) o->dev->be->pin(o->dev, o->p->value, o->p->count * sizeof(float), on);
}

static dreamo_status remember(params *p, int slot, memory *mem, dreamo_error *err)
{
    size_t count = p->slot[slot].count, blocks = (count + BLOCK8 - 1) / BLOCK8;
    bool got;
    if (mem->rule == RULE_ADAMW8) {
        mem->m8 = params_remember(p, "m8.", slot, DT_U8, count);
        mem->m_scale = params_remember(p, "m8.scale.", slot, DT_F32, blocks);
        mem->v8 = params_remember(p, "v8.", slot, DT_U8, count);
        mem->v_scale = params_remember(p, "v8.scale.", slot, DT_F32, blocks);
        got = mem->m8 && mem->m_scale && mem->v8 && mem->v_scale;
    } else {
        mem->m = params_remember(p, "m.", slot, DT_F32, count);
        if (mem->rule == RULE_ADAMW) mem->v = params_remember(p, "v.", slot, DT_F32, count);
        got = mem->m && (mem->v || mem->rule == RULE_MUON);
    }
    return got || !owned(p, slot) ? DREAMO_OK : fail(err, DREAMO_MEMORY, "no memory for the moments of %s", p->slot[slot].name);
}

static rule rule_of(optimizer_kind kind, const param_slot *s)
{
    if (kind == OPTIMIZER_ADAMW8 && moments8_take(s)) return RULE_ADAMW8;
    if (kind == OPTIMIZER_MUON && muon_takes(s)) return RULE_MUON;
    return RULE_ADAMW;
}

dreamo_status optimizer_open(optimizer **out, optimizer_kind kind, params *p, device *dev, dreamo_error *err)
{
    optimizer *o = *out = mem_calloc(1, sizeof *o);
    if (!o) return fail(err, DREAMO_MEMORY, "no memory for an optimizer");
    *o = (optimizer){ .kind = kind, .p = p, .dev = dev, .slot = mem_calloc((size_t)p->n + 1, sizeof *o->slot) };
    if (!o->slot) return fail(err, DREAMO_MEMORY, "no memory for the state of %d parameters", p->n);
    pin_values(o, true);
    dreamo_status s = DREAMO_OK;
    for (int i = 0; i < p->n && !s; i++) {
        o->slot[i].rule = rule_of(kind, &p->slot[i]);
        s = remember(p, i, &o->slot[i], err);
    }
    if (kind == OPTIMIZER_ADAMW8)
        for (int i = 0; i < 2; i++) code8_make(&o->codes[i], i == 0);
    if (!s && kind == OPTIMIZER_MUON) s = muon_open(&o->muon, p, dev, err);
    for (int i = p->first; i < p->end && !s; i++)
        if (o->slot[i].rule == RULE_MUON) muon_add(o->muon, i, o->slot[i].m);
    return s;
}

void optimizer_close(optimizer *o)
{
    if (!o) return;
    muon_close(o->muon);
    pin_values(o, false);
    mem_free(o->slot);
    mem_free(o);
}

double optimizer_flops(const optimizer *o) { return muon_flops(o->muon); }

/* ---- the norm ---- */

typedef struct norm_job { const params *p; double *partial; } norm_job;

enum { LANES = 8 }; /* independent sums, so that the loop can be vectorised without changing its meaning */

static void norm_chunk(void *arg, const param_chunk *c, int number)
{
    const norm_job *j = arg;
    const float *g = j->p->grad + c->at;
    double sum[LANES] = { 0 }, total = 0;
    size_t i = 0, n = owned(j->p, c->slot) ? c->count : 0;
    for (; i + LANES <= n; i += LANES)
        for (int k = 0; k < LANES; k++) sum[k] += (double)g[i + (size_t)k] * g[i + (size_t)k];
    for (; i < n; i++) sum[0] += (double)g[i] * g[i];
    for (int k = 0; k < LANES; k++) total += sum[k];
    j->partial[number] = total;
}

double optimizer_norm(const params *p, pool *threads, double *partial)
{
    norm_job j = { p, partial };
    double sum = 0;
    params_run(p, threads, norm_chunk, &j);
    for (int i = 0; i < p->nchunks; i++) sum += partial[i];
    return sqrt(sum);
}

/* ---- the update ---- */

typedef struct step_job {
    optimizer *o;
    adam_rates rates;
    float keep;                /* 1 - lr * decay, for matrices */
} step_job;

static void adam_chunk(const adam_rates *r, float keep, size_t n, float *restrict x, float *restrict g, float *restrict m,
                       float *restrict v)
{
    float b1 = r->beta1, b2 = r->beta2, a1 = 1 - b1, a2 = 1 - b2, scale = r->scale, rate = r->rate, root = r->root, eps = r->eps;
    for (size_t i = 0; i < n; i++) {
        float d = g[i] * scale;
        m[i] = b1 * m[i] + a1 * d;
        v[i] = b2 * v[i] + a2 * d * d;
        x[i] = x[i] * keep - rate * m[i] / (sqrtf(v[i]) * root + eps);
        g[i] = 0;
    }
}

static void step_chunk(void *arg, const param_chunk *c, int number)
{
    const step_job *j = arg;
    params *p = j->o->p;
    const param_slot *s = &p->slot[c->slot];
    const memory *mem = &j->o->slot[c->slot];
    size_t in = c->at - s->at;
    float keep = s->decay ? j->keep : 1.0f, *x = p->value + c->at, *g = p->grad + c->at;
    (void)number;
    if (!owned(p, c->slot) || mem->rule == RULE_MUON) return;
    if (mem->rule == RULE_ADAMW) adam_chunk(&j->rates, keep, c->count, x, g, mem->m + in, mem->v + in);
    else
        moments8_step(&j->rates, keep, c->count, x, g, &j->o->codes[0], mem->m8 + in, mem->m_scale + in / BLOCK8, &j->o->codes[1],
                      mem->v8 + in, mem->v_scale + in / BLOCK8);
}

void optimizer_step(optimizer *o, const adamw *a, int64_t step, double lr, double scale, double norm)
{
    double length = norm * scale, clip = a->clip > 0 && length > a->clip ? a->clip / (length + 1e-6) : 1;
    step_job j = {
        .o = o, .keep = (float)(1 - lr * a->decay),
        .rates = { .scale = (float)(scale * clip), .beta1 = (float)a->beta1, .beta2 = (float)a->beta2,
                   .rate = (float)(lr / (1 - pow(a->beta1, (double)step))),
                   .root = (float)(1 / sqrt(1 - pow(a->beta2, (double)step))), .eps = (float)a->eps },
    };
    params_run(o->p, o->dev->threads, step_chunk, &j);
    if (o->muon) muon_step(o->muon, (float)a->momentum, (float)lr, j.keep, j.rates.scale);
}
