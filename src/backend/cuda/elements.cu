/* elements.cu - element by element, and losses. */
#include <math.h>
#include "backend/cuda/parallel.h"

/* ---- activations: f and f' at u ---- */

static ON_DEVICE inline float sigmoid(float u) { return 1 / (1 + expf(-u)); }
static ON_DEVICE inline float silu(float u) { return u * sigmoid(u); }
static ON_DEVICE inline float silu_slope(float u) { return sigmoid(u) * (1 + u * (1 - sigmoid(u))); }
static ON_DEVICE inline float quickgelu(float u) { return u * sigmoid(1.702f * u); }
static ON_DEVICE inline float quickgelu_slope(float u) { return sigmoid(1.702f * u) * (1 + 1.702f * u * (1 - sigmoid(1.702f * u))); }

#define GELU_K 0.79788456080286535588f /* sqrt(2 / pi) */

static ON_DEVICE inline float gelu(float u) { return 0.5f * u * (1 + tanhf(GELU_K * (u + 0.044715f * u * u * u))); }

static ON_DEVICE inline float gelu_slope(float u)
{
    float t = tanhf(GELU_K * (u + 0.044715f * u * u * u));
    return 0.5f * (1 + t) + 0.5f * u * (1 - t * t) * GELU_K * (1 + 3 * 0.044715f * u * u);
}

