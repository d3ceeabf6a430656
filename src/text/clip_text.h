/* clip_text.h - CLIP's clean-up of a prompt and its split into pieces for byte-pair encoding (spec 5.4, rules 2 and 3). */
#ifndef TEXT_CLIP_TEXT_H
#define TEXT_CLIP_TEXT_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One piece as code points; word = offset in the text of the word that it belongs to.  false: stop, no memory. */
typedef bool (*clip_piece_fn)(void *user, const int32_t *cp, size_t n, size_t word);

/* Pieces of text[begin..end), which is UTF-8, in order.  false: no memory, or fn said so. */
bool clip_split(const char *text, size_t begin, size_t end, clip_piece_fn fn, void *user);
#endif
