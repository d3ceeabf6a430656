/* tables.c - shapes and types of the three tables. */
#include "weights/tables.h"
#include "base/mem.h"

const char *const tables_names[] = { "dreamo_task_embedding.weight", "dreamo_idx_embedding.weight", "dreamo_t5_embedding.weight", NULL };

/* A table to be found: `last` counts the rows kept from its end, 0 = all. */
typedef struct table { const char *name; int64_t rows_min, rows_max, cols; int last; } table;

/* *out stays NULL when the files do not have it. */
static dreamo_status read_one(const st_set *set, const char *path, const table *want, float **out, int *rows, dreamo_error *err)
{
    const st_tensor *t = st_set_find(set, want->name);
    if (!t) return DREAMO_OK;
    int64_t h = t->rank > 0 ? t->shape[0] : 0, w = t->rank > 1 ? t->shape[1] : 0;
    if (t->rank != 2 || w != want->cols || h < want->rows_min || h > want->rows_max)
        return fail(err, DREAMO_MISMATCH, "%s: %s has shape [%lld, %lld], this model needs [%lld, %lld]", path, t->name, (long long)h,
                    (long long)w, (long long)want->rows_min, (long long)want->cols);
    if (t->type != DT_F32 && t->type != DT_BF16 && t->type != DT_F16 && t->type != DT_F64)
        return fail(err, DREAMO_FORMAT, "%s: %s has type %s, allowed are F32, BF16, F16, F64", path, t->name, dtype_name(t->type));
    *rows = want->last ? want->last : (int)h;
    size_t n = (size_t)*rows * (size_t)w, skipped = t->count - n;
    *out = mem_alloc(n * sizeof **out);
    if (!*out) return fail(err, DREAMO_MEMORY, "%s: no memory for %s", path, t->name);
    dtype_to_f32(t->type, (const char *)t->data + skipped * dtype_nbytes(t->type), n, *out);
    return DREAMO_OK;
}

dreamo_status tables_read(const st_set *set, const char *path, const dit *m, int text_width, dreamo_tables *out, dreamo_error *err)
{
    int width = m->config.heads * m->config.head_dim, rows;
    const table task = { tables_names[0], 2, 2, width, 0 };
    const table idx = { tables_names[1], 2, 1 + CONDITION_REFS, width, 0 };
    const table t5 = { tables_names[2], DREAMO_T5_ROWS, INT32_MAX, text_width, DREAMO_T5_ROWS };
    *out = (dreamo_tables){ .width = width, .text_width = text_width };
    dreamo_status s = read_one(set, path, &task, &out->task, &rows, err);
    if (s == DREAMO_OK) s = read_one(set, path, &idx, &out->idx, &out->nslots, err);
    if (s == DREAMO_OK) s = read_one(set, path, &t5, &out->t5, &rows, err);
    if (s == DREAMO_OK && !out->task != !out->idx)
        s = fail(err, DREAMO_FORMAT, "%s: has %s but not %s", path, out->task ? task.name : idx.name, out->task ? idx.name : task.name);
    return s;
}

void tables_free(dreamo_tables *t)
{
    mem_free(t->task);
    mem_free(t->idx);
    mem_free(t->t5);
    *t = (dreamo_tables){ 0 };
}

void tables_replace(dreamo_tables *to, const dreamo_tables *from)
{
    if (from->task) {
        to->task = from->task;
        to->idx = from->idx;
        to->nslots = from->nslots;
        to->width = from->width;
    }
    if (from->t5) {
        to->t5 = from->t5;
        to->text_width = from->text_width;
    }
}
