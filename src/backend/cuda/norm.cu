/* norm.cu - LayerNorm with modulation, residual gates, RMSNorm with rotary, and the plain norms.  A warp takes a row. */
#include <math.h>
#include "backend/cuda/parallel.h"

typedef struct moments { float mean, inverse; } moments; /* inverse = 1 / sqrt(var + eps) */

static ON_DEVICE inline moments row_moments(tensor x, int row, int lane, float eps)
{
    float mean = 0, var = 0;
    for (int c = lane; c < x.cols; c += LANES) mean += *at(x, row, c);
    mean = over_lanes(mean) / (float)x.cols;
    for (int c = lane; c < x.cols; c += LANES) var += (*at(x, row, c) - mean) * (*at(x, row, c) - mean);
    return { mean, 1 / sqrtf(over_lanes(var) / (float)x.cols + eps) };
}

/* Row of dx from dh(column), the gradient of the normalised row h = (x - mean) inverse:
 * dx = inverse (dh - mean(dh) - h mean(dh h)). */
template <class F> static ON_DEVICE inline void normalised_backward(tensor dx, tensor x, int row, int lane, moments m, F dh)
{
    float a = 0, b = 0;
    for (int c = lane; c < x.cols; c += LANES) {
        a += dh(c);
        b += dh(c) * (*at(x, row, c) - m.mean) * m.inverse;
    }
    a = over_lanes(a) / (float)x.cols;
    b = over_lanes(b) / (float)x.cols;
    for (int c = lane; c < x.cols; c += LANES) *at(dx, row, c) += m.inverse * (dh(c) - a - (*at(x, row, c) - m.mean) * m.inverse * b);
}

/* What the sums down the columns take of each row. */
static moments *moments_of(device *dev, tensor x, float eps)
{
    moments *m = (moments *)cuda_scratch(dev, SCRATCH_ROWS, 2 * (size_t)x.rows);
    if (!m) return NULL;
    each_row(dev, (size_t)x.rows, [=] ON_DEVICE(int r, int lane) {
        moments n = row_moments(x, r, lane, eps);
        if (lane == 0) m[r] = n;
    });
    return m;
}

extern "C" void cuda_adaln(device *dev, tensor y, tensor x, modulation m, layout l, float eps)
{
    const int *sample = cuda_sample_of(dev, l, x.rows);
    if (dev->failed) return;
    each_row(dev, (size_t)x.rows, [=] ON_DEVICE(int r, int lane) {
        moments n = row_moments(x, r, lane, eps);
        for (int c = lane; c < x.cols; c += LANES)
            *at(y, r, c) = (*at(x, r, c) - n.mean) * n.inverse * (1 + *at(m.scale, sample[r], c)) + *at(m.shift, sample[r], c);
    });
}

extern "C" void cuda_adaln_backward(device *dev, tensor dx, modulation dm, tensor dy, tensor x, modulation m, layout l, float eps)
{
    const int *sample = cuda_sample_of(dev, l, x.rows);
    const moments *of = dm.scale.p ? moments_of(dev, x, eps) : NULL;
    grouping g = cuda_by_sample(dev, l);
    if (dev->failed) return;
    if (dx.p)
        each_row(dev, (size_t)x.rows, [=] ON_DEVICE(int r, int lane) {
            normalised_backward(dx, x, r, lane, row_moments(x, r, lane, eps), [=](int c) { return *at(dy, r, c) * (1 + *at(m.scale, sample[r], c)); });
        });
    if (dm.shift.p)
        column_sums(dev, g, x.cols, [=] ON_DEVICE(int r, int c) { return *at(dy, r, c); }, [=] ON_DEVICE(int s, int c, float sum) { *at(dm.shift, s, c) += sum; });
    if (dm.scale.p)
        column_sums(dev, g, x.cols, [=] ON_DEVICE(int r, int c) { return *at(dy, r, c) * (*at(x, r, c) - of[r].mean) * of[r].inverse; },
                    [=] ON_DEVICE(int s, int c, float sum) { *at(dm.scale, s, c) += sum; });
}

extern "C" void cuda_gateadd(device *dev, tensor y, tensor x, tensor gate, tensor d, layout l)
{
    const int *sample = cuda_sample_of(dev, l, x.rows);
    if (dev->failed) return;
    each_of(dev, x.rows, x.cols, [=] ON_DEVICE(int r, int c) { *at(y, r, c) = *at(x, r, c) + *at(gate, sample[r], c) * *at(d, r, c); });
}

