/* test_train_parts.c - the trainer's parts, each against a closed form or the official library's numbers. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "data/sample.h"
#include "format/safetensors.h"
#include "train/ema.h"
#include "train/flow/encode.h"
#include "train/flow/flow.h"
#include "train/init.h"
#include "train/lr.h"
#include "train/mixture.h"
#include "train/stages/dpo.h"
#include "train/pca.h"
#include "train/recipe.h"
#include "train/stages/sized.h"
#include "scratch.h"

/* cmocka comes last: it has a macro called fail. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

/* ---- learning rate, average ---- */

static void test_lr(void **state)
{
    (void)state;
    lr_schedule cosine = { LR_COSINE, 1e-3, 1e-5, 0, 10 }, constant = { LR_CONSTANT, 1e-3, 0, 0, 0 };
    assert_true(fabs(lr_at(&cosine, 1, 110) - 1e-4) < 1e-15);
    assert_true(fabs(lr_at(&cosine, 10, 110) - 1e-3) < 1e-15);
    assert_true(fabs(lr_at(&cosine, 60, 110) - (1e-3 + 1e-5) / 2) < 1e-12);
    assert_true(fabs(lr_at(&cosine, 110, 110) - 1e-5) < 1e-15);
    assert_true(fabs(lr_at(&cosine, 500, 110) - 1e-5) < 1e-15);
    lr_schedule wsd = { LR_WSD, 1e-3, 1e-5, 0.2, 10 }; /* steps 81 to 100 of 100 fall */
    assert_true(lr_at(&wsd, 5, 100) == 5e-4 && lr_at(&wsd, 11, 100) == 1e-3 && lr_at(&wsd, 80, 100) == 1e-3);
    assert_true(fabs(lr_at(&wsd, 85, 100) - (1e-5 + 99e-5 / 2)) < 1e-15); /* a quarter of the way: 1 - sqrt(1/4) */
    assert_true(lr_at(&wsd, 100, 100) == 1e-5 && lr_at(&wsd, 500, 100) == 1e-5);
    assert_true(lr_at(&wsd, 60, 1000) == 1e-3 && lr_at(&wsd, 60, 10000) == 1e-3); /* however long it will be */
    assert_true(lr_at(&constant, 1, 100) == 1e-3 && lr_at(&constant, 100, 100) == 1e-3);
}

/* A constant value is approached as 1 - d^n. */
static void test_ema(void **state)
{
    (void)state;
    params p = { 0 };
    assert_int_equal(params_add(&p, "x", 1, (const int64_t[]){ 1 }, NULL), DREAMO_OK);
    assert_int_equal(params_allocate(&p, true, NULL), DREAMO_OK);
    ema_start(&p);
    p.value[0] = 1;
    for (int n = 1; n <= 20; n++) {
        ema_update(&p, NULL, 0.9);
        assert_true(fabs(p.ema[0] - (1 - pow(0.9, n))) < 1e-5);
    }
    assert_true(fabs(ema_decay(0.999, 8) - 0.5) < 1e-15); /* 9/18 */
    assert_true(ema_decay(0.999, 1000000) == 0.999);
    params_free(&p);
}

/* ---- noise levels ---- */

static int by_value(const void *a, const void *b)
{
    return *(const double *)a < *(const double *)b ? -1 : *(const double *)a > *(const double *)b;
}

/* Draws against the closed form of their distribution: Kolmogorov-Smirnov, far beyond the 0.1 % point 1.95 / sqrt(n). */
static void check_density(flow f, double (*cdf)(const flow *, double))
{
    enum { N = 20000 };
    double *x = malloc(N * sizeof *x), worst = 0;
    rng r = rng_new(5, 6);
    for (int i = 0; i < N; i++) {
        x[i] = flow_sigma(&f, &r);
        assert_true(x[i] > 0 && x[i] < 1);
    }
    qsort(x, N, sizeof *x, by_value);
    for (int i = 0; i < N; i++) worst = fmax(worst, fabs(cdf(&f, x[i]) - (i + 0.5) / N));
    assert_true(worst < 1.95 / sqrt(N));
    for (double u = 0.01; u < 1; u += 0.07) assert_true(fabs(cdf(&f, flow_quantile(&f, u)) - u) < 1e-4);
    free(x);
}

