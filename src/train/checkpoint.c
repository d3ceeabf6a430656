/* checkpoint.c - writing, verifying, reading and pruning checkpoints. */
#include "train/checkpoint.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/sha256.h"
#include "format/json.h"
#include "format/safetensors.h"

enum { CHECKPOINT_VERSION = 1, MANIFEST_MAX = 1 << 16 };

static const char weights_file[] = "weights.safetensors", optim_file[] = "optim.safetensors";
static const char average_file[] = "average.safetensors", state_file[] = "state.json";
static const char recipe_file[] = "recipe.conf", manifest_file[] = "MANIFEST";

/* ---- tensors ---- */

static void list_vector(const params *p, const float *vector, st_tensor *t, char (*names)[200])
{
    for (int i = 0; i < p->n; i++) {
        const param_slot *s = &p->slot[i];
        snprintf(names[i], sizeof *names, "%s", s->name);
        t[i] = (st_tensor){ .name = names[i], .type = DT_F32, .rank = s->rank, .count = s->count,
                            .nbytes = s->count * sizeof(float), .data = vector + s->at };
        memcpy(t[i].shape, s->shape, sizeof s->shape);
    }
}

/* What the optimizer remembers. */
static void list_states(const params *p, st_tensor *t, char (*names)[200])
{
    for (int i = 0; i < p->nstates; i++) {
        const param_state *a = &p->state[i];
        const param_slot *s = &p->slot[a->slot];
        bool same = a->count == s->count;
        snprintf(names[i], sizeof *names, "%s%s", a->prefix, s->name);
        t[i] = (st_tensor){ .name = names[i], .type = a->type, .rank = same ? s->rank : 1, .count = a->count,
                            .nbytes = a->count * dtype_nbytes(a->type), .data = a->data };
        if (same) memcpy(t[i].shape, s->shape, sizeof s->shape);
        else t[i].shape[0] = (int64_t)a->count;
    }
}

/* A vector as a file, or the states where `vector` is NULL. */
static dreamo_status write_tensors(const char *folder, const char *name, const params *p, const float *vector, dreamo_error *err)
{
    size_t count = (size_t)(vector ? p->n : p->nstates);
    char *path = path_join(folder, name);
    st_tensor *t = mem_calloc(count + 1, sizeof *t);
    char (*names)[200] = mem_calloc(count + 1, sizeof *names);
    dreamo_status s = path && t && names ? DREAMO_OK : fail(err, DREAMO_MEMORY, "%s: no memory for a checkpoint", folder);
    if (!s && vector) list_vector(p, vector, t, names);
    else if (!s) list_states(p, t, names);
    if (!s) s = st_write(path, t, (int)count, NULL, 0, err);
    mem_free(path);
    mem_free(t);
    mem_free(names);
    return s;
}

/* The file's tensors into where those of `list` point; nothing may be missing, and nothing left over. */
static dreamo_status read_list(const st_file *f, const st_tensor *list, int n, const char *who, dreamo_error *err)
{
    if (f->ntensors != n) return fail(err, DREAMO_MISMATCH, "%s: %d tensors, %s has %d", f->path, f->ntensors, who, n);
    for (int i = 0; i < n; i++) {
        const st_tensor *want = &list[i], *t = st_find(f, want->name);
        if (!t) return fail(err, DREAMO_MISMATCH, "%s: has no %s, which %s has", f->path, want->name, who);
        bool same = t->type == want->type && t->rank == want->rank &&
            memcmp(t->shape, want->shape, (size_t)want->rank * sizeof *want->shape) == 0;
        if (!same) return fail(err, DREAMO_MISMATCH, "%s: %s has another shape or type than in %s", f->path, want->name, who);
        memcpy((void *)(uintptr_t)want->data, t->data, t->nbytes);
    }
    return DREAMO_OK;
}

static dreamo_status read_tensors(const char *folder, const char *name, const params *p, const float *vector, dreamo_error *err)
{
    st_file f = { 0 };
    int n = vector ? p->n : p->nstates;
    char *path = path_join(folder, name);
    st_tensor *t = mem_calloc((size_t)n + 1, sizeof *t);
    char (*names)[200] = mem_calloc((size_t)n + 1, sizeof *names);
    dreamo_status s = path && t && names ? st_open(path, &f, err) : fail(err, DREAMO_MEMORY, "%s: no memory", folder);
    if (!s && vector) list_vector(p, vector, t, names);
    else if (!s) list_states(p, t, names);
    if (!s) s = read_list(&f, t, n, vector ? "this network" : "this network with this optimizer", err);
    st_close(&f);
    mem_free(path);
    mem_free(t);
    mem_free(names);
    return s;
}

