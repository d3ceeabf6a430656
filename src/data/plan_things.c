/* plan_things.c - one thing, several things, and pictures without a reference. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "data/plan.h"

static uint64_t identity_of(const making *m, const subject *s) { return (uint64_t)(s - m->d->subjects) + 1; }

static void settle(const making *m, plan *p, const float (*colours)[3], int n)
{
    p->s = scene_for(colours, n, m->r);
    scene_phrase(&p->s, p->scene, sizeof p->scene);
}

/* The size in a reference that a subject of this size in the target has there; 0 when it does not fit. */
static double same_fill(const making *m, double scale)
{
    double fill = scale / m->ref_share;
    return fill <= 0.97 ? fill : 0;
}

dreamo_status plan_subject(const making *m, plan *p, dreamo_error *err)
{
    const subject *s = pick_subject(m);
    look reference, target;
    (void)err;
    look_pair(s, m->o, m->r, &reference, &target);
    settle(m, p, &s->mean, 1);
    snprintf(p->subject, sizeof p->subject, "%s", s->concept);
    bool same = rng_double(m->r) < m->o->same;
    double scale = rng_range(m->r, m->o->scale_lo, m->o->scale_hi), fill = same_fill(m, scale);
    placement at;
    if (same && fill > 0) {
        target.turn = 0, target.mirror = false;
        at = place_like_reference(m, p, &target, scale);
    } else
        at = place_freely(p, m->o, &target, m->r), fill = m->o->ref_fill;
    plan_add(p, &target.t, at, 0)->standing = true;
    plan_refer(p, DATA_IP, &reference.t, fill, s->concept, identity_of(m, s));
    plan_slots(p, m->o, m->r);
    plan_say(p, "%0 %s", &s->phrase);
    return DREAMO_OK;
}

/* ---- several ---- */

/* Relations of two: words, and which of them stands on the left, before, above. */
typedef enum relation { BESIDE, RIGHT_OF, NEXT_TO, BOTH, BEFORE, ABOVE, SMALL_LARGE } relation;

typedef struct thing { const subject *s; look reference, target; placement at; } thing;

/* In column i of n of the picture, as large as that allows. */
static void place_column(const making *m, const plan *p, thing *t, int i, int n, double part)
{
    double column = p->wide / n, hx, hy, scale = part * rng_range(m->r, 0.78, 0.98);
    look_extent(&t->target.t, t->target.turn, 1, &hx, &hy);
    double most = 0.94 * column / (2 * hx), tall = 0.80 * p->high / (2 * hy);
    scale = scale < most ? scale : most;
    scale = scale < tall ? scale : tall;
    look_extent(&t->target.t, t->target.turn, scale, &hx, &hy);
    double slack = column / 2 - hx > 0 ? column / 2 - hx : 0;
    t->at = (placement){ (i + 0.5) * column + rng_range(m->r, -1, 1) * slack * 0.8, 0, scale, t->target.turn, t->target.mirror };
    t->at.y = place_height(p, hy, 0.25, m->r);
}

static void place_pair(const making *m, plan *p, thing *t, relation how)
{
    double hx, hy;
    if (how == BEFORE) { /* t[0] before t[1]: lower, to one side, and it hides a third at most */
        int side = rng_below(m->r, 2) ? 1 : -1;
        place_column(m, p, &t[1], 0, 1, 0.66);
        place_column(m, p, &t[0], 0, 1, 0.50);
        t[1].at.x = p->wide / 2 - side * 0.16 * p->wide;
        t[0].at.x = p->wide / 2 + side * 0.20 * p->wide;
        look_extent(&t[0].target.t, t[0].at.turn, t[0].at.scale, &hx, &hy);
        t[0].at.y = p->high - 0.04 - hy;
        look_extent(&t[1].target.t, t[1].at.turn, t[1].at.scale, &hx, &hy);
        double back = p->s.horizon < 1 ? p->s.horizon * p->high + 0.14 : p->high * 0.72;
        t[1].at.y = (back > 2 * hy + 0.03 ? back : 2 * hy + 0.03) - hy;
    } else if (how == ABOVE) {
        for (int i = 0; i < 2; i++) {
            place_column(m, p, &t[i], 0, 1, 0.46);
            look_extent(&t[i].target.t, t[i].at.turn, t[i].at.scale, &hx, &hy);
            if (hy > 0.23 * p->high) t[i].at.scale *= 0.23 * p->high / hy, hy = 0.23 * p->high;
            t[i].at.y = i ? p->high * 0.75 : p->high * 0.26;
        }
    } else {
        bool swap = how == RIGHT_OF || ((how == NEXT_TO || how == BOTH || how == SMALL_LARGE) && rng_below(m->r, 2));
        place_column(m, p, &t[0], swap, 2, how == SMALL_LARGE ? 0.30 : 0.58);
        place_column(m, p, &t[1], !swap, 2, how == SMALL_LARGE ? 0.72 : 0.58);
    }
}