static double unshift(const flow *f, double s) { return s / (f->shift - (f->shift - 1) * s); }
static double uniform_cdf(const flow *f, double s) { return unshift(f, s); }
static double logit_normal_cdf(const flow *f, double s)
{
    double t = unshift(f, s);
    return 0.5 * erfc(-(log(t / (1 - t)) - f->mean) / f->std / sqrt(2));
}

static void test_flow(void **state)
{
    (void)state;
    check_density((flow){ FLOW_UNIFORM, 0, 1, 1 }, uniform_cdf);
    check_density((flow){ FLOW_UNIFORM, 0, 1, 3 }, uniform_cdf);
    check_density((flow){ FLOW_LOGIT_NORMAL, 0.3, 1.2, 1 }, logit_normal_cdf);
    check_density((flow){ FLOW_LOGIT_NORMAL, -0.5, 0.7, 2 }, logit_normal_cdf);
    float x0[2] = { 1, -2 }, eps[2] = { 0.5f, 4 }, xt[2], target[2];
    flow_mix(x0, eps, 0.25f, 2, xt, target);
    assert_true(xt[0] == 0.875f && xt[1] == -0.5f && target[0] == -0.5f && target[1] == 6);
}

/* ---- principal components ---- */

/* Patches made of two known axes: they are found, with their variances, and one component leaves exactly the other's share. */
static void test_pca(void **state)
{
    (void)state;
    enum { N = 8, PICTURES = 400 };
    float *pixels = calloc(PICTURES * N * N * 3, sizeof *pixels);
    double axis[2][12], variance[2] = { 0, 0 };
    rng r = rng_new(1, 2);
    for (int i = 0; i < 12; i++) {
        axis[0][i] = sqrt(1.0 / 12);
        axis[1][i] = (i < 6 ? 1 : -1) * sqrt(1.0 / 12);
    }
    for (int p = 0; p < PICTURES * 16; p++) {
        double c[2] = { 2 * rng_normal(&r), 0.5 * rng_normal(&r) };
        for (int k = 0; k < 2; k++) variance[k] += c[k] * c[k] / (PICTURES * 16);
        float *at = pixels + (p / 16) * N * N * 3 + (p % 16 / 4 * 2 * N + p % 4 * 2) * 3;
        for (int i = 0; i < 12; i++)
            at[(i / 6 * N + i / 3 % 2) * 3 + i % 3] = (float)(c[0] * axis[0][i] + c[1] * axis[1][i] + 0.1);
    }
    pca two, one;
    assert_int_equal(pca_fit(&two, pixels, PICTURES, N, N, 2, 2, NULL), DREAMO_OK);
    assert_int_equal(pca_fit(&one, pixels, PICTURES, N, N, 2, 1, NULL), DREAMO_OK);
    for (int k = 0; k < 2; k++) {
        assert_true(fabs(two.variance[k] / variance[k] - 1) < 0.02);
        double dot = 0;
        for (int i = 0; i < 12; i++) dot += axis[k][i] * two.axis[k * 12 + i];
        assert_true(fabs(fabs(dot) - 1) < 1e-3);
    }
    assert_true(pca_error(&two, pixels, PICTURES, N, N) < 1e-10);
    assert_true(fabs(pca_error(&one, pixels, PICTURES, N, N) * 12 / two.variance[1] - 1) < 0.02);
    assert_true(fabs(psnr(0.04) - 20) < 1e-12);
    pca_free(&one);
    pca_free(&two);
    free(pixels);
}

typedef struct encode_job { const vae *m; const float *pixels; grid g; float *moments; } encode_job;

static void encode(nn *cx, void *job)
{
    encode_job *j = job;
    tensor_read(cx, vae_encode(cx, j->m, tensor_from(cx, j->g.n * j->g.h * j->g.w, 3, j->pixels), j->g), j->moments);
}

/* Number i of the 4x4 patch at `at` of a picture 8 patches wide. */
static double patch_value(const float *pixels, int at, int i)
{
    int y = at / 8 * 4 + i / 12, x = at % 8 * 4 + i / 3 % 4;
    return pixels[(y * 32 + x) * 3 + i % 3];
}

