/* own_report.c - what a set holds: how many samples of which kind, sizes, buckets, words. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/file.h"
#include "base/mem.h"
#include "data/own/own.h"

enum { TOP = 20 }; /* words and licences told */

bool dreamo_dataset_is_own(const char *path) { return path && own_is(path); }

dreamo_status own_captions(const data_set *set, filewriter *w, dreamo_error *err)
{
    const own_set *d = (const own_set *)set;
    dreamo_status s = DREAMO_OK;
    for (int i = 0; i < d->nitems && !s; i++) {
        char *line = mem_printf("%s\n", d->items[i].caption);
        s = line ? DREAMO_OK : fail(err, DREAMO_MEMORY, "%s: no memory", d->path);
        for (char *c = line; !s && c[1]; c++)
            if (*c == '\n' || *c == '\r') *c = ' ';
        if (!s) s = file_write(w, line, strlen(line), err);
        mem_free(line);
    }
    return s;
}

/* Things told as rows: a list of words that is sorted and counted. */
typedef struct heap { char *text; size_t nbytes, room; int n; } heap;

static bool heap_add(heap *h, const char *word, size_t n)
{
    if (h->nbytes + n + 1 > h->room) {
        size_t room = 2 * (h->nbytes + n + 1);
        char *more = mem_realloc(h->text, room);
        if (!more) return false;
        h->text = more;
        h->room = room;
    }
    memcpy(h->text + h->nbytes, word, n);
    h->text[h->nbytes + n] = 0;
    h->nbytes += n + 1;
    h->n++;
    return true;
}

typedef struct counted { const char *word; int64_t n; } counted;

static int by_word(const void *a, const void *b) { return strcmp(((const counted *)a)->word, ((const counted *)b)->word); }

static int by_count(const void *a, const void *b)
{
    const counted *x = a, *y = b;
    return x->n != y->n ? (x->n < y->n) - (x->n > y->n) : strcmp(x->word, y->word);
}

typedef struct teller { dreamo_dataset_row row; void *user; dreamo_error *err; } teller;

static dreamo_status tell(const teller *t, const char *group, const char *name, int64_t n)
{
    return t->row(t->user, group, name, n) ? DREAMO_OK : fail(t->err, DREAMO_CANCELLED, "stopped");
}

/* The most frequent first, at most `most` of them (0: all); the number of different ones as "GROUP", "(different)". */
static dreamo_status tell_heap(const teller *t, const char *group, const heap *h, int most)
{
    counted *list = mem_alloc((size_t)h->n * sizeof *list + 1);
    int n = 0;
    if (!list) return fail(t->err, DREAMO_MEMORY, "no memory to count %d words", h->n);
    const char *at = h->text;
    for (int i = 0; i < h->n; i++, at += strlen(at) + 1) list[i] = (counted){ at, 1 };
    if (h->n) qsort(list, (size_t)h->n, sizeof *list, by_word);
    for (int i = 0; i < h->n; i++) {
        if (n && !strcmp(list[n - 1].word, list[i].word)) list[n - 1].n++;
        else list[n++] = list[i];
    }
    if (n) qsort(list, (size_t)n, sizeof *list, by_count);
    dreamo_status s = most ? tell(t, group, "(different)", n) : DREAMO_OK;
    for (int i = 0; i < n && !s && (!most || i < most); i++) s = tell(t, group, list[i].word, list[i].n);
    mem_free(list);
    return s;
}

/* Runs of letters, small; letters beyond ASCII as they are. */
static bool add_words(heap *h, const char *text)
{
    char word[64];
    size_t n = 0;
    for (;; text++) {
        unsigned char c = (unsigned char)*text;
        if (c >= 0x80 || isalpha(c)) {
            if (n < sizeof word) word[n++] = (char)(c < 0x80 ? tolower(c) : c);
        } else {
            if (n && !heap_add(h, word, n)) return false;
            n = 0;
        }
        if (!c) return true;
    }
}

static dreamo_status add_sizes(const own_set *d, const own_item *it, int side, heap *sizes, heap *buckets, dreamo_error *err)
{
    bitmap b;
    char text[32];
    int w, h;
    dreamo_status s = own_picture(d, &it->target, &b, NULL, err);
    if (s) return s;
    data_bucket(b.width, b.height, side, &w, &h);
    bool ok = heap_add(sizes, text, (size_t)snprintf(text, sizeof text, "%dx%d", b.width, b.height));
    ok = ok && heap_add(buckets, text, (size_t)snprintf(text, sizeof text, "%dx%d", w, h));
    bitmap_free(&b);
    return ok ? DREAMO_OK : fail(err, DREAMO_MEMORY, "%s: no memory", d->path);
}

dreamo_status dreamo_dataset_tally(const char *path, int side, dreamo_dataset_row row, void *user, dreamo_error *err)
{
    data_set *set;
    heap words = { 0 }, licences = { 0 }, sizes = { 0 }, buckets = { 0 };
    if (!path || !row) return fail(err, DREAMO_ARG, "%s is missing", !path ? "the dataset" : "the function for its rows");
    if (side < 16 || side > 1024) return fail(err, DREAMO_ARG, "side: %d is not in 16..1024", side);
    if (!own_is(path)) return fail(err, DREAMO_ARG, "%s: holds no pictures of one's own", path);
    dreamo_status s = own_open(path, false, &set, err);
    if (s) return s;
    const own_set *d = (const own_set *)set;
    teller t = { row, user, err };
    int references = 0, masks = 0;
    for (int i = 0; i < d->nitems && !s; i++) {
        const own_item *it = &d->items[i];
        const char *licence = it->licence ? it->licence : "(not told)";
        references += it->nrefs;
        for (int k = 0; k < it->nrefs; k++) masks += it->ref[k].mask.name != NULL;
        if (!add_words(&words, it->caption) || !heap_add(&licences, licence, strlen(licence))) s = fail(err, DREAMO_MEMORY, "%s: no memory", path);
        else s = add_sizes(d, it, side, &sizes, &buckets, err);
    }
    if (!s) s = tell(&t, "samples", "train", d->count[DATA_TRAIN][DATA_ANY]);
    if (!s) s = tell(&t, "samples", "held out", d->count[DATA_VAL][DATA_ANY]);
    if (!s) s = tell(&t, "samples", "references", references);
    if (!s) s = tell(&t, "samples", "masks", masks);
    for (int k = 0; k < DATA_KINDS && !s; k++) {
        int64_t n = 0;
        for (int i = 0; i < d->nitems; i++) n += (int)d->items[i].kind == k;
        if (n) s = tell(&t, "kind", data_kind_name((data_kind)k), n);
    }
    if (!s) s = tell_heap(&t, "size", &sizes, TOP);
    if (!s) s = tell_heap(&t, "bucket", &buckets, 0);
    if (!s) s = tell_heap(&t, "licence", &licences, 0);
    if (!s) s = tell_heap(&t, "word", &words, TOP);
    mem_free(words.text);
    mem_free(licences.text);
    mem_free(sizes.text);
    mem_free(buckets.text);
    own_close(set);
    return s;
}
