/* canvas.h - a picture being drawn: floating point RGB in [0, 1], finer than the result, and who covers it.
 *
 * Arithmetic is + - * / and sqrt on float and double only (no libm functions, whose last digit differs between
 * systems), so that a drawing has the same bytes everywhere.
 *
 * Lengths and places are in units of the shorter side: x runs from 0 to canvas_wide(c), y from 0 to canvas_high(c). */
#ifndef DATA_CANVAS_H
#define DATA_CANVAS_H
#include <stdbool.h>
#include "format/image_file.h"

#define CANVAS_LAYERS 4  /* things whose coverage is known apart */
#define NO_LAYER (-1)

typedef struct canvas {
    int width, height, fine;       /* of the fine picture; the result is width / fine wide */
    float *rgb;                    /* [height, width, 3] */
    float *cover[CANVAS_LAYERS];   /* [height, width] each: how much of a pixel shows the layer, 0..1; NULL: nothing was pasted */
} canvas;

/* fine is chosen so that the shorter side is >= 128; white. */
dreamo_status canvas_new(canvas *c, int width, int height, dreamo_error *err);
void          canvas_free(canvas *c);
double        canvas_wide(const canvas *c);
double        canvas_high(const canvas *c);

/* A view of a subject: straight-alpha RGBA, cropped to the subject; rows begin `row` pixels apart. */
typedef struct tile {
    int width, height, row;
    const unsigned char *rgba;
    const unsigned char *matte;    /* the same rows, 1 byte a pixel: 255 where clothes are seen; NULL: none */
} tile;

/* Which part of a tile is pasted. */
typedef enum tile_part { PART_ALL, PART_PLAIN /* without what the matte covers */, PART_MATTE } tile_part;

/* Where a tile lands; its longest side becomes `scale`. */
typedef struct placement { double x, y, scale, turn; /* turns, not degrees */ bool mirror; } placement;

/* What falls on a pasted tile. */
typedef struct light {
    double side;                   /* -1 .. 1: brighter on the left .. on the right, by a fifth at most */
    float tint[3];                 /* colours are multiplied by it; 1 = none */
} light;

typedef struct paste {
    const tile *t;
    placement at;
    tile_part part;
    int layer, matte_layer;        /* what the plain and the matte part count for; NO_LAYER: they only hide others */
    const light *lit;              /* NULL: colours as they are */
} paste;

/* DREAMO_MEMORY only. */
dreamo_status canvas_paste(canvas *c, const paste *p, dreamo_error *err);
/* A soft dark ellipse centred at (x, y) with half-axes rx, ry; the middle is darkened by `dark`. */
void canvas_shadow(canvas *c, double x, double y, double rx, double ry, double dark);
/* The tile's outline thrown on the ground behind its foot: `lean` units sideways for a unit of height, `flat` units upwards. */
void canvas_cast(canvas *c, const tile *t, const placement *at, double lean, double flat, double dark);

/* Area-downsampled bytes: the picture, and the cover of one layer (all zeros where nothing was pasted). */
dreamo_status canvas_finish(const canvas *c, bitmap *out, dreamo_error *err);
dreamo_status canvas_mask(const canvas *c, int layer, unsigned char **mask, dreamo_error *err);

double sine(double turns);                /* sin(2 pi turns), within 1e-6 */
double smoothstep(double lo, double hi, double x);
#endif
