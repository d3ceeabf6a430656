/* mem.c - malloc, counted, and failing on request. */
#include "base/mem.h"
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static atomic_long fail_at;     /* 0: never; n: the nth allocation from now */
static atomic_size_t live;

static bool refused(void)
{
    return atomic_load_explicit(&fail_at, memory_order_relaxed) > 0 && atomic_fetch_sub(&fail_at, 1) == 1;
}

static void *counted(void *p)
{
    if (p) atomic_fetch_add(&live, 1);
    return p;
}

void *mem_alloc(size_t nbytes) { return refused() ? NULL : counted(malloc(nbytes ? nbytes : 1)); }

void *mem_calloc(size_t count, size_t each)
{
    size_t nbytes;
    if (!mul_nbytes(count, each, &nbytes) || refused()) return NULL;
    return counted(calloc(1, nbytes ? nbytes : 1));
}

void *mem_realloc(void *p, size_t nbytes)
{
    if (!p) return mem_alloc(nbytes);
    return refused() ? NULL : realloc(p, nbytes ? nbytes : 1);
}

void *mem_aligned(size_t nbytes)
{
    if (nbytes > SIZE_MAX - 63 || refused()) return NULL;
    return counted(aligned_alloc(64, nbytes ? (nbytes + 63) & ~(size_t)63 : 64));
}

void mem_free(void *p)
{
    if (p) atomic_fetch_sub(&live, 1);
    free(p);
}

void *mem_map(size_t nbytes)
{
    if (nbytes == 0 || nbytes > PTRDIFF_MAX || refused()) return NULL;
    void *p = mmap(NULL, nbytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED) return NULL;
    madvise(p, nbytes, MADV_HUGEPAGE); /* fewer TLB misses; refusal does not matter */
    return counted(p);
}

void *mem_addresses(size_t nbytes)
{
    if (nbytes == 0 || nbytes > PTRDIFF_MAX || refused()) return NULL;
    void *p = mmap(NULL, nbytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return p == MAP_FAILED ? NULL : counted(p);
}

void mem_unmap(void *p, size_t nbytes)
{
    if (!p) return;
    atomic_fetch_sub(&live, 1);
    munmap(p, nbytes);
}

char *mem_strdup(const char *s)
{
    size_t n = strlen(s) + 1;
    char *copy = mem_alloc(n);
    return copy ? memcpy(copy, s, n) : NULL;
}

char *mem_printf(const char *format, ...)
{
    va_list ap, again;
    va_start(ap, format);
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, format, ap);
    char *s = n < 0 ? NULL : mem_alloc((size_t)n + 1);
    if (s) vsnprintf(s, (size_t)n + 1, format, again);
    va_end(again);
    va_end(ap);
    return s;
}

bool mul_nbytes(size_t a, size_t b, size_t *out)
{
    size_t product;
    if (__builtin_mul_overflow(a, b, &product)) return false;
    *out = product;
    return true;
}

bool add_nbytes(size_t a, size_t b, size_t *out)
{
    size_t sum;
    if (__builtin_add_overflow(a, b, &sum)) return false;
    *out = sum;
    return true;
}

void   mem_fail_at(long nth) { atomic_store(&fail_at, nth); }
long   mem_fail_left(void) { return atomic_load(&fail_at) > 0 ? atomic_load(&fail_at) : 0; }
size_t mem_live(void) { return atomic_load(&live); }
