/* flux_step.c - training steps of FLUX's blocks at their real width, one for each line of standard input.
 *
 *     flux_step [TYPE [LAYERS SINGLE_LAYERS [SIDE REFERENCE TEXT [RANK [bf16]]]]]      (F32 1 2 512 256 512 128)
 *
 * DreamO's adapter (LoRA of RANK on attention, task and index tables) on random weights stored as TYPE; one picture of SIDE x SIDE, one reference,
 * TEXT rows of text; bf16: products as a recipe with products = bf16 has them.  A step is forward, way back and AdamW.  First a line with what it is, then for each line that comes in the seconds, the
 * processor's seconds, and the loss.  bench/flux_torch.py puts PyTorch beside it. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "base/file.h"
#include "base/mem.h"
#include "train/optimizer.h"
#include "train/stages/adapter_set.h"
#include "train/stages/sized.h"
#include "pipe/condition.h"

enum { CELL = 16, PIECE = 1 << 16 };

static void stop(const char *why) { exit((fprintf(stderr, "flux_step: %s\n", why), 1)); }

static void *or_stop(void *p)
{
    if (!p) stop("no memory");
    return p;
}

/* ---- random numbers ---- */

typedef struct random_job { dtype type; char *to; size_t n; float scale; uint64_t seed; } random_job;

static void random_piece(void *arg, int task, int worker)
{
    const random_job *j = arg;
    size_t at = (size_t)task * PIECE, n = at + PIECE < j->n ? PIECE : j->n - at;
    uint64_t r = j->seed + 0x9E3779B97F4A7C15u * (uint64_t)(task + 1);
    float *values = or_stop(mem_alloc(PIECE * sizeof *values));
    (void)worker;
    for (size_t i = 0; i < n; i++) {
        r ^= r << 13;
        r ^= r >> 7;
        r ^= r << 17;
        values[i] = j->scale * ((float)(int32_t)(r >> 33) * 0x1p-30f - 1);
    }
    dtype_from_f32(j->type, values, n, j->to + dtype_nbytes_of(j->type, at));
    mem_free(values);
}

static uint64_t seed = 1;

/* n numbers of standard deviation `size`. */
static void *numbers(pool *threads, dtype type, size_t n, double size)
{
    random_job j = { type, or_stop(mem_aligned(dtype_nbytes_of(type, n))), n, (float)(size * sqrt(3)), seed++ };
    pool_run(threads, (int)((n + PIECE - 1) / PIECE), random_piece, &j);
    return j.to;
}

/* ---- the step ---- */

typedef struct scene {
    device *dev;
    dtype type;
    dit *m;
    params p;
    adapter_set set;
    condition_sample sample;
    int text_rows, image_rows;
    int32_t *task, *slot;
    float *tokens, *text, *pooled, *time, *guidance, *target, *weight, *cos, *sin;
    float loss;
} scene;

static void make(void *user, const param *p)
{
    const scene *s = user;
    size_t n = (size_t)param_count(p);
    void *data = numbers(s->dev->threads, p->w ? s->type : DT_F32, n, p->rank > 1 ? 1 / sqrt((double)n / (double)p->shape[0]) : 0.1);
    if (p->w) {
        p->w->part[p->part].type = s->type;
        p->w->part[p->part].data = data;
    } else {
        *p->fp32 = data;
    }
}

static void open_scene(scene *s, const dit_config *c, int side, int reference, int text_rows, int rank)
{
    dreamo_error err = { 0 };
    t5 text = { .config.width = c->text_dim }; /* for the width of a table that is not used */
    if (!(s->dev = backend_cpu.open(0))) stop("no threads");
    s->m = or_stop(dit_new(c));
    dit_visit(s->m, make, s);
    s->sample = (condition_sample){ .out = { side / CELL, side / CELL }, .nrefs = 1, .ref = { { reference / CELL, reference / CELL } }, .slot = { 1 } };
    s->text_rows = text_rows;
    s->image_rows = condition_image_rows(&s->sample);
    if (adapter_set_fresh(&s->set, &s->p, s->m, rank, &text, -1, &err) || params_allocate(&s->p, false, &err) ||
        adapter_set_attach(&s->set, &s->p, NULL, 1, &text, false, &err)) stop(err.message);
    for (int i = 0; i < s->p.n; i++) {
        float *values = numbers(NULL, DT_F32, s->p.slot[i].count, 0.02);
        memcpy(s->p.value + s->p.slot[i].at, values, s->p.slot[i].count * sizeof *values);
        mem_free(values);
    }
    int noise = condition_noise_rows(&s->sample), rows = text_rows + s->image_rows, half = c->head_dim / 2;
    s->tokens = numbers(NULL, DT_F32, (size_t)s->image_rows * 64, 1);
    s->target = numbers(NULL, DT_F32, (size_t)s->image_rows * 64, 1);
    s->text = numbers(NULL, DT_F32, (size_t)text_rows * (size_t)c->text_dim, 0.3);
    s->pooled = numbers(NULL, DT_F32, (size_t)c->pooled_dim, 1);
    s->time = or_stop(mem_calloc(256, sizeof(float)));
    s->guidance = or_stop(mem_calloc(256, sizeof(float)));
    dit_sinusoid(600, s->time);
    dit_sinusoid(1000, s->guidance);
    s->weight = or_stop(mem_calloc((size_t)s->image_rows, sizeof(float)));
    s->task = or_stop(mem_calloc((size_t)s->image_rows, sizeof *s->task));
    s->slot = or_stop(mem_calloc((size_t)s->image_rows, sizeof *s->slot));
    for (int i = 0; i < s->image_rows; i++) {
        s->weight[i] = i < noise ? (float)s->image_rows / (float)noise : 0;
        s->task[i] = i < noise;
        s->slot[i] = i < noise ? -1 : 1;
    }
    int32_t(*pos)[3] = or_stop(mem_calloc((size_t)rows, sizeof *pos));
    condition_positions(&s->sample, pos + text_rows);
    s->cos = or_stop(mem_alloc((size_t)(rows * half) * sizeof(float)));
    s->sin = or_stop(mem_alloc((size_t)(rows * half) * sizeof(float)));
    dit_rope(c, (const int32_t(*)[3])pos, rows, s->cos, s->sin);
    mem_free(pos);
}

