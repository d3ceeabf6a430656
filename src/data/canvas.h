/* canvas.h - a picture being drawn: floating point RGB in [0, 1], several times finer than the result.
 *
 * Arithmetic is + - * / and sqrt on float and double only (no libm functions, whose last digit differs between
 * systems), so that a drawing has the same bytes everywhere. */
#ifndef DATA_CANVAS_H
#define DATA_CANVAS_H
#include <stdbool.h>
#include "format/image_file.h"

typedef struct canvas {
    int side, fine;       /* result is side/fine pixels wide and high */
    float *rgb;           /* [side, side, 3] */
    float *cover;         /* [side, side]: what canvas_paste covered so far, 0..1 */
} canvas;

dreamo_status canvas_new(canvas *c, int size, dreamo_error *err); /* fine is chosen so that side >= 128; white, no cover */
void          canvas_free(canvas *c);

/* A view of a subject: straight-alpha RGBA, cropped to the subject; rows begin `row` pixels apart. */
typedef struct tile { int width, height, row; const unsigned char *rgba; } tile;

/* Where a tile lands.  Lengths are shares of the canvas side; the longest side of the tile becomes `scale`. */
typedef struct placement { double x, y, scale, turn; /* turns, not degrees */ bool mirror; } placement;

void canvas_paste(canvas *c, const tile *t, const placement *p);
/* A soft dark ellipse centred at (x, y) with half-axes rx, ry; the middle is darkened by `dark`. */
void canvas_shadow(canvas *c, double x, double y, double rx, double ry, double dark);

/* Area-downsampled bytes: the picture, and (mask may be NULL) the cover. */
dreamo_status canvas_finish(const canvas *c, bitmap *out, unsigned char **mask, dreamo_error *err);

double sine(double turns);                /* sin(2 pi turns), within 1e-6 */
double smoothstep(double lo, double hi, double x);
#endif
