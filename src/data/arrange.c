/* arrange.c - who is picked, how each is seen, and where it stands. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "base/mem.h"
#include "data/plan.h"

#define MARGIN 0.03 /* free border around a subject */

/* ---- who ---- */

const subject *pick_subject(const making *m)
{
    const asset_set *d = m->d;
    if (m->split == DATA_VAL && !m->told) {
        const concept *c = &d->concepts[DATA_VAL][m->index % (uint64_t)d->nconcepts[DATA_VAL]];
        return &d->subjects[c->first + (int)rng_below(m->r, (uint32_t)c->count)];
    }
    int nflat = d->nflat[DATA_TRAIN], nsolid = d->nsolid[DATA_TRAIN];
    bool solid = rng_double(m->r) < m->o->solid_share;
    if (!nflat || (solid && nsolid)) return &d->subjects[d->solid[DATA_TRAIN][rng_below(m->r, (uint32_t)nsolid)]];
    return &d->subjects[d->flat[DATA_TRAIN][rng_below(m->r, (uint32_t)nflat)]];
}

/* Of another concept than those taken; held-out ones follow each other by name. */
const subject *pick_other_subject(const making *m, const subject *const *taken, int ntaken)
{
    making next = *m;
    const subject *s = NULL;
    for (int tries = 0; tries < 100; tries++) {
        next.index = m->index + 7u * (unsigned)ntaken + (unsigned)tries;
        s = pick_subject(&next);
        bool fresh = true;
        for (int i = 0; i < ntaken; i++) fresh = fresh && strcmp(s->concept, taken[i]->concept) != 0;
        if (fresh) break;
    }
    return s;
}

const person *pick_person(const making *m, int nth)
{
    const asset_set *d = m->d;
    data_split split = m->told ? DATA_TRAIN : m->split;
    int n = d->nfaces[split];
    if (split == DATA_VAL) return &d->people[d->faces[split][(m->index * 3 + (uint64_t)nth * 11) % (uint64_t)n]];
    return &d->people[d->faces[split][rng_below(m->r, (uint32_t)n)]];
}

/* ---- how ---- */

void look_pair(const subject *s, const data_params *o, rng *r, look *reference, look *target)
{
    int yaw = (int)rng_below(r, (uint32_t)s->yaws), pitch = (int)rng_below(r, (uint32_t)s->pitches), next = yaw;
    *reference = (look){ subject_tile(s, yaw, pitch), 0, false };
    if (s->yaws > 1 && o->view_step > 0) {
        int step = 1 + (int)rng_below(r, (uint32_t)o->view_step);
        next = rng_below(r, 2) ? yaw + step : yaw - step;
        if (next < 0 || next >= s->yaws) next = next < 0 ? yaw + step : yaw - step; /* turn the other way at the ends */
        if (next < 0 || next >= s->yaws) next = yaw;
    }
    *target = (look){ subject_tile(s, next, (int)rng_below(r, (uint32_t)s->pitches)), 0, false };
    double turn = rng_range(r, -o->turn, o->turn) / 360, flip = rng_double(r);
    if (s->yaws == 1) target->turn = turn, target->mirror = flip < o->mirror;
}

void look_extent(const tile *t, double turn, double scale, double *hx, double *hy)
{
    double longest = t->width > t->height ? t->width : t->height;
    double w = scale * t->width / longest, h = scale * t->height / longest;
    double sn = fabs(sine(turn)), cs = fabs(sine(turn + 0.25));
    *hx = (cs * w + sn * h) / 2;
    *hy = (sn * w + cs * h) / 2;
}

/* ---- where ---- */

scene scene_for(const float (*colours)[3], int n, rng *r)
{
    scene best = { 0 };
    double most = -1;
    for (int i = 0; i < 7 && most < 0.16; i++) {
        scene s = scene_pick(r);
        double least = 1;
        for (int k = 0; k < n; k++) {
            double c = scene_contrast(&s, colours[k]);
            least = c < least ? c : least;
        }
        if (least > most) best = s, most = least;
    }
    return best;
}

static double between(rng *r, double lo, double hi) { return lo < hi ? rng_range(r, lo, hi) : (lo + hi) / 2; }

double meet_tokens(const making *m, double at) { return m->ref_share / 2 + m->grid * round((at - m->ref_share / 2) / m->grid); }

double meet_tokens_below(const making *m, double at) { return m->ref_share / 2 + m->grid * ceil((at - m->ref_share / 2) / m->grid - 1e-9); }