extern "C" void cuda_gateadd_backward(device *dev, tensor dx, tensor dgate, tensor dd, tensor dy, tensor gate, tensor d, layout l)
{
    const int *sample = cuda_sample_of(dev, l, dy.rows);
    if (dev->failed) return;
    each_of(dev, dy.rows, dy.cols, [=] ON_DEVICE(int r, int c) {
        if (dx.p) *at(dx, r, c) += *at(dy, r, c);
        if (dd.p) *at(dd, r, c) += *at(dy, r, c) * *at(gate, sample[r], c);
    });
    if (dgate.p)
        column_sums(dev, cuda_by_sample(dev, l), dy.cols, [=] ON_DEVICE(int r, int c) { return *at(dy, r, c) * *at(d, r, c); },
                    [=] ON_DEVICE(int s, int c, float sum) { *at(dgate, s, c) += sum; });
}

/* ---- RMSNorm ---- */

static ON_DEVICE inline float inverse_rms(tensor x, int row, int col0, int n, int lane, float eps)
{
    float s = 0;
    for (int c = lane; c < n; c += LANES) s += *at(x, row, col0 + c) * *at(x, row, col0 + c);
    return 1 / sqrtf(over_lanes(s) / (float)n + eps);
}

/* dx of u = x r gain, given du(column): with g = du gain, dx = r (g - x r^2 mean(g x)). */
template <class F> static ON_DEVICE inline void rms_backward(tensor dx, tensor x, int row, int col0, int n, int lane, const float *gain, float r, F du)
{
    float s = 0;
    for (int c = lane; c < n; c += LANES) s += du(c) * gain[c] * *at(x, row, col0 + c);
    s = over_lanes(s) / (float)n;
    for (int c = lane; c < n; c += LANES) *at(dx, row, col0 + c) += r * (du(c) * gain[c] - *at(x, row, col0 + c) * r * r * s);
}

extern "C" void cuda_rmsnorm(device *dev, tensor y, tensor x, vec gain, float eps)
{
    const float *g = cuda_numbers(dev, gain.p, (size_t)gain.n, gain.grad != NULL);
    if (dev->failed) return;
    each_row(dev, (size_t)x.rows, [=] ON_DEVICE(int r, int lane) {
        float inverse = inverse_rms(x, r, 0, x.cols, lane, eps);
        for (int c = lane; c < x.cols; c += LANES) *at(y, r, c) = *at(x, r, c) * inverse * g[c];
    });
}

extern "C" void cuda_rmsnorm_backward(device *dev, tensor dx, tensor dy, tensor x, vec gain, float eps)
{
    const float *g = cuda_numbers(dev, gain.p, (size_t)gain.n, gain.grad != NULL);
    float *dg = cuda_gradient(dev, gain.grad, (size_t)gain.n), *inverse = dg ? cuda_scratch(dev, SCRATCH_ROWS, (size_t)x.rows) : NULL;
    if (dev->failed) return;
    each_row(dev, (size_t)x.rows, [=] ON_DEVICE(int r, int lane) {
        float i = inverse_rms(x, r, 0, x.cols, lane, eps);
        if (inverse && lane == 0) inverse[r] = i;
        if (dx.p) rms_backward(dx, x, r, 0, x.cols, lane, g, i, [=](int c) { return *at(dy, r, c); });
    });
    if (dg)
        column_sums(dev, cuda_in_runs(dev, 1, x.rows), x.cols, [=] ON_DEVICE(int r, int c) { return *at(dy, r, c) * *at(x, r, c) * inverse[r]; },
                    [=] ON_DEVICE(int, int c, float sum) { dg[c] += sum; });
}

/* Rotary tables of this device; NULL: none. */
typedef struct turns { const float *cos, *sin; int dim; } turns;

static turns turns_of(device *dev, rope pe, int rows)
{
    size_t n = (size_t)rows * (size_t)pe.dim;
    return { cuda_list(dev, pe.cos, n), cuda_list(dev, pe.cos ? pe.sin : NULL, n), pe.dim };
}

/* Column c of a head of dy, turned back. */
static ON_DEVICE inline float turned_back(tensor dy, turns t, int row, int col0, int c)
{
    float here = *at(dy, row, col0 + c), other = *at(dy, row, col0 + (c ^ 1));
    if (!t.cos) return here;
    float cos = t.cos[(size_t)row * (size_t)t.dim + c / 2], sin = t.sin[(size_t)row * (size_t)t.dim + c / 2];
    return c & 1 ? here * cos - other * sin : here * cos + other * sin;
}

