/* form.h - multipart/form-data (RFC 7578), read from a whole body in memory. */
#ifndef SERVE_FORM_H
#define SERVE_FORM_H
#include <stdbool.h>
#include <stddef.h>
#include "serve/problem.h"

enum { FORM_PARTS = 64 };

typedef struct form_part {
    char name[64], file[96];     /* file: "" when the part is a plain field */
    const char *data;            /* inside the body */
    size_t nbytes;
} form_part;

typedef struct form { int n; form_part part[FORM_PARTS]; } form;

/* Refused: no boundary, a part without a name or without end, more than FORM_PARTS parts, nested multiparts, bytes after the end. */
dreamo_status form_read(const char *content_type, const char *body, size_t nbytes, form *out, problem *p);
#endif
