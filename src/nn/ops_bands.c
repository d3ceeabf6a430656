/* ops_bands.c - a convolution and what stands around it, over bands of rows.
 *
 * conv_step is [shortcut](beside) + conv(twice(silu(norm(x)))).  With a tape it is the ops that these words name, each of which keeps its
 * result.  Without one a large picture goes through them band by band: statistics of the norm are taken from the whole picture before,
 * a band brings the rows above and below that the taps see, and every number comes out as without bands. */
#include "nn/context.h"

#define BAND_NUMBERS (1 << 24) /* of each in-between result, 64 MiB: 64 rows of 1024 pixels of 256 channels */

static const tensor none;

static tensor normed(nn *cx, tensor x, grid g, const group_norm *n, tensor stats)
{
    tensor y = tensor_new(cx, x.rows, x.cols);
    if (!nn_ok(cx)) return none;
    cx->be->groupnorm(cx->dev, y, x, g, n->groups, n->gain, n->bias, true, stats);
    nn_done(cx, 0, 2 * tensor_nbytes(x));
    return y;
}

static tensor statistics(nn *cx, tensor x, grid g, const group_norm *n)
{
    if (!nn_require(cx, x.rows == g.n * g.h * g.w && x.cols % n->groups == 0 && n->gain.n == x.cols && n->bias.n == x.cols,
                    "conv_step: x is " SHAPE " on a grid of " GRID ", %d groups, gain of %d, bias of %d", DIMS(x), SIDES(g), n->groups,
                    n->gain.n, n->bias.n)) return none;
    tensor stats = tensor_new(cx, g.n, 2 * n->groups);
    if (!nn_ok(cx)) return none;
    cx->be->groupstats(cx->dev, stats, x, g, n->groups, n->eps);
    nn_done(cx, 0, tensor_nbytes(x));
    return stats;
}

/* Everything but `beside`; x already normed or not to be. */
static tensor convolved(nn *cx, tensor x, grid g, const conv_step *s)
{
    if (s->twice) {
        x = op_upsample2x(cx, x, g);
        g = (grid){ g.n, 2 * g.h, 2 * g.w };
    }
    return op_conv2d(cx, x, g, s->w, s->stride);
}

static tensor taped(nn *cx, tensor x, grid g, const conv_step *s)
{
    if (s->norm.groups) x = op_groupnorm(cx, x, g, s->norm.groups, s->norm.gain, s->norm.bias, s->norm.eps, true);
    tensor y = convolved(cx, x, g, s), beside = s->beside;
    if (!beside.p) return y;
    if (s->shortcut) beside = op_conv2d(cx, beside, (grid){ 1, beside.rows, 1 }, s->shortcut, 1);
    return op_add(cx, beside, y);
}

/* Rows y0 to y1 of x, all pictures or rows of one, into theirs of `into`. */
static void band(nn *cx, tensor x, grid g, const conv_step *s, tensor stats, int y0, int y1, tensor into)
{
    size_t mark = arena_mark(&cx->work);
    int top = s->stride == 1 ? 1 : 0, bottom = s->stride, up = s->twice ? 2 : 1; /* taps see that far (spec 4.4) */
    int from = y0 > top ? y0 - top : 0, to = g.h - y1 > bottom ? y1 + bottom : g.h;
    int width = g.w * up / s->stride, skip = (y0 - from) * up / s->stride, rows = into.rows;
    bool whole = y0 == 0 && y1 == g.h;
    grid part = { whole ? g.n : 1, to - from, g.w };
    tensor h = tensor_rows(x, from * g.w, part.n * part.h * part.w);
    if (s->norm.groups) h = normed(cx, h, part, &s->norm, stats);
    tensor y = tensor_rows(convolved(cx, h, part, s), skip * width, rows);
    if (s->beside.p) {
        tensor beside = tensor_rows(s->beside, y0 * up / s->stride * width, rows);
        if (s->shortcut) beside = op_conv2d(cx, beside, (grid){ 1, rows, 1 }, s->shortcut, 1);
        if (nn_ok(cx)) cx->be->add(cx->dev, into, beside, y);
    } else if (nn_ok(cx)) {
        cx->be->copy(cx->dev, into, y);
    }
    nn_done(cx, 0, 3 * tensor_nbytes(into));
    arena_release(&cx->work, mark);
}

/* Rows of x in a band, even for stride 2; 0: all pictures at once, being small. */
static int band_rows(grid g, const conv_step *s)
{
    int64_t channels = s->w->in > s->w->out ? s->w->in : s->w->out, row = (int64_t)g.w * channels * (s->twice ? 4 : 1);
    int64_t rows = BAND_NUMBERS / row / 2 * 2;
    if (g.n * g.h * row <= BAND_NUMBERS) return 0;
    return rows < 2 ? 2 : (int)rows;
}

tensor op_conv_step(nn *cx, tensor x, grid g, conv_step s)
{
    if (cx->taping || !nn_ok(cx)) return taped(cx, x, g, &s);
    int up = s.twice ? 2 : 1, h = g.h * up / s.stride, w = g.w * up / s.stride, each = band_rows(g, &s);
    tensor y = s.into.p ? s.into : tensor_new(cx, g.n * h * w, s.w->out);
    size_t mark = arena_mark(&cx->work);
    if (!nn_require(cx, y.rows == g.n * h * w && y.cols == s.w->out && (!s.beside.p || s.beside.rows == y.rows),
                    "conv_step: " SHAPE " and %d rows beside it for a result of " SHAPE, DIMS(y), s.beside.rows, g.n * h * w, s.w->out))
        return none;
    tensor stats = s.norm.groups ? statistics(cx, x, g, &s.norm) : none;
    if (!each) band(cx, x, g, &s, stats, 0, g.h, y);
    for (int i = 0; each && i < g.n; i++) {
        conv_step one = s;
        tensor out = tensor_rows(y, i * h * w, h * w), in = tensor_rows(x, i * g.h * g.w, g.h * g.w);
        if (s.beside.p) one.beside = tensor_rows(s.beside, i * h * w, h * w);
        for (int y0 = 0; y0 < g.h && nn_ok(cx); y0 += each) {
            int y1 = g.h - y0 > each ? y0 + each : g.h, first = y0 * up / s.stride, last = y1 * up / s.stride;
            band(cx, in, (grid){ 1, g.h, g.w }, &one, s.norm.groups ? tensor_rows(stats, i, 1) : none, y0, y1,
                 tensor_rows(out, first * w, (last - first) * w));
        }
    }
    arena_release(&cx->work, mark);
    return nn_ok(cx) ? y : none;
}
