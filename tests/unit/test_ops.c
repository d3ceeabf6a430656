/* test_ops.c - every kernel of every backend, from one table.
 *
 * The rows of the table are ops with many shapes: odd sizes, fused and 16-bit weights, adapters, several samples in several spans.
 *  - ref's gradients agree with central differences of its own forward (fourth order, loss summed in double);
 *  - cpu, for each instruction set of this machine and one or two threads, agrees with ref: forward and every gradient, inputs
 *    packed or cut out of a bigger tensor; twice the same call gives the same bytes; NaN comes out where ref says;
 *  - an op without a way back refuses one (its row has NO_WAY_BACK);
 *  - no kernel is left out: each entry of `struct backend` belongs to a row, and the row notices when that entry does nothing. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "base/half.h"
#include "base/rng.h"
#include "nn/nn.h"
#ifdef DREAMO_GGML
#include "backend/ggml/ggml.h"
#include "asked_device.h"
#endif
#include <cmocka.h> /* last: its macro fail() would hide base/error.h */

/* ---- what an op gets ---- */

enum { INPUTS = 4, PARAMS = 16, NUMBERS = 1 << 20 };

typedef struct input { int rows, cols; bool wants; float *data; } input;
typedef struct parameter { float *p, *grad; int n; bool stored; /* 16-bit: cannot be moved a little */ } parameter;

typedef struct fixture {
    rng r;
    input in[INPUTS];
    parameter param[PARAMS];
    int nin, nparams;
    tensor x[INPUTS];               /* the inputs of this run */
    weight w, table;
    adapter adapter[2];
    vec gain, bias;
    span spans[8];
    layout l;
    rope pe;
    attention_opts attn;
    route routes[3];
    int32_t ids[64];
    const float *row_weight;
    grid g;
    int n, groups, stride;
    float s;
    bool silu;
    reach reach;
    grid to;
    resampling how;
    swin m;
    act act;
} fixture;

static float numbers[NUMBERS];
static int numbers_used;

static float *floats(int n)
{
    float *p = numbers + numbers_used;
    numbers_used += (n + 15) / 16 * 16;
    assert_true(numbers_used <= NUMBERS);
    return p;
}

static float *normals(fixture *f, int n, double size)
{
    float *p = floats(n);
    for (int i = 0; i < n; i++) p[i] = (float)(size * rng_normal(&f->r));
    return p;
}

static void give(fixture *f, int rows, int cols, bool wants)
{
    f->in[f->nin++] = (input){ rows, cols, wants, normals(f, rows * cols, 1) };
}

/* n trainable numbers around `mean`. */
static float *trainable(fixture *f, int n, double mean, double size, float **grad)
{
    float *p = normals(f, n, size);
    for (int i = 0; i < n; i++) p[i] += (float)mean;
    *grad = floats(n);
    f->param[f->nparams++] = (parameter){ p, *grad, n, false };
    return p;
}

static void gain_and_bias(fixture *f, int n)
{
    f->gain = f->bias = (vec){ .n = n };
    f->gain.p = trainable(f, n, 1, 0.3, &f->gain.grad);
    f->bias.p = trainable(f, n, 0, 0.3, &f->bias.grad);
}

static void add_part(fixture *f, weight *w, int rows, dtype type, bool bias)
{
    weight_part *p = &w->part[w->nparts++];
    int n = rows * w->in * w->kh * w->kw;
    float *values = trainable(f, n, 0, 1 / sqrt(w->in * w->kh * w->kw), &p->grad);
    p->rows = rows;
    p->type = type;
    p->data = values;
    w->out += rows;
    if (type != DT_F32) {
        uint16_t *h = (uint16_t *)floats((n + 1) / 2);
        for (int i = 0; i < n; i++) h[i] = type == DT_BF16 ? f32_to_bf16(values[i]) : f32_to_f16(values[i]);
        p->data = h;
        f->param[f->nparams - 1].stored = true;
    }
    if (bias) p->bias = trainable(f, rows, 0, 1, &p->grad_bias);
}

static weight new_weight(const char *name, int in, int kernel)
{
    return (weight){ .name = name, .in = in, .kh = kernel, .kw = kernel };
}

static void add_adapter(fixture *f, weight *w, int row0, int rows, int rank, float scale)
{
    adapter *a = &f->adapter[w->adapters ? 1 : 0];
    *a = (adapter){ .row0 = row0, .rows = rows, .rank = rank, .scale = scale };
    a->A = trainable(f, rank * w->in, 0, 1 / sqrt(w->in), &a->grad_A);
    a->B = trainable(f, rows * rank, 0, 1, &a->grad_B);
    if (w->adapters) w->adapters->next = a;
    else w->adapters = a;
}

/* Packed batches: one sample; two samples in one span each; three samples whose rows lie in text and image spans. */
static int use_layout(fixture *f, int kind)
{
    static const span one[] = { { 0, 7, 0 } }, two[] = { { 0, 1, 0 }, { 1, 36, 1 } },
        three[] = { { 0, 3, 0 }, { 9, 17, 0 }, { 3, 4, 1 }, { 26, 70, 1 }, { 7, 2, 2 } };
    static const struct { const span *s; int nspans, samples, rows; } all[] = {
        { one, 1, 1, 7 }, { two, 2, 2, 37 }, { three, 5, 3, 96 },
    };
    memcpy(f->spans, all[kind].s, (size_t)all[kind].nspans * sizeof(span));
    f->l = (layout){ all[kind].samples, all[kind].nspans, f->spans };
    return all[kind].rows;
}

static void use_rope(fixture *f, int rows, int dim)
{
    float *c = floats(rows * dim), *s = floats(rows * dim);
    for (int i = 0; i < rows * dim; i++) {
        double angle = rng_range(&f->r, -4, 4);
        c[i] = (float)cos(angle);
        s[i] = (float)sin(angle);
    }
    f->pe = (rope){ .cos = c, .sin = s, .dim = dim };
}

/* ---- the ops: `make` fills the fixture for variant v, `run` calls the op ---- */

static void make_linear(fixture *f, int v)
{
    static const struct { int rows, in, out; } size[] = {
        { 1, 1, 1 }, { 3, 5, 7 }, { 17, 33, 65 }, { 37, 64, 50 }, { 130, 48, 31 },
    };
    int shape = v % 5, out = size[shape].out;
    static const dtype type[] = { DT_F32, DT_BF16, DT_F16 };
    dtype t = type[v / 5 % 3];
    bool fused = v >= 15;
    f->w = new_weight("linear", size[shape].in, 1);
    if (fused && out > 3) { /* parts of different types, the second without bias */
        add_part(f, &f->w, out - 3, t, true);
        add_part(f, &f->w, 1, DT_F32, false);
        add_part(f, &f->w, 2, DT_BF16, true);
        add_adapter(f, &f->w, 1, out - 2, 3, 0.75f);
        add_adapter(f, &f->w, 0, 2, 1, -0.5f);
    } else {
        add_part(f, &f->w, out, t, v % 2);
    }
    give(f, size[shape].rows, size[shape].in, true);
}
static tensor run_linear(nn *cx, fixture *f) { return op_linear(cx, f->x[0], &f->w); }

