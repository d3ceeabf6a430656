/* safetensors.c - reading: the header is checked whole before a byte of data is used.
 *
 * The numbered rules are those of the format as we read it: (1) a regular file of 8 bytes or more; (2) header length at most
 * 100,000,000 and inside the file; (3) strict JSON, depth 4 at most, an object; (4) at most 100,000 unique names of 1 to 1,024 bytes;
 * (5) exactly dtype, shape, data_offsets, plain digits, rank up to 8; (6) shape x dtype without overflow; (7) tensors touch,
 * do not overlap and end where the file ends; (8) metadata strings only, 1 MB at most; (9) only then is anything handed out. */
#include "format/safetensors.h"
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "format/gguf.h"
#include "format/json.h"
#include "format/onnx.h"
#include "format/pth.h"
#include "format/sniff.h"

#define MAX_HEADER 100000000u
#define MAX_TENSORS 100000
#define MAX_META 1000000

/* ---- the header's text, before it is parsed ---- */

/* Rules 3 and 5 that a JSON library does not keep: nesting, and numbers written in digits only. */
static dreamo_status check_text(const char *path, const char *s, size_t n, dreamo_error *err)
{
    int depth = 0;
    for (size_t i = 0; i < n; i++) {
        if (s[i] == '"') {
            for (i++; i < n && s[i] != '"'; i++) i += s[i] == '\\';
        } else if (s[i] == '{' || s[i] == '[') {
            if (++depth > 4) return fail(err, DREAMO_FORMAT, "%s: header: nested deeper than 4", path);
        } else if (s[i] == '}' || s[i] == ']') {
            depth--;
        } else if (s[i] == '-' || s[i] == '+' || s[i] == '.') {
            return fail(err, DREAMO_FORMAT, "%s: header: a number with a sign or a point (byte %zu)", path, i);
        } else if (s[i] >= '0' && s[i] <= '9') {
            if (s[i] == '0' && i + 1 < n && s[i + 1] >= '0' && s[i + 1] <= '9')
                return fail(err, DREAMO_FORMAT, "%s: header: a number with a leading zero (byte %zu)", path, i);
            while (i + 1 < n && s[i + 1] >= '0' && s[i + 1] <= '9') i++;
            if (i + 1 < n && (s[i + 1] == 'e' || s[i + 1] == 'E'))
                return fail(err, DREAMO_FORMAT, "%s: header: a number with an exponent (byte %zu)", path, i);
        }
    }
    return DREAMO_OK;
}

/* ---- one tensor ---- */

static dreamo_status read_dtype(const char *path, const char *name, const json_t *o, st_tensor *t, dreamo_error *err)
{
    const json_t *v = json_object_get(o, "dtype");
    if (!json_is_string(v)) return fail(err, DREAMO_FORMAT, "%s: tensor \"%.200s\": dtype is missing or not a string", path, name);
    bool plain = strlen(json_string_value(v)) == json_string_length(v); /* no NUL in it */
    int type = plain ? dtype_from_name(json_string_value(v)) : -1;
    if (type >= 0 && dtype_block((dtype)type) > 1) type = -1; /* a name of ggml's, not of this format */
    if (type < 0) return fail(err, DREAMO_FORMAT, "%s: tensor \"%.200s\": unknown dtype \"%.40s\"", path, name, json_string_value(v));
    t->type = (dtype)type;
    return DREAMO_OK;
}

static dreamo_status read_shape(const char *path, const char *name, const json_t *o, st_tensor *t, dreamo_error *err)
{
    const json_t *v = json_object_get(o, "shape");
    if (!json_is_array(v)) return fail(err, DREAMO_FORMAT, "%s: tensor \"%.200s\": shape is missing or not a list", path, name);
    if (json_array_size(v) > ST_MAX_RANK)
        return fail(err, DREAMO_FORMAT, "%s: tensor \"%.200s\": %zu dimensions, at most %d are allowed", path, name, json_array_size(v), ST_MAX_RANK);
    t->rank = (int)json_array_size(v);
    t->count = 1;
    for (int i = 0; i < t->rank; i++) {
        const json_t *d = json_array_get(v, (size_t)i);
        if (!json_is_integer(d)) return fail(err, DREAMO_FORMAT, "%s: tensor \"%.200s\": dimension %d is not a whole number", path, name, i);
        t->shape[i] = json_integer_value(d);
        if (!mul_nbytes(t->count, (size_t)t->shape[i], &t->count))
            return fail(err, DREAMO_FORMAT, "%s: tensor \"%.200s\": its shape is too large", path, name);
    }
    if (!mul_nbytes(t->count, dtype_nbytes(t->type), &t->nbytes))
        return fail(err, DREAMO_FORMAT, "%s: tensor \"%.200s\": its shape is too large", path, name);
    return DREAMO_OK;
}

