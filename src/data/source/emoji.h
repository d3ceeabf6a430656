/* emoji.h - drawings from Iconify's emoji packages, named by emojibase.
 *
 * Reads an npm folder: node_modules/emojibase-data and whichever of the known node_modules/@iconify-json packages are there. */
#ifndef DATA_EMOJI_H
#define DATA_EMOJI_H
#include <stddef.h>
#include "data/source/asset.h"
#include "format/json.h"

typedef struct emoji_set {
    const char *set;               /* "noto" */
    char package[64], version[32], licence[32], author[64];
    json_t *icons;                 /* the whole icons.json */
} emoji_set;

typedef struct emoji_item { char concept[64]; const char *group, *name; int set; } emoji_item; /* name: the icon's key */

typedef struct emoji_source {
    json_t *labels, *groups;
    char labels_version[32];
    int nsets, nitems;
    emoji_set *sets;
    emoji_item *items;             /* in the order of emojibase, then of the sets */
} emoji_source;

dreamo_status emoji_open(const char *npm_folder, emoji_source *out, dreamo_error *err);
void          emoji_close(emoji_source *s); /* a zeroed source is allowed */
/* Draws item i into *out (whose `refused` says when the drawing cannot be used). */
dreamo_status emoji_draw(const emoji_source *s, int i, asset *out, dreamo_error *err);
#endif
