/* pack.h - assets and where they came from, written as an asset folder (assets.h). */
#ifndef DATA_PACK_H
#define DATA_PACK_H
#include "data/source/asset.h"

typedef struct asset_source { const char *set, *package, *version, *licence, *author; } asset_source;

/* Writes assets.safetensors, assets.json, held-out.txt and attribution.txt, for every asset that is not refused. */
dreamo_status pack_write(const char *folder, const asset *assets, int nassets, const asset_source *sources, int nsources, dreamo_error *err);
#endif
