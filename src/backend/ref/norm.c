/* norm.c - LayerNorm with modulation, residual gates, RMSNorm with rotary, and the plain norms. */
#include <math.h>
#include <string.h>
#include "backend/ref/ref.h"

typedef struct moments { double mean, inverse; } moments; /* inverse = 1 / sqrt(var + eps) */

static moments row_moments(tensor x, int row, float eps)
{
    double mean = 0, var = 0;
    for (int c = 0; c < x.cols; c++) mean += *at(x, row, c);
    mean /= x.cols;
    for (int c = 0; c < x.cols; c++) var += (*at(x, row, c) - mean) * (*at(x, row, c) - mean);
    return (moments){ mean, 1 / sqrt(var / x.cols + eps) };
}

/* Row of dx from dh, the gradient of the normalised row h = (x - mean) inverse:
 * dx = inverse (dh - mean(dh) - h mean(dh h)). */
static void normalised_backward(tensor dx, tensor x, int row, moments m, const double *dh)
{
    double a = 0, b = 0;
    for (int c = 0; c < x.cols; c++) {
        a += dh[c];
        b += dh[c] * (*at(x, row, c) - m.mean) * m.inverse;
    }
    for (int c = 0; dx.p && c < x.cols; c++)
        *at(dx, row, c) += (float)(m.inverse * (dh[c] - a / x.cols - (*at(x, row, c) - m.mean) * m.inverse * b / x.cols));
}

void ref_adaln(device *dev, tensor y, tensor x, modulation m, layout l, float eps)
{
    (void)dev;
    for (int i = 0; i < l.nspans; i++)
        for (int t = l.spans[i].start; t < l.spans[i].start + l.spans[i].rows; t++) {
            moments n = row_moments(x, t, eps);
            int s = l.spans[i].sample;
            for (int c = 0; c < x.cols; c++)
                *at(y, t, c) = (float)((*at(x, t, c) - n.mean) * n.inverse * (1 + (double)*at(m.scale, s, c)) + *at(m.shift, s, c));
        }
}

void ref_adaln_backward(device *dev, tensor dx, modulation dm, tensor dy, tensor x, modulation m, layout l, float eps)
{
    (void)dev;
    double dh[x.cols];
    for (int i = 0; i < l.nspans; i++)
        for (int t = l.spans[i].start; t < l.spans[i].start + l.spans[i].rows; t++) {
            moments n = row_moments(x, t, eps);
            int s = l.spans[i].sample;
            for (int c = 0; c < x.cols; c++) {
                dh[c] = *at(dy, t, c) * (1 + (double)*at(m.scale, s, c));
                if (dm.shift.p) *at(dm.shift, s, c) += *at(dy, t, c);
                if (dm.scale.p) *at(dm.scale, s, c) += (float)(*at(dy, t, c) * (*at(x, t, c) - n.mean) * n.inverse);
            }
            normalised_backward(dx, x, t, n, dh);
        }
}

void ref_gateadd(device *dev, tensor y, tensor x, tensor gate, tensor d, layout l)
{
    (void)dev;
    for (int i = 0; i < l.nspans; i++)
        for (int t = l.spans[i].start; t < l.spans[i].start + l.spans[i].rows; t++)
            for (int c = 0; c < x.cols; c++) *at(y, t, c) = *at(x, t, c) + *at(gate, l.spans[i].sample, c) * *at(d, t, c);
}

void ref_gateadd_backward(device *dev, tensor dx, tensor dgate, tensor dd, tensor dy, tensor gate, tensor d, layout l)
{
    (void)dev;
    for (int i = 0; i < l.nspans; i++)
        for (int t = l.spans[i].start; t < l.spans[i].start + l.spans[i].rows; t++)
            for (int c = 0; c < dy.cols; c++) {
                int s = l.spans[i].sample;
                if (dx.p) *at(dx, t, c) += *at(dy, t, c);
                if (dgate.p) *at(dgate, s, c) += *at(dy, t, c) * *at(d, t, c);
                if (dd.p) *at(dd, t, c) += *at(dy, t, c) * *at(gate, s, c);
            }
}

