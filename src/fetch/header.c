/* header.c - header values, each read strictly or not at all. */
#include "fetch/header.h"
#include <string.h>

/* Digits of a number that fits; *s moves past them. */
static bool take_number(const char **s, int64_t *out)
{
    int64_t v = 0;
    const char *p = *s;
    for (; *p >= '0' && *p <= '9'; p++)
        if (__builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, *p - '0', &v)) return false;
    if (p == *s) return false;
    *s = p;
    *out = v;
    return true;
}

bool header_number(const char *text, int64_t *out)
{
    int64_t v;
    if (!take_number(&text, &v) || *text) return false;
    *out = v;
    return true;
}

bool header_content_range(const char *text, int64_t *first_out, int64_t *last_out, int64_t *total_out)
{
    int64_t first = -1, last = -1, total = -1;
    if (strncmp(text, "bytes ", 6) != 0) return false;
    text += 6;
    if (*text == '*') text++;
    else if (!take_number(&text, &first) || *text++ != '-' || !take_number(&text, &last) || last < first) return false;
    if (*text++ != '/') return false;
    if (*text == '*') text++;
    else if (!take_number(&text, &total)) return false;
    if (*text || (total >= 0 && last >= total)) return false;
    *first_out = first;
    *last_out = last;
    *total_out = total;
    return true;
}

void header_sha256(const char *text, char out[65])
{
    char hex[65];
    size_t quote = *text == '"', n = strspn(text + quote, "0123456789abcdefABCDEF");
    if (n != 64 || strcmp(text + quote + n, quote ? "\"" : "") != 0) return;
    for (size_t i = 0; i < n; i++) {
        char c = text[quote + i];
        hex[i] = c >= 'A' && c <= 'F' ? (char)(c | 0x20) : c;
    }
    hex[n] = '\0';
    memcpy(out, hex, sizeof hex);
}

void header_etag(const char *text, char out[HTTP_ETAG])
{
    size_t n = strlen(text);
    out[0] = '\0';
    if (n < 2 || n >= HTTP_ETAG || text[0] != '"' || text[n - 1] != '"') return;
    for (size_t i = 0; i < n; i++)
        if (text[i] <= 0x20 || text[i] >= 0x7F) return;
    memcpy(out, text, n + 1);
}
