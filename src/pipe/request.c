/* request.c - is the request within its ranges?  Everything is used exactly or refused with what is allowed. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "pipe/generate.h"

enum { SIDE_MAX = REQUEST_SIDE_MAX };

/* A side that is no multiple of the token's: name the two next to it. */
static dreamo_status check_side(const char *what, int n, int cell, dreamo_error *err)
{
    int top = SIDE_MAX - SIDE_MAX % cell;
    if (n < cell) return fail(err, DREAMO_ARG, "%s %d: the smallest is %d", what, n, cell);
    if (n > top) return fail(err, DREAMO_ARG, "%s %d: the largest is %d", what, n, top);
    int below = n - n % cell;
    if (n == below) return DREAMO_OK;
    return fail(err, DREAMO_ARG, "%s %d is not a multiple of %d; the nearest are %d and %d", what, n, cell, below, below + cell);
}

static dreamo_status check_number(const char *what, double v, double lo, double hi, dreamo_error *err)
{
    if (isfinite(v) && v >= lo && v <= hi) return DREAMO_OK;
    return fail(err, DREAMO_ARG, "%s %g: allowed is %g to %g", what, v, lo, hi);
}

/* What no request says: true CFG ends where the noise is no more than the model wants it for. */
static int last_cfg_step(const generation *g, int steps)
{
    float sigmas[DENOISE_STEPS_MAX + 1];
    int n = 0;
    schedule_sigmas(&g->m->schedule, g->width / g->cell * (g->height / g->cell), steps, sigmas);
    while (n < steps && sigmas[n] > g->m->defaults.cfg_above) n++;
    return n;
}

static dreamo_status check_sampling(generation *g, dreamo_error *err)
{
    const dreamo_request *r = g->r;
    const model_defaults *d = &g->m->defaults;
    int steps = r->steps ? r->steps : d->steps;
    double guidance = r->guidance < 0 ? d->guidance : r->guidance, first = r->first_guidance <= 0 ? guidance : r->first_guidance;
    double negative = r->negative_guidance < 0 ? 3.5 : r->negative_guidance, cfg = r->true_cfg == 0 ? d->true_cfg : r->true_cfg;
    int start = r->cfg_start, end = r->cfg_end;
    if (steps < 1) return fail(err, DREAMO_ARG, "steps %d: allowed is 1 to %d", steps, DENOISE_STEPS_MAX);
    if (steps > DENOISE_STEPS_MAX) return fail(err, DREAMO_LIMIT, "steps %d: allowed is 1 to %d", steps, DENOISE_STEPS_MAX);
    dreamo_status s = check_number("guidance", guidance, 0, 100, err);
    if (s == DREAMO_OK) s = check_number("first-step guidance", first, 0, 100, err);
    if (s == DREAMO_OK) s = check_number("negative guidance", negative, 0, 100, err);
    if (s == DREAMO_OK) s = check_number("true CFG", cfg, 1, 100, err);
    if (s != DREAMO_OK) return s;
    if (cfg > 1 && !start && !end) end = last_cfg_step(g, steps);
    if (start < 0 || end < start)
        return fail(err, DREAMO_ARG, "true CFG in steps %d to %d: the first must be 0 or more, the end not before it", start, end);
    g->negative_words = r->negative ? r->negative : "";
    double said = cfg > 1 ? g->m->said_cfg : 1; /* one pass is neg + said (pos - neg) already */
    g->how = (sampling){ .steps = steps, .guidance = (float)guidance, .first_guidance = (float)first,
                         .negative_guidance = (float)negative, .true_cfg = (float)cfg, .cfg_share = (float)(cfg / said),
                         .cfg_start = start, .cfg_end = end, .official = g->m->official };
    g->cfg = cfg > 1 && cfg != said && start < end && start < steps;
    if (!g->m->dit->config.guidance && (r->guidance >= 0 || r->first_guidance > 0)) {
        s = report_line(&g->to, DREAMO_EVENT_WARNING, err, "guidance has no effect: this transformer was made without it");
        if (s != DREAMO_OK) return s;
    }
    const char *unused = g->cfg ? NULL : r->negative ? "the negative prompt has" : r->cfg_start || r->cfg_end ? "the window of true CFG has"
                       : r->negative_guidance >= 0 ? "the negative guidance has" : NULL;
    if (!unused) return DREAMO_OK;
    if (cfg > 1 && cfg == said) return report_line(&g->to, DREAMO_EVENT_WARNING, err, "%s no effect: this model says true CFG %g in one pass; of a larger one what goes beyond has", unused, cfg);
    return report_line(&g->to, DREAMO_EVENT_WARNING, err, "%s no effect: %s", unused, cfg > 1 ? "no step lies in the true CFG window" : "true CFG is 1");
}

