/* adapter_set.c - naming, beginning and attaching DreamO's trainable parameters. */
#include "train/stages/adapter_set.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"

/* ---- naming ---- */

static dreamo_status add_matrix(params *p, const char *name, int64_t rows, int64_t cols, int *slot, dreamo_error *err)
{
    *slot = p->n;
    return params_add(p, name, 2, (const int64_t[]){ rows, cols }, err);
}

static dreamo_status add_pair(adapter_set *a, params *p, weight *w, int row0, int rows, int rank, dreamo_error *err,
                              const char *format, ...)
    __attribute__((format(printf, 8, 9)));

/* `format` makes the stem.  DreamO's own end in .down and .up, kohya's in .lora_down and .lora_up. */
static dreamo_status add_pair(adapter_set *a, params *p, weight *w, int row0, int rows, int rank, dreamo_error *err,
                              const char *format, ...)
{
    char stem[128], name[160];
    const char *lora = strncmp(format, "lora_", 5) == 0 ? "lora_" : "";
    adapter_module *m = &a->module[a->n++];
    *m = (adapter_module){ .w = w, .a = { .row0 = row0, .rows = rows, .rank = rank, .scale = 1 } };
    va_list ap;
    va_start(ap, format);
    vsnprintf(stem, sizeof stem, format, ap);
    va_end(ap);
    snprintf(name, sizeof name, "%s.%sdown.weight", stem, lora);
    dreamo_status s = add_matrix(p, name, rank, w->in, &m->down, err);
    snprintf(name, sizeof name, "%s.%sup.weight", stem, lora);
    return s ? s : add_matrix(p, name, rows, rank, &m->up, err);
}

static dreamo_status add_tables(adapter_set *a, params *p, int slots, int width, int text_width, dreamo_error *err)
{
    dreamo_status s = add_matrix(p, tables_names[0], 2, width, &a->task_slot, err);
    if (!s) s = add_matrix(p, tables_names[1], slots, width, &a->idx_slot, err);
    if (!s && a->t5_first >= 0) s = add_matrix(p, tables_names[2], DREAMO_T5_ROWS, text_width, &a->t5_slot, err);
    /* embeddings are looked up, not multiplied: decay would only pull them to zero */
    for (int i = a->task_slot; !s && i < p->n; i++) p->slot[i].decay = false;
    return s;
}

static dreamo_status begin(adapter_set *a, int modules, int t5_first, dreamo_error *err)
{
    *a = (adapter_set){ .task_slot = -1, .idx_slot = -1, .t5_slot = -1, .t5_first = t5_first };
    a->module = mem_calloc((size_t)modules + 1, sizeof *a->module);
    return a->module ? DREAMO_OK : fail(err, DREAMO_MEMORY, "no memory for %d adapters", modules);
}

static dreamo_status add_pairs(adapter_set *a, params *p, dit *m, int rank, dreamo_error *err)
{
    const dit_config *c = &m->config;
    int d = c->heads * c->head_dim;
    dreamo_status s = DREAMO_OK;
    for (int i = 0; !s && i < c->layers; i++)
        for (int stream = 0; !s && stream < 2; stream++) { /* 1: image, 2: text */
            dit_stream *w = stream == 0 ? &m->doubles[i].img : &m->doubles[i].txt;
            s = add_pair(a, p, &w->qkv, 0, 3 * d, rank, err, "double_blocks_%d_processor_qkv_lora%d", i, stream + 1);
            if (!s) s = add_pair(a, p, &w->proj, 0, d, rank, err, "double_blocks_%d_processor_proj_lora%d", i, stream + 1);
        }
    for (int i = 0; !s && i < c->single_layers; i++) {
        s = add_pair(a, p, &m->singles[i].in, 0, 3 * d, rank, err, "single_blocks_%d_processor_qkv_lora", i);
        if (!s) s = add_pair(a, p, &m->singles[i].out, 0, d, rank, err, "single_blocks_%d_processor_proj_lora", i);
    }
    return s;
}

