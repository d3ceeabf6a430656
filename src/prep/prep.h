/* prep.h - from a picture to what the model sees of it (spec 1): read, upright, cut out as the task wants it, brought to size.
 *
 * One prep serves many calls and threads; networks are opened when first wanted, and one picture is prepared at a time. */
#ifndef PREP_PREP_H
#define PREP_PREP_H
#include "base/report.h"
#include "format/image_file.h"
#include "nn/backend.h"

typedef struct prep prep;

typedef struct prep_choice {
    const char *networks;    /* folder; NULL: places.h */
    const char *cutter;      /* "auto" (NULL), "ben2", "isnet", "own", "plain" */
    const char *cache;       /* folder for results; NULL: none */
    int threads;             /* of the processor; 0: all */
} prep_choice;

dreamo_status prep_open(const prep_choice *c, prep **out, dreamo_error *err);
void          prep_close(prep *p); /* NULL is allowed */

typedef struct prepared {
    bitmap rgb;
    dreamo_task task;        /* ip, id or style: auto has decided */
    int width, height;       /* of the picture that it was */
    char sha256[65];         /* of its file, or of the caller's pixels */
    char how[200];           /* "cut out by BEN2", "face 1 of 2 (0.99)" */
} prepared;

/* Sides of references that do not say theirs. */
typedef struct prep_sides { int ip, id, style; } prep_sides;

/* name: of the picture in messages.  Sides of the result are multiples of `cell`, its area about that of a square of r->res, or of `sides` where that is 0.
 * dev: on which the networks compute, nobody else's during the call; NULL: the processor.  Says NOTE and WARNING lines. */
dreamo_status prep_run(prep *p, device *dev, const dreamo_reference *r, const char *name, int cell, prep_sides sides, const reporter *to, prepared *out, dreamo_error *err);
/* What a reference asks for, without looking at its picture: `what` begins the message ("reference 1"). */
dreamo_status prep_check(const dreamo_reference *r, const char *what, dreamo_error *err);
#endif
