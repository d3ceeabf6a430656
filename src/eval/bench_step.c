/* bench_step.c - see bench_step.h.  Sizes: 16 samples of 64 noise, 64 reference and 24 text tokens in the transformer that
 * recipes/mini trains; 8 pictures of 64x64. */
#include "eval/bench_step.h"
#include "base/mem.h"
#include "model/dit.h"
#include "model/vae.h"

enum { SAMPLES = 16, NOISE = 64, REFERENCE = 64, TEXT = 24, IMAGE = NOISE + REFERENCE, PICTURES = 8, SIDE = 64 };

static const dit_config small_dit = {.layers = 4, .single_layers = 8, .heads = 8, .head_dim = 32, .in_channels = 64, .out_channels = 64,
                                     .text_dim = 192, .pooled_dim = 128, .rope_axes = {4, 14, 14}};
static const vae_config small_vae = {.image_channels = 3, .latent_channels = 8, .levels = 3, .channels = {24, 48, 96}, .layers = 1, .groups = 8,
                                     .scaling = 1};

struct bench_step {
    nn *cx;
    dit *dit;
    vae *vae;
    arena memory;       /* parameters, inputs */
    uint32_t random;
    span text[SAMPLES], image[SAMPLES], joint[2 * SAMPLES];
    float *cos, *sin, *input, *wanted, *small;
    double flops;
};

static float *values(bench_step *s, size_t n, float scale)
{
    float *p = arena_get(&s->memory, n * sizeof *p);
    for (size_t i = 0; p && i < n; i++) {
        s->random = s->random * 1664525u + 1013904223u;
        p[i] = scale * (float)((int32_t)s->random >> 8) * 0x1p-23f;
    }
    return p;
}

static void fill(void *user, const param *p)
{
    bench_step *s = user;
    size_t n = (size_t)param_count(p), fan = p->rank > 1 ? n / (size_t)p->shape[0] : 1;
    const float *v = values(s, n, p->rank > 1 ? 1.7f / (float)fan : 0.5f);
    if (p->w) {
        p->w->part[p->part].type = DT_F32;
        p->w->part[p->part].data = v;
    } else {
        *p->fp32 = v;
    }
    *p->grad = values(s, n, 0);
}

static bool prepare(bench_step *s, bench_network which)
{
    if (!arena_init(&s->memory, (size_t)512 << 20)) return false;
    s->random = 1;
    if (which == BENCH_DIT) {
        s->dit = dit_new(&small_dit);
        if (!s->dit) return false;
        dit_visit(s->dit, fill, s);
        for (int i = 0; i < SAMPLES; i++) {
            s->text[i] = s->joint[2 * i] = (span){i * TEXT, TEXT, i};
            s->image[i] = (span){i * IMAGE, IMAGE, i};
            s->joint[2 * i + 1] = (span){SAMPLES * TEXT + i * IMAGE, IMAGE, i};
        }
        size_t rows = (size_t)SAMPLES * (TEXT + IMAGE);
        s->cos = values(s, rows * 16, 1);
        s->sin = values(s, rows * 16, 1);
        s->input = values(s, (size_t)SAMPLES * IMAGE * 192, 1);
        s->small = values(s, (size_t)SAMPLES * 256, 1);
        s->wanted = values(s, (size_t)SAMPLES * IMAGE * 64, 1);
    } else {
        s->vae = vae_new(&small_vae);
        if (!s->vae) return false;
        vae_visit(s->vae, fill, s);
        s->input = s->wanted = values(s, (size_t)PICTURES * SIDE * SIDE * 3, 1);
        s->small = values(s, (size_t)PICTURES * SIDE * SIDE, 1);
    }
    return !s->memory.full;
}

bench_step *bench_step_new(device *dev, bench_network which, dreamo_error *err)
{
    bench_step *s = mem_calloc(1, sizeof *s);
    nn_options o = {.dev = dev, .work_nbytes = (size_t)3 << 30, .keep_nbytes = (size_t)512 << 20, .taping = true};
    if (!s || !prepare(s, which) || !(s->cx = nn_new(&o, NULL))) {
        bench_step_free(s);
        fail(err, DREAMO_MEMORY, "no memory for a training step");
        return NULL;
    }
    return s;
}

void bench_step_free(bench_step *s)
{
    if (!s) return;
    nn_free(s->cx);
    dit_free(s->dit);
    vae_free(s->vae);
    arena_free(&s->memory);
    mem_free(s);
}

static tensor dit_loss(bench_step *s)
{
    nn *cx = s->cx;
    dit_batch b = {.tokens = tensor_from(cx, SAMPLES * IMAGE, small_dit.in_channels, s->input), .text = tensor_from(cx, SAMPLES * TEXT, small_dit.text_dim, s->input),
                   .pooled = tensor_from(cx, SAMPLES, small_dit.pooled_dim, s->small), .time = tensor_from(cx, SAMPLES, 256, s->small),
                   .img = {SAMPLES, SAMPLES, s->image}, .txt = {SAMPLES, SAMPLES, s->text},
                   .joint = {SAMPLES, 2 * SAMPLES, s->joint}, .pe = { .cos = s->cos, .sin = s->sin, .dim = 16 }};
    return op_mse(cx, dit_forward(cx, s->dit, &b), tensor_from(cx, SAMPLES * IMAGE, small_dit.out_channels, s->wanted), NULL);
}

static tensor vae_loss(bench_step *s)
{
    nn *cx = s->cx;
    grid picture = {PICTURES, SIDE, SIDE}, latent = {PICTURES, SIDE / 4, SIDE / 4};
    tensor x = tensor_from(cx, PICTURES * SIDE * SIDE, 3, s->input), moments = vae_encode(cx, s->vae, x, picture);
    tensor z = op_gaussian(cx, moments, tensor_from(cx, moments.rows, small_vae.latent_channels, s->small));
    return op_mse(cx, vae_decode(cx, s->vae, z, latent), x, NULL);
}

dreamo_status bench_step_run(bench_step *s, dreamo_error *err)
{
    nn_reset(s->cx);
    nn_backward(s->cx, s->dit ? dit_loss(s) : vae_loss(s));
    s->flops = nn_count(s->cx).flops;
    return nn_status(s->cx, err);
}

double bench_step_flops(const bench_step *s) { return s->flops; }

const char *bench_step_shape(const bench_step *s)
{
    return s->dit ? "DiT 4+8 blocks of 256, 16x152 tokens" : "VAE 24-48-96, 8x64x64";
}
