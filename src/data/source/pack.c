/* pack.c - the writer of asset folders. */
#include "data/source/pack.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "base/sha256.h"
#include "data/names.h"
#include "format/json.h"
#include "format/safetensors.h"

static size_t asset_nbytes(const asset *a) { return (size_t)(a->yaws * a->pitches) * (size_t)a->width * (size_t)a->height * 4; }

static json_t *describe(const asset *a, const char *tensor)
{
    char hash[65];
    sha256_hex(a->rgba, asset_nbytes(a), hash);
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:i, s:i, s:[i,i,i], s:b, s:s}", "tensor", tensor, "concept", a->concept,
                     "phrase", a->phrase, "set", a->set, "group", a->group, "file", a->file, "author", a->author, "licence", a->licence,
                     "yaws", a->yaws, "pitches", a->pitches, "mean", a->mean[0], a->mean[1], a->mean[2], "held_out",
                     (int)name_held_out(a->concept), "sha256", hash);
}

static json_t *manifest_new(const asset_source *sources, int nsources)
{
    json_t *list = json_array();
    for (int i = 0; i < nsources; i++)
        json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:s, s:s}", "set", sources[i].set, "package", sources[i].package, "version",
                                              sources[i].version, "licence", sources[i].licence, "author", sources[i].author));
    return json_pack("{s:s, s:i, s:o, s:[]}", "format", "dreamo-assets", "version", 1, "sources", list, "subjects");
}

static dreamo_status write_json(const char *folder, const json_t *manifest, dreamo_error *err)
{
    size_t nbytes = json_dumpb(manifest, NULL, 0, JSON_INDENT(1));
    char *path = path_join(folder, "assets.json"), *text = mem_alloc(nbytes);
    dreamo_status status = path && text && nbytes ? DREAMO_OK : fail(err, DREAMO_MEMORY, "%s: no memory for the manifest", folder);
    if (!status) {
        json_dumpb(manifest, text, nbytes, JSON_INDENT(1));
        status = file_replace(path, text, nbytes, err);
    }
    mem_free(text);
    mem_free(path);
    return status;
}

static int by_name(const void *a, const void *b) { return strcmp(*(const char *const *)a, *(const char *const *)b); }

/* The held-out concepts, sorted, one a line. */
static dreamo_status write_held_out(const char *folder, const asset *assets, int nassets, dreamo_error *err)
{
    const char **names = mem_calloc((size_t)nassets, sizeof *names);
    char *path = path_join(folder, "held-out.txt"), *text = mem_alloc((size_t)nassets * sizeof assets->concept + 1);
    dreamo_status status = names && path && text ? DREAMO_OK : fail(err, DREAMO_MEMORY, "%s: no memory", folder);
    int n = 0;
    size_t at = 0, room = (size_t)nassets * sizeof assets->concept + 1;
    for (int i = 0; i < nassets && !status; i++)
        if (!assets[i].refused && name_held_out(assets[i].concept)) names[n++] = assets[i].concept;
    if (n) qsort(names, (size_t)n, sizeof *names, by_name);
    for (int i = 0; i < n; i++)
        if (!i || strcmp(names[i], names[i - 1])) at += (size_t)snprintf(text + at, room - at, "%s\n", names[i]);
    if (!status) status = file_replace(path, text, at, err);
    mem_free(names);
    mem_free(path);
    mem_free(text);
    return status;
}

/* Whom to name: every source, and every model with its author (drawings share their set's). */
static dreamo_status write_attribution(const char *folder, const asset *assets, int nassets, const asset_source *sources, int nsources, dreamo_error *err)
{
    filewriter w;
    char *path = path_join(folder, "attribution.txt"), line[512];
    dreamo_status status = path ? file_create(&w, path, true, err) : fail(err, DREAMO_MEMORY, "%s: no memory", folder);
    mem_free(path);
    if (status) return status;
    for (int i = 0; i < nsources && !status; i++) {
        const asset_source *s = &sources[i];
        int n = snprintf(line, sizeof line, "%s: %s, %s, from %s %s\n", s->set, s->author, s->licence, s->package, s->version);
        status = file_write(&w, line, (size_t)n, err);
        for (int k = 0; k < nassets && !status; k++) {
            const asset *a = &assets[k];
            if (a->refused || strcmp(a->set, s->set) || !strcmp(a->author, s->author)) continue;
            n = snprintf(line, sizeof line, "    %s: %s, by %s\n", a->file, a->concept, a->author);
            status = file_write(&w, line, (size_t)n, err);
        }
    }
    if (!status) status = file_commit(&w, err);
    else file_abort(&w);
    return status;
}

dreamo_status pack_write(const char *folder, const asset *assets, int nassets, const asset_source *sources, int nsources, dreamo_error *err)
{
    st_tensor *tensors = mem_calloc((size_t)nassets + 1, sizeof *tensors);
    char (*names)[16] = mem_calloc((size_t)nassets + 1, sizeof *names);
    char *path = path_join(folder, "assets.safetensors");
    json_t *manifest = manifest_new(sources, nsources), *list = json_object_get(manifest, "subjects");
    dreamo_status status = tensors && names && path && list ? DREAMO_OK : fail(err, DREAMO_MEMORY, "%s: no memory", folder);
    int n = 0;
    for (int i = 0; i < nassets && !status; i++) {
        const asset *a = &assets[i];
        if (a->refused || !a->rgba) continue;
        snprintf(names[n], sizeof names[n], "s%06d", n);
        tensors[n] = (st_tensor){ .name = names[n], .type = DT_U8, .rank = 4, .shape = { a->yaws * a->pitches, a->height, a->width, 4 },
                                  .nbytes = asset_nbytes(a), .count = asset_nbytes(a), .data = a->rgba };
        if (json_array_append_new(list, describe(a, names[n]))) status = fail(err, DREAMO_MEMORY, "%s: no memory for the manifest", folder);
        n++;
    }
    if (!status && !n) status = fail(err, DREAMO_CONTENT, "%s: no usable subject", folder);
    if (!status) status = folder_make(folder, err);
    if (!status) status = st_write(path, tensors, n, NULL, 0, err);
    if (!status) status = write_json(folder, manifest, err);
    if (!status) status = write_held_out(folder, assets, nassets, err);
    if (!status) status = write_attribution(folder, assets, nassets, sources, nsources, err);
    json_decref(manifest);
    mem_free(tensors);
    mem_free(names);
    mem_free(path);
    return status;
}
