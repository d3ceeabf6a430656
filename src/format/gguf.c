/* gguf.c - one pass over the header with a cursor that cannot leave the file.
 *
 * Layout: "GGUF", version, number of tensors, number of metadata entries; the entries (name, type, value); the tensors (name,
 * dimensions with the fastest first, type, offset); then, aligned, the data.  Counts are compared with what the bytes left could hold
 * before anything is allocated; sums and products are checked. */
#include "format/gguf.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"

enum { MAX_TENSORS = 100000, MAX_ENTRIES = 100000, MAX_DIMENSIONS = 4, MAX_NESTING = 4, MAX_ALIGNMENT = 1 << 20 };
enum { LEAST_TENSOR = 8 + 1 + 4 + 8 + 4 + 8, LEAST_ENTRY = 8 + 4 + 1 }; /* bytes */

typedef struct cursor {
    const char *path;
    const unsigned char *at;
    size_t left;
    dreamo_error *err;
} cursor;

static dreamo_status cut_short(const cursor *c, const char *what)
{
    return fail(c->err, DREAMO_FORMAT, "%s: the file is cut short in %s", c->path, what);
}

/* The next nbytes, or NULL. */
static const unsigned char *take(cursor *c, uint64_t nbytes)
{
    if (nbytes > c->left) return NULL;
    const unsigned char *p = c->at;
    c->at += nbytes;
    c->left -= (size_t)nbytes;
    return p;
}

static bool take_number(cursor *c, int nbytes, uint64_t *out)
{
    const unsigned char *p = take(c, (uint64_t)nbytes);
    *out = 0;
    for (int i = nbytes - 1; p && i >= 0; i--) *out = *out << 8 | p[i];
    return p != NULL;
}

typedef struct string { const char *p; size_t n; } string;

static bool take_string(cursor *c, string *out)
{
    uint64_t n;
    if (!take_number(c, 8, &n)) return false;
    out->p = (const char *)take(c, n);
    out->n = (size_t)n;
    return out->p != NULL;
}

/* ---- metadata ---- */

enum { KIND_U32 = 4, KIND_STRING = 8, KIND_ARRAY = 9, KINDS = 13 };
static const int kind_nbytes[KINDS] = { 1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8 };

static dreamo_status skip_value(cursor *c, uint64_t kind, int depth);

static dreamo_status skip_array(cursor *c, int depth)
{
    uint64_t kind, n;
    if (!take_number(c, 4, &kind) || !take_number(c, 8, &n)) return cut_short(c, "its metadata");
    if (kind >= KINDS || depth > MAX_NESTING) return fail(c->err, DREAMO_FORMAT, "%s: metadata: an array of kind %" PRIu64 " at depth %d", c->path, kind, depth);
    if (kind_nbytes[kind]) {
        if (n > c->left / (size_t)kind_nbytes[kind]) return cut_short(c, "its metadata");
        take(c, n * (uint64_t)kind_nbytes[kind]);
        return DREAMO_OK;
    }
    dreamo_status s = n > c->left / 8 ? cut_short(c, "its metadata") : DREAMO_OK;
    for (uint64_t i = 0; i < n && !s; i++) s = skip_value(c, kind, depth + 1);
    return s;
}

static dreamo_status skip_value(cursor *c, uint64_t kind, int depth)
{
    string ignored;
    if (kind == KIND_ARRAY) return skip_array(c, depth);
    if (kind >= KINDS) return fail(c->err, DREAMO_FORMAT, "%s: metadata: unknown kind of value %" PRIu64, c->path, kind);
    bool there = kind == KIND_STRING ? take_string(c, &ignored) : take(c, (uint64_t)kind_nbytes[kind]) != NULL;
    return there ? DREAMO_OK : cut_short(c, "its metadata");
}

/* What is kept of a file's strings: copies that end with 0. */
static char *keep(char **room, string s)
{
    char *copy = *room;
    memcpy(copy, s.p, s.n);
    copy[s.n] = '\0';
    *room += s.n + 1;
    return copy;
}