/* An autoencoder that begins with principal components encodes a picture as its patches' components of variance 1. */
static void test_pca_init(void **state)
{
    (void)state;
    enum { SIDE = 32, PICTURES = 8, CELLS = 64, LATENT = 8 };
    vae_config c = { .image_channels = 3, .latent_channels = LATENT, .levels = 3, .channels = { 16, 32, 64 }, .layers = 1,
                     .groups = 8, .mid_attention = true,
                     .scaling = 1 };
    network n = { .vae = vae_new(&c) };
    params p = { 0 };
    pca fitted;
    float *pixels = malloc(PICTURES * SIDE * SIDE * 3 * sizeof *pixels), *moments = malloc(CELLS * 2 * LATENT * sizeof *moments);
    rng r = rng_new(3, 4);
    for (int i = 0; i < PICTURES; i++) { /* smooth pictures: a wave a colour */
        double a = rng_range(&r, 0.05, 0.6), b = rng_range(&r, 0.05, 0.6);
        for (int y = 0; y < SIDE; y++)
            for (int x = 0; x < SIDE; x++)
                for (int k = 0; k < 3; k++)
                    pixels[((i * SIDE + y) * SIDE + x) * 3 + k] = (float)(0.8 * sin(a * y + b * x + k + i));
    }
    assert_int_equal(pca_fit(&fitted, pixels, PICTURES, SIDE, SIDE, 4, LATENT, NULL), DREAMO_OK);
    assert_int_equal(params_add_network(&p, "", n.vae, network_walker(PART_VAE), NULL), DREAMO_OK);
    assert_int_equal(params_allocate(&p, false, NULL), DREAMO_OK);
    params_attach(&p, 0, n.vae, network_walker(PART_VAE));
    init_network(&p, 0, &n, PART_VAE, 1);
    assert_true(init_vae_pca(&p, 0, &c, &fitted));

    device *dev = backend_cpu.open(2);
    encode_job job = { n.vae, pixels, { 1, SIDE, SIDE }, moments };
    assert_int_equal(sized_run(dev, false, false, encode, &job, NULL), DREAMO_OK);
    double error = 0, size = 0;
    for (int at = 0; at < CELLS; at++)
        for (int k = 0; k < LATENT; k++) {
            double want = 0;
            for (int i = 0; i < 48; i++)
                want += fitted.axis[k * 48 + i] * (patch_value(pixels, at, i) - fitted.mean[i]);
            want /= sqrt(fitted.variance[k]);
            error += pow(moments[at * 2 * LATENT + k] - want, 2);
            size += want * want;
            assert_true(fabs(moments[at * 2 * LATENT + LATENT + k] + 6) < 1e-3);
        }
    if (error > 0.03 * 0.03 * size) fail_msg("relative error %g", sqrt(error / size));
    c.channels[0] = 8; /* no room for 2x2 pixels of three colours */
    assert_false(init_vae_pca(&p, 0, &c, &fitted));
    dev->be->close(dev);
    pca_free(&fitted);
    params_free(&p);
    vae_free(n.vae);
    free(pixels);
    free(moments);
}

/* ---- recipes ---- */

static void refused(const char *text, const char *message)
{
    recipe r;
    dreamo_error err = { 0 };
    scratch_write("r.conf", text, strlen(text));
    assert_int_equal(recipe_read("r.conf", &r, &err), DREAMO_ARG);
    assert_non_null(strstr(err.message, message));
}

