/* ben2.c - five views of one picture (four quarters, then the whole at half the size) go through one backbone; on the way up the views look at each
 * other: MCLM at the deepest level, MCRM at the four above, and the quarters are put together at the end.
 *
 * All maps of the views are one tensor [5 * h * w, channels]: four quarters in the order top left, top right, bottom left, bottom right, then the
 * whole.  Each phase is a block, so that its scratch is gone after it: 1.46 GB at 1024 x 1024. */
#include "model/ben2.h"
#include <math.h>
#include <stdio.h>
#include "base/mem.h"
#include "model/build.h"

#define EPS 1e-5f

static const tensor none;

/* ---- moving between a picture and its quarters ---- */

/* Row ids of the quarters of an h x h map, one after the other. */
static tensor quarters(nn *cx, tensor x, int h)
{
    int q = h / 2;
    int32_t *ids = nn_keep(cx, NULL, (size_t)(h * h) * sizeof *ids);
    if (!ids) return none;
    for (int i = 0; i < h * h; i++) {
        int view = i / (q * q), r = i / q % q, c = i % q;
        ids[i] = (view / 2 * q + r) * h + view % 2 * q + c;
    }
    return op_takerows(cx, x, ids, h * h);
}

/* Four maps of h x h to one: every `step`-th row and column of what they make together. */
static tensor together(nn *cx, tensor x, int h, int step)
{
    int side = 2 * h / step;
    int32_t *ids = nn_keep(cx, NULL, (size_t)(side * side) * sizeof *ids);
    if (!ids) return none;
    for (int i = 0; i < side * side; i++) {
        int r = i / side * step, c = i % side * step;
        ids[i] = ((r / h * 2 + c / h) * h + r % h) * h + c % h;
    }
    return op_takerows(cx, x, ids, side * side);
}

static tensor view_rows(tensor x, int first, int n, int h) { return tensor_rows(x, first * h * h, n * h * h); }

/* ---- building blocks ---- */

static tensor cbr(nn *cx, tensor x, grid g, const weight *w)
{
    tensor y = op_conv(cx, x, g, w, reach_padded(g, 3, 1, 1, 1), none, ACT_NONE);
    return op_instancenorm_into(cx, y, g, EPS, ACT_GELU_ERF, y);
}

static tensor third(nn *cx, tensor x, const ben2_attention *a, int k)
{
    weight w = weight_cut(&a->in, k * BEN2_WIDTH, BEN2_WIDTH);
    if (a->in_bias.p) w.part[0].bias = a->in_bias.p + k * BEN2_WIDTH;
    return op_linear(cx, x, &w);
}

static tensor attend(nn *cx, const ben2_attention *a, tensor q, tensor k, tensor v)
{
    tensor y = op_crossattention(cx, third(cx, q, a, 0), third(cx, k, a, 1), third(cx, v, a, 2), 1, 1);
    return op_linear(cx, y, &a->out);
}

/* x = LN1(x + d); LN2(x + MLP(x)). */
static tensor settle(nn *cx, const ben2_tokens *w, const weight *up, const weight *down, tensor x, tensor d)
{
    x = op_layernorm(cx, op_add(cx, x, d), w->norm1_gain, w->norm1_bias, EPS);
    tensor h = op_linear(cx, op_activate(cx, op_linear(cx, x, up), ACT_GELU_ERF), down);
    return op_layernorm(cx, op_add(cx, x, h), w->norm2_gain, w->norm2_bias, EPS);
}

static tensor stack4(nn *cx, const tensor *x) { return op_catrows(cx, op_catrows(cx, x[0], x[1]), op_catrows(cx, x[2], x[3])); }

