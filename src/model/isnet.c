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

static grid half_of(grid g) { return (grid){ g.n, (g.h + 1) / 2, (g.w + 1) / 2 }; }

/* The greatest of two by two; a last row or column alone is kept. */
static tensor halved(nn *cx, tensor x, grid *g)
{
    grid to = half_of(*g);
    x = op_maxpool(cx, x, *g, (reach){ 2, 2, 1, 0, to.h, to.w });
    *g = to;
    return x;
}

/* A convolution of x as it is; of half of it; of what the network's first convolution makes of it; or, x being of a smaller grid, of x at this one's
 * size with `beside` beside it.  Whatever that is, it is given back after the convolution: large pictures are mostly such. */
typedef struct step_env { const weight *first, *w; tensor x, beside; grid from, g; } step_env;

static void run_step(nn *cx, const void *weights, tensor *io, int n, const void *environment)
{
    const step_env *e = environment;
    const weight *w = e->w;
    grid g = e->from;
    tensor x = e->x;
    (void)n, (void)weights;
    if (e->first) x = op_conv(cx, x, g, e->first, reach_padded(g, 3, 2, 1, 1), none, ACT_NONE);
    else if (e->beside.p) x = op_resample_beside(cx, x, g, e->g, SAMPLE_BILINEAR, e->beside);
    else if (g.h != e->g.h || g.w != e->g.w) x = halved(cx, x, &g);
    io[0] = conv(cx, &w, x, e->g, 1);
}

static tensor step(nn *cx, const weight **w, step_env e)
{
    e.w = (*w)++;
    tensor y = { .rows = e.g.n * e.g.h * e.g.w, .cols = e.w->out, .ld = e.w->out };
    nn_block(cx, run_step, NULL, &y, 1, &e);
    return y;
}

/* A unit, from what its first convolution makes. */
static tensor rsu(nn *cx, const weight *w, int height, tensor x0, grid g)
{
    tensor h[8];
    grid at[8];
    at[1] = g;
    h[1] = conv(cx, &w, x0, g, 1);
    for (int k = 2; k < height; k++) {
        at[k] = half_of(at[k - 1]);
        h[k] = step(cx, &w, (step_env){ .x = h[k - 1], .from = at[k - 1], .g = at[k] });
    }
    grid deep = at[height - 1];
    tensor d = conv(cx, &w, h[height - 1], deep, 2);
    d = conv(cx, &w, op_catcols(cx, d, h[height - 1]), deep, 1);
    for (int k = height - 2; k > 1; k--) d = step(cx, &w, (step_env){ .x = d, .beside = h[k], .from = at[k + 1], .g = at[k] });
    return op_add(cx, conv(cx, &w, op_resample_beside(cx, d, at[2], g, SAMPLE_BILINEAR, h[1]), g, 1), x0);
}

static tensor rsu4f(nn *cx, const weight *w, tensor x0, grid g)
{
    tensor a = conv(cx, &w, x0, g, 1), b = conv(cx, &w, a, g, 2), q = conv(cx, &w, b, g, 4), r = conv(cx, &w, q, g, 8);
    tensor e = conv(cx, &w, op_catcols(cx, r, q), g, 4), f = conv(cx, &w, op_catcols(cx, e, b), g, 2);
    return op_add(cx, conv(cx, &w, op_catcols(cx, f, a), g, 1), x0);
}

typedef struct unit_env { const isnet *m; int unit; step_env start; } unit_env;

static void run_unit(nn *cx, const void *weights, tensor *io, int n, const void *environment)
{
    const unit_env *e = environment;
    const weight *w = e->m->conv + units[e->unit].first;
    tensor x0 = step(cx, &w, e->start);
    (void)n, (void)weights;
    io[0] = units[e->unit].height ? rsu(cx, w, units[e->unit].height, x0, e->start.g) : rsu4f(cx, w, x0, e->start.g);
}

static tensor run(nn *cx, const isnet *m, int unit, step_env start)
{
    grid g = start.g;
    tensor y = { .rows = g.n * g.h * g.w, .cols = units[unit].out, .ld = units[unit].out };
    nn_block(cx, run_unit, m, &y, 1, &(unit_env){ m, unit, start });
    return y;
}

tensor isnet_mask(nn *cx, const isnet *m, tensor x, grid g)
{
    enum { DOWN = 6 };
    tensor h[DOWN];
    grid at[DOWN];
    for (int i = 0; i < DOWN; i++) {
        grid from = i ? at[i - 1] : g;
        at[i] = half_of(from);
        x = h[i] = run(cx, m, i, (step_env){ .first = i ? NULL : &m->first, .x = x, .from = from, .g = at[i] });
    }
    for (int i = DOWN - 2; i >= 0; i--) x = run(cx, m, 2 * DOWN - 2 - i, (step_env){ .x = x, .beside = h[i], .from = at[i + 1], .g = at[i] });
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