static void make_embed(fixture *f, int v)
{
    static const int32_t ids[] = { 3, 0, -1, 3, 10, 7, 3 };
    static const dtype type[] = { DT_F32, DT_BF16, DT_F16 };
    f->w = new_weight("embed", v < 3 ? 5 : 33, 1);
    add_part(f, &f->w, 8, type[v % 3], false);
    add_part(f, &f->w, 3, DT_F32, false);
    memcpy(f->ids, ids, sizeof ids);
}
static tensor run_embed(nn *cx, fixture *f) { return op_embed(cx, f->ids, 7, &f->w); }

static const int widths[] = { 4, 7, 33, 64 }; /* of two values LayerNorm leaves the signs only: no gradient to speak of */

static void make_adaln(fixture *f, int v)
{
    int rows = use_layout(f, v / 4), cols = widths[v % 4];
    give(f, rows, cols, true);
    give(f, f->l.samples, 3 * cols, true);
}
static tensor run_adaln(nn *cx, fixture *f)
{
    int d = f->in[0].cols; /* shift and scale are cut out of one modulation, as in a model */
    return op_adaln(cx, f->x[0], (modulation){ .shift = tensor_cols(f->x[1], 0, d), .scale = tensor_cols(f->x[1], d, d) }, f->l);
}

static void make_gateadd(fixture *f, int v)
{
    int rows = use_layout(f, v / 4), cols = widths[v % 4];
    give(f, rows, cols, true);
    give(f, f->l.samples, cols, true);
    give(f, rows, cols, true);
}
static tensor run_gateadd(nn *cx, fixture *f) { return op_gateadd(cx, f->x[0], f->x[1], f->x[2], f->l); }

static void make_qknorm(fixture *f, int v)
{
    static const int dims[] = { 2, 6, 16, 64 };
    int dim = dims[v % 4], rows = v / 4 % 2 ? 19 : 1, heads = v % 3 + 1;
    f->gain = (vec){ .n = dim };
    f->gain.p = trainable(f, dim, 1, 0.3, &f->gain.grad);
    if (v < 8) use_rope(f, rows, dim / 2);
    give(f, rows, heads * dim, true);
}
static tensor run_qknorm(nn *cx, fixture *f) { return op_qknorm(cx, f->x[0], f->gain, f->pe); }

static void make_attention(fixture *f, int v)
{
    static const int dims[] = { 1, 6, 16, 64 };
    int rows = use_layout(f, v % 3), kind = v / 3 % 4, dim = dims[v / 12], heads = v % 2 ? 3 : 2;
    f->attn = (attention_opts){ .heads = heads };
    if (kind == 1) f->attn.causal = true;
    if (kind == 2) f->attn.scale = 0.3f;
    if (kind == 3) { /* T5: no scale, a learnt bias by distance */
        f->attn.scale = 1;
        f->attn.max_distance = 20;
        f->table = new_weight("bias", heads, 1);
        add_part(f, &f->table, 8, v % 2 ? DT_F32 : DT_BF16, false);
        f->attn.relbias = &f->table;
    }
    for (int i = 0; i < 3; i++) give(f, rows, heads * dim, true);
}
static tensor run_attention(nn *cx, fixture *f)
{
    attention_opts o = f->attn;
    return op_attention(cx, f->x[0], f->x[1], f->x[2], f->l, o);
}

static void make_routemap(fixture *f, int v)
{
    static const route all[] = { { 12, 5, 2, 9 }, { 17, 1, 2, 6 }, { 0, 2, 11, 1 } };
    int dim = v ? 16 : 3;
    f->n = v < 2 ? 1 : 3;
    memcpy(f->routes, all, sizeof all);
    f->attn.heads = v % 2 + 1;
    for (int i = 0; i < 2; i++) give(f, 18, f->attn.heads * dim, true);
}
static tensor run_routemap(nn *cx, fixture *f) { return op_routemap(cx, f->x[0], f->x[1], f->routes, f->n, f->attn.heads); }

/* A span a group, as a layout of its own: 1 to 5 rows. */
static void make_softmax(fixture *f, int v)
{
    static const span groups[] = { { 2, 3, 0 }, { 0, 2, 1 }, { 5, 1, 2 }, { 6, 5, 3 } };
    memcpy(f->spans, groups, sizeof groups);
    f->l = (layout){ 4, 4, f->spans };
    give(f, 11, v ? 5 : 1, true);
}
static tensor run_softmax(nn *cx, fixture *f) { return op_softmax(cx, f->x[0], f->l); }

static void make_takerows(fixture *f, int v)
{
    static const int32_t ids[] = { 17, 3, 3, 0, 9, 16, 3 };
    memcpy(f->ids, ids, sizeof ids);
    give(f, 18, v ? 70 : 3, true);
}
static tensor run_takerows(nn *cx, fixture *f) { return op_takerows(cx, f->x[0], f->ids, 7); }

static void make_one(fixture *f, int v)
{
    static const struct { int rows, cols; } size[] = { { 1, 1 }, { 5, 3 }, { 7, 67 }, { 64, 16 } };
    give(f, size[v].rows, size[v].cols, true);
}
static tensor run_gelu(nn *cx, fixture *f) { return op_gelu(cx, f->x[0]); }
static tensor run_quickgelu(nn *cx, fixture *f) { return op_quickgelu(cx, f->x[0]); }
static tensor run_silu(nn *cx, fixture *f) { return op_silu(cx, f->x[0]); }
static tensor run_scale(nn *cx, fixture *f) { return op_scale(cx, f->x[0], -1.7f); }

static void make_two(fixture *f, int v)
{
    make_one(f, v);
    make_one(f, v);
}
static tensor run_add(nn *cx, fixture *f) { return op_add(cx, f->x[0], f->x[1]); }
static tensor run_mul(nn *cx, fixture *f) { return op_mul(cx, f->x[0], f->x[1]); }
static tensor run_catrows(nn *cx, fixture *f) { return op_catrows(cx, f->x[1], f->x[0]); }
static tensor run_catcols(nn *cx, fixture *f) { return op_catcols(cx, f->x[1], f->x[0]); }

static void make_norm(fixture *f, int v)
{
    static const struct { int rows, cols; } size[] = { { 1, 5 }, { 6, 4 }, { 7, 67 }, { 64, 16 } };
    give(f, size[v].rows, size[v].cols, true);
    gain_and_bias(f, size[v].cols);
}
static tensor run_layernorm(nn *cx, fixture *f) { return op_layernorm(cx, f->x[0], f->gain, f->bias, 1e-5f); }

static void make_rmsnorm(fixture *f, int v)
{
    make_norm(f, v);
    f->nparams = 1;
}
static tensor run_rmsnorm(nn *cx, fixture *f) { return op_rmsnorm(cx, f->x[0], f->gain, 1e-6f); }