/* Every linear layer of the blocks, modulation included, under kohya's names: DreamO's have no word for them. */
static dreamo_status add_pairs_everywhere(adapter_set *a, params *p, dit *m, int rank, dreamo_error *err)
{
    static const char *const streams[] = { "img", "txt" };
    dreamo_status s = DREAMO_OK;
    for (int i = 0; !s && i < 2 * m->config.layers; i++) {
        dit_stream *w = i % 2 ? &m->doubles[i / 2].txt : &m->doubles[i / 2].img;
        const struct { weight *w; const char *name; } part[] = {
            { &w->mod, "mod_lin" }, { &w->qkv, "attn_qkv" }, { &w->proj, "attn_proj" }, { &w->mlp_in, "mlp_0" }, { &w->mlp_out, "mlp_2" } };
        for (size_t k = 0; !s && k < sizeof part / sizeof *part; k++)
            s = add_pair(a, p, part[k].w, 0, part[k].w->out, rank, err, "lora_unet_double_blocks_%d_%s_%s", i / 2, streams[i % 2], part[k].name);
    }
    for (int i = 0; !s && i < m->config.single_layers; i++) {
        dit_single *w = &m->singles[i];
        s = add_pair(a, p, &w->mod, 0, w->mod.out, rank, err, "lora_unet_single_blocks_%d_modulation_lin", i);
        if (!s) s = add_pair(a, p, &w->in, 0, w->in.out, rank, err, "lora_unet_single_blocks_%d_linear1", i);
        if (!s) s = add_pair(a, p, &w->out, 0, w->out.out, rank, err, "lora_unet_single_blocks_%d_linear2", i);
    }
    return s;
}

dreamo_status adapter_set_pairs(adapter_set *a, params *p, dit *m, int rank, bool everywhere, dreamo_error *err)
{
    const dit_config *c = &m->config;
    dreamo_status s = begin(a, everywhere ? 10 * c->layers + 3 * c->single_layers : 4 * c->layers + 2 * c->single_layers, -1, err);
    return s ? s : (everywhere ? add_pairs_everywhere : add_pairs)(a, p, m, rank, err);
}

dreamo_status adapter_set_fresh(adapter_set *a, params *p, dit *m, int rank, const t5 *text, int t5_first, dreamo_error *err)
{
    const dit_config *c = &m->config;
    dreamo_status s = begin(a, 4 * c->layers + 2 * c->single_layers, t5_first, err);
    if (!s) s = add_pairs(a, p, m, rank, err);
    return s ? s : add_tables(a, p, 1 + CONDITION_REFS, c->heads * c->head_dim, text->config.width, err);
}

static dreamo_status pairs_from_file(adapter_set *a, params *p, const lora_file *f, int t5_first, dreamo_error *err)
{
    if (f->nchanges || f->nvectors) return fail(err, DREAMO_MISMATCH, "%s: only a plain LoRA is trained on; this holds LoKr, LoHa, OFT, DoRA or differences", f->path);
    dreamo_status s = begin(a, f->nmodules, t5_first, err);
    for (int i = 0; !s && i < f->nmodules; i++) {
        const lora_module *from = &f->modules[i];
        adapter_module *m = &a->module[a->n++];
        char name[192];
        *m = (adapter_module){ .w = from->w, .a = from->a };
        m->a.next = NULL;
        snprintf(name, sizeof name, "%s%s", from->stem, from->suffix_A);
        s = add_matrix(p, name, from->a.rank, from->w->in, &m->down, err);
        snprintf(name, sizeof name, "%s%s", from->stem, from->suffix_B);
        if (!s) s = add_matrix(p, name, from->a.rows, from->a.rank, &m->up, err);
    }
    return s;
}

dreamo_status adapter_set_from_file(adapter_set *a, params *p, const lora_file *f, int t5_first, dreamo_error *err)
{
    if (!f->tables.task || !f->tables.idx || !f->tables.t5)
        return fail(err, DREAMO_MISMATCH, "%s: has no task, index and T5 embedding tables", f->path);
    dreamo_status s = pairs_from_file(a, p, f, t5_first, err);
    return s ? s : add_tables(a, p, f->tables.nslots, f->tables.width, f->tables.text_width, err);
}

dreamo_status adapter_set_pairs_from_file(adapter_set *a, params *p, const lora_file *f, dreamo_error *err) { return pairs_from_file(a, p, f, -1, err); }

/* ---- beginning ---- */

/* A as torch's linear layers begin, U(-1, 1) / sqrt(in); B and the tables zero. */
static void begin_fresh(adapter_set *a, params *p, uint64_t seed)
{
    for (int i = 0; i < a->n; i++) {
        const param_slot *s = &p->slot[a->module[i].down];
        rng r = rng_new(seed, hash_fnv1a(s->name, strlen(s->name)));
        double bound = 1 / sqrt((double)s->shape[1]);
        for (size_t k = 0; k < s->count; k++) p->value[s->at + k] = (float)rng_range(&r, -bound, bound);
    }
}

static void copy_slot(params *p, int slot, const float *from)
{
    memcpy(p->value + p->slot[slot].at, from, p->slot[slot].count * sizeof(float));
}

