/* retinaface.c - ResNet-50, a feature pyramid, a context module a level, three heads. */
#include "model/retinaface.h"
#include <stdio.h>
#include "base/mem.h"

static const int depths[RETINA_STAGES] = { 3, 4, 6, 3 };
static const tensor none;

static tensor unit(nn *cx, const conv_bn *u, tensor x, grid *g, int stride, tensor beside, act a)
{
    reach r = reach_padded(*g, u->w.kh, stride, 1, u->w.kh / 2);
    x = op_conv(cx, x, *g, &u->w, r, beside, a);
    *g = reach_grid(*g, r);
    return x;
}

static tensor same(nn *cx, const conv_bn *u, tensor x, grid g, act a) { return unit(cx, u, x, &g, 1, none, a); }

typedef struct bottleneck_env { tensor x; grid g; int stride; } bottleneck_env;

/* The stride stands on the 3 x 3 convolution. */
static void run_bottleneck(nn *cx, const void *weights, tensor *io, int n, const void *environment)
{
    const bottleneck *b = weights;
    const bottleneck_env *e = environment;
    grid from = e->g, g = e->g;
    tensor x = e->x, h = same(cx, &b->conv[0], x, g, ACT_RELU);
    (void)n;
    h = unit(cx, &b->conv[1], h, &g, e->stride, none, ACT_RELU);
    if (b->shortcut.w.out) x = unit(cx, &b->shortcut, x, &from, e->stride, none, ACT_NONE);
    io[0] = unit(cx, &b->conv[2], h, &g, 1, x, ACT_RELU);
}

/* Each bottleneck's scratch is gone after it. */
static tensor run_stage(nn *cx, const retinaface *m, int stage, tensor x, grid *g)
{
    for (int i = 0; i < depths[stage]; i++) {
        const bottleneck *b = &m->stage[stage][i];
        int stride = stage && i == 0 ? 2 : 1, channels = b->conv[2].w.out;
        grid to = { g->n, (g->h + stride - 1) / stride, (g->w + stride - 1) / stride };
        tensor y = { .rows = to.n * to.h * to.w, .cols = channels, .ld = channels };
        if (i) y = x;
        nn_block(cx, run_bottleneck, b, &y, 1, &(bottleneck_env){ x, *g, stride });
        x = y;
        *g = to;
    }
    return x;
}

/* 3 x 3, then what two and three of them see, side by side. */
static tensor run_ssh(nn *cx, const ssh *s, tensor x, grid g)
{
    tensor near = same(cx, &s->near, x, g, ACT_NONE), t = same(cx, &s->middle, x, g, ACT_RELU);
    tensor far = same(cx, &s->far, t, g, ACT_NONE), farthest = same(cx, &s->farthest, same(cx, &s->farther, t, g, ACT_RELU), g, ACT_NONE);
    return op_activate(cx, op_catcols(cx, near, op_catcols(cx, far, farthest)), ACT_RELU);
}

static tensor stem(nn *cx, const retinaface *m, tensor x, grid *g)
{
    x = unit(cx, &m->stem, x, g, 2, none, ACT_RELU);
    reach r = reach_padded(*g, 3, 2, 1, 1);
    x = op_maxpool(cx, x, *g, r);
    *g = reach_grid(*g, r);
    return x;
}

void retinaface_run(nn *cx, const retinaface *m, tensor x, grid g, tensor out[RETINA_LEVELS], grid to[RETINA_LEVELS])
{
    tensor level[RETINA_LEVELS];
    x = stem(cx, m, x, &g);
    for (int i = 0; i < RETINA_STAGES; i++) {
        x = run_stage(cx, m, i, x, &g);
        if (i) level[i - 1] = x, to[i - 1] = g;
    }
    for (int i = RETINA_LEVELS - 1; i >= 0; i--) { /* from the coarsest on: each is told what the one above it saw */
        tensor above = i == RETINA_LEVELS - 1 ? none : op_resample(cx, level[i + 1], to[i + 1], to[i], SAMPLE_NEAREST);
        level[i] = same(cx, &m->lateral[i], level[i], to[i], ACT_RELU);
        if (above.p) level[i] = same(cx, &m->merge[i], op_add(cx, level[i], above), to[i], ACT_RELU);
    }
    for (int i = 0; i < RETINA_LEVELS; i++) {
        tensor f = run_ssh(cx, &m->context[i], level[i], to[i]);
        out[i] = op_catcols(cx, op_catcols(cx, op_linear(cx, f, &m->score[i]), op_linear(cx, f, &m->box[i])), op_linear(cx, f, &m->points[i]));
    }
}

/* ---- shapes and names ---- */

