/* build.c - shapes and names. */
#include "model/build.h"
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include "base/mem.h"

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

void visit_filter(const visitor *v, weight *w, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    visit_matrix(v, w, 0, 4, false, format, ap);
    va_end(ap);
}

void visit_matrix_named(const visitor *v, weight *w, const char *format, ...)
{
    weight_part *data = &w->part[0];
    param p = { .rank = 2, .shape = { data->rows, w->in }, .w = w, .grad = &data->grad };
    va_list ap;
    va_start(ap, format);
    vsnprintf(p.name, sizeof p.name, format, ap);
    va_end(ap);
    v->visit(v->user, &p);
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

/* ---- convolution and BatchNorm ---- */

void conv_bn_shape(conv_bn *u, const char *name, int in, int out, int k)
{
    weight_shape(&u->w, name, in, out, k);
    vec_shape(&u->gain, out);
    vec_shape(&u->bias, out);
    vec_shape(&u->mean, out);
    vec_shape(&u->var, out);
}

void conv_bn_visit(const visitor *v, conv_bn *u, const char *at, const char *conv, const char *norm)
{
    visit_filter(v, &u->w, "%s%s", at, conv);
    visit_vec(v, &u->gain, "%s%s.weight", at, norm);
    visit_vec(v, &u->bias, "%s%s.bias", at, norm);
    visit_vec(v, &u->mean, "%s%s.running_mean", at, norm);
    visit_vec(v, &u->var, "%s%s.running_var", at, norm);
}

bool conv_bn_fold(conv_bn *u)
{
    int n = u->w.out;
    u->fold = mem_alloc(2 * (size_t)n * sizeof *u->fold);
    if (!u->fold) return false;
    for (int i = 0; i < n; i++) {
        double s = u->gain.p[i] / sqrt((double)u->var.p[i] + 1e-5);
        u->fold[i] = (float)s;
        u->fold[n + i] = (float)(u->bias.p[i] - u->mean.p[i] * s);
    }
    u->w.part[0].row_scale = u->fold;
    u->w.part[0].bias = u->fold + n;
    return true;
}

void conv_bn_free(conv_bn *u) { mem_free(u->fold); }

void conv_bn_visit_unit(void *user, conv_bn *u, const char *at, const char *conv, const char *norm) { conv_bn_visit(user, u, at, conv, norm); }

void conv_bn_fold_unit(void *user, conv_bn *u, const char *at, const char *conv, const char *norm)
{
    bool *good = user;
    (void)at, (void)conv, (void)norm;
    *good = *good && conv_bn_fold(u);
}

void conv_bn_free_unit(void *user, conv_bn *u, const char *at, const char *conv, const char *norm)
{
    (void)user, (void)at, (void)conv, (void)norm;
    conv_bn_free(u);
}