static bool is(string s, const char *word) { return s.n == strlen(word) && memcmp(s.p, word, s.n) == 0; }
static bool has_nul(string s) { return memchr(s.p, 0, s.n) != NULL; }

static dreamo_status read_alignment(cursor *c, uint64_t kind, uint64_t *alignment)
{
    if (kind != KIND_U32 || !take_number(c, 4, alignment)) return fail(c->err, DREAMO_FORMAT, "%s: general.alignment is not a 32-bit number", c->path);
    if (*alignment == 0 || *alignment > MAX_ALIGNMENT || (*alignment & (*alignment - 1)))
        return fail(c->err, DREAMO_FORMAT, "%s: general.alignment is %" PRIu64 ", not a power of two up to %d", c->path, *alignment, MAX_ALIGNMENT);
    return DREAMO_OK;
}

/* Entries that are strings go to f's metadata; the alignment is used; others are stepped over. */
static dreamo_status read_entries(st_file *f, cursor *c, uint64_t n, char **room, uint64_t *alignment)
{
    for (uint64_t i = 0; i < n; i++) {
        string key, value;
        uint64_t kind;
        dreamo_status s = DREAMO_OK;
        if (!take_string(c, &key) || !take_number(c, 4, &kind)) return cut_short(c, "its metadata");
        if (key.n == 0 || key.n > ST_MAX_NAME || has_nul(key)) return fail(c->err, DREAMO_FORMAT, "%s: metadata: a name of %zu bytes, or with NUL in it", c->path, key.n);
        if (is(key, "general.alignment")) s = read_alignment(c, kind, alignment);
        else if (kind != KIND_STRING) s = skip_value(c, kind, 1);
        else if (!take_string(c, &value)) s = cut_short(c, "its metadata");
        else if (!has_nul(value)) {
            f->meta_key[f->nmeta] = keep(room, key);
            f->meta_value[f->nmeta++] = keep(room, value);
        }
        if (s) return s;
    }
    return DREAMO_OK;
}

/* ---- tensors ---- */

