/* manifest.c - JSON lines: one sample a line.
 *
 *   {"prompt": "a dog on a sofa", "target": "dog3.jpg",
 *    "references": [{"image": "dog1.jpg", "task": "ip", "mask": "dog3-mask.png", "index": 1}],
 *    "source": "where from", "licence": "CC0-1.0"}
 *
 * "caption_file" may stand in place of "prompt"; "kind", "split" and "sha256" may be told, and "rejected" names a picture that was liked
 * less than the target.  A field that is none of these is a fault: it
 * would be a typing error that changes what is learnt. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "data/own/own.h"

static dreamo_status only_known(const json_t *o, const char *what, const char *const *known, dreamo_error *err)
{
    for (void *at = json_object_iter((json_t *)(uintptr_t)o); at; at = json_object_iter_next((json_t *)(uintptr_t)o, at)) {
        const char *const *k = known;
        while (*k && strcmp(*k, json_object_iter_key(at))) k++;
        if (*k) continue;
        char list[200] = "";
        for (k = known; *k; k++) snprintf(list + strlen(list), sizeof list - strlen(list), "%s%s", k == known ? "" : ", ", *k);
        fail(err, DREAMO_FORMAT, "%s: unknown field \"%.100s\"", what, json_object_iter_key(at));
        return hint(err, "allowed are %s", list);
    }
    return DREAMO_OK;
}

/* A required or optional name of a file. */
static dreamo_status read_file(const json_t *o, const char *what, const char *field, bool required, own_file *out, dreamo_error *err)
{
    const char *name;
    *out = (own_file){ .shard = -1 };
    dreamo_status s = json_get_string(o, what, field, required ? NULL : "", &name, err);
    if (s || (!*name && !required)) return s;
    if (!*name) return fail(err, DREAMO_FORMAT, "%s: field \"%s\" is empty", what, field);
    return (out->name = mem_strdup(name)) ? DREAMO_OK : fail(err, DREAMO_MEMORY, "%s: no memory", what);
}

static dreamo_status read_reference(const json_t *o, const char *what, int place, own_item *it, dreamo_error *err)
{
    static const char *const known[] = { "image", "task", "mask", "index", NULL };
    const char *task;
    int64_t slot;
    if (!json_is_object(o)) return fail(err, DREAMO_FORMAT, "%s: not an object", what);
    own_ref *r = &it->ref[it->nrefs++];
    *r = (own_ref){ .image = { .shard = -1 }, .mask = { .shard = -1 } };
    dreamo_status s = only_known(o, what, known, err);
    if (!s) s = read_file(o, what, "image", true, &r->image, err);
    if (!s) s = read_file(o, what, "mask", false, &r->mask, err);
    if (!s) s = json_get_string(o, what, "task", "ip", &task, err);
    if (!s && !data_task_find(task, &r->task)) s = fail(err, DREAMO_FORMAT, "%s: field \"task\" is \"%.40s\", none of ip, id, style", what, task);
    if (!s) s = json_get_int(o, what, "index", 1, OWN_MAX_SLOT, place, &slot, err);
    if (s) return s;
    r->slot = (int)slot;
    for (int i = 0; i < it->nrefs - 1; i++)
        if (it->ref[i].slot == r->slot) return fail(err, DREAMO_FORMAT, "%s: index %d is there twice", what, r->slot);
    return DREAMO_OK;
}

static int by_slot(const void *a, const void *b) { return ((const own_ref *)a)->slot - ((const own_ref *)b)->slot; }

static dreamo_status read_references(const json_t *o, const char *what, own_item *it, dreamo_error *err)
{
    const json_t *list = json_object_get(o, "references");
    char each[560];
    dreamo_status s = DREAMO_OK;
    if (!list || json_is_null(list)) return DREAMO_OK;
    if (!json_is_array(list)) return fail(err, DREAMO_FORMAT, "%s: field \"references\" is not a list", what);
    size_t n = json_array_size(list);
    if (n > DATA_MAX_REFS) return fail(err, DREAMO_LIMIT, "%s: %zu references; at most %d are allowed", what, n, DATA_MAX_REFS);
    if (n && !(it->ref = mem_calloc(n, sizeof *it->ref))) return fail(err, DREAMO_MEMORY, "%s: no memory", what);
    for (size_t i = 0; i < n && !s; i++) {
        snprintf(each, sizeof each, "%s: references[%zu]", what, i);
        s = read_reference(json_array_get(list, i), each, (int)i + 1, it, err);
    }
    if (!s && n) qsort(it->ref, n, sizeof *it->ref, by_slot);
    return s;
}

static bool is_blank(const char *text) { return !text || !text[strspn(text, " \t\r\n")]; }