static void test_recipe(void **state)
{
    (void)state;
    static const char good[] = "\xEF\xBB\xBF# a comment\r\n[run]\r\nstage = adapter\n  steps=12 # twelve\nlr = 2.5e-4\n"
                               "t_mean = -0.5\ncheckpoint = yes\ndensity = uniform";
    recipe r, again;
    dreamo_error err = { 0 };
    scratch_write("r.conf", good, sizeof good - 1);
    assert_int_equal(recipe_read("r.conf", &r, NULL), DREAMO_OK);
    assert_true(r.stage == STAGE_ADAPTER && r.steps == 12 && r.lr.peak == 2.5e-4 && r.flow.mean == -0.5 && r.checkpoint &&
                r.flow.density == FLOW_UNIFORM);
    assert_int_equal(recipe_override(&r, "rank=8", NULL), DREAMO_OK);
    assert_int_equal(r.rank, 8);
    char *text = recipe_write(&r);
    scratch_write("w.conf", text, strlen(text));
    assert_int_equal(recipe_read("w.conf", &again, NULL), DREAMO_OK);
    char *text_again = recipe_write(&again);
    assert_string_equal(text, text_again);
    mem_free(text);
    mem_free(text_again);

    refused("steps = 10\nspeed = 3\n", "r.conf:2: there is no setting called speed");
    refused("steps = 10\n\nsteps = 11\n", "r.conf:3: steps was set in line 1 already");
    refused("steps = ten\n", "r.conf:1: steps = ten: is not a number");
    refused("steps = 0x10\n", "is not a number");
    refused("lr = nan\n", "is not a number");
    refused("lr = 1e999\n", "is not a number");
    refused("steps = 1.5\n", "whole number");
    refused("steps = 0\n", "must lie between 1 and");
    refused("lr = 11\n", "must lie between 0 and 10");
    refused("stage = unet\n", "allowed are vae|base|adapter");
    refused("checkpoint = 1\n", "allowed are no|yes");
    refused("just words\n", "r.conf:1: \"just words\" is neither");
    refused("[run\n", "r.conf:1: a heading ends with ]");
    refused("lr=", "r.conf:1: lr = : is not a number"); /* and nothing behind its end is looked at */
    refused("lr = +", "is not a number");
    refused("lr = .", "is not a number");
    assert_int_equal(recipe_override(&r, "lr=", NULL), DREAMO_ARG);
    assert_int_equal(recipe_override(&r, "lr=.5", NULL), DREAMO_OK);
    assert_true(r.lr.peak == 0.5);
    assert_int_equal(recipe_override(&r, "rank", &err), DREAMO_ARG);
    assert_int_equal(recipe_read("nowhere.conf", &r, NULL), DREAMO_NOT_FOUND);
    recipe_defaults(&r);
    r.micro = 3;
    err = (dreamo_error){ 0 };
    assert_int_equal(recipe_check(&r, &err), DREAMO_ARG);
    assert_non_null(strstr(err.message, "multiple of micro = 3"));
    recipe_defaults(&r);
    r.ref_crop = 0.4;
    err = (dreamo_error){ 0 };
    assert_int_equal(recipe_check(&r, &err), DREAMO_ARG);
    assert_non_null(strstr(err.message, "self_reference = yes"));
    r.self_reference = true;
    assert_int_equal(recipe_check(&r, &err), DREAMO_OK);
    recipe_defaults(&r);
    r.ref_scale = 0.5;
    err = (dreamo_error){ 0 };
    assert_int_equal(recipe_check(&r, &err), DREAMO_ARG);
    assert_non_null(strstr(err.message, "ref_scale"));
}

/* Slopes against central differences; undecided pairs cost log 2. */
static void test_dpo(void **state)
{
    (void)state;
    enum { PAIRS = 3 };
    const double before[2 * PAIRS] = { 0.9, 1.1, 0.5, 0.5, 2.0, 1.0 };
    double error[2 * PAIRS] = { 0.8, 1.15, 0.55, 0.5, 2.1, 1.3 }, slope[2 * PAIRS], none[2 * PAIRS], ahead;
    assert_true(fabs(dpo_loss(before, before, PAIRS, 7, slope, &ahead) - log(2)) < 1e-12);
    assert_true(ahead == 0);
    dpo_loss(error, before, PAIRS, 7, slope, &ahead);
    assert_true(fabs(ahead - 2.0 / PAIRS) < 1e-12);
    for (int i = 0; i < 2 * PAIRS; i++) {
        double h = 1e-5, at = error[i], up, down, unused;
        error[i] = at + h;
        up = dpo_loss(error, before, PAIRS, 7, none, &unused);
        error[i] = at - h;
        down = dpo_loss(error, before, PAIRS, 7, none, &unused);
        error[i] = at;
        assert_true(fabs((up - down) / (2 * h) - slope[i]) < 1e-8);
    }
    /* far out it is a straight line, not an overflow */
    const double far[2] = { 1e6, 0 }, zero[2] = { 0, 0 };
    assert_true(fabs(dpo_loss(far, zero, 1, 2, slope, &ahead) / 1e6 - 1) < 1e-12);
}