/* ggml's numbers of types. */
static int type_of(uint64_t t)
{
    static const struct { uint64_t number; dtype type; } known[] = {
        { 0, DT_F32 }, { 1, DT_F16 }, { 2, DT_Q4_0 }, { 3, DT_Q4_1 }, { 6, DT_Q5_0 }, { 7, DT_Q5_1 }, { 8, DT_Q8_0 },
        { 10, DT_Q2_K }, { 11, DT_Q3_K }, { 12, DT_Q4_K }, { 13, DT_Q5_K }, { 14, DT_Q6_K }, { 24, DT_I8 }, { 25, DT_I16 },
        { 26, DT_I32 }, { 27, DT_I64 }, { 28, DT_F64 }, { 30, DT_BF16 },
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (known[i].number == t) return known[i].type;
    return -1;
}

/* Shape, type and offset (kept in `data` until the data's place is known). */
static dreamo_status read_place(cursor *c, const char *name, st_tensor *t)
{
    uint64_t n, type, at, d[MAX_DIMENSIONS];
    if (!take_number(c, 4, &n)) return cut_short(c, "its list of tensors");
    if (n > MAX_DIMENSIONS) return fail(c->err, DREAMO_FORMAT, "%s: tensor \"%.200s\": %" PRIu64 " dimensions, at most %d are allowed", c->path, name, n, MAX_DIMENSIONS);
    t->rank = (int)n;
    t->count = 1;
    for (int i = 0; i < t->rank; i++) {
        if (!take_number(c, 8, &d[i])) return cut_short(c, "its list of tensors");
        if (d[i] > INT64_MAX || !mul_nbytes(t->count, (size_t)d[i], &t->count)) return fail(c->err, DREAMO_FORMAT, "%s: tensor \"%.200s\": its shape is too large", c->path, name);
        t->shape[t->rank - 1 - i] = (int64_t)d[i];
    }
    if (!take_number(c, 4, &type) || !take_number(c, 8, &at)) return cut_short(c, "its list of tensors");
    int known = type_of(type);
    if (known < 0) return fail(c->err, DREAMO_FORMAT, "%s: tensor \"%.200s\": its type %" PRIu64 " is none that this program reads (F32, F16, BF16, Q8_0, Q6_K, Q5_K, Q5_1, Q5_0, Q4_K, Q4_1, Q4_0, Q3_K, Q2_K)", c->path, name, type);
    t->type = (dtype)known;
    size_t block = dtype_block(t->type), each = dtype_nbytes_of(t->type, block);
    if (block > 1 && (t->rank == 0 || d[0] % block))
        return fail(c->err, DREAMO_FORMAT, "%s: tensor \"%.200s\": rows of %" PRIu64 " numbers, %s needs a multiple of %zu", c->path, name, t->rank ? d[0] : 1, dtype_name(t->type), block);
    if (!mul_nbytes(t->count / block, each, &t->nbytes)) return fail(c->err, DREAMO_FORMAT, "%s: tensor \"%.200s\": its shape is too large", c->path, name);
    t->data = (const void *)(uintptr_t)at;
    return DREAMO_OK;
}

static dreamo_status read_tensors(st_file *f, cursor *c, uint64_t n, char **room)
{
    for (uint64_t i = 0; i < n; i++) {
        string name;
        if (!take_string(c, &name)) return cut_short(c, "its list of tensors");
        if (name.n == 0 || name.n > ST_MAX_NAME || has_nul(name)) return fail(c->err, DREAMO_FORMAT, "%s: a tensor's name has %zu bytes (allowed are 1 to %d), or NUL in it", c->path, name.n, ST_MAX_NAME);
        st_tensor *t = &f->tensors[f->ntensors];
        t->name = keep(room, name);
        dreamo_status s = read_place(c, t->name, t);
        if (s) return s;
        f->ntensors++;
    }
    return DREAMO_OK;
}

static int by_name(const void *a, const void *b) { return strcmp(((const st_tensor *)a)->name, ((const st_tensor *)b)->name); }

static int by_offset(const void *a, const void *b)
{
    uintptr_t p = (uintptr_t)((const st_tensor *)a)->data, q = (uintptr_t)((const st_tensor *)b)->data;
    return p < q ? -1 : p > q;
}

/* Offsets are aligned, tensors lie in the file and do not overlap; gaps are allowed.  Then offsets become pointers. */
static dreamo_status place_tensors(st_file *f, cursor *c, uint64_t alignment)
{
    size_t header = f->map.nbytes - c->left, gap = (size_t)((alignment - header % alignment) % alignment);
    if (f->ntensors && gap > c->left) return cut_short(c, "its header");
    const unsigned char *data = take(c, f->ntensors ? gap : 0) + (f->ntensors ? gap : 0);
    if (f->ntensors) qsort(f->tensors, (size_t)f->ntensors, sizeof *f->tensors, by_offset);
    f->header_nbytes = (size_t)(data - f->map.data);
    uint64_t end = 0;
    for (int i = 0; i < f->ntensors; i++) {
        st_tensor *t = &f->tensors[i];
        uint64_t at = (uintptr_t)t->data;
        if (at % alignment) return fail(c->err, DREAMO_FORMAT, "%s: tensor \"%.200s\": offset %" PRIu64 " is not a multiple of %" PRIu64, c->path, t->name, at, alignment);
        if (at < end) return fail(c->err, DREAMO_FORMAT, "%s: tensor \"%.200s\": begins at byte %" PRIu64 ", the one before ends at %" PRIu64, c->path, t->name, at, end);
        if (at > c->left || t->nbytes > c->left - at) {
            const st_tensor *last = &f->tensors[f->ntensors - 1];
            uint64_t whole;
            fail(c->err, DREAMO_FORMAT, "%s: tensor \"%.200s\": its %zu bytes at %" PRIu64 " run past the end of the data (%zu bytes); the file is cut short", c->path, t->name, t->nbytes, at, c->left);
            if (__builtin_add_overflow((uint64_t)(uintptr_t)last->data, last->nbytes, &whole) || whole > ST_MAX_FILE) return DREAMO_FORMAT;
            return hint(c->err, "%" PRIu64 " of the file's %" PRIu64 " bytes are missing: fetch it again", whole - c->left, whole + f->header_nbytes);
        }
        end = at + t->nbytes;
        t->data = data + at;
    }
    if (f->ntensors) qsort(f->tensors, (size_t)f->ntensors, sizeof *f->tensors, by_name);
    for (int i = 1; i < f->ntensors; i++)
        if (strcmp(f->tensors[i - 1].name, f->tensors[i].name) == 0) return fail(c->err, DREAMO_FORMAT, "%s: tensor \"%.200s\" is there twice", c->path, f->tensors[i].name);
    return DREAMO_OK;
}

bool gguf_is(const unsigned char *head, size_t nbytes) { return nbytes >= 4 && memcmp(head, "GGUF", 4) == 0; }

dreamo_status gguf_read(st_file *f, dreamo_error *err)
{
    cursor c = { f->path, f->map.data, f->map.nbytes, err };
    uint64_t version, ntensors, nentries, alignment = 32;
    if (!take(&c, 4) || !take_number(&c, 4, &version)) return cut_short(&c, "its first bytes");
    if (version != 2 && version != 3) return fail(err, DREAMO_FORMAT, "%s: GGUF version %" PRIu64 "; 2 and 3, little endian, are read", f->path, version);
    if (!take_number(&c, 8, &ntensors) || !take_number(&c, 8, &nentries)) return cut_short(&c, "its first bytes");
    if (ntensors > c.left / LEAST_TENSOR || nentries > c.left / LEAST_ENTRY)
        return fail(err, DREAMO_FORMAT, "%s: %" PRIu64 " tensors and %" PRIu64 " metadata entries do not fit in %zu bytes; the file is cut short", f->path, ntensors, nentries, f->map.nbytes);
    if (ntensors > MAX_TENSORS || nentries > MAX_ENTRIES)
        return fail(err, DREAMO_LIMIT, "%s: %" PRIu64 " tensors and %" PRIu64 " metadata entries, at most %d and %d are allowed", f->path, ntensors, nentries, MAX_TENSORS, MAX_ENTRIES);

    /* a first pass finds the header's end, so that its strings need one allocation of a known size */
    cursor probe = c;
    dreamo_status s = DREAMO_OK;
    for (uint64_t i = 0; i < nentries && !s; i++) {
        string key;
        uint64_t kind;
        s = take_string(&probe, &key) && take_number(&probe, 4, &kind) ? skip_value(&probe, kind, 1) : cut_short(&probe, "its metadata");
    }
    if (s) return s;
    size_t entries = c.left - probe.left, names = 0;
    for (uint64_t i = 0; i < ntensors; i++) {
        string name;
        uint64_t n;
        if (!take_string(&probe, &name) || !take_number(&probe, 4, &n) || n > MAX_DIMENSIONS || !take(&probe, 8 * n + 12)) break; /* the second pass says why */
        names += name.n;
    }
    f->tensors = mem_calloc((size_t)ntensors + 1, sizeof *f->tensors);
    f->meta_key = mem_calloc((size_t)nentries + 1, sizeof *f->meta_key);
    f->meta_value = mem_calloc((size_t)nentries + 1, sizeof *f->meta_value);
    char *room = f->strings = mem_alloc(entries + names + ST_MAX_NAME + 2 * (size_t)nentries + (size_t)ntensors + 16);
    if (!f->tensors || !f->meta_key || !f->meta_value || !f->strings) return fail(err, DREAMO_MEMORY, "%s: no memory for its header", f->path);
    s = read_entries(f, &c, nentries, &room, &alignment);
    if (!s) s = read_tensors(f, &c, ntensors, &room);
    return s ? s : place_tensors(f, &c, alignment);
}
