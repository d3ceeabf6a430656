/* asset.h - a subject on its way into the asset folder: its views, trimmed, judged, with where it came from. */
#ifndef DATA_ASSET_H
#define DATA_ASSET_H
#include <stdint.h>
#include "base/error.h"
#include "data/canvas.h"

#define ASSET_SIDE 128    /* longest side of the largest view */
#define ASSET_RENDER 384 /* what is drawn before it is shrunk: three times finer */

typedef struct asset {
    char concept[64], phrase[96];
    char set[48], group[48], file[128], author[64], licence[32];
    int yaws, pitches, width, height;
    unsigned char *rgba;      /* [pitches * yaws, height, width, 4] straight alpha; mem_free */
    uint8_t mean[3];
    const char *refused;      /* why it stays out; NULL: it is in */
} asset;

/* Crop views [n, side, side, 4] to their common extent, shrink the longest side to ASSET_SIDE by area averaging, fill in
 * width, height, rgba and mean, and judge the result: sets `refused` for what cannot serve as a subject. */
dreamo_status asset_trim(asset *a, const unsigned char *views, int side, dreamo_error *err);
void          asset_free(asset *a);

/* width x height pixels of `step` source pixels each, from (left, top) on, by area averaging weighted by alpha; what lies outside the
 * source is clear. */
void tile_shrink(const tile *src, double left, double top, double step, int width, int height, unsigned char *out);
#endif
