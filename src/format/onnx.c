/* onnx.c - protocol buffers, as far as ModelProto.graph.initializer needs them (spec 6.1): model field 7, graph field 5; of a tensor dims 1,
 * data_type 2, float_data 4, int32_data 5, name 8, raw_data 9, data_location 14.  Fields of other numbers are stepped over.
 *
 * Weights that onnxruntime quantised (quantize_dynamic) lie there as X_quantized, 8 bits a number, X_scale and X_zero_point, one number each; they are
 * decoded into X = (code - zero point) * scale, as DequantizeLinear has it. */
#include "format/onnx.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/ends.h"
#include "base/mem.h"

enum { MOST_TENSORS = 100000 };
#define CODES "_quantized"

typedef struct field { uint64_t number, value; int wire; const unsigned char *p; size_t n; } field; /* wire 2: p, n; else value */
typedef struct span { const unsigned char *at, *end; } span;

static bool varint(span *s, uint64_t *out)
{
    *out = 0;
    for (int shift = 0; shift < 64 && s->at < s->end; shift += 7) {
        unsigned char b = *s->at++;
        *out |= (uint64_t)(b & 0x7F) << shift;
        if (b < 0x80) return true;
    }
    return false;
}

/* The next field; false at the end or where the bytes are none, and then *sound says which. */
static bool next(span *s, field *f, bool *sound)
{
    uint64_t key, n;
    *sound = true;
    if (s->at == s->end) return false;
    *sound = false;
    if (!varint(s, &key)) return false;
    *f = (field){ .number = key >> 3, .wire = (int)(key & 7) };
    switch (f->wire) {
    case 0: return *sound = varint(s, &f->value);
    case 1: n = 8; break;
    case 2: if (!varint(s, &n)) return false; break;
    case 5: n = 4; break;
    default: return false;
    }
    if (n > (uint64_t)(s->end - s->at)) return false;
    f->p = s->at;
    f->n = (size_t)n;
    s->at += n;
    return *sound = true;
}

bool onnx_is(const unsigned char *data, size_t nbytes)
{
    /* ir_version, then who wrote it, what it needs, or the graph; a safetensors file's length has zeros in bytes 4 to 7 */
    return nbytes > 8 && data[0] == 0x08 && data[1] >= 3 && data[1] < 32 && (data[2] == 0x12 || data[2] == 0x42 || data[2] == 0x3A) && memcmp(data + 4, "\0\0\0\0", 4) != 0;
}

static int type_of(uint64_t t)
{
    static const dtype types[] = { [1] = DT_F32, [2] = DT_U8, [3] = DT_I8, [4] = DT_U16, [5] = DT_I16, [6] = DT_I32, [7] = DT_I64, [9] = DT_BOOL, [10] = DT_F16, [11] = DT_F64,
                                   [12] = DT_U32, [13] = DT_U64, [16] = DT_BF16 };
    return t < sizeof types / sizeof *types && (t == 1 || types[t] != DT_F32) ? (int)types[t] : -1;
}

static dreamo_status broken(const st_file *f, dreamo_error *err)
{
    fail(err, DREAMO_FORMAT, "%s: is not an ONNX file as it was written; it is cut short, or its bytes are broken", f->path);
    return hint(err, "fetch it again");
}

static dreamo_status add_dimension(const st_file *f, st_tensor *t, uint64_t n, dreamo_error *err)
{
    if (t->rank == ST_MAX_RANK || n > INT64_MAX || !mul_nbytes(t->count, (size_t)n, &t->count)) return fail(err, DREAMO_FORMAT, "%s: a tensor's shape is too large", f->path);
    t->shape[t->rank++] = (int64_t)n;
    return DREAMO_OK;
}

/* A list of one number of 8 bits: the first byte of its varint is the number itself, for the bit that says that more follows is its own highest one. */
static bool one_byte(const field *list)
{
    uint64_t v;
    if (!list->p) return false;
    span s = { list->p, list->p + list->n };
    return varint(&s, &v) && s.at == s.end && (v <= UINT8_MAX || v >= (uint64_t)INT8_MIN);
}

