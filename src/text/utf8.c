/* utf8.c - strict UTF-8 (The Unicode Standard, table 3-7). */
#include "text/utf8.h"
#include <utf8proc.h>

#define LONGEST_PROMPT ((size_t)1 << 20)

size_t utf8_bad(const char *s, size_t n)
{
    size_t i = 0;
    while (i < n) {
        if ((unsigned char)s[i] < 0x80) {
            i++;
            continue;
        }
        utf8proc_int32_t cp;
        utf8proc_ssize_t left = n - i < 4 ? (utf8proc_ssize_t)(n - i) : 4;
        utf8proc_ssize_t len = utf8proc_iterate((const utf8proc_uint8_t *)s + i, left, &cp);
        if (len <= 0) break;
        i += (size_t)len;
    }
    return i;
}

dreamo_status utf8_check_prompt(const char *text, size_t n, dreamo_error *err)
{
    if (n > LONGEST_PROMPT) return fail(err, DREAMO_LIMIT, "the prompt has %zu bytes; at most %zu are allowed", n, LONGEST_PROMPT);
    size_t bad = utf8_bad(text, n);
    if (bad < n)
        return fail(err, DREAMO_ARG, "the prompt is not valid UTF-8: byte 0x%02x at offset %zu", (unsigned char)text[bad], bad);
    return DREAMO_OK;
}
