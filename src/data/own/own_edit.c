/* own_edit.c - a set written anew: split into two manifests, packed into shards, and without one source. */
#include <stdio.h>
#include <string.h>
#include "base/file.h"
#include "base/mem.h"
#include "base/sha256.h"
#include "data/own/own.h"

enum { LEAST_SHARD = 1 << 20, SHARD = 256 << 20, MOST_SHARD = 2000000000 };

static dreamo_status load_whole(const char *path, bool every, own_set **d, dreamo_error *err)
{
    own_faults f = { 0 };
    if (!own_is(path)) return fail(err, DREAMO_ARG, "%s: is a folder of assets; this is for pictures of one's own", path);
    dreamo_status s = own_load(path, every, false, d, &f, err);
    if (s || !f.n) return s;
    own_close(&(*d)->set);
    *d = NULL;
    s = fail(err, f.first.status, "%s", f.first.message);
    return f.n > 1 ? hint(err, "%d faults in all: `dreamo dataset check` lists them", f.n) : s;
}

static dreamo_status note(dreamo_progress progress, void *user, const char *text, dreamo_error *err)
{
    if (!progress || progress(user, &(dreamo_event){ .kind = DREAMO_EVENT_NOTE, .text = text })) return DREAMO_OK;
    return fail(err, DREAMO_CANCELLED, "stopped");
}

/* ---- packing ---- */

typedef struct packing {
    const own_set *d;
    const char *folder, *prefix;
    uint64_t shard_nbytes;
    filewriter w;
    bool open;
    int shards;
} packing;

static dreamo_status next_shard(packing *p, dreamo_error *err)
{
    char *path = mem_printf("%s/%s-%06d.tar", p->folder, p->prefix, p->shards);
    dreamo_status s = path ? file_create(&p->w, path, false, err) : fail(err, DREAMO_MEMORY, "%s: no memory", p->folder);
    mem_free(path);
    p->open = !s;
    p->shards += !s;
    return s;
}

static dreamo_status end_shard(packing *p, dreamo_error *err)
{
    if (!p->open) return DREAMO_OK;
    p->open = false;
    dreamo_status s = tar_end(&p->w, err);
    if (!s) return file_commit(&p->w, err);
    file_abort(&p->w);
    return s;
}

/* By content: names are only names. */
static const char *ending_of(const own_bytes *b)
{
    if (b->nbytes > 3 && !memcmp(b->data, "\xFF\xD8\xFF", 3)) return "jpg";
    return b->nbytes > 12 && !memcmp(b->data + 8, "WEBP", 4) ? "webp" : "png";
}

static dreamo_status put_picture(packing *p, const own_file *f, const char *stem, const char *told_hash, dreamo_error *err)
{
    own_bytes b;
    char name[64], hash[65];
    dreamo_status s = own_read(p->d, f, 64 << 20, &b, err);
    if (s) return s;
    if (told_hash) sha256_hex(b.data, b.nbytes, hash);
    if (told_hash && strcmp(hash, told_hash)) s = fail(err, DREAMO_DIFFERS, "%s: %.200s has sha256 %s, the set says %s", p->d->path, f->name, hash, told_hash);
    snprintf(name, sizeof name, "%s.%s", stem, ending_of(&b));
    if (!s) s = tar_put(&p->w, name, b.data, b.nbytes, err);
    own_done(&b);
    return s;
}

static dreamo_status put_text(packing *p, const char *stem, const char *ending, const char *text, dreamo_error *err)
{
    char name[64];
    snprintf(name, sizeof name, "%s.%s", stem, ending);
    return tar_put(&p->w, name, text, strlen(text), err);
}

