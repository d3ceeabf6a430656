/* plan_people.c - persons and what they wear. */
#include <stdio.h>
#include <string.h>
#include "base/error.h"
#include "data/plan.h"
#include "data/wardrobe.h"

static uint64_t identity_of(const making *m, const person *p) { return 1000000u + (uint64_t)(p - m->d->people); }

static void name_of(const making *m, const person *p, char *out, size_t nbytes)
{
    snprintf(out, nbytes, "%.40s %05d", p->system, (int)(p - m->d->people));
}

/* Two variants of a person, different where there are two. */
static void pick_variants(const making *m, const person *p, int *reference, int *target)
{
    *reference = *target = (int)rng_below(m->r, (uint32_t)p->nvariants);
    if (p->nvariants > 1) *target = (*reference + 1 + (int)rng_below(m->r, (uint32_t)p->nvariants - 1)) % p->nvariants;
}

/* "a man with a beard, smiling, in a blue hoodie"; what the reference carries is told as often as o->words says. */
static void person_phrase(const making *m, const person *p, const variant *v, bool clothes, char *out, size_t nbytes)
{
    bool told = m->told || rng_double(m->r) < m->o->words;
    size_t n = (size_t)snprintf(out, nbytes, "%s", told && *p->words ? p->words : p->noun);
    if (*v->expression && n < nbytes && (m->told || rng_double(m->r) < 0.8)) n += (size_t)snprintf(out + n, nbytes - n, " %s", v->expression);
    if (clothes && *v->clothes && n < nbytes && (m->told || rng_double(m->r) < 0.8)) snprintf(out + n, nbytes - n, " in %s", v->clothes);
}

static void mean_colour(const tile *t, float mean[3])
{
    double sum[3] = { 0 }, n = 1e-9;
    for (int y = 0; y < t->height; y += 2)
        for (int x = 0; x < t->width; x += 2) {
            const unsigned char *p = t->rgba + 4 * ((size_t)y * (size_t)t->row + (size_t)x);
            for (int k = 0; k < 3; k++) sum[k] += p[3] * p[k] / 65025.0;
            n += p[3] / 255.0;
        }
    for (int k = 0; k < 3; k++) mean[k] = (float)(sum[k] / n);
}

static void settle(const making *m, plan *p, const tile *t, int n)
{
    float colours[4][3];
    for (int i = 0; i < n; i++) mean_colour(&t[i], colours[i]);
    p->s = scene_for((const float (*)[3])colours, n, m->r);
    scene_phrase(&p->s, p->scene, sizeof p->scene);
}

/* Can a reference show something in its size, `shown` in the target, so that enough is seen? */
static bool fits(const making *m, double shown) { return shown >= 0.4 * m->ref_share && shown <= 0.97 * m->ref_share; }

/* How much of a reference it fills then, if so it shall be. */
static double fill_of(const making *m, double shown, bool same) { return same && fits(m, shown) ? shown / m->ref_share : m->o->ref_fill; }

static double longest(const tile *t) { return t->width > t->height ? t->width : t->height; }

/* Moves a bust down, for below it is cut off, so that a part of its frame, which is to be in the reference's size, stands whole tokens away from
 * there.  `v`: the variant that the part is of; all variants of a person have one frame. */
static void meet_part(const making *m, actor *a, const person *who, int target, const tile *part, int v)
{
    double unit = a->at.scale / longest(&a->t);
    int64_t pixels = (int64_t)who->width * who->height;
    int64_t here = (a->t.rgba - who->rgba) / 4 - pixels * target, there = (part->rgba - who->rgba) / 4 - pixels * v;
    double x = ((double)(there % who->width - here % who->width) + (part->width - a->t.width) / 2.0) * unit;
    double y = ((double)(there / who->width - here / who->width) + (part->height - a->t.height) / 2.0) * unit;
    if (!fits(m, unit * longest(part))) return;
    a->at.x = meet_tokens(m, a->at.x + x) - x;
    a->at.y = meet_tokens_below(m, a->at.y + y) - y;
}

