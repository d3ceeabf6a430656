/* image.c - norms and filters of channels-last pictures, and moving their pixels. */
#include <string.h>
#include "backend/ggml/state.h"

static const size_t F = sizeof(float);

/* Numbers of an in-between result that an op makes at a time.  Two sizes only, since sums run otherwise with another. */
static int numbers(const state *s) { return s->count.cap >= (size_t)1 << 30 ? 8 << 20 : 1 << 16; }

/* ---- group norm ---- */

/* [1, groups]: the mean over `rows` rows and the channels of each group of t [cg, groups, rows]. */
static gt *mean_of(state *s, gt *t, int groups, int rows)
{
    struct ggml_context *cx = s->now->cx;
    gt *m = gg_mid(s, t->ne[0] > 1 ? ggml_mean(cx, t) : ggml_cont(cx, t)); /* [1, groups, rows] */
    gt *turned = gg_viewed(s, ggml_transpose(cx, gg_viewed(s, ggml_reshape_2d(cx, m, groups, rows))));
    return gg_mid(s, ggml_mean(cx, gg_mid(s, ggml_cont(cx, turned)))); /* [1, groups] */
}

/* Leaf [cg, groups, rows] over rows of x. */
static gt *grouped(state *s, tensor x, int groups)
{
    size_t cg = (size_t)(x.cols / groups), ld = F * (size_t)x.ld;
    return gg_leaf(s, GGML_TYPE_F32, gg_place(s, x), (int64_t[]){ (int64_t)cg, groups, x.rows, 1 }, (size_t[]){ F, F * cg, ld, ld * (size_t)x.rows });
}

/* The mean of what `each` makes of bands of rows, weighted by their rows: [1, groups], in memory that stays during the op. */
static gt *mean_over_bands(state *s, tensor x, int groups, gt *mean)
{
    struct ggml_context *cx = s->now->cx;
    int each = numbers(s) / x.cols, n = x.rows;
    if (each < 1) each = 1;
    size_t all = F * (size_t)groups;
    place sums[2] = { gg_scratch(s, all), gg_scratch(s, all) };
    int chunk = s->chunk, turn = 0;
    size_t mark = s->taken;
    gt *sum = NULL;
    for (int from = 0; from < n; from += each, turn ^= 1) {
        int rows = n - from < each ? n - from : each;
        s->chunk = chunk;
        s->taken = mark;
        gt *t = grouped(s, rows_of(x, from, rows), groups);
        if (mean) t = gg_mid(s, ggml_sqr(cx, gg_mid(s, ggml_sub(cx, t, mean))));
        gt *part = gg_mid(s, ggml_scale(cx, mean_of(s, t, groups, rows), (float)rows / (float)n));
        if (sum) part = gg_mid(s, ggml_add(cx, sum, part));
        gt *to = gg_leaf(s, GGML_TYPE_F32, sums[turn], (int64_t[]){ 1, groups, 1, 1 }, (size_t[]){ F, F, all, all });
        gg_copy_node(s, part, to);
        sum = to;
    }
    return sum;
}

void gg_groupstats(device *d, tensor stats, tensor x, grid g, int groups, float eps)
{
    state *s = state_of(d);
    int pixels = g.h * g.w;
    if (!FRESH(s, "groupstats", T(stats), T(x), (uint64_t)g.n, (uint64_t)groups, gg_float(eps))) return;
    struct ggml_context *cx = s->now->cx;
    for (int i = 0; i < g.n; i++) {
        tensor picture = rows_of(x, i * pixels, pixels), pair = rows_of(stats, i, 1);
        size_t all = 2 * F * (size_t)groups;
        s->chunk = 0;
        s->taken = 0;
        gt *mean = mean_over_bands(s, picture, groups, NULL);
        gg_copy_node(s, mean, gg_leaf(s, GGML_TYPE_F32, gg_place(s, pair), (int64_t[]){ 1, groups, 1, 1 }, (size_t[]){ F, 2 * F, all, all }));
        gt *variance = mean_over_bands(s, picture, groups, mean);
        gt *deviation = gg_mid(s, ggml_sqrt(cx, gg_mid(s, ggml_scale_bias(cx, variance, 1, eps))));
        gt *one = gg_mid(s, ggml_scale_bias(cx, variance, 0, 1)); /* variances are finite or all is lost anyway */
        pair.p += 1;
        gg_copy_node(s, gg_mid(s, ggml_div(cx, one, deviation)), gg_leaf(s, GGML_TYPE_F32, gg_place(s, pair), (int64_t[]){ 1, groups, 1, 1 }, (size_t[]){ F, 2 * F, all, all }));
    }
}

