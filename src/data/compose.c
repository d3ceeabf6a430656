/* compose.c - one sample: a plan by the kind's rule, then its target, masks and references drawn. */
#include <stdio.h>
#include <string.h>
#include "base/error.h"
#include "base/mem.h"
#include "data/plan.h"

void data_params_init(data_params *p)
{
    *p = (data_params){ .scale_lo = 0.45, .scale_hi = 0.8, .ref_fill = 0.85, .same = 0.5, .grid = 16, .turn = 12, .view_step = 2, .mirror = 0.1,
                        .shadow = 0.4, .light = 1, .solid_share = 0.3, .words = 0.5, .shuffle = 0.25 };
}

static bool can(const data_set *set, data_kind kind, data_split split)
{
    const asset_set *d = (const asset_set *)set;
    bool things = d->nconcepts[split] > 0 && d->nflat[DATA_TRAIN] + d->nsolid[DATA_TRAIN] > 0, faces = d->nfaces[split] > 0;
    bool several = d->nconcepts[split] > 2, others = d->nfaces[split] > 2;
    switch (kind) {
    case DATA_T2I: return d->nflat[DATA_TRAIN] + d->nsolid[DATA_TRAIN] > 0;
    case DATA_SUBJECT: case DATA_STYLE: case DATA_SUBJECT_STYLE: return things;
    case DATA_SUBJECTS: return several;
    case DATA_ID: case DATA_ID_STYLE: case DATA_TRYON: case DATA_ID_TRYON: return faces;
    case DATA_IDS: return others;
    case DATA_ID_SUBJECT: return faces && things;
    default: return false;
    }
}

/* One generator a sample; the finaliser of splitmix64 keeps neighbouring indices apart. */
static rng sample_rng(const data_request *q)
{
    uint64_t h = q->seed * 0x9E3779B97F4A7C15u + q->index;
    h = (h ^ (h >> 30)) * 0xBF58476D1CE4E5B9u;
    h = (h ^ (h >> 27)) * 0x94D049BB133111EBu;
    return rng_new(h ^ (h >> 31), (uint64_t)q->kind * 2 + (uint64_t)q->split);
}

static dreamo_status make_plan(const asset_set *d, const data_params *o, const data_request *q, int ref_side, plan *p, dreamo_error *err)
{
    rng r = sample_rng(q);
    double shorter = q->width < q->height ? q->width : q->height;
    making m = { .d = d, .o = o, .split = q->split, .index = q->index, .r = &r, .ref_share = ref_side / shorter, .grid = o->grid / shorter, .told = q->kind == DATA_T2I };
    while (m.grid > 1.0 / 7) m.grid /= 2; /* so small a picture would have no place to choose */
    *p = (plan){ .wide = q->width / shorter, .high = q->height / shorter };
    switch (q->kind) {
    case DATA_T2I: return plan_t2i(&m, p, err);
    case DATA_SUBJECT: return plan_subject(&m, p, err);
    case DATA_SUBJECTS: return plan_subjects(&m, p, err);
    case DATA_ID: return plan_people(&m, 1, p, err);
    case DATA_IDS: return plan_people(&m, 2 + (rng_below(&r, 4) == 0), p, err);
    case DATA_STYLE: return plan_style(&m, p, err);
    case DATA_ID_STYLE: return plan_id_style(&m, p, err);
    case DATA_TRYON: return plan_tryon(&m, false, p, err);
    case DATA_ID_TRYON: return plan_tryon(&m, true, p, err);
    case DATA_ID_SUBJECT: return plan_id_subject(&m, p, err);
    default: return plan_subject_style(&m, p, err);
    }
}

/* Composed pictures have no shape of their own: they are square. */
static data_request squared(const data_request *asked)
{
    data_request q = *asked;
    if (!q.height) q.width = q.height = q.width ? q.width : q.ref_side;
    return q;
}

static dreamo_status words(const data_set *d, const data_request *asked, char *out, size_t nbytes, dreamo_error *err)
{
    data_request q = squared(asked);
    data_params o;
    plan p;
    data_params_init(&o);
    dreamo_status status = make_plan((const asset_set *)d, &o, &q, q.width < q.height ? q.width : q.height, &p, err);
    if (!status) snprintf(out, nbytes, "%s", p.caption);
    plan_free(&p);
    return status;
}

