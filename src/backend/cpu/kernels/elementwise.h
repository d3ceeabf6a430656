/* elementwise.h - ops that treat every number alike. */
#ifndef CPU_KERNELS_ELEMENTWISE_H
#define CPU_KERNELS_ELEMENTWISE_H
#include "backend/cpu/kernels/rows.h"

/* t[0] = f(t[1], t[2], s), or += with `add`; an absent operand reads t[1]. */
typedef vf (*map_fn)(vf a, vf b, vf s);

INLINE void map_rows(const rows_job *j, int row0, int row1, map_fn f, bool add)
{
    vf s = v_set(j->s);
    int n = j->t[0].cols;
    for (int r = row0; r < row1; r++) {
        float *y = row(j->t[0], r);
        const float *a = row(j->t[1], r), *b = j->t[2].p ? row(j->t[2], r) : a;
        for (int c = 0; c < n; c += VL) {
            vf v = f(v_loadn(a + c, n - c), v_loadn(b + c, n - c), s);
            if (add) v += v_loadn(y + c, n - c);
            v_storen(y + c, v, n - c);
        }
    }
}

#define MAP(name, add, expression)                                                                      \
    INLINE vf name##_value(vf a, vf b, vf s)                                                            \
    {                                                                                                   \
        (void)a, (void)b, (void)s;                                                                      \
        return expression;                                                                              \
    }                                                                                                   \
    static void name##_rows(const rows_job *j, int row0, int row1) { map_rows(j, row0, row1, name##_value, add); }

static void map_run(device *dev, void (*fn)(const rows_job *, int, int), tensor y, tensor a, tensor b, float s)
{
    if (y.p) rows_run(dev, (rows_job){.fn = fn, .t = {y, a, b}, .s = s}, y.rows, y.cols);
}

#define NO_TENSOR ((tensor){0})

/* gelu(u) = u sigmoid(2k(u + 0.044715 u^3)), k = sqrt(2/pi): the tanh form, since (1 + tanh z)/2 = sigmoid(2z). */
#define GELU_2K 1.5957691216057308f
INLINE vf gelu_gate(vf u) { return v_sigmoid(v_set(GELU_2K) * v_fma(v_set(0.044715f) * u * u, u, u)); }
INLINE vf gelu_slope(vf u)
{
    vf g = gelu_gate(u), inner = v_set(GELU_2K) * v_fma(v_set(3 * 0.044715f) * u, u, v_set(1.0f));
    return v_fma(u * inner, g * (v_set(1.0f) - g), g);
}
/* u sigmoid(s u): silu with s = 1, quickgelu with s = 1.702 */
INLINE vf swish(vf u, vf s) { return u * v_sigmoid(s * u); }
INLINE vf swish_slope(vf u, vf s)
{
    vf g = v_sigmoid(s * u);
    return v_fma(s * u, g * (v_set(1.0f) - g), g);
}

/* erfc(|z|) = t (a1 + t (a2 + ...)) e^-z^2, t = 1/(1 + p |z|), within 1.5e-7 (Abramowitz and Stegun 7.1.26); z = u / sqrt 2. */
INLINE vf gelu_erf(vf u)
{
    vf z = v_max(u, v_zero() - u) * v_set(0.70710678f), t = v_set(1.0f) / v_fma(v_set(0.3275911f), z, v_set(1.0f)), p = v_set(1.061405429f);
    p = v_fma(p, t, v_set(-1.453152027f));
    p = v_fma(p, t, v_set(1.421413741f));
    p = v_fma(p, t, v_set(-0.284496736f));
    p = v_fma(p, t, v_set(0.254829592f));
    vf tail = v_set(0.5f) * p * t * v_exp(v_zero() - z * z) * u; /* u > 0: what u lacks; u < 0: all that is left */
    return v_max(v_zero(), u) + v_min(v_zero(), tail) - v_max(v_zero(), tail);
}