/* A reference's head.  `shown`: the longest side of such a head in the target; `same`: in that size, if it fits. */
static void refer_head(const making *m, plan *p, const person *who, int v, double shown, bool same)
{
    char name[64];
    tile head = person_tile(who, v, true);
    name_of(m, who, name, sizeof name);
    plan_refer(p, DATA_FACE, &head, fill_of(m, shown, same), name, identity_of(m, who))->part = PART_PLAIN;
}

/* The reference of whom bust `a` shows, in variant v; its head is drawn in the scale of the bust where it is to be the same. */
static void refer_bust(const making *m, plan *p, actor *a, const person *who, int target, int v, bool same)
{
    tile head = person_tile(who, v, true);
    if (same) meet_part(m, a, who, target, &head, v);
    refer_head(m, p, who, v, a->at.scale * longest(&head) / longest(&a->t), same);
}

/* A bust in column i of n; busts are cut off below, so they stand on the lower border. */
static actor *add_bust(const making *m, plan *p, const tile *t, int i, int n, int layer)
{
    double column = p->wide / n, hx, hy, scale = n == 1 ? rng_range(m->r, 0.60, 0.88) : rng_range(m->r, 0.80, 0.98) * (n == 2 ? 0.62 : 0.46);
    look_extent(t, 0, 1, &hx, &hy);
    if (2 * hx * scale > 1.04 * column) scale = 1.04 * column / (2 * hx);
    if (2 * hy * scale > 0.94 * p->high) scale = 0.94 * p->high / (2 * hy);
    look_extent(t, 0, scale, &hx, &hy);
    double slack = column / 2 - hx > 0 ? column / 2 - hx : 0;
    actor *a = plan_add(p, t, (placement){ (i + 0.5) * column + rng_range(m->r, -0.8, 0.8) * slack, p->high - hy + 0.005, scale, 0, false }, layer);
    a->matte_layer = NO_LAYER; /* the mask is the head; clothes are not the person's identity */
    return a;
}

dreamo_status plan_people(const making *m, int count, plan *p, dreamo_error *err)
{
    const person *who[3] = { NULL };
    tile bust[3];
    int reference[3], target[3];
    char phrase[3][200];
    const char *phrases[3];
    (void)err;
    bool same = rng_double(m->r) < m->o->same;
    for (int i = 0; i < count; i++) {
        bool fresh = false;
        for (int tries = 0; tries < 50 && !fresh; tries++) {
            who[i] = pick_person(m, i + tries);
            fresh = true;
            for (int k = 0; k < i; k++) fresh = fresh && who[k] != who[i] && (!*who[i]->twin || strcmp(who[k]->twin, who[i]->twin) != 0);
        }
        pick_variants(m, who[i], &reference[i], &target[i]);
        bust[i] = person_tile(who[i], target[i], false);
        person_phrase(m, who[i], &who[i]->variants[target[i]], true, phrase[i], sizeof phrase[i]);
        phrases[i] = phrase[i];
    }
    settle(m, p, bust, count);
    snprintf(p->subject, sizeof p->subject, "%s", *who[0]->words ? who[0]->words : who[0]->noun);
    for (int i = 0; i < count; i++) {
        actor *a = add_bust(m, p, &bust[i], i, count, i);
        refer_bust(m, p, a, who[i], target[i], reference[i], same);
    }
    plan_slots(p, m->o, m->r);
    static const char *const pairs[] = { "%0 to the left of %1, %s", "%0 next to %1, %s", "%0 and %1, %s" };
    static const char *const rows[] = { "%0, %1 and %2 side by side, %s", "%0 on the left, %1 in the middle and %2 on the right, %s" };
    plan_say(p, count == 1 ? "%0, %s" : count == 2 ? pairs[rng_below(m->r, 3)] : rows[rng_below(m->r, 2)], phrases);
    return DREAMO_OK;
}