static void make_groupnorm(fixture *f, int v)
{
    static const struct { grid g; int channels, groups; } size[] = {
        { { 1, 1, 2 }, 2, 1 }, { { 1, 3, 5 }, 6, 3 }, { { 2, 4, 3 }, 64, 32 }, { { 3, 5, 7 }, 40, 4 },
    };
    f->g = size[v % 4].g;
    f->groups = size[v % 4].groups;
    f->silu = v >= 4;
    give(f, f->g.n * f->g.h * f->g.w, size[v % 4].channels, true);
    gain_and_bias(f, size[v % 4].channels);
}
static tensor run_groupnorm(nn *cx, fixture *f)
{
    return op_groupnorm(cx, f->x[0], f->g, f->groups, f->gain, f->bias, 1e-6f, f->silu);
}

static void make_conv2d(fixture *f, int v)
{
    static const struct { grid g; int in, out, kernel, stride; } size[] = {
        { { 1, 1, 1 }, 1, 1, 3, 1 }, { { 1, 5, 3 }, 3, 2, 3, 1 }, { { 2, 4, 6 }, 5, 7, 3, 2 }, { { 1, 7, 9 }, 16, 33, 3, 1 },
        { { 2, 3, 4 }, 6, 5, 1, 1 }, { { 1, 2, 2 }, 3, 4, 3, 2 }, { { 2, 10, 18 }, 17, 8, 3, 2 }, { { 1, 6, 70 }, 4, 3, 3, 1 },
    };
    static const dtype type[] = { DT_F32, DT_BF16, DT_F16 };
    f->g = size[v % 8].g;
    f->stride = size[v % 8].stride;
    f->w = new_weight("conv", size[v % 8].in, size[v % 8].kernel);
    add_part(f, &f->w, size[v % 8].out, type[v / 8], v % 3 != 0);
    give(f, f->g.n * f->g.h * f->g.w, size[v % 8].in, true);
}
static tensor run_conv2d(nn *cx, fixture *f) { return op_conv2d(cx, f->x[0], f->g, &f->w, f->stride); }

static void make_picture(fixture *f, int v)
{
    static const struct { grid g; int channels; } size[] = {
        { { 1, 2, 2 }, 1 }, { { 2, 4, 6 }, 3 }, { { 3, 2, 8 }, 16 }, { { 1, 6, 10 }, 20 },
    };
    f->g = size[v].g;
    give(f, f->g.n * f->g.h * f->g.w, size[v].channels, true);
}
static tensor run_upsample2x(nn *cx, fixture *f) { return op_upsample2x(cx, f->x[0], f->g); }
static tensor run_pack2x2(nn *cx, fixture *f) { return op_pack2x2(cx, f->x[0], f->g); }

static void make_unpack2x2(fixture *f, int v)
{
    make_picture(f, v);
    f->in[0].rows /= 4;
    f->in[0].cols *= 4;
}
static tensor run_unpack2x2(nn *cx, fixture *f) { return op_unpack2x2(cx, f->x[0], f->g); }

static void make_posterior(fixture *f, int v)
{
    static const struct { int rows, cols; } size[] = { { 1, 1 }, { 5, 3 }, { 9, 16 } };
    give(f, size[v].rows, 2 * size[v].cols, true);
    give(f, size[v].rows, size[v].cols, false);
    if (v == 2) { /* below the clamp, where the log variance gets no gradient */
        f->in[0].data[17] = -40;
        f->in[0].data[18] = -33;
        f->in[0].data[32 + 16] = -31;
    }
}
static tensor run_gaussian(nn *cx, fixture *f) { return op_gaussian(cx, f->x[0], f->x[1]); }
static tensor run_kl(nn *cx, fixture *f) { return op_kl(cx, f->x[0]); }

static void make_mse(fixture *f, int v)
{
    static const struct { int rows, cols; } size[] = { { 1, 1 }, { 5, 3 }, { 33, 70 } };
    give(f, size[v % 3].rows, size[v % 3].cols, true);
    give(f, size[v % 3].rows, size[v % 3].cols, false);
    if (v < 3) return;
    float *w = normals(f, size[v % 3].rows, 1);
    for (int i = 0; i < size[v % 3].rows; i++) w[i] *= w[i];
    f->row_weight = w;
}
static tensor run_mse(nn *cx, fixture *f) { return op_mse(cx, f->x[0], f->x[1], f->row_weight); }

/* ---- forward only ---- */

static void make_activate(fixture *f, int v)
{
    make_one(f, v % 4);
    f->act = (act)(v / 4 + 1);
}
static tensor run_activate(nn *cx, fixture *f) { return op_activate(cx, f->x[0], f->act); }

static void make_rowscale(fixture *f, int v)
{
    make_one(f, v);
    give(f, f->in[0].rows, 1, true);
}
static tensor run_rowscale(nn *cx, fixture *f) { return op_rowscale(cx, f->x[0], f->x[1]); }

static void make_sight(fixture *f, int v)
{
    static const struct { grid g; int channels; } size[] = { { { 1, 6, 4 }, 1 }, { { 2, 5, 7 }, 3 }, { { 1, 12, 9 }, 33 }, { { 3, 8, 6 }, 16 }, { { 1, 40, 30 }, 20 } };
    f->g = size[v].g;
    give(f, f->g.n * f->g.h * f->g.w, size[v].channels, true);
}
static void make_instancenorm(fixture *f, int v)
{
    make_sight(f, v % 5);
    f->act = v < 5 ? ACT_NONE : ACT_GELU_ERF;
}
static tensor run_instancenorm(nn *cx, fixture *f) { return op_instancenorm(cx, f->x[0], f->g, 1e-5f, f->act); }

/* side, stride, dilation, before of the filters that networks have */
static const struct { int side, stride, dilation, pad; } reaches[] = {
    { 3, 1, 1, 1 }, { 7, 2, 1, 3 }, { 3, 2, 1, 1 }, { 1, 2, 1, 0 }, { 3, 1, 2, 2 }, { 3, 1, 8, 8 }, { 4, 4, 1, 0 }, { 1, 1, 1, 0 }, { 3, 1, 1, 0 }, { 2, 2, 1, 0 },
};
#define NREACHES (int)(sizeof reaches / sizeof *reaches)

static void use_reach(fixture *f, int v) { f->reach = reach_padded(f->g, reaches[v].side, reaches[v].stride, reaches[v].dilation, reaches[v].pad); }

static void make_conv(fixture *f, int v)
{
    static const dtype type[] = { DT_F32, DT_F16, DT_BF16 };
    int k = v % NREACHES, out = 5 + 30 * (v % 2);
    make_sight(f, v % 5);
    use_reach(f, k);
    f->w = new_weight("conv", f->in[0].cols, reaches[k].side);
    add_part(f, &f->w, out, type[v / NREACHES], v % 3 != 0);
    f->act = v % 4 == 1 ? ACT_RELU : v % 4 == 2 ? ACT_LEAKY : ACT_NONE;
    if (v % 3 == 1) f->w.part[0].row_scale = normals(f, out, 1);
    if (v % 2) give(f, f->g.n * f->reach.h * f->reach.w, out, true);
}
static tensor run_conv(nn *cx, fixture *f) { return op_conv(cx, f->x[0], f->g, &f->w, f->reach, f->nin > 1 ? f->x[1] : (tensor){ 0 }, f->act); }

