/* blobs.h - pictures and uploads in a folder that fronts and workers share, named by the SHA-256 of what is in them.
 *
 * The server sees no more of the library than its header, so files are written here as base/file.c writes them: one appears whole or not at all.  None is
 * changed; who puts what is there already makes it young again.  Which files are still needed, Redis knows. */
#ifndef SERVE_BLOBS_H
#define SERVE_BLOBS_H
#include "serve/jobs/jobs.h"

dreamo_status blobs_check(const char *dir, problem *p);                /* can files be made there? */
dreamo_status blobs_put(const char *dir, const blob *b, problem *p);
/* *out gets the bytes, and keeps its other fields; DREAMO_NOT_FOUND without words when there is no such file. */
dreamo_status blobs_get(const char *dir, const char *sha256, blob *out, problem *p);
void          blobs_drop(const char *dir, const char *sha256);
/* Files that have been as they are for so long, and those alone, are asked about; unneeded ones go. */
void          blobs_sweep(const char *dir, int64_t seconds, bool (*needed)(void *user, const char *sha256), void *user);
#endif