/* Sines and cosines of the row, then of the column (spec 2.5: PE(n)). */
static tensor positions(nn *cx, int n)
{
    enum { HALF = BEN2_WIDTH / 2 };
    float *p = nn_keep(cx, NULL, (size_t)(n * n * BEN2_WIDTH) * sizeof *p);
    if (!p) return none;
    for (int i = 0; i < n * n; i++)
        for (int j = 0; j < BEN2_WIDTH; j++) {
            double at = ((j < HALF ? i / n : i % n) + 0.5) / (n + 1e-6) * 2 * M_PI, angle = at / pow(10000, 2 * (j % HALF / 2) / (double)HALF);
            p[i * BEN2_WIDTH + j] = (float)(j % 2 ? cos(angle) : sin(angle));
        }
    return tensor_from(cx, n * n, BEN2_WIDTH, p);
}

/* x [h * h] and its means over boxes, as one list of tokens: n0 x n0, n1 x n1, n2 x n2. */
static tensor pyramid(nn *cx, tensor x, int h, int n0, int n1, int n2)
{
    grid g = { 1, h, h };
    tensor a = n0 == h ? x : op_boxmean(cx, x, g, (grid){ 1, n0, n0 });
    return op_catrows(cx, a, op_catrows(cx, op_boxmean(cx, x, g, (grid){ 1, n1, n1 }), op_boxmean(cx, x, g, (grid){ 1, n2, n2 })));
}

/* ---- the two that let the views look at each other ---- */

/* x: the five maps, h x h each.  The whole asks the quarters, put together at three sizes; each quarter then asks its own of the whole (spec 2.5). */
static tensor mclm(nn *cx, const ben2_tokens *w, tensor x, int h)
{
    tensor joint = together(cx, view_rows(x, 0, 4, h), h, 1), whole = view_rows(x, 4, 1, h);
    tensor kv = pyramid(cx, joint, 2 * h, h, h / 4, h / 8);
    tensor pe = positions(cx, h), pe_kv = op_catrows(cx, pe, op_catrows(cx, positions(cx, h / 4), positions(cx, h / 8)));
    tensor d = attend(cx, &w->attention[0], op_add(cx, whole, pe), op_add(cx, kv, pe_kv), kv);
    whole = settle(cx, w, &w->linear1, &w->linear2, whole, d);
    tensor own = quarters(cx, whole, h), asked[4];
    for (int i = 0; i < 4; i++) {
        tensor c = tensor_rows(own, i * h * h / 4, h * h / 4);
        asked[i] = attend(cx, &w->attention[i + 1], view_rows(x, i, 1, h), c, c);
    }
    return op_catrows(cx, settle(cx, w, &w->linear3, &w->linear4, view_rows(x, 0, 4, h), stack4(cx, asked)), whole);
}

/* The whole says where something is: each quarter is weighed by that and asks its own of the whole, at three sizes; what it finds goes back to
 * the whole, every other pixel (spec 2.6). */
static tensor mcrm(nn *cx, const ben2_tokens *w, tensor x, int h)
{
    tensor whole = view_rows(x, 4, 1, h);
    tensor gate = op_activate(cx, op_linear(cx, whole, &w->sal), ACT_SIGMOID);
    gate = op_upsample2x(cx, quarters(cx, gate, h), (grid){ 4, h / 2, h / 2 });
    tensor local = op_rowscale(cx, view_rows(x, 0, 4, h), gate), own = quarters(cx, whole, h), asked[4];
    for (int i = 0; i < 4; i++) {
        tensor kv = pyramid(cx, tensor_rows(own, i * h * h / 4, h * h / 4), h / 2, h / 2, h / 4, h / 8);
        asked[i] = attend(cx, &w->attention[i], view_rows(local, i, 1, h), kv, kv);
    }
    local = settle(cx, w, &w->linear3, &w->linear4, local, stack4(cx, asked));
    return op_catrows(cx, local, op_add(cx, whole, together(cx, local, h, 2)));
}

/* ---- phases ---- */

typedef struct phase_env { const ben2 *m; tensor a, b, c; int h, from, level; } phase_env;

static tensor run(nn *cx, nn_block_fn fn, phase_env e, int rows, int cols)
{
    tensor y = { .rows = rows, .cols = cols, .ld = cols };
    nn_block(cx, fn, e.m, &y, 1, &e);
    return y;
}