/* One initializer; its name is copied to *names.  No data: `*used` false, the tensor is not kept. */
static dreamo_status read_tensor(st_file *f, const field *of, st_tensor *t, char **names, bool *used, dreamo_error *err)
{
    span s = { of->p, of->p + of->n };
    field x, name = { 0 }, raw = { 0 }, floats = { 0 }, integers = { 0 };
    uint64_t type = 0, n;
    bool sound, elsewhere = false;
    dreamo_status status = DREAMO_OK;
    *t = (st_tensor){ .count = 1 };
    while (!status && next(&s, &x, &sound)) {
        if (x.number == 1 && x.wire == 0) status = add_dimension(f, t, x.value, err);
        for (span dims = { x.p, x.p ? x.p + x.n : NULL }; x.number == 1 && x.wire == 2 && dims.at < dims.end && !status;)
            status = varint(&dims, &n) ? add_dimension(f, t, n, err) : broken(f, err);
        if (x.number == 2 && x.wire == 0) type = x.value;
        if (x.number == 4 && x.wire == 2) floats = x;
        if (x.number == 5 && x.wire == 2) integers = x;
        if (x.number == 8 && x.wire == 2) name = x;
        if (x.number == 9 && x.wire == 2) raw = x;
        if (x.number == 14 && x.wire == 0) elsewhere = x.value != 0;
    }
    if (status) return status;
    if (!sound) return broken(f, err);
    if (!name.n || name.n > ST_MAX_NAME || memchr(name.p, 0, name.n)) return fail(err, DREAMO_FORMAT, "%s: a tensor's name has %zu bytes, or NUL in it", f->path, name.n);
    t->name = memcpy(*names, name.p, name.n);
    (*names)[name.n] = '\0';
    *names += name.n + 1;
    if (elsewhere) return fail(err, DREAMO_FORMAT, "%s: tensor \"%.200s\": its numbers lie in another file", f->path, t->name);
    int known = type_of(type);
    if (!raw.p && floats.p && known == DT_F32) raw = floats;
    if (!raw.p && t->count == 1 && (known == DT_U8 || known == DT_I8) && one_byte(&integers)) raw = integers, raw.n = 1;
    *used = raw.p != NULL;
    if (known < 0) return fail(err, DREAMO_FORMAT, "%s: tensor \"%.200s\": its type %llu is none that this program reads", f->path, t->name, (unsigned long long)type);
    t->type = (dtype)known;
    if (!*used) return t->count && dtype_is_weight(t->type) ? fail(err, DREAMO_FORMAT, "%s: tensor \"%.200s\": has no numbers", f->path, t->name) : DREAMO_OK;
    if (!mul_nbytes(t->count, dtype_nbytes(t->type), &t->nbytes) || t->nbytes != raw.n)
        return fail(err, DREAMO_FORMAT, "%s: tensor \"%.200s\": has %zu bytes, its shape and type need another number", f->path, t->name, raw.n);
    t->data = raw.p;
    return DREAMO_OK;
}

/* ---- quantised weights ---- */

static st_tensor *beside(const st_file *f, const st_tensor *t, const char *suffix)
{
    char name[ST_MAX_NAME + 32];
    snprintf(name, sizeof name, "%.*s%s", (int)(strlen(t->name) - strlen(CODES)), t->name, suffix);
    return st_find(f, name);
}

typedef struct coded { st_tensor *scale, *zero; } coded;

/* *is false: it is not.  Tensors are sorted. */
static dreamo_status find_coded(const st_file *f, const st_tensor *t, bool *is, coded *out, dreamo_error *err)
{
    *is = (t->type == DT_U8 || t->type == DT_I8) && ends_after(t->name, CODES);
    if (!*is) return DREAMO_OK;
    *out = (coded){ beside(f, t, "_scale"), beside(f, t, "_zero_point") };
    if (out->scale && out->zero && out->scale->type == DT_F32 && out->scale->count == 1 && out->zero->type == t->type && out->zero->count == 1) return DREAMO_OK;
    fail(err, DREAMO_FORMAT, "%s: tensor \"%.200s\": is quantised, and not by one scale and one zero point of its own type beside it", f->path, t->name);
    return hint(err, "take the file that it was made from, or quantise that with one scale a tensor");
}

/* A number of f->tensors, its name whole, to where `at` is. */
static void decode_one(st_tensor *t, const coded *c, float *at)
{
    float scale, zero;
    dtype_to_f32(DT_F32, c->scale->data, 1, &scale);
    dtype_to_f32(t->type, c->zero->data, 1, &zero);
    dtype_to_f32(t->type, t->data, t->count, at);
    for (size_t k = 0; k < t->count; k++) at[k] = (at[k] - zero) * scale;
    t->type = DT_F32;
    t->data = at;
    t->nbytes = t->count * sizeof *at;
    c->scale->used = c->zero->used = true;
}