/* Leaves the offset of the first byte in `data` until all are known to be sound. */
static dreamo_status read_offsets(const char *path, const char *name, const json_t *o, size_t room, st_tensor *t, dreamo_error *err)
{
    const json_t *v = json_object_get(o, "data_offsets"), *a = json_array_get(v, 0), *b = json_array_get(v, 1);
    if (json_array_size(v) != 2 || !json_is_integer(a) || !json_is_integer(b))
        return fail(err, DREAMO_FORMAT, "%s: tensor \"%.200s\": data_offsets is not a pair of whole numbers", path, name);
    unsigned long long from = (unsigned long long)json_integer_value(a), to = (unsigned long long)json_integer_value(b);
    if (from > to) return fail(err, DREAMO_FORMAT, "%s: tensor \"%.200s\": offsets %llu..%llu run backwards", path, name, from, to);
    if (to > room)
        return fail(err, DREAMO_FORMAT, "%s: tensor \"%.200s\": offsets %llu..%llu run past the end of the data (%zu bytes); the file is cut short", path, name, from, to, room);
    if (to - from != t->nbytes)
        return fail(err, DREAMO_FORMAT, "%s: tensor \"%.200s\": offsets hold %llu bytes, its shape and dtype need %zu", path, name, to - from, t->nbytes);
    t->data = (const void *)(uintptr_t)from;
    return DREAMO_OK;
}

/* No NUL can be in it: the JSON reader refuses such keys. */
static dreamo_status check_name(const char *path, const char *name, size_t length, dreamo_error *err)
{
    if (length == 0) return fail(err, DREAMO_FORMAT, "%s: a tensor has an empty name", path);
    if (length > ST_MAX_NAME) return fail(err, DREAMO_FORMAT, "%s: tensor \"%.60s...\": its name has %zu bytes, at most %d are allowed", path, name, length, ST_MAX_NAME);
    return DREAMO_OK;
}

static dreamo_status read_tensor(const char *path, const char *name, const json_t *o, size_t room, st_tensor *t, dreamo_error *err)
{
    if (!json_is_object(o)) return fail(err, DREAMO_FORMAT, "%s: tensor \"%.200s\": is not an object", path, name);
    dreamo_status s = read_dtype(path, name, o, t, err);
    if (!s) s = read_shape(path, name, o, t, err);
    if (!s) s = read_offsets(path, name, o, room, t, err);
    if (!s && json_object_size(o) != 3) s = fail(err, DREAMO_FORMAT, "%s: tensor \"%.200s\": has fields beside dtype, shape and data_offsets", path, name);
    return s;
}

/* ---- the whole header ---- */

static dreamo_status read_meta(st_file *f, const json_t *meta, char **at, dreamo_error *err)
{
    const char *key;
    json_t *value;
    size_t total = 0;
    if (!json_is_object(meta)) return fail(err, DREAMO_FORMAT, "%s: __metadata__ is not an object", f->path);
    json_object_foreach((json_t *)(uintptr_t)meta, key, value) {
        if (!json_is_string(value)) return fail(err, DREAMO_FORMAT, "%s: __metadata__: \"%.100s\" is not a string", f->path, key);
        total += strlen(key) + json_string_length(value);
        if (total > MAX_META) return fail(err, DREAMO_FORMAT, "%s: __metadata__ is longer than %d bytes", f->path, MAX_META);
        f->meta_key[f->nmeta] = memcpy(*at, key, strlen(key) + 1);
        *at += strlen(key) + 1;
        f->meta_value[f->nmeta++] = memcpy(*at, json_string_value(value), json_string_length(value) + 1);
        *at += json_string_length(value) + 1;
    }
    return DREAMO_OK;
}

