/* plan.h - a sample before it is drawn: who stands where in which scene, what each reference shows, and the words for it.
 *
 * Making a plan decides everything by one generator; drawing it (plan_draw.c) is a function of the plan alone. */
#ifndef DATA_PLAN_H
#define DATA_PLAN_H
#include "data/assets.h"
#include "data/filter.h"
#include "data/scene.h"

#define PLAN_ACTORS 8
#define PLAN_OWNED 8

/* One tile on the scene.  Layer k is the mask of reference k. */
typedef struct actor {
    tile t;
    placement at;
    tile_part part;
    int layer, matte_layer;
    bool standing;              /* throws a shadow on the ground */
} actor;

/* What a reference shows: a tile on white, or (look) another picture. */
typedef struct plan_ref {
    data_task task;
    int slot;
    tile t;
    tile_part part;
    double fill, turn;
    char name[64];
    uint64_t identity;
    struct plan *look;          /* owned; the reference is this plan's picture, tile and fill do not count */
} plan_ref;

typedef struct plan {
    double wide, high;          /* of the canvas, in shorter sides */
    bool white;                 /* on white, no scene */
    scene s;
    int nactors;
    actor actor[PLAN_ACTORS];   /* from the back to the front */
    filter style;               /* over the whole picture; FILTER_NONE */
    int nrefs;
    plan_ref ref[DATA_MAX_REFS];
    bool mask_all;              /* T2I: layer 0 is the subject's mask, and no reference's */
    char caption[512], placed[512], subject[128], scene[128];
    int nowned;
    unsigned char *owned[PLAN_OWNED]; /* pixels of tiles made for this sample */
} plan;

void          plan_free(plan *p);
dreamo_status plan_draw(const plan *p, const data_params *o, int width, int height, bitmap *out, dreamo_error *err, canvas *keep);

/* ---- making plans; each fills p, whose wide and high are set ---- */

typedef struct making {
    const asset_set *d;
    const data_params *o;
    data_split split;
    uint64_t index;
    rng *r;
    double ref_share, grid;     /* sides of a reference and of a token / shorter side of the target */
    bool told;                  /* captions tell all that the picture shows: T2I has no reference to carry it */
} making;

dreamo_status plan_subject(const making *m, plan *p, dreamo_error *err);
dreamo_status plan_subjects(const making *m, plan *p, dreamo_error *err);
dreamo_status plan_people(const making *m, int count, plan *p, dreamo_error *err);        /* 1: id; 2, 3: ids */
/* `who` alone, at a variant of any; the head of `shown` is the reference (NULL: none). */
dreamo_status plan_person(const making *m, const person *who, const person *shown, plan *p, dreamo_error *err);
dreamo_status plan_tryon(const making *m, bool own_face, plan *p, dreamo_error *err);      /* own_face: id-tryon */
dreamo_status plan_id_subject(const making *m, plan *p, dreamo_error *err);
dreamo_status plan_style(const making *m, plan *p, dreamo_error *err);
dreamo_status plan_id_style(const making *m, plan *p, dreamo_error *err);
dreamo_status plan_subject_style(const making *m, plan *p, dreamo_error *err);
dreamo_status plan_t2i(const making *m, plan *p, dreamo_error *err);

/* ---- pieces they share (arrange.c, words.c) ---- */

/* How a subject is seen. */
typedef struct look { tile t; double turn; bool mirror; } look;
void  look_pair(const subject *s, const data_params *o, rng *r, look *reference, look *target);
void  look_extent(const tile *t, double turn, double scale, double *hx, double *hy); /* half width and height */

const subject *pick_subject(const making *m);                      /* by index in VAL */
const subject *pick_other_subject(const making *m, const subject *const *taken, int ntaken);
const person  *pick_person(const making *m, int nth);              /* the nth of a sample: all different, one system */

/* A scene on which none of these colours vanishes. */
scene scene_for(const float (*colours)[3], int n, rng *r);
placement place_freely(const plan *p, const data_params *o, const look *l, rng *r);
placement place_like_reference(const making *m, const plan *p, const look *l, double fill);
/* The nearest place to `at` of something's middle, or the nearest below, from which its tokens are those of its reference: drawn in the middle of
 * that, it is whole tokens away. */
double meet_tokens(const making *m, double at);
double meet_tokens_below(const making *m, double at);
/* Foot of something of this half height: on the ground between `nearest` and the horizon, or anywhere where there is none; y of its middle. */
double place_height(const plan *p, double hy, double nearness, rng *r);

actor        *plan_add(plan *p, const tile *t, placement at, int layer);
plan_ref     *plan_refer(plan *p, data_task task, const tile *t, double fill, const char *name, uint64_t identity);
/* Slots 1, 2, ... or, as often as o->shuffle says, others. */
void          plan_slots(plan *p, const data_params *o, rng *r);
unsigned char *plan_own(plan *p, size_t nbytes);                   /* NULL: no memory */

/* Both captions by one format: %k (k = 0..3) is the phrase of reference k, in `placed` followed by its placeholder; %s the scene. */
void plan_say(plan *p, const char *format, const char *const *phrases);
#endif
