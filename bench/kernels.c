/* kernels.c - print one JSON line a kernel and shape: `bench_kernels [only] [threads]`. */
#include <stdio.h>
#include <stdlib.h>
#include "dreamo.h"

static bool print(void *user, const dreamo_kernel_rate *r)
{
    (void)user;
    printf("{\"kernel\":\"%s\",\"shape\":\"%s\",\"weights\":\"%s\",\"gflops\":%.1f,\"peak_share\":%.3f,\"best_share\":%.3f,\"cpu_share\":%.3f,\"seconds\":%.6g,\"cpu_seconds\":%.6g,\"runs\":%d}\n", r->kernel,
           r->shape, r->weights, r->gflops, r->peak_share, r->best_share, r->cpu_share, r->seconds, r->cpu_seconds, r->runs);
    fflush(stdout);
    return true;
}

int main(int argc, char **argv)
{
    dreamo_error err = {0};
    dreamo_status s = dreamo_bench_kernels(argc > 2 ? atoi(argv[2]) : 0, argc > 1 ? argv[1] : NULL, print, NULL, &err);
    if (s) fprintf(stderr, "%s\n", err.message);
    return dreamo_exit_code(s);
}
