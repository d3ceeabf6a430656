/* encode.c - how far the encoders of weights are from memory's speed: one thread, processor time, each between two copies of the same numbers.
 *
 *     encode [MILLIONS [TIMES]]
 *
 * What converting does to a tensor: bf16 is read, made to fp32, and encoded.  Numbers are normally distributed, as trained matrices
 * nearly are.  MB/s are of bf16 read; the share is of what memcpy moves of it in the same time. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "base/dtype.h"

enum { PIECE = 8192 };

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static double copy(void *to, const void *from, size_t nbytes)
{
    double began = seconds();
    memcpy(to, from, nbytes);
    return seconds() - began;
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

int main(int argc, char **argv)
{
    static const dtype types[] = { DT_F16, DT_F8_E4M3, DT_Q8_0, DT_Q4_0, DT_Q5_1, DT_Q4_K, DT_Q5_K, DT_Q6_K };
    static float piece[PIECE];
    size_t n = (size_t)(argc > 1 ? atol(argv[1]) : 16) * 1000000 / PIECE * PIECE;
    int times = argc > 2 ? atoi(argv[2]) : 5;
    unsigned short *from = malloc(2 * n);
    unsigned char *to = malloc(4 * n);
    double took[64], copied[64];
    if (!n || times < 1 || times > 64 || !from || !to) return fprintf(stderr, "encode [MILLIONS [TIMES]]\n"), 2;
    srand(1);
    for (size_t i = 0; i < n; i++) {
        float x = (float)(0.02 * sqrt(-2 * log((rand() + 1.0) / (RAND_MAX + 1.0))) * cos(6.283185307 * rand() / RAND_MAX));
        dtype_from_f32(DT_BF16, &x, 1, &from[i]);
    }
    memset(to, 1, 4 * n); /* its pages are there */
    for (size_t k = 0; k < sizeof types / sizeof *types; k++) {
        if (!dtype_is_encoded(types[k])) continue;
        for (int i = 0; i < times; i++) {
            copied[i] = copy(to, from, 2 * n);
            double began = seconds();
            unsigned char *out = to;
            for (size_t at = 0; at < n; at += PIECE, out += dtype_nbytes_of(types[k], PIECE)) {
                dtype_to_f32(DT_BF16, from + at, PIECE, piece);
                dtype_from_f32(types[k], piece, PIECE, out);
            }
            took[i] = seconds() - began;
            copied[i] = 0.5 * (copied[i] + copy(to, from, 2 * n));
        }
        qsort(took, (size_t)times, sizeof *took, by_size);
        qsort(copied, (size_t)times, sizeof *copied, by_size);
        double t = took[times / 2], c = copied[times / 2];
        printf("%-8s %8.1f million numbers/s %8.0f MB/s of bf16, %5.2f %% of memcpy's %.0f MB/s\n", dtype_name(types[k]), 1e-6 * (double)n / t,
               2e-6 * (double)n / t, 100 * c / t, 2e-6 * (double)n / c);
    }
    free(from);
    free(to);
    return 0;
}
