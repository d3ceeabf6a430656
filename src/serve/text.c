/* text.c - growing text, base64, JSON from strangers. */
#include "serve/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

/* ---- growing ---- */

static bool reserve(text *t, size_t more)
{
    if (t->failed) return false;
    if (more < t->room - t->nbytes) return true;
    size_t room = t->room + t->room / 2 + more + 64;
    char *data = realloc(t->data, room);
    if (!data) return !(t->failed = true);
    t->data = data;
    t->room = room;
    return true;
}

void text_add(text *t, const void *data, size_t nbytes)
{
    if (!reserve(t, nbytes)) return;
    memcpy(t->data + t->nbytes, data, nbytes);
    t->data[t->nbytes += nbytes] = '\0';
}

void text_format(text *t, const char *format, ...)
{
    va_list ap, again;
    va_start(ap, format);
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, format, ap);
    if (n >= 0 && reserve(t, (size_t)n)) t->nbytes += (size_t)vsnprintf(t->data + t->nbytes, (size_t)n + 1, format, again);
    else t->failed = true;
    va_end(ap);
    va_end(again);
}

void text_json(text *t, const json_t *o)
{
    size_t n = o ? json_dumpb(o, NULL, 0, JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(15)) : 0;
    if (!n || !reserve(t, n)) {
        t->failed = true;
        return;
    }
    t->nbytes += json_dumpb(o, t->data + t->nbytes, n, JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(15));
    t->data[t->nbytes] = '\0';
}

void text_free(text *t)
{
    free(t->data);
    *t = (text){ 0 };
}

/* ---- base64 ---- */

static const char digits64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void encode_base64(text *t, const void *data, size_t nbytes)
{
    const unsigned char *in = data;
    if (!reserve(t, (nbytes + 2) / 3 * 4)) return;
    char *to = t->data + t->nbytes;
    for (size_t i = 0; i < nbytes; i += 3) {
        size_t left = nbytes - i;
        unsigned v = (unsigned)in[i] << 16 | (left > 1 ? (unsigned)in[i + 1] << 8 : 0) | (left > 2 ? in[i + 2] : 0u);
        *to++ = digits64[v >> 18];
        *to++ = digits64[v >> 12 & 63];
        *to++ = left > 1 ? digits64[v >> 6 & 63] : '=';
        *to++ = left > 2 ? digits64[v & 63] : '=';
    }
    *to = '\0';
    t->nbytes = (size_t)(to - t->data);
}

static int digit64(unsigned char c)
{
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a' + 26;
    if (c >= '0' && c <= '9') return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

dreamo_status base64_read(const char *s, size_t n, const char *field, void **out, size_t *nbytes, problem *p)
{
    *out = NULL;
    if (n == 0) return refuse(p, DREAMO_ARG, field, "is empty");
    if (n % 4) return refuse(p, DREAMO_ARG, field, "is not base64: its %zu characters are no multiple of 4", n);
    size_t pad = s[n - 1] != '=' ? 0 : s[n - 2] != '=' ? 1 : 2;
    unsigned char *bytes = malloc(n / 4 * 3), *to = bytes;
    if (!bytes) return refuse(p, DREAMO_MEMORY, field, "no memory for %zu bytes", n / 4 * 3);
    for (size_t i = 0; i < n; i += 4) {
        unsigned v = 0;
        for (size_t k = 0; k < 4; k++) {
            int d = i + k >= n - pad ? 0 : digit64((unsigned char)s[i + k]);
            if (d < 0) {
                free(bytes);
                return refuse(p, DREAMO_ARG, field, "is not base64: character %zu is not one of its 64 (no line breaks or spaces are allowed)",
                              i + k + 1);
            }
            v = v << 6 | (unsigned)d;
        }
        *to++ = (unsigned char)(v >> 16);
        *to++ = (unsigned char)(v >> 8);
        *to++ = (unsigned char)v;
    }
    *out = bytes;
    *nbytes = n / 4 * 3 - pad;
    return DREAMO_OK;
}

/* ---- JSON ---- */

enum { DEPTH_MAX = 16 };

/* The parser below recurses: depth is looked at first. */
static dreamo_status check_depth(const char *s, size_t n, const char *what, problem *p)
{
    int depth = 0;
    bool quoted = false;
    for (size_t i = 0; i < n; i++) {
        if (quoted) {
            if (s[i] == '\\') i++;
            else if (s[i] == '"') quoted = false;
        } else if (s[i] == '"') quoted = true;
        else if (s[i] == '{' || s[i] == '[') {
            if (++depth > DEPTH_MAX) return refuse(p, DREAMO_ARG, NULL, "%s: nested more than %d deep at byte %zu", what, DEPTH_MAX, i);
        } else if (s[i] == '}' || s[i] == ']') depth--;
    }
    return DREAMO_OK;
}

dreamo_status json_text_read(const char *s, size_t n, const char *what, json_t **out, problem *p)
{
    json_error_t why;
    *out = NULL;
    dreamo_status status = check_depth(s, n, what, p);
    if (status) return status;
    *out = json_loadb(s ? s : "", n, JSON_REJECT_DUPLICATES, &why);
    if (*out) return DREAMO_OK;
    return refuse(p, DREAMO_ARG, NULL, "%s: not valid JSON: line %d, column %d (byte %d): %s", what, why.line, why.column, why.position, why.text);
}

/* ---- names that nobody guesses ---- */

void random_hex(char *out, size_t n)
{
    unsigned char bytes[64];
    while (getrandom(bytes, sizeof bytes, 0) != (ssize_t)sizeof bytes) {} /* at most 256 bytes: only a signal can come between */
    for (size_t i = 0; i < n; i++) out[i] = "0123456789abcdef"[bytes[i / 2] >> (i % 2 ? 0 : 4) & 15];
    out[n] = '\0';
}