/* The first layer's map of the whole picture is needed at two sizes only: io = its halves, its quarters. */
static void shallow(nn *cx, const void *weights, tensor *io, int n, const void *environment)
{
    const phase_env *e = environment;
    grid g = { 1, e->h, e->h };
    (void)n, (void)weights;
    tensor x = op_conv(cx, e->a, g, &e->m->shallow, reach_padded(g, 3, 1, 1, 1), none, ACT_NONE);
    io[0] = op_resample(cx, x, g, (grid){ 1, e->h / 2, e->h / 2 }, SAMPLE_BILINEAR);
    io[1] = op_resample(cx, x, g, (grid){ 1, e->h / 4, e->h / 4 }, SAMPLE_BILINEAR);
}

/* Patches of the quarters are those of the picture, sorted; the whole is seen at half the size, each pixel the mean of four. */
static void patches(nn *cx, const void *weights, tensor *io, int n, const void *environment)
{
    const phase_env *e = environment;
    grid g = { 1, e->h, e->h }, half = { 1, e->h / 2, e->h / 2 };
    (void)n, (void)weights;
    const weight *w = &e->m->backbone.patch;
    tensor near = op_conv(cx, e->a, g, w, reach_padded(g, 4, 4, 1, 0), none, ACT_NONE);
    tensor far = op_conv(cx, op_boxmean(cx, e->a, g, half), half, w, reach_padded(half, 4, 4, 1, 0), none, ACT_NONE);
    io[0] = op_catrows(cx, quarters(cx, near, e->h / 4), far);
}

/* y = CBR(level's feature). */
static void side(nn *cx, const void *weights, tensor *io, int n, const void *environment)
{
    const phase_env *e = environment;
    (void)n, (void)weights;
    io[0] = cbr(cx, e->a, (grid){ BEN2_VIEWS, e->h, e->h }, &e->m->side[e->level]);
}

static void deepest(nn *cx, const void *weights, tensor *io, int n, const void *environment)
{
    const phase_env *e = environment;
    (void)n, (void)weights;
    io[0] = mclm(cx, &e->m->mclm, e->a, e->h);
}

/* CBR(MCRM(e + y brought to its size)); e->a = e, e->b = y with `from` pixels a side. */
static void refine(nn *cx, const void *weights, tensor *io, int n, const void *environment)
{
    const phase_env *e = environment;
    grid g = { BEN2_VIEWS, e->h, e->h };
    (void)n, (void)weights;
    tensor y = op_resample(cx, e->b, (grid){ BEN2_VIEWS, e->from, e->from }, g, SAMPLE_BILINEAR);
    io[0] = cbr(cx, mcrm(cx, &e->m->mcrm[e->level], op_add(cx, e->a, y), e->h), g, &e->m->conv[e->level]);
}

/* One map of twice the side: quarters put together + the whole; three convolutions; + the first layer's map. */
static void head(nn *cx, const void *weights, tensor *io, int n, const void *environment)
{
    const phase_env *e = environment;
    grid small = { 1, e->h, e->h }, g = { 1, 2 * e->h, 2 * e->h };
    reach r = reach_padded(g, 3, 1, 1, 1);
    (void)n, (void)weights;
    tensor o = op_add(cx, together(cx, view_rows(e->a, 0, 4, e->h), e->h, 1), op_resample(cx, view_rows(e->a, 4, 1, e->h), small, g, SAMPLE_BILINEAR));
    for (int i = 0; i < 2; i++) o = cbr(cx, o, g, &e->m->head[i]);
    io[0] = op_conv(cx, o, g, &e->m->head[2], r, e->b, ACT_NONE);
}