static int by_name(const void *a, const void *b) { return strcmp(((const st_tensor *)a)->name, ((const st_tensor *)b)->name); }

static int by_offset(const void *a, const void *b)
{
    const st_tensor *x = a, *y = b;
    uintptr_t p = (uintptr_t)x->data, q = (uintptr_t)y->data;
    if (p != q) return p < q ? -1 : 1;
    return x->nbytes < y->nbytes ? -1 : x->nbytes > y->nbytes; /* empty tensors first */
}

/* Rule 7: in order of offset, each begins where the last one ended; the last one ends the file. */
static dreamo_status check_cover(st_file *f, size_t room, dreamo_error *err)
{
    size_t end = 0;
    if (f->ntensors) qsort(f->tensors, (size_t)f->ntensors, sizeof *f->tensors, by_offset);
    for (int i = 0; i < f->ntensors; i++) {
        const st_tensor *t = &f->tensors[i];
        size_t from = (uintptr_t)t->data;
        if (from != end)
            return fail(err, DREAMO_FORMAT, "%s: tensor \"%.200s\": begins at byte %zu, the one before ends at %zu", f->path, t->name, from, end);
        end += t->nbytes;
    }
    if (end != room) {
        fail(err, DREAMO_FORMAT, "%s: %zu bytes of data are in no tensor", f->path, room - end);
        return hint(err, "it is not as it was written: fetch it again");
    }
    return DREAMO_OK;
}

/* What a file that is cut short should have had: the end of the last tensor. */
static unsigned long long data_end(const json_t *header)
{
    const char *name;
    json_t *value;
    unsigned long long end = 0;
    json_object_foreach((json_t *)(uintptr_t)header, name, value) {
        json_int_t to = json_integer_value(json_array_get(json_object_get(value, "data_offsets"), 1));
        if (to > 0 && (unsigned long long)to > end) end = (unsigned long long)to;
    }
    return end;
}

static dreamo_status read_header(st_file *f, const json_t *header, size_t nheader, dreamo_error *err)
{
    const char *name;
    json_t *value;
    const json_t *meta = json_object_get(header, "__metadata__");
    size_t room = f->map.nbytes - 8 - nheader, count = json_object_size(header) - (meta ? 1 : 0);
    if (count > MAX_TENSORS) return fail(err, DREAMO_LIMIT, "%s: %zu tensors, at most %d are allowed", f->path, count, MAX_TENSORS);
    f->tensors = mem_calloc(count + 1, sizeof *f->tensors);
    f->meta_key = mem_calloc(json_object_size(meta) + 1, sizeof *f->meta_key);
    f->meta_value = mem_calloc(json_object_size(meta) + 1, sizeof *f->meta_value);
    char *at = f->strings = mem_alloc(nheader + 16); /* names unescape to no more bytes than they were */
    if (!f->tensors || !f->meta_key || !f->meta_value || !f->strings) return fail(err, DREAMO_MEMORY, "%s: no memory for its header", f->path);
    dreamo_status s = meta ? read_meta(f, meta, &at, err) : DREAMO_OK;
    json_object_foreach((json_t *)(uintptr_t)header, name, value) {
        if (s) break;
        if (value == meta) continue;
        st_tensor *t = &f->tensors[f->ntensors];
        size_t length = strlen(name);
        s = check_name(f->path, name, length, err);
        if (!s) s = read_tensor(f->path, name, value, room, t, err);
        if (!s) {
            t->name = memcpy(at, name, length + 1);
            at += length + 1;
            f->ntensors++;
        }
    }
    unsigned long long end = s == DREAMO_FORMAT ? data_end(header) : 0;
    if (end > room && end < ST_MAX_FILE) return hint(err, "%llu of the file's %llu bytes are missing: fetch it again", end - room, end + 8 + nheader);
    if (!s) s = check_cover(f, room, err);
    if (s) return s;
    for (int i = 0; i < f->ntensors; i++) f->tensors[i].data = f->map.data + 8 + nheader + (uintptr_t)f->tensors[i].data;
    if (f->ntensors) qsort(f->tensors, (size_t)f->ntensors, sizeof *f->tensors, by_name);
    return DREAMO_OK;
}