static dreamo_status put_item(packing *p, const own_item *it, int number, dreamo_error *err)
{
    char stem[16], ref[48], *json = NULL;
    snprintf(stem, sizeof stem, "%06d", number);
    dreamo_status s = put_picture(p, &it->target, stem, it->sha256, err);
    snprintf(ref, sizeof ref, "%s.rejected", stem);
    if (!s && it->rejected.name) s = put_picture(p, &it->rejected, ref, NULL, err);
    if (!s) s = put_text(p, stem, "txt", it->caption, err);
    if (!s) s = own_sidecar(it, &json, err);
    if (!s) s = put_text(p, stem, "json", json, err);
    mem_free(json);
    for (int i = 0; i < it->nrefs && !s; i++) {
        const own_ref *r = &it->ref[i];
        snprintf(ref, sizeof ref, "%s.ref%d.%s", stem, r->slot, data_task_name(r->task));
        s = put_picture(p, &r->image, ref, NULL, err);
        snprintf(ref, sizeof ref, "%s.ref%d.%s.mask", stem, r->slot, data_task_name(r->task));
        if (!s && r->mask.name) s = put_picture(p, &r->mask, ref, NULL, err);
    }
    return s;
}

/* The items of one split, or all (-1). */
static dreamo_status put_items(packing *p, int split, dreamo_error *err)
{
    dreamo_status s = DREAMO_OK;
    for (int i = 0; i < p->d->nitems && !s; i++) {
        if (split >= 0 && (int)p->d->items[i].split != split) continue;
        if (p->open && p->w.nbytes >= p->shard_nbytes) s = end_shard(p, err);
        if (!s && !p->open) s = next_shard(p, err);
        if (!s) s = put_item(p, &p->d->items[i], i, err);
    }
    if (!s) s = end_shard(p, err);
    if (p->open) file_abort(&p->w);
    return s;
}

/* The shards grow in OUT.part, which becomes OUT when all are there. */
static dreamo_status pack(const own_set *d, const char *out, uint64_t shard_nbytes, bool apart, dreamo_error *err)
{
    char *part = mem_printf("%s.part", out);
    if (!part) return fail(err, DREAMO_MEMORY, "%s: no memory", out);
    dreamo_status s = file_exists(out) ? fail(err, DREAMO_IO, "%s: exists already", out) : DREAMO_OK;
    if (!s && folder_exists(part)) s = folder_remove(part, err); /* of a run that was killed */
    bool made = !s && !(s = folder_make(part, err));
    packing p = { .d = d, .folder = part, .shard_nbytes = shard_nbytes };
    for (int split = apart ? 0 : -1; split < (apart ? 2 : 0) && !s; split++) {
        p.prefix = split < 0 ? "shard" : split == DATA_VAL ? "val" : "train";
        p.shards = 0;
        s = put_items(&p, split, err);
    }
    if (!s) s = folder_replace(part, out, err);
    if (s && made) folder_remove(part, NULL);
    mem_free(part);
    return s;
}

dreamo_status dreamo_dataset_pack(const char *path, const char *out, uint64_t shard_nbytes, dreamo_error *err)
{
    own_set *d;
    if (!path || !out) return fail(err, DREAMO_ARG, "the %s is missing", !path ? "dataset" : "folder for the tar files");
    if (shard_nbytes < LEAST_SHARD || shard_nbytes > MOST_SHARD)
        return fail(err, DREAMO_ARG, "shards of %llu bytes are not in %d..%d", (unsigned long long)shard_nbytes, LEAST_SHARD, MOST_SHARD);
    dreamo_status s = load_whole(path, false, &d, err);
    if (s) return s;
    s = pack(d, out, shard_nbytes, false, err);
    own_close(&d->set);
    return s;
}

/* ---- splitting ---- */

static const char *const manifest_names[2] = { [DATA_TRAIN] = "train.jsonl", [DATA_VAL] = "val.jsonl" };

static dreamo_status write_manifest(const own_set *d, data_split split, dreamo_error *err)
{
    filewriter w;
    char *path = path_join(d->folder, manifest_names[split]);
    dreamo_status s = path ? file_create(&w, path, false, err) : fail(err, DREAMO_MEMORY, "%s: no memory", d->path);
    mem_free(path);
    if (s) return s;
    for (int i = 0; i < d->nitems && !s; i++) {
        char *line = NULL;
        if (d->items[i].split != split) continue;
        s = own_manifest_line(&d->items[i], &line, err);
        if (!s) s = file_write(&w, line, strlen(line), err);
        mem_free(line);
    }
    if (!s) return file_commit(&w, err);
    file_abort(&w);
    return s;
}

