/* warp.h - one picture into the frame of another: similarity from points, affine resampling (spec 4.2, 4.3), to the bit of OpenCV 4. */
#ifndef IMAGE_WARP_H
#define IMAGE_WARP_H
#include "format/image_file.h"

/* x' = m[0][0] x + m[0][1] y + m[0][2], y' = m[1][0] x + ... */
typedef struct affine { double m[2][3]; } affine;

/* The similarity from `from` to `to` by least median of squares, as cv2.estimateAffinePartial2D(..., LMEDS) finds it for five points.  inlier (may be
 * NULL) tells which it rests on.  DREAMO_CONTENT: all points are one. */
dreamo_status similarity_lmeds(const double from[5][2], const double to[5][2], affine *out, bool inlier[5], dreamo_error *err);
/* The way back.  DREAMO_CONTENT: there is none. */
dreamo_status affine_invert(const affine *a, affine *out, dreamo_error *err);
/* b after a. */
affine        affine_then(const affine *a, const affine *b);

/* cv2.warpAffine, u8, 3 channels, bilinear in steps of 1/32 pixel, `border` around the source; `a` leads from the source to the result. */
dreamo_status warp_affine(const bitmap *src, const affine *a, int width, int height, const unsigned char border[3], bitmap *out, dreamo_error *err);
#endif
