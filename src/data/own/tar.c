/* tar.c - headers of 512 bytes (POSIX 1003.1, ustar and pax), members padded to as many. */
#include "data/own/tar.h"
#include <stdio.h>
#include <string.h>
#include "base/inside.h"
#include "base/mem.h"

enum { BLOCK = 512, NAME_MAX_NBYTES = 4096, MOST_MEMBERS = 20000000 };

typedef struct header {
    char name[100], mode[8], uid[8], gid[8], nbytes[12], mtime[12], sum[8], type, link[100], magic[6], version[2], user[32], group[32],
        major[8], minor[8], prefix[155], pad[12];
} header;

_Static_assert(sizeof(header) == BLOCK, "a tar header is one block");

/* Octal digits between spaces and NULs; anything else, or nothing: false.  (Base-256 numbers, of members over 8 GiB, are neither.) */
static bool octal(const char *p, size_t n, uint64_t *out)
{
    size_t i = 0, digits = 0;
    uint64_t v = 0;
    while (i < n && p[i] == ' ') i++;
    for (; i < n && p[i] >= '0' && p[i] <= '7'; i++, digits++) v = v << 3 | (uint64_t)(p[i] - '0');
    for (; i < n; i++)
        if (p[i] != ' ' && p[i] != 0) return false;
    *out = v;
    return digits > 0;
}

/* All bytes added, those of the sum itself taken as spaces. */
static uint64_t sum_of(const header *h)
{
    const unsigned char *p = (const unsigned char *)h;
    uint64_t sum = 8 * ' ';
    for (size_t i = 0; i < BLOCK; i++)
        if (i < offsetof(header, sum) || i >= offsetof(header, sum) + sizeof h->sum) sum += p[i];
    return sum;
}

static bool is_zero(const unsigned char *p)
{
    for (int i = 0; i < BLOCK; i++)
        if (p[i]) return false;
    return true;
}

/* What an extended header says about the member after it. */
typedef struct extension { char *name; bool has_nbytes; uint64_t nbytes; } extension;

static dreamo_status keep_name(extension *x, const char *p, size_t n, const char *path, dreamo_error *err)
{
    if (n && p[n - 1] == 0) n--;
    if (!n || n > NAME_MAX_NBYTES || memchr(p, 0, n)) return fail(err, DREAMO_FORMAT, "%s: a member's name of %zu bytes is empty, too long or broken", path, n);
    mem_free(x->name);
    if (!(x->name = mem_alloc(n + 1))) return fail(err, DREAMO_MEMORY, "%s: no memory for a name", path);
    memcpy(x->name, p, n);
    x->name[n] = 0;
    return DREAMO_OK;
}

/* pax records: "LENGTH KEY=VALUE\n", LENGTH counting itself. */
static dreamo_status read_pax(extension *x, const char *p, size_t n, const char *path, dreamo_error *err)
{
    while (n) {
        size_t length = 0, digits = 0;
        while (digits < n && digits < 8 && p[digits] >= '0' && p[digits] <= '9') length = length * 10 + (size_t)(p[digits++] - '0');
        const char *key = p + digits + 1, *equals;
        if (!digits || digits >= n || p[digits] != ' ' || length > n || length < digits + 3 || p[length - 1] != '\n' ||
            !(equals = memchr(key, '=', (size_t)(p + length - key))))
            return fail(err, DREAMO_FORMAT, "%s: an extended header is broken", path);
        const char *value = equals + 1;
        size_t key_nbytes = (size_t)(equals - key), nvalue = (size_t)(p + length - 1 - value);
        dreamo_status s = DREAMO_OK;
        if (key_nbytes == 4 && !memcmp(key, "path", 4)) s = keep_name(x, value, nvalue, path, err);
        else if (key_nbytes == 4 && !memcmp(key, "size", 4)) {
            x->has_nbytes = nvalue > 0 && nvalue < 19;
            x->nbytes = 0;
            for (size_t i = 0; i < nvalue && x->has_nbytes; i++) {
                x->has_nbytes = value[i] >= '0' && value[i] <= '9';
                x->nbytes = x->nbytes * 10 + (uint64_t)(value[i] - '0');
            }
            if (!x->has_nbytes) s = fail(err, DREAMO_FORMAT, "%s: an extended header is broken", path);
        } else if (key_nbytes > 10 && !memcmp(key, "GNU.sparse", 10))
            s = fail(err, DREAMO_FORMAT, "%s: holds a sparse file, which is not read", path);
        if (s) return s;
        p += length;
        n -= length;
    }
    return DREAMO_OK;
}