/* ---- the first eight bytes ---- */

/* Rules 1 and 2, with nothing read beyond the length. */
static dreamo_status read_length(const char *path, const filemap *map, size_t *out, dreamo_error *err)
{
    uint64_t n = 0;
    for (int i = 7; i >= 0 && map->nbytes >= 8; i--) n = n << 8 | map->data[i];
    if (n > 0 && n <= MAX_HEADER && n <= map->nbytes - 8) {
        *out = (size_t)n;
        return DREAMO_OK;
    }
    sniffed is = sniff(map->data, map->nbytes);
    if (is.what) {
        fail(err, DREAMO_FORMAT, "%s: is %s", path, is.what);
        return hint(err, "%s", is.instead);
    }
    if (map->nbytes < 8) return fail(err, DREAMO_FORMAT, "%s: %zu bytes; a safetensors file has at least 8", path, map->nbytes);
    if (n == 0 || n > MAX_HEADER) {
        fail(err, DREAMO_FORMAT, "%s: is not a safetensors file: by its first bytes it has a header of %llu bytes, at most %u are allowed", path,
             (unsigned long long)n, MAX_HEADER);
        return hint(err, "name another file, or fetch it again");
    }
    fail(err, DREAMO_FORMAT, "%s: a header of %llu bytes in a file of %zu; the file is cut short", path, (unsigned long long)n, map->nbytes);
    return hint(err, "at least %llu bytes are missing: fetch it again", (unsigned long long)n + 8 - map->nbytes);
}

static dreamo_status st_read(st_file *f, dreamo_error *err)
{
    json_t *header = NULL;
    size_t n = 0;
    dreamo_status s = read_length(f->path, &f->map, &n, err);
    const char *text = s ? NULL : (const char *)f->map.data + 8;
    if (!s) s = check_text(f->path, text, n, err);
    if (!s) s = json_parse(text, n, f->path, &header, err);
    if (!s && !json_is_object(header)) s = fail(err, DREAMO_FORMAT, "%s: the header is not an object", f->path);
    if (!s) s = read_header(f, header, n, err);
    f->header_nbytes = 8 + n;
    json_decref(header);
    return s;
}

static dreamo_status read_any(st_file *f, dreamo_error *err)
{
    const unsigned char *data = f->map.data;
    size_t n = f->map.nbytes;
    return gguf_is(data, n) ? gguf_read(f, err) : pth_is(data, n) ? pth_read(f, err) : onnx_is(data, n) ? onnx_read(f, err) : st_read(f, err);
}

static dreamo_status open_as(const char *path, bool any, st_file *out, dreamo_error *err)
{
    *out = (st_file){ .map.fd = -1, .path = mem_strdup(path) };
    if (!out->path) return fail(err, DREAMO_MEMORY, "%s: no memory", path);
    dreamo_status s = file_map(path, &out->map, err);
    if (!s) s = any ? read_any(out, err) : st_read(out, err);
    if (s) st_close(out);
    return s;
}

dreamo_status st_open(const char *path, st_file *out, dreamo_error *err) { return open_as(path, false, out, err); }
dreamo_status st_open_any(const char *path, st_file *out, dreamo_error *err) { return open_as(path, true, out, err); }

void st_close(st_file *f)
{
    file_unmap(&f->map);
    mem_free(f->path);
    mem_free(f->tensors);
    mem_free(f->meta_key);
    mem_free(f->meta_value);
    mem_free(f->strings);
    *f = (st_file){ .map.fd = -1 };
}

st_tensor *st_find(const st_file *f, const char *name)
{
    st_tensor key = { .name = name };
    return f->ntensors ? bsearch(&key, f->tensors, (size_t)f->ntensors, sizeof key, by_name) : NULL;
}

const char *st_meta(const st_file *f, const char *key)
{
    for (int i = 0; i < f->nmeta; i++)
        if (strcmp(f->meta_key[i], key) == 0) return f->meta_value[i];
    return NULL;
}
