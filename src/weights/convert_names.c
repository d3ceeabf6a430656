/* convert_names.c - parameters to the tensors of the output, and their types. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include "base/mem.h"
#include "weights/convert.h"

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

void convert_list_values(convert_list *l, int rank, int64_t rows, int64_t cols, const float *values, const char *format, ...)
{
    convert_tensor *t = add(l);
    va_list ap;
    if (!t) return;
    va_start(ap, format);
    vsnprintf(t->name, sizeof t->name, format, ap);
    va_end(ap);
    t->rank = rank;
    t->rows = rows;
    t->cols = cols;
    t->npieces = 1;
    t->piece[0].rows = rows;
    t->piece[0].values = values;
}

/* ---- parameters ---- */

typedef struct lister { convert_list *l; const void *network; file_layout layout; const char *const *sensitive; } lister;

static convert_tensor *listed(const convert_list *l, const char *name)
{
    for (int i = l->n; i-- > 0;) /* a tensor's parameters follow each other closely */
        if (strcmp(l->tensors[i].name, name) == 0) return &l->tensors[i];
    return NULL;
}

static bool begins(const char *s, const char *const *with)
{
    for (; *with; with++)
        if (strncmp(s, *with, strlen(*with)) == 0) return true;
    return false;
}

static void list_one(void *user, const param *p)
{
    const lister *x = user;
    file_place at;
    x->layout(x->network, p, &at); /* the layouts that are written know every parameter */
    convert_tensor *t = listed(x->l, at.name);
    if (!t) {
        if (!(t = add(x->l))) return;
        snprintf(t->name, sizeof t->name, "%.127s", at.name);
        t->rank = p->rank;
        t->rows = at.rows ? at.rows : p->shape[0];
        t->cols = p->rank > 1 ? p->shape[1] : 1;
        t->w = p->w;
        t->swapped = at.swapped;
        t->sensitive = p->w && begins(p->name, x->sensitive);
    }
    if (p->w || t->npieces == CONVERT_PIECES) return;
    t->piece[t->npieces].row0 = at.row0;
    t->piece[t->npieces].rows = p->shape[0];
    t->piece[t->npieces++].values = *p->fp32;
}

void convert_list_network(convert_list *l, void *network, bind_walk walk, file_layout layout, const char *const *sensitive)
{
    lister x = { l, network, layout, sensitive };
    walk(network, list_one, &x);
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
    if (plain && (t->w || t->rank == 1)) return to; /* the tables of a LoRA file are neither: they keep their bits */
    if (!t->w) return DT_F32;
    if (t->sensitive) return kept(t->w->part[0].type);
    while (t->cols % (int64_t)dtype_block(to) != 0) to = smaller_blocks(to);
    return to;
}
