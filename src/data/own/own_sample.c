/* own_sample.c - an item as the trainer wants it: in order, in size.
 *
 * A target fills its size: what is too much of the longer side is cut off evenly, and the masks with it.  A reference keeps its
 * proportions in a bucket of its own, or is made square: things and faces stand whole on white, as they do in generation, and a style,
 * which is everywhere, fills the square. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "base/mem.h"
#include "data/own/own.h"
#include "image/resize.h"

enum { STEP = 16, LEAST = 16, MOST = 1024, ROUNDS = 6 };

/* ---- order ---- */

static uint64_t scramble(uint64_t h) /* splitmix64's finaliser */
{
    h = (h ^ (h >> 30)) * 0xBF58476D1CE4E5B9u;
    h = (h ^ (h >> 27)) * 0x94D049BB133111EBu;
    return h ^ (h >> 31);
}

/* A Feistel network permutes the numbers of 2b bits; walking on from those that are too large stays a permutation of the rest. */
uint64_t own_order(uint64_t n, uint64_t seed, uint64_t epoch, uint64_t i)
{
    int half = 1;
    while (half < 31 && (uint64_t)1 << 2 * half < n) half++;
    uint64_t low = ((uint64_t)1 << half) - 1, key = scramble(scramble(seed + 0x9E3779B97F4A7C15u) ^ epoch);
    do {
        uint64_t left = i >> half, right = i & low;
        for (uint64_t round = 0; round < ROUNDS; round++) {
            uint64_t next = left ^ (scramble(key + round * 0x9E3779B97F4A7C15u + right) & low);
            left = right;
            right = next;
        }
        i = left << half | right;
    } while (i >= n);
    return i;
}

/* ---- sizes ---- */

/* The wide buckets are 16 k x the most that fits; the high ones are those turned. */
void data_bucket(int width, int height, int side, int *bucket_width, int *bucket_height)
{
    bool high = height > width;
    double wanted = high ? log((double)height / width) : log((double)width / height), nearest = INFINITY;
    int best[2] = { STEP, STEP };
    for (int w = side / STEP * STEP; w >= STEP; w += STEP) {
        int h = side * side / w / STEP * STEP;
        if (h < STEP || w > 3 * h) break;
        if (h > w) h = w;
        double off = fabs(log((double)w / h) - wanted);
        if (off < nearest || (off == nearest && w * h > best[0] * best[1])) {
            nearest = off;
            best[0] = w;
            best[1] = h;
        }
    }
    *bucket_width = best[high];
    *bucket_height = best[!high];
}

/* The middle of `from` in the proportions of width x height, then in that size. */
static dreamo_status fill_size(const bitmap *from, int width, int height, bitmap *out, dreamo_error *err)
{
    int64_t w = from->width, h = from->height;
    int64_t cut_w = (2 * h * width + height) / (2 * height), cut_h = (2 * w * height + width) / (2 * width);
    if (cut_w < w) w = cut_w > 0 ? cut_w : 1;
    else if (cut_h < h) h = cut_h > 0 ? cut_h : 1;
    if (w == from->width && h == from->height) return resize_area(from, width, height, out, err);
    bitmap middle;
    dreamo_status s = bitmap_cut(from, (from->width - (int)w) / 2, (from->height - (int)h) / 2, (int)w, (int)h, &middle, err);
    if (s) return s;
    s = resize_area(&middle, width, height, out, err);
    bitmap_free(&middle);
    return s;
}

/* All of `from` on a white square. */
static dreamo_status stand_on_white(const bitmap *from, int side, bitmap *out, dreamo_error *err)
{
    int longest = from->width > from->height ? from->width : from->height;
    int w = (int)lround((double)from->width * side / longest), h = (int)lround((double)from->height * side / longest);
    bitmap small;
    w = w < 1 ? 1 : w;
    h = h < 1 ? 1 : h;
    dreamo_status s = resize_area(from, w, h, &small, err);
    if (s) return s;
    if (!(s = bitmap_new(out, side, side, 3, err))) {
        memset(out->data, 255, 3 * (size_t)side * (size_t)side);
        size_t left = (size_t)(side - w) / 2, top = (size_t)(side - h) / 2;
        for (size_t y = 0; y < (size_t)h; y++) memcpy(out->data + 3 * ((top + y) * (size_t)side + left), small.data + 3 * y * (size_t)w, 3 * (size_t)w);
    }
    bitmap_free(&small);
    return s;
}

/* ---- a sample ---- */

static int own_side(const bitmap *b)
{
    int side = (int)sqrt((double)b->width * b->height);
    return side < LEAST ? LEAST : side > MOST ? MOST : side;
}

static dreamo_status make_target(const own_set *d, const own_item *it, const data_request *q, bitmap *whole, data_sample *out, dreamo_error *err)
{
    int side = q->width ? q->width : q->ref_side;
    dreamo_status s = own_picture(d, &it->target, whole, NULL, err);
    if (s) return s;
    out->width = q->width;
    out->height = q->height;
    if (!q->height) data_bucket(whole->width, whole->height, side ? side : own_side(whole), &out->width, &out->height);
    return fill_size(whole, out->width, out->height, &out->target, err);
}

static dreamo_status make_mask(const own_set *d, const own_ref *r, const bitmap *whole, const data_sample *out, unsigned char **mask, dreamo_error *err)
{
    bitmap grey, fitted = { 0 };
    char what[512];
    own_file_path(d, &r->mask, what, sizeof what);
    dreamo_status s = own_mask(d, &r->mask, &grey, err);
    if (s) return s;
    if (grey.width != whole->width || grey.height != whole->height)
        s = fail(err, DREAMO_FORMAT, "%s: the mask is %d x %d, its target %d x %d", what, grey.width, grey.height, whole->width, whole->height);
    if (!s) s = fill_size(&grey, out->width, out->height, &fitted, err);
    size_t n = (size_t)out->width * (size_t)out->height;
    if (!s && !(*mask = mem_alloc(n))) s = fail(err, DREAMO_MEMORY, "%s: no memory", what);
    for (size_t i = 0; i < n && !s; i++) (*mask)[i] = fitted.data[3 * i];
    bitmap_free(&grey);
    bitmap_free(&fitted);
    return s;
}

