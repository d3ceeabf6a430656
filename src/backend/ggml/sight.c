/* sight.c - pooling, resampling and windows: what networks that look at pictures need beside filters. */
#include <math.h>
#include <string.h>
#include "backend/ggml/state.h"

static const size_t F = sizeof(float);

enum { NUMBERS = 4 << 20 }; /* of an in-between result that is made at a time */

/* ids[first ..] of a table as rows are taken by. */
static gt *ids_at(state *s, place table, int64_t first, int64_t n)
{
    size_t all = sizeof(int32_t) * (size_t)n;
    place at = { table.buffer, table.at + sizeof(int32_t) * (size_t)first };
    return gg_leaf(s, GGML_TYPE_I32, at, (int64_t[]){ n, 1, 1, 1 }, (size_t[]){ sizeof(int32_t), all, all, all });
}

/* ---- pooling ---- */

/* ggml pools [w, h] planes and begins at border + k stride, all sides alike: with `skip` windows more before the first one, and as many behind as it takes. */
typedef struct pooling { enum ggml_op_pool how; int kw, kh, sw, sh, skip, border_w, border_h, w, h; } pooling;

static void pooled(state *s, tensor y, tensor x, grid g, pooling p)
{
    struct ggml_context *cx = s->now->cx;
    int pixels = g.h * g.w, each = NUMBERS / pixels;
    if (each < 1) each = 1;
    for (int n = 0; n < g.n; n++)
        for (int c = 0; c < x.cols; c += each) {
            int channels = x.cols - c < each ? x.cols - c : each;
            s->chunk = 0;
            s->taken = 0;
            gt *seen = gg_pixels(s, columns_of(rows_of(x, n * pixels, pixels), c, channels), g.w, g.h);
            gt *planes = gg_mid(s, ggml_cont(cx, gg_viewed(s, ggml_permute(cx, seen, 2, 0, 1, 3)))); /* [w, h, c] */
            gt *t = gg_mid(s, ggml_pool_2d(cx, planes, p.how, p.kw, p.kh, p.sw, p.sh, (float)p.border_w, (float)p.border_h));
            gt *made = gg_viewed(s, ggml_view_3d(cx, t, p.w, p.h, channels, t->nb[1], t->nb[2], (size_t)p.skip * (t->nb[0] + t->nb[1])));
            tensor out = columns_of(rows_of(y, n * p.h * p.w, p.h * p.w), c, channels);
            gg_copy_node(s, gg_viewed(s, ggml_permute(cx, made, 1, 2, 0, 3)), gg_pixels(s, out, p.w, p.h));
        }
}

/* Windows of zeros would count; of ggml's own border nothing does.  It is as wide on the right and below, where more may be wanted: then windows are added on
 * all sides, and those before the first one are skipped. */
void gg_maxpool(device *d, tensor y, tensor x, grid g, reach r)
{
    state *s = state_of(d);
    if (!FRESH(s, "maxpool", T(y), T(x), G(g), R(r))) return;
    if (r.dilation != 1) {
        gg_fail(s, DREAMO_DEVICE, "maxpool: no dilation on this device");
        return;
    }
    int skip = 0, border = r.before, most = g.w < g.h ? g.w : g.h;
    while ((g.w + 2 * border - r.side) / r.stride + 1 - skip < r.w || (g.h + 2 * border - r.side) / r.stride + 1 - skip < r.h || most + 2 * border < r.side) skip++, border += r.stride;
    pooled(s, y, x, g, (pooling){ GGML_OP_POOL_MAX, r.side, r.side, r.stride, r.stride, skip, border, border, r.w, r.h });
}

void gg_boxmean(device *d, tensor y, tensor x, grid g, grid to)
{
    state *s = state_of(d);
    if (!FRESH(s, "boxmean", T(y), T(x), G(g), (uint64_t)to.h, (uint64_t)to.w)) return;
    int bh = g.h / to.h, bw = g.w / to.w;
    pooled(s, y, x, g, (pooling){ GGML_OP_POOL_AVG, bw, bh, bw, bh, 0, 0, 0, to.w, to.h });
}

