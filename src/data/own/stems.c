/* stems.c - the folder form, in a folder or a tar file: what stands before the endings is an item's name.
 *
 *   NAME.jpg  NAME.rejected.jpg  NAME.txt  NAME.json  NAME.ref2.png  NAME.ref2.id.png  NAME.ref2.mask.png  NAME.ref2.id.mask.png
 *
 * Endings are read from the right, so a name may have dots.  Files with other endings are nobody's and passed over, except kinds of
 * pictures that are not read: whoever has them means them. */
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "data/own/own.h"

typedef enum role { TARGET, REJECTED, CAPTION, SIDECAR, REFERENCE, MASK, NOTHING } role;

typedef struct part {
    own_file file;
    size_t stem;       /* length of it in the name */
    role role;
    int slot, order;
    data_task task;
    bool task_told;
} part;

static const char *const pictures[] = { "png", "jpg", "jpeg", "webp", NULL };
static const char *const others[] = { "gif", "tif", "tiff", "bmp", "heic", "heif", "avif", "jxl", "svg", "jp2", "psd", NULL };

static bool one_of(const char *word, size_t n, const char *const *list)
{
    for (; *list; list++)
        if (strlen(*list) == n && !strncasecmp(*list, word, n)) return true;
    return false;
}

/* The last ending within the first n bytes; *n becomes the length without it and its dot.  NULL: there is none. */
static const char *ending(const char *name, size_t *n, size_t *length)
{
    size_t at = *n;
    while (at > 0 && name[at - 1] != '.' && name[at - 1] != '/') at--;
    if (at < 2 || name[at - 1] != '.' || name[at - 2] == '/') return NULL;
    *length = *n - at;
    *n = at - 1;
    return name + at;
}

static bool is(const char *word, size_t n, const char *what) { return strlen(what) == n && !memcmp(word, what, n); }

/* The endings .rejected, .refK, .refK.TASK and their .mask before a picture's own. */
static dreamo_status read_role(part *p, const char *where, dreamo_error *err)
{
    const char *name = p->file.name, *e;
    size_t stem = p->stem, length;
    bool mask = false;
    if (!(e = ending(name, &stem, &length))) return DREAMO_OK;
    if (is(e, length, "rejected")) {
        p->role = REJECTED;
        p->stem = stem;
        return DREAMO_OK;
    }
    if (is(e, length, "mask")) {
        mask = true;
        if (!(e = ending(name, &stem, &length))) return fail(err, DREAMO_FORMAT, "%s: a mask of no reference; name it NAME.refK.mask.png", where);
    }
    for (int k = 0; k < DATA_TASKS && !p->task_told; k++)
        if (is(e, length, data_task_name((data_task)k))) {
            size_t before = stem, n;
            const char *ref = ending(name, &before, &n);
            if (!ref || n < 3 || memcmp(ref, "ref", 3)) break; /* "photo.id.jpg" is a name with a dot */
            p->task_told = true;
            p->task = (data_task)k;
            e = ref, length = n, stem = before;
        }
    bool digits = length > 3 && !memcmp(e, "ref", 3) && strspn(e + 3, "0123456789") >= length - 3;
    if (!digits) return mask ? fail(err, DREAMO_FORMAT, "%s: a mask of no reference; name it NAME.refK.mask.png", where) : DREAMO_OK;
    if (length != 4 || e[3] == '0') return fail(err, DREAMO_FORMAT, "%s: reference index %.*s is not in 1..%d", where, (int)(length - 3 > 20 ? 20 : length - 3), e + 3, OWN_MAX_SLOT);
    p->role = mask ? MASK : REFERENCE;
    p->slot = e[3] - '0';
    p->stem = stem;
    return DREAMO_OK;
}

static dreamo_status read_name(const own_set *d, part *p, dreamo_error *err)
{
    char where[512];
    const char *name = p->file.name, *base = strrchr(name, '/') ? strrchr(name, '/') + 1 : name, *e;
    size_t n = strlen(name), length;
    p->role = NOTHING;
    own_file_path(d, &p->file, where, sizeof where);
    if (base[0] == '.' || !(e = ending(name, &n, &length))) return DREAMO_OK;
    p->stem = n;
    if (is(e, length, "txt")) p->role = CAPTION;
    else if (is(e, length, "json")) p->role = SIDECAR;
    else if (one_of(e, length, others)) {
        fail(err, DREAMO_FORMAT, "%s: PNG, JPEG and WebP are read, not .%.*s", where, (int)length, e);
        return hint(err, "convert it, or take it away");
    } else if (one_of(e, length, pictures)) {
        p->role = TARGET;
        return read_role(p, where, err);
    }
    return DREAMO_OK;
}

static int by_stem(const void *a, const void *b)
{
    const part *x = a, *y = b;
    size_t n = x->stem < y->stem ? x->stem : y->stem;
    int c = memcmp(x->file.name, y->file.name, n);
    if (!c) c = (x->stem > y->stem) - (x->stem < y->stem);
    if (!c) c = (x->role > y->role) - (x->role < y->role);
    if (!c) c = x->slot - y->slot;
    return c ? c : x->order - y->order;
}

static own_file take(own_file *f)
{
    own_file taken = *f;
    f->name = NULL;
    return taken;
}

static dreamo_status read_sidecar(const own_set *d, const own_file *file, own_item *it, dreamo_error *err)
{
    own_bytes b;
    json_t *o = NULL;
    char what[512];
    own_file_path(d, file, what, sizeof what);
    dreamo_status s = own_read(d, file, OWN_MAX_TEXT, &b, err);
    if (!s) s = json_parse((const char *)b.data, b.nbytes, what, &o, err);
    if (!s && !json_is_object(o)) s = fail(err, DREAMO_FORMAT, "%s: not an object", what);
    if (!s) s = own_read_common(o, what, it, err); /* other programs keep other things there: they are passed over */
    if (!s && !it->caption) s = own_string(o, what, "prompt", &it->caption, err);
    json_decref(o);
    own_done(&b);
    return s;
}