/* CBR(twice) + the first layer's map. */
static void half_size(nn *cx, const void *weights, tensor *io, int n, const void *environment)
{
    const phase_env *e = environment;
    grid g = { 1, e->h, e->h }, to = { 1, 2 * e->h, 2 * e->h };
    (void)n, (void)weights;
    tensor o = op_conv_step(cx, e->a, g, (conv_step){ .w = &e->m->upsample1, .stride = 1, .twice = true });
    io[0] = op_add(cx, op_instancenorm_into(cx, o, to, EPS, ACT_GELU_ERF, o), e->b);
}

static void full_size(nn *cx, const void *weights, tensor *io, int n, const void *environment)
{
    const phase_env *e = environment;
    grid g = { 1, e->h, e->h }, to = { 1, 2 * e->h, 2 * e->h };
    (void)n, (void)weights;
    tensor o = op_conv_step(cx, e->a, g, (conv_step){ .w = &e->m->upsample2, .stride = 1, .twice = true });
    o = op_instancenorm_into(cx, o, to, EPS, ACT_GELU_ERF, o);
    io[0] = op_conv(cx, o, to, &e->m->output, reach_padded(to, 3, 1, 1, 1), none, ACT_SIGMOID);
}

tensor ben2_mask(nn *cx, const ben2 *m, tensor x)
{
    int s = BEN2_SIDE, h = s / 8; /* of a view's patches */
    tensor feature[SWIN_FEATURES], e[BEN2_LEVELS], first[2] = { { .rows = s * s / 4, .cols = BEN2_WIDTH, .ld = BEN2_WIDTH },
                                                                { .rows = s * s / 16, .cols = BEN2_WIDTH, .ld = BEN2_WIDTH } };
    static const int shift[BEN2_LEVELS] = { 0, 0, 1, 2, 3 }; /* output1 and output2 have the patches' size */
    nn_block(cx, shallow, m, first, 2, &(phase_env){ .m = m, .a = x, .h = s });
    tensor y = run(cx, patches, (phase_env){ .m = m, .a = x, .h = s }, BEN2_VIEWS * h * h, BEN2_WIDTH);
    swin_run(cx, &m->backbone, y, (grid){ BEN2_VIEWS, h, h }, feature);
    for (int i = 0; i < BEN2_LEVELS; i++) {
        int side_h = h >> shift[i];
        e[i] = run(cx, side, (phase_env){ .m = m, .a = feature[i], .h = side_h, .level = i }, BEN2_VIEWS * side_h * side_h, BEN2_WIDTH);
    }
    int from = h >> shift[4];
    y = run(cx, deepest, (phase_env){ .m = m, .a = e[4], .h = from }, e[4].rows, BEN2_WIDTH);
    for (int i = 3; i >= 0; i--) {
        int to = h >> shift[i];
        y = run(cx, refine, (phase_env){ .m = m, .a = e[i], .b = y, .h = to, .from = from, .level = i }, e[i].rows, BEN2_WIDTH);
        from = to;
    }
    y = run(cx, head, (phase_env){ .m = m, .a = y, .b = first[1], .h = h }, s * s / 16, BEN2_WIDTH);
    y = run(cx, half_size, (phase_env){ .m = m, .a = y, .b = first[0], .h = s / 4 }, s * s / 4, BEN2_WIDTH);
    return run(cx, full_size, (phase_env){ .m = m, .a = y, .h = s / 2 }, s * s, 1);
}

/* ---- shapes and names (spec 2.9) ---- */

static void tokens_shape(ben2_tokens *w, bool deep)
{
    int d = BEN2_WIDTH;
    vec *vecs[] = { &w->norm1_gain, &w->norm1_bias, &w->norm2_gain, &w->norm2_bias };
    for (int i = 0; i < 4; i++) vec_shape(vecs[i], d);
    for (int i = 0; i < (deep ? 5 : 4); i++) {
        weight_shape(&w->attention[i].in, "in_proj", d, 3 * d, 1);
        vec_shape(&w->attention[i].in_bias, 3 * d);
        weight_shape(&w->attention[i].out, "out_proj", d, d, 1);
    }
    if (deep) weight_shape(&w->linear1, "linear1", d, 2 * d, 1), weight_shape(&w->linear2, "linear2", 2 * d, d, 1);
    weight_shape(&w->linear3, "linear3", d, 2 * d, 1);
    weight_shape(&w->linear4, "linear4", 2 * d, d, 1);
    if (!deep) weight_shape(&w->sal, "sal_conv", d, 1, 1);
}

