/* pth.c - where the numbers lie, and what the dictionaries call them.
 *
 * Zip: stored entries TOP/data.pkl and TOP/data/KEY, found through the central directory.  Older: a magic number, a version, facts about the machine, the
 * object, the list of its storages' keys, a pickle each; then each storage, its number of elements first. */
#include "format/pth.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "format/pickle.h"

enum { MOST_TENSORS = 100000, MOST_ENTRIES = 200000, MOST_DEPTH = 16, MOST_VISITS = 4 << 20, END_RECORD = 22, MOST_COMMENT = 65535, CENTRAL = 46, LOCAL = 30 };

static const unsigned char old_magic[] = { 0x80, 0x02, 0x8A, 0x0A, 0x6C, 0xFC, 0x9C, 0x46, 0xF9, 0x20, 0x6A, 0xA8, 0x50, 0x19, '.' };

static uint64_t little(const unsigned char *p, int n)
{
    uint64_t v = 0;
    for (int i = n - 1; i >= 0; i--) v = v << 8 | p[i];
    return v;
}

static bool is_zip(const unsigned char *p, size_t n) { return n >= 4 && memcmp(p, "PK\3\4", 4) == 0; }
static bool is_old(const unsigned char *p, size_t n) { return n >= sizeof old_magic && memcmp(p, old_magic, sizeof old_magic) == 0; }

bool pth_is(const unsigned char *data, size_t nbytes)
{
    return is_old(data, nbytes) || (is_zip(data, nbytes) && memmem(data, nbytes < 4096 ? nbytes : 4096, "/data.pkl", 9)); /* which is always the first entry */
}

/* ---- the zip ---- */

typedef struct entry { const char *name; size_t name_n; const unsigned char *data; size_t nbytes; } entry;
typedef struct archive { entry *entries; int n; } archive;

static int by_key(const char *a, size_t an, const char *b, size_t bn)
{
    int d = memcmp(a, b, an < bn ? an : bn);
    return d ? d : (an > bn) - (an < bn);
}

static int by_entry(const void *a, const void *b)
{
    const entry *x = a, *y = b;
    return by_key(x->name, x->name_n, y->name, y->name_n);
}

static const unsigned char *end_record(const st_file *f)
{
    if (f->map.nbytes < END_RECORD) return NULL;
    size_t last = f->map.nbytes - END_RECORD, least = last > MOST_COMMENT ? last - MOST_COMMENT : 0;
    for (size_t at = last + 1; at-- > least;)
        if (memcmp(f->map.data + at, "PK\5\6", 4) == 0) return f->map.data + at;
    return NULL;
}

/* One entry of the directory at *at; what follows TOP/ is its name. */
static dreamo_status read_entry(const st_file *f, size_t *at, entry *out, dreamo_error *err)
{
    const unsigned char *data = f->map.data, *c = data + *at;
    size_t n = f->map.nbytes;
    if (*at > n || n - *at < CENTRAL || memcmp(c, "PK\1\2", 4) != 0) return fail(err, DREAMO_FORMAT, "%s: the list of its zip's entries is broken", f->path);
    size_t name_n = little(c + 28, 2), more = name_n + little(c + 30, 2) + little(c + 32, 2), stored = little(c + 20, 4), local = little(c + 42, 4);
    if (n - *at - CENTRAL < more) return fail(err, DREAMO_FORMAT, "%s: the list of its zip's entries is cut short", f->path);
    const char *name = (const char *)c + CENTRAL, *slash = memchr(name, '/', name_n);
    if (little(c + 8, 2) & 1 || little(c + 10, 2) != 0) return fail(err, DREAMO_FORMAT, "%s: an entry of its zip is compressed or encrypted, which torch does not do", f->path);
    if (stored == 0xFFFFFFFF || local == 0xFFFFFFFF) return fail(err, DREAMO_LIMIT, "%s: an entry of its zip lies beyond 4 GiB", f->path);
    if (local > n || n - local < LOCAL || memcmp(data + local, "PK\3\4", 4) != 0) return fail(err, DREAMO_FORMAT, "%s: an entry of its zip is not where the list has it", f->path);
    size_t skip = LOCAL + little(data + local + 26, 2) + little(data + local + 28, 2);
    if (n - local < skip || n - local - skip < stored) return fail(err, DREAMO_FORMAT, "%s: an entry of its zip runs past the end; the file is cut short", f->path);
    *out = (entry){ slash ? slash + 1 : name, slash ? name_n - (size_t)(slash + 1 - name) : name_n, data + local + skip, stored };
    *at += CENTRAL + more;
    return DREAMO_OK;
}

