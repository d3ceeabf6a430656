/* own_open.c - which form lies there, its items, and what all forms have in common: hashes, kinds, what is held out. */
#include <fnmatch.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/ends.h"
#include "base/file.h"
#include "base/inside.h"
#include "base/mem.h"
#include "base/sha256.h"
#include "data/own/own.h"

void own_fault(own_faults *f, const dreamo_error *e)
{
    if (!f->n++) f->first = *e;
    char line[sizeof e->message + sizeof e->hint + 4];
    snprintf(line, sizeof line, "%s%s%s", e->message, *e->hint ? "; " : "", e->hint);
    if (f->tell && !f->stopped) f->stopped = !f->tell(f->user, &(dreamo_event){ .kind = DREAMO_EVENT_WARNING, .text = line });
}

void own_where(const own_set *d, const own_item *it, char *out, size_t nbytes)
{
    if (d->form == OWN_MANIFEST) snprintf(out, nbytes, "%.400s:%d", d->files[it->list], it->line);
    else own_file_path(d, &it->target, out, nbytes);
}

own_item *own_add(own_set *d, dreamo_error *err)
{
    if (d->nitems == OWN_MOST_ITEMS) {
        fail(err, DREAMO_LIMIT, "%s: more than %d samples", d->path, OWN_MOST_ITEMS);
        return NULL;
    }
    if (d->nitems == d->room) {
        int room = d->room ? 2 * d->room : 64;
        own_item *more = mem_realloc(d->items, (size_t)room * sizeof *more);
        if (!more) {
            fail(err, DREAMO_MEMORY, "%s: no memory for %d samples", d->path, room);
            return NULL;
        }
        d->items = more;
        d->room = room;
    }
    own_item *it = &d->items[d->nitems++];
    *it = (own_item){ .target = { .shard = -1 }, .rejected = { .shard = -1 }, .words = { .shard = -1 } };
    return it;
}

void own_item_free(own_item *it)
{
    mem_free(it->target.name);
    mem_free(it->rejected.name);
    mem_free(it->caption);
    mem_free(it->words.name);
    mem_free(it->source);
    mem_free(it->licence);
    for (int i = 0; i < it->nrefs; i++) {
        mem_free(it->ref[i].image.name);
        mem_free(it->ref[i].mask.name);
    }
    mem_free(it->ref);
    *it = (own_item){ 0 };
}

void own_close(data_set *set)
{
    own_set *d = (own_set *)set;
    if (!d) return;
    for (int i = 0; i < d->nitems; i++) own_item_free(&d->items[i]);
    for (int i = 0; i < d->nfiles; i++) {
        if (d->files) mem_free(d->files[i]);
        if (d->shards) tar_close(&d->shards[i]);
    }
    for (int split = 0; split < 2; split++)
        for (int k = 0; k <= DATA_KINDS; k++)
            if (k != DATA_T2I) mem_free(d->list[split][k]); /* T2I's is DATA_ANY's */
    mem_free(d->files);
    mem_free(d->shards);
    mem_free(d->items);
    mem_free(d->path);
    mem_free(d->folder);
    mem_free(d);
}

/* ---- what lies there ---- */

static bool holds(const char *folder, const char *name)
{
    char path[PATH_MAX]; /* where a longer one would lie is nothing */
    int n = snprintf(path, sizeof path, "%s/%s", folder, name);
    return n < (int)sizeof path && file_exists(path) && !folder_exists(path);
}

static bool is_pattern(const char *path) { return strpbrk(path, "*?[") && !file_exists(path); }

bool own_is(const char *path)
{
    if (!folder_exists(path)) return file_exists(path) || is_pattern(path);
    return !holds(path, "assets.json") && !holds(path, "assets.safetensors");
}

/* A file of the set's list: `name` in its folder. */
static dreamo_status add_file(own_set *d, const char *name, dreamo_error *err)
{
    char **more = mem_realloc(d->files, (size_t)(d->nfiles + 1) * sizeof *more);
    if (more) d->files = more;
    char *path = more ? path_join(d->folder, name) : NULL;
    if (!path) return fail(err, DREAMO_MEMORY, "%s: no memory", d->path);
    d->files[d->nfiles++] = path;
    return DREAMO_OK;
}