static void make_depthwise(fixture *f, int v)
{
    make_sight(f, v % 5);
    use_reach(f, v == 0 ? 0 : v == 1 ? 2 : v == 2 ? 0 : v == 3 ? 4 : 9);
    f->w = new_weight("depthwise", 1, f->reach.side);
    add_part(f, &f->w, f->in[0].cols, v == 3 ? DT_F16 : DT_F32, v % 2);
    if (v == 2) f->w.part[0].row_scale = normals(f, f->in[0].cols, 1);
}
static tensor run_depthwise(nn *cx, fixture *f) { return op_depthwise(cx, f->x[0], f->g, &f->w, f->reach); }

static void make_maxpool(fixture *f, int v)
{
    make_sight(f, v % 5);
    f->reach = v < 5 ? reach_padded(f->g, 3, 2, 1, 1) : (reach){ 2, 2, 1, 0, (f->g.h + 1) / 2, (f->g.w + 1) / 2 }; /* the last one cut off */
}
static tensor run_maxpool(nn *cx, fixture *f) { return op_maxpool(cx, f->x[0], f->g, f->reach); }

static void make_boxmean(fixture *f, int v)
{
    static const grid to[] = { { 1, 3, 2 }, { 2, 1, 1 }, { 1, 4, 9 }, { 3, 4, 2 }, { 1, 5, 6 } };
    make_sight(f, v);
    f->to = to[v];
}
static tensor run_boxmean(nn *cx, fixture *f) { return op_boxmean(cx, f->x[0], f->g, f->to); }

static void make_resample(fixture *f, int v)
{
    static const grid to[] = { { 1, 3, 8 }, { 2, 11, 14 }, { 1, 5, 4 }, { 3, 1, 17 }, { 1, 10, 31 } };
    make_sight(f, v % 5);
    f->to = to[v % 5];
    f->how = (resampling)(v / 5);
}
static tensor run_resample(nn *cx, fixture *f) { return op_resample(cx, f->x[0], f->g, f->to, f->how); }

static void make_windowattention(fixture *f, int v)
{
    static const struct { grid g; swin m; int dim; } size[] = {
        { { 1, 4, 4 }, { 2, 1, 2 }, 6 }, { { 2, 5, 7 }, { 4, 2, 3 }, 8 }, { { 1, 13, 11 }, { 12, 6, 1 }, 32 }, { { 2, 3, 6 }, { 3, 0, 2 }, 5 },
    };
    f->g = size[v].g;
    f->m = size[v].m;
    int rows = f->g.n * f->g.h * f->g.w, cols = 3 * f->m.heads * size[v].dim, far = 2 * f->m.side - 1;
    f->bias = (vec){ .n = cols, .p = normals(f, cols, 1) };
    f->gain = (vec){ .n = far * far * f->m.heads, .p = normals(f, far * far * f->m.heads, 1) };
    give(f, rows, cols, true);
}
static tensor run_windowattention(nn *cx, fixture *f) { return op_windowattention(cx, f->x[0], f->g, f->m, f->bias, f->gain); }

static void make_crossattention(fixture *f, int v)
{
    static const struct { int samples, queries, keys, heads, dim; } size[] = { { 1, 7, 3, 1, 6 }, { 2, 5, 40, 2, 16 }, { 1, 100, 300, 1, 33 }, { 3, 1, 1, 1, 64 } };
    f->n = size[v].samples;
    f->groups = size[v].heads;
    int cols = size[v].heads * size[v].dim;
    give(f, f->n * size[v].queries, cols, true);
    give(f, f->n * size[v].keys, cols, true);
    give(f, f->n * size[v].keys, cols, true);
}
static tensor run_crossattention(nn *cx, fixture *f) { return op_crossattention(cx, f->x[0], f->x[1], f->x[2], f->n, f->groups); }

/* ---- the table ---- */

#define NO_WAY_BACK -1
#define K(f) offsetof(backend, f)
#define BOTH(f) { K(f), K(f##_backward) }

/* forward, back: largest difference to ref, relative to ref's largest value.  fp32 sums of K terms err by about sqrt(K) 6e-8.
 * step: length of the step for central differences; longer where y is one number, or statistics are stored: their rounding would show. */
static const struct row {
    const char *name;
    size_t kernel[4];
    int variants;
    void (*make)(fixture *f, int v);
    tensor (*run)(nn *cx, fixture *f);
    double forward, back, step;
} rows[] = {
    { "linear", BOTH(linear), 30, make_linear, run_linear, 2e-6, 4e-6, 0.03 },
    { "embed", BOTH(embed), 6, make_embed, run_embed, 0, 1e-6, 0.03 },
    { "adaln", BOTH(adaln), 12, make_adaln, run_adaln, 2e-6, 4e-6, 0.03 },
    { "gateadd", BOTH(gateadd), 12, make_gateadd, run_gateadd, 1e-6, 2e-6, 0.03 },
    { "qknorm", BOTH(qknorm), 16, make_qknorm, run_qknorm, 2e-6, 4e-6, 0.03 },
    { "attention", BOTH(attention), 48, make_attention, run_attention, 3e-6, 1e-5, 0.03 },
    { "routemap", BOTH(routemap), 4, make_routemap, run_routemap, 2e-6, 2e-6, 0.03 },
    { "softmax", BOTH(softmax), 2, make_softmax, run_softmax, 1e-6, 2e-6, 0.03 },
    { "takerows", BOTH(takerows), 2, make_takerows, run_takerows, 0, 1e-6, 0.03 },
    { "gelu", BOTH(gelu), 4, make_one, run_gelu, 1e-6, 2e-6, 0.03 },
    { "quickgelu", BOTH(quickgelu), 4, make_one, run_quickgelu, 1e-6, 2e-6, 0.03 },
    { "silu", BOTH(silu), 4, make_one, run_silu, 1e-6, 2e-6, 0.03 },
    { "scale", BOTH(scale), 4, make_one, run_scale, 0, 1e-6, 0.03 },
    { "add", { K(add), K(add_to) }, 4, make_two, run_add, 0, 1e-6, 0.03 },
    { "mul", BOTH(mul), 4, make_two, run_mul, 0, 1e-6, 0.03 },
    { "catrows", { K(copy), K(write), K(read), K(zero) }, 4, make_two, run_catrows, 0, 1e-6, 0.03 },
    { "catcols", { K(copy), K(add_to) }, 4, make_two, run_catcols, 0, 1e-6, 0.03 },
    { "layernorm", BOTH(layernorm), 4, make_norm, run_layernorm, 2e-6, 4e-6, 0.03 },
    { "rmsnorm", BOTH(rmsnorm), 4, make_rmsnorm, run_rmsnorm, 2e-6, 4e-6, 0.03 },
    { "groupnorm", { K(groupstats), K(groupnorm), K(groupnorm_backward) }, 8, make_groupnorm, run_groupnorm, 2e-6, 4e-6, 0.1 },
    { "conv2d", BOTH(conv2d), 24, make_conv2d, run_conv2d, 2e-6, 4e-6, 0.03 },
    { "upsample2x", BOTH(upsample2x), 4, make_picture, run_upsample2x, 0, 1e-6, 0.03 },
    { "pack2x2", BOTH(pack2x2), 4, make_picture, run_pack2x2, 0, 1e-6, 0.03 },
    { "unpack2x2", BOTH(unpack2x2), 4, make_unpack2x2, run_unpack2x2, 0, 1e-6, 0.03 },
    { "gaussian", BOTH(gaussian), 3, make_posterior, run_gaussian, 2e-6, 2e-6, 0.03 },
    { "kl", BOTH(kl), 3, make_posterior, run_kl, 1e-6, 2e-6, 0.03 },
    { "mse", BOTH(mse), 6, make_mse, run_mse, 1e-6, 2e-6, 0.3 },
    { "activate", { K(activate) }, 16, make_activate, run_activate, 1e-6, NO_WAY_BACK, 0 },
    { "rowscale", { K(rowscale) }, 4, make_rowscale, run_rowscale, 0, NO_WAY_BACK, 0 },
    { "instancenorm", { K(instancenorm) }, 10, make_instancenorm, run_instancenorm, 2e-6, NO_WAY_BACK, 0 },
    { "conv", { K(conv) }, 3 * NREACHES, make_conv, run_conv, 2e-6, NO_WAY_BACK, 0 },
    { "depthwise", { K(depthwise) }, 5, make_depthwise, run_depthwise, 2e-6, NO_WAY_BACK, 0 },
    { "maxpool", { K(maxpool) }, 10, make_maxpool, run_maxpool, 0, NO_WAY_BACK, 0 },
    { "boxmean", { K(boxmean) }, 5, make_boxmean, run_boxmean, 1e-6, NO_WAY_BACK, 0 },
    { "resample", { K(resample) }, 15, make_resample, run_resample, 1e-6, NO_WAY_BACK, 0 },
    { "windowattention", { K(windowattention) }, 4, make_windowattention, run_windowattention, 3e-6, NO_WAY_BACK, 0 },
    { "crossattention", { K(crossattention) }, 4, make_crossattention, run_crossattention, 3e-6, NO_WAY_BACK, 0 },
};
#define NROWS (sizeof rows / sizeof *rows)

