/* test_networks.c - what must hold of the four networks whatever their weights.
 *
 * A packed batch of samples of different lengths gives what each sample gives alone; blocks with checkpoints give the gradients of
 * blocks without, routing maps included; the dry run predicts the memory of each run to the byte.  On every backend that computes. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "model/clip.h"
#include "model/dit.h"
#include "model/t5.h"
#include "model/vae.h"

/* cmocka comes last: it has a macro called fail. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#define LIMIT 2e-6 /* relative L2: kernels may add up in another order */

/* ---- random weights, with gradients ---- */

enum { MOST = 400 };
typedef struct store { rng r; int n; float *value[MOST], *grad[MOST]; size_t count[MOST]; } store;

static void give(void *user, const param *p)
{
    store *s = user;
    size_t n = (size_t)param_count(p);
    float *value = mem_aligned(n * sizeof *value), *grad = mem_calloc(n, sizeof *grad);
    double fan_in = p->rank > 1 ? (double)n / (double)p->shape[0] : 1;
    bool gain = p->rank == 1 && !strstr(p->name, ".bias");
    assert_true(value && grad && s->n < MOST);
    for (size_t i = 0; i < n; i++)
        value[i] = (float)(gain ? 1 + 0.2 * rng_normal(&s->r) : p->rank > 1 ? rng_normal(&s->r) / sqrt(fan_in) : 0.1 * rng_normal(&s->r));
    if (p->w) {
        p->w->part[p->part].type = DT_F32;
        p->w->part[p->part].data = value;
    } else {
        *p->fp32 = value;
    }
    *p->grad = grad;
    s->value[s->n] = value;
    s->grad[s->n] = grad;
    s->count[s->n++] = n;
}

static void drop(store *s)
{
    for (int i = 0; i < s->n; i++) {
        mem_free(s->value[i]);
        mem_free(s->grad[i]);
    }
    s->n = 0;
}

/* All gradients in one row, and zeroed for the next run. */
static float *take_grads(store *s, size_t *total)
{
    *total = 0;
    for (int i = 0; i < s->n; i++) *total += s->count[i];
    float *all = mem_alloc(*total * sizeof *all);
    for (int i = 0, at = 0; i < s->n; at += (int)s->count[i++]) {
        memcpy(all + at, s->grad[i], s->count[i] * sizeof *all);
        memset(s->grad[i], 0, s->count[i] * sizeof *all);
    }
    return all;
}

static float *noise(uint64_t seed, size_t n)
{
    rng r = rng_new(seed, 7);
    float *x = mem_alloc(n * sizeof *x);
    for (size_t i = 0; i < n; i++) x[i] = (float)rng_normal(&r);
    return x;
}

static void same(const char *what, const float *a, const float *b, size_t n)
{
    double error = 0, size = 0;
    for (size_t i = 0; i < n; i++) {
        error += ((double)a[i] - b[i]) * ((double)a[i] - b[i]);
        size += (double)a[i] * a[i];
    }
    if (!(size > 0) || !(sqrt(error / size) < LIMIT))
        fail_msg("%s: relative error %g of %g", what, sqrt(error / size), sqrt(size));
}

/* ---- running ---- */

typedef void (*job_fn)(nn *cx, void *job);

/* Run fn in exactly the memory that a dry run of it asks for. */
static void run(const backend *be, bool taping, bool checkpoint, job_fn fn, void *job)
{
    device *dry = backend_dry.open(1), *dev = be->open(2);
    dreamo_error err = { 0 };
    nn *cx = nn_new(&(nn_options){ .dev = dry, .taping = taping, .checkpoint = checkpoint }, &err);
    assert_non_null(cx);
    fn(cx, job);
    if (nn_status(cx, &err)) fail_msg("dry: %s", err.message);
    nn_counts need = nn_count(cx);
    nn_free(cx);
    cx = nn_new(&(nn_options){ .dev = dev, .work_nbytes = need.work_peak, .keep_nbytes = need.keep_peak, .taping = taping,
                               .checkpoint = checkpoint }, &err);
    assert_non_null(cx);
    fn(cx, job);
    if (nn_status(cx, &err)) fail_msg("%s: %s", be->name, err.message);
    assert_int_equal(nn_count(cx).work_peak, need.work_peak);
    assert_int_equal(nn_count(cx).keep_peak, need.keep_peak);
    nn_free(cx);
    be->close(dev);
    dry->be->close(dry);
}

