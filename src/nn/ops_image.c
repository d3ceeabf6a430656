/* ops_image.c - the autoencoder's ops and the losses.  Pictures are [n*h*w, channels] with a grid beside them. */
#include "nn/context.h"

static const tensor none;

static bool   wants(tensor x) { return x.slot != 0; }
static double values(tensor x) { return (double)x.rows * x.cols; }
static bool   fits(tensor x, grid g) { return (int64_t)g.n * g.h * g.w == x.rows; }

/* ---- convolution ---- */

static double conv_flops(tensor y, const weight *w) { return 2.0 * y.rows * w->out * w->in * w->kh * w->kw; }

static void conv2d_back(nn *cx, const record *r)
{
    tensor dx = grad_of(cx, r->a), dy = grad_of(cx, r->y);
    if (!nn_ok(cx)) return;
    cx->be->conv2d_backward(cx->dev, dx, dy, r->a, r->g, r->w, r->n);
    nn_done(cx, conv_flops(r->y, r->w) * ((wants(r->a) ? 1 : 0) + (r->w->part[0].grad ? 1 : 0)), 2 * values(r->a) + 2 * values(r->y));
}

tensor op_conv2d(nn *cx, tensor x, grid g, const weight *w, int stride)
{
    if (!nn_require(cx, fits(x, g) && x.cols == w->in && w->nparts == 1 && (stride == 1 || stride == 2) && g.h % stride == 0 && g.w % stride == 0,
                    "conv2d %s: x is %d x %d on a grid of %d x %d x %d, the weight takes %d channels", w->name, x.rows, x.cols, g.n, g.h, g.w, w->in)) return none;
    tensor y = tensor_new(cx, x.rows / (stride * stride), w->out);
    if (!nn_ok(cx)) return none;
    cx->be->conv2d(cx->dev, y, x, g, w, stride);
    nn_done(cx, conv_flops(y, w), values(x) + values(y) + (double)w->out * w->in * w->kh * w->kw);
    record *r = tape_add(cx, wants(x) || w->part[0].grad || w->part[0].grad_bias, conv2d_back, &y);
    if (r) {
        r->a = x;
        r->g = g;
        r->w = w;
        r->n = stride;
    }
    return y;
}

static void groupnorm_back(nn *cx, const record *r)
{
    tensor dx = grad_of(cx, r->a), dy = grad_of(cx, r->y);
    if (!nn_ok(cx)) return;
    cx->be->groupnorm_backward(cx->dev, dx, dy, r->a, r->g, r->n, r->gain, r->bias, r->f, r->flag, r->aux);
    nn_done(cx, 0, 4 * values(r->y));
}