/* (x - mean) / deviation * gain + bias as one factor and one shift a channel. */
void gg_groupnorm(device *d, tensor y, tensor x, grid g, int groups, vec gain, vec bias, bool silu, tensor stats)
{
    state *s = state_of(d);
    place at[2] = { gg_vector(s, gain.p, gain.n), gg_vector(s, bias.p, bias.n) };
    if (!FRESH(s, "groupnorm", T(y), T(x), T(stats), (uint64_t)g.n, (uint64_t)groups, (uint64_t)silu, P(at[0].at), P(at[1].at))) return;
    struct ggml_context *cx = s->now->cx;
    int pixels = g.h * g.w, cg = x.cols / groups;
    size_t all = F * (size_t)x.cols, two = 2 * F * (size_t)groups;
    for (int i = 0; i < g.n; i++) {
        tensor pair = rows_of(stats, i, 1), out = rows_of(y, i * pixels, pixels);
        gt *leaf[2], *stat[2];
        for (int k = 0; k < 2; k++, pair.p++) {
            leaf[k] = gg_leaf(s, GGML_TYPE_F32, at[k], (int64_t[]){ cg, groups, 1, 1 }, (size_t[]){ F, F * (size_t)cg, all, all });
            gt *apart = gg_leaf(s, GGML_TYPE_F32, gg_place(s, pair), (int64_t[]){ 1, groups, 1, 1 }, (size_t[]){ F, 2 * F, two, two });
            stat[k] = gg_mid(s, ggml_cont(cx, apart));
        }
        gt *factor = gg_mid(s, ggml_mul(cx, leaf[0], stat[1]));
        gt *shift = gg_mid(s, ggml_sub(cx, leaf[1], gg_mid(s, ggml_mul(cx, factor, stat[0]))));
        gt *flat[2] = { gg_viewed(s, ggml_reshape_1d(cx, factor, x.cols)), gg_viewed(s, ggml_reshape_1d(cx, shift, x.cols)) };
        gt *t = gg_into(s, ggml_mul(cx, gg_mat(s, rows_of(x, i * pixels, pixels)), flat[0]), out);
        t = ggml_add(cx, t, flat[1]);
        if (silu) gg_out(s, ggml_silu(cx, gg_into(s, t, out)), out);
        else gg_out(s, t, out);
    }
}

/* A channel's mean over a picture taken away, then through its deviation. */
void gg_instancenorm(device *d, tensor y, tensor x, grid g, float eps, act a)
{
    state *s = state_of(d);
    int pixels = g.h * g.w;
    if (!FRESH(s, "instancenorm", T(y), T(x), (uint64_t)g.n, gg_float(eps), (uint64_t)a)) return;
    struct ggml_context *cx = s->now->cx;
    for (int i = 0; i < g.n; i++) {
        tensor picture = rows_of(x, i * pixels, pixels), out = rows_of(y, i * pixels, pixels);
        s->chunk = 0;
        s->taken = 0;
        gt *mean = mean_over_bands(s, picture, x.cols, NULL), *variance = mean_over_bands(s, picture, x.cols, mean);
        gt *deviation = gg_mid(s, ggml_sqrt(cx, gg_mid(s, ggml_scale_bias(cx, variance, 1, eps))));
        gt *flat[2] = { gg_viewed(s, ggml_reshape_1d(cx, mean, x.cols)), gg_viewed(s, ggml_reshape_1d(cx, deviation, x.cols)) };
        bool packed = y.ld == y.cols;
        gt *t = ggml_sub(cx, gg_mat(s, picture), flat[0]);
        t = ggml_div(cx, packed ? gg_into(s, t, out) : gg_mid(s, t), flat[1]);
        if (a) t = gg_activation(s, packed ? gg_into(s, t, out) : gg_mid(s, t), a);
        if (packed) gg_out(s, t, out);
        else gg_copy_node(s, gg_mid(s, t), gg_mat(s, out));
    }
}