static void set_up(fixture *f, const struct row *row, int v)
{
    numbers_used = 0;
    memset(f, 0, sizeof *f);
    f->r = rng_new(1234 + (uint64_t)v, 77);
    row->make(f, v);
}

/* ---- running a row ---- */

enum { LIMIT = 1 << 16 };
#define OLD_GRAD 0.25f /* gradients are added to what is there */

typedef struct outcome {
    int rows, cols;
    float y[LIMIT], dx[INPUTS][LIMIT], dp[PARAMS][LIMIT];
} outcome;

/* The input as a leaf, or as a cut of a bigger leaf full of junk; *root is the leaf. */
static tensor input_tensor(nn *cx, const input *in, bool cut, tensor *root)
{
    static float big[LIMIT];
    if (!cut) {
        tensor x = tensor_from(cx, in->rows, in->cols, in->data);
        return *root = in->wants ? tensor_leaf(cx, x) : x;
    }
    int rows = in->rows + 2, cols = in->cols + 5;
    for (int i = 0; i < rows * cols; i++) big[i] = 1e3f;
    for (int t = 0; t < in->rows; t++) memcpy(big + (t + 1) * cols + 3, in->data + t * in->cols, (size_t)in->cols * sizeof(float));
    *root = tensor_from(cx, rows, cols, big);
    if (in->wants) *root = tensor_leaf(cx, *root);
    return tensor_cols(tensor_rows(*root, 1, in->rows), 3, in->cols);
}

static double target(int i) { return 0.8 * sin(1 + 2.3 * i); }

/* y, and with `back` the gradients of mean (y - target)^2. */
static void perform(const struct row *row, fixture *f, device *dev, bool cut, bool back, outcome *o)
{
    static float t[LIMIT];
    back = back && row->back >= 0;
    nn_options opt = { .dev = dev, .work_nbytes = 64 << 20, .keep_nbytes = 1, .taping = back };
    nn *cx = nn_new(&opt, NULL);
    tensor root[INPUTS];
    for (int i = 0; i < f->nparams; i++)
        for (int j = 0; j < f->param[i].n; j++) f->param[i].grad[j] = OLD_GRAD;
    for (int i = 0; i < f->nin; i++) f->x[i] = input_tensor(cx, &f->in[i], cut, &root[i]);
    tensor y = row->run(cx, f);
    o->rows = y.rows;
    o->cols = y.cols;
    assert_true(y.rows * y.cols <= LIMIT);
    tensor_read(cx, y, o->y);
    for (int i = 0; back && i < y.rows * y.cols; i++) t[i] = (float)target(i);
    if (back) nn_backward(cx, op_mse(cx, y, tensor_from(cx, y.rows, y.cols, t), NULL));
    for (int i = 0; back && i < f->nin; i++)
        if (f->in[i].wants) tensor_read(cx, tensor_grad(cx, f->x[i]), o->dx[i]);
    for (int i = 0; back && i < f->nparams; i++) memcpy(o->dp[i], f->param[i].grad, (size_t)f->param[i].n * sizeof(float));
    dreamo_error err = { 0 };
    if (nn_status(cx, &err) != DREAMO_OK) fail_msg("%s: %s", row->name, err.message);
    if (back && cut) /* nothing may have been written beside the cut */
        for (int i = 0; i < f->nin; i++) {
            static float g[LIMIT];
            if (!f->in[i].wants) continue;
            tensor_read(cx, tensor_grad(cx, root[i]), g);
            for (int p = 0; p < root[i].rows * root[i].cols; p++) {
                int r = p / root[i].cols - 1, c = p % root[i].cols - 3;
                bool inside = r >= 0 && r < f->in[i].rows && c >= 0 && c < f->in[i].cols;
                if (!inside && g[p] != 0) fail_msg("%s: gradient %g beside the cut of input %d", row->name, g[p], i);
            }
        }
    nn_free(cx);
}

/* ---- ref against central differences ---- */

static double loss_of(const struct row *row, fixture *f, device *dev, outcome *o)
{
    double s = 0;
    perform(row, f, dev, false, false, o);
    int n = o->rows * o->cols;
    for (int i = 0; i < n; i++) s += (o->y[i] - target(i)) * (o->y[i] - target(i));
    return s / n;
}

/* Derivative of the loss along `way` at p: (8 (f(h) - f(-h)) - (f(2h) - f(-2h))) / 12h. */
static double slope(const struct row *row, fixture *f, device *dev, float *p, const float *way, int n)
{
    static float old[LIMIT];
    static outcome o;
    static const double at[] = { 1, -1, 2, -2 }, factor[] = { 8, -8, -1, 1 };
    double h = row->step / sqrt(n), s = 0;
    memcpy(old, p, (size_t)n * sizeof *old);
    for (int k = 0; k < 4; k++) {
        for (int i = 0; i < n; i++) p[i] = (float)(old[i] + at[k] * h * way[i]);
        s += factor[k] * loss_of(row, f, dev, &o);
    }
    memcpy(p, old, (size_t)n * sizeof *old);
    return s / (12 * h);
}

