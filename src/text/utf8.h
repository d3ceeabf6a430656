/* utf8.h - the little that the tokenizers need to know about UTF-8. */
#ifndef TEXT_UTF8_H
#define TEXT_UTF8_H
#include <stddef.h>
#include <stdint.h>
#include "base/error.h"

/* Offset of the first byte that does not begin a well-formed sequence (no overlong forms, no surrogates, at most
 * U+10FFFF), or n when all do. */
size_t utf8_bad(const char *s, size_t n);

/* Refuse (DREAMO_ARG) a prompt that is not UTF-8, naming the offset, or that is longer than 1 MiB (DREAMO_LIMIT). */
dreamo_status utf8_check_prompt(const char *text, size_t n, dreamo_error *err);

/* The code point that starts at s, well-formed by an earlier check; *n becomes its length in bytes. */
static inline int32_t utf8_next(const char *s, size_t *n)
{
    const unsigned char *u = (const unsigned char *)s;
    if (u[0] < 0x80) return *n = 1, u[0];
    if (u[0] < 0xE0) return *n = 2, (u[0] & 0x1F) << 6 | (u[1] & 0x3F);
    if (u[0] < 0xF0) return *n = 3, (u[0] & 0x0F) << 12 | (u[1] & 0x3F) << 6 | (u[2] & 0x3F);
    return *n = 4, (u[0] & 0x07) << 18 | (u[1] & 0x3F) << 12 | (u[2] & 0x3F) << 6 | (u[3] & 0x3F);
}

static inline size_t utf8_nbytes(int32_t cp) { return cp < 0x80 ? 1 : cp < 0x800 ? 2 : cp < 0x10000 ? 3 : 4; }

/* Write the code point, without a NUL; returns its length in bytes. */
static inline size_t utf8_put(char *out, int32_t cp)
{
    static const unsigned char lead[] = {0, 0, 0xC0, 0xE0, 0xF0};
    size_t n = utf8_nbytes(cp);
    if (n == 1) return out[0] = (char)cp, 1;
    for (size_t i = n - 1; i > 0; i--, cp >>= 6) out[i] = (char)(0x80 | (cp & 0x3F));
    out[0] = (char)(lead[n] | cp);
    return n;
}
#endif
