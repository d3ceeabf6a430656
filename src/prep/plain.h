/* plain.h - is there a plain background, and what stands before it? */
#ifndef PREP_PLAIN_H
#define PREP_PLAIN_H
#include "format/image_file.h"

typedef enum background { BACKGROUND_WHITE, BACKGROUND_PLAIN, BACKGROUND_BUSY } background;

/* Judged by the border of an RGB picture: plain when nearly all of its pixels are close to their median colour. */
background plain_background(const bitmap *rgb);
/* mask [width * height]: 0 inwards from the border as far as its colour reaches, 255 elsewhere.  DREAMO_MEMORY on failure. */
dreamo_status plain_mask(const bitmap *rgb, unsigned char *mask, dreamo_error *err);
#endif