/* ---- filters ---- */

/* What follows the products of a filter. */
typedef struct tail { place bias; tensor beside; act a; } tail;

/* A node between: where the result will be if that is on the border (is_bordered; sums may be done together with products before them), else elsewhere. */
static gt *between(state *s, gt *t, tensor y) { return gg_aligned(s, y) ? gg_into(s, t, y) : gg_mid(s, t); }

/* t: a node without a place yet; y is packed. */
static void finish(state *s, gt *t, tensor y, tail e)
{
    struct ggml_context *cx = s->now->cx;
    if (e.bias.buffer) t = ggml_add(cx, between(s, t, y), gg_row(s, e.bias, y.cols));
    if (e.beside.p) t = ggml_add(cx, between(s, t, y), gg_mat(s, e.beside));
    if (e.a) t = gg_activation(s, between(s, t, y), e.a);
    if (gg_aligned(s, y)) gg_out(s, t, y);
    else gg_copy_node(s, gg_mid(s, t), gg_mat(s, y));
}

/* Input rows or columns that the outputs see beyond the last one. */
static int beyond(int in, int out, reach r)
{
    int last = (out - 1) * r.stride - r.before + (r.side - 1) * r.dilation;
    return last >= in ? last - in + 1 : 0;
}

/* A picture of x with the zeros that r sees around it, [c, w, h] packed. */
static gt *padded(state *s, tensor x, grid g, reach r)
{
    return gg_mid(s, ggml_pad_ext(s->now->cx, gg_pixels(s, x, g.w, g.h), 0, 0, r.before, beyond(g.w, r.w, r), r.before, beyond(g.h, r.h, r), 0, 0));
}

/* Of a padded picture what `lines` output rows from `top` on see by tap (i, j): [c, w, lines]. */
static gt *seen_by(state *s, gt *x, reach r, int top, int lines, int i, int j)
{
    size_t first = (size_t)(top * r.stride + i * r.dilation) * x->nb[2] + (size_t)(j * r.dilation) * x->nb[1];
    return gg_viewed(s, ggml_view_3d(s->now->cx, x, x->ne[0], r.w, lines, (size_t)r.stride * x->nb[1], (size_t)r.stride * x->nb[2], first));
}

static gt *matrix_leaf(state *s, const on_device *m, int in, int out)
{
    size_t row = ggml_row_size(m->type, in), all = row * (size_t)out;
    return gg_leaf(s, m->type, m->at, (int64_t[]){ in, out, 1, 1 }, (size_t[]){ ggml_type_size(m->type), row, all, all });
}

/* One tap: a product of pixels as they are. */
static void pointwise(state *s, tensor y, tensor x, const weight *w, const on_device *m, tail e)
{
    finish(s, ggml_mul_mat(s->now->cx, matrix_leaf(s, m, w->in, w->out), gg_packed(s, x)), y, e);
}

/* For each row of taps the pixels that it sees stand side by side, [pixels, side in], and one product takes them; the products add up.  A band of
 * output rows at a time, so that these stay small. */
