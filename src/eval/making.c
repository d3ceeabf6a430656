/* making.c - asking the model. */
#include "eval/making.h"
#include <string.h>
#include "base/ends.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/sha256.h"
#include "format/json.h"
#include "weights/default_model.h"

enum { HASHED = 1 << 20, DEPTH = 4 };

/* ---- which model made what lies in the folder ---- */

/* The beginning and the end of a weight file, and how long it is: training changes both, and 24 GB need not be read. */
static dreamo_status hash_file(sha256 *h, const char *path, dreamo_error *err)
{
    filemap map;
    dreamo_status s = file_map(path, &map, err);
    if (s) return s;
    size_t n = map.nbytes < HASHED ? map.nbytes : HASHED;
    sha256_add(h, &map.nbytes, sizeof map.nbytes);
    sha256_add(h, map.data, n);
    sha256_add(h, map.data + map.nbytes - n, n);
    file_unmap(&map);
    return DREAMO_OK;
}

/* NULL: nothing is given.  In folders what looks like weights or settings. */
static dreamo_status hash_path(sha256 *h, const char *path, int depth, dreamo_error *err)
{
    char **names = NULL;
    int n = 0;
    if (!path || !depth) return DREAMO_OK;
    if (!folder_exists(path)) return file_exists(path) ? hash_file(h, path, err) : DREAMO_OK;
    dreamo_status s = folder_list(path, &names, &n, err);
    for (int i = 0; i < n && !s; i++) {
        char *inside = path_join(path, names[i]);
        if (!inside) s = fail(err, DREAMO_MEMORY, "%s: no memory", path);
        else if (folder_exists(inside) || ends(names[i], ".safetensors") || ends(names[i], ".gguf") || ends(names[i], ".json")) s = hash_path(h, inside, depth - 1, err);
        mem_free(inside);
    }
    folder_list_free(names, n);
    return s;
}

static dreamo_status fingerprint(const dreamo_model_options *m, const char *folder, char hex[65], dreamo_error *err)
{
    dreamo_status s = DREAMO_OK;
    sha256 h;
    const char *const files[] = { folder, m->dit, m->t5, m->clip, m->vae, m->variant_dir };
    unsigned char flags[2] = { m->no_turbo, m->no_default_lora };
    sha256_init(&h);
    for (size_t i = 0; i < sizeof files / sizeof *files && !s; i++) s = hash_path(&h, files[i], DEPTH, err);
    for (int i = 0; i < m->nloras && !s; i++) {
        s = hash_path(&h, m->loras[i].path, DEPTH, err);
        sha256_add(&h, &m->loras[i].scale, sizeof m->loras[i].scale);
    }
    if (m->variant) sha256_add(&h, m->variant, strlen(m->variant));
    sha256_add(&h, flags, sizeof flags);
    sha256_text(&h, hex);
    return s;
}

/* eval.json in the folder: all that decides what a picture of this name is. */
static dreamo_status take_folder(const pictures *p, const char *model, const char *data_hash, dreamo_error *err)
{
    const dreamo_eval_options *o = p->o;
    char hex[65], *now = NULL, *then = NULL, *path = path_join(o->keep, "eval.json");
    size_t nbytes;
    dreamo_status s = fingerprint(o->model, model, hex, err);
    if (s) {
        mem_free(path);
        return s;
    }
    now = mem_printf("{\"model\":\"%s\",\"data\":\"%s\",\"seed\":%llu,\"width\":%d,\"height\":%d,\"ref_side\":[%d,%d,%d,%d,%d],\"steps\":%d,\"guidance\":%g,\"true_cfg\":%g,\"placed\":%d%s}\n", hex,
                     data_hash, (unsigned long long)o->seed, p->width, p->height, p->ref_side, p->ref_side_face, p->ref_side_style, p->ref_side_several, p->ref_side_faces, o->steps, o->guidance, o->true_cfg, o->placed, o->pairs ? ",\"split\":\"train\"" : "");
    s = path && now ? folder_make(o->keep, err) : fail(err, DREAMO_MEMORY, "%s: no memory", o->keep);
    if (!s && !file_exists(path)) s = file_replace(path, now, strlen(now), err);
    else if (!s && !(s = file_read(path, 1 << 16, &then, &nbytes, err)) && strcmp(now, then) != 0) {
        fail(err, DREAMO_MISMATCH, "%s: keeps pictures of another model, other data or other settings", o->keep);
        s = hint(err, "give another folder, or remove this one");
    }
    mem_free(then);
    mem_free(now);
    mem_free(path);
    return s;
}

