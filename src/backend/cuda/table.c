/* table.c - the CUDA backend's table.  It trains: what networks that look at pictures need beside is not there. */
#include <stdio.h>
#include "backend/cuda/ops.h"

static void absent(device *dev, const char *what)
{
    if (dev->failed) return;
    dev->failed = true;
    dev->status = DREAMO_DEVICE;
    snprintf(dev->why, sizeof dev->why, "the cuda backend is for training and has no %s", what);
}

static void no_activate(device *dev, tensor y, tensor x, act a) { (void)y, (void)x, (void)a, absent(dev, "activate"); }
static void no_rowscale(device *dev, tensor y, tensor x, tensor s) { (void)y, (void)x, (void)s, absent(dev, "rowscale"); }
static void no_instancenorm(device *dev, tensor y, tensor x, grid g, float eps, act a) { (void)y, (void)x, (void)g, (void)eps, (void)a, absent(dev, "instancenorm"); }
static void no_conv(device *dev, tensor y, tensor x, grid g, const weight *w, reach r, tensor beside, act a)
{
    (void)y, (void)x, (void)g, (void)w, (void)r, (void)beside, (void)a, absent(dev, "conv");
}
static void no_depthwise(device *dev, tensor y, tensor x, grid g, const weight *w, reach r) { (void)y, (void)x, (void)g, (void)w, (void)r, absent(dev, "depthwise"); }
static void no_maxpool(device *dev, tensor y, tensor x, grid g, reach r) { (void)y, (void)x, (void)g, (void)r, absent(dev, "maxpool"); }
static void no_boxmean(device *dev, tensor y, tensor x, grid g, grid to) { (void)y, (void)x, (void)g, (void)to, absent(dev, "boxmean"); }
static void no_resample(device *dev, tensor y, tensor x, grid g, grid to, resampling how) { (void)y, (void)x, (void)g, (void)to, (void)how, absent(dev, "resample"); }
static void no_windowattention(device *dev, tensor y, tensor qkv, grid g, swin m, vec fill, vec table)
{
    (void)y, (void)qkv, (void)g, (void)m, (void)fill, (void)table, absent(dev, "windowattention");
}
static void no_crossattention(device *dev, tensor y, tensor q, tensor k, tensor v, int samples, int heads)
{
    (void)y, (void)q, (void)k, (void)v, (void)samples, (void)heads, absent(dev, "crossattention");
}

const backend backend_cuda = {
    .name = "cuda", .open = cuda_open, .close = cuda_close,
    .reserve = cuda_reserve, .release = cuda_release, .memory = cuda_memory, .forget = cuda_forget, .settle = cuda_settle, .newton_schulz = cuda_newton_schulz, .pin = cuda_pin,
    .write = cuda_write, .read = cuda_read, .zero = cuda_zero, .copy = cuda_copy, .add_to = cuda_add_to,
    .linear = cuda_linear, .linear_backward = cuda_linear_backward, .symmetric = cuda_symmetric,
    .embed = cuda_embed, .embed_backward = cuda_embed_backward,
    .adaln = cuda_adaln, .adaln_backward = cuda_adaln_backward,
    .gateadd = cuda_gateadd, .gateadd_backward = cuda_gateadd_backward,
    .qknorm = cuda_qknorm, .qknorm_backward = cuda_qknorm_backward,
    .attention = cuda_attention, .attention_backward = cuda_attention_backward,
    .routemap = cuda_routemap, .routemap_backward = cuda_routemap_backward,
    .softmax = cuda_softmax, .softmax_backward = cuda_softmax_backward,
    .takerows = cuda_takerows, .takerows_backward = cuda_takerows_backward,
    .gelu = cuda_gelu, .gelu_backward = cuda_gelu_backward,
    .quickgelu = cuda_quickgelu, .quickgelu_backward = cuda_quickgelu_backward,
    .silu = cuda_silu, .silu_backward = cuda_silu_backward,
    .add = cuda_add, .mul = cuda_mul, .mul_backward = cuda_mul_backward,
    .scale = cuda_scale, .scale_backward = cuda_scale_backward,
    .layernorm = cuda_layernorm, .layernorm_backward = cuda_layernorm_backward,
    .rmsnorm = cuda_rmsnorm, .rmsnorm_backward = cuda_rmsnorm_backward,
    .groupstats = cuda_groupstats, .groupnorm = cuda_groupnorm, .groupnorm_backward = cuda_groupnorm_backward,
    .conv2d = cuda_conv2d, .conv2d_backward = cuda_conv2d_backward,
    .upsample2x = cuda_upsample2x, .upsample2x_backward = cuda_upsample2x_backward,
    .pack2x2 = cuda_pack2x2, .pack2x2_backward = cuda_pack2x2_backward,
    .unpack2x2 = cuda_unpack2x2, .unpack2x2_backward = cuda_unpack2x2_backward,
    .gaussian = cuda_gaussian, .gaussian_backward = cuda_gaussian_backward,
    .kl = cuda_kl, .kl_backward = cuda_kl_backward,
    .mse = cuda_mse, .mse_backward = cuda_mse_backward,
    .activate = no_activate, .rowscale = no_rowscale, .instancenorm = no_instancenorm, .conv = no_conv, .depthwise = no_depthwise,
    .maxpool = no_maxpool, .boxmean = no_boxmean, .resample = no_resample, .windowattention = no_windowattention,
    .crossattention = no_crossattention,
};