/* Pictures fall apart where training never was: a quarter of its pixels is still fine, and twice as many. */
static dreamo_status warn_of_size(const generation *g, dreamo_error *err)
{
    const model_defaults *d = &g->m->defaults;
    double ratio = (double)g->width * g->height / ((double)d->width * d->height), longer = g->width > g->height ? g->width : g->height,
           shorter = g->width > g->height ? g->height : g->width;
    if (!d->known || (ratio >= 0.2 && ratio <= 2.6 && longer <= 4 * shorter)) return DREAMO_OK;
    return report_line(&g->to, DREAMO_EVENT_WARNING, err, "%dx%d is far from the %dx%d that this model was made for: expect pictures that fall apart", g->width, g->height,
                       d->width, d->height);
}

static dreamo_status check_references(generation *g, dreamo_error *err)
{
    const dreamo_request *r = g->r;
    const dreamo_tables *t = &g->m->tables;
    bool taken[CONDITION_REFS + 1] = { false };
    if (r->nrefs < 0 || (r->nrefs > 0 && !r->refs)) return fail(err, DREAMO_ARG, "%d references, but no list of them", r->nrefs);
    if (r->nrefs > CONDITION_REFS) return fail(err, DREAMO_LIMIT, "%d references: the model takes %d", r->nrefs, CONDITION_REFS);
    if (r->nrefs > 0 && !t->task) {
        fail(err, DREAMO_MISMATCH, "%s: references need DreamO's adapter, and this model has none", g->m->home);
        hint(err, "add dreamo.safetensors as a LoRA");
        return DREAMO_MISMATCH;
    }
    for (int i = 0; i < r->nrefs; i++) {
        const dreamo_reference *f = &r->refs[i];
        int slot = f->slot ? f->slot : i + 1;
        char what[32];
        snprintf(what, sizeof what, "reference %d", i + 1);
        dreamo_status s = prep_check(f, what, err);
        if (s != DREAMO_OK) return s;
        if (slot < 1 || slot >= t->nslots)
            return fail(err, DREAMO_ARG, "reference %d: slot %d, this model has 1 to %d", i + 1, slot, t->nslots - 1);
        if (taken[slot]) return fail(err, DREAMO_ARG, "reference %d: slot %d is taken by another reference", i + 1, slot);
        taken[slot] = true;
    }
    return DREAMO_OK;
}

static dreamo_status check_noise(generation *g, dreamo_error *err)
{
    g->kernel = g->m->official ? NOISE_BF16 : NOISE_FP32;
    if (!g->r->noise) return DREAMO_OK;
    int k = noise_kernel_from_name(g->r->noise);
    if (k < 0) return fail(err, DREAMO_ARG, "noise \"%s\" is none of bf16, fp32, fp32-rounded", g->r->noise);
    g->kernel = (noise_kernel)k;
    return DREAMO_OK;
}

dreamo_status request_check(generation *g, dreamo_error *err)
{
    const dreamo_request *r = g->r;
    if (r->size < sizeof *r) return fail(err, DREAMO_VERSION, "a request of %zu bytes, this library knows %zu", r->size, sizeof *r);
    if (r->preview_every < 0) return fail(err, DREAMO_ARG, "a preview after every %d steps: 0 or more", r->preview_every);
    if (!r->prompt) return fail(err, DREAMO_ARG, "the prompt is missing (an empty one is allowed)");
    g->width = r->width ? r->width : g->m->defaults.width;
    g->height = r->height ? r->height : g->m->defaults.height;
    dreamo_status s = check_side("width", g->width, g->cell, err);
    if (s == DREAMO_OK) s = check_side("height", g->height, g->cell, err);
    if (s == DREAMO_OK) s = check_noise(g, err);
    if (s == DREAMO_OK) s = check_references(g, err);
    if (s == DREAMO_OK) s = check_sampling(g, err);
    return s == DREAMO_OK ? warn_of_size(g, err) : s;
}