static double worst_slope;

static void agrees(const struct row *row, int v, fixture *f, device *dev, const char *what, float *p, const float *grad,
                   float old, int n)
{
    static float way[LIMIT];
    for (int trial = 0; trial < 3; trial++) {
        double expected = 0, norm = 0;
        for (int i = 0; i < n; i++) {
            double g = grad[i] - old;
            way[i] = rng_u32(&f->r) & 1 ? 1 : -1;
            expected += g * way[i];
            norm += g * g;
        }
        double found = slope(row, f, dev, p, way, n), error = fabs(found - expected), allowed = 1e-3 * sqrt(norm) + 2e-6;
        if (error / allowed > worst_slope) worst_slope = error / allowed;
        if (!(error <= allowed))
            fail_msg("%s, variant %d, %s: slope %.8g, gradient says %.8g (norm %.3g)", row->name, v, what, found, expected,
                     sqrt(norm));
    }
}

static void test_gradients_agree_with_central_differences(void **state)
{
    static fixture f;
    static outcome o;
    device *dev = backend_ref.open(1);
    (void)state;
    for (size_t i = 0; i < NROWS; i++)
        for (int v = 0; v < rows[i].variants && rows[i].back >= 0; v++) {
            set_up(&f, &rows[i], v);
            perform(&rows[i], &f, dev, false, true, &o);
            for (int k = 0; k < f.nin; k++)
                if (f.in[k].wants) agrees(&rows[i], v, &f, dev, "input", f.in[k].data, o.dx[k], 0, f.in[k].rows * f.in[k].cols);
            for (int k = 0; k < f.nparams; k++)
                if (!f.param[k].stored) agrees(&rows[i], v, &f, dev, "parameter", f.param[k].p, o.dp[k], OLD_GRAD, f.param[k].n);
        }
    print_message("             worst central difference: %.2f of what is allowed\n", worst_slope);
    backend_ref.close(dev);
}

/* ---- cpu against ref ---- */

static double difference(const float *a, const float *ref, int n)
{
    double top = 1e-30, worst = 0;
    for (int i = 0; i < n; i++) {
        top = fmax(top, fabs(ref[i]));
        if (isnan(a[i]) != isnan(ref[i])) return INFINITY;
        if (!isnan(a[i])) worst = fmax(worst, fabs((double)a[i] - ref[i]));
    }
    return worst / top;
}

static double worst_forward, worst_back;
static int told = -1; /* on a device elsewhere, which may not be at hand again, everything that is wrong is told before it counts: -1 where the first thing fails */

static void same(const struct row *row, int v, const char *how, const char *what, const float *a, const float *ref, int n,
                 double limit, double *worst)
{
    double d = difference(a, ref, n);
    *worst = fmax(*worst, d);
    if (d <= limit) return;
    if (told < 0) fail_msg("%s, variant %d, %s: %s differs by %.3g, allowed %.3g", row->name, v, how, what, d, limit);
    print_error("%s, variant %d, %s: %s differs by %.3g, allowed %.3g\n", row->name, v, how, what, d, limit);
    told++;
}

/* Open the cpu backend for one instruction set; NULL when this machine lacks it. */
static device *open_cpu(const char *set, int threads)
{
    setenv("DREAMO_CPU", set, 1);
    device *dev = backend_cpu.open(threads);
    unsetenv("DREAMO_CPU");
    return dev;
}

/* All instruction sets of this machine, one and two threads. */
static void each_cpu(void (*check)(const struct row *row, device *ref, device *dev, const char *how))
{
    static const char *const sets[] = { "generic", "avx2", "avx512" };
    device *ref = backend_ref.open(1);
    for (int s = 0; s < 3; s++)
        for (int threads = 1; threads <= 2; threads++) {
            device *dev = open_cpu(sets[s], threads);
            char how[32];
            if (!dev) {
                assert_int_not_equal(s, 0);
                continue; /* the machine lacks it */
            }
            snprintf(how, sizeof how, "%s, %d threads", sets[s], threads);
            for (size_t i = 0; i < NROWS; i++) check(&rows[i], ref, dev, how);
            backend_cpu.close(dev);
        }
    backend_ref.close(ref);
}

static void compare_row(const struct row *row, device *ref, device *dev, const char *how)
{
    static fixture f;
    static outcome a, again, expected;
    for (int v = 0; v < row->variants; v++) {
        set_up(&f, row, v);
        if (dev->be->forget) dev->be->forget(dev); /* the numbers lie where the last ones did */
        for (int cut = 0; cut < 2; cut++) {
            perform(row, &f, ref, cut, true, &expected);
            memset(&a, 0, sizeof a);
            memset(&again, 0, sizeof again);
            perform(row, &f, dev, cut, true, &a);
            perform(row, &f, dev, cut, true, &again);
            same(row, v, how, "y", a.y, expected.y, a.rows * a.cols, row->forward, &worst_forward);
            for (int k = 0; k < f.nin; k++)
                if (f.in[k].wants && row->back >= 0)
                    same(row, v, how, "dx", a.dx[k], expected.dx[k], f.in[k].rows * f.in[k].cols, row->back, &worst_back);
            for (int k = 0; k < f.nparams && row->back >= 0; k++)
                same(row, v, how, "a parameter's gradient", a.dp[k], expected.dp[k], f.param[k].n, row->back, &worst_back);
            if (memcmp(&a, &again, sizeof a)) fail_msg("%s, variant %d, %s: not the same bytes again", row->name, v, how);
        }
        if (!f.nin) continue;
        f.in[0].data[f.in[0].rows * f.in[0].cols / 2] = NAN;
        perform(row, &f, ref, false, false, &expected);
        perform(row, &f, dev, false, false, &a);
        for (int i = 0; i < a.rows * a.cols; i++)
            if (isnan(a.y[i]) != isnan(expected.y[i]))
                fail_msg("%s, variant %d, %s: NaN is %s", row->name, v, how, isnan(a.y[i]) ? "made" : "lost");
    }
}

static void test_cpu_agrees_with_ref(void **state)
{
    (void)state;
    each_cpu(compare_row);
    print_message("             worst difference to ref, relative: forward %.1e, backward %.1e\n", worst_forward, worst_back);
}