/* Both or none. */
static dreamo_status write_manifests(const own_set *d, dreamo_error *err)
{
    dreamo_status s = DREAMO_OK;
    char *path[2];
    for (int k = 0; k < 2; k++) {
        path[k] = path_join(d->folder, manifest_names[k]);
        if (!path[k]) s = fail(err, DREAMO_MEMORY, "%s: no memory", d->path);
        else if (!s && file_exists(path[k])) s = fail(err, DREAMO_IO, "%s: exists already", path[k]);
    }
    if (!s) s = write_manifest(d, DATA_TRAIN, err);
    if (!s && (s = write_manifest(d, DATA_VAL, err))) file_remove(path[DATA_TRAIN], NULL);
    mem_free(path[0]);
    mem_free(path[1]);
    return s;
}

/* By the hash, whatever the set says now. */
static dreamo_status divide(own_set *d, double share, dreamo_error *err)
{
    const char *lowest = d->items[0].sha256, *highest = lowest;
    int held = 0;
    for (int i = 0; i < d->nitems; i++) {
        own_item *it = &d->items[i];
        it->split = own_share(it->sha256) < share ? DATA_VAL : DATA_TRAIN;
        held += it->split == DATA_VAL;
        if (strcmp(it->sha256, lowest) < 0) lowest = it->sha256;
        if (strcmp(it->sha256, highest) > 0) highest = it->sha256;
    }
    if (!strcmp(lowest, highest)) return fail(err, DREAMO_CONTENT, "%s: has one source only: it cannot be split", d->path);
    for (int i = 0; i < d->nitems && (!held || held == d->nitems); i++) { /* a small set: one source at least on each side */
        own_item *it = &d->items[i];
        if (!held && !strcmp(it->sha256, lowest)) it->split = DATA_VAL;
        if (held && !strcmp(it->sha256, highest)) it->split = DATA_TRAIN;
    }
    return DREAMO_OK;
}

dreamo_status dreamo_dataset_split(const char *path, const char *out, double share, dreamo_error *err)
{
    own_set *d;
    if (!path) return fail(err, DREAMO_ARG, "the dataset is missing");
    if (!(share > 0 && share < 1)) return fail(err, DREAMO_ARG, "the share that is held out is %g: it must lie between 0 and 1", share);
    dreamo_status s = load_whole(path, false, &d, err);
    if (s) return s;
    bool shards = d->form == OWN_SHARDS;
    if (shards && !out) s = fail(err, DREAMO_ARG, "%s: tar files are split into new ones; a folder for them is missing", path);
    else if (!shards && out) s = fail(err, DREAMO_ARG, "%s: train.jsonl and val.jsonl go beside the pictures, not into another folder", path);
    if (!s) s = divide(d, share, err);
    if (!s) s = shards ? pack(d, out, SHARD, true, err) : write_manifests(d, err);
    own_close(&d->set);
    return s;
}

/* ---- removing ---- */

/* Whether the item shows the source, as its target, what was rejected, a reference or a mask. */
static dreamo_status shows(const own_set *d, const own_item *it, const char *hash, bool *yes, dreamo_error *err)
{
    *yes = !strncmp(it->sha256, hash, strlen(hash));
    for (int i = -1; i < 2 * it->nrefs && !*yes; i++) {
        const own_file *f = i < 0 ? &it->rejected : i % 2 ? &it->ref[i / 2].mask : &it->ref[i / 2].image;
        own_bytes b;
        char sum[65];
        if (!f->name) continue;
        dreamo_status s = own_read(d, f, 64 << 20, &b, err);
        if (s) return s;
        sha256_hex(b.data, b.nbytes, sum);
        own_done(&b);
        *yes = !strncmp(sum, hash, strlen(hash));
    }
    return DREAMO_OK;
}

typedef struct removing {
    own_set *d;
    bool *gone;           /* [nitems] */
    int ngone, *list;     /* those that are, by number */
    dreamo_progress progress;
    void *user;
} removing;

