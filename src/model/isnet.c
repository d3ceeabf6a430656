/* isnet.c - eleven residual U-shapes, six down and five up; what is down to one side of one map is the answer.
 *
 * The export names convolutions by numbers in the order in which they run, so the network is one list, and every unit takes the next one. */
#include "model/isnet.h"
#include <stdio.h>
#include "base/mem.h"
#include "model/build.h"

static const tensor none;

typedef struct unit { int height, in, mid, out, first; } unit; /* height 0: without pooling, RSU4F; first: of its convolutions */
static const unit units[11] = {
    { 7, 64, 32, 64, 0 },     { 6, 64, 32, 128, 14 },  { 5, 128, 64, 256, 26 }, { 4, 256, 128, 512, 36 }, { 0, 512, 256, 512, 44 },   { 0, 512, 256, 512, 52 },
    { 0, 1024, 256, 512, 60 }, { 4, 1024, 128, 256, 68 }, { 5, 512, 64, 128, 76 },  { 6, 256, 32, 64, 86 },   { 7, 128, 16, 64, 98 },
};

/* 3 x 3, ReLU; the next convolution of the list. */
static tensor conv(nn *cx, const weight **w, tensor x, grid g, int dilation) { return op_conv(cx, x, g, (*w)++, reach_padded(g, 3, 1, dilation, dilation), none, ACT_RELU); }

/* The greatest of two by two; a last row or column alone is kept. */
static tensor halved(nn *cx, tensor x, grid *g)
{
    reach r = { 2, 2, 1, 0, (g->h + 1) / 2, (g->w + 1) / 2 };
    x = op_maxpool(cx, x, *g, r);
    *g = reach_grid(*g, r);
    return x;
}

/* [x at the size of `beside`, beside] */
static tensor joined(nn *cx, tensor x, grid g, tensor beside, grid to) { return op_catcols(cx, op_resample(cx, x, g, to, SAMPLE_BILINEAR), beside); }

static tensor rsu(nn *cx, const weight *w, int height, tensor x, grid g)
{
    tensor x0 = conv(cx, &w, x, g, 1), h[8];
    grid at[8];
    at[1] = g;
    h[1] = conv(cx, &w, x0, g, 1);
    for (int k = 2; k < height; k++) {
        at[k] = at[k - 1];
        tensor p = halved(cx, h[k - 1], &at[k]);
        h[k] = conv(cx, &w, p, at[k], 1);
    }
    grid deep = at[height - 1];
    tensor d = conv(cx, &w, h[height - 1], deep, 2);
    d = conv(cx, &w, op_catcols(cx, d, h[height - 1]), deep, 1);
    for (int k = height - 2; k >= 1; k--) d = conv(cx, &w, joined(cx, d, at[k + 1], h[k], at[k]), at[k], 1);
    return op_add(cx, d, x0);
}

static tensor rsu4f(nn *cx, const weight *w, tensor x, grid g)
{
    tensor x0 = conv(cx, &w, x, g, 1), a = conv(cx, &w, x0, g, 1), b = conv(cx, &w, a, g, 2), q = conv(cx, &w, b, g, 4), r = conv(cx, &w, q, g, 8);
    tensor e = conv(cx, &w, op_catcols(cx, r, q), g, 4), f = conv(cx, &w, op_catcols(cx, e, b), g, 2);
    return op_add(cx, conv(cx, &w, op_catcols(cx, f, a), g, 1), x0);
}

/* One unit; going up, `beside` joins x from a smaller grid. */
typedef struct unit_env { const isnet *m; int unit; tensor x, beside; grid from, g; } unit_env;

static void run_unit(nn *cx, const void *weights, tensor *io, int n, const void *environment)
{
    const unit_env *e = environment;
    const weight *w = e->m->conv + units[e->unit].first;
    tensor x = e->beside.p ? joined(cx, e->x, e->from, e->beside, e->g) : e->x;
    (void)n, (void)weights;
    io[0] = units[e->unit].height ? rsu(cx, w, units[e->unit].height, x, e->g) : rsu4f(cx, w, x, e->g);
}