/* The folder's names that match, in order. */
static dreamo_status add_matching(own_set *d, const char *pattern, dreamo_error *err)
{
    char **names = NULL;
    int n = 0;
    dreamo_status s = folder_list(d->folder, &names, &n, err);
    for (int i = 0; i < n && !s; i++)
        if (!fnmatch(pattern, names[i], FNM_PERIOD)) s = add_file(d, names[i], err);
    folder_list_free(names, n);
    return s;
}

static dreamo_status find_in_folder(own_set *d, bool every, dreamo_error *err)
{
    static const char *const manifests[] = { "train.jsonl", "val.jsonl", "manifest.jsonl" };
    d->form = OWN_MANIFEST;
    for (int i = 0; i < 3; i++) {
        dreamo_status s = holds(d->folder, manifests[i]) && (every || i < 2 || !d->nfiles) ? add_file(d, manifests[i], err) : DREAMO_OK;
        if (s) return s;
    }
    if (d->nfiles) return DREAMO_OK;
    d->form = OWN_SHARDS;
    dreamo_status s = add_matching(d, "*.tar", err);
    if (!s && !d->nfiles) d->form = OWN_FOLDER;
    return s;
}

static dreamo_status find_files(own_set *d, bool every, dreamo_error *err)
{
    if (folder_exists(d->path)) {
        if (!(d->folder = mem_strdup(d->path))) return fail(err, DREAMO_MEMORY, "%s: no memory", d->path);
        return find_in_folder(d, every, err);
    }
    const char *slash = strrchr(d->path, '/'), *name = slash ? slash + 1 : d->path;
    d->folder = !slash ? mem_strdup(".") : slash == d->path ? mem_strdup("/") : mem_printf("%.*s", (int)(slash - d->path), d->path);
    if (!d->folder) return fail(err, DREAMO_MEMORY, "%s: no memory", d->path);
    d->form = ends_after(name, ".jsonl") ? OWN_MANIFEST : OWN_SHARDS;
    if (d->form == OWN_SHARDS && !ends_after(name, ".tar"))
        return fail(err, DREAMO_FORMAT, "%s: is no dataset: a folder, a manifest (.jsonl) and tar files (.tar) are read", d->path);
    if (!is_pattern(d->path)) return add_file(d, name, err);
    dreamo_status s = add_matching(d, name, err);
    return s || d->nfiles ? s : fail(err, DREAMO_NOT_FOUND, "%s: no file has such a name", d->path);
}

/* ---- items ---- */

static dreamo_status read_folder(own_set *d, own_faults *f, dreamo_error *err)
{
    char **names = NULL;
    int n = 0, nfiles = 0;
    dreamo_status s = folder_list(d->folder, &names, &n, err);
    own_file *files = s ? NULL : mem_calloc((size_t)n + 1, sizeof *files);
    if (!s && !files) s = fail(err, DREAMO_MEMORY, "%s: no memory for %d names", d->folder, n);
    for (int i = 0; i < n && !s; i++) {
        char *path = path_join(d->folder, names[i]), *name = mem_strdup(names[i]);
        if (!path || !name) s = fail(err, DREAMO_MEMORY, "%s: no memory", d->folder);
        if (s || folder_exists(path)) mem_free(name);
        else files[nfiles++] = (own_file){ .name = name, .shard = -1 };
        mem_free(path);
    }
    if (!s) s = own_read_stems(d, files, nfiles, f, err);
    else
        for (int i = 0; i < nfiles; i++) mem_free(files[i].name);
    mem_free(files);
    folder_list_free(names, n);
    return s;
}

static dreamo_status read_shard(own_set *d, int shard, own_faults *f, dreamo_error *err)
{
    tar *t = &d->shards[shard];
    dreamo_error e = { 0 };
    dreamo_status s = tar_open(d->files[shard], t, &e);
    if (s) {
        own_fault(f, &e);
        return s == DREAMO_MEMORY ? fail(err, s, "%s", e.message) : DREAMO_OK;
    }
    own_file *files = mem_calloc((size_t)t->nmembers + 1, sizeof *files);
    if (!files) return fail(err, DREAMO_MEMORY, "%s: no memory for %d members", t->path, t->nmembers);
    int n = 0;
    for (; n < t->nmembers && !s; n++) {
        const tar_member *m = &t->members[n];
        files[n] = (own_file){ mem_strdup(m->name), shard, m->at, m->nbytes };
        if (!files[n].name) s = fail(err, DREAMO_MEMORY, "%s: no memory for %d members", t->path, t->nmembers);
    }
    if (!s) s = own_read_stems(d, files, n, f, err);
    else
        for (int i = 0; i < n; i++) mem_free(files[i].name);
    mem_free(files);
    return s;
}