/* ---- resampling: first lines, then pixels within them ---- */

/* Along one axis: ids of the two neighbours of each output, [2, n], and the share of the second, [n]. */
typedef struct axis { place ids, shares; } axis;

typedef struct axis_how { int in, out; resampling how; } axis_how;

static bool fill_axis(void *data, const void *how)
{
    const axis_how *is = how;
    int32_t *ids = data;
    float *shares = (float *)(ids + 2 * is->out);
    for (int i = 0; i < is->out; i++) {
        int at, next;
        shares[i] = sample_at(i, is->in, is->out, is->how, &at, &next);
        ids[i] = at;
        ids[is->out + i] = next;
    }
    return true;
}

static axis axis_of(state *s, int in, int out, resampling how)
{
    size_t n = (size_t)out, ids = 2 * n * sizeof(int32_t);
    uint64_t key = gg_mix(gg_mix(gg_mix(2, (uint64_t)in), (uint64_t)out), (uint64_t)how);
    place at = gg_made(s, key, ids + n * sizeof(float), fill_axis, &(axis_how){ in, out, how });
    return (axis){ at, { at.buffer, at.at + ids } };
}

/* Rows `first` .. of the n that the axis makes out of x's [width, in]: [width, rows]. */
static gt *along(state *s, gt *x, const axis *a, int n, int first, int rows, resampling how)
{
    struct ggml_context *cx = s->now->cx;
    gt *near = gg_mid(s, ggml_get_rows(cx, x, ids_at(s, a->ids, first, rows)));
    if (how == SAMPLE_NEAREST) return near;
    gt *far = gg_mid(s, ggml_get_rows(cx, x, ids_at(s, a->ids, n + first, rows)));
    size_t all = F * (size_t)rows;
    gt *share = gg_leaf(s, GGML_TYPE_F32, (place){ a->shares.buffer, a->shares.at + F * (size_t)first }, (int64_t[]){ 1, rows, 1, 1 }, (size_t[]){ F, F, all, all });
    far = gg_over(s, ggml_sub(cx, far, near), far);
    far = gg_over(s, ggml_mul(cx, far, share), far);
    return gg_over(s, ggml_add(cx, near, far), near);
}

void gg_resample(device *d, tensor y, tensor x, grid g, grid to, resampling how)
{
    state *s = state_of(d);
    axis down = axis_of(s, g.h, to.h, how), across = axis_of(s, g.w, to.w, how);
    if (!gg_ok(s) || !FRESH(s, "resample", T(y), T(x), P(down.ids.at), P(across.ids.at), G(g), (uint64_t)to.h, (uint64_t)to.w, (uint64_t)how)) return;
    struct ggml_context *cx = s->now->cx;
    int c = x.cols, pixels = g.h * g.w, made = to.h * to.w, each = NUMBERS / (c * (g.w > to.w ? g.w : to.w));
    if (each < 1) each = 1;
    for (int n = 0; n < g.n; n++) {
        s->chunk = 0;
        s->taken = 0;
        gt *picture = gg_packed(s, rows_of(x, n * pixels, pixels));
        gt *lines = gg_viewed(s, ggml_reshape_2d(cx, picture, c * g.w, g.h));
        int chunk = s->chunk;
        size_t mark = s->taken;
        for (int top = 0; top < to.h; top += each) {
            int rows = to.h - top < each ? to.h - top : each;
            s->chunk = chunk;
            s->taken = mark;
            gt *t = along(s, lines, &down, to.h, top, rows, how); /* [c w, rows] */
            t = gg_viewed(s, ggml_reshape_3d(cx, t, c, g.w, rows));
            t = gg_mid(s, ggml_cont(cx, gg_viewed(s, ggml_permute(cx, t, 0, 2, 1, 3)))); /* [c, rows, w] */
            t = gg_viewed(s, ggml_reshape_2d(cx, t, c * rows, g.w));
            t = along(s, t, &across, to.w, 0, to.w, how); /* [c rows, w] */
            t = gg_viewed(s, ggml_reshape_3d(cx, t, c, rows, to.w));
            tensor out = rows_of(y, n * made + top * to.w, rows * to.w);
            gg_copy_node(s, gg_viewed(s, ggml_permute(cx, t, 0, 2, 1, 3)), gg_pixels(s, out, to.w, rows));
        }
    }
}

