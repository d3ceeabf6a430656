/* places.c - the first name that is there counts. */
#include "prep/places.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/sha256.h"
#include "weights/default_model.h"

enum { NAMES = 5, SAMPLES = 4096, SAMPLE = 64 };

static const char *const names[PLACES][NAMES] = {
    [PLACE_BEN2] = { "BEN2_Base.safetensors", "ben2.safetensors", "model.safetensors", "BEN2_Base.pth", "ben2" },
    [PLACE_ISNET] = { "isnet.safetensors", "isnet.onnx", "isnet-small.onnx", "isnet" },
    [PLACE_OWN] = { "matting" },
    [PLACE_FACES] = { "detection_Resnet50_Final.safetensors", "retinaface.safetensors", "detection_Resnet50_Final.pth", "retinaface", "face-api" },
    [PLACE_PARSER] = { "parsing_bisenet.safetensors", "bisenet.safetensors", "parsing_bisenet.pth", "bisenet" },
};

/* A weight file by its size and by bytes all over it: it need not be read whole, and two networks differ everywhere. */
static dreamo_status add_file(sha256 *h, const char *path, dreamo_error *err)
{
    filemap map;
    dreamo_status s = file_map(path, &map, NULL);
    if (s) return s == DREAMO_MEMORY ? fail(err, s, "%s: no memory", path) : DREAMO_OK; /* whoever opens it says why */
    uint64_t nbytes = map.nbytes, step = nbytes / SAMPLES;
    sha256_add(h, &nbytes, sizeof nbytes);
    for (uint64_t at = 0; at + SAMPLE <= nbytes; at += step > SAMPLE ? step : SAMPLE) sha256_add(h, map.data + at, SAMPLE);
    file_unmap(&map);
    return DREAMO_OK;
}

static dreamo_status add_path(sha256 *h, const char *path, dreamo_error *err)
{
    char **list = NULL;
    int n = 0;
    if (!folder_exists(path)) return add_file(h, path, err);
    dreamo_status s = folder_list(path, &list, &n, err);
    for (int i = 0; i < n && !s; i++) {
        char *file = path_join(path, list[i]);
        if (!file) s = fail(err, DREAMO_MEMORY, "%s: no memory", path);
        else if (file_exists(file) && !folder_exists(file)) s = add_file(h, file, err);
        mem_free(file);
    }
    folder_list_free(list, n);
    return s;
}

static dreamo_status find(const char *folder, place p, char **out, dreamo_error *err)
{
    for (int i = 0; i < NAMES && names[p][i] && !*out; i++) {
        char *path = path_join(folder, names[p][i]);
        if (!path) return fail(err, DREAMO_MEMORY, "%s: no memory", folder);
        if (file_exists(path) || folder_exists(path)) *out = path;
        else mem_free(path);
    }
    return DREAMO_OK;
}

dreamo_status places_find(const char *folder, places *out, dreamo_error *err)
{
    const char *told = getenv("DREAMO_NETWORKS");
    *out = (places){ 0 };
    if (folder && !folder_exists(folder)) return fail(err, DREAMO_NOT_FOUND, "%s: no such folder of networks", folder);
    char *where = folder ? mem_strdup(folder) : told && *told ? mem_strdup(told) : model_folder("prep");
    dreamo_status s = where ? DREAMO_OK : fail(err, DREAMO_MEMORY, "no memory for a folder's name");
    for (int p = 0; p < PLACES && !s; p++) s = find(where, (place)p, &out->path[p], err);
    mem_free(where);
    if (!s && !out->path[PLACE_OWN]) {
        if (!(where = model_folder("matting"))) s = fail(err, DREAMO_MEMORY, "no memory for a folder's name");
        else if (folder_exists(where)) out->path[PLACE_OWN] = where;
        else mem_free(where);
    }
    if (s) places_free(out);
    return s;
}

dreamo_status places_hash(places *p, dreamo_error *err)
{
    dreamo_status s = DREAMO_OK;
    sha256 h;
    sha256_init(&h);
    for (int i = 0; i < PLACES && !s; i++)
        if (p->path[i]) {
            sha256_add(&h, &i, sizeof i);
            s = add_path(&h, p->path[i], err);
        }
    sha256_text(&h, p->hash);
    return s;
}

void places_free(places *p)
{
    for (int i = 0; i < PLACES; i++) mem_free(p->path[i]);
    *p = (places){ 0 };
}
