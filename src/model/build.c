/* build.c - shapes and names. */
#include "model/build.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void weight_shape(weight *w, const char *name, int in, int out, int k)
{
    *w = (weight){ .name = name, .in = in, .kh = k, .kw = k };
    weight_part_add(w, out);
}

void weight_part_add(weight *w, int rows)
{
    w->part[w->nparts++].rows = rows;
    w->out += rows;
}

static void visit_matrix(const visitor *v, weight *w, int part, int rank, bool bias, const char *format, va_list ap)
{
    weight_part *data = &w->part[part];
    param p = { .rank = rank, .shape = { data->rows, w->in, w->kh, w->kw }, .w = w, .part = part, .grad = &data->grad };
    int n = vsnprintf(p.name, sizeof p.name - 8, format, ap);
    memcpy(p.name + n, ".weight", 8);
    v->visit(v->user, &p);
    if (!bias) return;
    param b = { .rank = 1, .shape = { data->rows }, .fp32 = &data->bias, .grad = &data->grad_bias };
    memcpy(b.name, p.name, (size_t)n);
    memcpy(b.name + n, ".bias", 6);
    v->visit(v->user, &b);
}

void visit_weight(const visitor *v, weight *w, int part, bool bias, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    visit_matrix(v, w, part, 2, bias, format, ap);
    va_end(ap);
}

void visit_conv(const visitor *v, weight *w, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    visit_matrix(v, w, 0, 4, true, format, ap);
    va_end(ap);
}

void visit_vec(const visitor *v, vec *x, const char *format, ...)
{
    param p = { .rank = 1, .shape = { x->n }, .fp32 = &x->p, .grad = &x->grad };
    va_list ap;
    va_start(ap, format);
    vsnprintf(p.name, sizeof p.name, format, ap);
    va_end(ap);
    v->visit(v->user, &p);
}