static const char *relation_words(relation how)
{
    static const char *const words[] = { "%0 to the left of %1, %s", "%0 to the right of %1, %s", "%0 next to %1, %s", "%0 and %1, %s",
                                         "%0 in front of %1, %s", "%0 above %1, %s", "small %0 next to large %1, %s" };
    return words[how];
}

/* "a small red car" for "a red car". */
static void sized_phrase(const char *size, const char *phrase, char *out, size_t nbytes)
{
    const char *bare = !strncmp(phrase, "a ", 2) ? phrase + 2 : !strncmp(phrase, "an ", 3) ? phrase + 3 : NULL;
    if (bare) snprintf(out, nbytes, "a %s %s", size, bare);
    else snprintf(out, nbytes, "%s %s", size, phrase);
}

/* In the reference's size, where that fits: upright and whole tokens away. */
static double like_reference(const making *m, thing *t)
{
    double fill = same_fill(m, t->at.scale);
    if (fill > 0) {
        t->at.x = meet_tokens(m, t->at.x), t->at.y = meet_tokens(m, t->at.y);
        t->at.turn = 0, t->at.mirror = false;
    }
    return fill;
}

dreamo_status plan_subjects(const making *m, plan *p, dreamo_error *err)
{
    thing t[3];
    const subject *taken[3];
    const char *phrases[3];
    char sized[2][96];
    float colours[3][3];
    int n = rng_below(m->r, 4) ? 2 : 3;
    (void)err;
    for (int i = 0; i < n; i++) {
        t[i].s = taken[i] = i ? pick_other_subject(m, taken, i) : pick_subject(m);
        look_pair(t[i].s, m->o, m->r, &t[i].reference, &t[i].target);
        memcpy(colours[i], t[i].s->mean, sizeof colours[i]);
        phrases[i] = t[i].s->phrase;
    }
    settle(m, p, colours, n);
    snprintf(p->subject, sizeof p->subject, "%s", t[0].s->concept);
    bool same = rng_double(m->r) < m->o->same;
    relation how = (relation)rng_below(m->r, 7);
    if (how == ABOVE && p->s.horizon < 1) how = BESIDE; /* on the ground nothing floats */
    if (n == 2) place_pair(m, p, t, how);
    else
        for (int i = 0; i < 3; i++) place_column(m, p, &t[i], i, 3, 0.46);
    double fill[3] = { 0 };
    for (int i = 0; i < n && same; i++) fill[i] = like_reference(m, &t[i]);
    for (int i = n - 1; i >= 0; i--) plan_add(p, &t[i].target.t, t[i].at, i)->standing = true; /* the first is the nearest */
    for (int i = 0; i < n; i++) plan_refer(p, DATA_IP, &t[i].reference.t, fill[i] > 0 ? fill[i] : m->o->ref_fill, t[i].s->concept, identity_of(m, t[i].s));
    plan_slots(p, m->o, m->r);
    if (n == 3) {
        static const char *const rows[] = { "%0, %1 and %2 side by side, %s", "%0 on the left, %1 in the middle and %2 on the right, %s" };
        plan_say(p, rows[rng_below(m->r, 2)], phrases);
    } else if (how == SMALL_LARGE) {
        for (int i = 0; i < 2; i++) sized_phrase(i ? "large" : "small", phrases[i], sized[i], sizeof sized[i]), phrases[i] = sized[i];
        plan_say(p, "%0 next to %1, %s", phrases);
    } else
        plan_say(p, relation_words(how), phrases);
    return DREAMO_OK;
}

