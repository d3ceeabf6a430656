/* garments.c - IDX files of pictures and labels, and which of the pictures can be worn. */
#include "data/source/garments.h"
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include "base/file.h"
#include "base/mem.h"
#include "data/source/unpack.h"

enum { SIDE = 28, PIXELS = SIDE * SIDE, MOST_PICTURES = 1000000, DEFLATE_MOST = 1032 /* bytes that one can become, about */ };

/* The classes by label; a label without a name is not clothing for the body (shoes, bags). */
static const struct { const char *name, *part; } classes[10] = {
    { "t-shirt", "top" }, { "trousers", "bottom" }, { "pullover", "top" }, { "dress", "whole" }, { "coat", "top" }, { NULL, NULL }, { "shirt", "top" },
};

/* ---- files ---- */

static uint32_t u32_at(const unsigned char *p) { return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3]; }

/* An IDX file of bytes: 0x0000080r for rank r, r sizes, the items.  *data: all of it; mem_free. */
static dreamo_status read_idx(const char *folder, const char *name, int rank, int *count, unsigned char **data, dreamo_error *err)
{
    char *path = path_join(folder, name);
    filemap m = { 0 };
    unsigned char head[16];
    size_t start = 4 + 4 * (size_t)rank, each = rank == 3 ? PIXELS : 1;
    *data = NULL;
    dreamo_status status = path ? file_map(path, &m, err) : fail(err, DREAMO_MEMORY, "%s: no memory", name);
    if (!status && m.nbytes > 1u << 30) status = fail(err, DREAMO_LIMIT, "%s: %zu bytes; at most 1 GB", path, m.nbytes);
    dreamo_status unpacked = status ? DREAMO_OK : unpack(m.data, m.nbytes, UNPACK_GZIP, head, start, false);
    if (unpacked == DREAMO_MEMORY) status = fail(err, DREAMO_MEMORY, "%s: no memory to unpack it", path);
    if (!status && (unpacked || u32_at(head) != 0x800u + (unsigned)rank || (rank == 3 && (u32_at(head + 8) != SIDE || u32_at(head + 12) != SIDE))))
        status = fail(err, DREAMO_FORMAT, "%s: not a gzipped IDX file of %s", path, rank == 3 ? "28 x 28 pictures" : "labels");
    uint32_t n = status ? 0 : u32_at(head + 4);
    if (!status && (!n || n > MOST_PICTURES)) status = fail(err, DREAMO_LIMIT, "%s: %u items; 1 to %d are allowed", path, n, MOST_PICTURES);
    if (!status && each * n > DEFLATE_MOST * m.nbytes) status = fail(err, DREAMO_FORMAT, "%s: %zu bytes cannot hold the %u items that its header announces", path, m.nbytes, n);
    if (!status && !(*data = mem_alloc(start + each * n))) status = fail(err, DREAMO_MEMORY, "%s: no memory for %u items", path, n);
    if (!status && (unpacked = unpack(m.data, m.nbytes, UNPACK_GZIP, *data, start + each * n, true)) != DREAMO_OK)
        status = fail(err, unpacked, unpacked == DREAMO_MEMORY ? "%s: no memory to unpack %u items" : "%s: damaged, or not the %u items that its header announces", path, n);
    *count = (int)n;
    file_unmap(&m);
    mem_free(path);
    if (status) {
        mem_free(*data);
        *data = NULL;
    }
    return status;
}

/* ---- selection ---- */

/* Garments whose lit pixels are dark fall apart on any ground. */
static bool usable(garment_source *s, const unsigned char *grey)
{
    int lit = 0, sum = 0;
    for (int i = 0; i < PIXELS; i++)
        if (grey[i] > 15) lit++, sum += grey[i];
    s->seen++;
    if (lit < PIXELS * 22 / 100) return s->small++, false;
    if (sum < 110 * lit) return s->dark++, false;
    return true;
}

static dreamo_status read_split(garment_source *s, const char *folder, bool held_out, int most, dreamo_error *err)
{
    int n, labels;
    unsigned char *pictures = NULL, *label = NULL;
    dreamo_status status = read_idx(folder, held_out ? "t10k-images-idx3-ubyte.gz" : "train-images-idx3-ubyte.gz", 3, &n, &pictures, err);
    if (!status) status = read_idx(folder, held_out ? "t10k-labels-idx1-ubyte.gz" : "train-labels-idx1-ubyte.gz", 1, &labels, &label, err);
    if (!status && n != labels) status = fail(err, DREAMO_FORMAT, "%s: %d pictures and %d labels of the %s set", folder, n, labels, held_out ? "test" : "training");
    int slot = 0;
    for (int k = 0; k < 10 && !status; k++) {
        if (!classes[k].name) continue;
        wardrobe_class *c = &s->item[2 * slot++ + held_out];
        *c = (wardrobe_class){ classes[k].name, classes[k].part, held_out, 0, mem_alloc((size_t)most * PIXELS) };
        if (!c->grey) status = fail(err, DREAMO_MEMORY, "%s: no memory for %d garments", folder, most);
        for (int i = 0; i < n && c->count < most && !status; i++) {
            const unsigned char *grey = pictures + 16 + (size_t)i * PIXELS;
            if (label[8 + i] == k && usable(s, grey)) memcpy(c->grey + (size_t)c->count++ * PIXELS, grey, PIXELS);
        }
    }
    mem_free(pictures);
    mem_free(label);
    return status;
}

dreamo_status garments_open(const char *folder, int most, garment_source *out, dreamo_error *err)
{
    *out = (garment_source){ 0 };
    dreamo_status status = read_split(out, folder, false, most, err);
    if (!status) status = read_split(out, folder, true, most >= 10 ? most / 10 : 1, err);
    if (status) garments_close(out);
    return status;
}

void garments_close(garment_source *s)
{
    for (int i = 0; i < 2 * WARDROBE_CLASSES; i++) mem_free(s->item[i].grey);
    *s = (garment_source){ 0 };
}
