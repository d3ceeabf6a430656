/* bench.c - measuring the kernels.
 *
 * Every run stands between two probes of the machine's peak (cpu_peak), and a row reports medians: hosts have fast
 * and slow phases, and other programs run.  Backward counts what it computes: twice the forward work where the weights
 * train (small shapes), once where they are frozen (FLUX under an adapter), 2.5 times for attention. */
#include "eval/bench.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "backend/cpu/cpu.h"
#include "base/arena.h"
#include "base/file.h"
#include "eval/bench_step.h"

enum { RUNS_MIN = 5, RUNS_MAX = 25 };
static const double SECONDS_A_ROW = 0.5;

typedef struct bench {
    device *dev;
    arena memory;
    const char *only;
    dreamo_kernel_row row;
    void *user;
    bool stopped;
    bool bf16; /* what trains multiplies in bf16 */
} bench;

typedef enum direction { FORWARD, BACKWARD, FORWARD_FAST /* activations in 8 bits */ } direction;

/* What a run needs; which of them are set depends on the kernel. */
typedef struct operands {
    tensor x, y, dx, dy, q, k, v, dq, dk, dv, low, lse;
    weight w;
    grid g;
    int stride;
    layout l;
    attention_opts o;
    bench_step *step;
    bool fast;
} operands;

static tensor bench_tensor(bench *b, int rows, int cols)
{
    tensor t = {.rows = rows, .cols = cols, .ld = cols, .p = arena_get(&b->memory, sizeof(float) * (size_t)rows * (size_t)cols)};
    uint32_t s = 12345;
    for (size_t i = 0; t.p && i < (size_t)rows * (size_t)cols; i++) {
        s = s * 1664525u + 1013904223u;
        t.p[i] = (float)((int32_t)s >> 8) * 0x1p-24f;
    }
    return t;
}