/* ---- state.json ---- */

static dreamo_status write_text(const char *folder, const char *name, const char *text, dreamo_error *err)
{
    char *path = path_join(folder, name);
    if (!path) return fail(err, DREAMO_MEMORY, "%s: no memory", folder);
    dreamo_status s = file_replace(path, text, strlen(text), err);
    mem_free(path);
    return s;
}

static dreamo_status write_state(const char *folder, const run_state *s, dreamo_error *err)
{
    char *text = mem_printf("{\n  \"version\": %d,\n  \"stage\": \"%s\",\n  \"step\": %" PRId64 ",\n  \"samples\": %" PRId64 ",\n"
                            "  \"seed\": %" PRId64 ",\n  \"skipped\": %" PRId64 ",\n  \"in_a_row\": %" PRId64 ",\n"
                            "  \"smoothed\": %.17g,\n  \"seconds\": %.17g,\n  \"threads\": %d,\n  \"backend\": \"%s\",\n"
                            "  \"model\": \"%s\",\n  \"data\": \"%s\"\n}\n",
                            CHECKPOINT_VERSION, s->stage, s->step, s->samples, s->seed, s->skipped, s->in_a_row, s->smoothed,
                            s->seconds, s->threads, s->backend, s->model, s->data);
    if (!text) return fail(err, DREAMO_MEMORY, "%s: no memory", folder);
    dreamo_status status = write_text(folder, state_file, text, err);
    mem_free(text);
    return status;
}

static dreamo_status get_text(const json_t *o, const char *path, const char *field, char *out, size_t room, dreamo_error *err)
{
    const char *text = NULL;
    dreamo_status s = json_get_string(o, path, field, NULL, &text, err);
    if (s) return s;
    if (strlen(text) >= room) return fail(err, DREAMO_FORMAT, "%s: %s is too long", path, field);
    memcpy(out, text, strlen(text) + 1);
    return DREAMO_OK;
}

static dreamo_status read_state(const char *folder, run_state *s, dreamo_error *err)
{
    static const struct { const char *name; size_t offset; } counts[] = {
        { "step", offsetof(run_state, step) }, { "samples", offsetof(run_state, samples) }, { "seed", offsetof(run_state, seed) },
        { "skipped", offsetof(run_state, skipped) }, { "in_a_row", offsetof(run_state, in_a_row) },
    };
    char *path = path_join(folder, state_file);
    json_t *o = NULL;
    int64_t version = 0, threads = 0;
    *s = (run_state){ 0 };
    dreamo_status status = path ? json_read(path, MANIFEST_MAX, &o, err) : fail(err, DREAMO_MEMORY, "%s: no memory", folder);
    if (!status) status = json_get_int(o, path, "version", 1, INT32_MAX, 0, &version, err);
    if (!status && version > CHECKPOINT_VERSION)
        status = fail(err, DREAMO_VERSION, "%s: version %lld; this program reads up to %d", path, (long long)version,
                      CHECKPOINT_VERSION);
    for (size_t i = 0; !status && i < sizeof counts / sizeof counts[0]; i++)
        status = json_get_int(o, path, counts[i].name, 0, INT64_MAX, -1, (int64_t *)(void *)((char *)s + counts[i].offset), err);
    if (!status) status = json_get_number(o, path, "smoothed", -1, 1e300, -2, &s->smoothed, err);
    if (!status) status = json_get_number(o, path, "seconds", 0, 1e300, -1, &s->seconds, err);
    if (!status) status = json_get_int(o, path, "threads", 1, 1 << 20, 0, &threads, err);
    if (!status) status = get_text(o, path, "stage", s->stage, sizeof s->stage, err);
    if (!status) status = get_text(o, path, "backend", s->backend, sizeof s->backend, err);
    if (!status) status = get_text(o, path, "model", s->model, sizeof s->model, err);
    if (!status) status = get_text(o, path, "data", s->data, sizeof s->data, err);
    s->threads = (int)threads;
    json_decref(o);
    mem_free(path);
    return status;
}

/* ---- the manifest ---- */