static dreamo_status add_reference(part *p, own_item *it, const char *where, dreamo_error *err)
{
    own_ref *last = it->nrefs ? &it->ref[it->nrefs - 1] : NULL;
    if (last && last->slot == p->slot) return fail(err, DREAMO_FORMAT, "%s: reference %d is there twice", where, p->slot);
    if (it->nrefs == DATA_MAX_REFS) return fail(err, DREAMO_LIMIT, "%s: more than %d references", where, DATA_MAX_REFS);
    if (!it->ref && !(it->ref = mem_calloc(DATA_MAX_REFS, sizeof *it->ref))) return fail(err, DREAMO_MEMORY, "%s: no memory", where);
    it->ref[it->nrefs++] = (own_ref){ .image = take(&p->file), .mask = { .shard = -1 }, .task = p->task, .slot = p->slot };
    return DREAMO_OK;
}

static dreamo_status add_mask(part *p, own_item *it, const char *where, dreamo_error *err)
{
    own_ref *r = NULL;
    for (int i = 0; i < it->nrefs; i++)
        if (it->ref[i].slot == p->slot) r = &it->ref[i];
    if (!r) return fail(err, DREAMO_FORMAT, "%s: a mask of reference %d, which is not there", where, p->slot);
    if (r->mask.name) return fail(err, DREAMO_FORMAT, "%s: the mask of reference %d is there twice", where, p->slot);
    if (p->task_told && p->task != r->task) return fail(err, DREAMO_FORMAT, "%s: its reference has another task", where);
    r->mask = take(&p->file);
    return DREAMO_OK;
}

/* The parts of one name. */
static dreamo_status read_group(const own_set *d, part *p, int n, own_item *it, dreamo_error *err)
{
    char where[512];
    dreamo_status s = DREAMO_OK;
    for (int i = 0; i < n && !s; i++) {
        own_file_path(d, &p[i].file, where, sizeof where);
        if (p[i].role != TARGET && !it->target.name && !d->asks) return fail(err, DREAMO_FORMAT, "%s: there is no picture %.*s.png, .jpg or .webp", where, (int)p[i].stem, p[i].file.name);
        switch (p[i].role) {
        case TARGET:
            if (it->target.name) return fail(err, DREAMO_FORMAT, "%s: a second picture of this name", where);
            it->line = p[i].order;
            it->target = take(&p[i].file);
            break;
        case REJECTED:
            if (it->rejected.name) return fail(err, DREAMO_FORMAT, "%s: a second rejected picture of this name", where);
            it->rejected = take(&p[i].file);
            break;
        case CAPTION:
            if (it->caption) return fail(err, DREAMO_FORMAT, "%s: a second caption", where);
            s = own_text(d, &p[i].file, &it->caption, err);
            break;
        case SIDECAR: s = read_sidecar(d, &p[i].file, it, err); break;
        case REFERENCE: s = add_reference(&p[i], it, where, err); break;
        default: s = add_mask(&p[i], it, where, err); break;
        }
    }
    if (!s && !it->target.name) {
        it->line = p[0].order;
        s = own_stand_in(it, where, err);
    }
    if (s || it->caption) return s;
    own_file_path(d, &it->target, where, sizeof where);
    return fail(err, DREAMO_FORMAT, "%s: there is no caption %.*s.txt", where, (int)p[0].stem, it->target.name);
}

static int by_line(const void *a, const void *b)
{
    const own_item *x = a, *y = b;
    return (x->line > y->line) - (x->line < y->line);
}

dreamo_status own_read_stems(own_set *d, own_file *files, int n, own_faults *f, dreamo_error *err)
{
    part *parts = mem_calloc((size_t)n + 1, sizeof *parts);
    int nparts = 0, first = d->nitems;
    dreamo_status s = parts ? DREAMO_OK : fail(err, DREAMO_MEMORY, "%s: no memory for %d names", d->path, n);
    for (int i = 0; i < n && !s; i++) {
        part p = { .file = files[i], .order = i };
        dreamo_error e = { 0 };
        if (read_name(d, &p, &e)) own_fault(f, &e);
        if (e.status || p.role == NOTHING) continue;
        parts[nparts++] = p;
        files[i].name = NULL;
    }
    if (!s && nparts) qsort(parts, (size_t)nparts, sizeof *parts, by_stem);
    for (int i = 0, end; i < nparts && !s; i = end) {
        for (end = i + 1; end < nparts && parts[end].stem == parts[i].stem && !memcmp(parts[end].file.name, parts[i].file.name, parts[i].stem);) end++;
        if (end == i + 1 && parts[i].role == SIDECAR) continue; /* somebody else's JSON */
        dreamo_error e = { 0 };
        own_item *it = own_add(d, err);
        if (!it) s = DREAMO_MEMORY;
        else if (read_group(d, parts + i, end - i, it, &e)) {
            s = e.status == DREAMO_MEMORY ? fail(err, DREAMO_MEMORY, "%s", e.message) : DREAMO_OK;
            own_fault(f, &e);
            own_item_free(it);
            d->nitems--;
        }
    }
    for (int i = 0; i < nparts; i++) mem_free(parts[i].file.name);
    mem_free(parts);
    for (int i = 0; i < n; i++) mem_free(files[i].name);
    if (d->nitems > first) qsort(d->items + first, (size_t)(d->nitems - first), sizeof *d->items, by_line);
    return s;
}
