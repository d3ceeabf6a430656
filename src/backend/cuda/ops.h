/* ops.h - the kernels of the CUDA backend; their meaning stands in nn/backend.h. */
#ifndef BACKEND_CUDA_OPS_H
#define BACKEND_CUDA_OPS_H
#include "nn/backend.h"

device *cuda_open(int threads);
void cuda_close(device *);
void *cuda_reserve(device *, size_t nbytes);
void cuda_release(device *, void *base);
double cuda_memory(const device *);
void cuda_forget(device *);
void cuda_settle(device *);
void cuda_write(device *, tensor y, const float *src);
void cuda_read(device *, float *dst, tensor x);
void cuda_zero(device *, tensor y);
void cuda_copy(device *, tensor y, tensor x);
void cuda_add_to(device *, tensor y, tensor x);

void cuda_linear(device *, tensor y, tensor x, const weight *w, tensor low);
void cuda_linear_backward(device *, tensor dx, tensor dy, tensor x, const weight *w, tensor low);
void cuda_newton_schulz(device *, const host_matrix *x, int n, int rounds, float a, float b, float c);
void cuda_pin(device *, void *p, size_t nbytes, bool on);
void cuda_symmetric(device *, tensor y, tensor x, tensor w);
void cuda_embed(device *, tensor y, const int32_t *ids, const weight *w);
void cuda_embed_backward(device *, tensor dy, const int32_t *ids, const weight *w);
void cuda_adaln(device *, tensor y, tensor x, modulation m, layout l, float eps);
void cuda_adaln_backward(device *, tensor dx, modulation dm, tensor dy, tensor x, modulation m, layout l, float eps);
void cuda_gateadd(device *, tensor y, tensor x, tensor gate, tensor d, layout l);
void cuda_gateadd_backward(device *, tensor dx, tensor dgate, tensor dd, tensor dy, tensor gate, tensor d, layout l);
void cuda_qknorm(device *, tensor y, tensor x, vec gain, rope pe, float eps);
void cuda_qknorm_backward(device *, tensor dx, tensor dy, tensor x, vec gain, rope pe, float eps);
void cuda_attention(device *, tensor y, tensor q, tensor k, tensor v, layout l, attention_opts o, tensor lse);
void cuda_attention_backward(device *, tensor dq, tensor dk, tensor dv, tensor dy, tensor y, tensor q, tensor k, tensor v, layout l,
                             attention_opts o, tensor lse);
void cuda_routemap(device *, tensor y, tensor q, tensor k, const route *r, int heads);
void cuda_routemap_backward(device *, tensor dq, tensor dk, tensor dy, tensor q, tensor k, const route *r, int heads);
void cuda_softmax(device *, tensor y, tensor x, layout l);
void cuda_softmax_backward(device *, tensor dx, tensor dy, tensor y, layout l);
void cuda_takerows(device *, tensor y, tensor x, const int32_t *ids);
void cuda_takerows_backward(device *, tensor dx, tensor dy, const int32_t *ids);
void cuda_gelu(device *, tensor y, tensor x);
void cuda_gelu_backward(device *, tensor dx, tensor dy, tensor x);
void cuda_quickgelu(device *, tensor y, tensor x);
void cuda_quickgelu_backward(device *, tensor dx, tensor dy, tensor x);
void cuda_silu(device *, tensor y, tensor x);
void cuda_silu_backward(device *, tensor dx, tensor dy, tensor x);
void cuda_add(device *, tensor y, tensor a, tensor b);
void cuda_mul(device *, tensor y, tensor a, tensor b);
void cuda_mul_backward(device *, tensor da, tensor db, tensor dy, tensor a, tensor b);
void cuda_scale(device *, tensor y, tensor x, float s);
void cuda_scale_backward(device *, tensor dx, tensor dy, float s);
void cuda_layernorm(device *, tensor y, tensor x, vec gain, vec bias, float eps);
void cuda_layernorm_backward(device *, tensor dx, tensor dy, tensor x, vec gain, vec bias, float eps);
void cuda_rmsnorm(device *, tensor y, tensor x, vec gain, float eps);
void cuda_rmsnorm_backward(device *, tensor dx, tensor dy, tensor x, vec gain, float eps);
void cuda_groupstats(device *, tensor stats, tensor x, grid g, int groups, float eps);
void cuda_groupnorm(device *, tensor y, tensor x, grid g, int groups, vec gain, vec bias, bool silu, tensor stats);
void cuda_groupnorm_backward(device *, tensor dx, tensor dy, tensor x, grid g, int groups, vec gain, vec bias, float eps, bool silu, tensor stats);
void cuda_conv2d(device *, tensor y, tensor x, grid g, const weight *w, int stride);
void cuda_conv2d_backward(device *, tensor dx, tensor dy, tensor x, grid g, const weight *w, int stride);
void cuda_upsample2x(device *, tensor y, tensor x, grid g);
void cuda_upsample2x_backward(device *, tensor dx, tensor dy, grid g);
void cuda_pack2x2(device *, tensor y, tensor x, grid g);
void cuda_unpack2x2(device *, tensor y, tensor x, grid g);
void cuda_pack2x2_backward(device *, tensor dx, tensor dy, grid g);
void cuda_unpack2x2_backward(device *, tensor dx, tensor dy, grid g);
void cuda_gaussian(device *, tensor y, tensor x, tensor eps);
void cuda_gaussian_backward(device *, tensor dx, tensor dy, tensor x, tensor eps);
void cuda_kl(device *, tensor y, tensor x);
void cuda_kl_backward(device *, tensor dx, tensor dy, tensor x);
void cuda_mse(device *, tensor y, tensor a, tensor b, const float *row_weight);
void cuda_mse_backward(device *, tensor da, tensor dy, tensor a, tensor b, const float *row_weight);
#endif
