/* bisenet.c - ResNet-18, attention over channels at two levels, and the fusion of both with the finer map. */
#include "model/bisenet.h"
#include <stdio.h>
#include "base/mem.h"

static const tensor none;

static tensor unit(nn *cx, const conv_bn *u, tensor x, grid *g, int stride, tensor beside, act a)
{
    reach r = reach_padded(*g, u->w.kh, stride, 1, u->w.kh / 2);
    x = op_conv(cx, x, *g, &u->w, r, beside, a);
    *g = reach_grid(*g, r);
    return x;
}

static tensor same(nn *cx, const conv_bn *u, tensor x, grid g, act a) { return unit(cx, u, x, &g, 1, none, a); }

static tensor run_block(nn *cx, const basic_block *b, tensor x, grid *g, int stride)
{
    grid from = *g;
    tensor h = unit(cx, &b->conv[0], x, g, stride, none, ACT_RELU);
    if (b->shortcut.w.out) x = unit(cx, &b->shortcut, x, &from, stride, none, ACT_NONE);
    return unit(cx, &b->conv[1], h, g, 1, x, ACT_RELU);
}

static tensor mean(nn *cx, tensor x, grid g) { return op_boxmean(cx, x, g, (grid){ g.n, 1, 1 }); }

/* base + gate * x, the gate one number a channel of each picture. */
static tensor gated(nn *cx, tensor base, tensor gate, tensor x, grid g)
{
    span *pictures = nn_keep(cx, NULL, (size_t)g.n * sizeof *pictures);
    if (!pictures) return none;
    for (int i = 0; i < g.n; i++) pictures[i] = (span){ i * g.h * g.w, g.h * g.w, i };
    return op_gateadd(cx, base, gate, x, (layout){ g.n, g.n, pictures });
}

/* other + ARM(x) (spec 3.6). */
static tensor run_arm(nn *cx, const bisenet_arm *w, tensor x, grid g, tensor other)
{
    tensor y = same(cx, &w->conv, x, g, ACT_RELU);
    tensor gate = same(cx, &w->gate, mean(cx, y, g), (grid){ g.n, 1, 1 }, ACT_SIGMOID);
    return gated(cx, other, gate, y, g);
}

static grid twice(grid g) { return (grid){ g.n, 2 * g.h, 2 * g.w }; }

tensor bisenet_logits(nn *cx, const bisenet *m, tensor x, grid g)
{
    tensor f[BISENET_STAGES];
    grid to[BISENET_STAGES];
    x = unit(cx, &m->stem, x, &g, 2, none, ACT_RELU);
    reach r = reach_padded(g, 3, 2, 1, 1);
    x = op_maxpool(cx, x, g, r);
    g = reach_grid(g, r);
    for (int i = 0; i < BISENET_STAGES; i++) {
        for (int k = 0; k < 2; k++) x = run_block(cx, &m->stage[i][k], x, &g, i && k == 0 ? 2 : 1);
        f[i] = x;
        to[i] = g;
    }
    grid g8 = to[1], g16 = to[2], g32 = to[3], one = { g.n, 1, 1 };
    tensor average = op_resample(cx, same(cx, &m->average, mean(cx, f[3], g32), one, ACT_RELU), one, g32, SAMPLE_NEAREST);
    tensor t = op_upsample2x(cx, run_arm(cx, &m->arm32, f[3], g32, average), g32);
    t = same(cx, &m->head32, t, twice(g32), ACT_RELU);
    t = op_upsample2x(cx, run_arm(cx, &m->arm16, f[2], g16, t), g16);
    t = same(cx, &m->head16, t, twice(g16), ACT_RELU);
    tensor z = same(cx, &m->fuse, op_catcols(cx, f[1], t), g8, ACT_RELU);
    tensor gate = op_activate(cx, op_linear(cx, op_activate(cx, op_linear(cx, mean(cx, z, g8), &m->squeeze), ACT_RELU), &m->spread), ACT_SIGMOID);
    z = same(cx, &m->last, gated(cx, z, gate, z, g8), g8, ACT_RELU);
    return op_linear(cx, z, &m->classes);
}

/* ---- shapes and names ---- */

