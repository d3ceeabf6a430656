/* filter.h - styles that any picture can be given: deterministic filters, each with the words for it. */
#ifndef DATA_FILTER_H
#define DATA_FILTER_H
#include "base/rng.h"
#include "data/sample.h"

typedef enum filter_kind {
    FILTER_NONE, FILTER_PIXELS, FILTER_POSTER, FILTER_INK, FILTER_HALFTONE, FILTER_HATCH, FILTER_BLUEPRINT, FILTER_SEPIA, FILTER_WATERCOLOUR,
    FILTER_CHARCOAL, FILTER_NEON, FILTER_STAINED, FILTER_NIGHT,
    FILTER_LINES, FILTER_TILES, FILTER_DUOTONE, /* families: colours and sizes of every picture's own, to be read off the reference */
    FILTER_MOSAIC, FILTER_CHALK, /* never trained on */
    FILTERS
} filter_kind;

typedef struct filter { filter_kind kind; double p[4]; /* its own numbers, 0..1 */ } filter;

const char *filter_name(filter_kind k);                /* "pixel-art" */
const char *filter_words(filter_kind k);               /* "as pixel art" */
bool        filter_held_out(filter_kind k);
filter      filter_pick(data_split split, rng *r);
/* In place; [h, w, 3].  DREAMO_MEMORY only. */
dreamo_status filter_apply(const filter *f, bitmap *b, dreamo_error *err);
#endif
