/* text.c - growing, escaping. */
#include "format/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"

/* Room for n more and a NUL. */
static bool room(text *t, size_t n)
{
    if (t->failed || t->n + n < t->room) return !t->failed;
    size_t wanted = 2 * (t->n + n) + 1024;
    char *more = mem_realloc(t->p, wanted);
    if (!more) return !(t->failed = true);
    t->p = more;
    t->room = wanted;
    return true;
}

void text_put(text *t, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    int n = vsnprintf(NULL, 0, format, ap);
    va_end(ap);
    if (n < 0 || !room(t, (size_t)n)) return;
    va_start(ap, format);
    vsnprintf(t->p + t->n, t->room - t->n, format, ap);
    va_end(ap);
    t->n += (size_t)n;
}

void text_html(text *t, const char *s)
{
    for (; *s; s++) {
        size_t plain = strcspn(s, "&<>\"");
        text_put(t, "%.*s", (int)plain, s);
        s += plain;
        if (!*s) return;
        text_put(t, "%s", *s == '&' ? "&amp;" : *s == '<' ? "&lt;" : *s == '>' ? "&gt;" : "&quot;");
    }
}

void text_base64(text *t, const unsigned char *data, size_t n)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    if (!room(t, (n + 2) / 3 * 4)) return;
    for (size_t i = 0; i < n; i += 3) {
        unsigned left = n - i < 3 ? (unsigned)(n - i) : 3;
        unsigned x = (unsigned)data[i] << 16 | (left > 1 ? (unsigned)data[i + 1] << 8 : 0) | (left > 2 ? data[i + 2] : 0);
        for (unsigned k = 0; k < 4; k++) t->p[t->n++] = k <= left ? digits[x >> (18 - 6 * k) & 63] : '=';
    }
    t->p[t->n] = '\0';
}
