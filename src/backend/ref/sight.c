/* sight.c - what networks that look at pictures need beside: activations, pooling, resampling, filters of any reach, windows. */
#include <math.h>
#include "backend/ref/ref.h"

static double activated(double x, act a)
{
    switch (a) {
    case ACT_RELU: return x < 0 ? 0 : x;
    case ACT_LEAKY: return x < 0 ? 0.1 * x : x;
    case ACT_SIGMOID: return 1 / (1 + exp(-x));
    case ACT_GELU_ERF: return x * 0.5 * (1 + erf(x * M_SQRT1_2));
    default: return x;
    }
}

void ref_activate(device *dev, tensor y, tensor x, act a)
{
    (void)dev;
    for (int r = 0; r < x.rows; r++)
        for (int c = 0; c < x.cols; c++) *at(y, r, c) = (float)activated(*at(x, r, c), a);
}

void ref_rowscale(device *dev, tensor y, tensor x, tensor s)
{
    (void)dev;
    for (int r = 0; r < x.rows; r++)
        for (int c = 0; c < x.cols; c++) *at(y, r, c) = *at(x, r, c) * *at(s, r, 0);
}

void ref_instancenorm(device *dev, tensor y, tensor x, grid g, float eps, act a)
{
    int pixels = g.h * g.w;
    (void)dev;
    for (int n = 0; n < g.n; n++)
        for (int c = 0; c < x.cols; c++) {
            double mean = 0, var = 0;
            for (int p = n * pixels; p < (n + 1) * pixels; p++) mean += *at(x, p, c);
            mean /= pixels;
            for (int p = n * pixels; p < (n + 1) * pixels; p++) var += (*at(x, p, c) - mean) * (*at(x, p, c) - mean);
            for (int p = n * pixels; p < (n + 1) * pixels; p++)
                *at(y, p, c) = (float)activated((*at(x, p, c) - mean) / sqrt(var / pixels + eps), a);
        }
}

/* Input pixel that output pixel (y, x) of picture n sees at place (i, j) of its reach; -1 outside. */
static int seen(grid g, reach r, int n, int y, int x, int i, int j)
{
    int iy = y * r.stride - r.before + i * r.dilation, ix = x * r.stride - r.before + j * r.dilation;
    return iy < 0 || iy >= g.h || ix < 0 || ix >= g.w ? -1 : (n * g.h + iy) * g.w + ix;
}

#define EACH_PIXEL(g, r, n, y, x, out) \
    for (int n = 0, out = 0; n < (g).n; n++) for (int y = 0; y < (r).h; y++) for (int x = 0; x < (r).w; x++, out++)
#define EACH_SEEN(g, r, n, y, x, i, j, pixel)                                              \
    for (int i = 0; i < (r).side; i++) for (int j = 0; j < (r).side; j++)                  \
        for (int pixel = seen(g, r, n, y, x, i, j), once = 1; pixel >= 0 && once; once = 0)

void ref_conv(device *dev, tensor y, tensor x, grid g, const weight *w, reach r, tensor beside, act a)
{
    int taps = r.side * r.side;
    (void)dev;
    EACH_PIXEL(g, r, n, py, px, out)
        for (int o = 0; o < w->out; o++) {
            double s = ref_bias(w, o) + (beside.p ? *at(beside, out, o) : 0);
            EACH_SEEN(g, r, n, py, px, i, j, pixel)
                for (int c = 0; c < w->in; c++) s += *at(x, pixel, c) * ref_weight(w, o, c * taps + i * r.side + j);
            *at(y, out, o) = (float)activated(s, a);
        }
}

void ref_depthwise(device *dev, tensor y, tensor x, grid g, const weight *w, reach r)
{
    (void)dev;
    EACH_PIXEL(g, r, n, py, px, out)
        for (int c = 0; c < x.cols; c++) {
            double s = ref_bias(w, c);
            EACH_SEEN(g, r, n, py, px, i, j, pixel) s += *at(x, pixel, c) * ref_weight(w, c, i * r.side + j);
            *at(y, out, c) = (float)s;
        }
}

void ref_maxpool(device *dev, tensor y, tensor x, grid g, reach r)
{
    (void)dev;
    EACH_PIXEL(g, r, n, py, px, out)
        for (int c = 0; c < x.cols; c++) {
            float top = -INFINITY;
            EACH_SEEN(g, r, n, py, px, i, j, pixel)
                if (*at(x, pixel, c) > top || isnan(*at(x, pixel, c))) top = *at(x, pixel, c);
            *at(y, out, c) = top;
        }
}

void ref_boxmean(device *dev, tensor y, tensor x, grid g, grid to)
{
    int bh = g.h / to.h, bw = g.w / to.w;
    (void)dev;
    for (int p = 0; p < y.rows; p++)
        for (int c = 0; c < x.cols; c++) {
            int n = p / (to.h * to.w), py = p / to.w % to.h, px = p % to.w;
            double s = 0;
            for (int i = 0; i < bh * bw; i++) s += *at(x, (n * g.h + py * bh + i / bw) * g.w + px * bw + i % bw, c);
            *at(y, p, c) = (float)(s / (bh * bw));
        }
}

