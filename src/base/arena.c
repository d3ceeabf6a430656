/* arena.c - one mapping, one pointer that moves. */
#include "base/arena.h"
#include <stdint.h>
#include <sys/mman.h>
#include "base/mem.h"

/* A measuring arena starts here: never NULL, never followed. */
#define FAKE_BASE ((uintptr_t)ARENA_ALIGN)

bool arena_init(arena *a, size_t nbytes)
{
    *a = (arena){ 0 };
    if (nbytes == 0) nbytes = ARENA_ALIGN;
    if (nbytes > SIZE_MAX / 2) return false;
    /* mem_alloc's switch also stands for this memory, so that a test can refuse it. */
    void *permit = mem_alloc(1);
    if (!permit) return false;
    mem_free(permit);
    void *p = mmap(NULL, nbytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED) return false;
    madvise(p, nbytes, MADV_HUGEPAGE); /* fewer TLB misses; refusal does not matter */
    a->base = p;
    a->cap = nbytes;
    return true;
}

void arena_measure(arena *a) { *a = (arena){ .cap = SIZE_MAX / 2 }; }

void arena_free(arena *a)
{
    if (a->base) munmap(a->base, a->cap);
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
    return a->base ? a->base + at : (void *)(FAKE_BASE + at);
}

size_t arena_mark(const arena *a) { return a->top; }
void   arena_release(arena *a, size_t mark) { a->top = mark; }
