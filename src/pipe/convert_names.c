/* convert_names.c - the transformer as the tensors of the original single file (spec 1.2). */
#include <stdarg.h>
#include <stdio.h>
#include "base/mem.h"
#include "pipe/convert.h"

static convert_tensor *add(convert_list *l)
{
    if (l->n == l->room) {
        int room = l->room ? 2 * l->room : 256;
        convert_tensor *more = mem_realloc(l->tensors, (size_t)room * sizeof *more);
        if (!more) {
            l->failed = true;
            return NULL;
        }
        l->tensors = more;
        l->room = room;
    }
    l->tensors[l->n] = (convert_tensor){ .scale = 1 };
    return &l->tensors[l->n++];
}

static bool has_bias(const weight *w)
{
    for (int i = 0; i < w->nparts; i++)
        if (!w->part[i].bias) return false;
    return true;
}

enum { PLAIN = 0, SENSITIVE = 1, SWAPPED = 2 };

/* NAME.weight, and NAME.bias where there is one. */
static void add_weight(convert_list *l, const weight *w, int flags, const char *format, ...) __attribute__((format(printf, 4, 5)));
static void add_weight(convert_list *l, const weight *w, int flags, const char *format, ...)
{
    char stem[sizeof l->tensors->name - 8];
    va_list ap;
    va_start(ap, format);
    vsnprintf(stem, sizeof stem, format, ap);
    va_end(ap);
    for (int bias = 0; bias <= has_bias(w); bias++) {
        convert_tensor *t = add(l);
        if (!t) return;
        snprintf(t->name, sizeof t->name, "%s.%s", stem, bias ? "bias" : "weight");
        t->kind = bias ? SOURCE_BIAS : SOURCE_MATRIX;
        t->w = w;
        t->rows = w->out;
        t->cols = bias ? 1 : w->in;
        t->rank = bias ? 1 : 2;
        t->swapped = flags & SWAPPED;
        t->sensitive = flags & SENSITIVE;
    }
}

void convert_list_values(convert_list *l, int rank, int64_t rows, int64_t cols, const float *values, const char *format, ...)
{
    convert_tensor *t = add(l);
    va_list ap;
    if (!t) return;
    va_start(ap, format);
    vsnprintf(t->name, sizeof t->name, format, ap);
    va_end(ap);
    t->kind = SOURCE_VALUES;
    t->rank = rank;
    t->rows = rows;
    t->cols = cols;
    t->values = values;
}

static void add_vec(convert_list *l, const vec *v, const char *format, int i, const char *stream)
{
    char name[sizeof l->tensors->name];
    snprintf(name, sizeof name, format, i, stream); /* a format of ours, with one or two places */
    convert_list_values(l, 1, v->n, 1, v->p, "%s", name);
}

static void add_stream(convert_list *l, const dit_stream *s, int i, const char *stream)
{
    add_weight(l, &s->mod, PLAIN, "double_blocks.%d.%s_mod.lin", i, stream);
    add_weight(l, &s->qkv, PLAIN, "double_blocks.%d.%s_attn.qkv", i, stream);
    add_vec(l, &s->qnorm, "double_blocks.%d.%s_attn.norm.query_norm.scale", i, stream);
    add_vec(l, &s->knorm, "double_blocks.%d.%s_attn.norm.key_norm.scale", i, stream);
    add_weight(l, &s->proj, PLAIN, "double_blocks.%d.%s_attn.proj", i, stream);
    add_weight(l, &s->mlp_in, PLAIN, "double_blocks.%d.%s_mlp.0", i, stream);
    add_weight(l, &s->mlp_out, PLAIN, "double_blocks.%d.%s_mlp.2", i, stream);
}

/* The first and the last layers and the embedders of time, guidance and pooled text: half a percent of FLUX's numbers, and what they
 * get wrong reaches every token in every block. */
static void add_outer(convert_list *l, const dit *m)
{
    add_weight(l, &m->x_in, SENSITIVE, "img_in");
    add_weight(l, &m->text_in, SENSITIVE, "txt_in");
    add_weight(l, &m->time_in.in, SENSITIVE, "time_in.in_layer");
    add_weight(l, &m->time_in.out, SENSITIVE, "time_in.out_layer");
    if (m->config.guidance) {
        add_weight(l, &m->guidance_in.in, SENSITIVE, "guidance_in.in_layer");
        add_weight(l, &m->guidance_in.out, SENSITIVE, "guidance_in.out_layer");
    }
    add_weight(l, &m->pooled_in.in, SENSITIVE, "vector_in.in_layer");
    add_weight(l, &m->pooled_in.out, SENSITIVE, "vector_in.out_layer");
    add_weight(l, &m->norm_out, SENSITIVE | SWAPPED, "final_layer.adaLN_modulation.1");
    add_weight(l, &m->proj_out, SENSITIVE, "final_layer.linear");
}

void convert_list_dit(convert_list *l, const dit *m, const dreamo_tables *tables)
{
    add_outer(l, m);
    for (int i = 0; i < m->config.layers; i++) {
        add_stream(l, &m->doubles[i].img, i, "img");
        add_stream(l, &m->doubles[i].txt, i, "txt");
    }
    for (int i = 0; i < m->config.single_layers; i++) {
        const dit_single *s = &m->singles[i];
        add_weight(l, &s->mod, PLAIN, "single_blocks.%d.modulation.lin", i);
        add_weight(l, &s->in, PLAIN, "single_blocks.%d.linear1", i);
        convert_list_values(l, 1, s->qnorm.n, 1, s->qnorm.p, "single_blocks.%d.norm.query_norm.scale", i);
        convert_list_values(l, 1, s->knorm.n, 1, s->knorm.p, "single_blocks.%d.norm.key_norm.scale", i);
        add_weight(l, &s->out, PLAIN, "single_blocks.%d.linear2", i);
    }
    if (tables->task) convert_list_values(l, 2, 2, tables->width, tables->task, "dreamo_task_embedding.weight");
    if (tables->idx) convert_list_values(l, 2, tables->nslots, tables->width, tables->idx, "dreamo_idx_embedding.weight");
    if (tables->t5) convert_list_values(l, 2, DREAMO_T5_ROWS, tables->text_width, tables->t5, "dreamo_t5_embedding.weight");
}

void convert_list_free(convert_list *l)
{
    mem_free(l->tensors);
    *l = (convert_list){ 0 };
}

/* ---- types ---- */

static dtype kept(dtype stored) { return stored == DT_F32 || stored == DT_F16 ? stored : DT_BF16; }

/* The nearest type with smaller blocks. */
static dtype smaller_blocks(dtype t)
{
    switch (t) {
    case DT_Q6_K: return DT_Q8_0;
    case DT_Q5_K: return DT_Q5_1;
    case DT_Q4_K: return DT_Q4_1;
    default: return DT_BF16;
    }
}

dtype convert_type(const convert_tensor *t, dtype to)
{
    bool plain = to == DT_F32 || to == DT_BF16 || to == DT_F16;
    if (plain && t->kind != SOURCE_VALUES) return to;
    if (plain && t->rank == 1) return to;      /* norms; the tables of a LoRA file keep their bits */
    if (t->kind != SOURCE_MATRIX) return DT_F32;
    if (t->sensitive) return kept(t->w->part[0].type);
    while (t->cols % (int64_t)dtype_block(to) != 0) to = smaller_blocks(to);
    return to;
}