/* The name that a plain header gives; ustar's has its folders in `prefix`, GNU's does not. */
static dreamo_status header_name(extension *x, const header *h, const char *path, dreamo_error *err)
{
    char whole[sizeof h->prefix + sizeof h->name + 2];
    bool ustar = !memcmp(h->magic, "ustar", 6) && h->prefix[0];
    int n = snprintf(whole, sizeof whole, "%.*s%s%.*s", ustar ? (int)sizeof h->prefix : 0, h->prefix, ustar ? "/" : "", (int)sizeof h->name, h->name);
    return keep_name(x, whole, (size_t)n, path, err);
}

/* The name goes over to the list. */
static dreamo_status add_member(tar *t, extension *x, size_t at, size_t nbytes, dreamo_error *err)
{
    char *name = x->name;
    if (t->nmembers == MOST_MEMBERS) return fail(err, DREAMO_LIMIT, "%s: has more than %d members", t->path, MOST_MEMBERS);
    if (t->nmembers == t->room) {
        int room = t->room ? 2 * t->room : 64;
        tar_member *more = mem_realloc(t->members, (size_t)room * sizeof *more);
        if (!more) return fail(err, DREAMO_MEMORY, "%s: no memory for %d members", t->path, room);
        t->members = more;
        t->room = room;
    }
    if (!strncmp(name, "./", 2)) memmove(name, name + 2, strlen(name) - 1);
    if (!name_is_inside(name)) return fail(err, DREAMO_FORMAT, "%s: member \"%.200s\": absolute names and \"..\" are refused", t->path, name);
    t->members[t->nmembers++] = (tar_member){ name, at, nbytes };
    *x = (extension){ 0 };
    return DREAMO_OK;
}

/* One header and what belongs to it; *at moves behind it. */
static dreamo_status read_one(tar *t, extension *x, size_t *at, dreamo_error *err)
{
    const header *h = (const header *)(const void *)(t->map.data + *at);
    uint64_t nbytes, sum;
    if (!octal(h->sum, sizeof h->sum, &sum) || sum != sum_of(h)) return fail(err, DREAMO_FORMAT, "%s: byte %zu: not a tar header, or damaged", t->path, *at);
    if (!octal(h->nbytes, sizeof h->nbytes, &nbytes)) return fail(err, DREAMO_FORMAT, "%s: byte %zu: a member's length is broken", t->path, *at);
    bool extended = h->type == 'x' || h->type == 'g' || h->type == 'L' || h->type == 'K';
    if (!extended && x->has_nbytes) nbytes = x->nbytes;
    size_t start = *at + BLOCK;
    if (nbytes > t->map.nbytes - start) return fail(err, DREAMO_FORMAT, "%s: a member at byte %zu runs past the end: cut short?", t->path, *at);
    size_t padded = (size_t)(nbytes + BLOCK - 1) / BLOCK * BLOCK, left = t->map.nbytes - start;
    *at = start + (padded < left ? padded : left);
    const char *data = (const char *)t->map.data + start;
    if (h->type == 'L') return keep_name(x, data, (size_t)nbytes, t->path, err);
    if (h->type == 'x') return read_pax(x, data, (size_t)nbytes, t->path, err);
    if (extended) return DREAMO_OK; /* of all members, or of links: nothing for us */
    dreamo_status s = x->name ? DREAMO_OK : header_name(x, h, t->path, err);
    if (!s && (h->type == '0' || h->type == 0 || h->type == '7')) return add_member(t, x, start, (size_t)nbytes, err);
    if (!s && h->type != '5')
        s = fail(err, DREAMO_FORMAT, "%s: member \"%.200s\" is %s, not a file", t->path, x->name, h->type == '1' || h->type == '2' ? "a link" : "a device or sparse");
    mem_free(x->name);
    *x = (extension){ 0 };
    return s;
}

