/* compose.c - one sample: pick a subject, a scene and a place, draw reference, target and mask, say it in words. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "base/error.h"
#include "base/mem.h"
#include "base/rng.h"
#include "data/assets.h"
#include "data/scene.h"

#define MARGIN 0.03 /* free border around a subject */

void data_params_init(data_params *p)
{
    *p = (data_params){ .scale_lo = 0.6, .scale_hi = 0.76, .ref_fill = 0.8, .same = 0.75, .grid = 0.125, .turn = 5, .view_step = 1, .mirror = 0,
                        .shadow = 0.4, .solid_share = 0.35, .empty = 0.06, .white = 0.12 };
}

/* One generator a sample; the finaliser of splitmix64 keeps neighbouring indices apart. */
static rng sample_rng(data_kind kind, data_split split, uint64_t seed, uint64_t index)
{
    uint64_t h = seed * 0x9E3779B97F4A7C15u + index;
    h = (h ^ (h >> 30)) * 0xBF58476D1CE4E5B9u;
    h = (h ^ (h >> 27)) * 0x94D049BB133111EBu;
    return rng_new(h ^ (h >> 31), (uint64_t)kind * 2 + (uint64_t)split);
}

static const subject *pick_subject(const data_set *d, const data_params *p, data_kind kind, data_split split, uint64_t index, rng *r)
{
    if (kind == DATA_SUBJECT && split == DATA_VAL) {
        const concept *c = &d->concepts[DATA_VAL][index % (uint64_t)d->nconcepts[DATA_VAL]];
        return &d->subjects[c->first + (int)rng_below(r, (uint32_t)c->count)];
    }
    int nflat = d->nflat[DATA_TRAIN], nsolid = d->nsolid[DATA_TRAIN];
    bool solid = rng_double(r) < p->solid_share;
    if (!nflat || (solid && nsolid)) return &d->subjects[d->solid[DATA_TRAIN][rng_below(r, (uint32_t)nsolid)]];
    return &d->subjects[d->flat[DATA_TRAIN][rng_below(r, (uint32_t)nflat)]];
}

/* How the subject is seen in the two pictures. */
typedef struct look { tile t; double turn; bool mirror; } look;

static void pick_looks(const subject *s, const data_params *p, rng *r, look *reference, look *target)
{
    int yaw = (int)rng_below(r, (uint32_t)s->yaws), pitch = (int)rng_below(r, (uint32_t)s->pitches), next = yaw;
    *reference = (look){ subject_tile(s, yaw, pitch), 0, false };
    if (s->yaws > 1 && p->view_step > 0) {
        int step = 1 + (int)rng_below(r, (uint32_t)p->view_step);
        next = rng_below(r, 2) ? yaw + step : yaw - step;
        if (next < 0 || next >= s->yaws) next = next < 0 ? yaw + step : yaw - step; /* turn the other way at the ends */
        if (next < 0 || next >= s->yaws) next = yaw;
    }
    *target = (look){ subject_tile(s, next, (int)rng_below(r, (uint32_t)s->pitches)), 0, false };
    double turn = rng_range(r, -p->turn, p->turn) / 360, flip = rng_double(r);
    if (s->yaws == 1) target->turn = turn, target->mirror = flip < p->mirror;
}

/* Half the width and height of a tile of this size after its turn, shares of the picture. */
static void half_extent(const look *l, double scale, double *hx, double *hy)
{
    double longest = l->t.width > l->t.height ? l->t.width : l->t.height;
    double w = scale * l->t.width / longest, h = scale * l->t.height / longest;
    double sn = fabs(sine(l->turn)), cs = fabs(sine(l->turn + 0.25));
    *hx = (cs * w + sn * h) / 2;
    *hy = (sn * w + cs * h) / 2;
}

static double between(rng *r, double lo, double hi) { return lo < hi ? rng_range(r, lo, hi) : (lo + hi) / 2; }

/* One of the places 1/2 + k grid that lie in lo..hi; where none does, the nearest to them. */
static double on_grid(rng *r, double grid, double lo, double hi)
{
    int first = (int)ceil((lo - 0.5) / grid - 1e-9), last = (int)floor((hi - 0.5) / grid + 1e-9);
    if (first > last) return 0.5 + grid * round(((lo + hi) / 2 - 0.5) / grid);
    return 0.5 + grid * (first + (int)rng_below(r, (uint32_t)(last - first + 1)));
}

