/* flow.c - noise levels and mixing. */
#include "train/flow/flow.h"

#include <math.h>

static float shifted(const flow *f, double s)
{
    double sigma = f->shift * s / (1 + (f->shift - 1) * s);
    /* never exactly 0 or 1: both ends say nothing about the other half of the mixture */
    return (float)fmin(fmax(sigma, 1e-5), 1 - 1e-5);
}

float flow_sigma(const flow *f, rng *r)
{
    if (f->density == FLOW_UNIFORM) return shifted(f, rng_double(r));
    return shifted(f, 1 / (1 + exp(-(f->mean + f->std * rng_normal(r)))));
}

/* Inverse of the normal distribution by bisection of erfc: exact enough, and called a few dozen times. */
static double normal_quantile(double u)
{
    double lo = -9, hi = 9;
    for (int i = 0; i < 60; i++) {
        double mid = 0.5 * (lo + hi);
        if (0.5 * erfc(-mid / 1.4142135623730951) < u) lo = mid;
        else hi = mid;
    }
    return 0.5 * (lo + hi);
}

float flow_quantile(const flow *f, double u)
{
    if (f->density == FLOW_UNIFORM) return shifted(f, u);
    return shifted(f, 1 / (1 + exp(-(f->mean + f->std * normal_quantile(u)))));
}

void flow_noise(rng *r, float *eps, size_t n)
{
    for (size_t i = 0; i < n; i++) eps[i] = (float)rng_normal(r);
}

void flow_mix(const float *x0, const float *eps, float sigma, size_t n, float *xt, float *target)
{
    for (size_t i = 0; i < n; i++) {
        xt[i] = (1 - sigma) * x0[i] + sigma * eps[i];
        target[i] = eps[i] - x0[i];
    }
}
