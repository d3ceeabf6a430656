/* wardrobe.h - garments with colour and pattern, and a body to wear them. */
#ifndef DATA_WARDROBE_H
#define DATA_WARDROBE_H
#include "data/assets.h"
#include "base/rng.h"

#define WORN_SIDE 112      /* a garment's tile is a square of this side before it is cropped */
#define BODY_WIDE 112      /* the body's tile */
#define BODY_HIGH 224

/* A piece of clothing as it will be seen. */
typedef struct worn {
    const garment *g;
    int number;             /* which of g's pictures */
    int colour, second, pattern; /* rows of the tables in wardrobe.c */
} worn;

worn worn_pick(const garment *g, rng *r);
/* Straight-alpha RGBA [WORN_SIDE, WORN_SIDE, 4] into `rgba`; the tile is what is seen of it. */
tile worn_draw(const worn *w, unsigned char *rgba);
void worn_words(const worn *w, char *out, size_t nbytes); /* "a red t-shirt with white stripes", "blue trousers" */

/* A standing figure without a head, in plain dark trousers and shoes, [BODY_HIGH, BODY_WIDE, 4] into `rgba`; bare arms and neck in `skin`. */
tile body_draw(const unsigned char skin[3], int trousers, unsigned char *rgba);

/* Where on the body's tile things go, in its heights: middle and size (longest side of their tile). */
typedef struct fit { double x, y, width; } fit;
extern const fit fit_head, fit_part[3]; /* by garment part; x from the middle; width is that of the tile */
#endif