/* ---- RMSNorm ---- */

static double inverse_rms(tensor x, int row, int col0, int n, float eps)
{
    double s = 0;
    for (int c = col0; c < col0 + n; c++) s += (double)*at(x, row, c) * *at(x, row, c);
    return 1 / sqrt(s / n + eps);
}

/* dx of u = x r gain, given du: with g = du gain, dx = r (g - x r^2 mean(g x)). */
static void rms_backward(tensor dx, tensor x, int row, int col0, vec gain, double r, const double *du)
{
    double s = 0;
    for (int c = 0; c < gain.n; c++) {
        s += du[c] * gain.p[c] * *at(x, row, col0 + c);
        if (gain.grad) gain.grad[c] += (float)(du[c] * r * *at(x, row, col0 + c));
    }
    for (int c = 0; dx.p && c < gain.n; c++)
        *at(dx, row, col0 + c) += (float)(r * (du[c] * gain.p[c] - *at(x, row, col0 + c) * r * r * s / gain.n));
}

void ref_rmsnorm(device *dev, tensor y, tensor x, vec gain, float eps)
{
    (void)dev;
    for (int t = 0; t < x.rows; t++) {
        double r = inverse_rms(x, t, 0, x.cols, eps);
        for (int c = 0; c < x.cols; c++) *at(y, t, c) = (float)(*at(x, t, c) * r * gain.p[c]);
    }
}

void ref_rmsnorm_backward(device *dev, tensor dx, tensor dy, tensor x, vec gain, float eps)
{
    (void)dev;
    double du[x.cols];
    for (int t = 0; t < x.rows; t++) {
        for (int c = 0; c < x.cols; c++) du[c] = *at(dy, t, c);
        rms_backward(dx, x, t, 0, gain, inverse_rms(x, t, 0, x.cols, eps), du);
    }
}

void ref_qknorm(device *dev, tensor y, tensor x, vec gain, rope pe, float eps)
{
    (void)dev;
    for (int t = 0; t < x.rows; t++)
        for (int h = 0; h < x.cols; h += gain.n) {
            double r = inverse_rms(x, t, h, gain.n, eps);
            for (int c = 0; c < gain.n; c += 2) {
                double a = *at(x, t, h + c) * r * gain.p[c], b = *at(x, t, h + c + 1) * r * gain.p[c + 1];
                double cos = pe.cos ? pe.cos[t * pe.dim + c / 2] : 1, sin = pe.cos ? pe.sin[t * pe.dim + c / 2] : 0;
                *at(y, t, h + c) = (float)(a * cos - b * sin);
                *at(y, t, h + c + 1) = (float)(b * cos + a * sin);
            }
        }
}

void ref_qknorm_backward(device *dev, tensor dx, tensor dy, tensor x, vec gain, rope pe, float eps)
{
    (void)dev;
    double du[gain.n];
    for (int t = 0; t < x.rows; t++)
        for (int h = 0; h < x.cols; h += gain.n) {
            for (int c = 0; c < gain.n; c += 2) { /* the inverse rotation */
                double a = *at(dy, t, h + c), b = *at(dy, t, h + c + 1);
                double cos = pe.cos ? pe.cos[t * pe.dim + c / 2] : 1, sin = pe.cos ? pe.sin[t * pe.dim + c / 2] : 0;
                du[c] = a * cos + b * sin;
                du[c + 1] = b * cos - a * sin;
            }
            rms_backward(dx, x, t, h, gain, inverse_rms(x, t, h, gain.n, eps), du);
        }
}

/* ---- LayerNorm with gain and bias ---- */