extern "C" void cuda_qknorm(device *dev, tensor y, tensor x, vec gain, rope pe, float eps)
{
    const float *g = cuda_numbers(dev, gain.p, (size_t)gain.n, gain.grad != NULL);
    turns t = turns_of(dev, pe, x.rows);
    int n = gain.n, heads = x.cols / n;
    if (dev->failed) return;
    each_row(dev, (size_t)x.rows * (size_t)heads, [=] ON_DEVICE(int i, int lane) {
        int r = i / heads, h = i % heads * n;
        float inverse = inverse_rms(x, r, h, n, lane, eps);
        for (int c = 2 * lane; c < n; c += 2 * LANES) {
            float a = *at(x, r, h + c) * inverse * g[c], b = *at(x, r, h + c + 1) * inverse * g[c + 1];
            float cos = t.cos ? t.cos[(size_t)r * (size_t)t.dim + c / 2] : 1, sin = t.cos ? t.sin[(size_t)r * (size_t)t.dim + c / 2] : 0;
            *at(y, r, h + c) = a * cos - b * sin;
            *at(y, r, h + c + 1) = b * cos + a * sin;
        }
    });
}

extern "C" void cuda_qknorm_backward(device *dev, tensor dx, tensor dy, tensor x, vec gain, rope pe, float eps)
{
    const float *g = cuda_numbers(dev, gain.p, (size_t)gain.n, gain.grad != NULL);
    turns t = turns_of(dev, pe, x.rows);
    int n = gain.n, heads = x.cols / n;
    float *dg = cuda_gradient(dev, gain.grad, (size_t)n), *inverse = dg ? cuda_scratch(dev, SCRATCH_ROWS, (size_t)x.rows * (size_t)heads) : NULL;
    if (dev->failed) return;
    each_row(dev, (size_t)x.rows * (size_t)heads, [=] ON_DEVICE(int i, int lane) {
        int r = i / heads, h = i % heads * n;
        float s = inverse_rms(x, r, h, n, lane, eps);
        if (inverse && lane == 0) inverse[i] = s;
        if (dx.p) rms_backward(dx, x, r, h, n, lane, g, s, [=](int c) { return turned_back(dy, t, r, h, c); });
    });
    if (!dg) return;
    column_sums(dev, cuda_in_runs(dev, 1, x.rows), n, [=] ON_DEVICE(int r, int c) {
        float s = 0;
        for (int h = 0; h < heads; h++) s += turned_back(dy, t, r, h * n, c) * *at(x, r, h * n + c) * inverse[r * heads + h];
        return s;
    }, [=] ON_DEVICE(int, int c, float sum) { dg[c] += sum; });
}

/* ---- LayerNorm with gain and bias ---- */

extern "C" void cuda_layernorm(device *dev, tensor y, tensor x, vec gain, vec bias, float eps)
{
    const float *g = cuda_numbers(dev, gain.p, (size_t)gain.n, gain.grad != NULL), *b = cuda_numbers(dev, bias.p, (size_t)bias.n, bias.grad != NULL);
    if (dev->failed) return;
    each_row(dev, (size_t)x.rows, [=] ON_DEVICE(int r, int lane) {
        moments m = row_moments(x, r, lane, eps);
        for (int c = lane; c < x.cols; c += LANES) *at(y, r, c) = (*at(x, r, c) - m.mean) * m.inverse * g[c] + b[c];
    });
}

extern "C" void cuda_layernorm_backward(device *dev, tensor dx, tensor dy, tensor x, vec gain, vec bias, float eps)
{
    const float *g = cuda_numbers(dev, gain.p, (size_t)gain.n, gain.grad != NULL);
    float *dg = cuda_gradient(dev, gain.grad, (size_t)gain.n), *db = cuda_gradient(dev, bias.grad, (size_t)bias.n);
    const moments *of = dg ? moments_of(dev, x, eps) : NULL;
    grouping all = cuda_in_runs(dev, 1, x.rows);
    if (dev->failed) return;
    if (dx.p)
        each_row(dev, (size_t)x.rows, [=] ON_DEVICE(int r, int lane) {
            normalised_backward(dx, x, r, lane, row_moments(x, r, lane, eps), [=](int c) { return *at(dy, r, c) * g[c]; });
        });
    if (dg)
        column_sums(dev, all, x.cols, [=] ON_DEVICE(int r, int c) { return *at(dy, r, c) * (*at(x, r, c) - of[r].mean) * of[r].inverse; },
                    [=] ON_DEVICE(int, int c, float sum) { dg[c] += sum; });
    if (db)
        column_sums(dev, all, x.cols, [=] ON_DEVICE(int r, int c) { return *at(dy, r, c); }, [=] ON_DEVICE(int, int c, float sum) { db[c] += sum; });
}

/* ---- GroupNorm, then SiLU ---- */

