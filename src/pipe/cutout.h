/* cutout.h - is there a plain background, and can it be made white? */
#ifndef PIPE_CUTOUT_H
#define PIPE_CUTOUT_H
#include "format/image_file.h"

typedef enum background { BACKGROUND_WHITE, BACKGROUND_PLAIN, BACKGROUND_BUSY } background;

/* Judged by the border of an RGB picture: plain when nearly all of its pixels are close to their median colour. */
background cutout_background(const bitmap *rgb);
/* Make a plain background white, inwards from the border as far as its colour reaches.  DREAMO_MEMORY on failure. */
dreamo_status cutout_whiten(bitmap *rgb, dreamo_error *err);
#endif
