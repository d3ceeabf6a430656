/* furniture.h - 3D models from Sweet Home 3D's .sh3f catalogues, drawn from many sides. */
#ifndef DATA_FURNITURE_H
#define DATA_FURNITURE_H
#include "data/source/asset.h"
#include "data/source/obj.h"

#define FURNITURE_YAWS 8     /* -70 to 70 degrees: the front and both sides */
#define FURNITURE_PITCHES 2  /* 12 and 28 degrees from above */

typedef struct furniture_item {
    int catalogue;
    char concept[64], name[96], group[48], creator[64];
    char *model;               /* path inside the catalogue */
    double rotation[9];        /* the catalogue's modelRotation, rows; identity where it gives none */
    double width, depth, height; /* cm: the size the catalogue gives the piece */
} furniture_item;

typedef struct furniture_catalogue { char name[48], version[32], licence[32], author[64]; struct zip *zip; } furniture_catalogue;

typedef struct furniture_source {
    int ncatalogues, nitems;
    furniture_catalogue *catalogues;
    furniture_item *items;
} furniture_source;

dreamo_status furniture_open(const char *folder, furniture_source *out, dreamo_error *err);
void          furniture_close(furniture_source *s); /* a zeroed source is allowed */
dreamo_status furniture_mesh(const furniture_source *s, int i, obj_mesh *out, dreamo_error *err); /* a piece in its size, as it stands; obj_free */
dreamo_status furniture_draw(const furniture_source *s, int i, asset *out, dreamo_error *err);
#endif
