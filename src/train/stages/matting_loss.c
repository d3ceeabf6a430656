/* matting_loss.c - cross entropy and Jaccard distance. */
#include "train/stages/matting_loss.h"

#include <math.h>
#include <stddef.h>

static double one_picture(const float *x, const unsigned char *alpha, int n, double share, float *grad, double part[2])
{
    double entropy = 0, both = 0, either = 1e-6;
    for (int i = 0; i < n; i++) {
        double a = alpha[i] / 255.0, p = 1 / (1 + exp(-(double)x[i]));
        entropy += log1p(exp(-fabs((double)x[i]))) + (x[i] > 0 ? (1 - a) * (double)x[i] : -a * (double)x[i]);
        both += p * a, either += p + a - p * a;
    }
    both += 1e-6; /* nothing there and nothing seen: no distance */
    for (int i = 0; grad && i < n; i++) {
        double a = alpha[i] / 255.0, p = 1 / (1 + exp(-(double)x[i])), slope = p * (1 - p);
        double jaccard = -(a * either - both * (1 - a)) / (either * either) * slope;
        grad[i] = (float)(share * ((p - a) / n + jaccard));
    }
    part[0] += share * entropy / n;
    part[1] += share * (1 - both / either);
    return share * (entropy / n + 1 - both / either);
}

double matting_loss(const float *x, const unsigned char *alpha, int pictures, int pixels, float *grad, double part[2])
{
    double sum = 0;
    part[0] = part[1] = 0;
    for (int i = 0; i < pictures; i++) {
        size_t at = (size_t)i * (size_t)pixels;
        sum += one_picture(x + at, alpha + at, pixels, 1.0 / pictures, grad ? grad + at : NULL, part);
    }
    return sum;
}

void matting_measure(const float *p, const unsigned char *alpha, int pixels, double *error, double *jaccard)
{
    double sum = 0;
    int both = 0, either = 0;
    for (int i = 0; i < pixels; i++) {
        int one = p[i] > 0.5f, other = alpha[i] > 127;
        sum += fabs((double)p[i] - alpha[i] / 255.0);
        both += one && other, either += one || other;
    }
    *error = sum / pixels;
    *jaccard = either ? (double)both / either : 1;
}