static void keep(nn *cx, tensor x, float *out)
{
    if (!nn_device(cx)->be->dry && nn_ok(cx)) tensor_read(cx, x, out);
}

static const backend *const backends[] = { &backend_ref, &backend_cpu };

/* ---- the transformer ---- */

enum { SAMPLES = 2, ROUTES = 3, DIT_LAYERS = 2, DIT_SINGLES = 2, CHANNELS = 8, TEXT = 20, POOLED = 12, HEADS = 3, HEAD = 8,
       D = HEADS * HEAD };

/* Sample 0: 5 words, 4x3 tokens, references of 2x2 and 1x3; sample 1: 2 words, 2x2 tokens, one reference of 3x1. */
static const int words[SAMPLES] = { 5, 2 }, pixels[SAMPLES] = { 12 + 4 + 3, 4 + 3 }, nroutes[SAMPLES] = { 2, 1 };
static const route own_routes[ROUTES] = { { 12, 4, 0, 12 }, { 16, 3, 0, 12 }, { 4, 3, 0, 4 } }; /* in a sample's image rows */
enum { ALL_WORDS = 7, ALL_PIXELS = 26, ALL_ROWS = ALL_WORDS + ALL_PIXELS, WIDEST = 12 };

typedef struct dit_job {
    const dit *m;
    const float *tokens, *text, *pooled, *cond, *times, *target;
    int first, n;                 /* which samples take part */
    float v[ALL_PIXELS * CHANNELS], maps[(DIT_LAYERS + DIT_SINGLES) * ROUTES * WIDEST];
} dit_job;

/* One position table for a sample alone and for both: word rows at 0, the others somewhere of their own. */
static void positions(const dit_job *j, float *cosine, float *sine)
{
    int32_t pos[ALL_ROWS][3] = { { 0 } };
    int row = 0;
    for (int s = j->first; s < j->first + j->n; s++) row += words[s];
    for (int s = j->first; s < j->first + j->n; s++)
        for (int i = 0; i < pixels[s]; i++, row++) pos[row][1] = i / 3, pos[row][2] = i % 5 + s;
    dit_rope(&j->m->config, (const int32_t (*)[3])pos, row, cosine, sine);
}

static int skipped(const int *n, int first)
{
    int sum = 0;
    for (int s = 0; s < first; s++) sum += n[s];
    return sum;
}

