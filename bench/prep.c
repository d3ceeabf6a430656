/* prep.c - bench_prep [NETWORK [THREADS [ROUNDS]]]: ben2, isnet, retinaface (1024 x 1024), bisenet (512 x 512), and for their measure
 * what the kernels give: linear, conv, in BEN2's sizes; weights are made up, for time does not depend on them.  Each run stands between two probes of the peak; a JSON line a round: seconds, processor time, what both are of the peak.  The first round
 * pays for fresh memory, which some machines clear slowly; later ones find it there. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "backend/cpu/cpu.h"
#include "base/mem.h"
#include "model/ben2.h"
#include "model/bisenet.h"
#include "model/build.h"
#include "model/isnet.h"
#include "model/retinaface.h"
#include "nn/nn.h"
#include "nn/param.h"

static unsigned seed = 1;
static float *made[4000];
static int nmade;

static void make(void *user, const param *p)
{
    size_t n = (size_t)param_count(p), fan = n / (size_t)p->shape[0];
    float *data = mem_aligned(n * sizeof *data);
    (void)user;
    if (!data) exit(1);
    for (size_t i = 0; i < n; i++) {
        seed = seed * 1664525u + 1013904223u;
        float u = (float)(int)seed * 0x1p-31f;
        data[i] = p->rank > 1 ? 1.7f * u / (float)(fan > 1 ? __builtin_sqrt((double)fan) : 1) : 1 + 0.2f * u;
    }
    made[nmade++] = data;
    if (p->w) p->w->part[p->part].type = DT_F32, p->w->part[p->part].data = data;
    else *p->fp32 = data;
}

typedef struct network { const char *name; int side; void *m; tensor (*run)(nn *cx, const void *m, tensor x, grid g); } network;

static tensor run_ben2(nn *cx, const void *m, tensor x, grid g) { (void)g; return ben2_mask(cx, m, x); }
static tensor run_isnet(nn *cx, const void *m, tensor x, grid g) { return isnet_mask(cx, m, x, g); }
static tensor run_bisenet(nn *cx, const void *m, tensor x, grid g) { return bisenet_logits(cx, m, x, g); }
static tensor run_retinaface(nn *cx, const void *m, tensor x, grid g)
{
    tensor out[RETINA_LEVELS];
    grid to[RETINA_LEVELS];
    retinaface_run(cx, m, x, g, out, to);
    return out[0];
}

/* What most of BEN2 is: the two linears of a token's MLP, over and over; a 3 x 3 convolution of 128 channels. */
enum { WIDTH = 512, TOKENS = 5120, CHANNELS = 128, SIDE = 512, TIMES = 10 };
static weight yard[2];

static void linears(nn *cx, const void *m, tensor *io, int n, const void *env) { (void)m, (void)n, (void)env; io[0] = op_linear(cx, op_linear(cx, io[0], &yard[0]), &yard[1]); }
static void conv(nn *cx, const void *m, tensor *io, int n, const void *env)
{
    grid g = { 1, SIDE, SIDE };
    (void)m, (void)n, (void)env;
    io[0] = op_conv(cx, io[0], g, &yard[0], reach_padded(g, 3, 1, 1, 1), (tensor){ 0 }, ACT_NONE);
}
static tensor run_linear(nn *cx, const void *m, tensor x, grid g)
{
    (void)m, (void)g;
    x = tensor_from(cx, TOKENS, WIDTH, NULL);
    for (int i = 0; i < TIMES; i++) nn_block(cx, linears, NULL, &x, 1, NULL);
    return x;
}
static tensor run_conv(nn *cx, const void *m, tensor x, grid g)
{
    (void)m, (void)g;
    x = tensor_from(cx, SIDE * SIDE, CHANNELS, NULL);
    for (int i = 0; i < TIMES; i++) nn_block(cx, conv, NULL, &x, 1, NULL);
    return x;
}

static void yardstick(int i, int in, int out, int k)
{
    visitor v = { make, NULL };
    yard[i] = (weight){ 0 };
    weight_shape(&yard[i], "bench", in, out, k);
    visit_filter(&v, &yard[i], "bench");
}

