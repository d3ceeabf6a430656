/* places.h - where the networks that prepare references lie: one folder, files by the names that they are published and fetched under. */
#ifndef PREP_PLACES_H
#define PREP_PLACES_H
#include "base/error.h"

typedef enum place { PLACE_BEN2, PLACE_ISNET, PLACE_OWN, PLACE_FACES, PLACE_PARSER, PLACES } place;

typedef struct places {
    char *path[PLACES];      /* NULL: not there */
    char hash[65];           /* of all of them: other files, other references; empty until places_hash */
} places;

/* folder NULL: $DREAMO_NETWORKS, else "prep" beside the shipped model; our own matting network is "matting" there, or beside the shipped model. */
dreamo_status places_find(const char *folder, places *out, dreamo_error *err);
dreamo_status places_hash(places *p, dreamo_error *err); /* looks into every file */
void          places_free(places *p);
#endif