static void taps(state *s, tensor y, tensor x, grid g, const weight *w, reach r, const on_device *m, tail e)
{
    struct ggml_context *cx = s->now->cx;
    int wide = r.side * w->in, each = numbers(s) / (wide * r.w);
    size_t pixel = F * (size_t)w->in, line = F * (size_t)wide, high = line * (size_t)r.w;
    gt *from = padded(s, x, g, r);
    int chunk = s->chunk;
    size_t mark = s->taken;
    if (each < 1) each = 1;
    for (int top = 0; top < r.h; top += each) {
        int lines = r.h - top < each ? r.h - top : each, pixels = lines * r.w;
        tensor band = rows_of(y, top * r.w, pixels);
        tail end = e;
        if (e.beside.p) end.beside = rows_of(e.beside, top * r.w, pixels);
        gt *sum = NULL;
        s->chunk = chunk;
        s->taken = mark;
        place sides = gg_scratch(s, line * (size_t)pixels);
        for (int i = 0; i < r.side; i++) {
            for (int j = 0; j < r.side; j++) {
                place to = { sides.buffer, sides.at + (size_t)j * pixel };
                gg_copy_node(s, seen_by(s, from, r, top, lines, i, j), gg_leaf(s, GGML_TYPE_F32, to, (int64_t[]){ w->in, r.w, lines, 1 }, (size_t[]){ F, line, high, high * (size_t)lines }));
            }
            gt *t = ggml_mul_mat(cx, matrix_leaf(s, &m[i], wide, w->out), gg_leaf(s, GGML_TYPE_F32, sides, (int64_t[]){ wide, pixels, 1, 1 }, (size_t[]){ F, line, line * (size_t)pixels, line * (size_t)pixels }));
            if (sum) t = ggml_add(cx, sum, gg_mid(s, t));
            if (i == r.side - 1) finish(s, t, band, end);
            else sum = between(s, t, band);
        }
    }
}

/* Cross-correlation of any reach, picture by picture. */
static void filter(state *s, const char *op, tensor y, tensor x, grid g, const weight *w, reach r, tensor beside, act a)
{
    enum { SIDE_MOST = 7 }; /* ops see to it */
    const weight_part *p = w->part;
    tail e = { .bias = p->bias ? gg_vector(s, p->bias, p->rows) : (place){ 0 }, .beside = beside, .a = a };
    on_device m[SIDE_MOST] = { 0 };
    if (!gg_gather(s, w)) return;
    uint64_t key = P(e.bias.at);
    for (int i = 0; i < r.side; i++) {
        m[i] = r.side > 1 ? gg_taps(s, w, i) : gg_part(s, w, 0);
        key = gg_mix(key, P(m[i].at.at));
    }
    s->weight = w->name;
    if (!FRESH(s, op, T(y), T(x), T(beside), P(w), key, G(g), R(r), (uint64_t)a)) return;
    if (r.side == 1 && r.stride == 1) {
        pointwise(s, y, x, w, m, e);
        return;
    }
    int pixels = g.h * g.w, made = r.h * r.w;
    for (int i = 0; i < g.n; i++) {
        s->chunk = 0;
        s->taken = 0;
        if (beside.p) e.beside = rows_of(beside, i * made, made);
        taps(s, rows_of(y, i * made, made), rows_of(x, i * pixels, pixels), (grid){ 1, g.h, g.w }, w, r, m, e);
    }
}

void gg_conv2d(device *d, tensor y, tensor x, grid g, const weight *w, int stride)
{
    reach r = { w->kh, stride, 1, stride == 1 ? (w->kh - 1) / 2 : 0, g.h / stride, g.w / stride };
    filter(state_of(d), "conv2d", y, x, g, w, r, (tensor){ 0 }, ACT_NONE);
}

void gg_conv(device *d, tensor y, tensor x, grid g, const weight *w, reach r, tensor beside, act a)
{
    filter(state_of(d), "conv", y, x, g, w, r, beside, a);
}