/* A weight of one part with values in +-0.5; with `trains` it has gradients. */
static weight bench_weight(bench *b, int in, int out, int kernel, dtype type, bool trains)
{
    weight w = {.name = "bench", .in = in, .out = out, .kh = kernel, .kw = kernel, .nparts = 1};
    int each = in * kernel * kernel;
    size_t n = (size_t)out * (size_t)each;
    tensor values = bench_tensor(b, out, each);
    void *data = values.p;
    if (type != DT_F32) {
        data = arena_get(&b->memory, dtype_nbytes_of(type, n));
        if (data && values.p) dtype_from_f32(type, values.p, n, data);
    }
    w.part[0] = (weight_part){.rows = out, .type = type, .data = data, .bias = bench_tensor(b, 1, out).p};
    if (trains) {
        w.part[0].grad = bench_tensor(b, out, each).p;
        w.part[0].grad_bias = bench_tensor(b, 1, out).p;
    }
    return w;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double bench_median(double *v, int n)
{
    qsort(v, (size_t)n, sizeof *v, by_value);
    return n % 2 ? v[n / 2] : (v[n / 2 - 1] + v[n / 2]) / 2;
}

static double cpu_seconds(void) /* used by all threads of this process */
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void measure(bench *b, const char *kernel, const char *shape, dtype type, double flops, void (*run)(device *, operands *), operands *o)
{
    double rate[RUNS_MAX], share[RUNS_MAX], own[RUNS_MAX], spent = 0, cpu_each[RUNS_MAX];
    char weights[24];
    int n = 0;
    if (b->memory.full) return;
    b->dev->bf16 = b->bf16;
    run(b->dev, o); /* pages, caches, scratch */
    double before = cpu_peak(b->dev);
    while (n < RUNS_MAX && (n < RUNS_MIN || spent < SECONDS_A_ROW)) {
        int repeats = 0;
        double start = seconds_now(), start_cpu = cpu_seconds(), took;
        do { /* long enough for the kernel's accounting of processor time, which goes in ticks */
            run(b->dev, o);
            repeats++;
            took = seconds_now() - start;
        } while (took < 16e-3);
        double cpu = (cpu_seconds() - start_cpu) / cpu_threads(b->dev), after = cpu_peak(b->dev), peak = (before + after) / 2;
        rate[n] = flops * repeats / took;
        share[n] = rate[n] / peak;
        cpu_each[n] = cpu * cpu_threads(b->dev) / repeats;
        own[n++] = flops * repeats / cpu / peak;
        before = after;
        spent += took;
    }
    b->dev->bf16 = false;
    snprintf(weights, sizeof weights, "%s%s", dtype_name(type), o->fast ? " int8" : b->bf16 ? " bf16" : "");
    dreamo_kernel_rate r = {.kernel = kernel, .shape = shape, .weights = weights, .gflops = bench_median(rate, n) * 1e-9,
                            .seconds = flops / bench_median(rate, n), .cpu_seconds = bench_median(cpu_each, n), .peak_share = bench_median(share, n), .cpu_share = bench_median(own, n), .runs = n};
    r.best_share = share[n - 1];
    if (!b->row(b->user, &r)) b->stopped = true;
}

static bool wanted(const bench *b, const char *kernel) { return !b->stopped && (!b->only || strncmp(kernel, b->only, strlen(b->only)) == 0); }

/* ---- linear ---- */

static void run_linear(device *dev, operands *o)
{
    dev->fast = o->fast;
    dev->be->linear(dev, o->y, o->x, &o->w, o->low);
    dev->fast = false;
}

static void run_linear_backward(device *dev, operands *o) { dev->be->linear_backward(dev, o->dx, o->dy, o->x, &o->w, o->low); }

static void bench_linear(bench *b, direction d, int rows, int in, int out, dtype type, bool trains)
{
    const char *kernel = d == BACKWARD ? "linear.backward" : "linear";
    char shape[64];
    if (!wanted(b, kernel)) return;
    snprintf(shape, sizeof shape, "%dx%d->%d%s", rows, in, out, d == BACKWARD && !trains ? " frozen" : "");
    operands o = {.x = bench_tensor(b, rows, in), .w = bench_weight(b, in, out, 1, type, d == BACKWARD && trains), .fast = d == FORWARD_FAST};
    if (d != BACKWARD) o.y = bench_tensor(b, rows, out);
    else o.dx = bench_tensor(b, rows, in), o.dy = bench_tensor(b, rows, out);
    double flops = 2.0 * rows * in * out * (d == BACKWARD && trains ? 2 : 1);
    measure(b, kernel, shape, type, flops, d == BACKWARD ? run_linear_backward : run_linear, &o);
    arena_release(&b->memory, 0);
}

/* ---- attention ---- */

static void run_attention(device *dev, operands *o) { dev->be->attention(dev, o->y, o->q, o->k, o->v, o->l, o->o, o->lse); }
static void run_attention_backward(device *dev, operands *o)
{
    dev->be->attention_backward(dev, o->dq, o->dk, o->dv, o->dy, o->y, o->q, o->k, o->v, o->l, o->o, o->lse);
}

static void bench_attention(bench *b, direction d, int samples, int length, int heads, int dim)
{
    const char *kernel = d == FORWARD ? "attention" : "attention.backward";
    char shape[64];
    span spans[64];
    if (!wanted(b, kernel)) return;
    int rows = samples * length, cols = heads * dim;
    for (int i = 0; i < samples; i++) spans[i] = (span){i * length, length, i};
    snprintf(shape, sizeof shape, "%dx%d rows, %dx%d", samples, length, heads, dim);
    operands o = {.q = bench_tensor(b, rows, cols), .k = bench_tensor(b, rows, cols), .v = bench_tensor(b, rows, cols), .y = bench_tensor(b, rows, cols),
                  .lse = bench_tensor(b, rows, heads), .l = {samples, samples, spans}, .o = {.heads = heads}};
    double flops = 4.0 * samples * length * length * cols;
    if (d == BACKWARD) {
        o.dq = bench_tensor(b, rows, cols), o.dk = bench_tensor(b, rows, cols), o.dv = bench_tensor(b, rows, cols), o.dy = bench_tensor(b, rows, cols);
        if (!b->memory.full) run_attention(b->dev, &o);
        flops *= 2.5;
    }
    measure(b, kernel, shape, DT_F32, flops, d == FORWARD ? run_attention : run_attention_backward, &o);
    arena_release(&b->memory, 0);
}

/* ---- convolution ---- */

static void run_conv(device *dev, operands *o) { dev->be->conv2d(dev, o->y, o->x, o->g, &o->w, o->stride); }
static void run_conv_backward(device *dev, operands *o) { dev->be->conv2d_backward(dev, o->dx, o->dy, o->x, o->g, &o->w, o->stride); }

static void bench_conv(bench *b, direction d, int n, int size, int in, int out, int stride)
{
    const char *kernel = d == FORWARD ? "conv" : "conv.backward";
    char shape[64];
    if (!wanted(b, kernel)) return;
    int pixels = n * size * size, made = pixels / stride / stride;
    snprintf(shape, sizeof shape, "%dx%dx%d, %d->%d, 3x3%s", n, size, size, in, out, stride == 2 ? " stride 2" : "");
    operands o = {.x = bench_tensor(b, pixels, in), .w = bench_weight(b, in, out, 3, DT_F32, d == BACKWARD), .g = {n, size, size}, .stride = stride};
    if (d == FORWARD) o.y = bench_tensor(b, made, out);
    else o.dy = bench_tensor(b, made, out);
    bool first = in <= 4; /* a first layer: nobody asks for the picture's gradient */
    if (d == BACKWARD && !first) o.dx = bench_tensor(b, pixels, in);
    double flops = 2.0 * 9 * made * in * out * (d == BACKWARD && !first ? 2 : 1);
    measure(b, kernel, shape, DT_F32, flops, d == FORWARD ? run_conv : run_conv_backward, &o);
    arena_release(&b->memory, 0);
}

/* ---- whole training steps ---- */

static void run_step(device *dev, operands *o)
{
    if (bench_step_run(o->step, NULL)) dev->failed = true;
}

static void bench_whole_step(bench *b, bench_network which)
{
    if (!wanted(b, "step")) return;
    operands o = {.step = bench_step_new(b->dev, which, NULL)};
    if (!o.step) {
        b->dev->failed = true;
        return;
    }
    run_step(b->dev, &o);
    measure(b, "step", bench_step_shape(o.step), DT_F32, bench_step_flops(o.step), run_step, &o);
    bench_step_free(o.step);
}

/* ---- the list: FLUX's shapes, then the default model's and its autoencoder's ---- */

static const int small[][3] = {{512, 192, 576}, {512, 192, 768}, {2048, 192, 192}, {2048, 192, 576}, {2048, 768, 192}, {2048, 256, 1024}, {2048, 1024, 256}};

/* What a training step with bf16 products does, where that is faster. */
static void bench_all_bf16(bench *b)
{
    if (!b->dev->gains_by_bf16) return;
    b->bf16 = true;
    for (size_t s = 0; s < sizeof small / sizeof *small; s++) bench_linear(b, FORWARD, small[s][0], small[s][1], small[s][2], DT_F32, false);
    for (size_t s = 0; s < sizeof small / sizeof *small; s++) bench_linear(b, BACKWARD, small[s][0], small[s][1], small[s][2], DT_F32, true);
    bench_whole_step(b, BENCH_DIT);
    b->bf16 = false;
}

static void bench_all_linear(bench *b)
{
    static const int rows[] = {256, 1024, 1536}, flux[][2] = {{3072, 9216}, {3072, 3072}, {3072, 12288}, {12288, 3072}};
    static const dtype quantised[] = {DT_Q8_0, DT_Q4_0, DT_F8_E4M3};
    static const dtype integers[] = {DT_Q8_0, DT_Q6_K, DT_Q5_K, DT_Q4_K, DT_Q4_0};
    for (dtype t = DT_F32; t <= DT_F16; t++)
        for (int i = 0; i < 3; i++) bench_linear(b, FORWARD, rows[i], flux[0][0], flux[0][1], t, false);
    for (int s = 1; s < 4; s++) bench_linear(b, FORWARD, 1024, flux[s][0], flux[s][1], DT_BF16, false);
    for (size_t s = 0; s < sizeof small / sizeof *small; s++) bench_linear(b, FORWARD, small[s][0], small[s][1], small[s][2], DT_F32, false);
    for (int t = 0; t < 3; t++) /* these are judged beside fp32 at the same shape, not by the median of the others */
        for (int s = 0; s < 4; s++) bench_linear(b, FORWARD, 1024, flux[s][0], flux[s][1], quantised[t], false);
    for (size_t t = 0; t < sizeof integers / sizeof *integers; t++) bench_linear(b, FORWARD_FAST, 1024, flux[0][0], flux[0][1], integers[t], false);
    for (int s = 1; s < 4; s++) bench_linear(b, FORWARD_FAST, 1024, flux[s][0], flux[s][1], DT_Q4_0, false);
    for (int s = 0; s < 4; s++) bench_linear(b, BACKWARD, 1024, flux[s][0], flux[s][1], DT_BF16, false);
    for (int t = 0; t < 3; t++) bench_linear(b, BACKWARD, 1024, flux[0][0], flux[0][1], quantised[t], false);
    for (size_t s = 0; s < sizeof small / sizeof *small; s++) bench_linear(b, BACKWARD, small[s][0], small[s][1], small[s][2], DT_F32, true);
}

static void bench_all_attention(bench *b, direction d)
{
    bench_attention(b, d, 1, 768, 24, 128);
    bench_attention(b, d, 1, 1536, 24, 128);
    bench_attention(b, d, 16, 100, 6, 32);
    bench_attention(b, d, 16, 144, 6, 32);
    bench_attention(b, d, 16, 200, 4, 64);
}

static void bench_all_conv(bench *b, direction d)
{
    bench_conv(b, d, 1, 64, 512, 512, 1);
    bench_conv(b, d, 1, 128, 256, 256, 1);
    bench_conv(b, d, 1, 256, 128, 128, 1);
    bench_conv(b, d, 8, 64, 3, 32, 1);
    bench_conv(b, d, 8, 64, 16, 16, 1);
    bench_conv(b, d, 8, 64, 32, 32, 1);
    bench_conv(b, d, 8, 64, 32, 64, 2);
    bench_conv(b, d, 8, 32, 64, 64, 1);
    bench_conv(b, d, 8, 16, 128, 128, 1);
}

dreamo_status bench_kernels(device *dev, const char *only, dreamo_kernel_row row, void *user, dreamo_error *err)
{
    bench b = {.dev = dev, .only = only, .row = row, .user = user};
    if (!arena_init(&b.memory, (size_t)1 << 30)) return fail(err, DREAMO_MEMORY, "no memory to measure in");
    bench_all_linear(&b);
    for (direction d = FORWARD; d <= BACKWARD; d++) {
        bench_all_attention(&b, d);
        bench_all_conv(&b, d);
    }
    bench_whole_step(&b, BENCH_DIT);
    bench_whole_step(&b, BENCH_VAE);
    bench_all_bf16(&b);
    bool full = b.memory.full || dev->failed;
    arena_free(&b.memory);
    if (full) return fail(err, DREAMO_MEMORY, "no memory to measure in");
    return b.stopped ? fail(err, DREAMO_CANCELLED, "stopped by the caller") : DREAMO_OK;
}

dreamo_status dreamo_bench_kernels(int threads, const char *only, dreamo_kernel_row row, void *user, dreamo_error *err)
{
    if (!row) return fail(err, DREAMO_ARG, "the function for the rows is missing");
    device *dev = backend_cpu.open(threads);
    if (!dev) return fail(err, DREAMO_DEVICE, "cannot open the CPU backend: no memory, or DREAMO_CPU asks for what this machine lacks");
    dreamo_status s = bench_kernels(dev, only, row, user, err);
    dev->be->close(dev);
    return s;
}
