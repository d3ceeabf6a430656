/* self_test.c - ops of the transformer, the text encoders and the autoencoder on a device against the same on ref, and the speed of a product.
 *
 * The ops run TURNS times on other numbers before those that count: a graph that is run again is captured on some devices (CUDA), and then
 * computed from the capture. */
#include "backend/ggml/self_test.h"
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include "base/half.h"
#include "base/mem.h"
#include "base/rng.h"
#include "nn/nn.h"

enum { ROWS = 40, WIDTH = 128, HEAD = 64, SMALL = 32, HIGH = 5, WIDE = 8, CHANNELS = 12, GROUPS = 4, WORK = 4 << 20, TURNS = 4 };
enum { BLOCK_OUT = ROWS * WIDTH, PICTURE_OUT = ROWS * WIDTH + 4 * ROWS * CHANNELS };

typedef struct parts { float x[ROWS * WIDTH], other[ROWS * WIDTH], mod[3 * WIDTH], gain[HEAD], bias[3 * WIDTH], cos[ROWS * HEAD / 2], sin[ROWS * HEAD / 2]; uint16_t w[3 * WIDTH * WIDTH];
    int32_t pos[3 * ROWS]; float small_gain[SMALL], turn_cos[ROWS * SMALL / 2], turn_sin[ROWS * SMALL / 2], filter[CHANNELS * WIDTH * 9], filter_bias[CHANNELS]; } parts;

static const int small_axes[3] = { 4, 14, 14 };

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void fill(parts *p)
{
    rng r = rng_new(1, 1);
    for (int i = 0; i < ROWS * WIDTH; i++) p->x[i] = (float)rng_normal(&r), p->other[i] = p->x[i] * p->x[i];
    for (int i = 0; i < 3 * WIDTH; i++) p->mod[i] = p->bias[i] = 0.3f * (float)rng_normal(&r);
    for (int i = 0; i < HEAD; i++) p->gain[i] = 1 + 0.1f * (float)rng_normal(&r);
    for (int i = 0; i < ROWS * HEAD / 2; i++) p->cos[i] = cosf((float)i * 0.37f), p->sin[i] = sinf((float)i * 0.37f);
    for (int i = 0; i < 3 * WIDTH * WIDTH; i++) p->w[i] = f32_to_bf16((float)rng_normal(&r) / sqrtf(WIDTH));
    for (int i = 0; i < SMALL; i++) p->small_gain[i] = 1 + 0.1f * (float)rng_normal(&r);
    for (int i = 0; i < CHANNELS * WIDTH * 9; i++) p->filter[i] = (float)rng_normal(&r) / sqrtf(9 * WIDTH);
    for (int i = 0; i < CHANNELS; i++) p->filter_bias[i] = 0.3f * (float)rng_normal(&r);
    for (int i = 0; i < ROWS; i++) { /* as text is, without a place, and then pixels */
        p->pos[i] = 0;
        p->pos[ROWS + i] = i < 4 ? 0 : i / WIDE;
        p->pos[2 * ROWS + i] = i < 4 ? 0 : i % WIDE;
        for (int axis = 0, at = 0; axis < 3; at += small_axes[axis++] / 2)
            for (int k = 0; k < small_axes[axis] / 2; k++) {
                double angle = p->pos[axis * ROWS + i] * pow(10000, -2.0 * k / small_axes[axis]);
                p->turn_cos[i * SMALL / 2 + at + k] = (float)cos(angle);
                p->turn_sin[i * SMALL / 2 + at + k] = (float)sin(angle);
            }
    }
}

/* x + gate attention(norms and rotary of a projection of the modulated x), then gelu. */
static void block(nn *cx, const parts *p, const float *from, float *out)
{
    span one = { 0, ROWS, 0 };
    layout l = { 1, 1, &one };
    weight w = { .name = "self test", .in = WIDTH, .out = 3 * WIDTH, .kh = 1, .kw = 1, .nparts = 1, .part = { { .rows = 3 * WIDTH, .type = DT_BF16, .data = p->w, .bias = p->bias } } };
    vec gain = { .n = HEAD, .p = p->gain };
    rope pe = { .cos = p->cos, .sin = p->sin, .dim = HEAD / 2 };
    tensor x = tensor_from(cx, ROWS, WIDTH, from), m = tensor_from(cx, 1, 3 * WIDTH, p->mod);
    modulation mod = { tensor_cols(m, 0, WIDTH), tensor_cols(m, WIDTH, WIDTH), tensor_cols(m, 2 * WIDTH, WIDTH) };
    tensor u = op_linear(cx, op_adaln(cx, x, mod, l), &w);
    tensor q = op_qknorm(cx, tensor_cols(u, 0, WIDTH), gain, pe), k = op_qknorm(cx, tensor_cols(u, WIDTH, WIDTH), gain, pe);
    tensor a = op_attention(cx, q, k, tensor_cols(u, 2 * WIDTH, WIDTH), l, (attention_opts){ .heads = WIDTH / HEAD });
    tensor_read(cx, op_gelu(cx, op_gateadd(cx, x, mod.gate, a, l)), out);
}

