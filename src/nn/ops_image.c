/* ops_image.c - the autoencoder's ops and the losses.  Pictures are [n*h*w, channels] with a grid beside them. */
#include "nn/context.h"

static const tensor none;

static bool fits(tensor x, grid g) { return g.n >= 0 && g.h >= 0 && g.w >= 0 && (int64_t)g.n * g.h * g.w == x.rows; }
static bool even(grid g) { return g.h % 2 == 0 && g.w % 2 == 0; }

/* ---- convolution ---- */

static double conv_flops(tensor y, const weight *w) { return 2.0 * y.rows * w->out * w->in * w->kh * w->kw; }
static double conv_nbytes(const weight *w)
{
    return (double)w->out * w->in * w->kh * w->kw * (double)dtype_nbytes(w->part[0].type);
}

static void conv2d_back(nn *cx, const record *r, tensor dy, const tensor *d)
{
    int products = (d[0].p ? 1 : 0) + (r->w->part[0].grad ? 1 : 0);
    cx->be->conv2d_backward(cx->dev, d[0], dy, r->in[0], r->g, r->w, r->n);
    nn_done(cx, conv_flops(dy, r->w) * products, 2 * tensor_nbytes(r->in[0]) + 2 * tensor_nbytes(dy) + conv_nbytes(r->w));
}

tensor op_conv2d(nn *cx, tensor x, grid g, const weight *w, int stride)
{
    const char *name = w->name ? w->name : "(unnamed)";
    if (!nn_require(cx, fits(x, g) && x.cols == w->in, "conv2d %s: x is " SHAPE " on a grid of " GRID ", the weight takes %d channels",
                    name, DIMS(x), SIDES(g), w->in)
        || !nn_require(cx, (w->kh == 1 || w->kh == 3) && w->kw == w->kh && (stride == 1 || (stride == 2 && even(g))),
                       "conv2d %s: stride %d, %d x %d taps, %d x %d pixels (taken: 1 x 1 and 3 x 3, stride 1, or 2 of even sizes)",
                       name, stride, w->kh, w->kw, g.h, g.w)
        || !nn_require(cx, w->nparts == 1 && !w->adapters, "conv2d %s: %d parts, one without adapters is taken",
                       name, w->nparts)) return none;
    tensor y = tensor_new(cx, x.rows / (stride * stride), w->out);
    if (!nn_ok(cx)) return none;
    cx->be->conv2d(cx->dev, y, x, g, w, stride);
    nn_done(cx, conv_flops(y, w), tensor_nbytes(x) + tensor_nbytes(y) + conv_nbytes(w));
    nn_reads(cx, w, 0);
    record *r = tape_add(cx, conv2d_back, w->part[0].grad || w->part[0].grad_bias, &y, x, none, none);
    if (r) {
        r->g = g;
        r->w = w;
        r->n = stride;
    }
    return y;
}

static void groupnorm_back(nn *cx, const record *r, tensor dy, const tensor *d)
{
    cx->be->groupnorm_backward(cx->dev, d[0], dy, r->in[0], r->g, r->n, r->gain, r->bias, r->f, r->flag, r->aux);
    nn_done(cx, 0, 6 * tensor_nbytes(dy));
}

tensor op_groupnorm(nn *cx, tensor x, grid g, int groups, vec gain, vec bias, float eps, bool silu)
{
    if (!nn_require(cx, fits(x, g) && groups > 0 && x.cols % groups == 0 && gain.n == x.cols && bias.n == x.cols,
                    "groupnorm: x is " SHAPE " on a grid of " GRID ", %d groups, gain of %d, bias of %d",
                    DIMS(x), SIDES(g), groups, gain.n, bias.n)) return none;
    tensor y = tensor_new(cx, x.rows, x.cols), stats = tensor_new(cx, g.n, 2 * groups);
    if (!nn_ok(cx)) return none;
    cx->be->groupstats(cx->dev, stats, x, g, groups, eps);
    cx->be->groupnorm(cx->dev, y, x, g, groups, gain, bias, silu, stats);
    nn_done(cx, 0, 3 * tensor_nbytes(x));
    record *r = tape_add(cx, groupnorm_back, gain.grad || bias.grad, &y, x, none, none);
    if (r) {
        r->g = g;
        r->n = groups;
        r->gain = gain;
        r->bias = bias;
        r->f = eps;
        r->flag = silu;
        r->aux = stats;
    }
    return y;
}

/* ---- moving pixels ---- */

#define MOVE_BACK(f)                                                          \
    static void f##_back(nn *cx, const record *r, tensor dy, const tensor *d) \
    {                                                                         \
        cx->be->f##_backward(cx->dev, d[0], dy, r->g);                        \
        nn_done(cx, 0, 3 * tensor_nbytes(dy));                                \
    }
