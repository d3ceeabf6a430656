/* charsmap.h - SentencePiece's precompiled character map, applied as the official fast tokenizer applies it (spec 6.4). */
#ifndef TEXT_CHARSMAP_H
#define TEXT_CHARSMAP_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/error.h"

typedef struct charsmap {
    uint32_t *units;     /* the trie; owned */
    size_t nunits;       /* 0: no map, text stays as it is */
    char *strings;       /* NUL-terminated replacements; owned */
} charsmap;

/* Text with the place in the prompt from which each byte comes. */
typedef struct traced {
    char *s;
    size_t *from;
    size_t n, cap;
} traced; /* zeroed: empty */

/* Check the map and copy it; afterwards no walk can leave it.  `what` names the file. */
dreamo_status charsmap_open(charsmap *m, const void *blob, size_t nbytes, const char *what, dreamo_error *err);
void          charsmap_close(charsmap *m);

/* Append the mapped text[begin..end), which is UTF-8 and starts and ends between characters.  false: no memory. */
bool charsmap_apply(const charsmap *m, const char *text, size_t begin, size_t end, traced *out);
void traced_free(traced *t);
#endif