/* Inputs near the ends of what fp32 holds, subnormals, and all zeros. */
static void compare_far(const struct row *row, device *ref, device *dev, const char *how)
{
    static fixture f;
    static outcome a, expected;
    static const float factor[] = { 0, 1e-44f, 1e-38f, 1e-20f, 1e-4f, 1e4f, 1e15f };
    for (int v = 0; v < row->variants; v++)
        for (size_t k = 0; k < sizeof factor / sizeof *factor; k++) {
            set_up(&f, row, v);
            if (dev->be->forget) dev->be->forget(dev);
            for (int i = 0; f.nin && i < f.in[0].rows * f.in[0].cols; i++) f.in[0].data[i] *= factor[k];
            perform(row, &f, ref, false, false, &expected);
            perform(row, &f, dev, false, false, &a);
            /* scores of 1e5 are known to 1e-2 in fp32: of a softmax over them only that it is one can be asked */
            bool windows = row->run == run_windowattention, sharp = (row->run == run_attention || row->run == run_crossattention || windows) && factor[k] > 1;
            for (int i = 0; i < a.rows * a.cols; i++)
                if (!isfinite(a.y[i]) || (sharp && !windows && fabsf(a.y[i]) > 6)) /* of windows the values grow, too */
                    fail_msg("%s, variant %d, %s, inputs times %g: %g", row->name, v, how, factor[k], a.y[i]);
            double d = difference(a.y, expected.y, a.rows * a.cols);
            if (!sharp && !(d <= 2 * row->forward))
                fail_msg("%s, variant %d, %s, inputs times %g: differs by %.3g", row->name, v, how, factor[k], d);
        }
}

static void test_far_values(void **state) { (void)state; each_cpu(compare_far); }

/* CUDA's, or what it would compute: the same kernels as loops on the processor. */
#ifdef DREAMO_CUDA
static void test_cuda_agrees_with_ref(void **state)
{
    device *ref = backend_ref.open(1), *dev = backend_cuda.open(2);
    (void)state;
    for (size_t i = 0; i < NROWS; i++) {
        if (rows[i].back < 0) continue;
        worst_forward = worst_back = 0;
        compare_row(&rows[i], ref, dev, "cuda");
        compare_far(&rows[i], ref, dev, "cuda");
        print_message("             cuda %s: forward %.1e, backward %.1e\n", rows[i].name, worst_forward, worst_back);
    }
    backend_cuda.close(dev);
    backend_ref.close(ref);
}
#endif

/* No rows at all: nothing to do, and no fault. */
static void test_empty_tensors(void **state)
{
    static fixture f;
    const backend *all[] = { &backend_ref, &backend_cpu, &backend_dry };
    (void)state;
    for (int b = 0; b < 3; b++) {
        device *dev = all[b]->open(2);
        nn *cx = nn_new(&(nn_options){ .dev = dev, .work_nbytes = 1 << 20, .keep_nbytes = 1, .taping = true }, NULL);
        set_up(&f, &rows[0], 16); /* fused, with adapters */
        tensor x = tensor_leaf(cx, tensor_from(cx, 0, f.w.in, NULL)), one = tensor_from(cx, 1, f.w.out, NULL);
        tensor y = op_gelu(cx, op_linear(cx, x, &f.w));
        assert_int_equal(y.rows, 0);
        tensor heads = tensor_from(cx, 0, 6, NULL);
        layout none = { 0 };
        assert_int_equal(op_attention(cx, heads, heads, heads, none, (attention_opts){ .heads = 2 }).rows, 0);
        nn_backward(cx, op_mse(cx, op_catrows(cx, y, tensor_leaf(cx, one)), one, NULL));
        assert_int_equal(nn_status(cx, NULL), DREAMO_OK);
        nn_free(cx);
        all[b]->close(dev);
    }
}

/* Above the clamp (spec 2.4): log variance 25 counts as 20, and gets no gradient. */
static void test_posterior_above_the_clamp(void **state)
{
    const backend *all[] = { &backend_ref, &backend_cpu };
    static const float x[] = { 0.5f, 25 }, eps[] = { 2 };
    (void)state;
    for (int b = 0; b < 2; b++) {
        device *dev = all[b]->open(1);
        nn *cx = nn_new(&(nn_options){ .dev = dev, .work_nbytes = 1 << 20, .keep_nbytes = 1, .taping = true }, NULL);
        float y, k, g[2];
        tensor t = tensor_leaf(cx, tensor_from(cx, 1, 2, x)), z = op_gaussian(cx, t, tensor_from(cx, 1, 1, eps)), kl = op_kl(cx, t);
        tensor_read(cx, z, &y);
        tensor_read(cx, kl, &k);
        assert_float_equal(y, 0.5 + 2 * exp(10), 1e-2);
        assert_float_equal(k / (0.5 * (0.25 + exp(20) - 1 - 20)), 1, 1e-6);
        nn_backward(cx, op_add(cx, z, kl));
        tensor_read(cx, tensor_grad(cx, t), g);
        assert_float_equal(g[0], 1 + 0.5, 1e-6);
        assert_true(g[1] == 0);
        nn_free(cx);
        all[b]->close(dev);
    }
}

/* What has no way back says so by its name. */
static void test_no_way_back_is_refused(void **state)
{
    static fixture f;
    device *dev = backend_ref.open(1);
    (void)state;
    for (size_t i = 0; i < NROWS; i++) {
        if (rows[i].back >= 0) continue;
        set_up(&f, &rows[i], rows[i].variants - 1);
        for (int k = 0; k < f.nin; k++) {
            nn *cx = nn_new(&(nn_options){ .dev = dev, .work_nbytes = 1 << 20, .keep_nbytes = 1, .taping = true }, NULL);
            dreamo_error err = { 0 };
            for (int m = 0; m < f.nin; m++) {
                f.x[m] = tensor_from(cx, f.in[m].rows, f.in[m].cols, f.in[m].data);
                if (m == k) f.x[m] = tensor_leaf(cx, f.x[m]);
            }
            rows[i].run(cx, &f);
            assert_int_equal(nn_status(cx, &err), DREAMO_BUG);
            assert_non_null(strstr(err.message, rows[i].name));
            assert_non_null(strstr(err.message, "has no gradient"));
            nn_free(cx);
        }
    }
    backend_ref.close(dev);
}

/* ---- ggml's devices against ref: forward ---- */

#ifdef DREAMO_GGML
/* Relative to ref's largest value.  Products with bf16 weights round activations to bf16 (2^-9 each), with f16 ones, which go over as bf16, weights as well;
 * Vulkan multiplies fp32 as f16, attention's k and v are f16 everywhere; ggml's CPU looks GELU up by f16 (2^-11). */
static double ggml_limit(const struct row *row, bool host)
{
    if (row->run == run_linear || row->run == run_conv2d || row->run == run_conv) return 1e-2;
    if (row->run == run_attention || row->run == run_crossattention) return host ? 2e-3 : 6e-3;
    if (row->run == run_windowattention) return host ? 1e-5 : 3e-3;
    if (row->run == run_gelu || row->run == run_quickgelu || row->run == run_silu) return 1e-3;
    return row->forward > 0 ? 1e-5 : 0;
}

static bool is_elsewhere(const struct row *row) /* trained with */
{
    return row->run == run_routemap || row->run == run_softmax || row->run == run_kl || row->run == run_mse;
}