static void mixture_fails(mixture_of of, const char *text, const char *says)
{
    mixture m = { 0 };
    dreamo_error err = { 0 };
    assert_int_equal(mixture_read(&m, of, "here", "list", text, &err), DREAMO_ARG);
    if (!strstr(err.message, says)) fail_msg("%s: %s", text, err.message);
}

static void test_mixture(void **state)
{
    (void)state;
    static const struct { mixture_of of; const char *in, *out; } good[] = {
        { MIXTURE_KINDS, "subject:4  id-style\tt2i:0.5", "subject:4 id-style t2i:0.5" }, { MIXTURE_KINDS, "auto", "auto" },
        { MIXTURE_SIZES, "128x128:6 96 64x128", "128x128:6 96x96 64x128" }, { MIXTURE_SIZES, "0x0", "0x0" }, { MIXTURE_SIZES, "256x0", "256x0" },
        { MIXTURE_SIDES, "128:2 0 64", "128:2 0 64" }, { MIXTURE_SIDES, "96:3 128 id/64:2 id/48", "96:3 128 id/64:2 id/48" },
    };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        mixture m = { 0 };
        char text[256];
        assert_int_equal(mixture_read(&m, good[i].of, "here", "list", good[i].in, NULL), DREAMO_OK);
        mixture_write(&m, good[i].of, text, sizeof text);
        assert_string_equal(text, good[i].out);
    }
    mixture_fails(MIXTURE_KINDS, "subject cats", "cats");
    mixture_fails(MIXTURE_KINDS, "subject:0", "above 0");
    mixture_fails(MIXTURE_KINDS, "subject:-1", "above 0");
    mixture_fails(MIXTURE_KINDS, "subject:nan", "above 0");
    mixture_fails(MIXTURE_KINDS, "subject subject", "twice");
    mixture_fails(MIXTURE_KINDS, "", "empty");
    mixture_fails(MIXTURE_SIZES, "128x", "128x");
    mixture_fails(MIXTURE_SIZES, "4x128", "4x128");
    mixture_fails(MIXTURE_SIZES, "99999x16", "99999x16");
    mixture_fails(MIXTURE_SIDES, "12a", "12a");
    mixture_fails(MIXTURE_SIDES, "64 cats/64", "cats/64");
    mixture_fails(MIXTURE_SIDES, "id/64", "without a kind");
    mixture_fails(MIXTURE_SIDES, "64 id/64 id/64", "twice");
    mixture_fails(MIXTURE_SIDES, "8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24", "more than 16");

    /* shares are met */
    mixture m = { 0 };
    int count[3] = { 0 };
    rng r = rng_new(1, 1);
    assert_int_equal(mixture_read(&m, MIXTURE_SIDES, "here", "list", "8:1 16:2 24:5", NULL), DREAMO_OK);
    for (int i = 0; i < 8000; i++) count[mixture_draw(&m, &r)->a / 8 - 1]++;
    assert_true(abs(count[0] - 1000) < 120 && abs(count[1] - 2000) < 150 && abs(count[2] - 5000) < 180);

    /* a kind's own sides, where it has some */
    assert_int_equal(mixture_read(&m, MIXTURE_SIDES, "here", "list", "96:3 128 id/64:2 id/48", NULL), DREAMO_OK);
    mixture id = mixture_for(&m, DATA_ID), ids = mixture_for(&m, DATA_IDS);
    assert_int_equal(id.n, 2);
    assert_true(id.part[0].a == 64 && id.part[0].share == 2 && id.part[1].a == 48);
    assert_int_equal(ids.n, 2);
    assert_true(ids.part[0].a == 96 && ids.part[0].share == 3 && ids.part[1].a == 128);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dpo), cmocka_unit_test(test_mixture),
        cmocka_unit_test(test_lr),
        cmocka_unit_test(test_ema), cmocka_unit_test(test_flow), cmocka_unit_test(test_pca), cmocka_unit_test(test_pca_init),
        cmocka_unit_test(test_recipe),
    };
    return cmocka_run_group_tests(tests, scratch_enter, scratch_leave);
}