void ref_layernorm(device *dev, tensor y, tensor x, vec gain, vec bias, float eps)
{
    (void)dev;
    for (int t = 0; t < x.rows; t++) {
        moments m = row_moments(x, t, eps);
        for (int c = 0; c < x.cols; c++) *at(y, t, c) = (float)((*at(x, t, c) - m.mean) * m.inverse * gain.p[c] + bias.p[c]);
    }
}

void ref_layernorm_backward(device *dev, tensor dx, tensor dy, tensor x, vec gain, vec bias, float eps)
{
    (void)dev;
    double dh[x.cols];
    for (int t = 0; t < x.rows; t++) {
        moments m = row_moments(x, t, eps);
        for (int c = 0; c < x.cols; c++) {
            dh[c] = (double)*at(dy, t, c) * gain.p[c];
            if (gain.grad) gain.grad[c] += (float)(*at(dy, t, c) * (*at(x, t, c) - m.mean) * m.inverse);
            if (bias.grad) bias.grad[c] += *at(dy, t, c);
        }
        normalised_backward(dx, x, t, m, dh);
    }
}

/* ---- GroupNorm, then SiLU ---- */

void ref_groupstats(device *dev, tensor stats, tensor x, grid g, int groups, float eps)
{
    int pixels = g.h * g.w, size = x.cols / groups;
    (void)dev;
    for (int n = 0; n < g.n; n++)
        for (int i = 0; i < groups; i++) {
            double mean = 0, var = 0, count = (double)pixels * size;
            for (int p = n * pixels; p < (n + 1) * pixels; p++)
                for (int c = i * size; c < (i + 1) * size; c++) mean += *at(x, p, c);
            mean /= count;
            for (int p = n * pixels; p < (n + 1) * pixels; p++)
                for (int c = i * size; c < (i + 1) * size; c++) var += (*at(x, p, c) - mean) * (*at(x, p, c) - mean);
            *at(stats, n, 2 * i) = (float)mean;
            *at(stats, n, 2 * i + 1) = (float)(1 / sqrt(var / count + eps));
        }
}

void ref_groupnorm(device *dev, tensor y, tensor x, grid g, int groups, vec gain, vec bias, bool silu, tensor stats)
{
    int pixels = g.h * g.w, size = x.cols / groups;
    (void)dev;
    for (int p = 0; p < g.n * pixels; p++)
        for (int c = 0; c < x.cols; c++) {
            int n = p / pixels, i = c / size;
            double u = (*at(x, p, c) - (double)*at(stats, n, 2 * i)) * *at(stats, n, 2 * i + 1) * gain.p[c] + bias.p[c];
            *at(y, p, c) = (float)(silu ? u / (1 + exp(-u)) : u);
        }
}

void ref_groupnorm_backward(device *dev, tensor dx, tensor dy, tensor x, grid g, int groups, vec gain, vec bias, float eps,
                            bool silu, tensor stats)
{
    int pixels = g.h * g.w, size = x.cols / groups;
    (void)dev, (void)eps;
    for (int n = 0; n < g.n; n++)
        for (int i = 0; i < groups; i++) {
            double mean = *at(stats, n, 2 * i), inverse = *at(stats, n, 2 * i + 1), a = 0, b = 0, count = (double)pixels * size;
            for (int pass = 0; pass < 2; pass++) /* sums first, then dx */
                for (int p = n * pixels; p < (n + 1) * pixels; p++)
                    for (int c = i * size; c < (i + 1) * size; c++) {
                        double h = (*at(x, p, c) - mean) * inverse, u = h * gain.p[c] + bias.p[c], s = 1 / (1 + exp(-u));
                        double du = *at(dy, p, c) * (silu ? s * (1 + u * (1 - s)) : 1), dh = du * gain.p[c];
                        if (pass == 0) {
                            a += dh;
                            b += dh * h;
                            if (gain.grad) gain.grad[c] += (float)(du * h);
                            if (bias.grad) bias.grad[c] += (float)du;
                        } else if (dx.p) {
                            *at(dx, p, c) += (float)(inverse * (dh - a / count - h * b / count));
                        }
                    }
        }
}
