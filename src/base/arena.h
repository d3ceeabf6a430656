/* arena.h - bump allocation with mark and release.  Nobody frees a tensor.
 *
 * An arena without memory (base == NULL, from arena_measure) hands out addresses that must not
 * be followed and only counts: this is how a dry run predicts memory to the byte. */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H
#include <stdbool.h>
#include <stddef.h>

#define ARENA_ALIGN 64

typedef struct arena {
    char *base;          /* NULL: measuring */
    size_t cap, top, peak;
    size_t reach;        /* the highest top ever: a caller may begin `peak` anew, not this */
    bool full;           /* sticky: an allocation did not fit */
    bool lent;           /* the addresses are somebody else's, and not to be followed */
} arena;

bool   arena_init(arena *a, size_t nbytes);  /* maps nbytes (lazily backed by the system); false: no memory */
void   arena_measure(arena *a);              /* no memory, unlimited, counts */
void   arena_lend(arena *a, void *base, size_t nbytes); /* hands out addresses that belong to a device; arena_free leaves them alone */
void   arena_free(arena *a);
void  *arena_get(arena *a, size_t nbytes);   /* ARENA_ALIGN-aligned, not zeroed; NULL when full.  Measuring: a fake, non-NULL address */
size_t arena_mark(const arena *a);
void   arena_release(arena *a, size_t mark); /* gives back everything taken since */
#endif
