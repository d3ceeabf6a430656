/* info.c - what a file or folder is, by its content: dreamo_info. */
#include <jansson.h>
#include <string.h>
#include <strings.h>
#include "base/file.h"
#include "base/mem.h"
#include "format/gguf.h"
#include "format/image_file.h"
#include "format/json.h"
#include "format/onnx.h"
#include "format/pth.h"
#include "format/safetensors.h"
#include "weights/default_model.h"
#include "weights/kind.h"
#include "weights/parts.h"

#define MAX_JSON ((size_t)16 << 20)

/* ---- weight files ---- */

static json_t *tensor_rows(const st_file *f)
{
    json_t *rows = json_array();
    for (int i = 0; i < f->ntensors; i++) {
        const st_tensor *t = &f->tensors[i];
        json_t *shape = json_array();
        for (int d = 0; d < t->rank; d++) json_array_append_new(shape, json_integer(t->shape[d]));
        json_array_append_new(rows, json_pack("{s:o, s:s, s:o}", "name", json_any_string(t->name), "dtype", dtype_name(t->type), "shape", shape));
    }
    return rows;
}

static const char *format_of(const st_file *f)
{
    const unsigned char *data = f->map.data;
    size_t n = f->map.nbytes;
    return gguf_is(data, n) ? "GGUF" : pth_is(data, n) ? "torch" : onnx_is(data, n) ? "ONNX" : "safetensors";
}

static dreamo_status weights_info(const char *path, bool tensors, json_t *o, dreamo_error *err)
{
    st_file f;
    size_t numbers = 0, by_type[DT_COUNT] = { 0 };
    dreamo_status s = st_open_any(path, &f, err);
    if (s) return s;
    for (int i = 0; i < f.ntensors; i++) {
        numbers += f.tensors[i].count;
        by_type[f.tensors[i].type] += f.tensors[i].count;
    }
    weights_kind kind = kind_of_weights(&f);
    json_object_set_new(o, "kind", json_string(kind.words));
    if (kind.instead) json_object_set_new(o, "not_taken", json_string(kind.instead));
    json_object_set_new(o, "format", json_string(format_of(&f)));
    json_object_set_new(o, "tensors", json_integer(f.ntensors));
    json_object_set_new(o, "numbers", json_integer((json_int_t)numbers));
    json_t *types = json_object(), *meta = json_object();
    for (int t = 0; t < DT_COUNT; t++)
        if (by_type[t]) json_object_set_new(types, dtype_name((dtype)t), json_integer((json_int_t)by_type[t]));
    for (int i = 0; i < f.nmeta; i++) json_object_set_new(meta, f.meta_key[i], json_any_string(f.meta_value[i]));
    json_object_set_new(o, "numbers_by_type", types);
    json_object_set_new(o, "metadata", meta);
    if (tensors) json_object_set_new(o, "list", tensor_rows(&f));
    st_close(&f);
    return DREAMO_OK;
}

/* ---- pictures ---- */

static dreamo_status picture_info(const char *path, json_t *o, dreamo_error *err)
{
    bitmap b;
    char note[120], *text = NULL;
    dreamo_error ignored = { 0 };
    json_t *settings = NULL;
    dreamo_status s = image_read(path, &b, note, sizeof note, err);
    if (s) return s;
    json_object_set_new(o, "kind", json_string("picture"));
    json_object_set_new(o, "width", json_integer(b.width));
    json_object_set_new(o, "height", json_integer(b.height));
    json_object_set_new(o, "alpha", json_boolean(b.channels == 4));
    if (*note) json_object_set_new(o, "note", json_string(note));
    bitmap_free(&b);
    if (image_read_text(path, "dreamo", &text, &ignored) == DREAMO_OK && text &&
        json_parse(text, strlen(text), path, &settings, &ignored) == DREAMO_OK)
        json_object_set_new(o, "made_with", settings);
    mem_free(text);
    return DREAMO_OK;
}

/* ---- folders ---- */

static dreamo_status copy_json(const char *folder, const char *name, json_t *o, dreamo_error *err)
{
    json_t *v = NULL;
    char *path = path_join(folder, name);
    dreamo_status s = path ? DREAMO_OK : fail(err, DREAMO_MEMORY, "%s: no memory", folder);
    if (!s && file_exists(path)) {
        s = json_read(path, MAX_JSON, &v, err);
        if (!s) json_object_set_new(o, name, v);
    }
    mem_free(path);
    return s;
}

