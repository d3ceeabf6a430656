/* safetensors_write.c - writing: what st_open would refuse is not written. */
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "format/json.h"
#include "format/safetensors.h"

/* Tensors of wide elements come first, so that every one begins at a multiple of its element's size. */
typedef struct place { const st_tensor *t; size_t nbytes; } place;

static int by_width(const void *a, const void *b)
{
    const place *x = a, *y = b;
    size_t p = dtype_nbytes(x->t->type), q = dtype_nbytes(y->t->type);
    if (p != q) return p > q ? -1 : 1;
    return x->t < y->t ? -1 : x->t > y->t; /* else as given */
}

static dreamo_status lay_out(const char *path, const st_tensor *tensors, int ntensors, place *places, dreamo_error *err)
{
    for (int i = 0; i < ntensors; i++) {
        const st_tensor *t = &tensors[i];
        size_t length = strlen(t->name);
        if (dtype_block(t->type) != 1)
            return fail(err, DREAMO_BUG, "%s: tensor \"%.200s\" cannot be written: %s has blocks", path, t->name, dtype_name(t->type));
        if (length == 0 || length > ST_MAX_NAME || strcmp(t->name, "__metadata__") == 0 || t->rank < 0 || t->rank > ST_MAX_RANK)
            return fail(err, DREAMO_BUG, "%s: tensor \"%.200s\" cannot be written: its name or its rank %d is not allowed", path, t->name, t->rank);
        places[i] = (place){ t, dtype_nbytes(t->type) };
        for (int d = 0; d < t->rank; d++)
            if (t->shape[d] < 0 || !mul_nbytes(places[i].nbytes, (size_t)t->shape[d], &places[i].nbytes))
                return fail(err, DREAMO_BUG, "%s: tensor \"%.200s\" cannot be written: its shape is not allowed", path, t->name);
    }
    qsort(places, (size_t)ntensors, sizeof *places, by_width);
    return DREAMO_OK;
}

/* {"dtype": ..., "shape": [...], "data_offsets": [at, at + nbytes]}; NULL: no memory. */
static json_t *describe(const place *p, size_t at)
{
    json_t *shape = json_array();
    bool ok = shape != NULL;
    for (int d = 0; ok && d < p->t->rank; d++) ok = json_array_append_new(shape, json_integer(p->t->shape[d])) == 0;
    if (!ok) {
        json_decref(shape);
        return NULL;
    }
    return json_pack("{s:s, s:o, s:[I,I]}", "dtype", dtype_name(p->t->type), "shape", shape, "data_offsets", (json_int_t)at, (json_int_t)(at + p->nbytes));
}

static json_t *describe_all(const place *places, int ntensors, const char *const (*meta)[2], int nmeta)
{
    json_t *header = json_object(), *about = nmeta ? json_object() : NULL;
    size_t at = 0;
    bool ok = header && (about || !nmeta);
    for (int i = 0; ok && i < nmeta; i++) ok = json_object_set_new(about, meta[i][0], json_string(meta[i][1])) == 0;
    if (ok && nmeta) ok = json_object_set(header, "__metadata__", about) == 0;
    for (int i = 0; ok && i < ntensors; i++) {
        ok = json_object_set_new(header, places[i].t->name, describe(&places[i], at)) == 0;
        at += places[i].nbytes;
    }
    json_decref(about);
    if (ok) return header;
    json_decref(header);
    return NULL;
}

dreamo_status st_fill_one(filewriter *w, int i, size_t nbytes, st_fill fill, void *user, dreamo_error *err)
{
    uint64_t before = w->nbytes;
    dreamo_status s = fill(user, i, w, err);
    if (s || w->nbytes - before == nbytes) return s;
    return fail(err, DREAMO_BUG, "%s: tensor %d got %llu bytes, has %zu", w->path, i, (unsigned long long)(w->nbytes - before), nbytes);
}

/* What is to be written, laid out. */
typedef struct plan { const char *header; const st_tensor *tensors; const place *places; int ntensors; } plan;

static dreamo_status write_all(filewriter *w, const plan *p, st_fill fill, void *user, dreamo_error *err)
{
    static const char spaces[8] = "        ";
    unsigned char length[8];
    size_t n = strlen(p->header), padded = (n + 7) / 8 * 8; /* so that data begins 8-byte aligned */
    for (int i = 0; i < 8; i++) length[i] = (unsigned char)((uint64_t)padded >> (8 * i));
    dreamo_status s = file_write(w, length, 8, err);
    if (!s) s = file_write(w, p->header, n, err);
    if (!s) s = file_write(w, spaces, padded - n, err);
    for (int i = 0; !s && i < p->ntensors; i++)
        s = st_fill_one(w, (int)(p->places[i].t - p->tensors), p->places[i].nbytes, fill, user, err);
    return s;
}

dreamo_status st_write_filled(const char *path, bool clobber, const st_tensor *tensors, int ntensors, const char *const (*meta)[2],
                              int nmeta, st_fill fill, void *user, dreamo_error *err)
{
    filewriter w;
    char *text = NULL;
    place *places = mem_calloc((size_t)ntensors + 1, sizeof *places);
    if (!places) return fail(err, DREAMO_MEMORY, "%s: no memory for its header", path);
    dreamo_status s = lay_out(path, tensors, ntensors, places, err);
    if (!s) {
        json_t *header = describe_all(places, ntensors, meta, nmeta);
        text = json_text(header);
        if (!text) s = fail(err, DREAMO_MEMORY, "%s: no memory for its header", path);
        else if (json_object_size(header) != (size_t)ntensors + (nmeta != 0)) s = fail(err, DREAMO_BUG, "%s: two tensors have the same name", path);
        json_decref(header);
    }
    if (!s && (s = file_create(&w, path, clobber, err)) == DREAMO_OK) {
        const plan p = { text, tensors, places, ntensors };
        s = write_all(&w, &p, fill, user, err);
        if (s) file_abort(&w);
        else s = file_commit(&w, err);
    }
    mem_free(text);
    mem_free(places);
    return s;
}

/* Tensors in memory: user is the array. */
static dreamo_status fill_from_memory(void *user, int i, filewriter *w, dreamo_error *err)
{
    const st_tensor *t = (const st_tensor *)user + i;
    size_t nbytes = dtype_nbytes(t->type);
    for (int d = 0; d < t->rank; d++) nbytes *= (size_t)t->shape[d]; /* did not overflow when it was laid out */
    return file_write(w, t->data, nbytes, err);
}

dreamo_status st_write(const char *path, const st_tensor *tensors, int ntensors, const char *const (*meta)[2], int nmeta, dreamo_error *err)
{
    return st_write_filled(path, true, tensors, ntensors, meta, nmeta, fill_from_memory, (void *)(uintptr_t)tensors, err);
}