MOVE_BACK(upsample2x)
MOVE_BACK(pack2x2)
MOVE_BACK(unpack2x2)

static tensor moved(nn *cx, tensor x, grid g, int rows, int cols, void (*forward)(device *, tensor, tensor, grid), back_fn back)
{
    tensor y = tensor_new(cx, rows, cols);
    if (!nn_ok(cx)) return none;
    forward(cx->dev, y, x, g);
    nn_done(cx, 0, tensor_nbytes(x) + tensor_nbytes(y));
    record *r = tape_add(cx, back, false, &y, x, none, none);
    if (r) r->g = g;
    return y;
}

tensor op_upsample2x(nn *cx, tensor x, grid g)
{
    if (!nn_require(cx, fits(x, g), "upsample2x: %d rows on a grid of " GRID, x.rows, SIDES(g))) return none;
    return moved(cx, x, g, 4 * x.rows, x.cols, cx->be->upsample2x, upsample2x_back);
}

tensor op_pack2x2(nn *cx, tensor x, grid g)
{
    if (!nn_require(cx, fits(x, g) && even(g), "pack2x2: %d rows on a grid of " GRID, x.rows, SIDES(g))) return none;
    return moved(cx, x, g, x.rows / 4, 4 * x.cols, cx->be->pack2x2, pack2x2_back);
}

tensor op_unpack2x2(nn *cx, tensor x, grid g)
{
    tensor y = { .rows = 4 * x.rows };
    if (!nn_require(cx, fits(y, g) && even(g) && x.cols % 4 == 0, "unpack2x2: " SHAPE " to a grid of " GRID, DIMS(x), SIDES(g)))
        return none;
    return moved(cx, x, g, y.rows, x.cols / 4, cx->be->unpack2x2, unpack2x2_back);
}

/* ---- posterior and losses ---- */

static void gaussian_back(nn *cx, const record *r, tensor dy, const tensor *d)
{
    cx->be->gaussian_backward(cx->dev, d[0], dy, r->in[0], r->in[1]);
    nn_done(cx, 0, 6 * tensor_nbytes(dy));
}

tensor op_gaussian(nn *cx, tensor x, tensor eps)
{
    if (!nn_require(cx, x.cols == 2 * eps.cols && x.rows == eps.rows, "gaussian: x is " SHAPE ", eps " SHAPE, DIMS(x), DIMS(eps)))
        return none;
    if (!nn_require(cx, !eps.slot, "gaussian: eps gets no gradient")) return none;
    tensor y = tensor_new(cx, eps.rows, eps.cols);
    if (!nn_ok(cx)) return none;
    cx->be->gaussian(cx->dev, y, x, eps);
    nn_done(cx, 0, 4 * tensor_nbytes(y));
    tape_add(cx, gaussian_back, false, &y, x, eps, none);
    return y;
}

static void kl_back(nn *cx, const record *r, tensor dy, const tensor *d)
{
    cx->be->kl_backward(cx->dev, d[0], dy, r->in[0]);
    nn_done(cx, 0, 3 * tensor_nbytes(r->in[0]));
}

tensor op_kl(nn *cx, tensor x)
{
    if (!nn_require(cx, x.cols % 2 == 0, "kl: %d columns are no mean and log variance", x.cols)) return none;
    tensor y = tensor_new(cx, 1, 1);
    if (!nn_ok(cx)) return none;
    cx->be->kl(cx->dev, y, x);
    nn_done(cx, 0, tensor_nbytes(x));
    tape_add(cx, kl_back, false, &y, x, none, none);
    return y;
}

static void mse_back(nn *cx, const record *r, tensor dy, const tensor *d)
{
    cx->be->mse_backward(cx->dev, d[0], dy, r->in[0], r->in[1], r->row_weight);
    nn_done(cx, 0, 4 * tensor_nbytes(r->in[0]));
}

tensor op_mse(nn *cx, tensor a, tensor b, const float *row_weight)
{
    if (!nn_require(cx, a.rows == b.rows && a.cols == b.cols, "mse: " SHAPE " and " SHAPE, DIMS(a), DIMS(b))) return none;
    if (!nn_require(cx, !b.slot, "mse: the second tensor is the target and gets no gradient")) return none;
    tensor y = tensor_new(cx, 1, 1);
    if (!nn_ok(cx)) return none;
    cx->be->mse(cx->dev, y, a, b, row_weight);
    nn_done(cx, 0, 2 * tensor_nbytes(a));
    record *r = tape_add(cx, mse_back, false, &y, a, b, none);
    if (r) r->row_weight = row_weight;
    return y;
}