static dreamo_status read_all(tar *t, dreamo_error *err)
{
    const filemap *m = &t->map;
    extension x = { 0 };
    size_t at = 0;
    dreamo_status s = DREAMO_OK;
    if (m->nbytes > 4 && (!memcmp(m->data, "\x1F\x8B", 2) || !memcmp(m->data, "\x28\xB5\x2F\xFD", 4) || !memcmp(m->data, "BZh", 3) || !memcmp(m->data, "\xFD""7zX", 4))) {
        fail(err, DREAMO_FORMAT, "%s: is compressed; members of a compressed file cannot be read in any order", t->path);
        return hint(err, "unpack the compression (gunzip, unzstd, ...): pictures do not shrink by it");
    }
    while (!s && m->nbytes - at >= BLOCK && !is_zero(m->data + at)) s = read_one(t, &x, &at, err);
    if (!s && m->nbytes - at < BLOCK) s = fail(err, DREAMO_FORMAT, "%s: has no end: not a tar file, or cut short", t->path);
    mem_free(x.name);
    return s;
}

dreamo_status tar_open(const char *path, tar *out, dreamo_error *err)
{
    *out = (tar){ .path = mem_strdup(path) };
    if (!out->path) return fail(err, DREAMO_MEMORY, "%s: no memory", path);
    dreamo_status s = file_map(path, &out->map, err);
    if (!s) s = read_all(out, err);
    if (s) tar_close(out);
    return s;
}

void tar_close(tar *t)
{
    for (int i = 0; i < t->nmembers; i++) mem_free(t->members[i].name);
    mem_free(t->members);
    mem_free(t->path);
    file_unmap(&t->map);
    *t = (tar){ 0 };
}

/* ---- writing ---- */

static dreamo_status put_block(filewriter *w, char type, const char *name, const void *data, size_t nbytes, dreamo_error *err)
{
    static const char zeros[BLOCK];
    header h = { .mode = "0000644", .uid = "0000000", .gid = "0000000", .mtime = "00000000000", .type = type, .magic = "ustar", .version = { '0', '0' } };
    memcpy(h.name, name, strlen(name) < sizeof h.name ? strlen(name) : sizeof h.name);
    if ((uint64_t)nbytes >> 33) return fail(err, DREAMO_LIMIT, "%s: \"%.100s\" has %zu bytes; tar takes less than 8 GiB", w->path, name, nbytes);
    snprintf(h.nbytes, sizeof h.nbytes, "%011llo", (unsigned long long)nbytes);
    snprintf(h.sum, sizeof h.sum, "%06llo", (unsigned long long)sum_of(&h));
    h.sum[7] = ' ';
    dreamo_status s = file_write(w, &h, sizeof h, err);
    if (!s) s = file_write(w, data, nbytes, err);
    return s || nbytes % BLOCK == 0 ? s : file_write(w, zeros, BLOCK - nbytes % BLOCK, err);
}

/* A name that a header has no room for goes before it, in a pax record. */
static dreamo_status put_long_name(filewriter *w, const char *name, dreamo_error *err)
{
    size_t bare = strlen(name) + sizeof " path=\n" - 1, n = bare + 1; /* with the digits of n itself */
    while (n != bare + (size_t)snprintf(NULL, 0, "%zu", n)) n++;
    char *record = mem_printf("%zu path=%s\n", n, name);
    dreamo_status s = record ? put_block(w, 'x', "pax", record, n, err) : fail(err, DREAMO_MEMORY, "%s: no memory for a name", w->path);
    mem_free(record);
    return s;
}

dreamo_status tar_put(filewriter *w, const char *name, const void *data, size_t nbytes, dreamo_error *err)
{
    dreamo_status s = strlen(name) > sizeof((header *)0)->name ? put_long_name(w, name, err) : DREAMO_OK;
    return s ? s : put_block(w, '0', name, data, nbytes, err);
}

dreamo_status tar_end(filewriter *w, dreamo_error *err)
{
    static const char zeros[2 * BLOCK];
    return file_write(w, zeros, sizeof zeros, err);
}