/* In the reference's size and where whole tokens match.  A subject may touch the border, and may stand a little into the ground. */
static placement place_like_reference(const scene *s, const data_params *p, const look *l, double fill, rng *r)
{
    placement at = { .scale = fill, .turn = l->turn, .mirror = l->mirror };
    double hx, hy;
    half_extent(l, fill, &hx, &hy);
    at.x = on_grid(r, p->grid, hx, 1 - hx);
    double highest = s->horizon < 1 && s->horizon + 0.10 - hy > hy ? s->horizon + 0.10 - hy : hy;
    at.y = on_grid(r, p->grid, highest < 1 - hy ? highest : 1 - hy, 1 - hy);
    return at;
}

static placement place_freely(const scene *s, const data_params *p, const look *l, rng *r)
{
    placement at = { .scale = rng_range(r, p->scale_lo, p->scale_hi), .turn = l->turn, .mirror = l->mirror };
    double hx, hy;
    half_extent(l, at.scale, &hx, &hy);
    at.x = between(r, hx + MARGIN, 1 - hx - MARGIN);
    if (s->horizon < 1) { /* stand on the ground */
        double top = s->horizon + 0.10 > 2 * hy + MARGIN ? s->horizon + 0.10 : 2 * hy + MARGIN, low = 1 - MARGIN;
        at.y = (top < low ? rng_range(r, top, low) : low) - hy;
    } else
        at.y = between(r, hy + MARGIN, 1 - hy - MARGIN);
    return at;
}

/* A contact shadow under the part of the tile that touches the ground: its lowest eighth. */
static void cast_shadow(canvas *c, const look *l, const placement *at, double dark)
{
    const tile *t = &l->t;
    int left = t->width, right = -1;
    for (int y = t->height - 1 - t->height / 8; y < t->height; y++)
        for (int x = 0; x < t->width; x++)
            if (t->rgba[4 * ((size_t)y * (size_t)t->row + (size_t)x) + 3] > 127) left = x < left ? x : left, right = x > right ? x : right;
    if (right < 0) return;
    double longest = t->width > t->height ? t->width : t->height, unit = at->scale / longest, hx, hy;
    half_extent(l, at->scale, &hx, &hy);
    double middle = ((left + right + 1) / 2.0 - t->width / 2.0) * unit, half = (right - left + 1) / 2.0 * unit;
    double ry = 0.02 + 0.22 * half;
    if (ry > 0.07) ry = 0.07;
    canvas_shadow(c, at->x + (l->mirror ? -middle : middle), at->y + hy - ry / 3, half * 1.15 + 0.03, ry, dark);
}

static scene pick_scene(const subject *s, rng *r)
{
    scene best = scene_pick(r);
    double contrast = scene_contrast(&best, s->mean);
    for (int i = 0; i < 6 && contrast < 0.16; i++) { /* a subject must not vanish in its scene */
        scene other = scene_pick(r);
        double c = scene_contrast(&other, s->mean);
        if (c > contrast) best = other, contrast = c;
    }
    return best;
}

/* The subject alone on white, centred. */
static dreamo_status draw_on_white(const look *l, double fill, int size, bitmap *out, unsigned char **mask, dreamo_error *err)
{
    canvas c;
    dreamo_status status = canvas_new(&c, size, err);
    if (status) return status;
    canvas_paste(&c, &l->t, &(placement){ 0.5, 0.5, fill, l->turn, l->mirror });
    status = canvas_finish(&c, out, mask, err);
    canvas_free(&c);
    return status;
}

/* The subject (NULL: nobody) on a scene, in the reference's size when `fill` says that (0: in any). */
static dreamo_status draw_on_scene(const scene *s, const look *l, double fill, const data_params *p, rng *r, int size, bitmap *out,
                                   unsigned char **mask, dreamo_error *err)
{
    canvas c;
    dreamo_status status = canvas_new(&c, size, err);
    if (status) return status;
    scene_draw(s, &c);
    if (l) {
        placement at = fill > 0 ? place_like_reference(s, p, l, fill, r) : place_freely(s, p, l, r);
        if (s->horizon < 1) cast_shadow(&c, l, &at, p->shadow);
        canvas_paste(&c, &l->t, &at);
    }
    status = canvas_finish(&c, out, mask, err);
    canvas_free(&c);
    return status;
}

static dreamo_status make_subject(const data_set *d, const data_params *p, data_split split, uint64_t index, rng *r,
                                  data_sample *out, dreamo_error *err)
{
    const subject *s = pick_subject(d, p, DATA_SUBJECT, split, index, r);
    look reference, target;
    pick_looks(s, p, r, &reference, &target);
    scene place = pick_scene(s, r);
    scene_phrase(&place, out->scene, sizeof out->scene);
    snprintf(out->subject, sizeof out->subject, "%s", s->concept);
    snprintf(out->caption, sizeof out->caption, "%s %s", s->phrase, out->scene);
    out->nrefs = 1;
    double fill = rng_double(r) < p->same ? rng_range(r, p->scale_lo, p->ref_fill) : 0;
    if (fill > 0) target.turn = 0, target.mirror = false;
    dreamo_status status = draw_on_white(&reference, fill > 0 ? fill : p->ref_fill, out->size, &out->ref[0], NULL, err);
    if (!status) status = draw_on_scene(&place, &target, fill, p, r, out->size, &out->target, &out->mask[0], err);
    return status;
}

