/* problem.c - refusing, once, with the name of the thing. */
#include "serve/problem.h"

#include <stdarg.h>
#include <stdio.h>

/* What the client wrote comes back in messages: no control characters, and no half of a UTF-8 character at a cut. */
static void make_plain(char *s)
{
    unsigned char *c = (unsigned char *)s, *start = c;
    for (; *c; c++) {
        if ((*c & 0xC0) != 0x80) start = c;
        if (*c < 0x20 || *c == 0x7F) *c = '?';
    }
    size_t have = (size_t)(c - start), need = *start >= 0xF0 ? 4 : *start >= 0xE0 ? 3 : *start >= 0xC0 ? 2 : 1;
    if (have < need) *start = '\0';
}

static void write_message(problem *p, dreamo_status status, const char *field, const char *format, va_list ap)
{
    int n = field && *field ? snprintf(p->e.message, sizeof p->e.message, "%s: ", field) : 0;
    if (n < 0 || (size_t)n >= sizeof p->e.message) n = 0;
    vsnprintf(p->e.message + n, sizeof p->e.message - (size_t)n, format, ap);
    make_plain(p->e.message);
    snprintf(p->field, sizeof p->field, "%s", field ? field : "");
    p->e.hint[0] = '\0';
    p->e.status = status;
}

dreamo_status refuse(problem *p, dreamo_status status, const char *field, const char *format, ...)
{
    if (p->e.status) return status;
    va_list ap;
    va_start(ap, format);
    write_message(p, status, field, format, ap);
    va_end(ap);
    return status;
}

dreamo_status refuse_http(problem *p, dreamo_status status, int http, const char *format, ...)
{
    if (p->e.status) return status;
    va_list ap;
    va_start(ap, format);
    write_message(p, status, NULL, format, ap);
    va_end(ap);
    p->http = http;
    return status;
}

dreamo_status advise(problem *p, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    vsnprintf(p->e.hint, sizeof p->e.hint, format, ap);
    va_end(ap);
    make_plain(p->e.hint);
    return p->e.status;
}
