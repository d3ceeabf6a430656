/* arena.c - one mapping, one pointer that moves. */
#include "base/arena.h"
#include <stdint.h>
#include "base/mem.h"

/* With AddressSanitizer, memory that was given back may not be touched until it is handed out again. */
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define __SANITIZE_ADDRESS__ 1
#endif
#endif
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
static void forbid(const arena *a, size_t from, size_t to, bool forbidden)
{
    if (!a->base || a->lent || to <= from) return;
    if (forbidden) __asan_poison_memory_region(a->base + from, to - from);
    else __asan_unpoison_memory_region(a->base + from, to - from);
}
#else
static void forbid(const arena *a, size_t from, size_t to, bool forbidden) { (void)a, (void)from, (void)to, (void)forbidden; }
#endif

/* A measuring arena starts here: never NULL, never followed. */
#define FAKE_BASE ((uintptr_t)ARENA_ALIGN)

bool arena_init(arena *a, size_t nbytes)
{
    *a = (arena){ 0 };
    if (nbytes == 0) nbytes = ARENA_ALIGN;
    a->base = mem_map(nbytes);
    a->cap = a->base ? nbytes : 0;
    return a->base != NULL;
}

void arena_measure(arena *a) { *a = (arena){ .cap = SIZE_MAX / 2 }; }

void arena_lend(arena *a, void *base, size_t nbytes) { *a = (arena){ .base = base, .cap = nbytes, .lent = true }; }

void arena_free(arena *a)
{
    forbid(a, 0, a->reach, false); /* all that was ever forbidden; the whole of a large arena would cost its shadow's memory */
    if (!a->lent) mem_unmap(a->base, a->cap);
    *a = (arena){ 0 };
}

void *arena_get(arena *a, size_t nbytes)
{
    size_t room = a->cap - a->top, need;
    if (!add_nbytes(nbytes, ARENA_ALIGN - 1, &need)) need = SIZE_MAX;
    need &= ~(size_t)(ARENA_ALIGN - 1);
    if (need == 0) need = ARENA_ALIGN;
    if (need > room) {
        a->full = true;
        return NULL;
    }
    size_t at = a->top;
    a->top += need;
    if (a->top > a->peak) a->peak = a->top;
    if (a->top > a->reach) a->reach = a->top;
    forbid(a, at, a->top, false);
    return a->base ? a->base + at : (void *)(FAKE_BASE + at);
}

size_t arena_mark(const arena *a) { return a->top; }

void arena_release(arena *a, size_t mark)
{
    forbid(a, mark, a->top, true);
    a->top = mark;
}
