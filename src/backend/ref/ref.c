/* ref.c - the table, memory access, and the element-wise kernels. */
#include "backend/ref/ref.h"
#include <math.h>
#include <string.h>
#include "base/mem.h"

static device *ref_open(int threads)
{
    device *dev = mem_calloc(1, sizeof *dev);
    (void)threads; /* one is enough to be right */
    if (dev) dev->be = &backend_ref;
    return dev;
}

static void ref_close(device *dev) { mem_free(dev); }

/* ---- memory ---- */

#define EACH(x, t, c) for (int t = 0; t < (x).rows; t++) for (int c = 0; c < (x).cols; c++)

static void ref_write(device *dev, tensor y, const float *src) { (void)dev; EACH(y, t, c) *at(y, t, c) = *src++; }
static void ref_read(device *dev, float *dst, tensor x) { (void)dev; EACH(x, t, c) *dst++ = *at(x, t, c); }
static void ref_zero(device *dev, tensor y) { (void)dev; EACH(y, t, c) *at(y, t, c) = 0; }
static void ref_copy(device *dev, tensor y, tensor x) { (void)dev; EACH(y, t, c) *at(y, t, c) = *at(x, t, c); }
static void ref_add_to(device *dev, tensor y, tensor x) { (void)dev; EACH(y, t, c) *at(y, t, c) += *at(x, t, c); }

/* ---- activations: f and f' at u ---- */

static double sigmoid(double u) { return 1 / (1 + exp(-u)); }
static double silu(double u) { return u * sigmoid(u); }
static double silu_slope(double u) { return sigmoid(u) * (1 + u * (1 - sigmoid(u))); }
static double quickgelu(double u) { return u * sigmoid(1.702 * u); }
static double quickgelu_slope(double u) { return sigmoid(1.702 * u) * (1 + 1.702 * u * (1 - sigmoid(1.702 * u))); }

#define GELU_K 0.79788456080286535588 /* sqrt(2 / pi) */

static double gelu(double u) { return 0.5 * u * (1 + tanh(GELU_K * (u + 0.044715 * u * u * u))); }

static double gelu_slope(double u)
{
    double t = tanh(GELU_K * (u + 0.044715 * u * u * u));
    return 0.5 * (1 + t) + 0.5 * u * (1 - t * t) * GELU_K * (1 + 3 * 0.044715 * u * u);
}

#define ACTIVATION(f)                                                                                          \
    static void ref_##f(device *dev, tensor y, tensor x) { (void)dev; EACH(y, t, c) *at(y, t, c) = (float)f(*at(x, t, c)); } \
    static void ref_##f##_backward(device *dev, tensor dx, tensor dy, tensor x)                                \
    {                                                                                                          \
        (void)dev;                                                                                             \
        EACH(dy, t, c) *at(dx, t, c) += (float)(*at(dy, t, c) * f##_slope(*at(x, t, c)));                      \
    }
ACTIVATION(gelu)
ACTIVATION(quickgelu)
ACTIVATION(silu)

static void ref_add(device *dev, tensor y, tensor a, tensor b)
{
    (void)dev;
    EACH(y, t, c) *at(y, t, c) = *at(a, t, c) + *at(b, t, c);
}

static void ref_mul(device *dev, tensor y, tensor a, tensor b)
{
    (void)dev;
    EACH(y, t, c) *at(y, t, c) = *at(a, t, c) * *at(b, t, c);
}

static void ref_scale(device *dev, tensor y, tensor x, float s)
{
    (void)dev;
    EACH(y, t, c) *at(y, t, c) = s * *at(x, t, c);
}

static void ref_scale_backward(device *dev, tensor dx, tensor dy, float s)
{
    (void)dev;
    EACH(dy, t, c) *at(dx, t, c) += s * *at(dy, t, c);
}

static void ref_mul_backward(device *dev, tensor da, tensor db, tensor dy, tensor a, tensor b)
{
    (void)dev;
    EACH(dy, t, c) {
        if (da.p) *at(da, t, c) += *at(dy, t, c) * *at(b, t, c);
        if (db.p) *at(db, t, c) += *at(dy, t, c) * *at(a, t, c);
    }
}

const backend backend_ref = {
    .name = "ref", .open = ref_open, .close = ref_close,
    .write = ref_write, .read = ref_read, .zero = ref_zero, .copy = ref_copy, .add_to = ref_add_to,
    .linear = ref_linear, .linear_backward = ref_linear_backward, .symmetric = ref_symmetric,
    .embed = ref_embed, .embed_backward = ref_embed_backward,
    .adaln = ref_adaln, .adaln_backward = ref_adaln_backward,
    .gateadd = ref_gateadd, .gateadd_backward = ref_gateadd_backward,
    .qknorm = ref_qknorm, .qknorm_backward = ref_qknorm_backward,
    .attention = ref_attention, .attention_backward = ref_attention_backward,
    .routemap = ref_routemap, .routemap_backward = ref_routemap_backward,
    .softmax = ref_softmax, .softmax_backward = ref_softmax_backward,
    .takerows = ref_takerows, .takerows_backward = ref_takerows_backward,
    .gelu = ref_gelu, .gelu_backward = ref_gelu_backward,
    .quickgelu = ref_quickgelu, .quickgelu_backward = ref_quickgelu_backward,
    .silu = ref_silu, .silu_backward = ref_silu_backward,
    .add = ref_add, .mul = ref_mul, .mul_backward = ref_mul_backward,
    .scale = ref_scale, .scale_backward = ref_scale_backward,
    .layernorm = ref_layernorm, .layernorm_backward = ref_layernorm_backward,
    .rmsnorm = ref_rmsnorm, .rmsnorm_backward = ref_rmsnorm_backward,
    .groupstats = ref_groupstats, .groupnorm = ref_groupnorm, .groupnorm_backward = ref_groupnorm_backward,
    .conv2d = ref_conv2d, .conv2d_backward = ref_conv2d_backward,
    .upsample2x = ref_upsample2x, .upsample2x_backward = ref_upsample2x_backward,
    .pack2x2 = ref_pack2x2, .pack2x2_backward = ref_pack2x2_backward,
    .unpack2x2 = ref_unpack2x2, .unpack2x2_backward = ref_unpack2x2_backward,
    .gaussian = ref_gaussian, .gaussian_backward = ref_gaussian_backward,
    .kl = ref_kl, .kl_backward = ref_kl_backward,
    .mse = ref_mse, .mse_backward = ref_mse_backward,
    .activate = ref_activate, .rowscale = ref_rowscale, .instancenorm = ref_instancenorm, .conv = ref_conv, .depthwise = ref_depthwise,
    .maxpool = ref_maxpool, .boxmean = ref_boxmean, .resample = ref_resample, .windowattention = ref_windowattention,
    .crossattention = ref_crossattention,
};
