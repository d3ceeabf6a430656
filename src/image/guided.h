/* guided.h - a small mask to a picture's full size, along the picture's own edges. */
#ifndef IMAGE_GUIDED_H
#define IMAGE_GUIDED_H
#include "format/image_file.h"

/* The fast guided filter (He and Sun 2015; He, Sun and Tang 2013, equations 14 to 16 with a colour guide): in each window of the small picture the mask is
 * a linear function of the colours, and those functions, not the mask, are enlarged and applied to the full picture.
 * mask [small->height * small->width] in 0 .. 1, `small` the RGB picture at its size, `rgb` the full one; alpha [rgb->height * rgb->width] in 0 .. 255.
 * radius: of the windows, in small pixels; eps: how much colours must vary to count as an edge (their variance, of colours in 0 .. 1).  DREAMO_MEMORY. */
dreamo_status guided_upsample(const float *mask, const bitmap *small, const bitmap *rgb, int radius, float eps, unsigned char *alpha, dreamo_error *err);
#endif