/* ---- windows ---- */

/* Windows in the order in which they are done: those of one kind, by which masks differ, together.  Moved windows are of four kinds: inside, in the last
 * column, in the last row, in the corner. */
enum { KINDS = 4 };
typedef struct windows { int down, across, tokens, n, kinds, first[KINDS + 1]; bool filled; } windows;

static windows windows_of(grid g, swin m)
{
    windows w = { .down = (g.h + m.side - 1) / m.side, .across = (g.w + m.side - 1) / m.side, .tokens = m.side * m.side, .kinds = m.shift ? KINDS : 1 };
    w.n = w.down * w.across;
    w.filled = g.h % m.side || g.w % m.side;
    int sizes[KINDS] = { (w.down - 1) * (w.across - 1), w.down - 1, w.across - 1, 1 };
    if (!m.shift) sizes[0] = w.n;
    for (int i = 0; i < w.kinds; i++) w.first[i + 1] = w.first[i] + sizes[i];
    return w;
}

static int window_at(const windows *w, swin m, int row, int column)
{
    bool bottom = row == w->down - 1, right = column == w->across - 1;
    if (!m.shift) return row * w->across + column;
    if (bottom) return right ? w->first[3] : w->first[2] + column;
    return right ? w->first[1] + row : row * (w->across - 1) + column;
}

/* Tables of one shape of windows: [windows, tokens] pixel, or g.h g.w where a window is filled up; [pixels] where in those; [tokens, tokens] row of the
 * table of distances; masks [kinds, tokens, tokens]. */
typedef struct window_tables { place pixel, back, distance, mask; } window_tables;

typedef struct window_how { grid g; swin m; const windows *w; } window_how;

static bool fill_ids(void *data, const void *how)
{
    const window_how *is = how;
    const windows *w = is->w;
    grid g = is->g;
    swin m = is->m;
    int nh = w->down * m.side, nw = w->across * m.side;
    int32_t *pixel = data, *back = pixel + w->n * w->tokens;
    for (int i = 0; i < w->n * w->tokens; i++) {
        int window = i / w->tokens, token = i % w->tokens, row = window / w->across * m.side + token / m.side, column = window % w->across * m.side + token % m.side;
        int at = window_at(w, m, window / w->across, window % w->across) * w->tokens + token;
        row = (row + m.shift) % nh;
        column = (column + m.shift) % nw;
        bool inside = row < g.h && column < g.w;
        pixel[at] = inside ? row * g.w + column : g.h * g.w;
        if (inside) back[row * g.w + column] = at;
    }
    return true;
}

static bool fill_distances(void *data, const void *how)
{
    int side = ((const window_how *)how)->m.side, n = side * side, far = side - 1;
    int32_t *distance = data;
    for (int q = 0; q < n; q++)
        for (int k = 0; k < n; k++) *distance++ = (q / side - k / side + far) * (2 * side - 1) + q % side - k % side + far;
    return true;
}

/* -100 between tokens of a kind's window that were not neighbours before it was moved. */
static bool fill_masks(void *data, const void *how)
{
    const window_how *is = how;
    int side = is->m.side, n = side * side, edge = side - is->m.shift;
    float *mask = data;
    for (int kind = 0; kind < KINDS; kind++)
        for (int i = 0; i < n * n; i++, mask++) {
            int q = i / n, k = i % n;
            bool apart_down = (q / side < edge) != (k / side < edge), apart_across = (q % side < edge) != (k % side < edge);
            *mask = ((kind & 2) && apart_down) || ((kind & 1) && apart_across) ? -100 : 0;
        }
    return true;
}

