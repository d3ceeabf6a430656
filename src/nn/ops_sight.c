/* ops_sight.c - what networks that look at pictures need beside.  They are used as they come and never trained here, so these ops have no way
 * back: a gradient through one is refused. */
#include "nn/context.h"

static const tensor none;

static bool fits(tensor x, grid g) { return g.n >= 0 && g.h > 0 && g.w > 0 && (int64_t)g.n * g.h * g.w == x.rows; }

static bool forward_only(nn *cx, tensor x, const char *op)
{
    return nn_require(cx, !(cx->taping && x.slot), "%s: has no gradient", op);
}

static tensor ready(nn *cx, tensor x, int rows, int cols, const char *op) { return forward_only(cx, x, op) ? tensor_new(cx, rows, cols) : none; }

/* After the kernel. */
static tensor done(nn *cx, tensor y, double flops, double nbytes)
{
    nn_done(cx, flops, nbytes + tensor_nbytes(y));
    return nn_ok(cx) ? y : none;
}

tensor op_activate(nn *cx, tensor x, act a)
{
    tensor y = ready(cx, x, x.rows, x.cols, "activate");
    if (!nn_ok(cx)) return none;
    cx->be->activate(cx->dev, y, x, a);
    return done(cx, y, 0, tensor_nbytes(x));
}

tensor op_rowscale(nn *cx, tensor x, tensor s)
{
    if (!nn_require(cx, s.cols == 1 && s.rows == x.rows, "rowscale: x is " SHAPE ", s " SHAPE, DIMS(x), DIMS(s)) || !forward_only(cx, s, "rowscale"))
        return none;
    tensor y = ready(cx, x, x.rows, x.cols, "rowscale");
    if (!nn_ok(cx)) return none;
    cx->be->rowscale(cx->dev, y, x, s);
    return done(cx, y, 0, tensor_nbytes(x));
}

tensor op_instancenorm_into(nn *cx, tensor x, grid g, float eps, act a, tensor into)
{
    if (!nn_require(cx, fits(x, g) && (!into.p || (into.rows == x.rows && into.cols == x.cols)), "instancenorm: x is " SHAPE " on a grid of " GRID ", into " SHAPE,
                    DIMS(x), SIDES(g), DIMS(into)) || !forward_only(cx, x, "instancenorm")) return none;
    tensor y = into.p ? into : tensor_new(cx, x.rows, x.cols);
    if (!nn_ok(cx)) return none;
    cx->be->instancenorm(cx->dev, y, x, g, eps, a);
    return done(cx, y, 0, 3 * tensor_nbytes(x));
}

tensor op_instancenorm(nn *cx, tensor x, grid g, float eps, act a) { return op_instancenorm_into(cx, x, g, eps, a, none); }

static const char *name_of(const weight *w) { return w->name ? w->name : "(unnamed)"; }

/* Some of what the first and the last output pixel see lies in the picture. */
static bool reaches(grid g, reach r)
{
    int far = r.dilation * (r.side - 1);
    return r.side > 0 && r.stride > 0 && r.dilation > 0 && r.before >= 0 && r.h > 0 && r.w > 0 && r.before <= far &&
           (r.h - 1) * r.stride - r.before < g.h && (r.w - 1) * r.stride - r.before < g.w;
}

static double filter_nbytes(const weight *w) { return dtype_bits(w->part[0].type) / 8 * w->out * w->in * w->kh * w->kw; }

tensor op_conv(nn *cx, tensor x, grid g, const weight *w, reach r, tensor beside, act a)
{
    if (!nn_require(cx, fits(x, g) && x.cols == w->in && w->nparts == 1 && !w->adapters, "conv %s: x is " SHAPE " on a grid of " GRID ", the weight takes %d channels",
                    name_of(w), DIMS(x), SIDES(g), w->in)
        || !nn_require(cx, w->kh == r.side && w->kw == r.side && r.side <= 7 && reaches(g, r), "conv %s: %d x %d taps of a reach of %d, stride %d, dilation %d, %d before, to %d x %d",
                       name_of(w), w->kh, w->kw, r.side, r.stride, r.dilation, r.before, r.h, r.w)
        || !nn_require(cx, !beside.p || (beside.rows == g.n * r.h * r.w && beside.cols == w->out), "conv %s: beside is " SHAPE, name_of(w), DIMS(beside))
        || !forward_only(cx, beside, "conv")) return none;
    tensor y = ready(cx, x, g.n * r.h * r.w, w->out, "conv");
    if (!nn_ok(cx)) return none;
    cx->be->conv(cx->dev, y, x, g, w, r, beside, a);
    nn_reads(cx, w, 0);
    return done(cx, y, 2.0 * y.rows * w->out * w->in * w->kh * w->kw, tensor_nbytes(x) + filter_nbytes(w));
}

tensor op_depthwise(nn *cx, tensor x, grid g, const weight *w, reach r)
{
    if (!nn_require(cx, fits(x, g) && x.cols == w->out && w->in == 1 && w->nparts == 1 && !w->adapters && w->kh == r.side && w->kw == r.side && reaches(g, r),
                    "depthwise %s: x is " SHAPE " on a grid of " GRID ", %d filters of %d x %d, a reach of %d", name_of(w), DIMS(x), SIDES(g), w->out, w->kh, w->kw, r.side))
        return none;
    tensor y = ready(cx, x, g.n * r.h * r.w, x.cols, "depthwise");
    if (!nn_ok(cx)) return none;
    cx->be->depthwise(cx->dev, y, x, g, w, r);
    nn_reads(cx, w, 0);
    return done(cx, y, 2.0 * y.rows * y.cols * w->kh * w->kw, tensor_nbytes(x));
}

