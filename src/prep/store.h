/* store.h - results of preparing, by a hash of all that they depend on: the last few in memory, all of them in a folder where one is given.
 *
 * A file is a PNG whose text says what was done; one that is broken is as if it were not there.  Writers replace, readers see whole files: many
 * processes may share a folder. */
#ifndef PREP_STORE_H
#define PREP_STORE_H
#include "format/image_file.h"

enum { STORE_KEPT = 16 };

typedef struct stored { bitmap rgb; dreamo_task task; int width, height; /* of the picture that it was */ char how[200], told[800]; } stored;
typedef struct store { char *folder; /* NULL: none */ struct { char key[65]; stored what; } kept[STORE_KEPT]; int next; } store;

/* A copy into *out, whose rgb the caller owns.  Not thread-safe. */
bool          store_get(store *s, const char key[65], stored *out);
/* Copies; DREAMO_IO and the like when the folder does not take it. */
dreamo_status store_put(store *s, const char key[65], const stored *what, dreamo_error *err);
void          store_free(store *s);
#endif