static dreamo_status read_line(const own_set *d, const char *text, size_t nbytes, const char *what, own_item *it, dreamo_error *err)
{
    static const char *const known[] = { "prompt", "caption_file", "target", "rejected", "references", "kind", "split", "source", "sha256", "licence", NULL };
    json_t *o = NULL;
    if (nbytes > OWN_MAX_LINE) return fail(err, DREAMO_LIMIT, "%s: a line of %zu bytes; at most %d are allowed", what, nbytes, OWN_MAX_LINE);
    dreamo_status s = json_parse(text, nbytes, what, &o, err);
    if (!s && !json_is_object(o)) s = fail(err, DREAMO_FORMAT, "%s: not an object", what);
    if (!s) s = only_known(o, what, known, err);
    if (!s) s = read_file(o, what, "target", !d->asks, &it->target, err);
    if (!s) s = read_file(o, what, "rejected", false, &it->rejected, err);
    if (!s) s = own_string(o, what, "prompt", &it->caption, err);
    if (!s) s = read_file(o, what, "caption_file", false, &it->words, err);
    if (!s && it->caption && it->words.name) s = fail(err, DREAMO_FORMAT, "%s: has both \"prompt\" and \"caption_file\"", what);
    if (!s && it->words.name) {
        dreamo_error e = { 0 };
        if ((s = own_text(d, &it->words, &it->caption, &e))) fail(err, s, "%s: %s", what, e.message);
    }
    if (!s && is_blank(it->caption)) s = fail(err, DREAMO_FORMAT, "%s: the caption is %s", what, it->caption || json_object_get(o, "prompt") ? "empty" : "missing: \"prompt\" or \"caption_file\"");
    if (!s) s = read_references(o, what, it, err);
    if (!s) s = own_read_common(o, what, it, err);
    if (!s && !it->target.name) s = own_stand_in(it, what, err);
    json_decref(o);
    return s;
}

dreamo_status own_read_manifest(own_set *d, int list, own_faults *f, dreamo_error *err)
{
    filemap map;
    char what[512];
    const char *name = strrchr(d->files[list], '/') ? strrchr(d->files[list], '/') + 1 : d->files[list];
    dreamo_status s = file_map(d->files[list], &map, err);
    if (s) return s;
    const char *text = (const char *)map.data, *end = text + map.nbytes;
    if (map.nbytes >= 3 && !memcmp(text, "\xEF\xBB\xBF", 3)) text += 3;
    for (int line = 1; text < end && !s && !f->stopped; line++) {
        const char *stop = memchr(text, '\n', (size_t)(end - text));
        size_t n = (size_t)((stop ? stop : end) - text), blank = 0;
        while (blank < n && memchr(" \t\r", text[blank], 3)) blank++;
        own_item *it = blank < n ? own_add(d, err) : NULL;
        dreamo_error e = { 0 };
        if (blank < n && !it) s = DREAMO_MEMORY;
        snprintf(what, sizeof what, "%.400s:%d", d->files[list], line);
        if (it && read_line(d, text, n, what, it, &e)) {
            if (e.status == DREAMO_MEMORY) s = fail(err, DREAMO_MEMORY, "%s", e.message);
            else own_fault(f, &e);
            own_item_free(it);
            d->nitems--;
        } else if (it) {
            it->list = list;
            it->line = line;
            if (!strcmp(name, "train.jsonl") || !strcmp(name, "val.jsonl")) { /* what `dataset split` wrote */
                it->split = name[0] == 'v' ? DATA_VAL : DATA_TRAIN;
                it->split_told = true;
            }
        }
        text = stop ? stop + 1 : end;
    }
    file_unmap(&map);
    return s;
}

/* ---- writing ---- */

static void set_text(json_t *o, const char *field, const char *value, bool *ok)
{
    if (value) *ok &= !json_object_set_new(o, field, json_string(value));
}

static bool set_common(json_t *o, const own_item *it)
{
    bool ok = o != NULL;
    if (!ok) return false;
    if (it->kind_told) set_text(o, "kind", data_kind_name(it->kind), &ok);
    set_text(o, "split", it->split == DATA_VAL ? "val" : "train", &ok);
    set_text(o, "source", it->source ? it->source : it->target.name, &ok);
    set_text(o, "sha256", *it->sha256 ? it->sha256 : NULL, &ok);
    set_text(o, "licence", it->licence, &ok);
    return ok;
}

static dreamo_status as_text(json_t *o, bool ok, const char *end, char **out, dreamo_error *err)
{
    char *text = ok ? json_text(o) : NULL;
    *out = text ? mem_printf("%s%s", text, end) : NULL;
    mem_free(text);
    json_decref(o);
    return *out ? DREAMO_OK : fail(err, DREAMO_MEMORY, "no memory for a line of a manifest");
}

dreamo_status own_manifest_line(const own_item *it, char **out, dreamo_error *err)
{
    json_t *o = json_object(), *list = it->nrefs ? json_array() : NULL;
    bool ok = o && (list || !it->nrefs);
    if (ok) set_text(o, "prompt", it->caption, &ok);
    if (ok) set_text(o, "target", it->target.name, &ok);
    if (ok) set_text(o, "rejected", it->rejected.name, &ok);
    for (int i = 0; i < it->nrefs && ok; i++) {
        const own_ref *r = &it->ref[i];
        json_t *each = json_object();
        ok = each != NULL;
        if (!ok) break;
        set_text(each, "image", r->image.name, &ok);
        set_text(each, "task", data_task_name(r->task), &ok);
        set_text(each, "mask", r->mask.name, &ok);
        ok &= !json_object_set_new(each, "index", json_integer(r->slot));
        ok &= !json_array_append_new(list, each);
    }
    if (ok && list) ok = !json_object_set(o, "references", list);
    json_decref(list);
    return as_text(o, ok && set_common(o, it), "\n", out, err);
}

dreamo_status own_sidecar(const own_item *it, char **out, dreamo_error *err)
{
    json_t *o = json_object();
    return as_text(o, set_common(o, it), "", out, err);
}
