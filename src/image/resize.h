/* resize.h - resampling and compositing with other libraries' exact arithmetic (spec appendix D). */
#ifndef IMAGE_RESIZE_H
#define IMAGE_RESIZE_H
#include "format/image_file.h"

/* OpenCV INTER_AREA, u8, 3 channels, all three code paths (D.1, D.2). */
dreamo_status resize_area(const bitmap *src, int width, int height, bitmap *out, dreamo_error *err);
/* Pillow LANCZOS, u8, 3 channels (D.3).  A fourth would be treated as one more colour; Pillow multiplies by alpha first. */
dreamo_status resize_lanczos(const bitmap *src, int width, int height, bitmap *out, dreamo_error *err);
/* Pillow composite over white, RGBA -> RGB (D.4). */
dreamo_status composite_white(const bitmap *src, bitmap *out, dreamo_error *err);
/* DreamO's area rule (spec 8.1): the size for about res*res pixels, floored to multiples of `grid` (16 for FLUX). */
void area_size(int width, int height, int res, int grid, int *out_width, int *out_height);
#endif
