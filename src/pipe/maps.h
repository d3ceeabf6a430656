/* maps.h - where in the picture a reference is looked at.
 *
 * A layer's routing map (paper, Eq. 2; training 1.2) is the reference's mean query times each picture token's key, the mean over heads.  Layers and steps have scales of
 * their own, so each map is brought to mean 0 and variance 1 before they are added up: every layer of every step has one vote. */
#ifndef PIPE_MAPS_H
#define PIPE_MAPS_H
#include "format/image_file.h"

/* sum [n] += map [n], standardised; a map that is flat, or not finite, has no vote. */
void maps_add(float *sum, const float *map, int n);
/* The picture where sum [h * w tokens] is high, dark grey where it is low: from its least value to its greatest, linear between the tokens' middles.
 * out is new, bitmap_free; DREAMO_MEMORY. */
dreamo_status maps_light(const bitmap *picture, const float *sum, int h, int w, bitmap *out, dreamo_error *err);
#endif
