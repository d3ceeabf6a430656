/* convert.c - dreamo_convert: tensor by tensor from the source's map into the output, a few rows in memory at a time. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "base/file.h"
#include "base/mem.h"
#include "base/options.h"
#include "format/gguf_write.h"
#include "weights/convert_job.h"
#include "weights/prep/convert_prep.h"

enum { BATCH = 4 << 20 }; /* numbers between two writes */

void dreamo_convert_options_init_sized(dreamo_convert_options *o, size_t nbytes)
{
    const dreamo_convert_options usual = { .size = sizeof usual };
    options_give(o, nbytes, &usual, sizeof usual);
}

/* ---- fp8: the scale of a matrix gives its largest magnitude the largest number of the type ---- */

#define F8_E4M3_MOST 448.0f

static float most_of(const float *x, size_t n)
{
    float most = 0;
    for (size_t i = 0; i < n; i++) {
        float m = fabsf(x[i]);
        most = m > most || m != m ? m : most; /* a NaN stays */
        if (m != m) return m;
    }
    return most;
}

typedef struct measure { const convert_tensor *t; float *most; /* a worker */ } measure;

static bool take_most(void *user, int64_t row0, int n, float *rows, int worker)
{
    measure *m = user;
    (void)row0;
    m->most[worker] = fmaxf(m->most[worker], most_of(rows, (size_t)n * (size_t)m->t->cols));
    return true; /* what is not finite is refused when it is written */
}

static dreamo_status measure_one(convert_job *j, int i, dreamo_error *err)
{
    convert_tensor *t = &j->list.tensors[i];
    int threads = pool_threads(j->threads);
    measure m = { t, mem_calloc((size_t)threads, sizeof *m.most) };
    if (!m.most) return fail(err, DREAMO_MEMORY, "no memory to measure %s", t->name);
    dreamo_status s = convert_walk(t, j->o->official, 0, t->rows, j->threads, take_most, &m, err);
    float most = 0;
    for (int k = 0; k < threads; k++) most = fmaxf(most, m.most[k]);
    j->scales[i] = t->scale = most > 0 && isfinite(most) ? most / F8_E4M3_MOST : 1;
    mem_free(m.most);
    return s ? s : convert_job_advance(j, t->rows * t->cols, err);
}

static bool wants_scale(const convert_tensor *t) { return t->type == DT_F8_E4M3 && t->w; }

static dreamo_status measure_all(convert_job *j, dreamo_error *err)
{
    dreamo_status s = DREAMO_OK;
    for (int i = 0; !s && i < j->list.n; i++)
        if (wants_scale(&j->list.tensors[i])) s = measure_one(j, i, err);
    return s;
}

/* ---- writing ---- */

typedef struct batch { const convert_tensor *t; int64_t row0; unsigned char *bytes; } batch;

/* Into the batch, as the type asks; false: not finite, or too large. */
static bool take_encoded(void *user, int64_t row0, int n, float *rows, int worker)
{
    const batch *b = user;
    const convert_tensor *t = b->t;
    size_t count = (size_t)n * (size_t)t->cols, row = dtype_nbytes_of(t->type, (size_t)t->cols);
    (void)worker;
    float most = most_of(rows, count);
    if (!(most <= (t->type == DT_F16 ? 65504.0f : 0x1.FEp127f))) return false;
    for (size_t k = 0; t->scale != 1 && k < count; k++) rows[k] /= t->scale;
    dtype_from_f32(t->type, rows, count, b->bytes + (size_t)(row0 - b->row0) * row);
    return true;
}

static dreamo_status fill(void *user, int i, filewriter *w, dreamo_error *err)
{
    convert_job *j = user;
    const convert_tensor *t = &j->list.tensors[i];
    int64_t step = BATCH / t->cols / CONVERT_ROWS * CONVERT_ROWS;
    if (step < CONVERT_ROWS) step = CONVERT_ROWS;
    if (step > t->rows) step = t->rows;
    size_t row = dtype_nbytes_of(t->type, (size_t)t->cols);
    batch b = { .t = t, .bytes = mem_alloc((size_t)step * row) };
    dreamo_status s = b.bytes ? DREAMO_OK : fail(err, DREAMO_MEMORY, "no memory for rows of %s", t->name);
    for (; !s && b.row0 < t->rows; b.row0 += step) {
        int64_t n = t->rows - b.row0 < step ? t->rows - b.row0 : step;
        s = convert_walk(t, j->o->official, b.row0, n, j->threads, take_encoded, &b, err);
        if (!s) s = file_write(w, b.bytes, (size_t)n * row, err);
        if (!s) s = convert_job_advance(j, n * t->cols, err);
    }
    mem_free(b.bytes);
    bind_forget(&j->files); /* what was read is not read again soon: memory for one tensor, not for the model */
    return s;
}

