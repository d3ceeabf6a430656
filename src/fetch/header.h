/* header.h - values of HTTP headers that decide what a body is. */
#ifndef FETCH_HEADER_H
#define FETCH_HEADER_H
#include <stdbool.h>
#include <stdint.h>

enum { HTTP_ETAG = 200 }; /* bytes with the NUL; longer ones count as absent */

/* Decimal digits and nothing else, below 2^63; false: not that, *out is untouched. */
bool header_number(const char *text, int64_t *out);
/* "bytes 5-9/10", or an asterisk for either side of the slash, which gives -1; false: none of these, nothing is changed. */
bool header_content_range(const char *text, int64_t *first, int64_t *last, int64_t *total);
/* 64 hex digits in quotes or without, made lower case; else `out` is untouched. */
void header_sha256(const char *text, char out[65]);
/* A strong ETag with its quotes, else "": only those guard a range (RFC 9110, 13.1.5). */
void header_etag(const char *text, char out[HTTP_ETAG]);
#endif
