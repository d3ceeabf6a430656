/* image.cu - convolution, nearest upsampling and 2x2 packing on channels-last pictures. */
#include "backend/cuda/parallel.h"

/* A convolution as a product: each output pixel's row of all that its filter sees, in the order of the stored weight (channel, then tap). */
typedef struct view { int h, w, oh, ow, kh, kw, stride, before_y, before_x, in, taps; } view;

static view view_of(grid g, const weight *w, int stride)
{
    bool same = stride == 1; /* (kh - 1) / 2 zeros on every side; stride 2: on the right and bottom only (spec 4.4) */
    return { g.h, g.w, g.h / stride, g.w / stride, w->kh, w->kw, stride, same ? (w->kh - 1) / 2 : 0, same ? (w->kw - 1) / 2 : 0, w->in, w->kh * w->kw };
}

/* The input pixel that a tap of output pixel `out` sees, or -1 in the padding. */
static ON_DEVICE inline int seen(const view &v, int out, int tap)
{
    int ox = out % v.ow, oy = out / v.ow % v.oh, n = out / (v.ow * v.oh);
    int y = oy * v.stride + tap / v.kw - v.before_y, x = ox * v.stride + tap % v.kw - v.before_x;
    return y < 0 || y >= v.h || x < 0 || x >= v.w ? -1 : (n * v.h + y) * v.w + x;
}

/* x itself where a filter sees a pixel, else [pixels, in taps] in scratch memory. */
static tensor unfolded(device *dev, tensor x, view v, int pixels)
{
    if (v.taps == 1 && v.stride == 1) return x;
    int cols = v.in * v.taps;
    float *p = cuda_scratch(dev, SCRATCH_COLUMNS, (size_t)pixels * (size_t)cols);
    if (!p) return tensor{};
    each_of(dev, pixels, cols, [=] ON_DEVICE(int r, int k) {
        int pixel = seen(v, r, k % v.taps);
        p[(size_t)r * (size_t)cols + k] = pixel < 0 ? 0 : *at(x, pixel, k / v.taps);
    });
    tensor u = { p, pixels, cols, cols, 0 };
    return u;
}

/* OUTPUTS channels of one output pixel a thread: of few channels a product would be all reading.  The weight is turned, so that the numbers that a
 * thread multiplies with one input lie side by side. */
enum { OUTPUTS = 16, FEW = 128 };

template <bool FOUR> static void direct(device *dev, tensor y, tensor x, view v, const float *turned, const float *bias, int padded)
{
    unsigned pixels = (unsigned)y.rows;
    each(dev, (size_t)y.rows * (size_t)(padded / OUTPUTS), [=] ON_DEVICE(unsigned t) {
        int out = (int)(t % pixels), o0 = (int)(t / pixels) * OUTPUTS;
        float sum[OUTPUTS];
        for (int o = 0; o < OUTPUTS; o++) sum[o] = bias && o0 + o < y.cols ? bias[o0 + o] : 0;
        for (int tap = 0; tap < v.taps; tap++) {
            int pixel = seen(v, out, tap);
            if (pixel < 0) continue;
            const float *from = at(x, pixel, 0), *w = turned + (size_t)tap * (size_t)v.in * (size_t)padded + o0;
            if constexpr (FOUR) {
                for (int c = 0; c < v.in; c += 4) {
                    float4 u = *(const float4 *)(from + c);
                    for (int o = 0; o < OUTPUTS; o++)
                        sum[o] += u.x * w[o] + u.y * w[padded + o] + u.z * w[2 * padded + o] + u.w * w[3 * padded + o];
                    w += 4 * padded;
                }
            } else {
                for (int c = 0; c < v.in; c++, w += padded)
                    for (int o = 0; o < OUTPUTS; o++) sum[o] += from[c] * w[o];
            }
        }
        for (int o = 0; o < OUTPUTS && o0 + o < y.cols; o++) *at(y, out, o0 + o) = sum[o];
    });
}

static void convolve_directly(device *dev, tensor y, tensor x, view v, const weight *w)
{
    const float *W = cuda_part(dev, w, 0), *bias = cuda_numbers(dev, w->part[0].bias, (size_t)w->out, w->part[0].grad_bias != NULL);
    int outs = w->out, padded = (outs + OUTPUTS - 1) / OUTPUTS * OUTPUTS;
    float *turned = cuda_scratch(dev, SCRATCH_LOW, (size_t)v.taps * (size_t)v.in * (size_t)padded);
    if (dev->failed) return;
    each_of(dev, v.taps * v.in, padded, [=] ON_DEVICE(int k, int o) {
        int tap = k / v.in, c = k % v.in;
        turned[(size_t)k * (size_t)padded + o] = o < outs ? W[((size_t)o * (size_t)v.in + c) * (size_t)v.taps + tap] : 0;
    });
    if (v.in % 4 == 0 && x.ld % 4 == 0 && (uintptr_t)x.p % 16 == 0) direct<true>(dev, y, x, v, turned, bias, padded);
    else direct<false>(dev, y, x, v, turned, bias, padded);
}

extern "C" void cuda_conv2d(device *dev, tensor y, tensor x, grid g, const weight *w, int stride)
{
    view v = view_of(g, w, stride);
    if (v.taps > 1 && v.in < FEW && w->out < FEW && w->nparts == 1) {
        convolve_directly(dev, y, x, v, w);
        return;
    }
    tensor u = unfolded(dev, x, v, y.rows);
    for (int i = 0, row0 = 0; i < w->nparts; row0 += w->part[i++].rows) {
        const weight_part *p = &w->part[i];
        const float *W = cuda_part(dev, w, i), *bias = cuda_numbers(dev, p->bias, (size_t)p->rows, p->grad_bias != NULL);
        if (dev->failed) return;
        if (bias) each_of(dev, y.rows, p->rows, [=] ON_DEVICE(int r, int c) { *at(y, r, row0 + c) = bias[c]; });
        cuda_gemm(dev, y.rows, p->rows, u.cols, 1, u.p, u.ld, false, W, u.cols, true, bias ? 1.0f : 0.0f, y.p + row0, y.ld);
    }
}

