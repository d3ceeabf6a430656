/* text.h - a text that grows, for reports and pages. */
#ifndef FORMAT_TEXT_H
#define FORMAT_TEXT_H
#include <stdbool.h>
#include <stddef.h>

typedef struct text { char *p; size_t n, room; bool failed; } text; /* zeroed: empty; failed: there was no memory; mem_free(p) */

void text_put(text *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
void text_html(text *t, const char *s);                           /* with & < > " as entities */
void text_base64(text *t, const unsigned char *data, size_t n);
#endif