static dreamo_status make_t2i(const data_set *d, const data_params *p, data_split split, uint64_t index, rng *r,
                              data_sample *out, dreamo_error *err)
{
    const subject *s = pick_subject(d, p, DATA_T2I, split, index, r);
    look unused, l;
    pick_looks(s, p, r, &unused, &l);
    scene place = pick_scene(s, r);
    double fate = rng_double(r);
    if (fate < p->empty) {
        scene_alone(&place, out->scene, sizeof out->scene);
        snprintf(out->caption, sizeof out->caption, "%s", out->scene);
        return draw_on_scene(&place, NULL, 0, p, r, out->size, &out->target, NULL, err);
    }
    snprintf(out->subject, sizeof out->subject, "%s", s->concept);
    bool white = fate < p->empty + p->white;
    if (white) snprintf(out->scene, sizeof out->scene, "on a white background");
    else scene_phrase(&place, out->scene, sizeof out->scene);
    snprintf(out->caption, sizeof out->caption, "%s %s", s->phrase, out->scene);
    if (white) return draw_on_white(&l, rng_range(r, p->scale_hi, p->ref_fill), out->size, &out->target, &out->subject_mask, err);
    return draw_on_scene(&place, &l, 0, p, r, out->size, &out->target, &out->subject_mask, err);
}

static dreamo_status check_params(const data_params *p, int size, dreamo_error *err)
{
    if (size < 16 || size > 1024) return fail(err, DREAMO_ARG, "sample size: %d is not in 16..1024", size);
    if (!(p->scale_lo > 0.05 && p->scale_lo <= p->scale_hi && p->scale_hi <= 0.94))
        return fail(err, DREAMO_ARG, "subject scale: %g..%g is not within 0.05..0.94", p->scale_lo, p->scale_hi);
    if (!(p->ref_fill > 0.05 && p->ref_fill <= 1)) return fail(err, DREAMO_ARG, "reference fill: %g is not within 0.05..1", p->ref_fill);
    if (!(p->same >= 0 && p->same <= 1)) return fail(err, DREAMO_ARG, "same: %g is not in 0..1", p->same);
    if (p->same > 0 && p->scale_lo > p->ref_fill)
        return fail(err, DREAMO_ARG, "subject scale: %g is more than the reference's fill %g", p->scale_lo, p->ref_fill);
    if (!(p->grid > 0 && p->grid <= 1)) return fail(err, DREAMO_ARG, "grid: %g is not in 0..1", p->grid);
    if (!(p->turn >= 0 && p->turn <= 180)) return fail(err, DREAMO_ARG, "turn: %g is not in 0..180 degrees", p->turn);
    if (p->view_step < 0 || p->view_step > ASSETS_MAX_VIEWS) return fail(err, DREAMO_ARG, "view step: %d is not in 0..%d", p->view_step, ASSETS_MAX_VIEWS);
    if (!(p->shadow >= 0 && p->shadow <= 1)) return fail(err, DREAMO_ARG, "shadow: %g is not in 0..1", p->shadow);
    return DREAMO_OK;
}

dreamo_status data_sample_make(const data_set *d, const data_params *params, data_kind kind, data_split split, uint64_t seed,
                               uint64_t index, int size, data_sample *out, dreamo_error *err)
{
    data_params defaults;
    data_params_init(&defaults);
    const data_params *p = params ? params : &defaults;
    memset(out, 0, sizeof *out);
    dreamo_status status = check_params(p, size, err);
    if (status) return status;
    if (!data_subjects(d, kind == DATA_T2I ? DATA_TRAIN : split))
        return fail(err, DREAMO_CONTENT, "the asset folder has no %s subjects", split == DATA_VAL ? "held-out" : "training");
    out->size = size;
    rng r = sample_rng(kind, split, seed, index);
    status = kind == DATA_SUBJECT ? make_subject(d, p, split, index, &r, out, err) : make_t2i(d, p, split, index, &r, out, err);
    if (status) data_sample_free(out);
    return status;
}

void data_sample_free(data_sample *s)
{
    bitmap_free(&s->target);
    for (int i = 0; i < DATA_MAX_REFS; i++) {
        bitmap_free(&s->ref[i]);
        mem_free(s->mask[i]);
    }
    mem_free(s->subject_mask);
    memset(s, 0, sizeof *s);
}