/* A filter a channel: tap by tap, times its row of weights. */
void gg_depthwise(device *d, tensor y, tensor x, grid g, const weight *w, reach r)
{
    state *s = state_of(d);
    const weight_part *p = w->part;
    place bias = p->bias ? gg_vector(s, p->bias, p->rows) : (place){ 0 }, by_tap = gg_by_tap(s, w);
    s->weight = w->name;
    if (!gg_ok(s) || !FRESH(s, "depthwise", T(y), T(x), P(by_tap.at), P(bias.at), G(g), R(r))) return;
    struct ggml_context *cx = s->now->cx;
    int pixels = g.h * g.w, made = r.h * r.w, taps = r.side * r.side, each = numbers(s) / (x.cols * r.w);
    if (each < 1) each = 1;
    for (int n = 0; n < g.n; n++) {
        s->chunk = 0;
        s->taken = 0;
        gt *from = padded(s, rows_of(x, n * pixels, pixels), g, r), *sum = NULL;
        int chunk = s->chunk;
        size_t mark = s->taken;
        for (int top = 0; top < r.h; top += each, sum = NULL) {
            int lines = r.h - top < each ? r.h - top : each;
            tensor band = rows_of(y, n * made + top * r.w, lines * r.w);
            s->chunk = chunk;
            s->taken = mark;
            for (int tap = 0; tap < taps; tap++) {
                place row = { by_tap.buffer, by_tap.at + F * (size_t)tap * (size_t)x.cols };
                gt *t = ggml_mul(cx, seen_by(s, from, r, top, lines, tap / r.side, tap % r.side), gg_row(s, row, x.cols));
                if (sum) t = ggml_add(cx, sum, gg_mid(s, t));
                if (tap == taps - 1) finish(s, t, band, (tail){ .bias = bias });
                else sum = sum ? gg_over(s, t, sum) : gg_mid(s, t);
            }
        }
    }
}

/* ---- moving pixels ---- */

void gg_upsample2x(device *d, tensor y, tensor x, grid g)
{
    state *s = state_of(d);
    if (!FRESH(s, "upsample2x", T(y), T(x), G(g))) return;
    size_t ld = F * (size_t)y.ld, line = 2 * ld * (size_t)(2 * g.w);
    int lines = g.n * g.h;
    for (int k = 0; k < 4; k++) {
        tensor to = y;
        to.p += (size_t)((k / 2) * 2 * g.w + k % 2) * (size_t)y.ld;
        gg_copy_node(s, gg_pixels(s, x, g.w, lines),
                     gg_leaf(s, GGML_TYPE_F32, gg_place(s, to), (int64_t[]){ x.cols, g.w, lines, 1 }, (size_t[]){ F, 2 * ld, line, line * (size_t)lines }));
    }
}

/* Space to depth, or back: channel c of pixel (2 i + dy, 2 j + dx) and channel 4 c + 2 dy + dx of pixel (i, j). */
static void pack(state *s, tensor deep, tensor flat, grid g, bool back)
{
    int c = flat.cols, w = g.w / 2, lines = g.n * g.h / 2;
    size_t fld = F * (size_t)flat.ld, dld = F * (size_t)deep.ld, dline = dld * (size_t)w, fline = 2 * fld * (size_t)g.w;
    for (int k = 0; k < 4; k++) {
        tensor a = deep, b = flat;
        a.p += k;
        b.p += (size_t)((k / 2) * g.w + k % 2) * (size_t)flat.ld;
        const int64_t ne[4] = { 1, c, w, lines };
        gt *to = gg_leaf(s, GGML_TYPE_F32, gg_place(s, a), ne, (size_t[]){ F, 4 * F, dld, dline });
        gt *from = gg_leaf(s, GGML_TYPE_F32, gg_place(s, b), ne, (size_t[]){ F, F, 2 * fld, fline });
        if (back) gg_copy_node(s, to, from);
        else gg_copy_node(s, from, to);
    }
}

void gg_pack2x2(device *d, tensor y, tensor x, grid g)
{
    state *s = state_of(d);
    if (FRESH(s, "pack2x2", T(y), T(x), G(g))) pack(s, y, x, g, false);
}

void gg_unpack2x2(device *d, tensor y, tensor x, grid g)
{
    state *s = state_of(d);
    if (FRESH(s, "unpack2x2", T(y), T(x), G(g))) pack(s, x, y, g, true);
}
