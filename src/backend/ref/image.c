/* image.c - convolution, nearest upsampling and 2x2 packing on channels-last pictures. */
#include "backend/ref/ref.h"

/* Input pixel that tap (dy, dx) of output pixel (n, y, x) sees, or -1 in the padding.  Stride 1: (kh-1)/2 zeros on
 * every side; stride 2: zeros on the right and bottom only (spec 4.4). */
static int tap(grid g, const weight *w, int stride, int n, int y, int x, int dy, int dx)
{
    int before_y = stride == 1 ? (w->kh - 1) / 2 : 0, before_x = stride == 1 ? (w->kw - 1) / 2 : 0;
    int iy = y * stride + dy - before_y, ix = x * stride + dx - before_x;
    return iy < 0 || iy >= g.h || ix < 0 || ix >= g.w ? -1 : (n * g.h + iy) * g.w + ix;
}

#define EACH_OUTPUT(n, y, x, out)                                                     \
    for (int n = 0, out = 0; n < g.n; n++)                                            \
        for (int y = 0; y < g.h / stride; y++)                                        \
            for (int x = 0; x < g.w / stride; x++, out++)

#define EACH_TAP(n, y, x, pixel, k)                                                   \
    for (int k = 0; k < w->kh * w->kw; k++)                                           \
        for (int pixel = tap(g, w, stride, n, y, x, k / w->kw, k % w->kw), once = 1; pixel >= 0 && once; once = 0)

void ref_conv2d(device *dev, tensor y, tensor x, grid g, const weight *w, int stride)
{
    int taps = w->kh * w->kw;
    (void)dev;
    EACH_OUTPUT(n, i, j, out)
        for (int o = 0; o < w->out; o++) {
            double s = ref_bias(w, o);
            EACH_TAP(n, i, j, pixel, k)
                for (int c = 0; c < w->in; c++) s += *at(x, pixel, c) * ref_weight(w, o, c * taps + k);
            *at(y, out, o) = (float)s;
        }
}

void ref_conv2d_backward(device *dev, tensor dx, tensor dy, tensor x, grid g, const weight *w, int stride)
{
    int taps = w->kh * w->kw;
    (void)dev;
    EACH_OUTPUT(n, i, j, out)
        for (int o = 0; o < w->out; o++) {
            float d = *at(dy, out, o), *bias = ref_bias_grad(w, o);
            if (bias) *bias += d;
            EACH_TAP(n, i, j, pixel, k)
                for (int c = 0; c < w->in; c++) {
                    float *grad = ref_weight_grad(w, o, c * taps + k);
                    if (grad) *grad += d * *at(x, pixel, c);
                    if (dx.p) *at(dx, pixel, c) += (float)(d * ref_weight(w, o, c * taps + k));
                }
        }
}

/* Pixel of the small picture under pixel p of the one twice as large; g is the small grid. */
static int under(grid g, int p)
{
    int x = p % (2 * g.w), y = p / (2 * g.w) % (2 * g.h), n = p / (4 * g.w * g.h);
    return (n * g.h + y / 2) * g.w + x / 2;
}

void ref_upsample2x(device *dev, tensor y, tensor x, grid g)
{
    (void)dev;
    for (int p = 0; p < y.rows; p++)
        for (int c = 0; c < y.cols; c++) *at(y, p, c) = *at(x, under(g, p), c);
}

void ref_upsample2x_backward(device *dev, tensor dx, tensor dy, grid g)
{
    (void)dev;
    for (int p = 0; p < dy.rows; p++)
        for (int c = 0; c < dy.cols; c++) *at(dx, under(g, p), c) += *at(dy, p, c);
}

/* The packed element that holds channel c of pixel p; g is the unpacked grid (spec 1.12: channel 4c + 2dy + dx). */
static float *packed(tensor t, grid g, int p, int c)
{
    int x = p % g.w, y = p / g.w % g.h, n = p / (g.w * g.h);
    return at(t, (n * (g.h / 2) + y / 2) * (g.w / 2) + x / 2, 4 * c + 2 * (y % 2) + x % 2);
}

void ref_pack2x2(device *dev, tensor y, tensor x, grid g)
{
    (void)dev;
    for (int p = 0; p < x.rows; p++)
        for (int c = 0; c < x.cols; c++) *packed(y, g, p, c) = *at(x, p, c);
}

void ref_unpack2x2(device *dev, tensor y, tensor x, grid g)
{
    (void)dev;
    for (int p = 0; p < y.rows; p++)
        for (int c = 0; c < y.cols; c++) *at(y, p, c) = *packed(x, g, p, c);
}

void ref_pack2x2_backward(device *dev, tensor dx, tensor dy, grid g)
{
    (void)dev;
    for (int p = 0; p < dx.rows; p++)
        for (int c = 0; c < dx.cols; c++) *at(dx, p, c) += *packed(dy, g, p, c);
}

void ref_unpack2x2_backward(device *dev, tensor dx, tensor dy, grid g)
{
    (void)dev;
    for (int p = 0; p < dy.rows; p++)
        for (int c = 0; c < dy.cols; c++) *packed(dx, g, p, c) += *at(dy, p, c);
}
