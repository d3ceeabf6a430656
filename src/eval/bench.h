/* bench.h - how fast the CPU kernels are, as a share of what the machine can do at that moment. */
#ifndef EVAL_BENCH_H
#define EVAL_BENCH_H
#include "base/error.h"
#include "nn/backend.h"

/* Report every kernel and shape through `row`; the public face is dreamo_bench_kernels. */
dreamo_status bench_kernels(device *dev, const char *only, dreamo_kernel_row row, void *user, dreamo_error *err);
/* Sorts v [n]; n >= 1. */
double bench_median(double *v, int n);
#endif
