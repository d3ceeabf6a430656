/* plan_style.c - the style of one picture on the content of another.
 *
 * A style is either a filter over a whole picture, or the way a set of drawings or a system of avatars is drawn.  Captions begin as
 * DreamO's do for this task (spec: the style prefix). */
#include <stdio.h>
#include <string.h>
#include "base/error.h"
#include "base/mem.h"
#include "data/plan.h"

#define PREFIX "generate a same style image. "

/* A plan of another picture, as a reference to its looks. */
static plan *new_look(plan *p, const char *name, uint64_t identity, dreamo_error *err)
{
    plan *other = mem_calloc(1, sizeof *other);
    if (!other) {
        fail(err, DREAMO_MEMORY, "no memory for a plan");
        return NULL;
    }
    other->wide = other->high = 1;
    plan_refer(p, DATA_LOOK, NULL, 1, name, identity)->look = other;
    return other;
}

static dreamo_status any_picture(const making *m, plan *p, dreamo_error *err)
{
    making other = *m;
    other.told = true; /* of what training shows: only the style counts */
    if (m->d->nfaces[DATA_TRAIN] && rng_below(m->r, 3) == 0) return plan_people(&other, 1, p, err);
    return plan_subject(&other, p, err);
}

/* One filter over p and over a second picture, which becomes p's last reference. */
static dreamo_status filter_both(const making *m, plan *p, dreamo_error *err)
{
    p->style = filter_pick(m->split, m->r);
    plan *other = new_look(p, filter_name(p->style.kind), 3000000u + (uint64_t)p->style.kind, err);
    if (!other) return DREAMO_MEMORY;
    dreamo_status status = any_picture(m, other, err);
    other->style = p->style;
    return status;
}

static void say_with_prefix(plan *p)
{
    char text[sizeof p->caption];
    snprintf(text, sizeof text, "%s", p->caption);
    snprintf(p->caption, sizeof p->caption, PREFIX "%.*s", (int)(sizeof p->caption - sizeof PREFIX), text);
}

/* Another drawing of the same set. */
static const subject *same_set(const making *m, const subject *s)
{
    const asset_set *d = m->d;
    const int *list = s->odd_style ? d->odd : d->flat[DATA_TRAIN];
    int n = s->odd_style ? d->nodd : d->nflat[DATA_TRAIN];
    for (int tries = 0; tries < 400; tries++) {
        const subject *x = &d->subjects[list[rng_below(m->r, (uint32_t)n)]];
        if (!strcmp(x->set, s->set) && strcmp(x->concept, s->concept) != 0) return x;
    }
    return NULL;
}

static uint64_t style_identity(const char *set) { return 4000000u + hash_fnv1a(set, strlen(set)) % 1000000u; }

/* One drawing on a scene of its own. */
static void show_drawing(const making *m, plan *p, const subject *s)
{
    look unused, l;
    look_pair(s, m->o, m->r, &unused, &l);
    p->s = scene_for(&s->mean, 1, m->r);
    scene_phrase(&p->s, p->scene, sizeof p->scene);
    plan_add(p, &l.t, place_freely(p, m->o, &l, m->r), NO_LAYER)->standing = true;
}

/* Concept Y in the set's way of drawing, the reference being X in it. */
static dreamo_status plan_set_style(const making *m, plan *p, bool *done, dreamo_error *err)
{
    const asset_set *d = m->d;
    const subject *y = m->split == DATA_VAL ? &d->subjects[d->odd[rng_below(m->r, (uint32_t)d->nodd)]]
                                            : &d->subjects[d->flat[DATA_TRAIN][rng_below(m->r, (uint32_t)d->nflat[DATA_TRAIN])]];
    const subject *x = same_set(m, y);
    *done = x != NULL;
    if (!x) return DREAMO_OK;
    show_drawing(m, p, y);
    snprintf(p->subject, sizeof p->subject, "%s", y->concept);
    plan_say(p, "%0 %s", &y->phrase);
    plan *other = new_look(p, y->set, style_identity(y->set), err);
    if (!other) return DREAMO_MEMORY;
    show_drawing(m, other, x);
    return DREAMO_OK;
}

