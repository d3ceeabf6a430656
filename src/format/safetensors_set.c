/* safetensors_set.c - one file, or the shards that an index names. */
#include <string.h>
#include "base/ends.h"
#include "base/mem.h"
#include "format/json.h"
#include "format/safetensors.h"

#define MAX_SHARDS 1000
#define MAX_INDEX 64000000

void st_set_close(st_set *s)
{
    for (int i = 0; i < s->nfiles; i++) st_close(&s->files[i]);
    mem_free(s->files);
    mem_free(s->name);
    *s = (st_set){ 0 };
}

st_tensor *st_set_find(const st_set *s, const char *name)
{
    st_tensor *t = NULL;
    for (int i = 0; i < s->nfiles && !t; i++) t = st_find(&s->files[i], name);
    return t;
}

static dreamo_status set_add(st_set *s, const char *path, dreamo_error *err)
{
    st_file *more = mem_realloc(s->files, (size_t)(s->nfiles + 1) * sizeof *more);
    if (!more) return fail(err, DREAMO_MEMORY, "%s: no memory", path);
    s->files = more;
    dreamo_status status = st_open_any(path, &s->files[s->nfiles], err);
    if (!status) s->nfiles++;
    return status;
}

static int shard_of(const st_set *s, const char *path)
{
    for (int i = 0; i < s->nfiles; i++)
        if (strcmp(s->files[i].path, path) == 0) return i;
    return -1;
}

/* A shard's name must be a plain name in the same folder: never a path. */
static dreamo_status add_shard(st_set *s, const char *index, const char *tensor, const json_t *value, dreamo_error *err)
{
    const char *shard = json_string_value(value), *slash = strrchr(index, '/');
    if (!shard || !*shard || strchr(shard, '/') || shard[0] == '.' || strlen(shard) != json_string_length(value))
        return fail(err, DREAMO_FORMAT, "%s: tensor \"%.200s\": shard \"%.100s\" is not a plain file name", index, tensor, shard ? shard : "");
    char *path = slash ? mem_printf("%.*s/%s", (int)(slash - index), index, shard) : mem_strdup(shard);
    if (!path) return fail(err, DREAMO_MEMORY, "%s: no memory", index);
    dreamo_status status = DREAMO_OK;
    int at = shard_of(s, path);
    if (at < 0) {
        if (s->nfiles == MAX_SHARDS) status = fail(err, DREAMO_LIMIT, "%s: more than %d shards", index, MAX_SHARDS);
        else if (strcmp(path, index) == 0) status = fail(err, DREAMO_FORMAT, "%s: names itself as a shard", index);
        else status = set_add(s, path, err);
        if (status == DREAMO_NOT_FOUND) { /* the index is what is wrong */
            if (err) *err = (dreamo_error){ 0 };
            status = fail(err, DREAMO_FORMAT, "%s: shard \"%s\" is missing", index, shard);
        }
        at = s->nfiles - 1;
    }
    if (!status && !st_find(&s->files[at], tensor))
        status = fail(err, DREAMO_FORMAT, "%s: tensor \"%.200s\" is not in shard \"%s\"", index, tensor, shard);
    mem_free(path);
    return status;
}

/* Each tensor of the index is in its shard.  A shard that holds others too may hold one twice: then which is meant? */
static dreamo_status check_extras(const st_set *s, const char *index, const json_t *map, dreamo_error *err)
{
    size_t total = 0;
    for (int i = 0; i < s->nfiles; i++) total += (size_t)s->files[i].ntensors;
    if (total == json_object_size(map)) return DREAMO_OK;
    for (int i = 0; i < s->nfiles; i++)
        for (int k = 0; k < s->files[i].ntensors; k++) {
            const char *name = s->files[i].tensors[k].name, *shard = json_string_value(json_object_get(map, name));
            const char *path = s->files[i].path, *slash = strrchr(path, '/');
            if (!shard) return fail(err, DREAMO_FORMAT, "%s: tensor \"%.200s\" of %s is not in the index", index, name, path);
            if (strcmp(shard, slash ? slash + 1 : path) != 0)
                return fail(err, DREAMO_FORMAT, "%s: tensor \"%.200s\" is in shard \"%s\" and also in %s", index, name, shard, path);
        }
    return DREAMO_OK;
}

static dreamo_status open_index(st_set *s, const char *path, dreamo_error *err)
{
    json_t *index;
    const char *tensor;
    json_t *value;
    dreamo_status status = json_read(path, MAX_INDEX, &index, err);
    if (status) return status;
    json_t *map = json_object_get(index, "weight_map");
    if (!json_is_object(map) || json_object_size(map) == 0) status = fail(err, DREAMO_FORMAT, "%s: field \"weight_map\" is missing, empty or not an object", path);
    json_object_foreach(map, tensor, value) {
        if (status) break;
        status = add_shard(s, path, tensor, value, err);
    }
    if (!status) status = check_extras(s, path, map, err);
    json_decref(index);
    return status;
}

dreamo_status st_set_open(const char *path, const char *stem, st_set *out, dreamo_error *err)
{
    char *file = NULL, *index = NULL, *gguf = NULL;
    dreamo_status s = DREAMO_OK;
    *out = (st_set){ .name = mem_strdup(path) };
    if (folder_exists(path)) {
        file = mem_printf("%s/%s.safetensors", path, stem);
        index = mem_printf("%s/%s.safetensors.index.json", path, stem);
        gguf = mem_printf("%s/%s.gguf", path, stem); /* of a model in blocks, as runs that began with --dit x.gguf leave it */
        if (!file || !index || !gguf) s = fail(err, DREAMO_MEMORY, "%s: no memory", path);
        else if (file_exists(file)) s = set_add(out, file, err);
        else if (file_exists(index)) s = open_index(out, index, err);
        else if (file_exists(gguf)) s = set_add(out, gguf, err);
        else s = fail(err, DREAMO_NOT_FOUND, "%s: holds neither %s.safetensors nor %s.safetensors.index.json", path, stem, stem);
    } else {
        s = ends(path, ".index.json") ? open_index(out, path, err) : set_add(out, path, err);
    }
    if (!s && !out->name) s = fail(err, DREAMO_MEMORY, "%s: no memory", path);
    mem_free(file);
    mem_free(index);
    mem_free(gguf);
    if (s) st_set_close(out);
    return s;
}
