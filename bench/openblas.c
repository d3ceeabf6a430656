/* openblas.c - our linear layer against OpenBLAS's sgemm, fp32, in strict alternation: both see the same phases of the host.
 * A row prints the median of the per-round ratios; the last line pools all rounds of all shapes.
 * `bench_openblas [threads] [rounds]` */
#include <cblas.h>
#include <stdio.h>
#include <stdlib.h>
#include <stdlib.h>
#include "backend/cpu/cpu.h"
#include "base/arena.h"
#include "base/file.h"
#include "eval/bench.h"

void openblas_set_num_threads(int n);

enum { ROUNDS_MAX = 64 };

static tensor filled(arena *a, int rows, int cols)
{
    tensor t = {.p = arena_get(a, sizeof(float) * (size_t)rows * (size_t)cols), .rows = rows, .cols = cols, .ld = cols};
    for (size_t i = 0; t.p && i < (size_t)rows * (size_t)cols; i++) t.p[i] = (float)(i * 7919 % 1000) * 1e-3f - 0.5f;
    return t;
}

/* Seconds for one product, repeated until 10 ms have passed. */
static double ours(device *dev, tensor y, tensor x, const weight *w)
{
    double start = seconds_now(), took;
    int n = 0;
    do {
        dev->be->linear(dev, y, x, w, (tensor){0});
        n++;
    } while ((took = seconds_now() - start) < 1e-2);
    return took / n;
}

static double theirs(tensor y, tensor x, tensor w)
{
    double start = seconds_now(), took;
    int n = 0;
    do {
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, x.rows, w.rows, x.cols, 1, x.p, x.ld, w.p, w.ld, 0, y.p, y.ld);
        n++;
    } while ((took = seconds_now() - start) < 1e-2);
    return took / n;
}

int main(int argc, char **argv)
{
    static const int shapes[][3] = {{256, 3072, 9216}, {1024, 3072, 9216}, {1536, 3072, 9216}, {1024, 3072, 3072}, {1024, 3072, 12288}, {1024, 12288, 3072},
                                    {512, 192, 576}, {2048, 192, 192}, {2048, 192, 768}, {2048, 768, 192}, {2048, 256, 1024}, {2048, 1024, 256}};
    enum { SHAPES = sizeof shapes / sizeof *shapes };
    device *dev = backend_cpu.open(argc > 1 ? atoi(argv[1]) : 0);
    int rounds = argc > 2 ? atoi(argv[2]) : 7, pooled_n = 0;
    static double pooled[SHAPES * ROUNDS_MAX];
    arena memory;
    if (!dev || !arena_init(&memory, (size_t)1 << 30) || rounds < 1 || rounds > ROUNDS_MAX) return 1;
    openblas_set_num_threads(cpu_threads(dev));
    for (int s = 0; s < SHAPES; s++) {
        int m = shapes[s][0], in = shapes[s][1], out = shapes[s][2];
        double ratio[ROUNDS_MAX], mine[ROUNDS_MAX], other[ROUNDS_MAX];
        tensor x = filled(&memory, m, in), y = filled(&memory, m, out), values = filled(&memory, out, in);
        if (memory.full) return 1;
        weight w = {.name = "bench", .in = in, .out = out, .kh = 1, .kw = 1, .nparts = 1, .part = {{.rows = out, .type = DT_F32, .data = values.p}}};
        ours(dev, y, x, &w);
        theirs(y, x, values);
        for (int r = 0; r < rounds; r++) {
            mine[r] = 2e-9 * m * in * out / ours(dev, y, x, &w);
            other[r] = 2e-9 * m * in * out / theirs(y, x, values);
            pooled[pooled_n++] = ratio[r] = mine[r] / other[r];
        }
        double share = bench_median(mine, rounds) * 1e9 / cpu_peak(dev);
        printf("%5dx%d->%-6d ours %6.1f GF/s (%.2f of peak), OpenBLAS %6.1f GF/s, ratio %.2f\n", m, in, out, bench_median(mine, rounds), share,
               bench_median(other, rounds), bench_median(ratio, rounds));
        fflush(stdout);
        arena_release(&memory, 0);
    }
    printf("pooled median ratio %.2f over %d rounds\n", bench_median(pooled, pooled_n), pooled_n);
    arena_free(&memory);
    backend_cpu.close(dev);
    return 0;
}