static dreamo_status read_items(own_set *d, own_faults *f, dreamo_error *err)
{
    dreamo_status s = DREAMO_OK;
    if (d->form == OWN_FOLDER) return read_folder(d, f, err);
    if (d->form == OWN_SHARDS && !(d->shards = mem_calloc((size_t)d->nfiles, sizeof *d->shards))) return fail(err, DREAMO_MEMORY, "%s: no memory", d->path);
    for (int i = 0; i < d->nfiles && !s; i++) s = d->form == OWN_SHARDS ? read_shard(d, i, f, err) : own_read_manifest(d, i, f, err);
    return s;
}

/* ---- what all forms have in common ---- */

/* The rest of this program wants a picture there. */
dreamo_status own_stand_in(own_item *it, const char *what, dreamo_error *err)
{
    if (!it->nrefs) return fail(err, DREAMO_FORMAT, "%s: has neither a target nor references", what);
    it->target = it->ref[0].image;
    if (!(it->target.name = mem_strdup(it->ref[0].image.name))) return fail(err, DREAMO_MEMORY, "%s: no memory", what);
    it->bare = it->split_told = true;
    it->split = DATA_VAL;
    return DREAMO_OK;
}

dreamo_status own_string(const json_t *o, const char *what, const char *field, char **out, dreamo_error *err)
{
    const char *value;
    dreamo_status s = json_get_string(o, what, field, "", &value, err);
    if (s || !*value) return s;
    mem_free(*out);
    return (*out = mem_strdup(value)) ? DREAMO_OK : fail(err, DREAMO_MEMORY, "%s: no memory", what);
}

static dreamo_status read_hash(const json_t *o, const char *what, own_item *it, dreamo_error *err)
{
    const char *hash;
    dreamo_status s = json_get_string(o, what, "sha256", "", &hash, err);
    if (s || !*hash) return s;
    if (strlen(hash) != 64 || strspn(hash, "0123456789abcdef") != 64) return fail(err, DREAMO_FORMAT, "%s: field \"sha256\" is not 64 hex digits (0-9, a-f)", what);
    memcpy(it->sha256, hash, sizeof it->sha256);
    it->hash_told = true;
    return DREAMO_OK;
}

dreamo_status own_read_common(const json_t *o, const char *what, own_item *it, dreamo_error *err)
{
    const char *kind, *split;
    dreamo_status s = own_string(o, what, "source", &it->source, err);
    if (!s) s = own_string(o, what, "licence", &it->licence, err);
    if (!s) s = read_hash(o, what, it, err);
    if (!s) s = json_get_string(o, what, "kind", "", &kind, err);
    if (!s) s = json_get_string(o, what, "split", "", &split, err);
    if (s) return s;
    if (*kind && (!data_kind_find(kind, &it->kind) || it->kind == DATA_ANY))
        return fail(err, DREAMO_FORMAT, "%s: field \"kind\" is \"%.40s\", none of " DATA_KIND_NAMES, what, kind);
    if (*split && strcmp(split, "train") && strcmp(split, "val")) return fail(err, DREAMO_FORMAT, "%s: field \"split\" is \"%.40s\", neither \"train\" nor \"val\"", what, split);
    it->kind_told = *kind != 0;
    if (*split) {
        it->split_told = true;
        it->split = *split == 'v' ? DATA_VAL : DATA_TRAIN;
    }
    return DREAMO_OK;
}