static void begin_from_file(adapter_set *a, params *p, const lora_file *f)
{
    for (int i = 0; i < a->n; i++) {
        copy_slot(p, a->module[i].down, f->modules[i].a.A);
        copy_slot(p, a->module[i].up, f->modules[i].a.B);
    }
    if (a->task_slot < 0) return;
    copy_slot(p, a->task_slot, f->tables.task);
    copy_slot(p, a->idx_slot, f->tables.idx);
    if (a->t5_slot >= 0) copy_slot(p, a->t5_slot, f->tables.t5);
}

/* ---- attaching ---- */

static void table(weight *w, const char *name, const params *p, int slot)
{
    const param_slot *s = &p->slot[slot];
    int rows = (int)s->shape[0];
    *w = (weight){ .name = name, .in = (int)s->shape[1], .out = rows, .kh = 1, .kw = 1, .nparts = 1,
                   .part = { { .rows = rows, .type = DT_F32, .data = p->value + s->at, .grad = p->grad + s->at } } };
}

/* The T5 table in three: rows before the added tokens, theirs, rows after (spec 2.5). */
static dreamo_status split_t5(adapter_set *a, params *p, t5 *text, const lora_file *f, bool train, dreamo_error *err)
{
    weight *w = &text->embed;
    const weight_part whole = w->part[0];
    const param_slot *s = &p->slot[a->t5_slot];
    float *mine = p->value + s->at;
    if (!t5_replace_rows(text, a->t5_first, DREAMO_T5_ROWS, mine))
        return fail(err, DREAMO_MISMATCH, "the T5 table has %d rows, [ref#1] to [res] need rows %d to %d", whole.rows, a->t5_first,
                    a->t5_first + DREAMO_T5_ROWS - 1);
    if (train) w->part[1].grad = p->grad + s->at;
    if (f || !whole.data) return DREAMO_OK;
    dtype_to_f32(whole.type, (const char *)whole.data + dtype_nbytes_of(whole.type, (size_t)a->t5_first * (size_t)w->in), s->count, mine);
    for (size_t i = 0; whole.row_scale && i < s->count; i++) mine[i] *= whole.row_scale[(size_t)a->t5_first + i / (size_t)w->in];
    return DREAMO_OK;
}

dreamo_status adapter_set_attach(adapter_set *a, params *p, const lora_file *f, uint64_t seed, t5 *text, bool train_t5,
                                 dreamo_error *err)
{
    if (f) begin_from_file(a, p, f);
    else begin_fresh(a, p, seed);
    for (int i = 0; i < a->n; i++) {
        adapter_module *m = &a->module[i];
        m->a.A = p->value + p->slot[m->down].at;
        m->a.B = p->value + p->slot[m->up].at;
        m->a.grad_A = p->grad + p->slot[m->down].at;
        m->a.grad_B = p->grad + p->slot[m->up].at;
    }
    adapter_set_switch(a, true);
    if (a->task_slot < 0) return DREAMO_OK;
    table(&a->task, tables_names[0], p, a->task_slot);
    table(&a->idx, tables_names[1], p, a->idx_slot);
    return a->t5_slot >= 0 ? split_t5(a, p, text, f, train_t5, err) : DREAMO_OK;
}

void adapter_set_use(adapter_set *a, const params *p, const float *vector, t5 *text)
{
    for (int i = 0; i < a->n; i++) {
        adapter_module *m = &a->module[i];
        m->a.A = vector + p->slot[m->down].at;
        m->a.B = vector + p->slot[m->up].at;
    }
    if (a->task_slot < 0) return;
    a->task.part[0].data = vector + p->slot[a->task_slot].at;
    a->idx.part[0].data = vector + p->slot[a->idx_slot].at;
    if (a->t5_slot >= 0) text->embed.part[1].data = vector + p->slot[a->t5_slot].at;
}

void adapter_set_switch(adapter_set *a, bool on)
{
    for (int i = 0; i < a->n; i++) {
        adapter *mine = &a->module[i].a, **at = &a->module[i].w->adapters;
        while (*at && *at != mine) at = &(*at)->next;
        if (*at == mine) *at = mine->next;
        mine->next = NULL;
        while (on && *at) at = &(*at)->next;
        if (on) *at = mine;
    }
}

void adapter_set_freeze_tables(adapter_set *a) { a->task.part[0].grad = a->idx.part[0].grad = NULL; }

void adapter_set_free(adapter_set *a)
{
    if (a->module) adapter_set_switch(a, false);
    mem_free(a->module);
    *a = (adapter_set){ 0 };
}
