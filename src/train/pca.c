/* pca.c - covariance of patches and its eigenvectors by Jacobi rotations. */
#include "train/pca.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

double psnr(double error) { return 10 * log10(4 / fmax(error, 1e-12)); }

void pca_free(pca *c)
{
    mem_free(c->mean);
    mem_free(c->variance);
    mem_free(c->axis);
    *c = (pca){ 0 };
}

/* Patch (y, x) of a picture, in the order row, column, channel. */
static void patch_at(const float *picture, int w, int side, int y, int x, double *out)
{
    for (int dy = 0; dy < side; dy++)
        for (int k = 0; k < side * 3; k++)
            *out++ = picture[((size_t)(y * side + dy) * (size_t)w + (size_t)(x * side)) * 3 + (size_t)k];
}

/* mean [dim] and covariance [dim, dim] over all patches. */
static void moments(const float *pixels, int pictures, int w, int h, int side, double *mean, double *cov, double *patch)
{
    int dim = side * side * 3, columns = w / side, cells = columns * (h / side);
    double count = (double)pictures * cells;
    memset(mean, 0, (size_t)dim * sizeof *mean);
    memset(cov, 0, (size_t)(dim * dim) * sizeof *cov);
    for (int i = 0; i < pictures; i++)
        for (int at = 0; at < cells; at++) {
            patch_at(pixels + (size_t)i * (size_t)(w * h) * 3, w, side, at / columns, at % columns, patch);
            for (int a = 0; a < dim; a++) {
                mean[a] += patch[a];
                for (int b = 0; b <= a; b++) cov[a * dim + b] += patch[a] * patch[b];
            }
        }
    for (int a = 0; a < dim; a++) mean[a] /= count;
    for (int a = 0; a < dim; a++)
        for (int b = 0; b <= a; b++) cov[b * dim + a] = cov[a * dim + b] = cov[a * dim + b] / count - mean[a] * mean[b];
}

/* Cyclic Jacobi (Golub and Van Loan, 8.5). */
void eigenvectors(double *a, double *v, int n)
{
    for (int i = 0; i < n * n; i++) v[i] = i % (n + 1) == 0;
    for (int sweep = 0; sweep < 60; sweep++) {
        double off = 0, on = 0;
        for (int p = 0; p < n; p++)
            for (int q = 0; q < n; q++) *(p == q ? &on : &off) += a[p * n + q] * a[p * n + q];
        if (off <= 1e-24 * on) return;
        for (int p = 0; p < n; p++)
            for (int q = p + 1; q < n; q++) {
                if (a[p * n + q] == 0) continue;
                double tau = (a[q * n + q] - a[p * n + p]) / (2 * a[p * n + q]);
                double t = (tau >= 0 ? 1 : -1) / (fabs(tau) + sqrt(1 + tau * tau)), c = 1 / sqrt(1 + t * t), s = t * c;
                for (int k = 0; k < n; k++) {
                    double x = a[k * n + p], y = a[k * n + q];
                    a[k * n + p] = c * x - s * y;
                    a[k * n + q] = s * x + c * y;
                }
                for (int k = 0; k < n; k++) {
                    double x = a[p * n + k], y = a[q * n + k];
                    a[p * n + k] = c * x - s * y;
                    a[q * n + k] = s * x + c * y;
                    x = v[k * n + p];
                    y = v[k * n + q];
                    v[k * n + p] = c * x - s * y;
                    v[k * n + q] = s * x + c * y;
                }
            }
    }
}

static void take_largest(pca *c, const double *cov, const double *vectors, bool *taken)
{
    for (int k = 0; k < c->kept; k++) {
        int best = -1;
        for (int i = 0; i < c->dim; i++)
            if (!taken[i] && (best < 0 || cov[i * (c->dim + 1)] > cov[best * (c->dim + 1)])) best = i;
        taken[best] = true;
        c->variance[k] = fmax(cov[best * (c->dim + 1)], 0);
        for (int i = 0; i < c->dim; i++) c->axis[k * c->dim + i] = vectors[i * c->dim + best];
    }
}

dreamo_status pca_fit(pca *c, const float *pixels, int pictures, int w, int h, int side, int kept, dreamo_error *err)
{
    int dim = side * side * 3;
    size_t square = (size_t)(dim * dim) * sizeof(double), row = (size_t)dim * sizeof(double);
    if (kept > dim) return fail(err, DREAMO_ARG, "%d components of patches with %d numbers", kept, dim);
    *c = (pca){ .side = side, .dim = dim, .kept = kept, .mean = mem_alloc(row),
                .variance = mem_alloc((size_t)kept * sizeof(double)), .axis = mem_alloc((size_t)kept * row) };
    double *cov = mem_alloc(square), *vectors = mem_alloc(square), *patch = mem_alloc(row);
    bool *taken = mem_calloc((size_t)dim, sizeof *taken);
    dreamo_status s = DREAMO_OK;
    if (c->mean && c->variance && c->axis && cov && vectors && patch && taken) {
        moments(pixels, pictures, w, h, side, c->mean, cov, patch);
        eigenvectors(cov, vectors, dim);
        take_largest(c, cov, vectors, taken);
    } else {
        pca_free(c);
        s = fail(err, DREAMO_MEMORY, "no memory for principal components of %d numbers", dim);
    }
    mem_free(cov);
    mem_free(vectors);
    mem_free(patch);
    mem_free(taken);
    return s;
}

double pca_error(const pca *c, const float *pixels, int pictures, int w, int h)
{
    int columns = w / c->side, cells = columns * (h / c->side);
    double sum = 0, *patch = mem_alloc((size_t)c->dim * sizeof *patch);
    if (!patch) return NAN;
    for (int i = 0; i < pictures; i++)
        for (int at = 0; at < cells; at++) {
            patch_at(pixels + (size_t)i * (size_t)(w * h) * 3, w, c->side, at / columns, at % columns, patch);
            double all = 0, seen = 0;
            for (int a = 0; a < c->dim; a++) {
                patch[a] -= c->mean[a];
                all += patch[a] * patch[a];
            }
            for (int k = 0; k < c->kept; k++) {
                double dot = 0;
                for (int a = 0; a < c->dim; a++) dot += c->axis[k * c->dim + a] * patch[a];
                seen += dot * dot;
            }
            sum += all - seen;
        }
    mem_free(patch);
    return sum / ((double)pictures * w * h * 3);
}