static dreamo_status make_reference(const own_set *d, const own_ref *r, const data_request *q, const bitmap *whole, data_sample *out, dreamo_error *err)
{
    data_ref *to = &out->ref[out->nrefs++];
    *to = (data_ref){ .task = r->task, .slot = r->slot };
    size_t n = strlen(r->image.name), from = n < sizeof to->name ? 0 : n - sizeof to->name + 1;
    while (((unsigned char)r->image.name[from] & 0xC0) == 0x80) from++; /* not in the middle of a letter */
    snprintf(to->name, sizeof to->name, "%s", r->image.name + from);
    bitmap picture;
    dreamo_status s = own_picture(d, &r->image, &picture, &to->identity, err);
    if (s) return s;
    int shorter = out->width < out->height ? out->width : out->height, side = q->ref_side, w, h;
    if (q->height) {
        side = side ? side : shorter;
        s = r->task == DATA_LOOK ? fill_size(&picture, side, side, &to->picture, err) : stand_on_white(&picture, side, &to->picture, err);
    } else {
        data_bucket(picture.width, picture.height, side ? side : q->width ? q->width : own_side(&picture), &w, &h);
        s = fill_size(&picture, w, h, &to->picture, err);
    }
    bitmap_free(&picture);
    return s || !r->mask.name ? s : make_mask(d, r, whole, out, &to->mask, err);
}

static dreamo_status check_request(const data_request *q, dreamo_error *err)
{
    bool free_shape = !q->height;
    if ((q->width || !free_shape) && (q->width < LEAST || q->width > MOST)) return fail(err, DREAMO_ARG, "sample size: %d x %d is not in %d..%d", q->width, q->height, LEAST, MOST);
    if (!free_shape && (q->height < LEAST || q->height > MOST)) return fail(err, DREAMO_ARG, "sample size: %d x %d is not in %d..%d", q->width, q->height, LEAST, MOST);
    if (q->ref_side && (q->ref_side < LEAST || q->ref_side > MOST)) return fail(err, DREAMO_ARG, "reference size: %d is not in %d..%d", q->ref_side, LEAST, MOST);
    return DREAMO_OK;
}

/* Each kind has an order of its own. */
static const own_item *item_of(const own_set *d, const data_request *q)
{
    uint64_t n = (uint64_t)d->count[q->split][q->kind], i = q->index % n;
    if (q->split == DATA_TRAIN) i = own_order(n, q->seed + ((uint64_t)q->kind << 56), q->index / n, i);
    return &d->items[d->list[q->split][q->kind][i]];
}

static dreamo_status make_rejected(const own_set *d, const own_item *it, data_sample *out, dreamo_error *err)
{
    bitmap whole;
    dreamo_status s = own_picture(d, &it->rejected, &whole, NULL, err);
    if (s) return s;
    s = fill_size(&whole, out->width, out->height, &out->rejected, err);
    bitmap_free(&whole);
    return s;
}

static bool can(const data_set *set, data_kind kind, data_split split) { return ((const own_set *)set)->count[split][kind] > 0; }

static void preferences(const data_set *set, int *samples, int *with)
{
    const own_set *d = (const own_set *)set;
    *samples = d->nitems;
    for (int i = 0; i < d->nitems; i++) *with += d->items[i].rejected.name != NULL;
}

static int most_refs(const data_set *set, data_kind kind)
{
    const own_set *d = (const own_set *)set;
    int most = 0;
    for (int i = 0; i < d->nitems && kind != DATA_T2I; i++)
        if ((kind == DATA_ANY || d->items[i].kind == kind) && d->items[i].nrefs > most) most = d->items[i].nrefs;
    return most;
}

static dreamo_status make(const data_set *set, const data_params *params, const data_request *q, data_sample *out, dreamo_error *err)
{
    const own_set *d = (const own_set *)set;
    bitmap whole = { 0 };
    (void)params;
    dreamo_status s = check_request(q, err);
    if (s) return s;
    const own_item *it = item_of(d, q);
    s = make_target(d, it, q, &whole, out, err);
    if (!s && it->rejected.name) s = make_rejected(d, it, out, err);
    out->kind = q->kind == DATA_T2I ? DATA_T2I : it->kind;
    out->bare = it->bare;
    snprintf(out->caption, sizeof out->caption, "%s", it->caption);
    if (strstr(it->caption, "[ref#") && q->kind != DATA_T2I) snprintf(out->placed, sizeof out->placed, "%s", it->caption);
    for (int i = 0; i < it->nrefs && !s && q->kind != DATA_T2I; i++) s = make_reference(d, &it->ref[i], q, &whole, out, err);
    if (!s && out->nrefs) snprintf(out->subject, sizeof out->subject, "%s", out->ref[0].name);
    bitmap_free(&whole);
    return s;
}

static int count(const data_set *set, data_kind kind, data_split split) { return ((const own_set *)set)->count[split][kind]; }

static dreamo_status words(const data_set *set, const data_request *q, char *out, size_t nbytes, dreamo_error *err)
{
    (void)err;
    snprintf(out, nbytes, "%s", item_of((const own_set *)set, q)->caption);
    return DREAMO_OK;
}

const data_maker own_maker = { .given = true, .close = own_close, .can = can, .preferences = preferences, .count = count, .most_refs = most_refs, .make = make, .words = words };
