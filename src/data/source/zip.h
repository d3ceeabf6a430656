/* zip.h - reading members of a ZIP archive (APPNOTE 6.3): stored and deflated, no encryption, no ZIP64, no split archives.
 *
 * Archives are untrusted: every offset and length is checked against the file, sizes against limits, contents against
 * their CRC.  An open archive is never written to, so threads may read members at once. */
#ifndef DATA_ZIP_H
#define DATA_ZIP_H
#include <stdint.h>
#include "base/file.h"

typedef struct zip_entry {
    char *name;
    size_t at;                 /* of the local header */
    uint32_t packed, nbytes, crc;
    uint16_t method;           /* 0 stored, 8 deflated */
} zip_entry;

typedef struct zip {
    char *path;
    filemap map;
    int nentries;
    zip_entry *entries;        /* sorted by name */
} zip;

dreamo_status    zip_open(const char *path, zip *out, dreamo_error *err);
void             zip_close(zip *z); /* a zeroed one is allowed */
const zip_entry *zip_find(const zip *z, const char *name);
/* The member with a NUL added after it; refused over `max` bytes.  mem_free. */
dreamo_status    zip_read(const zip *z, const zip_entry *e, size_t max, char **data, size_t *nbytes, dreamo_error *err);
#endif