static void drop_refs(plan *p)
{
    p->nrefs = 0;
    p->placed[0] = 0;
}

dreamo_status plan_style(const making *m, plan *p, dreamo_error *err)
{
    const asset_set *d = m->d;
    bool sets = m->split == DATA_VAL ? d->nodd > 1 : d->nflat[DATA_TRAIN] > 1, done = false;
    dreamo_status status = DREAMO_OK;
    /* Sets of drawings are hard to tell apart: training shows more of the filters, which can be read off a reference. */
    if (sets && rng_below(m->r, 20) < (m->split == DATA_TRAIN ? 3 : 9)) status = plan_set_style(m, p, &done, err);
    if (!status && !done) {
        making content = *m;
        bool person = d->nfaces[m->split] && rng_below(m->r, 4) == 0;
        content.told = m->split == DATA_TRAIN; /* held-out things by index; else whatever training shows */
        status = person ? plan_people(&content, 1, p, err) : plan_subject(&content, p, err);
        drop_refs(p); /* only the style is given */
        for (int i = 0; i < p->nactors; i++) p->actor[i].layer = p->actor[i].matte_layer = NO_LAYER;
        if (!status) status = filter_both(m, p, err);
    }
    p->placed[0] = 0;
    say_with_prefix(p);
    return status;
}

/* The same attributes in another system; NULL: nobody. */
static const person *twin_of(const making *m, const person *who)
{
    const asset_set *d = m->d;
    const person *found = NULL;
    uint32_t n = 0;
    for (int i = 0; *who->twin && i < d->npeople; i++) {
        const person *x = &d->people[i];
        if (x == who || strcmp(x->twin, who->twin) != 0 || !strcmp(x->system, who->system)) continue;
        if (m->split == DATA_TRAIN && x->odd_style) continue;
        if (m->split == DATA_VAL && found && found->odd_style && !x->odd_style) continue;
        bool better = m->split == DATA_VAL && x->odd_style && !(found && found->odd_style);
        if (better || rng_below(m->r, ++n) == 0) found = x;
    }
    return found;
}

/* Somebody else of a system. */
static const person *same_system(const making *m, const person *who)
{
    const asset_set *d = m->d;
    for (int tries = 0; tries < 400; tries++) {
        const person *x = who->odd_style ? &d->people[d->odd_faces[rng_below(m->r, (uint32_t)d->nodd_faces)]]
                                         : &d->people[d->faces[DATA_TRAIN][rng_below(m->r, (uint32_t)d->nfaces[DATA_TRAIN])]];
        if (!strcmp(x->system, who->system) && x != who && (!*x->twin || strcmp(x->twin, who->twin) != 0)) return x;
    }
    return NULL;
}

/* A person drawn in another system, whose ways a picture of somebody else shows. */
static dreamo_status plan_redrawn(const making *m, plan *p, bool *done, dreamo_error *err)
{
    const person *who = pick_person(m, 0), *redrawn = twin_of(m, who), *else_one = redrawn ? same_system(m, redrawn) : NULL;
    *done = else_one != NULL;
    if (!else_one) return DREAMO_OK;
    making one = *m;
    dreamo_status status = plan_person(&one, redrawn, who, p, err);
    if (status) return status;
    plan *other = new_look(p, redrawn->system, style_identity(redrawn->system), err);
    return other ? plan_person(&one, else_one, NULL, other, err) : DREAMO_MEMORY;
}

dreamo_status plan_id_style(const making *m, plan *p, dreamo_error *err)
{
    bool done = false;
    dreamo_status status = DREAMO_OK;
    if (rng_below(m->r, 2)) status = plan_redrawn(m, p, &done, err);
    if (!status && !done) {
        status = plan_people(m, 1, p, err);
        if (!status) status = filter_both(m, p, err);
    }
    say_with_prefix(p);
    p->placed[0] = 0;
    return status;
}

dreamo_status plan_subject_style(const making *m, plan *p, dreamo_error *err)
{
    dreamo_status status = plan_subject(m, p, err);
    if (!status) status = filter_both(m, p, err);
    say_with_prefix(p);
    p->placed[0] = 0;
    return status;
}
