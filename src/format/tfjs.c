/* tfjs.c - value = byte * scale + min (spec 6.2). */
#include "format/tfjs.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "format/json.h"

enum { MOST_MANIFEST = 4 << 20, MOST_WEIGHTS = 64 << 20, MOST_TENSORS = 10000 };

static dreamo_status read_shape(const char *path, const json_t *o, st_tensor *t, dreamo_error *err)
{
    const json_t *shape = json_object_get(o, "shape");
    t->count = 1;
    if (!json_is_array(shape) || json_array_size(shape) > ST_MAX_RANK) return fail(err, DREAMO_FORMAT, "%s: weight \"%.100s\": shape is missing or not a short list", path, t->name);
    for (size_t i = 0; i < json_array_size(shape); i++) {
        json_int_t n = json_integer_value(json_array_get(shape, i));
        if (n < 1 || !mul_nbytes(t->count, (size_t)n, &t->count) || t->count > MOST_WEIGHTS) return fail(err, DREAMO_FORMAT, "%s: weight \"%.100s\": a dimension of %lld", path, t->name, (long long)n);
        t->shape[t->rank++] = n;
    }
    return DREAMO_OK;
}

/* Names, shapes; the total of numbers. */
static dreamo_status read_list(st_file *f, const json_t *weights, size_t *total, dreamo_error *err)
{
    size_t n = json_array_size(weights), names = 0;
    for (size_t i = 0; i < n; i++) names += json_string_length(json_object_get(json_array_get(weights, i), "name")) + 1;
    if (!n || n > MOST_TENSORS || names > MOST_MANIFEST) return fail(err, DREAMO_FORMAT, "%s: a list of %zu weights", f->path, n);
    f->tensors = mem_calloc(n, sizeof *f->tensors);
    char *to = f->strings = mem_alloc(names);
    if (!f->tensors || !f->strings) return fail(err, DREAMO_MEMORY, "%s: no memory for its list", f->path);
    for (size_t i = 0; i < n; i++) {
        const json_t *o = json_array_get(weights, i), *name = json_object_get(o, "name"), *q = json_object_get(o, "quantization");
        st_tensor *t = &f->tensors[i];
        const char *type = json_string_value(json_object_get(q, "dtype"));
        if (!json_is_string(name) || !*json_string_value(name)) return fail(err, DREAMO_FORMAT, "%s: weight %zu has no name", f->path, i);
        t->name = memcpy(to, json_string_value(name), json_string_length(name) + 1);
        to += json_string_length(name) + 1;
        t->type = DT_F32;
        if (!type || strcmp(type, "uint8") != 0) return fail(err, DREAMO_FORMAT, "%s: weight \"%.100s\": quantised as \"%.20s\"; uint8 is read", f->path, t->name, type ? type : "nothing");
        dreamo_status s = read_shape(f->path, o, t, err);
        if (s) return s;
        *total += t->count;
        f->ntensors++;
        if (*total > MOST_WEIGHTS) return fail(err, DREAMO_LIMIT, "%s: more than %d numbers", f->path, MOST_WEIGHTS);
    }
    return DREAMO_OK;
}

/* Names and numbers in one memory, so that st_close frees both. */
static dreamo_status decode(st_file *f, const json_t *weights, const unsigned char *bytes, size_t total, dreamo_error *err)
{
    size_t names = 0;
    for (int i = 0; i < f->ntensors; i++) names += strlen(f->tensors[i].name) + 1;
    float *values = mem_alloc(total * sizeof *values + names);
    if (!values) return fail(err, DREAMO_MEMORY, "%s: no memory for %zu numbers", f->path, total);
    char *to = memcpy(values + total, f->strings, names);
    const char *from = f->strings;
    float *at = values;
    for (int i = 0; i < f->ntensors; i++) {
        st_tensor *t = &f->tensors[i];
        const json_t *q = json_object_get(json_array_get(weights, (size_t)i), "quantization");
        double scale = json_number_value(json_object_get(q, "scale")), min = json_number_value(json_object_get(q, "min"));
        t->name = to + (t->name - from);
        t->data = at;
        t->nbytes = t->count * sizeof *at;
        for (size_t k = 0; k < t->count; k++) *at++ = (float)((double)(float)scale * *bytes++ + (double)(float)min);
    }
    mem_free(f->strings);
    f->strings = (char *)values;
    return DREAMO_OK;
}

static int by_name(const void *a, const void *b) { return strcmp(((const st_tensor *)a)->name, ((const st_tensor *)b)->name); }

static dreamo_status read_all(st_file *f, const json_t *manifest, dreamo_error *err)
{
    const json_t *group = json_array_get(manifest, 0), *weights = json_object_get(group, "weights"), *paths = json_object_get(group, "paths");
    const char *name = json_string_value(json_array_get(paths, 0)), *slash = strrchr(f->path, '/');
    size_t total = 0, n = 0;
    char *bytes = NULL;
    if (json_array_size(manifest) != 1 || json_array_size(paths) != 1 || !name || !*name || *name == '.' || strchr(name, '/'))
        return fail(err, DREAMO_FORMAT, "%s: does not name one file of weights beside it", f->path);
    dreamo_status s = read_list(f, weights, &total, err);
    char *bin = s ? NULL : slash ? mem_printf("%.*s/%s", (int)(slash - f->path), f->path, name) : mem_strdup(name);
    if (!s && !bin) s = fail(err, DREAMO_MEMORY, "%s: no memory for a path", f->path);
    if (!s) s = file_read(bin, MOST_WEIGHTS, &bytes, &n, err);
    if (!s && n != total) s = fail(err, DREAMO_FORMAT, "%s: has %zu bytes, its manifest names %zu weights; was it fetched whole?", bin, n, total);
    if (!s) s = decode(f, weights, (const unsigned char *)bytes, total, err);
    if (!s) qsort(f->tensors, (size_t)f->ntensors, sizeof *f->tensors, by_name);
    mem_free(bytes);
    mem_free(bin);
    return s;
}

dreamo_status tfjs_open(const char *path, st_file *out, dreamo_error *err)
{
    json_t *manifest = NULL;
    *out = (st_file){ .map.fd = -1, .path = mem_strdup(path) };
    if (!out->path) return fail(err, DREAMO_MEMORY, "%s: no memory", path);
    dreamo_status s = json_read(path, MOST_MANIFEST, &manifest, err);
    if (!s) s = read_all(out, manifest, err);
    json_decref(manifest);
    if (s) st_close(out);
    return s;
}