tensor op_maxpool(nn *cx, tensor x, grid g, reach r)
{
    if (!nn_require(cx, fits(x, g) && reaches(g, r), "maxpool: x is " SHAPE " on a grid of " GRID ", to %d x %d", DIMS(x), SIDES(g), r.h, r.w)) return none;
    tensor y = ready(cx, x, g.n * r.h * r.w, x.cols, "maxpool");
    if (!nn_ok(cx)) return none;
    cx->be->maxpool(cx->dev, y, x, g, r);
    return done(cx, y, 0, tensor_nbytes(x));
}

tensor op_boxmean(nn *cx, tensor x, grid g, grid to)
{
    if (!nn_require(cx, fits(x, g) && to.n == g.n && to.h > 0 && to.w > 0 && g.h % to.h == 0 && g.w % to.w == 0,
                    "boxmean: x is " SHAPE " on a grid of " GRID ", to " GRID, DIMS(x), SIDES(g), SIDES(to))) return none;
    tensor y = ready(cx, x, to.n * to.h * to.w, x.cols, "boxmean");
    if (!nn_ok(cx)) return none;
    cx->be->boxmean(cx->dev, y, x, g, to);
    return done(cx, y, 0, tensor_nbytes(x));
}

tensor op_resample(nn *cx, tensor x, grid g, grid to, resampling how)
{
    if (!nn_require(cx, fits(x, g) && to.n == g.n && to.h > 0 && to.w > 0, "resample: x is " SHAPE " on a grid of " GRID ", to " GRID, DIMS(x), SIDES(g), SIDES(to)))
        return none;
    if (g.h == to.h && g.w == to.w) return x;
    tensor y = ready(cx, x, to.n * to.h * to.w, x.cols, "resample");
    if (!nn_ok(cx)) return none;
    cx->be->resample(cx->dev, y, x, g, to, how);
    return done(cx, y, 0, tensor_nbytes(x));
}

tensor op_resample_beside(nn *cx, tensor x, grid g, grid to, resampling how, tensor beside)
{
    if (!nn_require(cx, fits(x, g) && to.n == g.n && fits(beside, to), "resample_beside: x is " SHAPE " on a grid of " GRID ", beside it " SHAPE " on " GRID, DIMS(x), SIDES(g),
                    DIMS(beside), SIDES(to)) || !forward_only(cx, beside, "resample_beside")) return none;
    tensor y = ready(cx, x, beside.rows, x.cols + beside.cols, "resample_beside");
    if (!nn_ok(cx)) return none;
    tensor left = tensor_cols(y, 0, x.cols);
    if (g.h == to.h && g.w == to.w) cx->be->copy(cx->dev, left, x);
    else cx->be->resample(cx->dev, left, x, g, to, how);
    cx->be->copy(cx->dev, tensor_cols(y, x.cols, beside.cols), beside);
    return done(cx, y, 0, tensor_nbytes(x) + tensor_nbytes(beside));
}

tensor op_windowattention(nn *cx, tensor qkv, grid g, swin m, vec fill, vec table)
{
    int span = 2 * m.side - 1;
    if (!nn_require(cx, fits(qkv, g) && m.heads > 0 && qkv.cols % (3 * m.heads) == 0 && m.side > 0 && m.shift >= 0 && m.shift < m.side && fill.n == qkv.cols &&
                    table.n == span * span * m.heads, "windowattention: qkv is " SHAPE " on a grid of " GRID ", windows of %d moved by %d, %d heads, a fill of %d, a table of %d",
                    DIMS(qkv), SIDES(g), m.side, m.shift, m.heads, fill.n, table.n)) return none;
    tensor y = ready(cx, qkv, qkv.rows, qkv.cols / 3, "windowattention");
    if (!nn_ok(cx)) return none;
    cx->be->windowattention(cx->dev, y, qkv, g, m, fill, table);
    double tokens = m.side * m.side, count = (double)((g.h + m.side - 1) / m.side) * ((g.w + m.side - 1) / m.side) * g.n;
    return done(cx, y, 4 * count * tokens * tokens * y.cols, tensor_nbytes(qkv));
}

tensor op_crossattention(nn *cx, tensor q, tensor k, tensor v, int samples, int heads)
{
    if (!nn_require(cx, q.cols == k.cols && k.rows == v.rows && k.cols == v.cols && heads > 0 && q.cols % heads == 0 && samples > 0 && q.rows % samples == 0 &&
                    k.rows % samples == 0 && k.rows > 0, "crossattention: q is " SHAPE ", k " SHAPE ", v " SHAPE ", %d heads, %d samples", DIMS(q), DIMS(k), DIMS(v), heads, samples)
        || !forward_only(cx, k, "crossattention") || !forward_only(cx, v, "crossattention")) return none;
    tensor y = ready(cx, q, q.rows, q.cols, "crossattention");
    if (!nn_ok(cx)) return none;
    cx->be->crossattention(cx->dev, y, q, k, v, samples, heads);
    return done(cx, y, 4.0 * q.rows * (k.rows / samples) * q.cols, tensor_nbytes(q) + 2 * tensor_nbytes(k));
}