static void compare_forward(const struct row *row, device *ref, device *dev, const char *how, double *worst)
{
    static fixture f;
    static outcome a, again, expected;
    for (int v = 0; v < row->variants; v++) {
        set_up(&f, row, v);
        ggml_device_forget(dev); /* the numbers lie where the last ones did */
        for (int cut = 0; cut < 2; cut++) {
            perform(row, &f, ref, cut, false, &expected);
            perform(row, &f, dev, cut, false, &a);
            perform(row, &f, dev, cut, false, &again);
            same(row, v, how, "y", a.y, expected.y, a.rows * a.cols, ggml_limit(row, strcmp(how, "ggml:CPU") == 0), worst);
            if (memcmp(a.y, again.y, sizeof a.y)) print_error("%s, variant %d, %s: not the same bytes again\n", row->name, v, how), told++;
        }
    }
}

static void refuses(const struct row *row, device *dev)
{
    static fixture f;
    dreamo_error err = { 0 };
    set_up(&f, row, 0);
    nn *cx = nn_new(&(nn_options){ .dev = dev, .work_nbytes = 1 << 20, .keep_nbytes = 1 }, &err);
    for (int i = 0; i < f.nin; i++) f.x[i] = tensor_from(cx, f.in[i].rows, f.in[i].cols, f.in[i].data);
    row->run(cx, &f);
    assert_int_equal(nn_status(cx, &err), DREAMO_DEVICE);
    assert_non_null(strstr(err.message, row->name));
    assert_non_null(strstr(err.message, "on cpu"));
    nn_free(cx);
}

static void test_ggml_agrees_with_ref(void **state)
{
    const char *name = asked_device();
    told = 0;
    device *ref = backend_ref.open(1), *dev = ggml_device_open(name, 1, (uint64_t)1 << 30, NULL);
    (void)state;
    assert_non_null(dev);
    for (size_t r = 0; r < NROWS; r++) {
        double worst = 0;
        double start = (double)clock();
        if (is_elsewhere(&rows[r])) refuses(&rows[r], dev);
        else compare_forward(&rows[r], ref, dev, name, &worst);
        print_message("             %s %s: %.1e, %.1f s\n", name, rows[r].name, worst, ((double)clock() - start) / CLOCKS_PER_SEC);
    }
    dev->be->close(dev);
    backend_ref.close(ref);
    int wrong = told;
    told = -1;
    assert_int_equal(wrong, 0);
}
#endif

/* ---- two ops in one ---- */

static void test_resample_beside(void **state)
{
    const backend *all[] = { &backend_ref, &backend_cpu };
    const struct row resample = { "resample", { K(resample) }, 15, make_resample, run_resample, 0, NO_WAY_BACK, 0 };
    static fixture f;
    static float got[1 << 16], want[1 << 16];
    (void)state;
    for (int v = 0; v < 20; v++) {
        device *dev = all[v % 2]->open(1);
        set_up(&f, &resample, v % 15);
        if (v >= 15) f.to = f.g;
        give(&f, f.to.n * f.to.h * f.to.w, 1 + v % 7, true);
        nn *cx = nn_new(&(nn_options){ .dev = dev, .work_nbytes = 1 << 22, .keep_nbytes = 1 }, NULL);
        for (int i = 0; i < 2; i++) f.x[i] = tensor_from(cx, f.in[i].rows, f.in[i].cols, f.in[i].data);
        tensor y = op_resample_beside(cx, f.x[0], f.g, f.to, f.how, f.x[1]), z = op_catcols(cx, op_resample(cx, f.x[0], f.g, f.to, f.how), f.x[1]);
        assert_true(y.rows == z.rows && y.cols == z.cols && y.rows * y.cols <= 1 << 16);
        tensor_read(cx, y, got);
        tensor_read(cx, z, want);
        assert_int_equal(nn_status(cx, NULL), DREAMO_OK);
        assert_memory_equal(got, want, sizeof *got * (size_t)(y.rows * y.cols));
        nn_free(cx);
        dev->be->close(dev);
    }
}

/* ---- nothing is left out ---- */

typedef void (*kernel_fn)(void);

static bool notices(const struct row *row, size_t kernel, device *ref)
{
    static fixture f;
    static outcome good, bad;
    backend lame = backend_ref;
    device dev = *ref;
    memcpy((char *)&lame + kernel, (const char *)&backend_dry + kernel, sizeof(kernel_fn));
    dev.be = &lame;
    memset(&good, 0, sizeof good);
    memset(&bad, 0, sizeof bad);
    set_up(&f, row, row->variants - 1);
    perform(row, &f, ref, false, true, &good);
    perform(row, &f, &dev, false, true, &bad);
    return memcmp(&good, &bad, sizeof good) != 0;
}

static void test_the_table_has_no_hole(void **state)
{
    device *ref = backend_ref.open(1);
    (void)state;
    for (size_t kernel = K(write); kernel < sizeof(backend); kernel += sizeof(kernel_fn)) {
        const backend *all[] = { &backend_ref, &backend_cpu, &backend_dry };
        kernel_fn entry;
        bool tested = false;
        for (int b = 0; b < 3; b++) {
            memcpy(&entry, (const char *)all[b] + kernel, sizeof entry);
            if (!entry) fail_msg("%s has no kernel at entry %zu", all[b]->name, (kernel - K(write)) / sizeof entry);
        }
        if (kernel == K(symmetric)) continue; /* optimizers call it, no op does: test_linear_bf16.c compares it with ref */
        for (size_t i = 0; i < NROWS; i++)
            for (int k = 0; k < 4; k++)
                if (rows[i].kernel[k] == kernel) {
                    tested = true;
                    /* memory starts as zeros, so that a missing `zero` shows only in memory that was used before */
                    if (kernel != K(zero) && !notices(&rows[i], kernel, ref))
                        fail_msg("%s does not test entry %zu", rows[i].name, (kernel - K(write)) / sizeof entry);
                }
        if (!tested) fail_msg("no row tests entry %zu of struct backend", (kernel - K(write)) / sizeof entry);
    }
    backend_ref.close(ref);
}

int main(void)
{
#ifdef DREAMO_CUDA
    const struct CMUnitTest cuda[] = { cmocka_unit_test(test_cuda_agrees_with_ref) };
    if (getenv("DREAMO_TEST_DEVICE") && strcmp(getenv("DREAMO_TEST_DEVICE"), "cuda") == 0) return cmocka_run_group_tests(cuda, NULL, NULL);
#endif
#ifdef DREAMO_GGML
    const struct CMUnitTest other[] = { cmocka_unit_test(test_ggml_agrees_with_ref) };
    if (getenv("DREAMO_TEST_DEVICE")) return cmocka_run_group_tests(other, NULL, NULL); /* the rest has been tested without it */
#endif
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_table_has_no_hole),
        cmocka_unit_test(test_resample_beside),
#ifdef DREAMO_GGML
        cmocka_unit_test(test_ggml_agrees_with_ref),
#endif
        cmocka_unit_test(test_gradients_agree_with_central_differences),
        cmocka_unit_test(test_cpu_agrees_with_ref),
        cmocka_unit_test(test_far_values),
#ifdef DREAMO_CUDA
        cmocka_unit_test(test_cuda_agrees_with_ref),
#endif
        cmocka_unit_test(test_empty_tensors),
        cmocka_unit_test(test_posterior_above_the_clamp),
        cmocka_unit_test(test_no_way_back_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