static tensor run(nn *cx, unit_env e)
{
    tensor y = { .rows = e.g.n * e.g.h * e.g.w, .cols = units[e.unit].out, .ld = units[e.unit].out };
    nn_block(cx, run_unit, e.m, &y, 1, &e);
    return y;
}

tensor isnet_mask(nn *cx, const isnet *m, tensor x, grid g)
{
    enum { DOWN = 6 };
    tensor h[DOWN];
    grid at[DOWN];
    reach half = reach_padded(g, 3, 2, 1, 1);
    x = op_conv(cx, x, g, &m->first, half, none, ACT_NONE);
    at[0] = reach_grid(g, half);
    for (int i = 0; i < DOWN; i++) {
        if (i) at[i] = at[i - 1], x = halved(cx, h[i - 1], &at[i]);
        x = h[i] = run(cx, (unit_env){ .m = m, .unit = i, .x = x, .g = at[i] });
    }
    for (int i = DOWN - 2; i >= 0; i--) x = run(cx, (unit_env){ .m = m, .unit = 2 * DOWN - 2 - i, .x = x, .beside = h[i], .from = at[i + 1], .g = at[i] });
    x = op_conv(cx, x, at[0], &m->side, reach_padded(at[0], 3, 1, 1, 1), none, ACT_NONE);
    return op_activate(cx, op_resample(cx, x, at[0], g, SAMPLE_BILINEAR), ACT_SIGMOID);
}

/* ---- shapes and names ---- */

static void unit_shape(weight *w, const unit *u)
{
    int height = u->height, i = 0, mid = u->mid;
    const char *name = "ISNet unit";
    weight_shape(&w[i++], name, u->in, u->out, 3);
    weight_shape(&w[i++], name, u->out, mid, 3);
    int single = height ? height - 1 : 3; /* mid to mid: down and the deepest, or b, q, r */
    for (int k = 0; k < single; k++) weight_shape(&w[i++], name, mid, mid, 3);
    int pairs = height ? height - 1 : 3;  /* of two maps side by side; the last to the unit's own width */
    for (int k = 0; k < pairs; k++) weight_shape(&w[i++], name, 2 * mid, k + 1 < pairs ? mid : u->out, 3);
}

isnet *isnet_new(void)
{
    isnet *m = mem_calloc(1, sizeof *m);
    if (!m) return NULL;
    weight_shape(&m->first, "ISNet conv_in", 3, 64, 3);
    for (int i = 0; i < 11; i++) unit_shape(m->conv + units[i].first, &units[i]);
    weight_shape(&m->side, "ISNet side1", 64, 1, 3);
    return m;
}

void isnet_free(isnet *m) { mem_free(m); }

/* The export's numbers: a weight, its bias, then one for what the convolution makes. */
enum { FIRST_NUMBER = 1896, NUMBERS_EACH = 3 };

void isnet_visit(isnet *m, param_visitor visit, void *user)
{
    visitor v = { visit, user };
    visit_conv(&v, &m->first, "conv_in");
    for (int i = 0; i < ISNET_CONVS; i++) {
        weight *w = &m->conv[i];
        param p = { .rank = 4, .shape = { w->out, w->in, 3, 3 }, .w = w, .grad = &w->part[0].grad };
        param b = { .rank = 1, .shape = { w->out }, .fp32 = &w->part[0].bias, .grad = &w->part[0].grad_bias };
        snprintf(p.name, sizeof p.name, "onnx::Conv_%d", FIRST_NUMBER + NUMBERS_EACH * i);
        snprintf(b.name, sizeof b.name, "onnx::Conv_%d", FIRST_NUMBER + NUMBERS_EACH * i + 1);
        visit(user, &p);
        visit(user, &b);
    }
    visit_conv(&v, &m->side, "side1");
}