static dreamo_status draw_reference(const plan_ref *f, const data_params *o, int side, bitmap *out, dreamo_error *err)
{
    if (f->look) return plan_draw(f->look, o, side, side, out, err, NULL);
    plan alone = { .wide = 1, .high = 1, .white = true };
    plan_add(&alone, &f->t, (placement){ 0.5, 0.5, f->fill, f->turn, false }, NO_LAYER)->part = f->part;
    return plan_draw(&alone, o, side, side, out, err, NULL);
}

static dreamo_status draw_all(const plan *p, const data_params *o, int ref_side, data_sample *out, dreamo_error *err)
{
    canvas c;
    dreamo_status status = plan_draw(p, o, out->width, out->height, &out->target, err, &c);
    if (status) return status;
    if (p->mask_all) status = canvas_mask(&c, 0, &out->subject_mask, err);
    for (int i = 0; i < p->nrefs && !status; i++) {
        const plan_ref *f = &p->ref[i];
        data_ref *to = &out->ref[out->nrefs++];
        *to = (data_ref){ .task = f->task, .slot = f->slot, .identity = f->identity };
        snprintf(to->name, sizeof to->name, "%s", f->name);
        if (f->task != DATA_LOOK) status = canvas_mask(&c, i, &to->mask, err);
        if (!status) status = draw_reference(f, o, ref_side, &to->picture, err);
    }
    canvas_free(&c);
    return status;
}

static dreamo_status check_params(const data_params *p, const data_request *q, dreamo_error *err)
{
    if (q->width < 16 || q->width > 1024 || q->height < 16 || q->height > 1024)
        return fail(err, DREAMO_ARG, "sample size: %d x %d is not in 16..1024", q->width, q->height);
    if (q->ref_side && (q->ref_side < 16 || q->ref_side > 1024)) return fail(err, DREAMO_ARG, "reference size: %d is not in 16..1024", q->ref_side);
    if (!(p->scale_lo > 0.05 && p->scale_lo <= p->scale_hi && p->scale_hi <= 0.94))
        return fail(err, DREAMO_ARG, "subject scale: %g..%g is not within 0.05..0.94", p->scale_lo, p->scale_hi);
    if (!(p->ref_fill > 0.05 && p->ref_fill <= 1)) return fail(err, DREAMO_ARG, "reference fill: %g is not within 0.05..1", p->ref_fill);
    if (!(p->same >= 0 && p->same <= 1)) return fail(err, DREAMO_ARG, "same: %g is not in 0..1", p->same);
    if (!(p->words >= 0 && p->words <= 1)) return fail(err, DREAMO_ARG, "words: %g is not in 0..1", p->words);
    if (!(p->shuffle >= 0 && p->shuffle <= 1)) return fail(err, DREAMO_ARG, "shuffle: %g is not in 0..1", p->shuffle);
    if (!(p->grid >= 1 && p->grid <= 1024)) return fail(err, DREAMO_ARG, "grid: %g is not within 1..1024", p->grid);
    if (!(p->turn >= 0 && p->turn <= 180)) return fail(err, DREAMO_ARG, "turn: %g is not within 0..180", p->turn);
    return DREAMO_OK;
}

static dreamo_status make(const data_set *d, const data_params *params, const data_request *asked, data_sample *out, dreamo_error *err)
{
    data_params defaults;
    data_request q = squared(asked);
    data_params_init(&defaults);
    if (!params) params = &defaults;
    int ref_side = q.ref_side ? q.ref_side : q.width < q.height ? q.width : q.height;
    *out = (data_sample){ .kind = q.kind, .width = q.width, .height = q.height };
    dreamo_status status = check_params(params, &q, err);
    if (status) return status;
    plan p;
    status = make_plan((const asset_set *)d, params, &q, ref_side, &p, err);
    if (!status) {
        snprintf(out->caption, sizeof out->caption, "%s", p.caption);
        snprintf(out->placed, sizeof out->placed, "%s", p.placed);
        snprintf(out->subject, sizeof out->subject, "%s", p.subject);
        snprintf(out->scene, sizeof out->scene, "%s", p.scene);
        status = draw_all(&p, params, ref_side, out, err);
    }
    plan_free(&p);
    return status;
}

/* How many references a sample of the kind has at most. */
static int most_refs(const data_set *d, data_kind kind)
{
    (void)d;
    switch (kind) {
    case DATA_T2I: return 0;
    case DATA_SUBJECT: case DATA_ID: case DATA_STYLE: return 1;
    case DATA_SUBJECTS: case DATA_IDS: case DATA_ID_TRYON: return 3;
    default: return 2;
    }
}

const data_maker assets_maker = { .close = assets_close, .can = can, .most_refs = most_refs, .make = make, .words = words };
