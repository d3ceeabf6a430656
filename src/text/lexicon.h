/* lexicon.h - a sorted set of strings that is searched byte by byte.
 *
 * Everything a tokenizer looks up is a prefix question: which pieces begin here, which added token is the longest here.
 * The strings lie in one block, and a sorted array of them answers by narrowing a range, one byte a step. */
#ifndef TEXT_LEXICON_H
#define TEXT_LEXICON_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* No token of a real vocabulary is longer than 64 bytes.  The limit bounds the work at each position of a text. */
#define LEXICON_LONGEST 1024

typedef struct lexeme { const char *s; uint32_t n; int32_t value; } lexeme;

typedef struct lexicon {
    char *bytes;      /* the strings, each with a NUL after it */
    size_t nbytes, cap;
    lexeme *sorted;   /* in the order of adding until lexicon_sort */
    int n, room;
} lexicon;            /* zeroed: empty */

/* Where a search stands: strings lo..hi-1 begin with the `depth` bytes seen so far. */
typedef struct lexicon_cursor { int lo, hi; uint32_t depth; } lexicon_cursor;

bool lexicon_add(lexicon *x, const char *s, size_t n, int32_t value); /* false: no memory.  n <= LEXICON_LONGEST */
void lexicon_free(lexicon *x);
/* Once, after the last add.  Returns a string that was added with two values, or NULL; one added twice with the same
 * value counts once. */
const char *lexicon_sort(lexicon *x);

static inline lexicon_cursor lexicon_begin(const lexicon *x) { return (lexicon_cursor){0, x->n, 0}; }
bool           lexicon_step(const lexicon *x, lexicon_cursor *at, char c);  /* false: nothing goes on like this */
const lexeme  *lexicon_here(const lexicon *x, const lexicon_cursor *at);    /* the string that ends here, or NULL */
const lexeme  *lexicon_find(const lexicon *x, const char *s, size_t n);     /* exactly this string, or NULL */
const lexeme  *lexicon_longest(const lexicon *x, const char *s, size_t n);  /* the longest string that s begins with, or NULL */
#endif