/* Of the two, the one that is not a number stays: v_max and v_min answer their second operand then. */
INLINE vf act_value(vf x, act a)
{
    switch (a) {
    case ACT_RELU: return v_max(v_zero(), x);
    case ACT_LEAKY: return v_fma(v_set(0.1f), v_min(v_zero(), x), v_max(v_zero(), x));
    case ACT_SIGMOID: return v_sigmoid(x);
    case ACT_GELU_ERF: return gelu_erf(x);
    default: return x;
    }
}

MAP(copy, false, a)
MAP(add_to, true, a)
MAP(sum, false, a + b)
MAP(product, false, a *b)
MAP(product_add, true, a *b)
MAP(scaled, false, a *s)
MAP(scaled_add, true, a *s)
MAP(gelu, false, a *gelu_gate(a))
MAP(gelu_back, true, a *gelu_slope(b))
MAP(swish, false, swish(a, s))
MAP(swish_back, true, a *swish_slope(b, s))

static void zero_rows(const rows_job *j, int row0, int row1)
{
    for (int r = row0; r < row1; r++) memset(row(j->t[0], r), 0, sizeof(float) * (size_t)j->t[0].cols);
}

static void k_zero(device *dev, tensor y) { rows_run(dev, (rows_job){.fn = zero_rows, .t = {y}}, y.rows, y.cols); }
static void k_write(device *dev, tensor y, const float *src)
{
    (void)dev;
    for (int r = 0; r < y.rows; r++) memcpy(row(y, r), src + (size_t)r * (size_t)y.cols, sizeof(float) * (size_t)y.cols);
}
static void k_read(device *dev, float *dst, tensor x)
{
    (void)dev;
    for (int r = 0; r < x.rows; r++) memcpy(dst + (size_t)r * (size_t)x.cols, row(x, r), sizeof(float) * (size_t)x.cols);
}
static void k_copy(device *dev, tensor y, tensor x) { map_run(dev, copy_rows, y, x, NO_TENSOR, 0); }
static void k_add_to(device *dev, tensor y, tensor x) { map_run(dev, add_to_rows, y, x, NO_TENSOR, 0); }
static void k_add(device *dev, tensor y, tensor a, tensor b) { map_run(dev, sum_rows, y, a, b, 0); }
static void k_mul(device *dev, tensor y, tensor a, tensor b) { map_run(dev, product_rows, y, a, b, 0); }
static void k_mul_backward(device *dev, tensor da, tensor db, tensor dy, tensor a, tensor b)
{
    map_run(dev, product_add_rows, da, dy, b, 0);
    map_run(dev, product_add_rows, db, dy, a, 0);
}
static void k_scale(device *dev, tensor y, tensor x, float s) { map_run(dev, scaled_rows, y, x, NO_TENSOR, s); }
static void k_scale_backward(device *dev, tensor dx, tensor dy, float s) { map_run(dev, scaled_add_rows, dx, dy, NO_TENSOR, s); }
static void k_gelu(device *dev, tensor y, tensor x) { map_run(dev, gelu_rows, y, x, NO_TENSOR, 0); }
static void k_gelu_backward(device *dev, tensor dx, tensor dy, tensor x) { map_run(dev, gelu_back_rows, dx, dy, x, 0); }
static void k_quickgelu(device *dev, tensor y, tensor x) { map_run(dev, swish_rows, y, x, NO_TENSOR, 1.702f); }
static void k_quickgelu_backward(device *dev, tensor dx, tensor dy, tensor x) { map_run(dev, swish_back_rows, dx, dy, x, 1.702f); }
static void k_silu(device *dev, tensor y, tensor x) { map_run(dev, swish_rows, y, x, NO_TENSOR, 1.0f); }
static void k_silu_backward(device *dev, tensor dx, tensor dy, tensor x) { map_run(dev, swish_back_rows, dx, dy, x, 1.0f); }
#endif
