/* dry.c - the backend that computes nothing: the op context counts bytes, flops and ops around it. */
#include "base/mem.h"
#include "nn/backend.h"

#pragma GCC diagnostic ignored "-Wunused-parameter" /* all of them are */

static device *dry_open(int threads)
{
    device *dev = mem_calloc(1, sizeof *dev);
    if (dev) dev->be = &backend_dry;
    return dev;
}

static void dry_close(device *dev) { mem_free(dev); }

static void read(device *d, float *dst, tensor x)
{
    for (int64_t i = 0; i < (int64_t)x.rows * x.cols; i++) dst[i] = 0;
}

static void write(device *d, tensor y, const float *s) {}
static void t1(device *d, tensor a) {}
static void t2(device *d, tensor a, tensor b) {}
static void t3(device *d, tensor a, tensor b, tensor c) {}
static void t4(device *d, tensor a, tensor b, tensor c, tensor e) {}
static void t5(device *d, tensor a, tensor b, tensor c, tensor e, tensor f) {}
static void t2f(device *d, tensor a, tensor b, float f) {}
static void t2g(device *d, tensor a, tensor b, grid g) {}
static void linear(device *d, tensor y, tensor x, const weight *w, tensor low) {}
static void linear_backward(device *d, tensor dx, tensor dy, tensor x, const weight *w, tensor low) {}
static void embed(device *d, tensor y, const int32_t *ids, const weight *w) {}
static void adaln(device *d, tensor y, tensor x, modulation m, layout l, float e) {}
static void adaln_backward(device *d, tensor dx, modulation dm, tensor dy, tensor x, modulation m, layout l, float e) {}
static void gateadd(device *d, tensor y, tensor x, tensor g, tensor z, layout l) {}
static void gateadd_backward(device *d, tensor dx, tensor dg, tensor dd, tensor dy, tensor g, tensor z, layout l) {}
static void qknorm(device *d, tensor y, tensor x, vec g, rope pe, float e) {}
static void qknorm_backward(device *d, tensor dx, tensor dy, tensor x, vec g, rope pe, float e) {}
static void attention(device *d, tensor y, tensor q, tensor k, tensor v, layout l, attention_opts o, tensor lse) {}
static void attention_backward(device *d, tensor dq, tensor dk, tensor dv, tensor dy, tensor y, tensor q, tensor k, tensor v,
                               layout l, attention_opts o, tensor lse) {}
static void routemap(device *d, tensor y, tensor q, tensor k, const route *r, int h) {}
static void routemap_backward(device *d, tensor dq, tensor dk, tensor dy, tensor q, tensor k, const route *r, int h) {}
static void softmax(device *d, tensor y, tensor x, layout l) {}
static void softmax_backward(device *d, tensor dx, tensor dy, tensor y, layout l) {}
static void takerows(device *d, tensor y, tensor x, const int32_t *ids) {}
static void layernorm(device *d, tensor y, tensor x, vec g, vec b, float e) {}
static void layernorm_backward(device *d, tensor dx, tensor dy, tensor x, vec g, vec b, float e) {}
static void rmsnorm(device *d, tensor y, tensor x, vec g, float e) {}
static void rmsnorm_backward(device *d, tensor dx, tensor dy, tensor x, vec g, float e) {}
static void groupstats(device *d, tensor st, tensor x, grid g, int n, float e) {}
static void groupnorm(device *d, tensor y, tensor x, grid g, int n, vec a, vec b, bool s, tensor st) {}
static void groupnorm_backward(device *d, tensor dx, tensor dy, tensor x, grid g, int n, vec a, vec b, float e, bool s,
                               tensor st) {}
static void conv2d(device *d, tensor y, tensor x, grid g, const weight *w, int s) {}
static void conv2d_backward(device *d, tensor dx, tensor dy, tensor x, grid g, const weight *w, int s) {}
static void mse(device *d, tensor y, tensor a, tensor b, const float *w) {}
static void mse_backward(device *d, tensor da, tensor dy, tensor a, tensor b, const float *w) {}

static void activate(device *d, tensor y, tensor x, act a) {}
static void instancenorm(device *d, tensor y, tensor x, grid g, float e, act a) {}
static void conv(device *d, tensor y, tensor x, grid g, const weight *w, reach r, tensor beside, act a) {}
static void depthwise(device *d, tensor y, tensor x, grid g, const weight *w, reach r) {}
static void maxpool(device *d, tensor y, tensor x, grid g, reach r) {}
static void boxmean(device *d, tensor y, tensor x, grid g, grid to) {}
static void resample(device *d, tensor y, tensor x, grid g, grid to, resampling how) {}
static void windowattention(device *d, tensor y, tensor x, grid g, swin m, vec fill, vec table) {}
static void crossattention(device *d, tensor y, tensor q, tensor k, tensor v, int n, int heads) {}

const backend backend_dry = {
    .name = "dry", .dry = true, .open = dry_open, .close = dry_close,
    .write = write, .read = read, .zero = t1, .copy = t2, .add_to = t2,
    .linear = linear, .linear_backward = linear_backward, .symmetric = t3, .embed = embed, .embed_backward = embed,
    .adaln = adaln, .adaln_backward = adaln_backward, .gateadd = gateadd, .gateadd_backward = gateadd_backward,
    .qknorm = qknorm, .qknorm_backward = qknorm_backward, .attention = attention, .attention_backward = attention_backward,
    .routemap = routemap, .routemap_backward = routemap_backward,
    .softmax = softmax, .softmax_backward = softmax_backward, .takerows = takerows, .takerows_backward = takerows,
    .gelu = t2, .gelu_backward = t3, .quickgelu = t2, .quickgelu_backward = t3, .silu = t2, .silu_backward = t3,
    .add = t3, .mul = t3, .mul_backward = t5, .scale = t2f, .scale_backward = t2f,
    .layernorm = layernorm, .layernorm_backward = layernorm_backward, .rmsnorm = rmsnorm, .rmsnorm_backward = rmsnorm_backward,
    .groupstats = groupstats, .groupnorm = groupnorm, .groupnorm_backward = groupnorm_backward,
    .conv2d = conv2d, .conv2d_backward = conv2d_backward,
    .upsample2x = t2g, .upsample2x_backward = t2g,
    .pack2x2 = t2g, .pack2x2_backward = t2g, .unpack2x2 = t2g, .unpack2x2_backward = t2g,
    .gaussian = t3, .gaussian_backward = t4, .kl = t2, .kl_backward = t3, .mse = mse, .mse_backward = mse_backward,
    .activate = activate, .rowscale = t3, .instancenorm = instancenorm, .conv = conv, .depthwise = depthwise, .maxpool = maxpool,
    .boxmean = boxmean, .resample = resample, .windowattention = windowattention, .crossattention = crossattention,
};