static bool find(const char *name, network *n)
{
    if (strcmp(name, "linear") == 0) yardstick(0, WIDTH, 4 * WIDTH, 1), yardstick(1, 4 * WIDTH, WIDTH, 1), *n = (network){ name, 1, NULL, run_linear };
    else if (strcmp(name, "conv") == 0) yardstick(0, CHANNELS, CHANNELS, 3), *n = (network){ name, 1, NULL, run_conv };
    else if (strcmp(name, "ben2") == 0) *n = (network){ name, BEN2_SIDE, ben2_new(), run_ben2 }, ben2_visit(n->m, make, NULL);
    else if (strcmp(name, "isnet") == 0) *n = (network){ name, ISNET_SIDE, isnet_new(), run_isnet }, isnet_visit(n->m, make, NULL);
    else if (strcmp(name, "retinaface") == 0) *n = (network){ name, 1024, retinaface_new(), run_retinaface }, retinaface_visit(n->m, make, NULL), retinaface_fold(n->m);
    else if (strcmp(name, "bisenet") == 0) *n = (network){ name, 512, bisenet_new(), run_bisenet }, bisenet_visit(n->m, make, NULL), bisenet_fold(n->m);
    else return false;
    return true;
}

static double clock_of(clockid_t id)
{
    struct timespec t;
    clock_gettime(id, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static nn *context(device *dev, size_t nbytes)
{
    nn *cx = nn_new(&(nn_options){ .dev = dev, .work_nbytes = nbytes, .keep_nbytes = 1 }, NULL);
    if (!cx) exit(1);
    return cx;
}

static nn_counts once(nn *cx, const network *n)
{
    nn_reset(cx);
    n->run(cx, n->m, tensor_from(cx, n->side * n->side, 3, NULL), (grid){ 1, n->side, n->side });
    dreamo_error err = { 0 };
    if (nn_status(cx, &err)) fprintf(stderr, "%s\n", err.message), exit(1);
    return nn_count(cx);
}

int main(int argc, char **argv)
{
    static const char *const all[] = { "linear", "conv", "bisenet", "retinaface", "isnet", "ben2" };
    int threads = argc > 2 ? (int)strtol(argv[2], NULL, 10) : 0, rounds = argc > 3 ? (int)strtol(argv[3], NULL, 10) : 3;
    for (size_t k = 0; k < sizeof all / sizeof *all; k++) {
        network n;
        if (argc > 1 && strcmp(argv[1], all[k]) != 0) continue;
        if (!find(all[k], &n)) return 1;
        device *dry = backend_dry.open(1), *dev = backend_cpu.open(threads);
        nn *plans = context(dry, 0);
        nn_counts plan = once(plans, &n);
        nn *cx = context(dev, plan.work_peak);
        for (int r = 0; r < rounds; r++) {
            double peak = cpu_peak(dev), t = clock_of(CLOCK_MONOTONIC), c = clock_of(CLOCK_PROCESS_CPUTIME_ID);
            once(cx, &n);
            t = clock_of(CLOCK_MONOTONIC) - t;
            c = clock_of(CLOCK_PROCESS_CPUTIME_ID) - c;
            peak = (peak + cpu_peak(dev)) / 2;
            printf("{\"network\":\"%s\",\"gflop\":%.1f,\"memory_mb\":%.0f,\"seconds\":%.3f,\"cpu_seconds\":%.3f,\"peak_share\":%.3f,\"cpu_share\":%.3f}\n", n.name, plan.flops * 1e-9,
                   (double)plan.work_peak * 1e-6, t, c, plan.flops / t / peak, plan.flops / (c / cpu_threads(dev)) / peak);
            fflush(stdout);
        }
        nn_free(cx);
        nn_free(plans);
        backend_cpu.close(dev);
        backend_dry.close(dry);
        while (nmade) mem_free(made[--nmade]);
    }
    return 0;
}