/* ---- without a reference ---- */

static void plan_empty(const making *m, plan *p)
{
    p->s = scene_pick(m->r);
    scene_alone(&p->s, p->scene, sizeof p->scene);
    plan_say(p, "%s", NULL);
}

/* What references show: a thing, a head, a garment alone on white. */
static dreamo_status plan_on_white(const making *m, plan *p, dreamo_error *err)
{
    plan whole = { .wide = 1, .high = 1 };
    double which = rng_double(m->r);
    dreamo_status status;
    bool face = which < 0.30 && m->d->nfaces[DATA_TRAIN], garment = !face && which < 0.45 && m->d->nworn[DATA_TRAIN];
    if (face) status = plan_people(m, 1, &whole, err);
    else if (garment) status = plan_tryon(m, false, &whole, err);
    else status = plan_subject(m, &whole, err);
    if (status) {
        plan_free(&whole);
        return status;
    }
    const plan_ref *f = &whole.ref[0];
    p->white = true;
    memcpy(p->owned, whole.owned, sizeof p->owned), p->nowned = whole.nowned, whole.nowned = 0;
    snprintf(p->subject, sizeof p->subject, "%s", whole.subject);
    snprintf(p->scene, sizeof p->scene, "on a white background");
    actor *a = plan_add(p, &f->t, (placement){ p->wide / 2, p->high / 2, rng_range(m->r, m->o->scale_lo, m->o->ref_fill), 0, false }, 0);
    a->part = f->part;
    char phrase[160];
    const char *told = phrase;
    if (face) snprintf(phrase, sizeof phrase, "the head of %.100s", whole.subject);
    else if (garment) snprintf(phrase, sizeof phrase, "%.100s", whole.subject);
    else told = m->d->subjects[f->identity - 1].phrase;
    plan_say(p, "%0 %s", &told);
    plan_free(&whole);
    return DREAMO_OK;
}

/* Any kind's target, told in words. */
dreamo_status plan_t2i(const making *m, plan *p, dreamo_error *err)
{
    bool people = m->d->nfaces[DATA_TRAIN] > 0, clothes = people && m->d->nworn[DATA_TRAIN] > 0;
    double fate = rng_double(m->r);
    dreamo_status status = DREAMO_OK;
    if (fate < 0.04) plan_empty(m, p);
    else if (fate < 0.16) status = plan_on_white(m, p, err);
    else if (fate < 0.32) status = plan_subjects(m, p, err);
    else if (fate < 0.46 && people) status = plan_people(m, 1, p, err);
    else if (fate < 0.53 && people) status = plan_people(m, 2 + (rng_below(m->r, 4) == 0), p, err);
    else if (fate < 0.61 && clothes) status = plan_tryon(m, rng_below(m->r, 2) == 0, p, err);
    else if (fate < 0.65 && people) status = plan_id_subject(m, p, err);
    else status = plan_subject(m, p, err);
    if (status) return status;
    for (int i = 0; i < p->nactors; i++) /* one mask for all */
        if (p->actor[i].layer != NO_LAYER || p->actor[i].matte_layer != NO_LAYER) p->actor[i].layer = p->actor[i].matte_layer = 0;
    p->mask_all = p->nactors > 0;
    p->nrefs = 0;
    p->placed[0] = 0;
    if (rng_double(m->r) < 0.16) { /* in a style */
        p->style = filter_pick(DATA_TRAIN, m->r);
        size_t n = strlen(p->caption);
        snprintf(p->caption + n, sizeof p->caption - n, ", %s", filter_words(p->style.kind));
    }
    return DREAMO_OK;
}