static dreamo_status hash_of(const char *path, char hex[65], size_t *nbytes, dreamo_error *err)
{
    filemap map;
    dreamo_status s = file_map(path, &map, err);
    if (s) return s;
    sha256_hex(map.data, map.nbytes, hex);
    *nbytes = map.nbytes;
    file_unmap(&map);
    return DREAMO_OK;
}

static dreamo_status write_manifest(const char *folder, bool average, dreamo_error *err)
{
    const char *files[] = { weights_file, optim_file, state_file, recipe_file, average_file };
    char text[2048] = "";
    dreamo_status s = DREAMO_OK;
    for (int i = 0; !s && i < (average ? 5 : 4); i++) {
        char hex[65];
        size_t nbytes = 0;
        char *path = path_join(folder, files[i]);
        s = path ? hash_of(path, hex, &nbytes, err) : fail(err, DREAMO_MEMORY, "%s: no memory", folder);
        size_t used = strlen(text);
        if (!s) snprintf(text + used, sizeof text - used, "%s %zu %s\n", hex, nbytes, files[i]);
        mem_free(path);
    }
    return s ? s : write_text(folder, manifest_file, text, err);
}

static dreamo_status verify_line(const char *folder, const char *line, dreamo_error *err)
{
    char hex[65] = "", name[64] = "", found[65];
    size_t nbytes = 0, size = 0;
    int end = 0;
    if (sscanf(line, "%64s %zu %63s%n", hex, &nbytes, name, &end) != 3 || line[end] || strchr(name, '/'))
        return fail(err, DREAMO_FORMAT, "%s/%s: \"%.80s\" is not a hash, a size and a name", folder, manifest_file, line);
    char *path = path_join(folder, name);
    dreamo_status s = path ? hash_of(path, found, &size, err) : fail(err, DREAMO_MEMORY, "%s: no memory", folder);
    if (!s && size != nbytes) s = fail(err, DREAMO_FORMAT, "%s: %zu bytes, the manifest says %zu", path, size, nbytes);
    if (!s && strcmp(hex, found) != 0)
        s = fail(err, DREAMO_FORMAT, "%s: its bytes have changed (sha256 differs from the manifest)", path);
    mem_free(path);
    return s;
}

dreamo_status checkpoint_verify(const char *folder, dreamo_error *err)
{
    char *path = path_join(folder, manifest_file), *text = NULL;
    size_t nbytes = 0;
    int lines = 0;
    dreamo_status s = path ? file_read(path, MANIFEST_MAX, &text, &nbytes, err)
                           : fail(err, DREAMO_MEMORY, "%s: no memory", folder);
    for (char *line = text, *end; !s && line && (end = strchr(line, '\n')) != NULL; line = end + 1, lines++) {
        *end = '\0';
        s = verify_line(folder, line, err);
    }
    if (!s && lines < 4) s = fail(err, DREAMO_FORMAT, "%s: lists %d files, a checkpoint has at least 4", path, lines);
    mem_free(text);
    mem_free(path);
    return s;
}

/* ---- saving ---- */

static dreamo_status fill_folder(const char *folder, const params *p, const run_state *state, const char *recipe_text,
                                 dreamo_error *err)
{
    dreamo_status s = folder_make(folder, err);
    if (!s) s = write_tensors(folder, weights_file, p, p->value, err);
    if (!s) s = write_tensors(folder, optim_file, p, NULL, err);
    if (!s && p->ema) s = write_tensors(folder, average_file, p, p->ema, err);
    if (!s) s = write_state(folder, state, err);
    if (!s) s = write_text(folder, recipe_file, recipe_text, err);
    if (!s) s = write_manifest(folder, p->ema != NULL, err);
    return s;
}

/* The step that a folder's name tells; -1: it is not a checkpoint's. */
static int64_t step_of(const char *name)
{
    int64_t step = -1;
    int end = 0;
    if (sscanf(name, "ckpt-%" SCNd64 "%n", &step, &end) != 1 || name[end] || step < 0) return -1;
    return step;
}

static int by_step(const void *a, const void *b)
{
    int64_t x = step_of(*(char *const *)a), y = step_of(*(char *const *)b);
    return x < y ? -1 : x > y;
}