/* Names and decoded numbers come into one memory, so that st_close frees both; what belongs to codes is no tensor of its own. */
static dreamo_status decode(st_file *f, size_t names_nbytes, dreamo_error *err)
{
    size_t total = 0, kept = 0, count = 0;
    bool is;
    coded c;
    for (int i = 0; i < f->ntensors; i++) {
        dreamo_status s = find_coded(f, &f->tensors[i], &is, &c, err);
        if (s) return s;
        if (is) total += f->tensors[i].count, count++; /* a code takes a byte of the file: this is no bomb */
    }
    if (!count) return DREAMO_OK;
    float *values = mem_alloc(total * sizeof *values + names_nbytes), *at = values;
    if (!values) return fail(err, DREAMO_MEMORY, "%s: no memory for %zu numbers", f->path, total);
    char *names = memcpy(values + total, f->strings, names_nbytes);
    for (int i = 0; i < f->ntensors; i++) f->tensors[i].name = names + (f->tensors[i].name - f->strings);
    mem_free(f->strings);
    f->strings = (char *)values;
    for (int i = 0; i < f->ntensors; i++) {
        find_coded(f, &f->tensors[i], &is, &c, NULL);
        if (!is) continue;
        decode_one(&f->tensors[i], &c, at);
        at += f->tensors[i].count;
    }
    for (int i = 0; i < f->ntensors; i++) {
        st_tensor *t = &f->tensors[i];
        const char *data = t->data;
        if (t->used) continue;
        if (data >= (const char *)values && data < names) names[t->name - names + (ptrdiff_t)(strlen(t->name) - strlen(CODES))] = '\0';
        f->tensors[kept++] = *t;
    }
    f->ntensors = (int)kept;
    return DREAMO_OK;
}

static int by_name(const void *a, const void *b) { return strcmp(((const st_tensor *)a)->name, ((const st_tensor *)b)->name); }

static void sort(st_file *f)
{
    if (f->ntensors) qsort(f->tensors, (size_t)f->ntensors, sizeof *f->tensors, by_name);
}

dreamo_status onnx_read(st_file *f, dreamo_error *err)
{
    span model = { f->map.data, f->map.data + f->map.nbytes }, graph = { 0 }, probe;
    field x;
    bool sound;
    size_t count = 0, bytes = 0;
    bool says_version = false; /* of its operators, which every model does, after its graph */
    while (next(&model, &x, &sound)) {
        if (x.number == 7 && x.wire == 2) graph = (span){ x.p, x.p + x.n };
        says_version = says_version || x.number == 8;
    }
    if (!sound || !graph.at || !says_version) return broken(f, err);
    for (probe = graph; next(&probe, &x, &sound);)
        if (x.number == 5 && x.wire == 2) count++;
    if (!sound) return broken(f, err);
    if (count > MOST_TENSORS) return fail(err, DREAMO_LIMIT, "%s: %zu tensors, at most %d are allowed", f->path, count, MOST_TENSORS);
    for (probe = graph; next(&probe, &x, &sound);) /* a name is no longer than its tensor, and than what is allowed */
        if (x.number == 5 && x.wire == 2) bytes += (x.n < ST_MAX_NAME ? x.n : ST_MAX_NAME) + 1;
    char *names = f->strings = mem_alloc(bytes + 1);
    f->tensors = mem_calloc(count + 1, sizeof *f->tensors);
    if (!f->tensors || !f->strings) return fail(err, DREAMO_MEMORY, "%s: no memory for its list of tensors", f->path);
    while (next(&graph, &x, &sound)) {
        bool used = false;
        if (x.number != 5 || x.wire != 2) continue;
        dreamo_status s = read_tensor(f, &x, &f->tensors[f->ntensors], &names, &used, err);
        if (s) return s;
        f->ntensors += used;
    }
    sort(f);
    dreamo_status s = decode(f, (size_t)(names - f->strings), err);
    if (s) return s;
    sort(f);
    for (int i = 1; i < f->ntensors; i++)
        if (strcmp(f->tensors[i - 1].name, f->tensors[i].name) == 0) return fail(err, DREAMO_FORMAT, "%s: tensor \"%.200s\" is there twice", f->path, f->tensors[i].name);
    return DREAMO_OK;
}