dreamo_status plan_person(const making *m, const person *who, const person *shown, plan *p, dreamo_error *err)
{
    int v = (int)rng_below(m->r, (uint32_t)who->nvariants), reference = shown ? (int)rng_below(m->r, (uint32_t)shown->nvariants) : 0;
    tile bust = person_tile(who, v, false), head = person_tile(who, v, true);
    char phrase[200];
    const char *phrases = phrase;
    (void)err;
    settle(m, p, &bust, 1);
    actor *a = add_bust(m, p, &bust, 0, 1, shown ? 0 : NO_LAYER);
    if (shown) refer_head(m, p, shown, reference, a->at.scale * longest(&head) / longest(&bust), rng_double(m->r) < m->o->same);
    plan_slots(p, m->o, m->r);
    snprintf(p->subject, sizeof p->subject, "%s", *who->words ? who->words : who->noun);
    person_phrase(m, who, &who->variants[v], true, phrase, sizeof phrase);
    plan_say(p, "%0, %s", &phrases);
    return DREAMO_OK;
}

/* ---- clothes ---- */

static const garment *pick_garment(const making *m, int part)
{
    const asset_set *d = m->d;
    data_split split = m->told ? DATA_TRAIN : m->split;
    const garment *g = NULL;
    for (int tries = 0; tries < 60; tries++) {
        g = &d->garments[d->worn[split][rng_below(m->r, (uint32_t)d->nworn[split])]];
        if (part < 0 ? g->part != GARMENT_BOTTOM : (int)g->part == part) break;
    }
    return g;
}

static void skin_of(const tile *head, unsigned char skin[3])
{
    tile cheek = *head; /* the middle of the face, below the eyes */
    cheek.width = head->width / 5 + 1, cheek.height = head->height / 8 + 1;
    cheek.rgba += 4 * ((size_t)(head->height * 5 / 8) * (size_t)head->row + (size_t)(head->width * 2 / 5));
    float mean[3];
    mean_colour(&cheek, mean);
    for (int k = 0; k < 3; k++) skin[k] = (unsigned char)(mean[k] * 255);
}

/* A point of the body's tile in the picture. */
static placement fitted(const placement *body, const fit *f, const tile *t)
{
    double width = f->width * body->scale;
    return (placement){ body->x + f->x * body->scale, body->y + (f->y - 0.5) * body->scale, width * longest(t) / t->width, 0, false };
}

static uint64_t garment_identity(const making *m, const worn *w)
{
    return 2000000u + ((uint64_t)(w->g - m->d->garments) * 10000u + (uint64_t)w->number) * 4096u + (uint64_t)(w->colour * 256 + w->second * 8 + w->pattern);
}