static void dit_run(nn *cx, void *job)
{
    dit_job *j = job;
    int w = 0, p = 0, r = 0, w0 = skipped(words, j->first), p0 = skipped(pixels, j->first), r0 = skipped(nroutes, j->first);
    static span txt[SAMPLES], img[SAMPLES], joint[2 * SAMPLES];
    static route routes[ROUTES];
    static float cosine[ALL_ROWS * HEAD / 2], sine[ALL_ROWS * HEAD / 2];
    tensor maps[DIT_LAYERS + DIT_SINGLES];
    int all_words = skipped(words, j->first + j->n) - w0;
    for (int s = 0; s < j->n; s++) {
        int k = j->first + s;
        txt[s] = (span){ w, words[k], s };
        img[s] = (span){ p, pixels[k], s };
        joint[2 * s] = txt[s];
        joint[2 * s + 1] = (span){ all_words + p, pixels[k], s };
        for (int i = 0; i < nroutes[k]; i++, r++) {
            routes[r] = own_routes[r0 + r];
            routes[r].ref0 += all_words + p;
            routes[r].img0 += all_words + p;
        }
        w += words[k];
        p += pixels[k];
    }
    positions(j, cosine, sine);
    dit_batch b = {
        .tokens = tensor_from(cx, p, CHANNELS, j->tokens + p0 * CHANNELS), .text = tensor_from(cx, w, TEXT, j->text + w0 * TEXT),
        .pooled = tensor_from(cx, j->n, POOLED, j->pooled + j->first * POOLED), .time = tensor_from(cx, j->n, 256, j->times + j->first * 256),
        .cond = tensor_from(cx, p, D, j->cond + p0 * D),
        .txt = { j->n, j->n, txt }, .img = { j->n, j->n, img }, .joint = { j->n, 2 * j->n, joint }, .pe = { .cos = cosine, .sin = sine, .dim = HEAD / 2 },
        .routes = routes, .nroutes = r, .maps = maps,
    };
    tensor v = dit_forward(cx, j->m, &b);
    keep(cx, v, j->v);
    for (int i = 0; i < DIT_LAYERS + DIT_SINGLES && nn_ok(cx); i++) keep(cx, maps[i], j->maps + i * r * maps[i].cols);
    if (!nn_taping(cx)) return;
    tensor loss = op_mse(cx, v, tensor_from(cx, p, CHANNELS, j->target), NULL), zero = tensor_from(cx, r, WIDEST, NULL);
    for (int i = 0; i < DIT_LAYERS + DIT_SINGLES; i++) loss = op_add(cx, loss, op_mse(cx, maps[i], zero, NULL));
    nn_backward(cx, loss);
}

static void test_dit(void **state)
{
    dit_config c = { .layers = DIT_LAYERS, .single_layers = DIT_SINGLES, .heads = HEADS, .head_dim = HEAD,
                     .in_channels = CHANNELS, .out_channels = CHANNELS,
                     .text_dim = TEXT, .pooled_dim = POOLED, .rope_axes = { 2, 2, 4 }, .guidance = false };
    store s = { .r = rng_new(1, 1) };
    dit *m = dit_new(&c);
    (void)state;
    dit_visit(m, give, &s);
    float *tokens = noise(1, ALL_PIXELS * CHANNELS), *text = noise(2, ALL_WORDS * TEXT), *pooled = noise(3, SAMPLES * POOLED), *cond = noise(4, ALL_PIXELS * D),
          *times = noise(5, SAMPLES * 256), *target = noise(6, ALL_PIXELS * CHANNELS);
    static dit_job both, alone;
    for (size_t k = 0; k < sizeof backends / sizeof *backends; k++) {
        both = (dit_job){ m, tokens, text, pooled, cond, times, target, 0, SAMPLES, { 0 }, { 0 } };
        run(backends[k], false, false, dit_run, &both);
        for (int i = 0; i < SAMPLES; i++) {
            alone = both;
            alone.first = i;
            alone.n = 1;
            run(backends[k], false, false, dit_run, &alone);
            same("a sample alone", both.v + skipped(pixels, i) * CHANNELS, alone.v, (size_t)(pixels[i] * CHANNELS));
            int nimg = own_routes[skipped(nroutes, i)].nimg;
            for (int layer = 0; layer < DIT_LAYERS + DIT_SINGLES; layer++)
                for (int r = 0; r < nroutes[i]; r++)
                    same("its map", both.maps + (layer * ROUTES + skipped(nroutes, i) + r) * WIDEST,
                         alone.maps + (layer * nroutes[i] + r) * nimg, (size_t)nimg);
        }
        size_t n;
        run(backends[k], true, false, dit_run, &both);
        float *whole = take_grads(&s, &n);
        run(backends[k], true, true, dit_run, &both);
        float *again = take_grads(&s, &n);
        same("gradients under checkpoints", whole, again, n);
        mem_free(whole);
        mem_free(again);
    }
    mem_free(tokens), mem_free(text), mem_free(pooled), mem_free(cond), mem_free(times), mem_free(target);
    drop(&s);
    dit_free(m);
}