ben2 *ben2_new(void)
{
    static const swin_config base = { 128, { 2, 2, 18, 2 }, { 4, 8, 16, 32 }, 12 };
    static const int in[BEN2_LEVELS] = { 128, 128, 256, 512, 1024 };
    ben2 *m = mem_calloc(1, sizeof *m);
    int d = BEN2_WIDTH;
    if (!m) return NULL;
    swin_shape(&m->backbone, &base);
    for (int i = 0; i < BEN2_LEVELS; i++) weight_shape(&m->side[i], "output", in[i], d, 3);
    tokens_shape(&m->mclm, true);
    for (int i = 0; i < 4; i++) {
        tokens_shape(&m->mcrm[i], false);
        weight_shape(&m->conv[i], "conv", d, d, 3);
    }
    weight_shape(&m->head[0], "insmask_head.0", d, 3 * d, 3);
    weight_shape(&m->head[1], "insmask_head.3", 3 * d, 3 * d, 3);
    weight_shape(&m->head[2], "insmask_head.6", 3 * d, d, 3);
    weight_shape(&m->shallow, "shallow", 3, d, 3);
    weight_shape(&m->upsample1, "upsample1", d, d, 3);
    weight_shape(&m->upsample2, "upsample2", d, d, 3);
    weight_shape(&m->output, "output", d, 1, 3);
    return m;
}

void ben2_free(ben2 *m) { mem_free(m); }

static void visit_tokens(const visitor *v, ben2_tokens *w, const char *at)
{
    for (int i = 0; i < 5; i++) {
        if (!w->attention[i].in.out) continue;
        visit_matrix_named(v, &w->attention[i].in, "%s.attention.%d.in_proj_weight", at, i);
        visit_vec(v, &w->attention[i].in_bias, "%s.attention.%d.in_proj_bias", at, i);
        visit_weight(v, &w->attention[i].out, 0, true, "%s.attention.%d.out_proj", at, i);
    }
    weight *linear[] = { &w->linear1, &w->linear2, &w->linear3, &w->linear4 };
    for (int i = 0; i < 4; i++)
        if (linear[i]->out) visit_weight(v, linear[i], 0, true, "%s.linear%d", at, i + 1);
    visit_vec(v, &w->norm1_gain, "%s.norm1.weight", at);
    visit_vec(v, &w->norm1_bias, "%s.norm1.bias", at);
    visit_vec(v, &w->norm2_gain, "%s.norm2.weight", at);
    visit_vec(v, &w->norm2_bias, "%s.norm2.bias", at);
    if (w->sal.out) visit_conv(v, &w->sal, "%s.sal_conv", at);
}

void ben2_visit(ben2 *m, param_visitor visit, void *user)
{
    visitor v = { visit, user };
    char at[32];
    swin_visit(&m->backbone, visit, user, "backbone.");
    for (int i = 0; i < BEN2_LEVELS; i++) visit_conv(&v, &m->side[i], "output%d.0", i + 1);
    visit_tokens(&v, &m->mclm, "multifieldcrossatt");
    for (int i = 0; i < 4; i++) {
        snprintf(at, sizeof at, "dec_blk%d", i + 1);
        visit_tokens(&v, &m->mcrm[i], at);
        visit_conv(&v, &m->conv[i], "conv%d.0", i + 1);
    }
    for (int i = 0; i < 3; i++) visit_conv(&v, &m->head[i], "insmask_head.%d", 3 * i);
    visit_conv(&v, &m->shallow, "shallow.0");
    visit_conv(&v, &m->upsample1, "upsample1.0");
    visit_conv(&v, &m->upsample2, "upsample2.0");
    visit_conv(&v, &m->output, "output.0");
}