static void each_ssh(ssh *s, const char *at, conv_bn_fn fn, void *user)
{
    static const char *const names[][2] = { { "conv3X3.0", "conv3X3.1" }, { "conv5X5_1.0", "conv5X5_1.1" }, { "conv5X5_2.0", "conv5X5_2.1" },
                                            { "conv7X7_2.0", "conv7X7_2.1" }, { "conv7x7_3.0", "conv7x7_3.1" } };
    conv_bn *all[] = { &s->near, &s->middle, &s->far, &s->farther, &s->farthest };
    for (int i = 0; i < 5; i++) fn(user, all[i], at, names[i][0], names[i][1]);
}

/* All units under the names of the official file. */
static void each(retinaface *m, conv_bn_fn fn, void *user)
{
    static const char *const convs[] = { "conv1", "conv2", "conv3" }, *const norms[] = { "bn1", "bn2", "bn3" };
    char at[48];
    fn(user, &m->stem, "body.", "conv1", "bn1");
    for (int i = 0; i < RETINA_STAGES; i++)
        for (int k = 0; k < depths[i]; k++) {
            bottleneck *b = &m->stage[i][k];
            snprintf(at, sizeof at, "body.layer%d.%d.", i + 1, k);
            for (int c = 0; c < 3; c++) fn(user, &b->conv[c], at, convs[c], norms[c]);
            if (b->shortcut.w.out) fn(user, &b->shortcut, at, "downsample.0", "downsample.1");
        }
    for (int i = 0; i < RETINA_LEVELS + 2; i++) {
        bool lateral = i < RETINA_LEVELS;
        snprintf(at, sizeof at, "fpn.%s%d.", lateral ? "output" : "merge", lateral ? i + 1 : i - RETINA_LEVELS + 1);
        fn(user, lateral ? &m->lateral[i] : &m->merge[i - RETINA_LEVELS], at, "0", "1");
    }
    for (int i = 0; i < RETINA_LEVELS; i++) {
        snprintf(at, sizeof at, "ssh%d.", i + 1);
        each_ssh(&m->context[i], at, fn, user);
    }
}

void retinaface_visit(retinaface *m, param_visitor visit, void *user)
{
    visitor v = { visit, user };
    each(m, conv_bn_visit_unit, &v);
    for (int i = 0; i < RETINA_LEVELS; i++) {
        visit_conv(&v, &m->score[i], "ClassHead.%d.conv1x1", i);
        visit_conv(&v, &m->box[i], "BboxHead.%d.conv1x1", i);
        visit_conv(&v, &m->points[i], "LandmarkHead.%d.conv1x1", i);
    }
}

bool retinaface_fold(retinaface *m)
{
    bool good = true;
    each(m, conv_bn_fold_unit, &good);
    return good;
}

void retinaface_free(retinaface *m)
{
    if (m) each(m, conv_bn_free_unit, NULL);
    mem_free(m);
}

static void ssh_shape(ssh *s, int in)
{
    conv_bn_shape(&s->near, "ssh conv3X3", in, in / 2, 3);
    conv_bn_shape(&s->middle, "ssh conv5X5_1", in, in / 4, 3);
    conv_bn_shape(&s->far, "ssh conv5X5_2", in / 4, in / 4, 3);
    conv_bn_shape(&s->farther, "ssh conv7X7_2", in / 4, in / 4, 3);
    conv_bn_shape(&s->farthest, "ssh conv7x7_3", in / 4, in / 4, 3);
}

retinaface *retinaface_new(void)
{
    enum { WIDTH = 64, PYRAMID = 256 };
    retinaface *m = mem_calloc(1, sizeof *m);
    if (!m) return NULL;
    conv_bn_shape(&m->stem, "body conv1", 3, WIDTH, 7);
    int in = WIDTH;
    for (int i = 0; i < RETINA_STAGES; i++) {
        int width = WIDTH << i;
        for (int k = 0; k < depths[i]; k++, in = 4 * width) {
            bottleneck *b = &m->stage[i][k];
            conv_bn_shape(&b->conv[0], "bottleneck conv1", in, width, 1);
            conv_bn_shape(&b->conv[1], "bottleneck conv2", width, width, 3);
            conv_bn_shape(&b->conv[2], "bottleneck conv3", width, 4 * width, 1);
            if (k == 0) conv_bn_shape(&b->shortcut, "bottleneck downsample", in, 4 * width, 1);
        }
        if (i) conv_bn_shape(&m->lateral[i - 1], "fpn output", in, PYRAMID, 1);
    }
    for (int i = 0; i < 2; i++) conv_bn_shape(&m->merge[i], "fpn merge", PYRAMID, PYRAMID, 3);
    for (int i = 0; i < RETINA_LEVELS; i++) {
        ssh_shape(&m->context[i], PYRAMID);
        weight_shape(&m->score[i], "ClassHead", PYRAMID, 2 * RETINA_ANCHORS, 1);
        weight_shape(&m->box[i], "BboxHead", PYRAMID, 4 * RETINA_ANCHORS, 1);
        weight_shape(&m->points[i], "LandmarkHead", PYRAMID, 10 * RETINA_ANCHORS, 1);
    }
    return m;
}
