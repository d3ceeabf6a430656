/* ref.h - the executable specification: plain loops, sums in double.  Slow on purpose; every other backend is tested
 * against it.  The kernels' meaning stands in nn/backend.h. */
#ifndef REF_REF_H
#define REF_REF_H
#include "nn/backend.h"

static inline float *at(tensor x, int row, int col) { return x.p + (size_t)row * (size_t)x.ld + col; }

/* Element (row, k) of a weight over all its parts, times the row's scale, without adapters; k counts in * kh * kw. */
double ref_weight(const weight *w, int row, int k);
double ref_bias(const weight *w, int row);
/* Where the gradient of that element goes; NULL when frozen. */
float *ref_weight_grad(const weight *w, int row, int k);
float *ref_bias_grad(const weight *w, int row);

void ref_linear(device *, tensor y, tensor x, const weight *w, tensor low);
void ref_linear_backward(device *, tensor dx, tensor dy, tensor x, const weight *w, tensor low);
void ref_symmetric(device *, tensor y, tensor x, tensor w);
void ref_embed(device *, tensor y, const int32_t *ids, const weight *w);
void ref_embed_backward(device *, tensor dy, const int32_t *ids, const weight *w);
void ref_attention(device *, tensor y, tensor q, tensor k, tensor v, layout l, attention_opts o, tensor lse);
void ref_attention_backward(device *, tensor dq, tensor dk, tensor dv, tensor dy, tensor y, tensor q, tensor k, tensor v,
                            layout l, attention_opts o, tensor lse);
void ref_routemap(device *, tensor y, tensor q, tensor k, const route *r, int heads);
void ref_routemap_backward(device *, tensor dq, tensor dk, tensor dy, tensor q, tensor k, const route *r, int heads);
void ref_adaln(device *, tensor y, tensor x, modulation m, layout l, float eps);
void ref_adaln_backward(device *, tensor dx, modulation dm, tensor dy, tensor x, modulation m, layout l, float eps);
void ref_gateadd(device *, tensor y, tensor x, tensor gate, tensor d, layout l);
void ref_gateadd_backward(device *, tensor dx, tensor dgate, tensor dd, tensor dy, tensor gate, tensor d, layout l);
void ref_qknorm(device *, tensor y, tensor x, vec gain, rope pe, float eps);
void ref_qknorm_backward(device *, tensor dx, tensor dy, tensor x, vec gain, rope pe, float eps);
void ref_layernorm(device *, tensor y, tensor x, vec gain, vec bias, float eps);
void ref_layernorm_backward(device *, tensor dx, tensor dy, tensor x, vec gain, vec bias, float eps);
void ref_rmsnorm(device *, tensor y, tensor x, vec gain, float eps);
void ref_rmsnorm_backward(device *, tensor dx, tensor dy, tensor x, vec gain, float eps);
void ref_groupstats(device *, tensor stats, tensor x, grid g, int groups, float eps);
void ref_groupnorm(device *, tensor y, tensor x, grid g, int groups, vec gain, vec bias, bool silu, tensor stats);
void ref_groupnorm_backward(device *, tensor dx, tensor dy, tensor x, grid g, int groups, vec gain, vec bias, float eps,
                            bool silu, tensor stats);
void ref_conv2d(device *, tensor y, tensor x, grid g, const weight *w, int stride);
void ref_conv2d_backward(device *, tensor dx, tensor dy, tensor x, grid g, const weight *w, int stride);
void ref_upsample2x(device *, tensor y, tensor x, grid g);
void ref_upsample2x_backward(device *, tensor dx, tensor dy, grid g);
void ref_pack2x2(device *, tensor y, tensor x, grid g);
void ref_pack2x2_backward(device *, tensor dx, tensor dy, grid g);
void ref_unpack2x2(device *, tensor y, tensor x, grid g);
void ref_unpack2x2_backward(device *, tensor dx, tensor dy, grid g);
void ref_gaussian(device *, tensor y, tensor x, tensor eps);
void ref_gaussian_backward(device *, tensor dx, tensor dy, tensor x, tensor eps);
void ref_kl(device *, tensor y, tensor x);
void ref_kl_backward(device *, tensor dx, tensor dy, tensor x);
void ref_softmax(device *dev, tensor y, tensor x, layout l);
void ref_softmax_backward(device *dev, tensor dx, tensor dy, tensor y, layout l);
void ref_takerows(device *dev, tensor y, tensor x, const int32_t *ids);
void ref_takerows_backward(device *dev, tensor dx, tensor dy, const int32_t *ids);
void ref_mse(device *, tensor y, tensor a, tensor b, const float *row_weight);
void ref_mse_backward(device *, tensor da, tensor dy, tensor a, tensor b, const float *row_weight);
void ref_activate(device *, tensor y, tensor x, act a);
void ref_rowscale(device *, tensor y, tensor x, tensor s);
void ref_instancenorm(device *, tensor y, tensor x, grid g, float eps, act a);
void ref_conv(device *, tensor y, tensor x, grid g, const weight *w, reach r, tensor beside, act a);
void ref_depthwise(device *, tensor y, tensor x, grid g, const weight *w, reach r);
void ref_maxpool(device *, tensor y, tensor x, grid g, reach r);
void ref_boxmean(device *, tensor y, tensor x, grid g, grid to);
void ref_resample(device *, tensor y, tensor x, grid g, grid to, resampling how);
void ref_windowattention(device *, tensor y, tensor qkv, grid g, swin m, vec fill, vec table);
void ref_crossattention(device *, tensor y, tensor q, tensor k, tensor v, int samples, int heads);
#endif
