/* merge.c - copies of layers, and taking them back. */
#include "weights/lora/merge.h"

#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "weights/stored.h"

enum { CHUNK = 16 }; /* rows at a time */

/* One more place in a growing list; NULL: no memory. */
static void *grown(void *list, int n, int *room, size_t each)
{
    if (n < *room) return list;
    int more = *room ? 2 * *room : 64;
    void *p = mem_realloc(list, (size_t)more * each);
    if (p) *room = more;
    return p;
}

/* ---- matrices ---- */

static merged_layer *find_layer(lora_merged *m, const weight *w)
{
    for (int i = 0; i < m->nlayers; i++)
        if (m->layers[i].w == w) return &m->layers[i];
    return NULL;
}

static bool overlap(int row0, int rows, int start, int n) { return row0 < start + n && start < row0 + rows; }

/* Bytes of fp32 copies that f's changes want. */
static uint64_t copies_nbytes(lora_merged *m, const lora_file *f)
{
    uint64_t n = 0;
    for (int i = 0; i < f->nchanges; i++) {
        const lora_change *c = &f->changes[i];
        const merged_layer *l = find_layer(m, c->w);
        for (int k = 0, start = 0; k < c->w->nparts; start += c->w->part[k++].rows)
            if (overlap(c->row0, c->rows, start, c->w->part[k].rows) && !(l && l->data[k]))
                n += (uint64_t)c->w->part[k].rows * (uint64_t)c->w->in * sizeof(float);
    }
    return n;
}

/* A pair of thin matrices as a change. */
static lora_change of_pair(const lora_module *module)
{
    const adapter *a = &module->a;
    return (lora_change){ .kind = CHANGE_PRODUCT, .w = module->w, .row0 = a->row0, .rows = a->rows, .strength = a->scale, .scale = 1, .f = { a->B, a->A }, .n = { a->rank } };
}

static dreamo_status check_memory(lora_merged *m, const lora_file *f, dreamo_error *err)
{
    uint64_t needs = copies_nbytes(m, f), free = memory_free();
    if (!free || needs <= free) return DREAMO_OK;
    fail(err, DREAMO_MEMORY, "%s: its changes have no low-rank form, and layers with them added take %.1f GB, of which %.1f are free", f->path,
         (double)needs * 1e-9, (double)free * 1e-9);
    return hint(err, "store the model with it once: dreamo convert MODEL -o OUT.gguf --fuse %.120s", f->path);
}

typedef struct rows_job { merged_layer *l; const lora_change *c; int start, rows; float *data; } rows_job; /* part `data` begins at row `start` of the layer */

static void copy_rows(void *arg, int task, int worker)
{
    const rows_job *j = arg;
    int r = task * CHUNK, n = j->rows - r < CHUNK ? j->rows - r : CHUNK;
    (void)worker;
    stored_values(&j->l->was, j->start + r, n, 0, j->l->w->in, j->data + (size_t)r * (size_t)j->l->w->in);
}

static void add_rows(void *arg, int task, int worker)
{
    const rows_job *j = arg;
    int r = task * CHUNK, n = j->rows - r < CHUNK ? j->rows - r : CHUNK;
    (void)worker;
    change_add_rows(j->c, &j->l->was, j->start + r, n, j->data + (size_t)r * (size_t)j->l->w->in);
}

static void for_rows(pool *threads, rows_job *j, pool_fn fn) { pool_run(threads, (j->rows + CHUNK - 1) / CHUNK, fn, j); }

/* The part's numbers in memory of ours. */
static bool copy_part(merged_layer *l, int k, int start, pool *threads)
{
    weight_part *p = &l->w->part[k];
    float *data = mem_aligned((size_t)p->rows * (size_t)l->w->in * sizeof *data);
    if (!data) return false;
    for_rows(threads, &(rows_job){ .l = l, .start = start, .rows = p->rows, .data = data }, copy_rows);
    l->data[k] = data;
    p->type = DT_F32;
    p->data = data;
    p->row_scale = NULL;
    p->held = true;
    return true;
}

static dreamo_status merge_change(lora_merged *m, const lora_change *c, const char *path, pool *threads, dreamo_error *err)
{
    merged_layer *l = find_layer(m, c->w);
    if (!l) {
        merged_layer *list = grown(m->layers, m->nlayers, &m->layer_room, sizeof *list);
        if (!list) return fail(err, DREAMO_MEMORY, "%s: no memory for a list of layers", path);
        m->layers = list;
        l = &list[m->nlayers++];
        *l = (merged_layer){ .w = c->w, .was = *c->w };
    }
    for (int k = 0, start = 0; k < c->w->nparts; start += c->w->part[k++].rows) {
        int rows = c->w->part[k].rows;
        if (!overlap(c->row0, c->rows, start, rows)) continue;
        if (!l->data[k] && !copy_part(l, k, start, threads)) return fail(err, DREAMO_MEMORY, "%s: no memory for a layer of %d x %d", path, rows, c->w->in);
        for_rows(threads, &(rows_job){ l, c, start, rows, l->data[k] }, add_rows);
    }
    return DREAMO_OK;
}

/* ---- vectors ---- */

static dreamo_status merge_vector(lora_merged *m, const lora_vector *v, const char *path, dreamo_error *err)
{
    merged_vector *at = NULL;
    for (int i = 0; i < m->nvectors && !at; i++)
        if (m->vectors[i].place == v->place) at = &m->vectors[i];
    if (!at) {
        merged_vector *list = grown(m->vectors, m->nvectors, &m->vector_room, sizeof *list);
        if (list) m->vectors = list;
        float *copy = list ? mem_alloc((size_t)v->n * sizeof *copy) : NULL;
        if (!copy) return fail(err, DREAMO_MEMORY, "%s: no memory for a vector", path);
        at = &list[m->nvectors++];
        *at = (merged_vector){ v->place, *v->place, copy };
        memcpy(copy, *v->place, (size_t)v->n * sizeof *copy);
        *v->place = copy;
    }
    for (int i = 0; i < v->n; i++) at->copy[i] += v->factor * v->add[i];
    return DREAMO_OK;
}

dreamo_status lora_merge(lora_merged *m, const lora_file *f, bool vectors_only, pool *threads, dreamo_error *err)
{
    dreamo_status s = vectors_only ? DREAMO_OK : check_memory(m, f, err);
    for (int i = 0; s == DREAMO_OK && !vectors_only && i < f->nchanges; i++) s = merge_change(m, &f->changes[i], f->path, threads, err);
    for (int i = 0; s == DREAMO_OK && !vectors_only && i < f->nmodules; i++) {
        lora_change pair = of_pair(&f->modules[i]);
        if (f->modules[i].merge) s = merge_change(m, &pair, f->path, threads, err);
    }
    for (int i = 0; s == DREAMO_OK && i < f->nvectors; i++) s = merge_vector(m, &f->vectors[i], f->path, err);
    return s;
}

void lora_unmerge(lora_merged *m)
{
    for (int i = 0; i < m->nlayers; i++)
        for (int k = 0; k < WEIGHT_PARTS; k++) {
            if (m->layers[i].data[k]) m->layers[i].w->part[k] = m->layers[i].was.part[k];
            mem_free(m->layers[i].data[k]);
        }
    for (int i = 0; i < m->nvectors; i++) {
        *m->vectors[i].place = m->vectors[i].was;
        mem_free(m->vectors[i].copy);
    }
    mem_free(m->layers);
    mem_free(m->vectors);
    *m = (lora_merged){ 0 };
}