static dreamo_status open_archive(const st_file *f, archive *a, dreamo_error *err)
{
    const unsigned char *end = end_record(f);
    if (!end) {
        fail(err, DREAMO_FORMAT, "%s: its zip has no end; the file is cut short", f->path);
        return hint(err, "fetch it again");
    }
    size_t at = little(end + 16, 4);
    int n = (int)little(end + 10, 2);
    a->entries = mem_calloc((size_t)n + 1, sizeof *a->entries);
    if (!a->entries) return fail(err, DREAMO_MEMORY, "%s: no memory for its list of entries", f->path);
    dreamo_status s = DREAMO_OK;
    for (; a->n < n && !s; a->n++) s = read_entry(f, &at, &a->entries[a->n], err);
    if (!s) qsort(a->entries, (size_t)a->n, sizeof *a->entries, by_entry);
    return s;
}

static const entry *entry_find(const archive *a, const char *name, size_t n)
{
    entry key = { .name = name, .name_n = n };
    return a->n ? bsearch(&key, a->entries, (size_t)a->n, sizeof key, by_entry) : NULL;
}

static dreamo_status too_little(const st_file *f, const pickle_storage *s, size_t has, dreamo_error *err)
{
    fail(err, DREAMO_FORMAT, "%s: storage \"%.*s\" has %" PRId64 " numbers of %s, and %zu bytes; the file is cut short", f->path, (int)(s->key_n < 60 ? s->key_n : 60), s->key, s->count,
         dtype_name(s->type), has);
    return hint(err, "fetch it again");
}

static bool storage_nbytes(const pickle_storage *s, size_t *out) { return mul_nbytes((size_t)s->count, dtype_nbytes(s->type), out); }

static dreamo_status place_zip(const st_file *f, const archive *a, pickle *p, dreamo_error *err)
{
    for (uint32_t i = 0; i < p->nstorages; i++) {
        pickle_storage *s = &p->storages[i];
        char name[128];
        size_t needs;
        if (s->key_n > sizeof name - 6) return fail(err, DREAMO_FORMAT, "%s: a storage's key has %u bytes", f->path, s->key_n);
        memcpy(name, "data/", 5);
        memcpy(name + 5, s->key, s->key_n);
        const entry *e = entry_find(a, name, s->key_n + 5);
        if (!e || !storage_nbytes(s, &needs) || needs > e->nbytes) return too_little(f, s, e ? e->nbytes : 0, err);
        s->data = e->data;
    }
    return DREAMO_OK;
}

static dreamo_status read_zip(st_file *f, pickle *p, uint32_t *root, dreamo_error *err)
{
    archive a = { 0 };
    size_t used;
    dreamo_status s = open_archive(f, &a, err);
    const entry *e = s ? NULL : entry_find(&a, "data.pkl", 8), *order = s ? NULL : entry_find(&a, "byteorder", 9);
    if (!s && !e) s = fail(err, DREAMO_FORMAT, "%s: a zip without data.pkl, not what torch.save writes", f->path);
    if (!s && order && (order->nbytes != 6 || memcmp(order->data, "little", 6) != 0)) s = fail(err, DREAMO_FORMAT, "%s: its numbers have their largest byte first", f->path);
    if (!s) s = pickle_read(p, e->data, e->nbytes, root, &used, err);
    if (!s) s = place_zip(f, &a, p, err);
    mem_free(a.entries);
    return s;
}

/* ---- the older container ---- */

static dreamo_status not_old(const st_file *f, dreamo_error *err) { return fail(err, DREAMO_FORMAT, "%s: begins as torch.save's files of before 1.6 do, and goes on otherwise", f->path); }

/* 1001, then a dictionary that says so again, and which byte comes first. */
static dreamo_status check_head(const st_file *f, const pickle *p, uint32_t version, uint32_t facts, dreamo_error *err)
{
    if (p->values[version].kind != PK_INT || p->values[version].number != 1001 || p->values[facts].kind != PK_DICT) return not_old(f, err);
    for (uint32_t c = p->values[facts].cells.first; c; c = p->cells[p->cells[c].next].next) {
        const pickle_value *key = &p->values[p->cells[c].value], *value = &p->values[p->cells[p->cells[c].next].value];
        if (key->kind == PK_STRING && key->string.n == 13 && memcmp(key->string.p, "little_endian", 13) == 0 && !(value->kind == PK_BOOL && value->number))
            return fail(err, DREAMO_FORMAT, "%s: its numbers have their largest byte first", f->path);
    }
    return DREAMO_OK;
}

typedef struct keyed { const char *key; uint32_t n, at; } keyed;

static int by_keyed(const void *a, const void *b)
{
    const keyed *x = a, *y = b;
    return by_key(x->key, x->n, y->key, y->n);
}

