/* own_write.c - pictures first, then their line. */
#include "data/own/own_write.h"
#include <string.h>
#include "base/file.h"
#include "base/mem.h"
#include "data/own/own.h"

static char *manifest_of(const own_writer *w) { return path_join(w->folder, "manifest.jsonl"); }

dreamo_status own_write_open(own_writer *w, const char *folder, dreamo_error *err)
{
    *w = (own_writer){ .folder = folder };
    if (!folder) return DREAMO_OK;
    char *path = manifest_of(w);
    dreamo_status s = path ? folder_make(folder, err) : fail(err, DREAMO_MEMORY, "%s: no memory", folder);
    if (!s && file_exists(path)) {
        fail(err, DREAMO_BUSY, "%s: holds samples already", folder);
        s = hint(err, "give another folder, or remove this one");
    }
    mem_free(path);
    return s;
}

/* `name`, new and taken over, becomes the file's, and goes into the manifest. */
static dreamo_status put(const own_writer *w, const bitmap *picture, char *name, own_file *f, dreamo_error *err)
{
    f->name = name;
    char *path = name ? path_join(w->folder, name) : NULL;
    dreamo_status s = path ? image_write_png(path, picture, NULL, 0, true, err) : fail(err, DREAMO_MEMORY, "%s: no memory", w->folder);
    mem_free(path);
    return s;
}

/* Coverage as a grey picture. */
static dreamo_status put_mask(const own_writer *w, const data_sample *s, const unsigned char *mask, char *name, own_file *f, dreamo_error *err)
{
    bitmap grey = { 0 };
    dreamo_status status = bitmap_new(&grey, s->width, s->height, 3, err);
    for (size_t i = 0; !status && i < (size_t)s->width * (size_t)s->height; i++) memset(grey.data + 3 * i, mask[i], 3);
    if (!status) status = put(w, &grey, name, f, err);
    else mem_free(name);
    bitmap_free(&grey);
    return status;
}

static dreamo_status put_pictures(const own_writer *w, const data_sample *s, const own_written *as, own_item *it, dreamo_error *err)
{
    dreamo_status status = put(w, as->target, mem_printf("%s.target.png", as->name), &it->target, err);
    if (!status && as->rejected) status = put(w, as->rejected, mem_printf("%s.rejected.png", as->name), &it->rejected, err);
    for (; it->nrefs < s->nrefs && !status; it->nrefs++) {
        const data_ref *from = &s->ref[it->nrefs];
        own_ref *r = &it->ref[it->nrefs];
        *r = (own_ref){ .task = from->task, .slot = from->slot };
        status = put(w, &from->picture, mem_printf("%s.ref%d.png", as->name, from->slot), &r->image, err);
        if (!status && as->masks && from->mask) status = put_mask(w, s, from->mask, mem_printf("%s.ref%d.mask.png", as->name, from->slot), &r->mask, err);
    }
    return status;
}

dreamo_status own_write_sample(own_writer *w, const data_sample *s, const own_written *as, dreamo_error *err)
{
    own_ref ref[DATA_MAX_REFS] = { { .slot = 0 } };
    own_item it = { .ref = ref, .kind = s->kind, .kind_told = true, .split = as->split };
    char *line = NULL;
    it.caption = mem_strdup(as->words);
    dreamo_status status = it.caption ? put_pictures(w, s, as, &it, err) : fail(err, DREAMO_MEMORY, "%s: no memory", w->folder);
    if (!status) status = own_manifest_line(&it, &line, err);
    if (!status) text_put(&w->lines, "%s", line);
    if (!status) w->written++;
    for (int i = 0; i < DATA_MAX_REFS; i++) {
        mem_free(ref[i].image.name);
        mem_free(ref[i].mask.name);
    }
    mem_free(it.target.name);
    mem_free(it.rejected.name);
    mem_free(it.caption);
    mem_free(line);
    return status;
}

dreamo_status own_write_finish(own_writer *w, dreamo_error *err)
{
    char *path = manifest_of(w);
    bool lost = !path || w->lines.failed;
    dreamo_status s = lost ? fail(err, DREAMO_MEMORY, "%s: no memory", w->folder) : file_replace(path, w->lines.p, w->lines.n, err);
    mem_free(path);
    return s;
}

void own_write_close(own_writer *w)
{
    mem_free(w->lines.p);
    *w = (own_writer){ 0 };
}
