/* part.h - what is known of an unfinished download, kept in PATH.part.json beside PATH.part. */
#ifndef FETCH_PART_H
#define FETCH_PART_H
#include "fetch/http.h"

typedef struct part_facts {
    char etag[HTTP_ETAG]; /* of the answer that its bytes came from; "": none */
    char sha256[65];      /* of the whole file as the hub told it; "": not told */
    int64_t total;        /* bytes of the whole file; -1: not known */
} part_facts;

void          part_forget_facts(part_facts *f);                                      /* nothing is known */
void          part_read(const char *path, part_facts *f);                            /* a missing or broken file: nothing is known */
dreamo_status part_write(const char *path, const part_facts *f, dreamo_error *err);
void          part_remove(const char *path);                                         /* the facts, not the part */
#endif
