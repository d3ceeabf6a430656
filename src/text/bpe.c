/* bpe.c - CLIP's tokenizer: text into ids by byte-level byte-pair encoding (spec 5.4; Sennrich et al. 2016). */
#include "text/bpe.h"
#include <string.h>
#include "base/mem.h"
#include "text/clip_text.h"
#include "text/ids.h"
#include "text/utf8.h"

/* A symbol of the piece in a doubly linked list; index = its first byte. */
typedef struct symbol { int32_t id, prev, next; } symbol;
#define NONE (-1)

/* A merge that could be done at symbol `at` when it is still there. */
typedef struct candidate { int32_t rank, at, left, right; } candidate;

typedef struct encoder {
    const bpe *t;
    char *bytes;          /* the piece, UTF-8 */
    symbol *symbols;      /* [bytes] */
    candidate *heap;      /* [3 * bytes] lowest rank first, then leftmost */
    candidate *batch;     /* [3 * bytes] all candidates of one rank */
    size_t cap;           /* bytes that there is room for */
    int nheap;
    id_list ids;
} encoder;

/* ---- a heap of candidates --------------------------------------------------------------------- */

static bool before(candidate a, candidate b) { return a.rank < b.rank || (a.rank == b.rank && a.at < b.at); }

static void heap_push(encoder *e, candidate c)
{
    int i = e->nheap++;
    for (int up; i > 0 && before(c, e->heap[up = (i - 1) / 2]); i = up) e->heap[i] = e->heap[up];
    e->heap[i] = c;
}

static candidate heap_pop(encoder *e)
{
    candidate top = e->heap[0], last = e->heap[--e->nheap];
    int i = 0;
    for (int down; (down = 2 * i + 1) < e->nheap; i = down) {
        if (down + 1 < e->nheap && before(e->heap[down + 1], e->heap[down])) down++;
        if (!before(e->heap[down], last)) break;
        e->heap[i] = e->heap[down];
    }
    e->heap[i] = last;
    return top;
}

/* ---- merging ---------------------------------------------------------------------------------- */

static void propose(encoder *e, int32_t at)
{
    if (at == NONE || e->symbols[at].next == NONE) return;
    int32_t left = e->symbols[at].id, right = e->symbols[e->symbols[at].next].id;
    if (left == BPE_NO_SYMBOL || right == BPE_NO_SYMBOL) return;
    const bpe_merge *m = bpe_slot(e->t, left, right);
    if (m->rank >= 0) heap_push(e, (candidate){m->rank, at, left, right});
}

static void merge(encoder *e, candidate c)
{
    symbol *s = &e->symbols[c.at];
    if (s->id != c.left || s->next == NONE || e->symbols[s->next].id != c.right) return; /* overtaken */
    symbol *gone = &e->symbols[s->next];
    s->id = bpe_slot(e->t, c.left, c.right)->product;
    s->next = gone->next;
    if (s->next != NONE) e->symbols[s->next].prev = c.at;
    gone->id = BPE_NO_SYMBOL;
    propose(e, s->prev);
    propose(e, c.at);
}

/* Merge the pair of the lowest rank everywhere, from the left, before looking for the next (a merge may make a pair of
 * lower rank; it has to wait), in n log n steps. */
static void merge_all(encoder *e, int32_t nbytes)
{
    e->nheap = 0;
    for (int32_t i = 0; i + 1 < nbytes; i++) propose(e, i);
    while (e->nheap) {
        int n = 0;
        do e->batch[n++] = heap_pop(e);
        while (e->nheap && e->heap[0].rank == e->batch[0].rank);
        for (int i = 0; i < n; i++) merge(e, e->batch[i]);
    }
}

/* ---- pieces ----------------------------------------------------------------------------------- */

/* Every block is as long as the longest piece needs: a heap holds one candidate a symbol and two more a merge. */
static bool reserve(encoder *e, size_t nbytes)
{
    if (nbytes <= e->cap) return true;
    mem_free(e->bytes);
    mem_free(e->symbols);
    mem_free(e->heap);
    mem_free(e->batch);
    e->cap = nbytes + nbytes / 2 + 64;
    e->bytes = mem_alloc(e->cap);
    e->symbols = mem_alloc(e->cap * sizeof *e->symbols);
    e->heap = mem_alloc(3 * e->cap * sizeof *e->heap);
    e->batch = mem_alloc(3 * e->cap * sizeof *e->batch);
    return e->bytes && e->symbols && e->heap && e->batch;
}