static int first_keyed(const keyed *k, int n, const char *key, uint32_t key_n)
{
    int low = 0, high = n;
    while (low < high) {
        int mid = (low + high) / 2;
        if (by_key(k[mid].key, k[mid].n, key, key_n) < 0) low = mid + 1;
        else high = mid;
    }
    return low;
}

/* Storages follow in the order of the keys; of what they are made, the object has told. */
static dreamo_status place_old(const st_file *f, pickle *p, uint32_t keys, const unsigned char *at, size_t left, dreamo_error *err)
{
    int n = (int)p->nstorages;
    keyed *k = mem_alloc(((size_t)n + 1) * sizeof *k);
    dreamo_status s = k ? DREAMO_OK : fail(err, DREAMO_MEMORY, "%s: no memory for its list of storages", f->path);
    for (int i = 0; i < n && !s; i++) k[i] = (keyed){ p->storages[i].key, p->storages[i].key_n, (uint32_t)i };
    if (!s) qsort(k, (size_t)n, sizeof *k, by_keyed);
    for (uint32_t c = s ? 0 : p->values[keys].cells.first; c && !s; c = p->cells[c].next) {
        const pickle_value *key = &p->values[p->cells[c].value];
        size_t needs;
        if (key->kind != PK_STRING) { s = not_old(f, err); break; }
        int i = first_keyed(k, n, key->string.p, key->string.n);
        if (i == n || by_key(k[i].key, k[i].n, key->string.p, key->string.n) != 0) { s = fail(err, DREAMO_FORMAT, "%s: has a storage that no tensor of it names", f->path); break; }
        pickle_storage *of = &p->storages[k[i].at];
        if (of->data) { s = fail(err, DREAMO_FORMAT, "%s: has a storage twice", f->path); break; }
        if (left < 8 || !storage_nbytes(of, &needs) || needs > left - 8) { s = too_little(f, of, left < 8 ? 0 : left - 8, err); break; }
        if ((int64_t)little(at, 8) != of->count) { s = fail(err, DREAMO_FORMAT, "%s: a storage has %" PRId64 " numbers where its tensors have %" PRId64, f->path, (int64_t)little(at, 8), of->count); break; }
        for (; i < n && by_key(k[i].key, k[i].n, key->string.p, key->string.n) == 0; i++) {
            pickle_storage *same = &p->storages[k[i].at];
            if (same->type != of->type || same->count != of->count) s = fail(err, DREAMO_FORMAT, "%s: a storage is of two types", f->path);
            same->data = at + 8;
        }
        at += 8 + needs;
        left -= 8 + needs;
    }
    for (int i = 0; i < n && !s; i++)
        if (!p->storages[i].data) s = too_little(f, &p->storages[i], 0, err);
    mem_free(k);
    return s;
}

static dreamo_status read_old(st_file *f, pickle *p, uint32_t *root, dreamo_error *err)
{
    uint32_t part[5] = { 0 };
    size_t at = 0, used;
    dreamo_status s = DREAMO_OK;
    for (int i = 0; i < 5 && !s; i++, at += s ? 0 : used) s = pickle_read(p, f->map.data + at, f->map.nbytes - at, &part[i], &used, err);
    if (!s) s = check_head(f, p, part[1], part[2], err);
    if (!s && p->values[part[4]].kind != PK_LIST) s = not_old(f, err);
    if (!s) s = place_old(f, p, part[4], f->map.data + at, f->map.nbytes - at, err);
    *root = part[3];
    return s;
}

/* ---- names ---- */

typedef struct naming {
    st_file *f;
    const pickle *p;
    char path[ST_MAX_NAME + 1];
    size_t length;             /* of path */
    size_t room;               /* first pass: bytes that all names take */
    char *to;                  /* second pass: where the next one goes; NULL: first pass */
    int visits;
    dreamo_error *err;
} naming;

static dreamo_status give(naming *n, const pickle_tensor *t)
{
    const pickle_storage *from = &n->p->storages[t->storage];
    size_t count = 1, end;
    if (!n->to) {
        n->room += n->length + 1;
        if (n->f->ntensors++ >= MOST_TENSORS) return fail(n->err, DREAMO_LIMIT, "%s: more than %d tensors", n->f->path, MOST_TENSORS);
        return DREAMO_OK;
    }
    st_tensor *out = &n->f->tensors[n->f->ntensors];
    *out = (st_tensor){ .name = memcpy(n->to, n->path, n->length + 1), .type = from->type, .rank = t->rank };
    n->to += n->length + 1;
    n->f->ntensors++;
    for (int i = t->rank - 1; i >= 0; i--) {
        if (t->shape[i] > 1 && t->stride[i] != (int64_t)count) return fail(n->err, DREAMO_FORMAT, "%s: tensor \"%.200s\": its numbers do not follow each other (a transposed view)", n->f->path, out->name);
        out->shape[i] = t->shape[i];
        if (!mul_nbytes(count, (size_t)t->shape[i], &count)) return fail(n->err, DREAMO_FORMAT, "%s: tensor \"%.200s\": its shape is too large", n->f->path, out->name);
    }
    out->count = count;
    if (!add_nbytes(count, (size_t)t->offset, &end) || end > (size_t)from->count)
        return fail(n->err, DREAMO_FORMAT, "%s: tensor \"%.200s\": reaches beyond its storage of %" PRId64 " numbers", n->f->path, out->name, from->count);
    out->nbytes = count * dtype_nbytes(from->type);
    out->data = from->data + (size_t)t->offset * dtype_nbytes(from->type);
    return DREAMO_OK;
}