static window_tables tables_of(state *s, grid g, swin m, const windows *w)
{
    size_t cells = (size_t)w->n * (size_t)w->tokens, pixels = (size_t)g.h * (size_t)g.w, pairs = (size_t)w->tokens * (size_t)w->tokens;
    uint64_t side = (uint64_t)m.side, moved = gg_mix(side, (uint64_t)m.shift), shape = gg_mix(gg_mix(moved, (uint64_t)g.h), (uint64_t)g.w);
    const window_how how = { g, m, w };
    window_tables t = { .pixel = gg_made(s, gg_mix(3, shape), sizeof(int32_t) * (cells + pixels), fill_ids, &how),
                        .distance = gg_made(s, gg_mix(4, side), sizeof(int32_t) * pairs, fill_distances, &how) };
    t.back = (place){ t.pixel.buffer, t.pixel.at + sizeof(int32_t) * cells };
    if (m.shift) t.mask = gg_made(s, gg_mix(5, moved), sizeof(float) * KINDS * pairs, fill_masks, &how);
    return t;
}

/* A picture's qkv [3 C, pixels], with `fill` as the row behind the last one where windows are filled up. */
static gt *source_of(state *s, tensor qkv, bool filled, place fill)
{
    if (!filled) return gg_packed(s, qkv);
    int64_t rows = qkv.rows + 1;
    size_t row = F * (size_t)qkv.cols;
    place at = gg_scratch(s, row * (size_t)rows);
    gg_copy_node(s, gg_mat(s, qkv), gg_leaf(s, GGML_TYPE_F32, at, (int64_t[]){ qkv.cols, qkv.rows, 1, 1 }, (size_t[]){ F, row, row * (size_t)qkv.rows, row * (size_t)qkv.rows }));
    gg_copy_node(s, gg_row(s, fill, qkv.cols), gg_row(s, (place){ at.buffer, at.at + row * (size_t)qkv.rows }, qkv.cols));
    return gg_leaf(s, GGML_TYPE_F32, at, (int64_t[]){ qkv.cols, rows, 1, 1 }, (size_t[]){ F, row, row * (size_t)rows, row * (size_t)rows });
}

/* Of gathered windows [3 C, tokens, n] q, k or v: [dim, tokens, heads, n], or with `turned` [tokens, dim, heads, n]. */
static gt *third_of(state *s, gt *x, int which, int heads, bool turned)
{
    struct ggml_context *cx = s->now->cx;
    int64_t C = x->ne[0] / 3, dim = C / heads;
    gt *v = gg_viewed(s, ggml_view_4d(cx, x, dim, heads, x->ne[1], x->ne[2], F * (size_t)dim, x->nb[1], x->nb[2], F * (size_t)(which * C)));
    v = turned ? ggml_permute(cx, v, 1, 2, 0, 3) : ggml_permute(cx, v, 0, 2, 1, 3);
    return gg_mid(s, ggml_cont(cx, gg_viewed(s, v)));
}

/* Windows `from` .. of one kind: what they give, into `whole` [C, tokens, all]. */
static void attend(state *s, gt *source, gt *whole, const window_tables *t, const windows *w, swin m, gt *bias, int kind, int from, int n)
{
    struct ggml_context *cx = s->now->cx;
    int64_t C = whole->ne[0], dim = C / m.heads;
    gt *x = gg_mid(s, ggml_get_rows(cx, source, ids_at(s, t->pixel, (int64_t)from * w->tokens, (int64_t)n * w->tokens)));
    x = gg_viewed(s, ggml_reshape_3d(cx, x, 3 * C, w->tokens, n));
    gt *q = third_of(s, x, 0, m.heads, false), *k = third_of(s, x, 1, m.heads, false), *v = third_of(s, x, 2, m.heads, true);
    gt *scores = gg_mid(s, ggml_mul_mat(cx, k, q)); /* [keys, queries, heads, n] */
    scores = gg_over(s, ggml_scale(cx, scores, 1 / sqrtf((float)dim)), scores);
    scores = gg_over(s, ggml_add(cx, scores, bias), scores);
    if (kind) {
        size_t line = F * (size_t)w->tokens, plane = line * (size_t)w->tokens;
        place at = { t->mask.buffer, t->mask.at + (size_t)kind * plane };
        gt *mask = gg_leaf(s, GGML_TYPE_F32, at, (int64_t[]){ w->tokens, w->tokens, 1, 1 }, (size_t[]){ F, line, plane, plane });
        scores = gg_over(s, ggml_add(cx, scores, mask), scores);
    }
    gt *out = gg_mid(s, ggml_mul_mat(cx, v, gg_over(s, ggml_soft_max(cx, scores), scores))); /* [dim, queries, heads, n] */
    gg_copy_node(s, out, gg_viewed(s, ggml_view_4d(cx, whole, dim, w->tokens, m.heads, n, whole->nb[1], F * (size_t)dim, whole->nb[2], (size_t)from * whole->nb[2])));
}

