/* dry.c - the backend that computes nothing: the op context counts bytes, flops and ops around it. */
#include "base/mem.h"
#include "nn/backend.h"

static device *dry_open(int threads)
{
    device *dev = mem_calloc(1, sizeof *dev);
    (void)threads;
    if (dev) dev->be = &backend_dry;
    return dev;
}

static void dry_close(device *dev) { mem_free(dev); }

static void read(device *d, float *dst, tensor x)
{
    (void)d;
    for (int64_t i = 0; i < (int64_t)x.rows * x.cols; i++) dst[i] = 0;
}

static void write(device *d, tensor y, const float *s) { (void)d, (void)y, (void)s; }
static void t1(device *d, tensor a) { (void)d, (void)a; }
static void t2(device *d, tensor a, tensor b) { (void)d, (void)a, (void)b; }
static void t3(device *d, tensor a, tensor b, tensor c) { (void)d, (void)a, (void)b, (void)c; }
static void t4(device *d, tensor a, tensor b, tensor c, tensor e) { (void)d, (void)a, (void)b, (void)c, (void)e; }
static void t5(device *d, tensor a, tensor b, tensor c, tensor e, tensor f) { (void)d, (void)a, (void)b, (void)c, (void)e, (void)f; }
static void t2f(device *d, tensor a, tensor b, float f) { (void)d, (void)a, (void)b, (void)f; }
static void t2g(device *d, tensor a, tensor b, grid g) { (void)d, (void)a, (void)b, (void)g; }
static void linear(device *d, tensor y, tensor x, const weight *w, tensor low) { (void)d, (void)y, (void)x, (void)w, (void)low; }
static void linear_backward(device *d, tensor dx, tensor dy, tensor x, const weight *w, tensor low) { (void)d, (void)dx, (void)dy, (void)x, (void)w, (void)low; }
static void embed(device *d, tensor y, const int32_t *ids, const weight *w) { (void)d, (void)y, (void)ids, (void)w; }
static void adaln(device *d, tensor y, tensor x, modulation m, layout l, float e) { (void)d, (void)y, (void)x, (void)m, (void)l, (void)e; }
static void adaln_backward(device *d, tensor dx, modulation dm, tensor dy, tensor x, modulation m, layout l, float e) { (void)d, (void)dx, (void)dm, (void)dy, (void)x, (void)m, (void)l, (void)e; }
static void gateadd(device *d, tensor y, tensor x, tensor g, tensor z, layout l) { (void)d, (void)y, (void)x, (void)g, (void)z, (void)l; }
static void gateadd_backward(device *d, tensor dx, tensor dg, tensor dd, tensor dy, tensor g, tensor z, layout l) { (void)d, (void)dx, (void)dg, (void)dd, (void)dy, (void)g, (void)z, (void)l; }
static void qknorm(device *d, tensor y, tensor x, vec g, rope pe, float e) { (void)d, (void)y, (void)x, (void)g, (void)pe, (void)e; }
static void qknorm_backward(device *d, tensor dx, tensor dy, tensor x, vec g, rope pe, float e) { (void)d, (void)dx, (void)dy, (void)x, (void)g, (void)pe, (void)e; }
static void attention(device *d, tensor y, tensor q, tensor k, tensor v, layout l, attention_opts o, tensor lse) { (void)d, (void)y, (void)q, (void)k, (void)v, (void)l, (void)o, (void)lse; }
static void attention_backward(device *d, tensor dq, tensor dk, tensor dv, tensor dy, tensor y, tensor q, tensor k, tensor v, layout l, attention_opts o, tensor lse)
{
    (void)d, (void)dq, (void)dk, (void)dv, (void)dy, (void)y, (void)q, (void)k, (void)v, (void)l, (void)o, (void)lse;
}
static void routemap(device *d, tensor y, tensor q, tensor k, const route *r, int h) { (void)d, (void)y, (void)q, (void)k, (void)r, (void)h; }
static void routemap_backward(device *d, tensor dq, tensor dk, tensor dy, tensor q, tensor k, const route *r, int h) { (void)d, (void)dq, (void)dk, (void)dy, (void)q, (void)k, (void)r, (void)h; }
static void layernorm(device *d, tensor y, tensor x, vec g, vec b, float e) { (void)d, (void)y, (void)x, (void)g, (void)b, (void)e; }
static void layernorm_backward(device *d, tensor dx, tensor dy, tensor x, vec g, vec b, float e) { (void)d, (void)dx, (void)dy, (void)x, (void)g, (void)b, (void)e; }
static void rmsnorm(device *d, tensor y, tensor x, vec g, float e) { (void)d, (void)y, (void)x, (void)g, (void)e; }
static void rmsnorm_backward(device *d, tensor dx, tensor dy, tensor x, vec g, float e) { (void)d, (void)dx, (void)dy, (void)x, (void)g, (void)e; }
static void groupnorm(device *d, tensor y, tensor x, grid g, int n, vec a, vec b, float e, bool s, tensor st) { (void)d, (void)y, (void)x, (void)g, (void)n, (void)a, (void)b, (void)e, (void)s, (void)st; }
static void groupnorm_backward(device *d, tensor dx, tensor dy, tensor x, grid g, int n, vec a, vec b, float e, bool s, tensor st)
{
    (void)d, (void)dx, (void)dy, (void)x, (void)g, (void)n, (void)a, (void)b, (void)e, (void)s, (void)st;
}
static void conv2d(device *d, tensor y, tensor x, grid g, const weight *w, int s) { (void)d, (void)y, (void)x, (void)g, (void)w, (void)s; }
static void conv2d_backward(device *d, tensor dx, tensor dy, tensor x, grid g, const weight *w, int s) { (void)d, (void)dx, (void)dy, (void)x, (void)g, (void)w, (void)s; }
static void mse(device *d, tensor y, tensor a, tensor b, const float *w) { (void)d, (void)y, (void)a, (void)b, (void)w; }
static void mse_backward(device *d, tensor da, tensor dy, tensor a, tensor b, const float *w) { (void)d, (void)da, (void)dy, (void)a, (void)b, (void)w; }

const backend backend_dry = {
    .name = "dry", .dry = true, .open = dry_open, .close = dry_close,
    .write = write, .read = read, .zero = t1, .copy = t2, .add_to = t2,
    .linear = linear, .linear_backward = linear_backward, .embed = embed, .embed_backward = embed,
    .adaln = adaln, .adaln_backward = adaln_backward, .gateadd = gateadd, .gateadd_backward = gateadd_backward,
    .qknorm = qknorm, .qknorm_backward = qknorm_backward, .attention = attention, .attention_backward = attention_backward,
    .routemap = routemap, .routemap_backward = routemap_backward,
    .gelu = t2, .gelu_backward = t3, .quickgelu = t2, .quickgelu_backward = t3, .silu = t2, .silu_backward = t3,
    .add = t3, .mul = t3, .mul_backward = t5, .scale = t2f, .scale_backward = t2f,
    .layernorm = layernorm, .layernorm_backward = layernorm_backward, .rmsnorm = rmsnorm, .rmsnorm_backward = rmsnorm_backward,
    .groupnorm = groupnorm, .groupnorm_backward = groupnorm_backward, .conv2d = conv2d, .conv2d_backward = conv2d_backward,
    .upsample2x = t2g, .upsample2x_backward = t2g, .pack2x2 = t2g, .pack2x2_backward = t2g, .unpack2x2 = t2g, .unpack2x2_backward = t2g,
    .gaussian = t3, .gaussian_backward = t4, .kl = t2, .kl_backward = t3, .mse = mse, .mse_backward = mse_backward,
};
