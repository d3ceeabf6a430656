/* own_file.c - the bytes of an item: from a file of the folder, or from where they lie in a shard. */
#include <stdio.h>
#include <string.h>
#include "base/inside.h"
#include "base/mem.h"
#include "base/rng.h"
#include "data/own/own.h"
#include "image/resize.h"
#include "text/utf8.h"

enum { MAX_PICTURE = 64 << 20 };

void own_file_path(const own_set *d, const own_file *f, char *out, size_t nbytes)
{
    if (f->shard >= 0) snprintf(out, nbytes, "%.200s: %.200s", d->shards[f->shard].path, f->name);
    else snprintf(out, nbytes, "%.200s/%.200s", d->folder, f->name);
}

dreamo_status own_read(const own_set *d, const own_file *f, size_t max, own_bytes *out, dreamo_error *err)
{
    *out = (own_bytes){ 0 };
    if (f->shard >= 0) {
        const tar *t = &d->shards[f->shard];
        if (f->nbytes > max) return fail(err, DREAMO_LIMIT, "%s: %.200s: %zu bytes, at most %zu are allowed", t->path, f->name, f->nbytes, max);
        *out = (own_bytes){ t->map.data + f->at, f->nbytes, NULL };
        return DREAMO_OK;
    }
    char *path;
    dreamo_status s = path_inside(d->folder, f->name, &path, err);
    if (!s) s = file_read(path, max, &out->owned, &out->nbytes, err);
    out->data = (unsigned char *)out->owned;
    mem_free(path);
    return s;
}

void own_done(own_bytes *b)
{
    mem_free(b->owned);
    *b = (own_bytes){ 0 };
}

static dreamo_status decode(const own_set *d, const own_file *f, bitmap *out, uint64_t *hash, dreamo_error *err)
{
    own_bytes b;
    char what[512];
    *out = (bitmap){ 0 };
    dreamo_status s = own_read(d, f, MAX_PICTURE, &b, err);
    if (s) return s;
    own_file_path(d, f, what, sizeof what);
    s = image_decode(b.data, b.nbytes, what, out, NULL, 0, err);
    if (hash) *hash = hash_fnv1a(b.data, b.nbytes);
    own_done(&b);
    return s;
}

dreamo_status own_picture(const own_set *d, const own_file *f, bitmap *out, uint64_t *hash, dreamo_error *err)
{
    dreamo_status s = decode(d, f, out, hash, err);
    if (s || out->channels == 3) return s;
    bitmap opaque;
    s = composite_white(out, &opaque, err);
    bitmap_free(out);
    if (!s) *out = opaque;
    return s;
}

dreamo_status own_mask(const own_set *d, const own_file *f, bitmap *out, dreamo_error *err)
{
    bitmap b;
    dreamo_status s = decode(d, f, &b, NULL, err);
    if (!s) s = bitmap_new(out, b.width, b.height, 3, err);
    size_t n = s ? 0 : (size_t)b.width * (size_t)b.height;
    for (size_t i = 0; i < n; i++) {
        const unsigned char *p = b.data + i * (size_t)b.channels;
        int grey = (299 * p[0] + 587 * p[1] + 114 * p[2] + 500) / 1000;
        if (b.channels == 4) grey = (grey * p[3] + 127) / 255;
        memset(out->data + 3 * i, grey, 3);
    }
    bitmap_free(&b);
    return s;
}

dreamo_status own_text(const own_set *d, const own_file *f, char **out, dreamo_error *err)
{
    own_bytes b;
    char what[512];
    *out = NULL;
    dreamo_status s = own_read(d, f, OWN_MAX_TEXT, &b, err);
    if (s) return s;
    own_file_path(d, f, what, sizeof what);
    size_t begin = b.nbytes >= 3 && !memcmp(b.data, "\xEF\xBB\xBF", 3) ? 3 : 0, end = b.nbytes;
    while (begin < end && memchr(" \t\r\n", b.data[begin], 4)) begin++;
    while (end > begin && memchr(" \t\r\n", b.data[end - 1], 4)) end--;
    const char *text = (const char *)b.data + begin;
    size_t n = end - begin;
    if (memchr(text, 0, n) || utf8_bad(text, n) < n) s = fail(err, DREAMO_FORMAT, "%s: is not UTF-8 text", what);
    else if (!n) s = fail(err, DREAMO_FORMAT, "%s: the caption is empty", what);
    else if (!(*out = mem_alloc(n + 1))) s = fail(err, DREAMO_MEMORY, "%s: no memory", what);
    size_t k = 0;
    for (size_t i = 0; i < n && !s; i++) { /* line ends and tabs become spaces, runs of white space one */
        char c = memchr("\t\r\n", text[i], 3) ? ' ' : text[i];
        if (c != ' ' || (*out)[k - 1] != ' ') (*out)[k++] = c; /* the first is none: k > 0 here */
    }
    if (!s) (*out)[k] = 0;
    own_done(&b);
    return s;
}
