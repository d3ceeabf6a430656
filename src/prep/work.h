/* work.h - one reference being prepared: the networks at hand, the picture, what is known of it. */
#ifndef PREP_WORK_H
#define PREP_WORK_H
#include "base/report.h"
#include "prep/networks.h"
#include "prep/own_net.h"
#include "prep/places.h"

/* Opened when they are first wanted, kept after. */
typedef struct tools {
    places at;
    char *cutter;            /* "auto", "ben2", "isnet", "own", "plain" */
    device *dev;             /* on which the networks compute now */
    device *own_device;      /* the processor, opened when it is first wanted */
    int threads;             /* of that */
    cut_net *cut;
    own_net *own;
    face_net *faces;
    parse_net *parser;
} tools;

typedef struct work {
    tools *t;
    const dreamo_reference *r;
    const char *name;        /* for messages */
    const reporter *to;
    bitmap rgb;              /* the picture; what is left of it */
    dreamo_task task;        /* auto decides */
    bool holes;              /* it came with its thing cut out */
    char how[200];           /* what was done, in a few words */
    char told[800];          /* lines, each with W or N before it: said again when the result comes from a store */
    face_list found;         /* auto has looked already */
    bool looked;
} work;

/* thing.c: white where the thing is not.  portrait.c: the face alone, upright, on white; and whether there is one that is what the picture shows. */
dreamo_status cut_thing(work *w, dreamo_error *err);
dreamo_status cut_mask(work *w, const bitmap *rgb, unsigned char *alpha, bool *found, const char **which, dreamo_error *err);
void          whiten(bitmap *rgb, const unsigned char *alpha);
dreamo_status cut_face(work *w, dreamo_error *err);
void          keep_face(unsigned char *labels); /* of a parsed square: they become its mask */
dreamo_status cut_garment(work *w, dreamo_error *err);
dreamo_status choose_task(work *w, dreamo_error *err);

/* A network's progress is a chance to stop. */
bool          work_tick(void *user, double share);
dreamo_status work_note(work *w, dreamo_event_kind kind, dreamo_error *err, const char *format, ...) __attribute__((format(printf, 4, 5)));
#endif
