/* pack.h - assets and where they came from, written as an asset folder (assets.h). */
#ifndef DATA_PACK_H
#define DATA_PACK_H
#include "data/source/garments.h"
#include "data/source/people.h"

typedef struct asset_source { const char *set, *package, *version, *licence, *author; } asset_source;

/* What goes into a folder: all that is not refused, garments of which there are any. */
typedef struct pack_lists {
    int nassets, npeople, ngarments, nsources;
    const asset *assets;
    const figure *people;
    const wardrobe_class *garments;
    const asset_source *sources;
} pack_lists;

/* Writes assets.safetensors, assets.json, held-out.txt and attribution.txt. */
dreamo_status pack_write(const char *folder, const pack_lists *lists, dreamo_error *err);
#endif
