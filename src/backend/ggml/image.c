/* image.c - the autoencoder's ops on channels-last matrices. */
#include <string.h>
#include "backend/ggml/state.h"

static const size_t F = sizeof(float);

static tensor rows_of(tensor x, int first, int n)
{
    x.p += (size_t)first * (size_t)x.ld;
    x.rows = n;
    return x;
}

/* Numbers of an in-between result that an op makes at a time.  Two sizes only, since sums run otherwise with another. */
static int numbers(const state *s) { return s->count.cap >= (size_t)1 << 30 ? 8 << 20 : 1 << 16; }

/* ---- group norm ---- */

/* [1, groups]: the mean over `rows` rows and the channels of each group of t [cg, groups, rows]. */
static gt *mean_of(state *s, gt *t, int groups, int rows)
{
    struct ggml_context *cx = s->now->cx;
    gt *m = gg_mid(s, ggml_mean(cx, t)); /* [1, groups, rows] */
    gt *flat = ggml_reshape_2d(cx, m, groups, rows);
    if (gg_ok(s)) ggml_backend_view_init(flat);
    gt *turned = ggml_transpose(cx, flat);
    if (gg_ok(s)) ggml_backend_view_init(turned);
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
        gt *flat[2] = { ggml_reshape_1d(cx, factor, x.cols), ggml_reshape_1d(cx, shift, x.cols) };
        for (int k = 0; k < 2; k++)
            if (gg_ok(s)) ggml_backend_view_init(flat[k]);
        gt *t = gg_into(s, ggml_mul(cx, gg_mat(s, rows_of(x, i * pixels, pixels)), flat[0]), out);
        t = ggml_add(cx, t, flat[1]);
        if (silu) gg_out(s, ggml_silu(cx, gg_into(s, t, out)), out);
        else gg_out(s, t, out);
    }
}

/* ---- convolution ---- */

static void pointwise(state *s, tensor y, tensor x, const weight *w, const on_device *m, place bias)
{
    gg_matmul(s, y, gg_packed(s, x), m, w->in, w->out, bias);
}

/* 3 x 3: for each row of taps the three pixels that it sees stand side by side, [pixels, 3 in], and one product takes them; three products add up.  A band of
 * output rows at a time, so that these stay small. */
static void taps(state *s, tensor y, tensor x, grid g, const weight *w, int stride, const on_device *m, place bias)
{
    struct ggml_context *cx = s->now->cx;
    int oh = g.h / stride, ow = g.w / stride, in = w->in, out = w->out, before = stride == 1 ? 1 : 0, after = stride == 1 ? 1 : 2;
    int pw = g.w + before + after;
    size_t row = ggml_row_size(m->type, 3 * in), all = row * (size_t)out, pixel = F * (size_t)in, line = pixel * (size_t)pw;
    gt *padded = gg_mid(s, ggml_pad_ext(cx, gg_pixels(s, x, g.w, g.h), 0, 0, before, after, before, after, 0, 0));
    int chunk = s->chunk, each = numbers(s) / (3 * in * ow);
    size_t mark = s->taken;
    if (each < 1) each = 1;
    for (int top = 0; top < oh; top += each) {
        int lines = oh - top < each ? oh - top : each, pixels = lines * ow;
        tensor band = rows_of(y, top * ow, pixels);
        gt *sum = NULL;
        s->chunk = chunk;
        s->taken = mark;
        place sides = gg_scratch(s, 3 * pixel * (size_t)pixels);
        for (int dy = 0; dy < 3; dy++) {
            size_t wide = 3 * pixel, high = wide * (size_t)ow;
            for (int dx = 0; dx < 3; dx++) {
                gt *seen = ggml_view_3d(cx, padded, in, ow, lines, (size_t)stride * pixel, (size_t)stride * line,
                                        (size_t)(top * stride + dy) * line + (size_t)dx * pixel);
                if (gg_ok(s)) ggml_backend_view_init(seen);
                place to = { sides.buffer, sides.at + (size_t)dx * pixel };
                gg_copy_node(s, seen, gg_leaf(s, GGML_TYPE_F32, to, (int64_t[]){ in, ow, lines, 1 }, (size_t[]){ F, wide, high, high * (size_t)lines }));
            }
            gt *tap = gg_leaf(s, m[dy].type, m[dy].at, (int64_t[]){ 3 * in, out, 1, 1 }, (size_t[]){ ggml_type_size(m->type), row, all, all });
            gt *t = ggml_mul_mat(cx, tap, gg_leaf(s, GGML_TYPE_F32, sides, (int64_t[]){ 3 * in, pixels, 1, 1 },
                                                  (size_t[]){ F, wide, wide * (size_t)pixels, wide * (size_t)pixels }));
            bool last = dy == 2 && !bias.buffer;
            if (!sum) sum = gg_aligned(s, band) ? gg_into(s, t, band) : gg_mid(s, t); /* y is packed */
            else if (last) gg_out(s, ggml_add(cx, sum, gg_mid(s, t)), band);
            else sum = gg_into(s, ggml_add(cx, sum, gg_mid(s, t)), band);
        }
        if (bias.buffer) gg_out(s, ggml_add(cx, sum, gg_row(s, bias, out)), band);
    }
}

void gg_conv2d(device *d, tensor y, tensor x, grid g, const weight *w, int stride)
{
    state *s = state_of(d);
    const weight_part *p = w->part;
    place bias = p->bias ? gg_vector(s, p->bias, p->rows) : (place){ 0 };
    if (!gg_gather(s, w)) return;
    bool wide = w->kh * w->kw > 1;
    on_device m[3] = { wide ? gg_taps(s, w, 0) : gg_part(s, w, 0) };
    for (int dy = 1; wide && dy < 3; dy++) m[dy] = gg_taps(s, w, dy);
    s->weight = w->name;
    if (!FRESH(s, "conv2d", T(y), T(x), P(w), P(m[0].at.at), P(m[1].at.at), P(m[2].at.at), P(bias.at), (uint64_t)g.n, (uint64_t)g.h, (uint64_t)g.w, (uint64_t)stride)) return;
    int pixels = g.h * g.w, made = pixels / (stride * stride);
    if (!wide) pointwise(s, y, x, w, m, bias);
    for (int i = 0; wide && i < g.n; i++) {
        s->chunk = 0;
        s->taken = 0;
        taps(s, rows_of(y, i * made, made), rows_of(x, i * pixels, pixels), (grid){ 1, g.h, g.w }, w, stride, m, bias);
    }
}

/* ---- moving pixels ---- */

void gg_upsample2x(device *d, tensor y, tensor x, grid g)
{
    state *s = state_of(d);
    if (!FRESH(s, "upsample2x", T(y), T(x), (uint64_t)g.n, (uint64_t)g.h, (uint64_t)g.w)) return;
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
    if (FRESH(s, "pack2x2", T(y), T(x), (uint64_t)g.n, (uint64_t)g.h, (uint64_t)g.w)) pack(s, y, x, g, false);
}

void gg_unpack2x2(device *d, tensor y, tensor x, grid g)
{
    state *s = state_of(d);
    if (FRESH(s, "unpack2x2", T(y), T(x), (uint64_t)g.n, (uint64_t)g.h, (uint64_t)g.w)) pack(s, x, y, g, true);
}