/* Small heads turned by their positions, attention of two spans and causal, then as a picture: convolution, norm, twice the size. */
static void picture(nn *cx, const parts *p, const float *from, float *out)
{
    span one = { 0, ROWS, 0 }, two[] = { { 24, ROWS - 24, 0 }, { 0, 24, 0 } };
    rope pe = { .cos = p->turn_cos, .sin = p->turn_sin, .dim = SMALL / 2, .pos = p->pos, .step = ROWS };
    memcpy(pe.axes, small_axes, sizeof small_axes);
    vec gain = { .n = SMALL, .p = p->small_gain }, scale = { .n = CHANNELS, .p = p->gain }, shift = { .n = CHANNELS, .p = p->bias };
    weight w = { .name = "self test", .in = WIDTH, .out = CHANNELS, .kh = 3, .kw = 3, .nparts = 1, .part = { { .rows = CHANNELS, .type = DT_F32, .data = p->filter, .bias = p->filter_bias } } };
    grid g = { 1, HIGH, WIDE };
    tensor x = tensor_from(cx, ROWS, WIDTH, from), q = op_qknorm(cx, x, gain, pe), k = op_qknorm(cx, tensor_cols(op_catcols(cx, x, x), WIDTH, WIDTH), gain, pe);
    tensor a = op_attention(cx, q, k, x, (layout){ 1, 2, two }, (attention_opts){ .heads = WIDTH / SMALL });
    tensor b = op_attention(cx, a, k, q, (layout){ 1, 1, &one }, (attention_opts){ .heads = WIDTH / SMALL, .causal = true });
    tensor c = op_groupnorm(cx, op_conv2d(cx, b, g, &w, 1), g, GROUPS, scale, shift, 1e-6f, true);
    tensor_read(cx, b, out);
    tensor_read(cx, op_upsample2x(cx, c, g), out + BLOCK_OUT);
}

static dreamo_status run(void (*test)(nn *, const parts *, const float *, float *), device *dev, const parts *p, float *out, dreamo_error *err)
{
    nn *cx = nn_new(&(nn_options){ .dev = dev, .work_nbytes = WORK }, err);
    if (!cx) return DREAMO_MEMORY;
    for (int turn = 1; turn <= TURNS; turn++) {
        nn_reset(cx);
        test(cx, p, turn < TURNS ? p->other : p->x, out);
    }
    dreamo_status s = nn_status(cx, err);
    nn_free(cx);
    return s;
}

/* Flops a second of [rows, n] times bf16 [n, n]; more rows and columns where that is done in no time. */
static double rate(device *dev, dreamo_error *err)
{
    double best = 0;
    for (int n = 512; n <= 4096; n *= 2) {
        uint16_t *data = mem_calloc((size_t)n * (size_t)n, sizeof *data);
        nn *cx = data ? nn_new(&(nn_options){ .dev = dev, .work_nbytes = (size_t)2 * (size_t)n * (size_t)n / 4 * sizeof(float) + 4096 }, err) : NULL;
        double took = 0;
        weight w = { .name = "self test", .in = n, .out = n, .kh = 1, .kw = 1, .nparts = 1, .part = { { .rows = n, .type = DT_BF16, .data = data } } };
        for (int turn = 0; cx && turn < 3; turn++) { /* the first sends the weight and makes programs */
            float one;
            nn_reset(cx);
            tensor x = tensor_from(cx, n / 4, n, NULL);
            double start = now();
            tensor_read(cx, tensor_rows(tensor_cols(op_linear(cx, x, &w), 0, 1), 0, 1), &one);
            took = now() - start;
        }
        if (cx && nn_ok(cx)) best = fmax(best, 0.5 * (double)n * n * n / took);
        if (cx) nn_free(cx);
        if (dev->be == &backend_ggml) ggml_device_forget(dev); /* its address is given back */
        mem_free(data);
        if (!cx || took > 0.02) break;
    }
    return best;
}

bool ggml_self_test(const char *name, self_test *out, dreamo_error *err)
{
    static parts p;
    static float want[PICTURE_OUT], got[PICTURE_OUT];
    static const struct { void (*test)(nn *, const parts *, const float *, float *); int n; } tests[] = { { block, BLOCK_OUT }, { picture, PICTURE_OUT } };
    double start = now();
    *out = (self_test){ 0 };
    fill(&p);
    device *ref = backend_ref.open(1), *dev = ggml_device_open(name, 0, 0, err);
    dreamo_status s = ref && dev ? DREAMO_OK : DREAMO_DEVICE;
    for (int t = 0; t < 2 && !s; t++) {
        double wrong = 0, all = 0;
        s = run(tests[t].test, ref, &p, want, err);
        if (!s) s = run(tests[t].test, dev, &p, got, err);
        for (int i = 0; !s && i < tests[t].n; i++) {
            wrong += ((double)got[i] - (double)want[i]) * ((double)got[i] - (double)want[i]);
            all += (double)want[i] * (double)want[i];
        }
        double error = sqrt(wrong / (all > 0 ? all : 1));
        if (!(error <= out->error)) out->error = error; /* NaN, too */
    }
    if (!s && !(out->error < SELF_TEST_LIMIT)) s = fail(err, DREAMO_DEVICE, "%s: computes something else: error %.2g, allowed is %g", name, out->error, SELF_TEST_LIMIT);
    if (!s) out->rate = rate(dev, err);
    if (ref) ref->be->close(ref);
    if (dev) dev->be->close(dev);
    out->seconds = now() - start;
    return s == DREAMO_OK;
}