/* ---- the autoencoder ---- */

enum { SIDE_H = 12, SIDE_W = 8, LATENT = 5, IMAGES = 2, IN = SIDE_H * SIDE_W * 3,
       MOMENTS = SIDE_H / 4 * (SIDE_W / 4) * 2 * LATENT };

typedef struct vae_job { const vae *m; const float *x, *eps; int n; float moments[IMAGES * MOMENTS], y[IMAGES * IN]; } vae_job;

static void vae_run(nn *cx, void *job)
{
    vae_job *j = job;
    grid g = { j->n, SIDE_H, SIDE_W }, small = { j->n, SIDE_H / 4, SIDE_W / 4 };
    tensor x = tensor_from(cx, j->n * SIDE_H * SIDE_W, 3, j->x), moments = vae_encode(cx, j->m, x, g);
    tensor z = op_gaussian(cx, moments, tensor_from(cx, small.n * small.h * small.w, LATENT, j->eps)), y = vae_decode(cx, j->m, z, small);
    keep(cx, moments, j->moments);
    keep(cx, y, j->y);
    if (nn_taping(cx)) nn_backward(cx, op_add(cx, op_mse(cx, y, x, NULL), op_kl(cx, moments)));
}

static void test_vae(void **state)
{
    vae_config c = { .image_channels = 3, .latent_channels = LATENT, .levels = 3, .channels = { 4, 8, 12 }, .layers = 2,
                     .groups = 2, .mid_attention = true, .scaling = 1 };
    store s = { .r = rng_new(2, 1) };
    vae *m = vae_new(&c);
    (void)state;
    vae_visit(m, give, &s);
    float *x = noise(11, IMAGES * IN), *eps = noise(12, IMAGES * MOMENTS / 2);
    static vae_job both, alone;
    for (size_t k = 0; k < sizeof backends / sizeof *backends; k++) {
        both = (vae_job){ m, x, eps, IMAGES, { 0 }, { 0 } };
        run(backends[k], false, false, vae_run, &both);
        for (int i = 0; i < IMAGES; i++) {
            alone = (vae_job){ m, x + i * IN, eps + i * MOMENTS / 2, 1, { 0 }, { 0 } };
            run(backends[k], false, false, vae_run, &alone);
            same("the moments of a picture alone", both.moments + i * MOMENTS, alone.moments, MOMENTS);
            same("a picture alone", both.y + i * IN, alone.y, IN);
        }
        size_t n;
        run(backends[k], true, false, vae_run, &both);
        float *whole = take_grads(&s, &n);
        run(backends[k], true, true, vae_run, &both);
        float *again = take_grads(&s, &n);
        same("gradients under checkpoints", whole, again, n);
        mem_free(whole);
        mem_free(again);
    }
    mem_free(x);
    mem_free(eps);
    drop(&s);
    vae_free(m);
}

/* ---- the text encoders ---- */

enum { LONG = 9, SHORT = 4, IDS = LONG + SHORT, WIDTH = 12 };
static const int32_t ids[IDS] = { 3, 1, 4, 1, 5, 9, 2, 6, 9, 5, 3, 5, 9 };
static const span both_samples[2] = { { 0, LONG, 0 }, { LONG, SHORT, 1 } }, long_sample = { 0, LONG, 0 }, short_sample = { 0, SHORT, 0 };

typedef struct text_job { const t5 *t5; const clip *clip; const int32_t *ids; layout l; int end[2]; float out[IDS * WIDTH]; } text_job;

