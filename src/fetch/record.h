/* record.h - what was downloaded into a model folder: DIR/dreamo/fetched.json, a file a key, with origin, size and checksum. */
#ifndef FETCH_RECORD_H
#define FETCH_RECORD_H
#include "fetch/manifest.h"
#include "format/json.h"

typedef struct record_entry { const char *repository, *file, *sha256; uint64_t nbytes; } record_entry; /* borrowed from the record */

/* An empty record when the folder has none; free with json_decref. */
dreamo_status record_open(const char *dir, json_t **record, dreamo_error *err);
/* *found false: no such entry. */
dreamo_status record_find(const json_t *record, const char *dir, const char *path, record_entry *out, bool *found, dreamo_error *err);
/* Enter a file and write the record. */
dreamo_status record_add(json_t *record, const char *dir, const manifest_file *f, uint64_t nbytes, const char *sha256,
                         dreamo_error *err);
#endif
