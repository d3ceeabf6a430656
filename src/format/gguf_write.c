/* gguf_write.c - header, then each tensor at a multiple of 32 bytes. */
#include "format/gguf_write.h"
#include <string.h>
#include "base/mem.h"

enum { VERSION = 3, MAX_RANK = 4, KIND_U32 = 4, KIND_TEXT = 8 };

/* ggml's number of a type, -1: it has none. */
static int ggml_type(dtype t)
{
    static const signed char types[DT_COUNT] = { /* one more than the number, so that what is not named is 0 */
        [DT_F32] = 1, [DT_F16] = 2, [DT_Q4_0] = 3, [DT_Q4_1] = 4, [DT_Q5_0] = 7, [DT_Q5_1] = 8, [DT_Q8_0] = 9, [DT_Q2_K] = 11,
        [DT_Q3_K] = 12, [DT_Q4_K] = 13, [DT_Q5_K] = 14, [DT_Q6_K] = 15, [DT_I8] = 25, [DT_I16] = 26, [DT_I32] = 27, [DT_I64] = 28,
        [DT_F64] = 29, [DT_BF16] = 31,
    };
    return types[t] - 1;
}

static dreamo_status check(const char *path, const st_tensor *t, size_t *nbytes, dreamo_error *err)
{
    size_t length = strlen(t->name), count = 1;
    bool ok = length > 0 && length <= GGUF_MAX_NAME && t->rank >= 0 && t->rank <= MAX_RANK && ggml_type(t->type) >= 0;
    for (int d = 0; ok && d < t->rank; d++) ok = t->shape[d] > 0 && mul_nbytes(count, (size_t)t->shape[d], &count);
    size_t row = t->rank > 0 && ok ? (size_t)t->shape[t->rank - 1] : 1;
    if (!ok || row % dtype_block(t->type) != 0 || count > SIZE_MAX / 16)
        return fail(err, DREAMO_BUG, "%s: tensor \"%.200s\" of type %s cannot be written: its name, rank or shape is not allowed", path,
                    t->name, dtype_name(t->type));
    *nbytes = dtype_nbytes_of(t->type, count);
    return DREAMO_OK;
}

/* ---- the header: once to count (bytes NULL), once to write ---- */

typedef struct header { unsigned char *bytes; size_t n; } header;

static void put(header *h, uint64_t v, size_t nbytes)
{
    for (size_t i = 0; h->bytes && i < nbytes; i++) h->bytes[h->n + i] = (unsigned char)(v >> (8 * i));
    h->n += nbytes;
}

static void put_text(header *h, const char *s)
{
    size_t n = strlen(s);
    put(h, n, 8);
    if (h->bytes) memcpy(h->bytes + h->n, s, n);
    h->n += n;
}

static size_t aligned(size_t n) { return (n + GGUF_ALIGNMENT - 1) / GGUF_ALIGNMENT * GGUF_ALIGNMENT; }

static void put_header(header *h, const gguf_meta *meta, int nmeta, const st_tensor *tensors, const size_t *nbytes, int ntensors)
{
    size_t at = 0;
    put(h, 0x46554747, 4); /* "GGUF" */
    put(h, VERSION, 4);
    put(h, (uint64_t)ntensors, 8);
    put(h, (uint64_t)nmeta, 8);
    for (int i = 0; i < nmeta; i++) {
        put_text(h, meta[i].key);
        put(h, meta[i].text ? KIND_TEXT : KIND_U32, 4);
        if (meta[i].text) put_text(h, meta[i].text);
        else put(h, meta[i].number, 4);
    }
    for (int i = 0; i < ntensors; i++) {
        const st_tensor *t = &tensors[i];
        put_text(h, t->name);
        put(h, t->rank ? (uint64_t)t->rank : 1, 4);
        if (t->rank == 0) put(h, 1, 8);
        for (int d = t->rank; d-- > 0;) put(h, (uint64_t)t->shape[d], 8);
        put(h, (uint64_t)ggml_type(t->type), 4);
        put(h, at, 8);
        at += aligned(nbytes[i]);
    }
    h->n = aligned(h->n); /* zeros */
}

/* ---- the file ---- */

static dreamo_status write_tensors(filewriter *w, const size_t *nbytes, int ntensors, st_fill fill, void *user, dreamo_error *err)
{
    static const char zeros[GGUF_ALIGNMENT];
    dreamo_status s = DREAMO_OK;
    for (int i = 0; !s && i < ntensors; i++) {
        s = st_fill_one(w, i, nbytes[i], fill, user, err);
        if (!s) s = file_write(w, zeros, aligned(nbytes[i]) - nbytes[i], err);
    }
    return s;
}

dreamo_status gguf_write(const char *path, bool clobber, const gguf_meta *meta, int nmeta, const st_tensor *tensors, int ntensors,
                         st_fill fill, void *user, dreamo_error *err)
{
    filewriter w;
    header h = { 0 };
    size_t *nbytes = mem_calloc((size_t)ntensors + 1, sizeof *nbytes);
    dreamo_status s = nbytes ? DREAMO_OK : fail(err, DREAMO_MEMORY, "%s: no memory for its header", path);
    for (int i = 0; !s && i < ntensors; i++) s = check(path, &tensors[i], &nbytes[i], err);
    if (!s) {
        put_header(&h, meta, nmeta, tensors, nbytes, ntensors);
        h = (header){ .bytes = mem_calloc(h.n, 1) };
        if (h.bytes) put_header(&h, meta, nmeta, tensors, nbytes, ntensors);
        else s = fail(err, DREAMO_MEMORY, "%s: no memory for its header", path);
    }
    if (!s && (s = file_create(&w, path, clobber, err)) == DREAMO_OK) {
        s = file_write(&w, h.bytes, h.n, err);
        if (!s) s = write_tensors(&w, nbytes, ntensors, fill, user, err);
        if (s) file_abort(&w);
        else s = file_commit(&w, err);
    }
    mem_free(h.bytes);
    mem_free(nbytes);
    return s;
}
