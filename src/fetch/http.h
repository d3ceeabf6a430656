/* http.h - one GET over HTTP or HTTPS, through libcurl, as far as a download needs it. */
#ifndef FETCH_HTTP_H
#define FETCH_HTTP_H
#include <stdint.h>
#include "base/error.h"
#include "fetch/header.h"

typedef struct http_answer {
    int status;                      /* of the last answer in a chain of redirects; 0: none came */
    bool again;                      /* with DREAMO_NET: another try may help */
    double wait;                     /* Retry-After, seconds; 0: not said */
    int64_t length;                  /* Content-Length; -1: not said */
    int64_t first, last, total;      /* Content-Range, each -1 when not said */
    int64_t linked_nbytes;           /* X-Linked-Size of any answer in the chain: what the whole file measures; -1: not said */
    char sha256[65];                 /* X-Linked-Etag, when it is one: the hub's checksum of a large file; "": not said */
    char etag[HTTP_ETAG];            /* strong ETag with its quotes; "": none */
} http_answer;

typedef struct http_request {
    const char *url;
    const char *token;               /* sent as bearer to the origin of `url` only; NULL: none */
    int64_t from;                    /* > 0: ask for the bytes from here on */
    const char *etag, *sha256;       /* what is known of the bytes before `from`, "" = nothing: If-Range guards the range by the
                                      * ETag, except where the hub's checksum shows that the content is the same */
    double stall;                    /* seconds without a byte after which the connection counts as dead */
    void *user;
    bool (*tick)(void *user);        /* about once a second and more often; false: stop (DREAMO_CANCELLED) */
    dreamo_status (*head)(void *user, const http_answer *a, dreamo_error *err); /* before the body of a 200 or 206; not OK: stop */
    dreamo_status (*body)(void *user, const void *data, size_t nbytes, dreamo_error *err);
} http_request;

bool http_available(void); /* false: built without libcurl; http_get then fails */

/* DREAMO_OK when an answer came in full, whatever its status; only 200 and 206 have called head and body.  DREAMO_NET when none
 * came, it ended early, or it led where we do not go; or what tick, head or body returned. */
dreamo_status http_get(const http_request *r, http_answer *a, dreamo_error *err);
#endif