/* A drawn figure with a person's head and one or two garments; `own_face`: the head comes from a reference, too. */
static dreamo_status plan_figure(const making *m, bool own_face, plan *p, dreamo_error *err)
{
    const person *who = pick_person(m, 0);
    int reference, target, pieces = rng_below(m->r, 5) < 2 ? 2 : 1;
    pick_variants(m, who, &reference, &target);
    tile head = person_tile(who, target, true), clothes[2], body;
    worn w[2];
    char words[2][96], phrase[3][200];
    const char *phrases[3];
    unsigned char skin[3], *pixels = plan_own(p, BODY_WIDE * BODY_HIGH * 4);
    for (int i = 0; i < pieces; i++) {
        unsigned char *rgba = plan_own(p, WORN_SIDE * WORN_SIDE * 4);
        if (!pixels || !rgba) return fail(err, DREAMO_MEMORY, "no memory for a drawing");
        w[i] = worn_pick(pick_garment(m, pieces == 1 ? -1 : i ? GARMENT_BOTTOM : GARMENT_TOP), m->r);
        clothes[i] = worn_draw(&w[i], rgba);
        worn_words(&w[i], words[i], sizeof words[i]);
    }
    skin_of(&head, skin);
    body = body_draw(skin, (int)rng_below(m->r, 4), pixels);
    settle(m, p, clothes, pieces);
    bool close = pieces == 1 && w[0].g->part == GARMENT_TOP && rng_below(m->r, 5) < 3; /* down to the hips */
    placement at = { .scale = close ? rng_range(m->r, 1.15, 1.45) : rng_range(m->r, 0.72, 0.80) };
    at.x = p->wide / 2 + rng_range(m->r, -1, 1) * (close ? 0.08 : 0.22) * p->wide;
    double top = rng_range(m->r, 0.03, 0.07) + 0.19 * at.scale; /* of the body: the head is above it */
    at.y = close ? top + at.scale / 2 : p->high - 0.02 - at.scale / 2;
    fit neck = fit_head;
    neck.y = 0.045 - 0.5 * fit_head.width * head.height / head.width; /* the chin, or the end of the neck, a little below the body's top */
    bool same_face = own_face && rng_double(m->r) < m->o->same, same = rng_double(m->r) < m->o->same;
    placement face = fitted(&at, &neck, &head), dress = fitted(&at, &fit_part[w[0].g->part], &clothes[0]);
    if (same_face || same) { /* one of the references meets its tokens */
        const placement *met = same_face && fits(m, face.scale) ? &face : &dress;
        if (fits(m, met->scale)) at.x += meet_tokens(m, met->x) - met->x, at.y += meet_tokens(m, met->y) - met->y;
    }
    plan_add(p, &body, at, NO_LAYER)->standing = !close;
    int first = own_face;
    for (int i = pieces - 1; i >= 0; i--) plan_add(p, &clothes[i], fitted(&at, &fit_part[w[i].g->part], &clothes[i]), first + i);
    actor *a = plan_add(p, &head, fitted(&at, &neck, &head), own_face ? 0 : NO_LAYER);
    a->part = PART_PLAIN;
    a->matte_layer = NO_LAYER;
    if (own_face) refer_head(m, p, who, reference, a->at.scale, same_face);
    for (int i = 0; i < pieces; i++) {
        double shown = p->actor[1 + (pieces - 1 - i)].at.scale;
        char name[64];
        snprintf(name, sizeof name, "%s %d", w[i].g->name, w[i].number);
        plan_refer(p, DATA_IP, &clothes[i], fill_of(m, shown, same), name, garment_identity(m, &w[i]));
    }
    plan_slots(p, m->o, m->r);
    snprintf(p->subject, sizeof p->subject, "%.63s", words[0]);
    person_phrase(m, who, &(variant){ "", "" }, false, phrase[2], sizeof phrase[2]);
    /* told, or only that it is a garment of this kind */
    for (int i = 0; i < pieces; i++) {
        bool told = m->told || rng_double(m->r) < m->o->words;
        bool many = w[i].g->part == GARMENT_BOTTOM;
        if (told) snprintf(phrase[i], sizeof phrase[i], "%s", words[i]);
        else snprintf(phrase[i], sizeof phrase[i], "%s%s", many ? "" : "a ", w[i].g->name);
    }
    char format[256];
    const char *wear = pieces == 2 ? (own_face ? "wearing %1 and %2" : "wearing %0 and %1") : own_face ? "wearing %1" : "wearing %0";
    if (own_face) snprintf(format, sizeof format, "%%0 %s, %%s", wear);
    else snprintf(format, sizeof format, "%.150s %s, %%s", phrase[2], wear);
    phrases[0] = own_face ? phrase[2] : phrase[0];
    phrases[1] = own_face ? phrase[0] : phrase[1];
    phrases[2] = phrase[1];
    plan_say(p, format, phrases);
    return DREAMO_OK;
}

/* The clothes of a bust alone; false where hardly any are seen. */
static bool cut_clothes(const tile *bust, tile *cut)
{
    int top = bust->height, bottom = -1, left = bust->width, right = -1;
    for (int y = 0; y < bust->height; y++)
        for (int x = 0; x < bust->width; x++)
            if (bust->matte[(size_t)y * (size_t)bust->row + (size_t)x] > 127) {
                top = y < top ? y : top, bottom = y > bottom ? y : bottom;
                left = x < left ? x : left, right = x > right ? x : right;
            }
    if (bottom < 0 || 4 * (bottom - top + 1) < right - left + 1) return false;
    *cut = *bust;
    cut->rgba += 4 * ((size_t)top * (size_t)bust->row + (size_t)left);
    cut->matte += (size_t)top * (size_t)bust->row + (size_t)left;
    cut->width = right - left + 1, cut->height = bottom - top + 1;
    return true;
}

