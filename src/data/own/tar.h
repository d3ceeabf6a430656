/* tar.h - tar files as shards of a data set: members found once, read where they lie.
 *
 * A reader of our own, and not libarchive's: that one reads a stream from the front, and training wants member 70,000 now and member 12 next,
 * from several threads, without unpacking or copying.  Members of a tar file lie there plain, so the file is mapped, its headers are walked
 * when it is opened, and a member is a place and a length in the map.  Read are ustar, GNU's long names and pax's path and size; links,
 * devices, sparse and compressed files are refused by name.
 *
 * Shards are untrusted: every length is checked against the file, every header against its sum, every name must stay inside. */
#ifndef DATA_OWN_TAR_H
#define DATA_OWN_TAR_H
#include "base/file.h"

typedef struct tar_member { char *name; size_t at, nbytes; } tar_member;

typedef struct tar {
    char *path;
    filemap map;
    int nmembers, room;
    tar_member *members;  /* plain files, in order */
} tar;

dreamo_status tar_open(const char *path, tar *out, dreamo_error *err);
void          tar_close(tar *t); /* a zeroed one is allowed */

/* Writing: members one after the other, then the end.  The same members give the same bytes: no times, no owners. */
dreamo_status tar_put(filewriter *w, const char *name, const void *data, size_t nbytes, dreamo_error *err);
dreamo_status tar_end(filewriter *w, dreamo_error *err);
#endif
