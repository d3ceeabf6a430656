/* device_step.c - a denoising step of FLUX's shape on one of ggml's devices, random weights: kernels, bytes, seconds.
 *
 *     device_step DEVICE [TYPE [HEADS LAYERS SINGLE_LAYERS [SIDE REFERENCE TEXT [THREADS [STEPS]]]]]     (ggml:CPU BF16 8 2 4 256 0 128 1 3)
 *
 * HEADS of 128 channels; one picture of SIDE x SIDE, one reference (0: none), TEXT rows of text; modulations are made before, as a sampler makes those of all
 * its steps.  The first step sends the weights and records the graph; what is printed is the quickest of the others. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include "backend/ggml/ggml.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/rng.h"
#include "model/dit.h"
#include "pipe/condition.h"
#include "pipe/phase.h"

enum { CELL = 16 };

static void stop(const char *why) { exit((fprintf(stderr, "device_step: %s\n", why), 1)); }

static void *or_stop(void *p)
{
    if (!p) stop("no memory");
    return p;
}

static rng chance;

static float *numbers(size_t n, double size)
{
    float *p = or_stop(mem_alloc(n * sizeof *p));
    for (size_t i = 0; i < n; i++) p[i] = (float)(size * (2 * rng_double(&chance) - 1));
    return p;
}

typedef struct scene {
    dtype type;
    dit *m;
    int text_rows, image_rows;
    float *tokens, *text, *pooled, *time, *guidance, *mods, *cos, *sin, *velocity;
    int32_t *axis;
} scene;

static void make(void *user, const param *p)
{
    const scene *s = user;
    size_t n = (size_t)param_count(p);
    float *values = numbers(n, p->rank > 1 ? sqrt(3 * (double)p->shape[0] / (double)n) : 0.1);
    if (!p->w) {
        *p->fp32 = values;
        return;
    }
    void *stored = or_stop(mem_alloc(dtype_nbytes_of(s->type, n)));
    dtype_from_f32(s->type, values, n, stored);
    mem_free(values);
    p->w->part[p->part].type = s->type;
    p->w->part[p->part].data = stored;
}

static void open_scene(scene *s, const dit_config *c, int side, int reference, int text_rows)
{
    condition_sample sample = { .out = { side / CELL, side / CELL }, .nrefs = reference > 0, .ref = { { reference / CELL, reference / CELL } }, .slot = { 1 } };
    s->m = or_stop(dit_new(c));
    dit_visit(s->m, make, s);
    s->text_rows = text_rows;
    s->image_rows = condition_image_rows(&sample);
    int rows = text_rows + s->image_rows, half = c->head_dim / 2;
    s->tokens = numbers((size_t)s->image_rows * (size_t)c->in_channels, 1);
    s->text = numbers((size_t)text_rows * (size_t)c->text_dim, 0.3);
    s->pooled = numbers((size_t)c->pooled_dim, 1);
    s->time = or_stop(mem_calloc(256, sizeof(float)));
    s->guidance = or_stop(mem_calloc(256, sizeof(float)));
    dit_sinusoid(600, s->time);
    dit_sinusoid(1000, s->guidance);
    s->mods = or_stop(mem_calloc((size_t)dit_mod_cols(c), sizeof(float)));
    s->velocity = or_stop(mem_calloc((size_t)s->image_rows * (size_t)c->out_channels, sizeof(float)));
    int32_t(*pos)[3] = or_stop(mem_calloc((size_t)rows, sizeof *pos));
    condition_positions(&sample, pos + text_rows);
    s->cos = or_stop(mem_alloc((size_t)(rows * half) * sizeof(float)));
    s->sin = or_stop(mem_alloc((size_t)(rows * half) * sizeof(float)));
    dit_rope(c, (const int32_t(*)[3])pos, rows, s->cos, s->sin);
    s->axis = or_stop(mem_alloc((size_t)rows * 3 * sizeof *s->axis));
    for (int i = 0; i < 3 * rows; i++) s->axis[i] = pos[i % rows][i / rows];
    mem_free(pos);
}

static dit_batch batch(nn *cx, const scene *s)
{
    const dit_config *c = &s->m->config;
    return (dit_batch){ .pooled = tensor_from(cx, 1, c->pooled_dim, s->pooled), .time = tensor_from(cx, 1, 256, s->time), .guidance = tensor_from(cx, 1, 256, s->guidance) };
}

static void modulations(nn *cx, void *job)
{
    scene *s = job;
    dit_batch b = batch(cx, s);
    dit_modulations(cx, s->m, &b, s->mods);
}

static void step(nn *cx, void *job)
{
    scene *s = job;
    const dit_config *c = &s->m->config;
    const span spans[3] = { { 0, s->text_rows, 0 }, { 0, s->image_rows, 0 }, { s->text_rows, s->image_rows, 0 } }, joint[2] = { spans[0], spans[2] };
    dit_batch b = batch(cx, s);
    b.tokens = tensor_from(cx, s->image_rows, c->in_channels, s->tokens);
    b.text = tensor_from(cx, s->text_rows, c->text_dim, s->text);
    b.mods = tensor_from(cx, 1, dit_mod_cols(c), s->mods);
    b.txt = (layout){ 1, 1, &spans[0] };
    b.img = (layout){ 1, 1, &spans[1] };
    b.joint = (layout){ 1, 2, joint };
    b.pe = (rope){ s->cos, s->sin, c->head_dim / 2, s->axis, s->text_rows + s->image_rows, { c->rope_axes[0], c->rope_axes[1], c->rope_axes[2] } };
    tensor v = dit_forward(cx, s->m, &b);
    if (nn_ok(cx)) tensor_read(cx, v, s->velocity);
}

static double processor_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int number(int argc, char **argv, int i, int usual) { return argc > i ? atoi(argv[i]) : usual; }

int main(int argc, char **argv)
{
    int type = dtype_from_name(argc > 2 ? argv[2] : "BF16"), heads = number(argc, argv, 3, 8), steps = number(argc, argv, 10, 3);
    if (type < 0 || !dtype_is_encoded((dtype)type)) stop("TYPE is none of F32, BF16, Q8_0, Q4_0 ...");
    dit_config c = { .layers = number(argc, argv, 4, 2), .single_layers = number(argc, argv, 5, 4), .heads = heads, .head_dim = 128, .in_channels = 64, .out_channels = 64,
                     .text_dim = 4096, .pooled_dim = 768, .rope_axes = { 16, 56, 56 }, .guidance = true };
    scene s = { .type = (dtype)type };
    dreamo_error err = { 0 };
    nn_counts need = { 0 };
    chance = rng_new(1, 1);
    open_scene(&s, &c, number(argc, argv, 6, 256), number(argc, argv, 7, 0), number(argc, argv, 8, 128));
    device *dev = device_open(argc > 1 ? argv[1] : "ggml:CPU", number(argc, argv, 9, 1), 0, &err);
    if (!dev || phase_run(dev, modulations, &s, &err) || phase_measure(step, &s, 1, &need, &err)) stop(err.message);
    nn *cx = phase_open(dev, &need, &err);
    if (!cx) stop(err.message);
    double best = 1e30, clock = 1e30;
    for (int i = 0; i <= steps; i++) {
        double start = processor_seconds(), from = seconds_now();
        if (dev->be == &backend_ggml) ggml_device_count_anew(dev);
        nn_reset(cx);
        step(cx, &s);
        if (nn_status(cx, &err)) stop(err.message);
        if (i && processor_seconds() - start < best) best = processor_seconds() - start;
        if (i && seconds_now() - from < clock) clock = seconds_now() - from;
    }
    printf("%s, %s, %d + %d blocks of %d, %d rows, %.1f GFLOP\n", device_name(dev), dtype_name(s.type), c.layers, c.single_layers, heads * c.head_dim, s.text_rows + s.image_rows,
           need.flops / 1e9);
    if (dev->be == &backend_ggml) {
        const ggml_counts *n = ggml_device_counts(dev);
        printf("%lld nodes, %lld of them may be fused; %.1f MB read and written, %.1f MB of these by other than products and attention; %.1f MB held\n", (long long)n->nodes,
               (long long)n->fused, n->bytes / 1e6, n->rest / 1e6, (double)n->held / 1e6);
    }
    printf("a step: %.3f s of the processor, %.3f s\n", best, clock);
    return 0;
}
