/* zip.c - central directory, local headers, inflate. */
#include "data/source/zip.h"
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include "base/error.h"
#include "base/mem.h"
#include "data/source/unpack.h"

enum { END_NBYTES = 22, CENTRAL_NBYTES = 46, LOCAL_NBYTES = 30 };

static uint32_t u16_at(const unsigned char *p) { return (uint32_t)p[0] | (uint32_t)p[1] << 8; }
static uint32_t u32_at(const unsigned char *p) { return u16_at(p) | u16_at(p + 2) << 16; }

/* The end record: searched backwards over the comment, which is at most 65,535 bytes. */
static const unsigned char *find_end(const filemap *m)
{
    if (m->nbytes < END_NBYTES) return NULL;
    size_t last = m->nbytes - END_NBYTES, first = last > 65535 ? last - 65535 : 0;
    for (size_t at = last + 1; at-- > first;)
        if (!memcmp(m->data + at, "PK\5\6", 4) && at + END_NBYTES + u16_at(m->data + at + 20) == m->nbytes) return m->data + at;
    return NULL;
}

static int by_name(const void *a, const void *b) { return strcmp(((const zip_entry *)a)->name, ((const zip_entry *)b)->name); }

static dreamo_status read_directory(zip *z, dreamo_error *err)
{
    const filemap *m = &z->map;
    const unsigned char *end = find_end(m);
    if (!end) return fail(err, DREAMO_FORMAT, "%s: not a ZIP archive, or cut short", z->path);
    uint32_t count = u16_at(end + 10), nbytes = u32_at(end + 12), at = u32_at(end + 16);
    if (u16_at(end + 4) || u16_at(end + 8) != count) return fail(err, DREAMO_FORMAT, "%s: split over several files", z->path);
    size_t before_end = (size_t)(end - m->data);
    if (at > before_end || nbytes > before_end - at) return fail(err, DREAMO_FORMAT, "%s: its directory lies outside the file", z->path);
    if (!(z->entries = mem_calloc(count + 1, sizeof *z->entries))) return fail(err, DREAMO_MEMORY, "%s: no memory for %u members", z->path, count);
    for (const unsigned char *p = m->data + at, *stop = p + nbytes; z->nentries < (int)count;) {
        if (stop - p < CENTRAL_NBYTES || memcmp(p, "PK\1\2", 4)) return fail(err, DREAMO_FORMAT, "%s: member %d: bad directory entry", z->path, z->nentries);
        size_t name = u16_at(p + 28), whole = CENTRAL_NBYTES + name + u16_at(p + 30) + u16_at(p + 32);
        if ((size_t)(stop - p) < whole || memchr(p + CENTRAL_NBYTES, 0, name))
            return fail(err, DREAMO_FORMAT, "%s: member %d: bad name", z->path, z->nentries);
        zip_entry *e = &z->entries[z->nentries];
        *e = (zip_entry){ .name = mem_alloc(name + 1), .at = u32_at(p + 42), .packed = u32_at(p + 20), .nbytes = u32_at(p + 24),
                          .crc = u32_at(p + 16), .method = (uint16_t)u16_at(p + 10) };
        if (!e->name) return fail(err, DREAMO_MEMORY, "%s: no memory for a name", z->path);
        z->nentries++;
        memcpy(e->name, p + CENTRAL_NBYTES, name);
        e->name[name] = 0;
        if (u16_at(p + 8) & 1) return fail(err, DREAMO_FORMAT, "%s: \"%.100s\" is encrypted", z->path, e->name);
        p += whole;
    }
    qsort(z->entries, (size_t)z->nentries, sizeof *z->entries, by_name);
    for (int i = 1; i < z->nentries; i++)
        if (!by_name(&z->entries[i - 1], &z->entries[i])) return fail(err, DREAMO_FORMAT, "%s: two members are called \"%.100s\"", z->path, z->entries[i].name);
    return DREAMO_OK;
}

dreamo_status zip_open(const char *path, zip *out, dreamo_error *err)
{
    *out = (zip){ .path = mem_strdup(path) };
    if (!out->path) return fail(err, DREAMO_MEMORY, "%s: no memory", path);
    dreamo_status status = file_map(path, &out->map, err);
    if (!status) status = read_directory(out, err);
    if (status) zip_close(out);
    return status;
}

void zip_close(zip *z)
{
    for (int i = 0; i < z->nentries; i++) mem_free(z->entries[i].name);
    mem_free(z->entries);
    mem_free(z->path);
    file_unmap(&z->map);
    *z = (zip){ 0 };
}

const zip_entry *zip_find(const zip *z, const char *name)
{
    int lo = 0, hi = z->nentries;
    while (lo < hi) {
        int mid = lo + (hi - lo) / 2, c = strcmp(name, z->entries[mid].name);
        if (!c) return &z->entries[mid];
        if (c < 0) hi = mid;
        else lo = mid + 1;
    }
    return NULL;
}

dreamo_status zip_read(const zip *z, const zip_entry *e, size_t max, char **data, size_t *nbytes, dreamo_error *err)
{
    const filemap *m = &z->map;
    if (e->nbytes > max) return fail(err, DREAMO_LIMIT, "%s: \"%.100s\" has %u bytes; at most %zu", z->path, e->name, e->nbytes, max);
    if (e->at > m->nbytes || m->nbytes - e->at < LOCAL_NBYTES || memcmp(m->data + e->at, "PK\3\4", 4))
        return fail(err, DREAMO_FORMAT, "%s: \"%.100s\": no local header", z->path, e->name);
    size_t start = e->at + LOCAL_NBYTES + u16_at(m->data + e->at + 26) + u16_at(m->data + e->at + 28);
    if (start > m->nbytes || m->nbytes - start < e->packed) return fail(err, DREAMO_FORMAT, "%s: \"%.100s\" runs past the end", z->path, e->name);
    if (e->method != 0 && e->method != 8) return fail(err, DREAMO_FORMAT, "%s: \"%.100s\": compression %d; 0 and 8 are read", z->path, e->name, e->method);
    char *out = mem_alloc((size_t)e->nbytes + 1);
    if (!out) return fail(err, DREAMO_MEMORY, "%s: \"%.100s\": no memory for %u bytes", z->path, e->name, e->nbytes);
    bool whole = e->method ? unpack(m->data + start, e->packed, UNPACK_RAW, (unsigned char *)out, e->nbytes, true) : e->packed == e->nbytes;
    if (whole && !e->method) memcpy(out, m->data + start, e->nbytes);
    if (!whole || crc32(0, (unsigned char *)out, e->nbytes) != e->crc) {
        mem_free(out);
        return fail(err, DREAMO_FORMAT, "%s: \"%.100s\" is damaged", z->path, e->name);
    }
    out[e->nbytes] = 0;
    *data = out;
    *nbytes = e->nbytes;
    return DREAMO_OK;
}