/* The kind of its references; where there is none of just these tasks, the nearest. */
static data_kind kind_of(const own_item *it)
{
    int n[DATA_TASKS] = { 0 };
    for (int i = 0; i < it->nrefs; i++) n[it->ref[i].task]++;
    if (n[DATA_FACE] && n[DATA_LOOK]) return DATA_ID_STYLE;
    if (n[DATA_FACE] && n[DATA_IP]) return DATA_ID_SUBJECT;
    if (n[DATA_IP] && n[DATA_LOOK]) return DATA_SUBJECT_STYLE;
    if (n[DATA_FACE]) return n[DATA_FACE] > 1 ? DATA_IDS : DATA_ID;
    if (n[DATA_IP]) return n[DATA_IP] > 1 ? DATA_SUBJECTS : DATA_SUBJECT;
    return n[DATA_LOOK] ? DATA_STYLE : DATA_T2I;
}

static dreamo_status must_be_there(const own_set *d, const own_file *file, dreamo_error *err)
{
    char *path = NULL;
    if (!file->name || file->shard >= 0) return DREAMO_OK;
    dreamo_status s = path_inside(d->folder, file->name, &path, err);
    mem_free(path);
    return s;
}

static dreamo_status complete(const own_set *d, own_item *it, dreamo_error *err)
{
    char where[512];
    own_where(d, it, where, sizeof where);
    if (strlen(it->caption) >= DATA_CAPTION)
        return fail(err, DREAMO_LIMIT, "%s: a caption of %zu bytes; at most %d are allowed", where, strlen(it->caption), DATA_CAPTION - 1);
    dreamo_error e = { 0 };
    own_bytes b = { 0 };
    dreamo_status s = it->hash_told ? must_be_there(d, &it->target, &e) : own_read(d, &it->target, 64 << 20, &b, &e);
    if (!s && !it->hash_told) sha256_hex(b.data, b.nbytes, it->sha256);
    own_done(&b);
    if (!s) s = must_be_there(d, &it->rejected, &e);
    for (int i = 0; i < it->nrefs && !s; i++) {
        s = must_be_there(d, &it->ref[i].image, &e);
        if (!s) s = must_be_there(d, &it->ref[i].mask, &e);
    }
    if (s) {
        bool names_it = d->form != OWN_MANIFEST; /* a manifest's line goes before the file's name */
        fail(err, s, "%s%s%s", names_it ? "" : where, names_it ? "" : ": ", e.message);
        return *e.hint ? hint(err, "%s", e.hint) : s;
    }
    if (!it->kind_told) it->kind = kind_of(it);
    return DREAMO_OK;
}

/* Every item is completed; those that cannot be are faults and leave the list. */
static dreamo_status complete_all(own_set *d, own_faults *f, dreamo_error *err)
{
    int kept = 0;
    dreamo_status s = DREAMO_OK;
    for (int i = 0; i < d->nitems; i++) {
        dreamo_error e = { 0 };
        if (s || f->stopped || complete(d, &d->items[i], &e)) {
            if (e.status == DREAMO_MEMORY) s = fail(err, DREAMO_MEMORY, "%s", e.message);
            else if (e.status) own_fault(f, &e);
            own_item_free(&d->items[i]);
        } else
            d->items[kept++] = d->items[i];
    }
    d->nitems = kept;
    return s;
}

double own_share(const char *hash)
{
    char first[9] = { 0 };
    memcpy(first, hash, 8);
    return (double)strtoul(first, NULL, 16) / 4294967296.0;
}

static int by_text(const void *a, const void *b) { return strcmp(*(const char *const *)a, *(const char *const *)b); }

/* Held out is the tenth of the sources with the lowest hashes: whatever else the set holds, a source stays on its side.  Small sets: one
 * source at least, and never all.  What a set tells about an item goes before that. */
static dreamo_status hold_out(own_set *d, dreamo_error *err)
{
    const char **hash = mem_alloc((size_t)d->nitems * sizeof *hash + 1);
    int n = 0, held = 0;
    bool told = false;
    if (!hash) return fail(err, DREAMO_MEMORY, "%s: no memory for %d samples", d->path, d->nitems);
    for (int i = 0; i < d->nitems; i++) {
        told |= d->items[i].split_told;
        hash[n++] = d->items[i].sha256;
    }
    if (n) qsort(hash, (size_t)n, sizeof *hash, by_text);
    int distinct = 0;
    for (int i = 0; i < n; i++)
        if (!distinct || strcmp(hash[distinct - 1], hash[i])) hash[distinct++] = hash[i];
    while (held < distinct && own_share(hash[held]) < OWN_HELD_OUT) held++;
    if (!told && held == 0 && distinct > 1) held = 1;
    if (!told && held == distinct) held--;
    for (int i = 0; i < d->nitems; i++)
        if (!d->items[i].split_told) d->items[i].split = held > 0 && strcmp(d->items[i].sha256, hash[held - 1]) <= 0 ? DATA_VAL : DATA_TRAIN;
    mem_free(hash);
    return DREAMO_OK;
}