tensor op_groupnorm(nn *cx, tensor x, grid g, int groups, vec gain, vec bias, float eps, bool silu)
{
    if (!nn_require(cx, fits(x, g) && groups > 0 && x.cols % groups == 0 && gain.n == x.cols && bias.n == x.cols,
                    "groupnorm: x is %d x %d on a grid of %d x %d x %d, %d groups, gain of %d", x.rows, x.cols, g.n, g.h, g.w, groups, gain.n)) return none;
    tensor y = tensor_new(cx, x.rows, x.cols), stats = tensor_new(cx, g.n, 2 * groups);
    if (!nn_ok(cx)) return none;
    cx->be->groupnorm(cx->dev, y, x, g, groups, gain, bias, eps, silu, stats);
    nn_done(cx, 0, 3 * values(x));
    record *r = tape_add(cx, wants(x) || gain.grad || bias.grad, groupnorm_back, &y);
    if (r) {
        r->a = x;
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

typedef void (*move_fn)(device *, tensor, tensor, grid);

static void upsample2x_back(nn *cx, const record *r)
{
    cx->be->upsample2x_backward(cx->dev, grad_of(cx, r->a), grad_of(cx, r->y), r->g);
    nn_done(cx, 0, 2 * values(r->y));
}

static void pack2x2_back(nn *cx, const record *r)
{
    cx->be->pack2x2_backward(cx->dev, grad_of(cx, r->a), grad_of(cx, r->y), r->g);
    nn_done(cx, 0, 2 * values(r->y));
}

static void unpack2x2_back(nn *cx, const record *r)
{
    cx->be->unpack2x2_backward(cx->dev, grad_of(cx, r->a), grad_of(cx, r->y), r->g);
    nn_done(cx, 0, 2 * values(r->y));
}

static tensor moved(nn *cx, tensor x, grid g, int rows, int cols, move_fn forward, back_fn back)
{
    tensor y = tensor_new(cx, rows, cols);
    if (!nn_ok(cx)) return none;
    forward(cx->dev, y, x, g);
    nn_done(cx, 0, values(x) + values(y));
    record *r = tape_add(cx, wants(x), back, &y);
    if (r) {
        r->a = x;
        r->g = g;
    }
    return y;
}

tensor op_upsample2x(nn *cx, tensor x, grid g)
{
    if (!nn_require(cx, fits(x, g), "upsample2x: %d rows on a grid of %d x %d x %d", x.rows, g.n, g.h, g.w)) return none;
    return moved(cx, x, g, 4 * x.rows, x.cols, cx->be->upsample2x, upsample2x_back);
}

tensor op_pack2x2(nn *cx, tensor x, grid g)
{
    if (!nn_require(cx, fits(x, g) && g.h % 2 == 0 && g.w % 2 == 0, "pack2x2: %d rows on a grid of %d x %d x %d", x.rows, g.n, g.h, g.w)) return none;
    return moved(cx, x, g, x.rows / 4, 4 * x.cols, cx->be->pack2x2, pack2x2_back);
}

tensor op_unpack2x2(nn *cx, tensor x, grid g)
{
    if (!nn_require(cx, (int64_t)g.n * g.h * g.w == 4 * (int64_t)x.rows && x.cols % 4 == 0 && g.h % 2 == 0 && g.w % 2 == 0,
                    "unpack2x2: %d x %d to a grid of %d x %d x %d", x.rows, x.cols, g.n, g.h, g.w)) return none;
    return moved(cx, x, g, 4 * x.rows, x.cols / 4, cx->be->unpack2x2, unpack2x2_back);
}

/* ---- posterior and losses ---- */

static void gaussian_back(nn *cx, const record *r)
{
    tensor dx = grad_of(cx, r->a), dy = grad_of(cx, r->y);
    if (!nn_ok(cx)) return;
    cx->be->gaussian_backward(cx->dev, dx, dy, r->a, r->b);
    nn_done(cx, 0, 4 * values(r->y));
}

tensor op_gaussian(nn *cx, tensor x, tensor eps)
{
    if (!nn_require(cx, x.cols == 2 * eps.cols && x.rows == eps.rows, "gaussian: x is %d x %d, eps %d x %d", x.rows, x.cols, eps.rows, eps.cols)) return none;
    tensor y = tensor_new(cx, eps.rows, eps.cols);
    if (!nn_ok(cx)) return none;
    cx->be->gaussian(cx->dev, y, x, eps);
    nn_done(cx, 0, 4 * values(y));
    record *r = tape_add(cx, wants(x), gaussian_back, &y);
    if (r) {
        r->a = x;
        r->b = eps;
    }
    return y;
}

static void kl_back(nn *cx, const record *r)
{
    tensor dx = grad_of(cx, r->a), dy = grad_of(cx, r->y);
    if (!nn_ok(cx)) return;
    cx->be->kl_backward(cx->dev, dx, dy, r->a);
    nn_done(cx, 0, 2 * values(r->a));
}

tensor op_kl(nn *cx, tensor x)
{
    if (!nn_require(cx, x.cols % 2 == 0, "kl: %d columns", x.cols)) return none;
    tensor y = tensor_new(cx, 1, 1);
    if (!nn_ok(cx)) return none;
    cx->be->kl(cx->dev, y, x);
    nn_done(cx, 0, values(x));
    record *r = tape_add(cx, wants(x), kl_back, &y);
    if (r) r->a = x;
    return y;
}

static void mse_back(nn *cx, const record *r)
{
    tensor da = grad_of(cx, r->a), dy = grad_of(cx, r->y);
    if (!nn_ok(cx)) return;
    cx->be->mse_backward(cx->dev, da, dy, r->a, r->b, r->row_weight);
    nn_done(cx, 0, 3 * values(r->a));
}

tensor op_mse(nn *cx, tensor a, tensor b, const float *row_weight)
{
    if (!nn_require(cx, a.rows == b.rows && a.cols == b.cols, "mse: %d x %d and %d x %d", a.rows, a.cols, b.rows, b.cols)) return none;
    tensor y = tensor_new(cx, 1, 1);
    if (!nn_ok(cx)) return none;
    cx->be->mse(cx->dev, y, a, b, row_weight);
    nn_done(cx, 0, 2 * values(a));
    record *r = tape_add(cx, wants(a), mse_back, &y);
    if (r) {
        r->a = a;
        r->b = b;
        r->row_weight = row_weight;
    }
    return y;
}
