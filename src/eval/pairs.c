/* pairs.c - pictures beside a manifest (docs/data.md), which is written last: a folder that has one is whole. */
#include "eval/pairs.h"
#include <stdio.h>
#include <string.h>
#include "base/file.h"
#include "base/mem.h"
#include "data/own/own.h"

static char *manifest_of(const pairs *p) { return path_join(p->folder, "manifest.jsonl"); }

dreamo_status pairs_open(pairs *p, const char *folder, dreamo_error *err)
{
    *p = (pairs){ .folder = folder };
    if (!folder) return DREAMO_OK;
    char *path = manifest_of(p);
    dreamo_status s = path ? folder_make(folder, err) : fail(err, DREAMO_MEMORY, "%s: no memory", folder);
    if (!s && file_exists(path)) {
        fail(err, DREAMO_BUSY, "%s: holds preferences already", folder);
        s = hint(err, "give another folder, or remove this one");
    }
    mem_free(path);
    return s;
}

double pairs_worth(const answer *a, int counted, int right)
{
    double sum = 0;
    for (int i = 0; i < a->n; i++) sum += a->margin[i];
    return a->n ? sum / a->n : counted ? (double)right / counted : 0;
}

static dreamo_status take(bitmap *to, const bitmap *from, dreamo_error *err)
{
    bitmap_free(to);
    return bitmap_copy(from, to, err);
}

dreamo_status pairs_see(pairs *p, const bitmap *picture, double worth, dreamo_error *err)
{
    dreamo_status s = DREAMO_OK;
    if (!p->folder) return s;
    if (!p->seen || worth > p->best) p->best = worth, s = take(&p->liked, picture, err);
    if (!s && (!p->seen || worth < p->worst)) p->worst = worth, s = take(&p->disliked, picture, err);
    p->seen++;
    return s;
}

/* NAME.END in the folder; its name, which the caller frees, goes into the manifest. */
static dreamo_status put(const pairs *p, const bitmap *picture, const char *name, const char *end, char **out, dreamo_error *err)
{
    *out = mem_printf("%s.%s.png", name, end);
    char *path = *out ? path_join(p->folder, *out) : NULL;
    dreamo_status s = path ? image_write_png(path, picture, NULL, 0, true, err) : fail(err, DREAMO_MEMORY, "%s: no memory", p->folder);
    mem_free(path);
    return s;
}

dreamo_status pairs_keep(pairs *p, const data_sample *s, const char *words, const char *name, dreamo_error *err)
{
    dreamo_status status = DREAMO_OK;
    own_ref ref[DATA_MAX_REFS] = { { .slot = 0 } };
    own_item it = { .ref = ref, .kind = s->kind, .kind_told = true, .split = DATA_TRAIN };
    char end[32], *caption = NULL, *line = NULL;
    bool differ = p->folder && p->seen && p->best > p->worst;
    p->seen = 0;
    if (!differ) return status;
    it.caption = caption = mem_strdup(words);
    if (!caption) status = fail(err, DREAMO_MEMORY, "%s: no memory", p->folder);
    if (!status) status = put(p, &p->liked, name, "liked", &it.target.name, err);
    if (!status) status = put(p, &p->disliked, name, "rejected", &it.rejected.name, err);
    for (; it.nrefs < s->nrefs && !status; it.nrefs++) {
        const data_ref *f = &s->ref[it.nrefs];
        ref[it.nrefs].task = f->task;
        ref[it.nrefs].slot = f->slot;
        snprintf(end, sizeof end, "ref%d", f->slot);
        status = put(p, &f->picture, name, end, &ref[it.nrefs].image.name, err);
    }
    if (!status) status = own_manifest_line(&it, &line, err);
    if (!status) text_put(&p->lines, "%s", line);
    if (!status) p->written++;
    for (int i = 0; i < it.nrefs; i++) mem_free(ref[i].image.name);
    mem_free(it.target.name);
    mem_free(it.rejected.name);
    mem_free(caption);
    mem_free(line);
    return status;
}

dreamo_status pairs_finish(pairs *p, dreamo_error *err)
{
    if (!p->folder) return DREAMO_OK;
    if (!p->written) return fail(err, DREAMO_CONTENT, "%s: no two pictures of a sample differ in the judge's eyes", p->folder);
    char *path = manifest_of(p);
    bool lost = !path || p->lines.failed;
    dreamo_status s = lost ? fail(err, DREAMO_MEMORY, "%s: no memory", p->folder) : file_replace(path, p->lines.p, p->lines.n, err);
    mem_free(path);
    return s;
}

void pairs_close(pairs *p)
{
    bitmap_free(&p->liked);
    bitmap_free(&p->disliked);
    mem_free(p->lines.p);
    *p = (pairs){ 0 };
}