void ref_resample(device *dev, tensor y, tensor x, grid g, grid to, resampling how)
{
    (void)dev;
    for (int p = 0; p < y.rows; p++) {
        int n = p / (to.h * to.w), y0, y1, x0, x1;
        double fy = sample_at(p / to.w % to.h, g.h, to.h, how, &y0, &y1), fx = sample_at(p % to.w, g.w, to.w, how, &x0, &x1);
        y0 += n * g.h, y1 += n * g.h;
        for (int c = 0; c < x.cols; c++) {
            if (how == SAMPLE_NEAREST) {
                *at(y, p, c) = *at(x, y0 * g.w + x0, c);
                continue;
            }
            double top = *at(x, y0 * g.w + x0, c) * (1 - fx) + *at(x, y0 * g.w + x1, c) * fx;
            double low = *at(x, y1 * g.w + x0, c) * (1 - fx) + *at(x, y1 * g.w + x1, c) * fx;
            *at(y, p, c) = (float)(top * (1 - fy) + low * fy);
        }
    }
}

/* Where in the picture's moved grid a place of a window lies: its pixel, or -1 for one that fills the window up; and which of the three bands of
 * rows or columns (spec 2.3: L) it belongs to. */
static int place(grid g, swin m, int wy, int wx, int i, int *label)
{
    int nh = (g.h + m.side - 1) / m.side * m.side, nw = (g.w + m.side - 1) / m.side * m.side;
    int r = wy * m.side + i / m.side, c = wx * m.side + i % m.side;
    int lr = r < nh - m.side ? 0 : r < nh - m.shift ? 1 : 2, lc = c < nw - m.side ? 0 : c < nw - m.shift ? 1 : 2;
    *label = 3 * lr + lc;
    r = (r + m.shift) % nh;
    c = (c + m.shift) % nw;
    return r < g.h && c < g.w ? r * g.w + c : -1;
}

void ref_windowattention(device *dev, tensor y, tensor qkv, grid g, swin m, vec fill, vec table)
{
    int C = qkv.cols / 3, dim = C / m.heads, tokens = m.side * m.side, down = (g.h + m.side - 1) / m.side, across = (g.w + m.side - 1) / m.side;
    double p[tokens];
    (void)dev;
#define QKV(pixel, col) ((pixel) < 0 ? fill.p[col] : *at(qkv, n * g.h * g.w + (pixel), col))
    for (int n = 0; n < g.n; n++)
        for (int w = 0; w < down * across; w++)
            for (int i = 0; i < tokens * m.heads; i++) {
                int query = i / m.heads, h = i % m.heads, mine, other, q = place(g, m, w / across, w % across, query, &mine);
                double top = -INFINITY, sum = 0;
                if (q < 0) continue;
                for (int j = 0; j < tokens; j++) {
                    int k = place(g, m, w / across, w % across, j, &other), dr = query / m.side - j / m.side + m.side - 1;
                    double s = 0;
                    for (int c = h * dim; c < (h + 1) * dim; c++) s += (double)QKV(q, c) * QKV(k, C + c);
                    p[j] = s / sqrt(dim) + table.p[(dr * (2 * m.side - 1) + query % m.side - j % m.side + m.side - 1) * m.heads + h];
                    if (m.shift && mine != other) p[j] -= 100;
                    top = fmax(top, p[j]);
                }
                for (int j = 0; j < tokens; j++) sum += p[j] = exp(p[j] - top);
                for (int c = h * dim; c < (h + 1) * dim; c++) {
                    double s = 0;
                    for (int j = 0; j < tokens; j++) {
                        int k = place(g, m, w / across, w % across, j, &other);
                        s += p[j] * QKV(k, 2 * C + c);
                    }
                    *at(y, n * g.h * g.w + q, c) = (float)(s / sum);
                }
            }
#undef QKV
}

void ref_crossattention(device *dev, tensor y, tensor q, tensor k, tensor v, int samples, int heads)
{
    int nq = q.rows / samples, nk = k.rows / samples, dim = q.cols / heads;
    double out[dim];
    (void)dev;
    for (int i = 0; i < q.rows * heads; i++) {
        int query = i / heads, c0 = i % heads * dim, key0 = query / nq * nk;
        double top = -INFINITY, sum = 0;
        for (int c = 0; c < dim; c++) out[c] = 0;
        for (int pass = 0; pass < 2; pass++)
            for (int j = key0; j < key0 + nk; j++) {
                double s = 0;
                for (int c = c0; c < c0 + dim; c++) s += (double)*at(q, query, c) * *at(k, j, c);
                s /= sqrt(dim);
                if (pass == 0) {
                    top = fmax(top, s);
                    continue;
                }
                double p = exp(s - top);
                sum += p;
                for (int c = 0; c < dim; c++) out[c] += p * *at(v, j, c0 + c);
            }
        for (int c = 0; c < dim; c++) *at(y, query, c0 + c) = (float)(out[c] / sum);
    }
}