static bool begins_with(const char *s, size_t n, const char *token, size_t ntoken) { return n >= ntoken && memcmp(s, token, ntoken) == 0; }

/* Length of the start or end token when s[0..n) begins with it, and its id; or 0. */
static size_t special(const bpe *t, const char *s, size_t n, int32_t *id)
{
    if (begins_with(s, n, BPE_START, sizeof BPE_START - 1)) return *id = t->start, sizeof BPE_START - 1;
    if (begins_with(s, n, BPE_END, sizeof BPE_END - 1)) return *id = t->end, sizeof BPE_END - 1;
    *id = BPE_NO_SYMBOL;
    return 0;
}

static bool encode_piece(void *user, const int32_t *cp, size_t n, size_t word)
{
    encoder *e = user;
    const bpe *t = e->t;
    size_t need = 0;
    int32_t nbytes = 0;
    for (size_t i = 0; i < n; i++) need += utf8_nbytes(cp[i]);
    if (!reserve(e, need)) return false;
    for (size_t i = 0; i < n; i++) nbytes += (int32_t)utf8_put(e->bytes + nbytes, cp[i]);
    int32_t token;
    if (special(t, e->bytes, need, &token) == need) return ids_push(&e->ids, token, word);
    for (int32_t i = 0; i < nbytes; i++) {
        bool last = i + 1 == nbytes;
        e->symbols[i] = (symbol){t->symbol[last][(unsigned char)e->bytes[i]], i - 1, last ? NONE : i + 1};
    }
    merge_all(e, nbytes);
    for (int32_t i = 0; i != NONE; i = e->symbols[i].next) {
        int32_t id = e->symbols[i].id;
        if (!ids_push(&e->ids, id == BPE_NO_SYMBOL ? t->end : id, word)) return false; /* the end token is also "unknown" */
    }
    return true;
}

/* ---- whole texts ------------------------------------------------------------------------------ */

static bool encode_text(encoder *e, const char *text, size_t n)
{
    size_t begin = 0;
    for (size_t i = 0; i < n; ) {
        int32_t id;
        size_t len = special(e->t, text + i, n - i, &id);
        if (!len) {
            i++;
            continue;
        }
        if (!clip_split(text, begin, i, encode_piece, e) || !ids_push(&e->ids, id, i)) return false;
        begin = i += len;
    }
    return clip_split(text, begin, n, encode_piece, e);
}

dreamo_status bpe_encode_n(const bpe *t, const char *text, size_t n, int max, token_ids *out, dreamo_error *err)
{
    *out = (token_ids){0};
    if (max < 2) return fail(err, DREAMO_ARG, "a limit of %d CLIP tokens leaves no room for the start and end tokens", max);
    dreamo_status s = utf8_check_prompt(text, n, err);
    if (s) return s;
    encoder e = {.t = t, .ids.keep = max - 1};
    bool ok = ids_push(&e.ids, t->start, 0) && encode_text(&e, text, n) && ids_close(&e.ids, t->end, n, out);
    ids_free(&e.ids);
    mem_free(e.bytes);
    mem_free(e.symbols);
    mem_free(e.heap);
    mem_free(e.batch);
    return ok ? DREAMO_OK : fail(err, DREAMO_MEMORY, "no memory to tokenize a prompt of %zu bytes", n);
}

dreamo_status bpe_encode(const bpe *t, const char *text, int max, token_ids *out, dreamo_error *err)
{
    return bpe_encode_n(t, text, strlen(text), max, out, err);
}

int bpe_max_length(const bpe *t) { return t->max_length; }
int bpe_start(const bpe *t)      { return t->start; }
int bpe_end(const bpe *t)        { return t->end; }

const char *bpe_piece(const bpe *t, int32_t id) { return id < 0 || id >= t->n ? NULL : t->name[id]; }

void bpe_close(bpe *t)
{
    if (!t) return;
    for (int i = 0; t->name && i < t->n; i++) mem_free(t->name[i]);
    mem_free(t->name);
    mem_free(t->merges);
    mem_free(t);
}
