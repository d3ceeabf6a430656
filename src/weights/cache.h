/* cache.h - numbers that take long to make, in a folder: an entry's name is a hash of all that it was made from.
 *
 * They come back bit for bit.  What cannot be read, has another shape, or does not match its own hash is not there, and is made again.
 * Writing is atomic; any number of processes may share a folder. */
#ifndef WEIGHTS_CACHE_H
#define WEIGHTS_CACHE_H
#include <stdbool.h>
#include "base/error.h"

typedef struct cache_part { const char *name; int rows, cols; /* 0 rows: a vector */ float *data; } cache_part;
enum { CACHE_PARTS = 4 }; /* at most, in an entry */

/* True: all parts were read.  `key`: 64 hex digits. */
bool          cache_read(const char *folder, const char *key, const cache_part *parts, int n);
dreamo_status cache_write(const char *folder, const char *key, const cache_part *parts, int n, dreamo_error *err);
#endif