/* Another model's pictures must be of the same samples: the same data, seed and captions. */
static dreamo_status check_other(const pictures *p, const char *data_hash, dreamo_error *err)
{
    const dreamo_eval_options *o = p->o;
    char *path = path_join(o->against, "eval.json");
    const char *data = NULL;
    int64_t seed = 0, placed = 0;
    json_t *j = NULL;
    dreamo_status s = !path ? fail(err, DREAMO_MEMORY, "%s: no memory", o->against) : json_read(path, 1 << 16, &j, err);
    if (!s) s = json_get_string(j, path, "data", NULL, &data, err);
    if (!s) s = json_get_int(j, path, "seed", 0, INT64_MAX, -1, &seed, err);
    if (!s) s = json_get_int(j, path, "placed", 0, 1, -1, &placed, err);
    if (!s && (strcmp(data, data_hash) != 0 || (uint64_t)seed != o->seed || placed != o->placed || !json_object_get(j, "split") == !!o->pairs))
        s = fail(err, DREAMO_MISMATCH, "%s: keeps pictures of other samples: another --data, --seed or --placed", o->against);
    json_decref(j);
    mem_free(path);
    return s;
}

/* ---- opening ---- */

static int side_of(const dreamo_eval_options *o, int res, int cell, int shorter)
{
    return o->ref_side ? o->ref_side : res > 0 && res <= 1024 ? res / cell * cell : shorter;
}

static int larger(int a, int b) { return a > b ? a : b; }

/* The largest of a sample's; the pipeline makes the others smaller. */
int pictures_ref_side(const pictures *p, data_kind kind)
{
    switch (kind) {
    case DATA_T2I: case DATA_SUBJECT: case DATA_TRYON: return p->ref_side;
    case DATA_ID: return p->ref_side_face;
    case DATA_ID_STYLE: return larger(p->ref_side_face, p->ref_side_style);
    case DATA_SUBJECT_STYLE: return larger(p->ref_side, p->ref_side_style);
    case DATA_STYLE: return p->ref_side_style;
    case DATA_IDS: case DATA_ID_TRYON: case DATA_ID_SUBJECT: return p->ref_side_faces;
    default: return p->ref_side_several;
    }
}

dreamo_status pictures_open(pictures *p, const dreamo_eval_options *o, const char *data_hash, dreamo_error *err)
{
    dreamo_model_about about = { .size = sizeof about };
    *p = (pictures){ .o = o, .width = o->width, .height = o->height, .to = { o->progress, o->user } };
    if (!o->model) {
        if (!p->width) p->width = p->height = 128;
        p->ref_side = p->ref_side_face = p->ref_side_style = p->ref_side_several = p->ref_side_faces = o->ref_side ? o->ref_side : p->width < p->height ? p->width : p->height;
        return DREAMO_OK;
    }
    dreamo_status s = dreamo_open(o->model, &p->m, err);
    if (!s) s = dreamo_about(p->m, &about, err);
    if (s) return s;
    if (!p->width) p->width = about.width, p->height = about.height;
    int shorter = p->width < p->height ? p->width : p->height;
    p->ref_side = side_of(o, about.ref_res, about.cell, shorter);
    p->ref_side_face = side_of(o, about.ref_res_face, about.cell, shorter);
    p->ref_side_style = side_of(o, about.ref_res_style, about.cell, shorter);
    p->ref_side_several = side_of(o, about.ref_res_several, about.cell, shorter);
    p->ref_side_faces = side_of(o, about.ref_res_faces, about.cell, shorter);
    const char *shipped = dreamo_default_model();
    if (o->keep) s = take_folder(p, o->model->dir ? o->model->dir : shipped ? shipped : "", data_hash, err);
    return !s && o->against ? check_other(p, data_hash, err) : s;
}