static void pass(nn *cx, void *job)
{
    scene *s = job;
    const dit_config *c = &s->m->config;
    const span spans[3] = { { 0, s->text_rows, 0 }, { 0, s->image_rows, 0 }, { s->text_rows, s->image_rows, 0 } };
    const span *txt = nn_keep(cx, &spans[0], sizeof *txt), *img = nn_keep(cx, &spans[1], sizeof *img);
    const span *joint = nn_keep(cx, (span[]){ spans[0], spans[2] }, 2 * sizeof *joint);
    dit_batch in = {
        .tokens = tensor_from(cx, s->image_rows, c->in_channels, s->tokens), .text = tensor_from(cx, s->text_rows, c->text_dim, s->text),
        .pooled = tensor_from(cx, 1, c->pooled_dim, s->pooled), .time = tensor_from(cx, 1, 256, s->time), .guidance = tensor_from(cx, 1, 256, s->guidance),
        .cond = op_add(cx, op_embed(cx, s->task, s->image_rows, &s->set.task), op_embed(cx, s->slot, s->image_rows, &s->set.idx)),
        .txt = { 1, 1, txt }, .img = { 1, 1, img }, .joint = { 1, 2, joint }, .pe = { .cos = s->cos, .sin = s->sin, .dim = c->head_dim / 2 },
    };
    const dit_batch *kept = nn_keep(cx, &in, sizeof in);
    if (!nn_ok(cx)) return;
    tensor loss = op_mse(cx, dit_forward(cx, s->m, kept), tensor_from(cx, s->image_rows, c->out_channels, s->target), s->weight);
    nn_backward(cx, loss);
    if (nn_ok(cx)) tensor_read(cx, loss, &s->loss);
}

static double processor_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

int main(int argc, char **argv)
{
    int type = dtype_from_name(argc > 1 ? argv[1] : "F32");
    if (type < 0 || !dtype_is_encoded((dtype)type)) stop("TYPE is none of F32, BF16, Q8_0, Q4_0 ...");
    dit_config c = { .layers = argc > 3 ? atoi(argv[2]) : 1, .single_layers = argc > 3 ? atoi(argv[3]) : 2, .heads = 24, .head_dim = 128, .in_channels = 64, .out_channels = 64,
                     .text_dim = 4096, .pooled_dim = 768, .rope_axes = { 16, 56, 56 }, .guidance = true };
    scene s = { .type = (dtype)type };
    open_scene(&s, &c, argc > 6 ? atoi(argv[4]) : 512, argc > 6 ? atoi(argv[5]) : 256, argc > 6 ? atoi(argv[6]) : 512, argc > 7 ? atoi(argv[7]) : 128);
    s.dev->bf16 = argc > 8 && strcmp(argv[8], "bf16") == 0;
    dreamo_error err = { 0 };
    sized z;
    optimizer *opt;
    const adamw how = { 0.9, 0.999, 1e-8, 0.01, 0, 0 };
    if (optimizer_open(&opt, OPTIMIZER_ADAMW, &s.p, s.dev, &err) || sized_open(&z, s.dev, true, false, &err) || sized_measure(&z, pass, &s, &err)) stop(err.message);
    printf("%s, %d + %d blocks, %d rows, %.1f M trained, %.1f GFLOP, %.1f MB of work\n", dtype_name(s.type), c.layers, c.single_layers,
           s.text_rows + s.image_rows, (double)params_total(&s.p) / 1e6, z.last.flops / 1e9, (double)(z.last.work_peak + z.last.keep_peak) / 1e6);
    fflush(stdout);
    char line[64];
    for (int step = 1; fgets(line, sizeof line, stdin); step++) {
        double start = seconds_now(), spent = processor_seconds();
        if (sized_step(&z, true, pass, &s, &err)) stop(err.message);
        optimizer_step(opt, &how, step, 1e-4, 1, 1);
        printf("%.4f %.4f %.6f\n", seconds_now() - start, processor_seconds() - spent, s.loss);
        fflush(stdout);
    }
    return 0;
}