void gg_windowattention(device *d, tensor y, tensor qkv, grid g, swin m, vec fill, vec table)
{
    state *s = state_of(d);
    windows w = windows_of(g, m);
    window_tables t = tables_of(s, g, m, &w);
    place filling = gg_vector(s, fill.p, fill.n), distances = gg_vector(s, table.p, table.n);
    if (!gg_ok(s) || !FRESH(s, "windowattention", T(y), T(qkv), P(t.pixel.at), P(t.mask.at), P(filling.at), P(distances.at), G(g),
                            (uint64_t)m.side, (uint64_t)m.shift, (uint64_t)m.heads)) return;
    struct ggml_context *cx = s->now->cx;
    int pixels = g.h * g.w, C = y.cols, pairs = w.tokens * w.tokens, each = NUMBERS / (pairs * m.heads), rows = NUMBERS / C;
    size_t row = F * (size_t)m.heads, far = (size_t)(table.n / m.heads), line = F * (size_t)C, window = line * (size_t)w.tokens;
    if (each < 1) each = 1;
    for (int i = 0; i < g.n; i++) {
        s->chunk = 0;
        s->taken = 0;
        gt *bias = gg_leaf(s, GGML_TYPE_F32, distances, (int64_t[]){ m.heads, (int64_t)far, 1, 1 }, (size_t[]){ F, row, row * far, row * far });
        bias = gg_viewed(s, ggml_transpose(cx, gg_mid(s, ggml_get_rows(cx, bias, ids_at(s, t.distance, 0, pairs))))); /* [pairs, heads] */
        bias = gg_viewed(s, ggml_reshape_3d(cx, gg_mid(s, ggml_cont(cx, bias)), w.tokens, w.tokens, m.heads));
        gt *source = source_of(s, rows_of(qkv, i * pixels, pixels), w.filled, filling);
        gt *whole = gg_leaf(s, GGML_TYPE_F32, gg_scratch(s, window * (size_t)w.n), (int64_t[]){ C, w.tokens, w.n, 1 }, (size_t[]){ F, line, window, window * (size_t)w.n });
        int chunk = s->chunk;
        size_t mark = s->taken;
        for (int kind = 0; kind < w.kinds; kind++)
            for (int from = w.first[kind]; from < w.first[kind + 1]; from += each) {
                s->chunk = chunk;
                s->taken = mark;
                attend(s, source, whole, &t, &w, m, bias, kind, from, w.first[kind + 1] - from < each ? w.first[kind + 1] - from : each);
            }
        gt *tokens = gg_viewed(s, ggml_reshape_2d(cx, whole, C, (int64_t)w.tokens * w.n));
        for (int from = 0; from < pixels; from += rows) {
            int n = pixels - from < rows ? pixels - from : rows;
            s->chunk = chunk;
            s->taken = mark;
            gg_copy_node(s, gg_mid(s, ggml_get_rows(cx, tokens, ids_at(s, t.back, from, n))), gg_mat(s, rows_of(y, i * pixels + from, n)));
        }
    }
}