static void each(bisenet *m, conv_bn_fn fn, void *user)
{
    char at[48];
    fn(user, &m->stem, "cp.resnet.", "conv1", "bn1");
    for (int i = 0; i < BISENET_STAGES; i++)
        for (int k = 0; k < 2; k++) {
            basic_block *b = &m->stage[i][k];
            snprintf(at, sizeof at, "cp.resnet.layer%d.%d.", i + 1, k);
            fn(user, &b->conv[0], at, "conv1", "bn1");
            fn(user, &b->conv[1], at, "conv2", "bn2");
            if (b->shortcut.w.out) fn(user, &b->shortcut, at, "downsample.0", "downsample.1");
        }
    fn(user, &m->arm16.conv, "cp.arm16.", "conv.conv", "conv.bn");
    fn(user, &m->arm16.gate, "cp.arm16.", "conv_atten", "bn_atten");
    fn(user, &m->arm32.conv, "cp.arm32.", "conv.conv", "conv.bn");
    fn(user, &m->arm32.gate, "cp.arm32.", "conv_atten", "bn_atten");
    fn(user, &m->head16, "cp.conv_head16.", "conv", "bn");
    fn(user, &m->head32, "cp.conv_head32.", "conv", "bn");
    fn(user, &m->average, "cp.conv_avg.", "conv", "bn");
    fn(user, &m->fuse, "ffm.convblk.", "conv", "bn");
    fn(user, &m->last, "conv_out.conv.", "conv", "bn");
}

void bisenet_visit(bisenet *m, param_visitor visit, void *user)
{
    visitor v = { visit, user };
    each(m, conv_bn_visit_unit, &v);
    visit_filter(&v, &m->squeeze, "ffm.conv1");
    visit_filter(&v, &m->spread, "ffm.conv2");
    visit_filter(&v, &m->classes, "conv_out.conv_out");
}

bool bisenet_fold(bisenet *m)
{
    bool good = true;
    each(m, conv_bn_fold_unit, &good);
    return good;
}

void bisenet_free(bisenet *m)
{
    if (m) each(m, conv_bn_free_unit, NULL);
    mem_free(m);
}

bisenet *bisenet_new(void)
{
    enum { WIDTH = 64, CONTEXT = 128, FUSED = 256 };
    bisenet *m = mem_calloc(1, sizeof *m);
    if (!m) return NULL;
    conv_bn_shape(&m->stem, "resnet conv1", 3, WIDTH, 7);
    int in = WIDTH;
    for (int i = 0; i < BISENET_STAGES; i++)
        for (int k = 0; k < 2; k++, in = WIDTH << i) {
            basic_block *b = &m->stage[i][k];
            conv_bn_shape(&b->conv[0], "resnet block conv1", in, WIDTH << i, 3);
            conv_bn_shape(&b->conv[1], "resnet block conv2", WIDTH << i, WIDTH << i, 3);
            if (in != WIDTH << i) conv_bn_shape(&b->shortcut, "resnet block downsample", in, WIDTH << i, 1);
        }
    conv_bn_shape(&m->arm16.conv, "arm16", 256, CONTEXT, 3);
    conv_bn_shape(&m->arm16.gate, "arm16 conv_atten", CONTEXT, CONTEXT, 1);
    conv_bn_shape(&m->arm32.conv, "arm32", 512, CONTEXT, 3);
    conv_bn_shape(&m->arm32.gate, "arm32 conv_atten", CONTEXT, CONTEXT, 1);
    conv_bn_shape(&m->head16, "conv_head16", CONTEXT, CONTEXT, 3);
    conv_bn_shape(&m->head32, "conv_head32", CONTEXT, CONTEXT, 3);
    conv_bn_shape(&m->average, "conv_avg", 512, CONTEXT, 1);
    conv_bn_shape(&m->fuse, "ffm convblk", 2 * CONTEXT, FUSED, 1);
    conv_bn_shape(&m->last, "conv_out conv", FUSED, FUSED, 3);
    weight_shape(&m->squeeze, "ffm conv1", FUSED, FUSED / 4, 1);
    weight_shape(&m->spread, "ffm conv2", FUSED / 4, FUSED, 1);
    weight_shape(&m->classes, "conv_out", FUSED, BISENET_CLASSES, 1);
    return m;
}
