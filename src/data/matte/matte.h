/* matte.h - what a network that cuts things out is trained on: pictures of which it is known, pixel by pixel, how much of them is the thing.
 *
 * Subjects, persons and garments of an asset folder and photographed things with alpha, before photographs, program-drawn scenes and plain walls.  Photographs
 * lend their surfaces to some of the things, too: what is taken for a thing must be how it stands before what is behind it, not how it is
 * painted.  A sample is a pure function of (files, request), as everything in data/ is. */
#ifndef DATA_MATTE_H
#define DATA_MATTE_H
#include "data/sample.h"

/* Pictures of a folder, shrunk to what composing needs.  Every eighth by name is held out. */
typedef struct matte_folder { int n[2]; bitmap *picture[2]; } matte_folder; /* [split] */

typedef struct matte_pictures {
    matte_folder photos;    /* RGB: what stands behind, and surfaces */
    matte_folder cutouts;   /* RGBA: photographed things without what was behind them */
} matte_pictures;

/* All pictures of DATA/photos and DATA/cutouts, however many there are; a folder that is not there holds none. */
dreamo_status matte_pictures_open(const char *data, matte_pictures *out, dreamo_error *err);
void          matte_pictures_free(matte_pictures *p);

/* side x side pixels: *picture [side, side, 3] and *alpha [side * side], 0 .. 255, both owned by the caller.  `d` must be composed of assets
 * (DREAMO_CONTENT otherwise). */
dreamo_status matte_make(const data_set *d, const matte_pictures *pictures, data_split split, uint64_t seed, uint64_t index, int side, bitmap *picture,
                         unsigned char **alpha, dreamo_error *err);
#endif
