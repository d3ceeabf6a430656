/* own_check.c - every fault of a set, one line each: what opening finds, and what only looking at every picture does. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "base/progress.h"
#include "base/sha256.h"
#include "data/own/own.h"
#include "image/resize.h"

enum { ALIKE = 3 }; /* of 64 bits: scaled, compressed again, brighter; other pictures differ in about 32 */

/* Whether each pixel of a 9 x 8 grey thumbnail is darker than its right neighbour: what survives scaling and compression. */
static dreamo_status difference_hash(const bitmap *b, uint64_t *hash, dreamo_error *err)
{
    bitmap small;
    dreamo_status s = resize_area(b, 9, 8, &small, err);
    if (s) return s;
    *hash = 0;
    for (int i = 0; i < 64; i++) {
        const unsigned char *p = small.data + 3 * (i / 8 * 9 + i % 8);
        *hash = *hash << 1 | (299 * p[0] + 587 * p[1] + 114 * p[2] < 299 * p[3] + 587 * p[4] + 114 * p[5]);
    }
    bitmap_free(&small);
    return DREAMO_OK;
}

/* A manifest's line goes before the name of the file that is wrong with it.  No memory is nobody's fault. */
static dreamo_status add(const own_set *d, const own_item *it, const dreamo_error *e, own_faults *f, dreamo_error *err)
{
    char where[512];
    dreamo_error named = { 0 };
    if (!e->status) return DREAMO_OK;
    if (e->status == DREAMO_MEMORY) return fail(err, DREAMO_MEMORY, "%s", e->message);
    if (d->form != OWN_MANIFEST) own_fault(f, e);
    else {
        own_where(d, it, where, sizeof where);
        fail(&named, e->status, "%s: %s", where, e->message);
        if (*e->hint) hint(&named, "%s", e->hint);
        own_fault(f, &named);
    }
    return DREAMO_OK;
}

static dreamo_status look_at_bytes(const own_set *d, const own_item *it, dreamo_error *err)
{
    own_bytes b;
    char hash[65], what[512];
    if (!it->hash_told) return DREAMO_OK;
    dreamo_status s = own_read(d, &it->target, 64 << 20, &b, err);
    if (s) return s;
    sha256_hex(b.data, b.nbytes, hash);
    own_done(&b);
    own_file_path(d, &it->target, what, sizeof what);
    return strcmp(hash, it->sha256) ? fail(err, DREAMO_DIFFERS, "%s: has sha256 %s, the set says %s", what, hash, it->sha256) : DREAMO_OK;
}

static dreamo_status look_at_mask(const own_set *d, const own_ref *r, const bitmap *target, dreamo_error *err)
{
    bitmap b;
    char what[512];
    dreamo_status s = own_mask(d, &r->mask, &b, err);
    if (s) return s;
    own_file_path(d, &r->mask, what, sizeof what);
    bool fits = b.width == target->width && b.height == target->height;
    if (target->data && !fits) s = fail(err, DREAMO_FORMAT, "%s: the mask is %d x %d, its target %d x %d", what, b.width, b.height, target->width, target->height);
    size_t n = (size_t)b.width * (size_t)b.height, i = 0;
    while (i < n && !b.data[3 * i]) i++;
    if (!s && i == n) s = fail(err, DREAMO_CONTENT, "%s: the mask is empty", what);
    bitmap_free(&b);
    return s;
}

/* All faults of one item. */
static dreamo_status look_at(const own_set *d, const own_item *it, uint64_t *alike, own_faults *f, dreamo_error *err)
{
    bitmap target = { 0 }, b = { 0 };
    dreamo_error bytes = { 0 }, picture = { 0 };
    look_at_bytes(d, it, &bytes);
    if (!own_picture(d, &it->target, &target, NULL, &picture)) difference_hash(&target, alike, &picture);
    dreamo_status s = add(d, it, &bytes, f, err);
    if (!s) s = add(d, it, &picture, f, err);
    if (!s && it->rejected.name) {
        dreamo_error rejected = { 0 };
        own_picture(d, &it->rejected, &b, NULL, &rejected);
        bitmap_free(&b);
        s = add(d, it, &rejected, f, err);
    }
    for (int i = 0; i < it->nrefs && !s; i++) {
        dreamo_error image = { 0 }, mask = { 0 };
        own_picture(d, &it->ref[i].image, &b, NULL, &image);
        bitmap_free(&b);
        if (it->ref[i].mask.name) look_at_mask(d, &it->ref[i], &target, &mask);
        s = add(d, it, &image, f, err);
        if (!s) s = add(d, it, &mask, f, err);
    }
    bitmap_free(&target);
    return s;
}

/* A held-out picture that training shows, nearly: validation would tell too much good.  Told, not a fault: ten pictures of one dog may be
 * as near as that.  All pairs are compared, some 10^9 in three seconds. */
static int tell_alike(const own_set *d, const uint64_t *alike, own_faults *f)
{
    int n = 0;
    for (int v = 0; v < d->count[DATA_VAL][DATA_ANY] && !f->stopped; v++)
        for (int t = 0; t < d->count[DATA_TRAIN][DATA_ANY] && !f->stopped; t++) {
            int a = d->list[DATA_VAL][DATA_ANY][v], b = d->list[DATA_TRAIN][DATA_ANY][t];
            if (__builtin_popcountll(alike[a] ^ alike[b]) > ALIKE) continue;
            char held[512], shown[512], line[1100];
            own_where(d, &d->items[a], held, sizeof held);
            own_where(d, &d->items[b], shown, sizeof shown);
            snprintf(line, sizeof line, "%s is held out and looks like %s, which is trained on", held, shown);
            if (f->tell) f->stopped = !f->tell(f->user, &(dreamo_event){ .kind = DREAMO_EVENT_NOTE, .text = line });
            n++;
            break;
        }
    return n;
}

dreamo_status own_check(const char *path, dreamo_progress progress, void *user, dreamo_error *err)
{
    own_faults f = { .tell = progress, .user = user };
    own_set *d;
    dreamo_status s = own_load(path, false, false, &d, &f, err);
    if (s) return s;
    uint64_t *alike = mem_calloc((size_t)d->nitems + 1, sizeof *alike);
    if (!alike) s = fail(err, DREAMO_MEMORY, "%s: no memory", path);
    struct progress pace;
    progress_start(&pace, d->nitems);
    for (int i = 0; i < d->nitems && !s && !f.stopped; i++) {
        s = look_at(d, &d->items[i], &alike[i], &f, err);
        progress_step(&pace, i + 1);
        dreamo_event e = { .kind = DREAMO_EVENT_STEP, .done = i + 1, .total = d->nitems, .seconds_left = progress_seconds_left(&pace),
                           .seconds_a_step = progress_seconds_a_step(&pace) };
        bool due = i % (d->nitems / 100 + 1) == 0 || i == d->nitems - 1; /* a hundred lines or so */
        if (progress && due && !f.stopped && !progress(user, &e)) f.stopped = true;
    }
    if (!s && !f.stopped && !f.n) tell_alike(d, alike, &f);
    if (!s && f.stopped) s = fail(err, DREAMO_CANCELLED, "%s: stopped", path);
    if (!s && f.n) s = fail(err, DREAMO_FORMAT, "%s: %d fault%s; %d samples are whole as far as they were read", path, f.n, f.n > 1 ? "s" : "", d->nitems);
    mem_free(alike);
    own_close(&d->set);
    return s;
}