/* One of the places in lo..hi from which tokens meet; where none does, the nearest to them. */
static double somewhere_met(const making *m, double lo, double hi)
{
    double middle = m->ref_share / 2;
    int first = (int)ceil((lo - middle) / m->grid - 1e-9), last = (int)floor((hi - middle) / m->grid + 1e-9);
    if (first > last) return meet_tokens(m, (lo + hi) / 2);
    return middle + m->grid * (first + (int)rng_below(m->r, (uint32_t)(last - first + 1)));
}

static double horizon_of(const plan *p) { return p->s.horizon * p->high; }

/* In the reference's size and where whole tokens match.  A subject may touch the border, and may stand a little into the ground. */
placement place_like_reference(const making *m, const plan *p, const look *l, double fill)
{
    placement at = { .scale = fill, .turn = l->turn, .mirror = l->mirror };
    double hx, hy;
    look_extent(&l->t, l->turn, fill, &hx, &hy);
    at.x = somewhere_met(m, hx, p->wide - hx);
    double ground = horizon_of(p) + 0.10 - hy, highest = p->s.horizon < 1 && ground > hy ? ground : hy, lowest = p->high - hy;
    at.y = somewhere_met(m, highest < lowest ? highest : lowest, lowest);
    return at;
}

double place_height(const plan *p, double hy, double nearness, rng *r)
{
    if (p->s.horizon >= 1) return between(r, hy + MARGIN, p->high - hy - MARGIN);
    double top = horizon_of(p) + 0.10, low = p->high - MARGIN; /* of the foot */
    if (top < 2 * hy + MARGIN) top = 2 * hy + MARGIN;
    return (top < low ? between(r, top + nearness * (low - top), low) : low) - hy;
}

placement place_freely(const plan *p, const data_params *o, const look *l, rng *r)
{
    placement at = { .scale = rng_range(r, o->scale_lo, o->scale_hi), .turn = l->turn, .mirror = l->mirror };
    double hx, hy;
    look_extent(&l->t, l->turn, at.scale, &hx, &hy);
    at.x = between(r, hx + MARGIN, p->wide - hx - MARGIN);
    at.y = place_height(p, hy, 0, r);
    return at;
}

/* ---- filling in a plan ---- */

actor *plan_add(plan *p, const tile *t, placement at, int layer)
{
    actor *a = &p->actor[p->nactors++];
    *a = (actor){ .t = *t, .at = at, .layer = layer, .matte_layer = layer };
    return a;
}

plan_ref *plan_refer(plan *p, data_task task, const tile *t, double fill, const char *name, uint64_t identity)
{
    unsigned taken = 0;
    int slot = 1;
    for (int i = 0; i < p->nrefs; i++) taken |= 1u << p->ref[i].slot;
    while (taken >> slot & 1) slot++;
    plan_ref *f = &p->ref[p->nrefs++];
    *f = (plan_ref){ .task = task, .slot = slot, .fill = fill, .identity = identity };
    if (t) f->t = *t;
    snprintf(f->name, sizeof f->name, "%s", name);
    return f;
}

void plan_slots(plan *p, const data_params *o, rng *r)
{
    if (rng_double(r) >= o->shuffle) return;
    unsigned taken = 0;
    for (int i = 0; i < p->nrefs; i++) {
        int slot;
        do slot = 1 + (int)rng_below(r, 9);
        while (taken >> slot & 1);
        taken |= 1u << slot;
        p->ref[i].slot = slot;
    }
}

unsigned char *plan_own(plan *p, size_t nbytes)
{
    return p->nowned < PLAN_OWNED ? p->owned[p->nowned++] = mem_calloc(nbytes, 1) : NULL;
}

void plan_free(plan *p)
{
    for (int i = 0; i < p->nrefs; i++) {
        if (!p->ref[i].look) continue;
        plan_free(p->ref[i].look);
        mem_free(p->ref[i].look);
    }
    for (int i = 0; i < p->nowned; i++) mem_free(p->owned[i]);
    *p = (plan){ 0 };
}

void plan_say(plan *p, const char *format, const char *const *phrases)
{
    for (int placed = 0; placed < 2; placed++) {
        char *out = placed ? p->placed : p->caption;
        size_t n = 0, room = sizeof p->caption;
        for (const char *f = format; *f && n + 1 < room; f++) {
            if (*f != '%') {
                out[n++] = *f;
                continue;
            }
            f++;
            if (*f == 's') n += (size_t)snprintf(out + n, room - n, "%s", p->scene);
            else {
                n += (size_t)snprintf(out + n, room - n, "%s", phrases[*f - '0']);
                if (placed && n < room) n += (size_t)snprintf(out + n, room - n, " [ref#%d]", p->ref[*f - '0'].slot);
            }
            if (n >= room) n = room - 1;
        }
        out[n] = 0;
    }
    if (!p->nrefs) p->placed[0] = 0;
}