void pictures_close(pictures *p)
{
    dreamo_close(p->m);
    *p = (pictures){ 0 };
}

/* ---- making ---- */

static dreamo_status read_kept(const char *path, bitmap *out, dreamo_error *err)
{
    dreamo_image kept = { 0 };
    dreamo_status s = dreamo_image_read(path, &kept, err);
    *out = (bitmap){ kept.width, kept.height, 3, kept.rgb };
    mem_free(kept.metadata);
    return s;
}

dreamo_status pictures_other(const pictures *p, const char *name, bitmap *out, dreamo_error *err)
{
    char *path = mem_printf("%s/%s.png", p->o->against, name);
    *out = (bitmap){ 0 };
    dreamo_status s = path ? read_kept(path, out, err) : fail(err, DREAMO_MEMORY, "%s: no memory", p->o->against);
    mem_free(path);
    return s;
}

/* A model's own events are too many; but it may be stopped in the middle of a picture. */
static bool tick(void *user, const dreamo_event *e)
{
    const pictures *p = user;
    return e->kind != DREAMO_EVENT_TICK || !p->to.call || p->to.call(p->to.user, e);
}

static dreamo_status ask(pictures *p, const data_sample *s, const char *words, uint64_t seed, dreamo_image *out, dreamo_error *err)
{
    static const dreamo_task tasks[] = { [DATA_IP] = DREAMO_IP, [DATA_FACE] = DREAMO_ID, [DATA_LOOK] = DREAMO_STYLE };
    dreamo_image picture[DATA_MAX_REFS] = { { 0 } };
    dreamo_reference ref[DATA_MAX_REFS] = { { 0 } };
    dreamo_request q;
    dreamo_request_init(&q);
    q.prompt = words;
    q.refs = ref;
    q.width = p->width;
    q.height = p->height;
    q.seed = seed;
    q.steps = p->o->steps;
    q.guidance = p->o->guidance;
    q.true_cfg = p->o->true_cfg;
    q.progress = tick;
    q.user = p;
    for (; q.nrefs < s->nrefs; q.nrefs++) {
        const data_ref *f = &s->ref[q.nrefs];
        picture[q.nrefs] = (dreamo_image){ .width = f->picture.width, .height = f->picture.height, .rgb = f->picture.data };
        ref[q.nrefs] = (dreamo_reference){ .task = tasks[f->task], .image = &picture[q.nrefs], .slot = f->slot, .res = p->o->ref_side ? -1 : 0, .cut = DREAMO_CUT_OFF };
    }
    return dreamo_generate(p->m, &q, out, err);
}

dreamo_status pictures_make(pictures *p, const data_sample *s, const char *words, const char *name, uint64_t seed, bitmap *out, dreamo_error *err)
{
    char *path = p->o->keep ? mem_printf("%s/%s.png", p->o->keep, name) : NULL;
    dreamo_image made = { 0 };
    *out = (bitmap){ 0 };
    if (p->o->keep && !path) return fail(err, DREAMO_MEMORY, "%s: no memory", p->o->keep);
    if (path && file_exists(path)) {
        dreamo_status status = read_kept(path, out, err);
        mem_free(path);
        return status;
    }
    dreamo_status status = ask(p, s, words, seed, &made, err);
    if (!status && path) status = dreamo_image_write(&made, path, "png", true, err);
    if (!status) {
        *out = (bitmap){ made.width, made.height, 3, made.rgb };
        made.rgb = NULL;
    }
    dreamo_image_free(&made);
    mem_free(path);
    return status;
}
