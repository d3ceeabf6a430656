/* text.h - text that grows, and the small encodings that HTTP answers need. */
#ifndef SERVE_TEXT_H
#define SERVE_TEXT_H
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include "serve/problem.h"

/* Once memory ran out it stays `failed` and takes nothing more; the owner looks once, at the end. */
typedef struct text { char *data; size_t nbytes, room; bool failed; } text;

void text_add(text *t, const void *data, size_t nbytes); /* data is NUL-terminated after each addition */
void text_format(text *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
void text_json(text *t, const json_t *o);                /* compact; NULL = failed */
void encode_base64(text *t, const void *data, size_t nbytes);
void text_free(text *t);

/* Strict RFC 4648: no white space, right padding.  *out is free's.  The problem names `field` and the place. */
dreamo_status base64_read(const char *s, size_t n, const char *field, void **out, size_t *nbytes, problem *p);

/* Strict JSON of limited depth: duplicate keys, trailing text and NUL refused; *out is json_decref's. */
dreamo_status json_text_read(const char *s, size_t n, const char *what, json_t **out, problem *p);

void random_hex(char *out, size_t digits); /* and a NUL */
#endif