/* An avatar in the clothes of a reference, cut out of another drawing by the matte. */
static dreamo_status plan_avatar(const making *m, bool own_face, plan *p, dreamo_error *err)
{
    const person *who = NULL;
    int reference = 0, target = 0, tries = 0;
    char phrase[2][200], format[256], name[64];
    tile bust, cut;
    do {
        if (tries == 200) return fail(err, DREAMO_CONTENT, "the dataset has no person whose clothes are seen");
        who = pick_person(m, tries++);
        pick_variants(m, who, &reference, &target);
        bust = person_tile(who, target, false);
    } while (!cut_clothes(&bust, &cut));
    const variant *v = &who->variants[target];
    settle(m, p, &bust, 1);
    actor *a = add_bust(m, p, &bust, 0, 1, own_face ? 0 : NO_LAYER);
    a->matte_layer = own_face;
    bool same = rng_double(m->r) < m->o->same;
    if (own_face) refer_bust(m, p, a, who, target, reference, same);
    else if (same) meet_part(m, a, who, target, &cut, target);
    double shown = a->at.scale * longest(&cut) / longest(&bust);
    snprintf(name, sizeof name, "%.30s, %.28s", *v->clothes ? v->clothes : "clothes", who->system);
    plan_refer(p, DATA_IP, &cut, fill_of(m, shown, same), name, identity_of(m, who) * 64u + (uint64_t)target + 500000000u)->part = PART_MATTE;
    plan_slots(p, m->o, m->r);
    snprintf(p->subject, sizeof p->subject, "%.63s", *v->clothes ? v->clothes : "clothes");
    person_phrase(m, who, &(variant){ v->expression, "" }, false, phrase[0], sizeof phrase[0]);
    bool told = *v->clothes && (m->told || rng_double(m->r) < m->o->words);
    snprintf(phrase[1], sizeof phrase[1], "%s", told ? v->clothes : "clothes");
    if (own_face) {
        plan_say(p, "%0 wearing %1, %s", (const char *const[]){ phrase[0], phrase[1] });
        return DREAMO_OK;
    }
    snprintf(format, sizeof format, "%.200s wearing %%0, %%s", phrase[0]);
    plan_say(p, format, (const char *const[]){ phrase[1] });
    return DREAMO_OK;
}

dreamo_status plan_tryon(const making *m, bool own_face, plan *p, dreamo_error *err)
{
    bool figure = m->d->nworn[m->told ? DATA_TRAIN : m->split] > 0 && rng_below(m->r, 10) < 7;
    return figure ? plan_figure(m, own_face, p, err) : plan_avatar(m, own_face, p, err);
}

/* ---- a person and a thing ---- */

dreamo_status plan_id_subject(const making *m, plan *p, dreamo_error *err)
{
    const person *who = pick_person(m, 0);
    const subject *s = pick_subject(m);
    int reference, target, side = (int)rng_below(m->r, 2);
    char phrase[200];
    look shown, seen;
    (void)err;
    pick_variants(m, who, &reference, &target);
    look_pair(s, m->o, m->r, &shown, &seen);
    tile both[2] = { person_tile(who, target, false), seen.t };
    settle(m, p, both, 2);
    actor *a = add_bust(m, p, &both[0], side, 2, 0);
    double hx, hy, size = rng_range(m->r, 0.36, 0.48);
    look_extent(&seen.t, seen.turn, size, &hx, &hy);
    double x = (1.5 - side) * p->wide / 2;
    placement at = { x, p->high - hy - rng_range(m->r, 0.02, 0.10), size, seen.turn, seen.mirror };
    bool same = rng_double(m->r) < m->o->same;
    if (same && fits(m, size)) at = (placement){ meet_tokens(m, at.x), meet_tokens(m, at.y), size, 0, false };
    plan_add(p, &seen.t, at, 1)->standing = true;
    refer_bust(m, p, a, who, target, reference, same);
    plan_refer(p, DATA_IP, &shown.t, fill_of(m, size, same), s->concept,
               (uint64_t)(s - m->d->subjects) + 1);
    plan_slots(p, m->o, m->r);
    person_phrase(m, who, &who->variants[target], true, phrase, sizeof phrase);
    snprintf(p->subject, sizeof p->subject, "%s", s->concept);
    plan_say(p, side ? "%0 to the right of %1, %s" : "%0 to the left of %1, %s", (const char *const[]){ phrase, s->phrase });
    return DREAMO_OK;
}