/* Names of the checkpoints, oldest first; others are freed out of the list. */
static dreamo_status list_checkpoints(const char *out, char ***names, int *n, dreamo_error *err)
{
    int all = 0, kept = 0;
    dreamo_status s = folder_list(out, names, &all, err);
    *n = 0;
    if (s) return s;
    for (int i = 0; i < all; i++) {
        if (step_of((*names)[i]) >= 0) (*names)[kept++] = (*names)[i];
        else mem_free((*names)[i]);
    }
    if (kept) qsort(*names, (size_t)kept, sizeof **names, by_step);
    *n = kept;
    return DREAMO_OK;
}

/* What a killed run left half done: ckpt-*.tmp and ckpt-*.trash. */
static dreamo_status sweep(const char *out, dreamo_error *err)
{
    char **names = NULL;
    int n = 0;
    dreamo_status s = folder_list(out, &names, &n, err);
    for (int i = 0; !s && i < n; i++) {
        if (strncmp(names[i], "ckpt-", 5) != 0 || !strchr(names[i], '.')) continue;
        char *path = path_join(out, names[i]);
        s = path ? folder_remove(path, err) : fail(err, DREAMO_MEMORY, "%s: no memory", out);
        mem_free(path);
    }
    folder_list_free(names, n);
    return s;
}

static dreamo_status prune(const char *out, int keep, dreamo_error *err)
{
    char **names = NULL;
    int n = 0;
    dreamo_status s = list_checkpoints(out, &names, &n, err);
    for (int i = 0; !s && i + keep < n; i++) {
        char *path = path_join(out, names[i]);
        s = path ? folder_remove(path, err) : fail(err, DREAMO_MEMORY, "%s: no memory", out);
        mem_free(path);
    }
    folder_list_free(names, n);
    return s;
}

dreamo_status checkpoint_save(const char *out, const params *p, const run_state *state, const char *recipe_text, int keep,
                              dreamo_error *err)
{
    char name[40];
    snprintf(name, sizeof name, "ckpt-%06" PRId64, state->step);
    char *final = path_join(out, name), *temp = mem_printf("%s/%s.tmp", out, name);
    dreamo_status s = final && temp ? sweep(out, err) : fail(err, DREAMO_MEMORY, "%s: no memory", out);
    if (!s) s = fill_folder(temp, p, state, recipe_text, err);
    if (!s && folder_exists(final)) s = folder_remove(final, err);
    if (!s) s = folder_rename(temp, final, err);
    if (s && temp && folder_exists(temp)) folder_remove(temp, NULL);
    if (!s) s = write_text(out, "latest", name, err);
    if (!s) s = prune(out, keep, err);
    mem_free(final);
    mem_free(temp);
    return s;
}

/* ---- loading ---- */

dreamo_status checkpoint_read(const char *folder, params *p, run_state *state, dreamo_error *err)
{
    dreamo_status s = checkpoint_verify(folder, err);
    if (!s) s = read_state(folder, state, err);
    if (!s) s = read_tensors(folder, weights_file, p, p->value, err);
    if (!s) s = read_tensors(folder, optim_file, p, NULL, err);
    if (!s && p->ema) s = read_tensors(folder, average_file, p, p->ema, err);
    return s;
}

bool checkpoint_any(const char *out)
{
    char **names = NULL;
    int n = 0;
    if (list_checkpoints(out, &names, &n, NULL)) return false;
    folder_list_free(names, n);
    return n > 0;
}

static bool broken(dreamo_status s) { return s == DREAMO_FORMAT || s == DREAMO_IO || s == DREAMO_NOT_FOUND || s == DREAMO_LIMIT; }

dreamo_status checkpoint_load(const char *out, params *p, run_state *state, checkpoint_note note, void *user, dreamo_error *err)
{
    char **names = NULL;
    int n = 0, i;
    dreamo_status s = list_checkpoints(out, &names, &n, err);
    if (s) return s;
    s = DREAMO_NOT_FOUND;
    for (i = n - 1; i >= 0 && broken(s); i--) {
        dreamo_error why = { 0 };
        char *path = path_join(out, names[i]);
        s = path ? checkpoint_read(path, p, state, &why) : fail(&why, DREAMO_MEMORY, "%s: no memory", out);
        if (s && !broken(s)) fail(err, s, "%s", why.message);
        else if (s && note) note(user, why.message);
        mem_free(path);
    }
    if (broken(s))
        s = fail(err, DREAMO_NOT_FOUND, n ? "%s: none of its %d checkpoints is whole" : "%s: has no checkpoint", out, n);
    folder_list_free(names, n);
    return s;
}