/* llama.cpp's number for "mostly of this type"; programs show it, none depends on it. */
static uint32_t file_type(dtype t)
{
    switch (t) {
    case DT_F16: return 1;
    case DT_Q4_0: return 2;
    case DT_Q4_1: return 3;
    case DT_Q8_0: return 7;
    case DT_Q5_0: return 8;
    case DT_Q5_1: return 9;
    case DT_Q4_K: return 14;
    case DT_Q5_K: return 16;
    case DT_Q6_K: return 18;
    case DT_BF16: return 32;
    default: return 0;
    }
}

static dreamo_status write_gguf(convert_job *j, dreamo_error *err)
{
    const gguf_meta meta[] = {
        { "general.architecture", j->dit ? "flux" : "t5encoder", 0 }, { "general.quantization_version", NULL, 2 },
        { "general.file_type", NULL, file_type(j->to) }, { "dreamo.fused", j->fused, 0 },
    };
    return gguf_write(j->o->out, j->o->clobber, meta, j->fused ? 4 : 3, j->out, j->list.n, fill, j, err);
}

static dreamo_status write_safetensors(convert_job *j, dreamo_error *err)
{
    const char *const meta[][2] = { { "dreamo.fused", j->fused } };
    return st_write_filled(j->o->out, j->o->clobber, j->out, j->list.n, meta, j->fused != NULL, fill, j, err);
}

/* ---- the public functions ---- */

/* Before hours of work, not after. */
static dreamo_status check_place(const convert_job *j, uint64_t needed, dreamo_error *err)
{
    uint64_t space = 0;
    for (int i = 0; i < j->files.set.nfiles; i++)
        if (file_same(j->files.set.files[i].path, j->o->out)) return fail(err, DREAMO_ARG, "%s: is the file that is converted; name another", j->o->out);
    for (int i = 0; i < j->nloras; i++)
        if (file_same(j->loras[i].path, j->o->out)) return fail(err, DREAMO_ARG, "%s: is a LoRA that is fused; name another", j->o->out);
    if (file_exists(j->o->out) && !j->o->clobber) {
        fail(err, DREAMO_IO, "%s: exists already", j->o->out);
        return hint(err, "--force replaces it");
    }
    dreamo_status s = file_space(j->o->out, &space, err);
    if (s || space >= needed) return s;
    return fail(err, DREAMO_IO, "%s: needs %llu bytes, its disk has %llu free", j->o->out, (unsigned long long)needed, (unsigned long long)space);
}

static void count_costs(const convert_job *j, dreamo_convert_costs *c)
{
    *c = (dreamo_convert_costs){ 0 };
    for (int i = 0; i < j->list.n; i++) {
        const st_tensor *t = &j->out[i];
        int k = 0;
        while (k < c->ntypes && strcmp(c->types[k].type, dtype_name(t->type)) != 0) k++;
        if (k == c->ntypes) c->types[c->ntypes++].type = dtype_name(t->type); /* fewer than eight kinds occur in one file */
        c->types[k].tensors++;
        c->types[k].numbers += (int64_t)t->count;
        c->types[k].bytes += t->nbytes;
        c->bytes += t->nbytes;
    }
}

dreamo_status dreamo_convert_plan(const dreamo_convert_options *o, dreamo_convert_costs *costs, dreamo_error *err)
{
    convert_job j;
    bool prep;
    if (!costs) return fail(err, DREAMO_ARG, "the place for the costs is missing");
    dreamo_status s = convert_prep(o, costs, &prep, err);
    if (prep) return s;
    s = convert_job_open(&j, o, err);
    if (!s) {
        count_costs(&j, costs);
        s = file_space(j.options.out, &costs->free_bytes, err);
    }
    convert_job_close(&j);
    return s;
}

static void count_work(convert_job *j)
{
    for (int i = 0; i < j->list.n; i++)
        j->total += (double)j->out[i].count * (1 + wants_scale(&j->list.tensors[i]) + j->o->verify);
    progress_start(&j->progress, 100);
}

dreamo_status dreamo_convert(const dreamo_convert_options *o, dreamo_error *err)
{
    convert_job j;
    dreamo_convert_costs costs;
    bool prep;
    dreamo_status s = convert_prep(o, NULL, &prep, err);
    if (prep) return s;
    s = convert_job_open(&j, o, err);
    if (!s) {
        count_costs(&j, &costs);
        count_work(&j);
        s = check_place(&j, costs.bytes, err);
    }
    if (!s) s = measure_all(&j, err);
    if (!s) s = j.gguf ? write_gguf(&j, err) : write_safetensors(&j, err);
    if (!s && j.options.verify) s = convert_verify(&j, err);
    convert_job_close(&j);
    return s;
}
