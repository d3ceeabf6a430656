/* pca.h - principal components of picture patches: the autoencoder's opponent, and its first weights. */
#ifndef TRAIN_PCA_H
#define TRAIN_PCA_H
#include <stdbool.h>
#include "base/error.h"

/* Patches of side x side pixels, values channels last: dim = side * side * 3. */
typedef struct pca {
    int side, dim, kept;
    double *mean;        /* [dim] */
    double *variance;    /* [kept], largest first */
    double *axis;        /* [kept, dim], orthonormal rows */
} pca;

/* Fit to `pictures` of w x h pixels each, [pictures, h, w, 3] in [-1, 1]; w and h are multiples of side. */
dreamo_status pca_fit(pca *c, const float *pixels, int pictures, int w, int h, int side, int kept, dreamo_error *err);
void          pca_free(pca *c);
/* Mean squared error of pictures put through the `kept` numbers and back. */
double        pca_error(const pca *c, const float *pixels, int pictures, int w, int h);
/* a [n, n], symmetric, becomes diagonal; v: its eigenvectors in columns, in no order. */
void          eigenvectors(double *a, double *v, int n);
/* 10 log10(range^2 / error), range 2: pictures lie in [-1, 1]. */
double        psnr(double error);
#endif