extern "C" void cuda_groupstats(device *dev, tensor stats, tensor x, grid g, int groups, float eps)
{
    int pixels = g.h * g.w, size = x.cols / groups, cols = x.cols;
    grouping pictures = cuda_in_runs(dev, g.n, pixels);
    float *sums = cuda_scratch(dev, SCRATCH_ROWS, (size_t)g.n * (size_t)cols), count = (float)pixels * (float)size;
    if (dev->failed) return;
    for (int which = 0; which < 2; which++) { /* means, then deviations from them */
        column_sums(dev, pictures, cols, [=] ON_DEVICE(int r, int c) {
            float v = *at(x, r, c) - (which ? *at(stats, r / pixels, 2 * (c / size)) : 0);
            return which ? v * v : v;
        }, [=] ON_DEVICE(int n, int c, float sum) { sums[(size_t)n * (size_t)cols + c] = sum; });
        each_of(dev, g.n, groups, [=] ON_DEVICE(int n, int i) {
            float s = 0;
            for (int c = i * size; c < (i + 1) * size; c++) s += sums[(size_t)n * (size_t)cols + c];
            *at(stats, n, 2 * i + which) = which ? 1 / sqrtf(s / count + eps) : s / count;
        });
    }
}

extern "C" void cuda_groupnorm(device *dev, tensor y, tensor x, grid g, int groups, vec gain, vec bias, bool silu, tensor stats)
{
    const float *w = cuda_numbers(dev, gain.p, (size_t)gain.n, gain.grad != NULL), *b = cuda_numbers(dev, bias.p, (size_t)bias.n, bias.grad != NULL);
    int pixels = g.h * g.w, size = x.cols / groups;
    if (dev->failed) return;
    each_of(dev, x.rows, x.cols, [=] ON_DEVICE(int r, int c) {
        int n = r / pixels, i = c / size;
        float u = (*at(x, r, c) - *at(stats, n, 2 * i)) * *at(stats, n, 2 * i + 1) * w[c] + b[c];
        *at(y, r, c) = silu ? u / (1 + expf(-u)) : u;
    });
}

extern "C" void cuda_groupnorm_backward(device *dev, tensor dx, tensor dy, tensor x, grid g, int groups, vec gain, vec bias, float, bool silu,
                                        tensor stats)
{
    const float *w = cuda_numbers(dev, gain.p, (size_t)gain.n, gain.grad != NULL), *b = cuda_numbers(dev, bias.p, (size_t)bias.n, bias.grad != NULL);
    float *dw = cuda_gradient(dev, gain.grad, (size_t)gain.n), *db = cuda_gradient(dev, bias.grad, (size_t)bias.n);
    int pixels = g.h * g.w, size = x.cols / groups, cols = x.cols;
    grouping pictures = cuda_in_runs(dev, g.n, pixels);
    /* of each picture and column: the sums of du h and of du, u = gain h + bias; and a group's dh h and dh from those */
    float *sums = cuda_scratch(dev, SCRATCH_ROWS, 2 * (size_t)g.n * (size_t)(cols + groups)), count = (float)pixels * (float)size;
    if (dev->failed) return;
    float *of_group = sums + 2 * (size_t)g.n * (size_t)cols;
    auto normal = [=] ON_DEVICE(int r, int c) { return (*at(x, r, c) - *at(stats, r / pixels, 2 * (c / size))) * *at(stats, r / pixels, 2 * (c / size) + 1); };
    auto slope = [=] ON_DEVICE(int r, int c, float h) {
        float u = h * w[c] + b[c], s = 1 / (1 + expf(-u));
        return *at(dy, r, c) * (silu ? s * (1 + u * (1 - s)) : 1);
    };
    for (int which = 0; which < 2; which++)
        column_sums(dev, pictures, cols, [=] ON_DEVICE(int r, int c) {
            float h = normal(r, c);
            return slope(r, c, h) * (which ? 1 : h);
        }, [=] ON_DEVICE(int n, int c, float sum) { sums[2 * ((size_t)n * (size_t)cols + c) + which] = sum; });
    each_of(dev, g.n, 2 * groups, [=] ON_DEVICE(int n, int k) {
        float s = 0;
        for (int c = k / 2 * size; c < (k / 2 + 1) * size; c++) s += w[c] * sums[2 * ((size_t)n * (size_t)cols + c) + k % 2];
        of_group[(size_t)n * 2 * (size_t)groups + k] = s / count;
    });
    each(dev, (size_t)cols, [=] ON_DEVICE(unsigned c) {
        for (int n = 0; n < g.n; n++) {
            if (dw) dw[c] += sums[2 * ((size_t)n * (size_t)cols + c)];
            if (db) db[c] += sums[2 * ((size_t)n * (size_t)cols + c) + 1];
        }
    });
    if (dx.p)
        each_of(dev, x.rows, cols, [=] ON_DEVICE(int r, int c) {
            float h = normal(r, c), *s = of_group + ((size_t)(r / pixels) * (size_t)groups + c / size) * 2;
            *at(dx, r, c) += *at(stats, r / pixels, 2 * (c / size) + 1) * (slope(r, c, h) * w[c] - s[1] - h * s[0]);
        });
}
