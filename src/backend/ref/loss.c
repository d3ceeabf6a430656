/* loss.c - the autoencoder's posterior and the mean squared error. */
#include <math.h>
#include "backend/ref/ref.h"

/* Log variance, clamped (spec 2.4); *inside = 0 where the clamp cuts the gradient. */
static double log_variance(tensor x, int row, int c, double *inside)
{
    double v = *at(x, row, x.cols / 2 + c);
    *inside = v >= -30 && v <= 20;
    return fmin(fmax(v, -30), 20);
}

void ref_gaussian(device *dev, tensor y, tensor x, tensor eps)
{
    double inside;
    (void)dev;
    for (int t = 0; t < y.rows; t++)
        for (int c = 0; c < y.cols; c++) {
            double std = exp(0.5 * log_variance(x, t, c, &inside));
            *at(y, t, c) = (float)(*at(x, t, c) + std * *at(eps, t, c));
        }
}

void ref_gaussian_backward(device *dev, tensor dx, tensor dy, tensor x, tensor eps)
{
    double inside;
    (void)dev;
    for (int t = 0; t < dy.rows; t++)
        for (int c = 0; c < dy.cols; c++) {
            double std = exp(0.5 * log_variance(x, t, c, &inside));
            *at(dx, t, c) += *at(dy, t, c);
            *at(dx, t, dy.cols + c) += (float)(inside * *at(dy, t, c) * 0.5 * std * *at(eps, t, c));
        }
}

void ref_kl(device *dev, tensor y, tensor x)
{
    double s = 0, inside;
    int n = x.cols / 2;
    (void)dev;
    for (int t = 0; t < x.rows; t++)
        for (int c = 0; c < n; c++) {
            double lv = log_variance(x, t, c, &inside);
            s += (double)*at(x, t, c) * *at(x, t, c) + exp(lv) - 1 - lv;
        }
    *at(y, 0, 0) = (float)(0.5 * s / ((double)x.rows * n));
}

void ref_kl_backward(device *dev, tensor dx, tensor dy, tensor x)
{
    int n = x.cols / 2;
    double g = *at(dy, 0, 0) / ((double)x.rows * n), inside;
    (void)dev;
    for (int t = 0; t < x.rows; t++)
        for (int c = 0; c < n; c++) {
            double lv = log_variance(x, t, c, &inside);
            *at(dx, t, c) += (float)(g * *at(x, t, c));
            *at(dx, t, n + c) += (float)(inside * g * 0.5 * (exp(lv) - 1));
        }
}

void ref_mse(device *dev, tensor y, tensor a, tensor b, const float *row_weight)
{
    double s = 0;
    (void)dev;
    for (int t = 0; t < a.rows; t++)
        for (int c = 0; c < a.cols; c++) {
            double d = (double)*at(a, t, c) - *at(b, t, c);
            s += (row_weight ? row_weight[t] : 1) * d * d;
        }
    *at(y, 0, 0) = (float)(s / ((double)a.rows * a.cols));
}

void ref_mse_backward(device *dev, tensor da, tensor dy, tensor a, tensor b, const float *row_weight)
{
    double g = 2 * *at(dy, 0, 0) / ((double)a.rows * a.cols);
    (void)dev;
    for (int t = 0; da.p && t < a.rows; t++)
        for (int c = 0; c < a.cols; c++)
            *at(da, t, c) += (float)(g * (row_weight ? row_weight[t] : 1) * ((double)*at(a, t, c) - *at(b, t, c)));
}
