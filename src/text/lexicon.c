/* lexicon.c - a sorted set of strings that is searched byte by byte. */
#include "text/lexicon.h"
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"

static bool grow(void **p, size_t each, size_t need, size_t *cap)
{
    if (need <= *cap) return true;
    size_t want = *cap ? *cap : 64, nbytes;
    while (want < need) want *= 2;
    if (!mul_nbytes(want, each, &nbytes)) return false;
    void *q = mem_realloc(*p, nbytes);
    if (!q) return false;
    *p = q;
    *cap = want;
    return true;
}

bool lexicon_add(lexicon *x, const char *s, size_t n, int32_t value)
{
    size_t room = (size_t)x->room;
    if (!grow((void **)&x->bytes, 1, x->nbytes + n + 1, &x->cap)) return false;
    if (!grow((void **)&x->sorted, sizeof *x->sorted, (size_t)x->n + 1, &room)) return false;
    x->room = (int)room;
    memcpy(x->bytes + x->nbytes, s, n);
    x->bytes[x->nbytes + n] = 0;
    x->nbytes += n + 1;
    x->sorted[x->n++] = (lexeme){NULL, (uint32_t)n, value}; /* the block still moves: lexicon_sort fills in s */
    return true;
}

void lexicon_free(lexicon *x)
{
    mem_free(x->bytes);
    mem_free(x->sorted);
    *x = (lexicon){0};
}

static int by_bytes(const void *pa, const void *pb)
{
    const lexeme *a = pa, *b = pb;
    int order = memcmp(a->s, b->s, a->n < b->n ? a->n : b->n);
    return order ? order : (a->n > b->n) - (a->n < b->n);
}

const char *lexicon_sort(lexicon *x)
{
    const char *s = x->bytes;
    for (int i = 0; i < x->n; i++) {
        x->sorted[i].s = s;
        s += x->sorted[i].n + 1;
    }
    if (x->n) qsort(x->sorted, (size_t)x->n, sizeof *x->sorted, by_bytes);
    int kept = 0;
    for (int i = 0; i < x->n; i++) {
        bool again = kept && by_bytes(&x->sorted[kept - 1], &x->sorted[i]) == 0;
        if (again && x->sorted[kept - 1].value != x->sorted[i].value) return x->sorted[i].s;
        if (!again) x->sorted[kept++] = x->sorted[i];
    }
    x->n = kept;
    return NULL;
}

/* First of lo..hi-1 whose byte at `depth` is at least c (a string that ends there counts as less than any byte). */
static int first_at_least(const lexicon *x, int lo, int hi, uint32_t depth, int c)
{
    while (lo < hi) {
        int mid = lo + (hi - lo) / 2;
        const lexeme *e = &x->sorted[mid];
        if (e->n <= depth || (unsigned char)e->s[depth] < c) lo = mid + 1;
        else hi = mid;
    }
    return lo;
}

bool lexicon_step(const lexicon *x, lexicon_cursor *at, char c)
{
    int byte = (unsigned char)c;
    at->lo = first_at_least(x, at->lo, at->hi, at->depth, byte);
    at->hi = first_at_least(x, at->lo, at->hi, at->depth, byte + 1);
    at->depth++;
    return at->lo < at->hi;
}

const lexeme *lexicon_here(const lexicon *x, const lexicon_cursor *at)
{
    return at->lo < at->hi && x->sorted[at->lo].n == at->depth ? &x->sorted[at->lo] : NULL;
}

const lexeme *lexicon_find(const lexicon *x, const char *s, size_t n)
{
    lexicon_cursor at = lexicon_begin(x);
    for (size_t i = 0; i < n; i++)
        if (!lexicon_step(x, &at, s[i])) return NULL;
    return lexicon_here(x, &at);
}

const lexeme *lexicon_longest(const lexicon *x, const char *s, size_t n)
{
    const lexeme *best = NULL;
    lexicon_cursor at = lexicon_begin(x);
    for (size_t i = 0; i < n && lexicon_step(x, &at, s[i]); i++) {
        const lexeme *e = lexicon_here(x, &at);
        if (e) best = e;
    }
    return best;
}