static dreamo_status list_items(own_set *d, dreamo_error *err)
{
    for (int split = 0; split < 2; split++)
        for (int k = 1; k <= DATA_KINDS; k++) {
            int n = 0;
            for (int i = 0; i < d->nitems; i++) n += (int)d->items[i].split == split && (k == DATA_ANY || (int)d->items[i].kind == k);
            if (!n) continue;
            int *list = d->list[split][k] = mem_alloc((size_t)n * sizeof *list);
            if (!list) return fail(err, DREAMO_MEMORY, "%s: no memory for %d samples", d->path, d->nitems);
            for (int i = 0; i < d->nitems; i++)
                if ((int)d->items[i].split == split && (k == DATA_ANY || (int)d->items[i].kind == k)) list[d->count[split][k]++] = i;
        }
    for (int split = 0; split < 2; split++) {
        d->list[split][DATA_T2I] = d->list[split][DATA_ANY];
        d->count[split][DATA_T2I] = d->count[split][DATA_ANY];
    }
    return DREAMO_OK;
}

/* What training would see: sources, words, references by name. */
static void hash_items(own_set *d)
{
    sha256 h;
    sha256_init(&h);
    for (int i = 0; i < d->nitems; i++) {
        const own_item *it = &d->items[i];
        sha256_add(&h, it->sha256, 64);
        sha256_add(&h, it->caption, strlen(it->caption) + 1);
        if (it->rejected.name) sha256_add(&h, it->rejected.name, strlen(it->rejected.name) + 1);
        sha256_add(&h, (unsigned char[2]){ (unsigned char)it->kind, (unsigned char)it->split }, 2);
        for (int k = 0; k < it->nrefs; k++) {
            const own_ref *r = &it->ref[k];
            sha256_add(&h, (unsigned char[3]){ (unsigned char)r->task, (unsigned char)r->slot, r->mask.name != NULL }, 3);
            sha256_add(&h, r->image.name, strlen(r->image.name) + 1);
        }
    }
    sha256_text(&h, d->set.hash);
}

dreamo_status own_load(const char *path, bool every, bool asks, own_set **out, own_faults *f, dreamo_error *err)
{
    own_set *d = mem_calloc(1, sizeof *d);
    *out = NULL;
    if (!d || !(d->path = mem_strdup(path))) {
        mem_free(d);
        return fail(err, DREAMO_MEMORY, "%s: no memory", path);
    }
    d->set.maker = &own_maker;
    d->asks = asks;
    dreamo_status s = find_files(d, every, err);
    if (!s) s = read_items(d, f, err);
    if (!s) s = complete_all(d, f, err);
    if (!s && f->stopped) s = fail(err, DREAMO_CANCELLED, "%s: stopped", path);
    if (!s && !d->nitems && !f->n) {
        fail(err, DREAMO_FORMAT, "%s: the dataset is empty", path);
        s = hint(err, "it needs NAME.jpg with NAME.txt, a manifest.jsonl, or tar files");
    }
    if (!s) s = hold_out(d, err);
    if (!s) s = list_items(d, err);
    if (!s) hash_items(d);
    if (s) own_close(&d->set);
    else *out = d;
    return s;
}

dreamo_status own_open(const char *path, bool asks, data_set **out, dreamo_error *err)
{
    own_faults f = { 0 };
    own_set *d;
    dreamo_status s = own_load(path, false, asks, &d, &f, err);
    if (s) return s;
    if (!f.n) {
        *out = &d->set;
        return DREAMO_OK;
    }
    own_close(&d->set);
    s = fail(err, f.first.status, "%s", f.first.message);
    if (f.n > 1) return hint(err, "%d faults in all: `dreamo dataset check` lists them", f.n);
    return *f.first.hint ? hint(err, "%s", f.first.hint) : s;
}
