/* tinyface.c - depthwise and pointwise convolutions.  TensorFlow's "same": what is missing is added after, of an odd number one more. */
#include "model/tinyface.h"
#include <stdio.h>
#include "model/build.h"

static const tensor none;

static tensor run_separable(nn *cx, const separable *s, tensor x, grid *g, int stride, act a)
{
    reach r = { 3, stride, 1, stride == 1 ? 1 : 0, (g->h + stride - 1) / stride, (g->w + stride - 1) / stride };
    x = op_depthwise(cx, x, *g, &s->depth, r);
    *g = reach_grid(*g, r);
    return op_conv(cx, x, *g, &s->point, reach_padded(*g, 1, 1, 1, 0), none, a);
}

static tensor pooled(nn *cx, tensor x, grid *g, int stride)
{
    reach r = { 2, stride, 1, 0, (g->h + stride - 1) / stride, (g->w + stride - 1) / stride };
    x = op_maxpool(cx, x, *g, r);
    *g = reach_grid(*g, r);
    return x;
}

tensor tinyface_cells(nn *cx, const tinyface *m, tensor x)
{
    grid g = { 1, TINYFACE_SIDE, TINYFACE_SIDE };
    reach valid = reach_padded(g, 3, 1, 1, 0);
    x = op_conv(cx, x, g, &m->first, valid, none, ACT_LEAKY);
    g = reach_grid(g, valid);
    x = pooled(cx, x, &g, 2);
    for (int i = 0; i < TINYFACE_LAYERS; i++) {
        x = run_separable(cx, &m->layer[i], x, &g, 1, ACT_LEAKY);
        x = pooled(cx, x, &g, i + 1 < TINYFACE_LAYERS ? 2 : 1);
    }
    return op_linear(cx, x, &m->last);
}

tensor landmarks_points(nn *cx, const landmarks *m, tensor x)
{
    grid g = { 1, LANDMARKS_SIDE, LANDMARKS_SIDE };
    for (int i = 0; i < LANDMARKS_BLOCKS; i++) {
        tensor sum;
        if (i == 0) {
            reach r = { 3, 2, 1, 0, g.h / 2, g.w / 2 };
            sum = op_conv(cx, x, g, &m->first, r, none, ACT_RELU);
            g = reach_grid(g, r);
        } else {
            sum = run_separable(cx, &m->conv[i][0], x, &g, 2, ACT_RELU);
        }
        x = sum;
        for (int k = 1; k < LANDMARKS_CONVS; k++) { /* each sees all before it */
            sum = op_add(cx, sum, run_separable(cx, &m->conv[i][k], x, &g, 1, ACT_NONE));
            x = op_activate(cx, sum, ACT_RELU);
        }
    }
    return op_linear(cx, op_boxmean(cx, x, g, (grid){ 1, 1, 1 }), &m->fc);
}

/* ---- shapes and names ---- */

static void separable_shape(separable *s, int in, int out)
{
    s->depth = (weight){ .name = "depthwise_filter", .in = 1, .kh = 3, .kw = 3 };
    weight_part_add(&s->depth, in);
    weight_shape(&s->point, "pointwise_filter", in, out, 1);
}

void tinyface_shape(tinyface *m)
{
    weight_shape(&m->first, "conv0", 3, 16, 3);
    for (int i = 0; i < TINYFACE_LAYERS; i++) separable_shape(&m->layer[i], 16 << i, 32 << i);
    weight_shape(&m->last, "conv8", 512, TINYFACE_COLUMNS, 1);
}

void landmarks_shape(landmarks *m)
{
    weight_shape(&m->first, "dense0/conv0", 3, 32, 3);
    for (int i = 0; i < LANDMARKS_BLOCKS; i++)
        for (int k = 0; k < LANDMARKS_CONVS; k++)
            if (i || k) separable_shape(&m->conv[i][k], k ? 32 << i : 16 << i, 32 << i);
    weight_shape(&m->fc, "fc", 256, 2 * LANDMARKS, 1);
}

static void visit(const visitor *v, weight *w, int rank, bool bias, const char *at, const char *name)
{
    param p = { .rank = rank, .shape = { w->out, w->in, w->kh, w->kw }, .w = w, .grad = &w->part[0].grad };
    param b = { .rank = 1, .shape = { w->out }, .fp32 = &w->part[0].bias, .grad = &w->part[0].grad_bias };
    snprintf(p.name, sizeof p.name, "%s/%s", at, name);
    snprintf(b.name, sizeof b.name, "%s/bias", at);
    v->visit(v->user, &p);
    if (bias) v->visit(v->user, &b);
}

static void visit_separable(const visitor *v, separable *s, const char *at)
{
    visit(v, &s->depth, 4, false, at, "depthwise_filter");
    visit(v, &s->point, 4, true, at, "pointwise_filter");
}

void tinyface_visit(tinyface *m, param_visitor fn, void *user)
{
    visitor v = { fn, user };
    char at[16];
    visit(&v, &m->first, 4, true, "conv0", "filters");
    for (int i = 0; i < TINYFACE_LAYERS; i++) {
        snprintf(at, sizeof at, "conv%d", i + 1);
        visit_separable(&v, &m->layer[i], at);
    }
    visit(&v, &m->last, 4, true, "conv8", "filters");
}

void landmarks_visit(landmarks *m, param_visitor fn, void *user)
{
    visitor v = { fn, user };
    char at[32];
    visit(&v, &m->first, 4, true, "dense0/conv0", "filters");
    for (int i = 0; i < LANDMARKS_BLOCKS; i++)
        for (int k = 0; k < LANDMARKS_CONVS; k++) {
            snprintf(at, sizeof at, "dense%d/conv%d", i, k);
            if (i || k) visit_separable(&v, &m->conv[i][k], at);
        }
    visit(&v, &m->fc, 2, true, "fc", "weights");
}
