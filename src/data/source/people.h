/* people.h - drawn persons, the same one several times: other expressions, other clothes.
 *
 * Reads a folder that tools/people.mjs wrote: people.json and an SVG a person.  The SVG is a sheet of square cells, a column a variant;
 * its first row is the drawing.  Where the drawing has clothes, two more rows show them black and white: the difference is the matte. */
#ifndef DATA_PEOPLE_H
#define DATA_PEOPLE_H
#include "data/source/asset.h"
#include "format/json.h"

#define FIGURE_SIDE 112     /* longest side of what is seen of a person in all variants */
#define FIGURE_VARIANTS 8   /* at most */

typedef struct people_system { const char *system, *package, *version, *licence, *author; } people_system;

/* A person on the way into the asset folder.  The words are borrowed from people.json. */
typedef struct figure {
    const people_system *by;
    const char *file, *twin, *identity, *noun, *words;
    bool clothed;             /* the sheet has rows for the matte */
    int nvariants, width, height;
    struct { const char *expression, *clothes; } variant[FIGURE_VARIANTS];
    unsigned char *rgba;      /* [nvariants, height, width, 4] straight alpha, then the matte [nvariants, height, width]; mem_free */
    const char *refused;      /* why it stays out; NULL: it is in */
} figure;

typedef struct people_source {
    char *folder;
    json_t *list;             /* the whole people.json */
    int nsystems, nitems;
    people_system *systems;
    figure *items;            /* words only; people_draw fills in the pixels */
} people_source;

dreamo_status people_open(const char *folder, people_source *out, dreamo_error *err);
void          people_close(people_source *s); /* a zeroed source is allowed; frees the pixels */
dreamo_status people_draw(people_source *s, int i, dreamo_error *err);
size_t        figure_pixels(const figure *f); /* of all variants */
#endif