/* Whether a folder has a file; false without looking once *s is a failure. */
static bool has(const char *folder, const char *name, dreamo_status *s, dreamo_error *err)
{
    char *path = *s ? NULL : path_join(folder, name);
    if (!*s && !path) *s = fail(err, DREAMO_MEMORY, "%s: no memory", folder);
    bool yes = path && file_exists(path);
    mem_free(path);
    return yes;
}

/* Files of a folder that generate would take together. */
static dreamo_status parts_info(const char *path, json_t *o, dreamo_error *err)
{
    parts p;
    dreamo_error missing = { 0 };
    dreamo_status s = parts_find(path, 0, &p, err);
    if (s) return s;
    const struct { const char *name, *path; } all[] = { { "transformer", p.dit }, { "text_encoder_2", p.t5 }, { "text_encoder", p.clip }, { "vae", p.vae } };
    if (!parts_holds(&p) && !p.passed) {
        s = fail(err, DREAMO_FORMAT, "%s: a folder that is neither a model, a checkpoint nor a dataset", path);
    } else {
        json_object_set_new(o, "kind", json_string("folder of single weight files"));
        for (int i = 0; i < 4; i++)
            if (all[i].path) json_object_set_new(o, all[i].name, json_string(all[i].path));
        if (p.passed) json_object_set_new(o, "not_taken", json_string(p.passed));
        if (parts_check(&p, path, 0, &missing)) json_object_set_new(o, "missing", json_string(strstr(missing.message, "holds no") + strlen("holds no ")));
    }
    parts_free(&p);
    return s;
}

static dreamo_status folder_info(const char *path, json_t *o, dreamo_error *err)
{
    static const char *const parts[] = { "transformer/config.json", "vae/config.json", "text_encoder/config.json", "text_encoder_2/config.json",
                                         "scheduler/scheduler_config.json", "dreamo/defaults.json" };
    dreamo_status s = DREAMO_OK;
    if (has(path, "model_index.json", &s, err)) {
        bool own = has(path, "dreamo/dreamo.safetensors", &s, err);
        json_object_set_new(o, "kind", json_string(own ? "model folder with a DreamO adapter" : "model folder"));
        for (size_t i = 0; !s && i < sizeof parts / sizeof *parts; i++) s = copy_json(path, parts[i], o, err);
    } else if (has(path, "state.json", &s, err) && has(path, "MANIFEST", &s, err)) {
        json_object_set_new(o, "kind", json_string("training checkpoint"));
        s = copy_json(path, "state.json", o, err);
    } else if (has(path, "assets.json", &s, err)) {
        json_object_set_new(o, "kind", json_string("dataset"));
    } else if (!s) {
        s = parts_info(path, o, err);
    }
    return s;
}

static dreamo_status snapshot_info(const char *path, json_t *o, dreamo_error *err)
{
    char *snapshot = hub_snapshot(path);
    if (!snapshot) return fail(err, DREAMO_MEMORY, "%s: no memory for a path", path);
    if (strcmp(snapshot, path) != 0) json_object_set_new(o, "snapshot", json_string(snapshot));
    dreamo_status s = folder_info(snapshot, o, err);
    mem_free(snapshot);
    return s;
}

/* ---- all of them ---- */

dreamo_status dreamo_info(const char *path, bool tensors, char **json, dreamo_error *err)
{
    filemap map;
    if (!path || !json) return fail(err, DREAMO_ARG, "dreamo_info: path or json is NULL");
    *json = NULL;
    json_lost();
    json_t *o = json_pack("{s:o}", "path", json_any_string(path));
    if (!o) return fail(err, DREAMO_MEMORY, "%s: no memory", path);
    dreamo_status s;
    if (folder_exists(path)) {
        s = snapshot_info(path, o, err);
    } else if ((s = file_map(path, &map, err)) == DREAMO_OK) {
        bool picture = image_is_known(map.data, map.nbytes);
        json_object_set_new(o, "bytes", json_integer((json_int_t)map.nbytes));
        file_unmap(&map);
        s = picture ? picture_info(path, o, err) : weights_info(path, tensors, o, err); /* whose reader says what else it is */
    }
    char *text = s ? NULL : json_text(o);
    json_decref(o);
    if (json_lost() && !s) s = fail(err, DREAMO_MEMORY, "%s: no memory for what there is to tell", path);
    if (s) mem_free(text);
    if (s) return s;
    if (!text) return fail(err, DREAMO_MEMORY, "%s: no memory", path);
    *json = text;
    return DREAMO_OK;
}

void dreamo_text_free(char *text) { mem_free(text); }