static dreamo_status walk(naming *n, uint32_t value, int depth);

/* walk into `value` under one more name. */
static dreamo_status enter(naming *n, const char *name, size_t name_n, uint32_t value, int depth)
{
    size_t before = n->length;
    if (memchr(name, 0, name_n) || before + name_n + 1 > ST_MAX_NAME) return fail(n->err, DREAMO_FORMAT, "%s: a name of %zu bytes in its dictionaries, or with NUL in it", n->f->path, before + name_n);
    if (before) n->path[n->length++] = '.';
    memcpy(n->path + n->length, name, name_n);
    n->path[n->length += name_n] = '\0';
    dreamo_status s = walk(n, value, depth + 1);
    n->path[n->length = before] = '\0';
    return s;
}

/* Only dictionaries and lists lead to tensors; all else is nothing that a weight file is read for. */
static dreamo_status walk(naming *n, uint32_t value, int depth)
{
    const pickle_value *v = &n->p->values[value];
    dreamo_status s = DREAMO_OK;
    char number[24];
    if (n->visits++ > MOST_VISITS || depth > MOST_DEPTH) return fail(n->err, DREAMO_LIMIT, "%s: its dictionaries are too deep or too many", n->f->path);
    if (v->kind == PK_TENSOR) return n->length ? give(n, &n->p->tensors[v->index]) : enter(n, "tensor", 6, value, depth);
    if (v->kind != PK_DICT && v->kind != PK_LIST && v->kind != PK_TUPLE) return DREAMO_OK;
    int64_t i = 0;
    for (uint32_t c = v->cells.first; c && !s; c = n->p->cells[c].next, i++) {
        const pickle_value *key = &n->p->values[n->p->cells[c].value];
        uint32_t inner = n->p->cells[c].value;
        if (v->kind == PK_DICT) {
            c = n->p->cells[c].next;
            inner = n->p->cells[c].value;
        }
        if (v->kind == PK_DICT && key->kind == PK_STRING) {
            s = enter(n, key->string.p, key->string.n, inner, depth);
        } else if (v->kind != PK_DICT || key->kind == PK_INT) {
            int length = snprintf(number, sizeof number, "%" PRId64, v->kind == PK_DICT ? key->number : i);
            s = enter(n, number, (size_t)length, inner, depth);
        }
    }
    return s;
}

static int by_name(const void *a, const void *b) { return strcmp(((const st_tensor *)a)->name, ((const st_tensor *)b)->name); }

static dreamo_status name_all(st_file *f, const pickle *p, uint32_t root, dreamo_error *err)
{
    naming n = { .f = f, .p = p, .err = err };
    dreamo_status s = walk(&n, root, 0);
    if (s) return s;
    f->tensors = mem_calloc((size_t)f->ntensors + 1, sizeof *f->tensors);
    n.to = f->strings = mem_alloc(n.room + 1);
    if (!f->tensors || !f->strings) return fail(err, DREAMO_MEMORY, "%s: no memory for its list of tensors", f->path);
    f->ntensors = n.visits = 0;
    s = walk(&n, root, 0);
    if (s) return s;
    if (f->ntensors) qsort(f->tensors, (size_t)f->ntensors, sizeof *f->tensors, by_name);
    for (int i = 1; i < f->ntensors; i++)
        if (strcmp(f->tensors[i - 1].name, f->tensors[i].name) == 0) return fail(err, DREAMO_FORMAT, "%s: tensor \"%.200s\" is there twice", f->path, f->tensors[i].name);
    return DREAMO_OK;
}

dreamo_status pth_read(st_file *f, dreamo_error *err)
{
    pickle p = { .what = f->path };
    uint32_t root = 0;
    dreamo_status s = is_zip(f->map.data, f->map.nbytes) ? read_zip(f, &p, &root, err) : read_old(f, &p, &root, err);
    if (!s) s = name_all(f, &p, root, err);
    pickle_free(&p);
    return s;
}
