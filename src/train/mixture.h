/* mixture.h - what is drawn how often: kinds of task, sizes of pictures, sides of references, as a recipe lists them.
 *
 *     kinds = subject:4 subjects:3 style        pictures = 128x128:6 128x96 96x128        ref_sides = 128 96 64 ids/64
 *
 * A share is a positive number after a colon, 1 where there is none; only their ratios count. */
#ifndef TRAIN_MIXTURE_H
#define TRAIN_MIXTURE_H
#include "base/error.h"
#include "base/rng.h"

#define MIXTURE_MAX 16

typedef enum mixture_of { MIXTURE_KINDS, MIXTURE_SIZES, MIXTURE_SIDES } mixture_of;

/* a: a kind, a width, a side; b: the height of a size, 1 + the kind that alone has this side (0: those that have none of their own). */
typedef struct mixture_part { int a, b; double share; } mixture_part;
typedef struct mixture { int n; mixture_part part[MIXTURE_MAX]; } mixture;

/* Kinds may read "auto": n = 0, the stage decides.  A size may be a side alone; 256x0 asks for each picture's own proportions in the area of
 * 256 x 256, 0x0 for its own size (sample.h).
 * A side 0: as long as the target's shorter one; at least one must be without a kind.  The message begins "where: name = ". */
dreamo_status mixture_read(mixture *m, mixture_of of, const char *where, const char *name, const char *text, dreamo_error *err);
void          mixture_write(const mixture *m, mixture_of of, char *out, size_t room);
/* The sides of references of this kind. */
mixture mixture_for(const mixture *sides, int kind);
/* One of the parts; n must not be 0. */
const mixture_part *mixture_draw(const mixture *m, rng *r);
#endif