static void text_run(nn *cx, void *job)
{
    text_job *j = job;
    tensor y = j->t5 ? t5_encode(cx, j->t5, j->ids, j->l) : clip_encode(cx, j->clip, j->ids, j->l, j->end);
    keep(cx, y, j->out);
    if (nn_taping(cx)) nn_backward(cx, op_mse(cx, y, tensor_from(cx, y.rows, y.cols, NULL), NULL));
}

static void check_text(const t5 *t, const clip *c, store *s)
{
    for (size_t k = 0; k < sizeof backends / sizeof *backends; k++) {
        text_job both = { t, c, ids, { 2, 2, both_samples }, { LONG - 1, IDS - 1 }, { 0 } };
        text_job one = { t, c, ids, { 1, 1, &long_sample }, { LONG - 1 }, { 0 } }, other = { t, c, ids + LONG, { 1, 1, &short_sample }, { SHORT - 1 }, { 0 } };
        run(backends[k], false, false, text_run, &both);
        run(backends[k], false, false, text_run, &one);
        run(backends[k], false, false, text_run, &other);
        same("the long sample alone", both.out, one.out, t ? LONG * WIDTH : WIDTH);
        same("the short sample alone", both.out + (t ? LONG * WIDTH : WIDTH), other.out, t ? SHORT * WIDTH : WIDTH);
        size_t n;
        run(backends[k], true, false, text_run, &both);
        float *whole = take_grads(s, &n);
        run(backends[k], true, true, text_run, &both);
        float *again = take_grads(s, &n);
        same("gradients under checkpoints", whole, again, n);
        mem_free(whole);
        mem_free(again);
    }
}

static void test_t5(void **state)
{
    (void)state;
    for (int gated = 0; gated < 2; gated++) {
        t5_config c = { .layers = 2, .width = WIDTH, .heads = 2, .head_dim = 5, .ff = 20, .vocab = 10, .buckets = 8,
                        .max_distance = 6, .eps = 1e-6f, .gated = gated };
        store s = { .r = rng_new(3, 1) };
        t5 *m = t5_new(&c);
        t5_visit(m, give, &s);
        check_text(m, NULL, &s);
        drop(&s);
        t5_free(m);
    }
}

static void test_clip(void **state)
{
    (void)state;
    for (int quick = 0; quick < 2; quick++) {
        clip_config c = { .layers = 2, .width = WIDTH, .heads = 2, .ff = 20, .vocab = 10, .positions = LONG, .eps = 1e-5f,
                          .quick_gelu = quick };
        store s = { .r = rng_new(4, 1) };
        clip *m = clip_new(&c);
        clip_visit(m, give, &s);
        check_text(NULL, m, &s);
        drop(&s);
        clip_free(m);
    }
}

/* A sample longer than the position table is refused, not read past its end. */
static void test_clip_too_long(void **state)
{
    clip_config c = { .layers = 1, .width = WIDTH, .heads = 2, .ff = 20, .vocab = 10, .positions = LONG - 1, .eps = 1e-5f };
    store s = { .r = rng_new(5, 1) };
    clip *m = clip_new(&c);
    device *dev = backend_ref.open(1);
    dreamo_error err = { 0 };
    int end = 0;
    (void)state;
    clip_visit(m, give, &s);
    nn *cx = nn_new(&(nn_options){ .dev = dev, .work_nbytes = 1 << 20, .keep_nbytes = 1 << 16 }, &err);
    clip_encode(cx, m, ids, (layout){ 1, 1, &long_sample }, &end);
    assert_int_equal(nn_status(cx, &err), DREAMO_BUG);
    assert_non_null(strstr(err.message, "9 tokens, at most 8"));
    nn_free(cx);
    dev->be->close(dev);
    drop(&s);
    clip_free(m);
    assert_int_equal(mem_live(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_dit), cmocka_unit_test(test_vae), cmocka_unit_test(test_t5),
                                        cmocka_unit_test(test_clip),
                                        cmocka_unit_test(test_clip_too_long) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