static bool names(const own_item *it, const char *name)
{
    bool yes = !strcmp(it->target.name, name) || (it->words.name && !strcmp(it->words.name, name)) || (it->rejected.name && !strcmp(it->rejected.name, name));
    for (int i = 0; i < it->nrefs; i++) yes |= !strcmp(it->ref[i].image.name, name) || (it->ref[i].mask.name && !strcmp(it->ref[i].mask.name, name));
    return yes;
}

/* A file that no item needs any more. */
static dreamo_status remove_file(const removing *r, const char *name, dreamo_error *err)
{
    const own_set *d = r->d;
    for (int i = 0; i < d->nitems; i++)
        if (!r->gone[i] && names(&d->items[i], name)) return DREAMO_OK;
    char *path = path_join(d->folder, name);
    dreamo_status s = path ? DREAMO_OK : fail(err, DREAMO_MEMORY, "%s: no memory", d->path);
    if (!s && file_exists(path)) { /* one item may name it twice */
        char line[600];
        s = file_remove(path, err);
        snprintf(line, sizeof line, "removed %.500s", path);
        if (!s) s = note(r->progress, r->user, line, err);
    }
    mem_free(path);
    return s;
}

static dreamo_status remove_files(const removing *r, const own_item *it, dreamo_error *err)
{
    static const char *const beside[] = { ".txt", ".json" };
    dreamo_status s = remove_file(r, it->target.name, err);
    for (int i = 0; i < it->nrefs && !s; i++) {
        s = remove_file(r, it->ref[i].image.name, err);
        if (!s && it->ref[i].mask.name) s = remove_file(r, it->ref[i].mask.name, err);
    }
    if (!s && it->words.name) s = remove_file(r, it->words.name, err);
    if (!s && it->rejected.name) s = remove_file(r, it->rejected.name, err);
    for (int i = 0; i < 2 && !s; i++) { /* the caption and the source's note, where they stand beside it */
        const char *dot = strrchr(it->target.name, '.');
        char *name = mem_printf("%.*s%s", (int)(dot ? dot - it->target.name : (long)strlen(it->target.name)), it->target.name, beside[i]);
        s = name ? remove_file(r, name, err) : fail(err, DREAMO_MEMORY, "%s: no memory", r->d->path);
        mem_free(name);
    }
    return s;
}

/* The lines of the others, as they stand. */
static dreamo_status thin_manifest(const removing *r, int list, dreamo_error *err)
{
    const own_set *d = r->d;
    filemap map;
    filewriter w;
    dreamo_status s = file_map(d->files[list], &map, err);
    if (s) return s;
    if ((s = file_create(&w, d->files[list], true, err))) {
        file_unmap(&map);
        return s;
    }
    const char *text = (const char *)map.data, *end = text + map.nbytes;
    int item = 0;
    for (int line = 1; text < end && !s; line++) {
        const char *stop = memchr(text, '\n', (size_t)(end - text)), *next = stop ? stop + 1 : end;
        while (item < d->nitems && (d->items[item].list < list || (d->items[item].list == list && d->items[item].line < line))) item++;
        bool drop = item < d->nitems && d->items[item].list == list && d->items[item].line == line && r->gone[item];
        if (!drop) s = file_write(&w, text, (size_t)(next - text), err);
        text = next;
    }
    file_unmap(&map);
    if (!s) return file_commit(&w, err);
    file_abort(&w);
    return s;
}

/* Whether member `name` of a shard belongs to an item that goes: its stem is the target's. */
static bool belongs(const own_item *it, int shard, const char *name)
{
    const char *dot = strrchr(it->target.name, '.');
    size_t n = (size_t)(dot - it->target.name);
    return it->target.shard == shard && !strncmp(it->target.name, name, n) && name[n] == '.' &&
           (names(it, name) || !strcmp(name + n, ".txt") || !strcmp(name + n, ".json"));
}