#define ACTIVATION(f)                                                                                                          \
    extern "C" void cuda_##f(device *dev, tensor y, tensor x)                                                                  \
    {                                                                                                                          \
        each_of(dev, y.rows, y.cols, [=] ON_DEVICE(int r, int c) { *at(y, r, c) = f(*at(x, r, c)); });                         \
    }                                                                                                                          \
    extern "C" void cuda_##f##_backward(device *dev, tensor dx, tensor dy, tensor x)                                           \
    {                                                                                                                          \
        each_of(dev, dy.rows, dy.cols, [=] ON_DEVICE(int r, int c) { *at(dx, r, c) += *at(dy, r, c) * f##_slope(*at(x, r, c)); }); \
    }
ACTIVATION(gelu)
ACTIVATION(quickgelu)
ACTIVATION(silu)

extern "C" void cuda_add_to(device *dev, tensor y, tensor x)
{
    each_of(dev, y.rows, y.cols, [=] ON_DEVICE(int r, int c) { *at(y, r, c) += *at(x, r, c); });
}

extern "C" void cuda_add(device *dev, tensor y, tensor a, tensor b)
{
    each_of(dev, y.rows, y.cols, [=] ON_DEVICE(int r, int c) { *at(y, r, c) = *at(a, r, c) + *at(b, r, c); });
}

extern "C" void cuda_mul(device *dev, tensor y, tensor a, tensor b)
{
    each_of(dev, y.rows, y.cols, [=] ON_DEVICE(int r, int c) { *at(y, r, c) = *at(a, r, c) * *at(b, r, c); });
}

extern "C" void cuda_mul_backward(device *dev, tensor da, tensor db, tensor dy, tensor a, tensor b)
{
    each_of(dev, dy.rows, dy.cols, [=] ON_DEVICE(int r, int c) {
        if (da.p) *at(da, r, c) += *at(dy, r, c) * *at(b, r, c);
        if (db.p) *at(db, r, c) += *at(dy, r, c) * *at(a, r, c);
    });
}

extern "C" void cuda_scale(device *dev, tensor y, tensor x, float s)
{
    each_of(dev, y.rows, y.cols, [=] ON_DEVICE(int r, int c) { *at(y, r, c) = s * *at(x, r, c); });
}

extern "C" void cuda_scale_backward(device *dev, tensor dx, tensor dy, float s)
{
    each_of(dev, dy.rows, dy.cols, [=] ON_DEVICE(int r, int c) { *at(dx, r, c) += s * *at(dy, r, c); });
}

/* ---- losses ---- */

/* y [1, 1] = factor times the sum of f(row, column). */
template <class F> static void total(device *dev, tensor y, int rows, int cols, float factor, F f)
{
    float *column = cuda_scratch(dev, SCRATCH_ROWS, (size_t)cols);
    if (!column) return;
    column_sums(dev, cuda_in_runs(dev, 1, rows), cols, f, [=] ON_DEVICE(int, int c, float sum) { column[c] = sum; });
    each(dev, 1, [=] ON_DEVICE(unsigned) {
        float s = 0;
        for (int c = 0; c < cols; c++) s += column[c];
        *at(y, 0, 0) = factor * s;
    });
}

extern "C" void cuda_mse(device *dev, tensor y, tensor a, tensor b, const float *row_weight)
{
    const float *w = cuda_list(dev, row_weight, (size_t)a.rows);
    if (dev->failed) return;
    total(dev, y, a.rows, a.cols, (float)(1 / ((double)a.rows * a.cols)), [=] ON_DEVICE(int r, int c) {
        float d = *at(a, r, c) - *at(b, r, c);
        return (w ? w[r] : 1) * d * d;
    });
}

extern "C" void cuda_mse_backward(device *dev, tensor da, tensor dy, tensor a, tensor b, const float *row_weight)
{
    const float *w = cuda_list(dev, row_weight, (size_t)a.rows);
    float factor = (float)(2 / ((double)a.rows * a.cols));
    if (!da.p || dev->failed) return;
    each_of(dev, a.rows, a.cols, [=] ON_DEVICE(int r, int c) {
        *at(da, r, c) += factor * *at(dy, 0, 0) * (w ? w[r] : 1) * (*at(a, r, c) - *at(b, r, c));
    });
}

/* The posterior's log variance, clamped (spec 2.4); *inside = 0 where the clamp cuts the gradient. */
static ON_DEVICE inline float log_variance(tensor x, int row, int c, float *inside)
{
    float v = *at(x, row, x.cols / 2 + c);
    *inside = v >= -30 && v <= 20;
    return fminf(fmaxf(v, -30), 20);
}

extern "C" void cuda_gaussian(device *dev, tensor y, tensor x, tensor eps)
{
    each_of(dev, y.rows, y.cols, [=] ON_DEVICE(int r, int c) {
        float inside, std = expf(0.5f * log_variance(x, r, c, &inside));
        *at(y, r, c) = *at(x, r, c) + std * *at(eps, r, c);
    });
}

extern "C" void cuda_gaussian_backward(device *dev, tensor dx, tensor dy, tensor x, tensor eps)
{
    each_of(dev, dy.rows, dy.cols, [=] ON_DEVICE(int r, int c) {
        float inside, std = expf(0.5f * log_variance(x, r, c, &inside));
        *at(dx, r, c) += *at(dy, r, c);
        *at(dx, r, dy.cols + c) += inside * *at(dy, r, c) * 0.5f * std * *at(eps, r, c);
    });
}

extern "C" void cuda_kl(device *dev, tensor y, tensor x)
{
    int n = x.cols / 2;
    total(dev, y, x.rows, n, (float)(0.5 / ((double)x.rows * n)), [=] ON_DEVICE(int r, int c) {
        float inside, v = log_variance(x, r, c, &inside);
        return (float)((double)*at(x, r, c) * *at(x, r, c) + (exp((double)v) - 1 - v)); /* near 0 nothing of it would be left in fp32 */
    });
}

extern "C" void cuda_kl_backward(device *dev, tensor dx, tensor dy, tensor x)
{
    int n = x.cols / 2;
    float factor = (float)(1 / ((double)x.rows * n));
    each_of(dev, x.rows, n, [=] ON_DEVICE(int r, int c) {
        float inside, g = factor * *at(dy, 0, 0), v = log_variance(x, r, c, &inside);
        *at(dx, r, c) += g * *at(x, r, c);
        *at(dx, r, n + c) += inside * g * 0.5f * expm1f(v);
    });
}