extern "C" void cuda_conv2d_backward(device *dev, tensor dx, tensor dy, tensor x, grid g, const weight *w, int stride)
{
    view v = view_of(g, w, stride);
    int cols = v.in * v.taps;
    bool trains = false;
    for (int i = 0; i < w->nparts; i++) trains = trains || w->part[i].grad;
    tensor u = trains ? unfolded(dev, x, v, dy.rows) : tensor{};
    for (int i = 0, row0 = 0; i < w->nparts; row0 += w->part[i++].rows) {
        const weight_part *p = &w->part[i];
        float *dW = cuda_gradient(dev, p->grad, (size_t)p->rows * (size_t)cols), *db = cuda_gradient(dev, p->grad_bias, (size_t)p->rows);
        if (dev->failed) return;
        if (dW) cuda_gemm(dev, p->rows, cols, dy.rows, 1, dy.p + row0, dy.ld, true, u.p, u.ld, false, 1, dW, cols);
        if (db)
            column_sums(dev, cuda_in_runs(dev, 1, dy.rows), p->rows, [=] ON_DEVICE(int r, int c) { return *at(dy, r, row0 + c); },
                        [=] ON_DEVICE(int, int c, float sum) { db[c] += sum; });
    }
    if (!dx.p) return;
    float *d = cuda_scratch(dev, SCRATCH_COLUMNS, (size_t)dy.rows * (size_t)cols);
    for (int i = 0, row0 = 0; i < w->nparts; row0 += w->part[i++].rows) {
        const float *W = cuda_part(dev, w, i);
        if (dev->failed) return;
        cuda_gemm(dev, dy.rows, cols, w->part[i].rows, 1, dy.p + row0, dy.ld, false, W, cols, false, i ? 1.0f : 0.0f, d, cols);
    }
    each_of(dev, x.rows, x.cols, [=] ON_DEVICE(int pixel, int c) { /* all outputs that saw this pixel */
        int px = pixel % v.w, py = pixel / v.w % v.h, n = pixel / (v.w * v.h);
        float s = 0;
        for (int tap = 0; tap < v.taps; tap++) {
            int y = py + v.before_y - tap / v.kw, x0 = px + v.before_x - tap % v.kw;
            if (y < 0 || x0 < 0 || y % v.stride || x0 % v.stride || y / v.stride >= v.oh || x0 / v.stride >= v.ow) continue;
            s += d[((size_t)(n * v.oh + y / v.stride) * (size_t)v.ow + (size_t)(x0 / v.stride)) * (size_t)cols + (size_t)(c * v.taps + tap)];
        }
        *at(dx, pixel, c) += s;
    });
}

/* Pixel of the small picture under pixel p of the one twice as large; g is the small grid. */
static ON_DEVICE inline int under(grid g, int p)
{
    int x = p % (2 * g.w), y = p / (2 * g.w) % (2 * g.h), n = p / (4 * g.w * g.h);
    return (n * g.h + y / 2) * g.w + x / 2;
}

extern "C" void cuda_upsample2x(device *dev, tensor y, tensor x, grid g)
{
    each_of(dev, y.rows, y.cols, [=] ON_DEVICE(int p, int c) { *at(y, p, c) = *at(x, under(g, p), c); });
}

extern "C" void cuda_upsample2x_backward(device *dev, tensor dx, tensor dy, grid g)
{
    each_of(dev, dx.rows, dx.cols, [=] ON_DEVICE(int p, int c) {
        int x = 2 * (p % g.w), y = 2 * (p / g.w % g.h), first = ((p / (g.w * g.h)) * 2 * g.h + y) * 2 * g.w + x;
        *at(dx, p, c) += *at(dy, first, c) + *at(dy, first + 1, c) + *at(dy, first + 2 * g.w, c) + *at(dy, first + 2 * g.w + 1, c);
    });
}

/* The packed element that holds channel c of pixel p; g is the unpacked grid (spec 1.12: channel 4c + 2dy + dx). */
static ON_DEVICE inline float *packed(tensor t, grid g, int p, int c)
{
    int x = p % g.w, y = p / g.w % g.h, n = p / (g.w * g.h);
    return at(t, (n * (g.h / 2) + y / 2) * (g.w / 2) + x / 2, 4 * c + 2 * (y % 2) + x % 2);
}

extern "C" void cuda_pack2x2(device *dev, tensor y, tensor x, grid g)
{
    each_of(dev, x.rows, x.cols, [=] ON_DEVICE(int p, int c) { *packed(y, g, p, c) = *at(x, p, c); });
}

extern "C" void cuda_unpack2x2(device *dev, tensor y, tensor x, grid g)
{
    each_of(dev, y.rows, y.cols, [=] ON_DEVICE(int p, int c) { *at(y, p, c) = *packed(x, g, p, c); });
}

extern "C" void cuda_pack2x2_backward(device *dev, tensor dx, tensor dy, grid g)
{
    each_of(dev, dx.rows, dx.cols, [=] ON_DEVICE(int p, int c) { *at(dx, p, c) += *packed(dy, g, p, c); });
}

extern "C" void cuda_unpack2x2_backward(device *dev, tensor dx, tensor dy, grid g)
{
    each_of(dev, dy.rows, dy.cols, [=] ON_DEVICE(int p, int c) { *packed(dx, g, p, c) += *at(dy, p, c); });
}