static dreamo_status thin_shard(const removing *r, int shard, dreamo_error *err)
{
    const own_set *d = r->d;
    const tar *t = &d->shards[shard];
    filewriter w;
    char line[600];
    int kept = 0;
    dreamo_status s = file_create(&w, t->path, true, err);
    if (s) return s;
    for (int m = 0; m < t->nmembers && !s; m++) {
        bool drop = false;
        for (int i = 0; i < r->ngone && !drop; i++) drop = belongs(&d->items[r->list[i]], shard, t->members[m].name);
        snprintf(line, sizeof line, "removed %.200s from %.200s", t->members[m].name, t->path);
        if (drop) s = note(r->progress, r->user, line, err);
        else s = tar_put(&w, t->members[m].name, t->map.data + t->members[m].at, t->members[m].nbytes, err);
        kept += !drop;
    }
    if (!s) s = tar_end(&w, err);
    if (!s && kept) return file_commit(&w, err);
    file_abort(&w);
    return s ? s : file_remove(t->path, err); /* nothing is left in it */
}

static dreamo_status mark(removing *r, const char *hash, dreamo_error *err)
{
    const own_set *d = r->d;
    const char *source = NULL;
    for (int i = 0; i < d->nitems; i++) {
        dreamo_status s = shows(d, &d->items[i], hash, &r->gone[i], err);
        if (s) return s;
        if (r->gone[i]) r->list[r->ngone++] = i;
        bool target = !strncmp(d->items[i].sha256, hash, strlen(hash));
        if (target && source && strcmp(source, d->items[i].sha256)) return fail(err, DREAMO_ARG, "source \"%s\": two sources begin like that: give more digits", hash);
        if (target) source = d->items[i].sha256;
    }
    if (r->ngone) return DREAMO_OK;
    return fail(err, DREAMO_NOT_FOUND, "%s: no sample has the source %s", d->path, hash);
}

/* Lists first, files after: killed between them, the set is whole and a few files are nobody's. */
static dreamo_status write_without(const removing *r, dreamo_error *err)
{
    const own_set *d = r->d;
    dreamo_status s = DREAMO_OK;
    char where[512], line[600];
    for (int i = 0; i < r->ngone && !s; i++) {
        const own_item *it = &d->items[r->list[i]];
        own_where(d, it, where, sizeof where);
        snprintf(line, sizeof line, "sample %.500s goes: %.12s", where, it->sha256);
        s = note(r->progress, r->user, line, err);
    }
    for (int k = 0; k < d->nfiles && !s; k++) {
        bool touched = false;
        for (int i = 0; i < r->ngone; i++) touched |= (d->form == OWN_SHARDS ? d->items[r->list[i]].target.shard : d->items[r->list[i]].list) == k;
        if (touched) s = d->form == OWN_SHARDS ? thin_shard(r, k, err) : thin_manifest(r, k, err);
    }
    for (int i = 0; i < r->ngone && !s && d->form != OWN_SHARDS; i++) s = remove_files(r, &d->items[r->list[i]], err);
    return s;
}

dreamo_status dreamo_dataset_remove(const char *path, const char *hash, dreamo_progress progress, void *user, int *removed, dreamo_error *err)
{
    removing r = { .progress = progress, .user = user };
    if (!path || !hash) return fail(err, DREAMO_ARG, "the %s is missing", !path ? "dataset" : "source's checksum");
    if (strlen(hash) < 8 || strlen(hash) > 64 || strspn(hash, "0123456789abcdef") != strlen(hash))
        return fail(err, DREAMO_ARG, "source: \"%.80s\" is not a sha256, or its first eight digits or more", hash);
    dreamo_status s = load_whole(path, true, &r.d, err);
    if (s) return s;
    r.gone = mem_calloc((size_t)r.d->nitems + 1, sizeof *r.gone);
    r.list = mem_calloc((size_t)r.d->nitems + 1, sizeof *r.list);
    if (!r.gone || !r.list) s = fail(err, DREAMO_MEMORY, "%s: no memory", path);
    if (!s) s = mark(&r, hash, err);
    if (!s) s = write_without(&r, err);
    if (!s && removed) *removed = r.ngone;
    mem_free(r.gone);
    mem_free(r.list);
    own_close(&r.d->set);
    return s;
}
