/* test_bands.c - large pictures go through the autoencoder in bands of rows: every number as when each op does the whole picture,
 * in much less memory. */
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "model/vae.h"

/* cmocka comes last: it has a macro called fail. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static float *numbers(uint64_t seed, size_t n)
{
    rng r = rng_new(seed, 3);
    float *x = mem_alloc(n * sizeof *x);
    assert_non_null(x);
    for (size_t i = 0; i < n; i++) x[i] = (float)(int32_t)rng_u32(&r) * 0x1p-32f;
    return x;
}

/* What every op of a tape keeps, or bands. */
static nn *context(device *dev, bool taping)
{
    nn *cx = nn_new(&(nn_options){ .dev = dev, .work_nbytes = (size_t)1 << 32, .keep_nbytes = 1 << 20, .taping = taping }, NULL);
    assert_non_null(cx);
    return cx;
}

/* ---- one step ---- */

enum { MOST = 24, GROUPS = 4 };

typedef struct step_case { grid g; int in, out, stride; bool norm, twice, beside, shortcut; int in_place; } step_case;

/* in_place: `beside` has that many numbers between pixels, and the result goes there. */
static float *run_step(device *dev, bool taping, const step_case *k, size_t *n)
{
    int pixels = k->g.n * k->g.h * k->g.w, rows = pixels * (k->twice ? 4 : 1) / (k->stride * k->stride), other = k->shortcut ? k->in : k->out;
    int ld = k->in_place ? k->in_place : other;
    float *x = numbers(1, (size_t)pixels * (size_t)k->in), *w = numbers(2, (size_t)MOST * MOST * 9), *v = numbers(3, (size_t)MOST * MOST);
    float *b = numbers(4, (size_t)rows * (size_t)ld);
    weight conv = { .in = k->in, .out = k->out, .kh = 3, .kw = 3, .nparts = 1, .part = { { .rows = k->out, .data = w, .bias = v } } };
    weight cut = { .in = k->in, .out = k->out, .kh = 1, .kw = 1, .nparts = 1, .part = { { .rows = k->out, .data = v, .bias = w } } };
    nn *cx = context(dev, taping);
    tensor beside = tensor_cols(tensor_from(cx, rows, ld, b), 0, other), into = beside;
    into.cols = k->out;
    conv_step s = { .w = &conv, .stride = k->stride, .twice = k->twice, .shortcut = k->shortcut ? &cut : NULL };
    if (k->norm) s.norm = (group_norm){ GROUPS, 1e-6f, { .n = k->in, .p = v }, { .n = k->in, .p = w } };
    if (k->beside) s.beside = beside;
    if (k->in_place && !taping) s.into = into;
    tensor y = op_conv_step(cx, tensor_from(cx, pixels, k->in, x), k->g, s);
    dreamo_error err = { 0 };
    if (nn_status(cx, &err)) fail_msg("%s", err.message);
    if (k->in_place && !taping) assert_ptr_equal(y.p, beside.p);
    assert_int_equal(y.rows, rows);
    *n = (size_t)y.rows * (size_t)y.cols;
    float *result = mem_alloc(*n * sizeof *result);
    tensor_read(cx, y, result);
    nn_free(cx);
    mem_free(x), mem_free(w), mem_free(v), mem_free(b);
    return result;
}

static void test_bands_change_no_number(void **state)
{
    static const step_case cases[] = {
        { { 1, 290, 2600 }, 24, 24, 1, .norm = true, .beside = true, .in_place = 24 },
        { { 1, 290, 2600 }, 24, 8, 1, .norm = true, .beside = true, .shortcut = true, .in_place = 24 },
        { { 1, 290, 2600 }, 8, 24, 1, .norm = true, .beside = true, .shortcut = true, .in_place = 24 },
        { { 2, 331, 1200 }, 24, 3, 1, .norm = true },
        { { 1, 203, 911 }, 8, 24, 1, .twice = true },
        { { 1, 302, 2600 }, 24, 8, 2, .norm = false },
        { { 3, 250, 1000 }, 3, 24, 1, .norm = false },
        { { 2, 20, 30 }, 8, 8, 1, .norm = true, .beside = true, .in_place = 8 },
        { { 1, 4, 400000 }, 12, 4, 1, .norm = true },
    };
    device *dev = backend_cpu.open(2);
    (void)state;
    assert_non_null(dev);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t n, m;
        float *whole = run_step(dev, true, &cases[i], &n), *bands = run_step(dev, false, &cases[i], &m);
        assert_int_equal(n, m);
        if (memcmp(whole, bands, n * sizeof *whole)) fail_msg("case %zu: bands give other numbers", i);
        mem_free(whole);
        mem_free(bands);
    }
    dev->be->close(dev);
}

/* ---- the whole autoencoder ---- */

static void give_weight(void *user, const param *p)
{
    uint64_t *seed = user;
    float *values = numbers((*seed)++, (size_t)param_count(p));
    if (p->w) {
        p->w->part[p->part].data = values;
        p->w->part[p->part].type = DT_F32;
    } else {
        *p->fp32 = values;
    }
}

static void take_weight(void *user, const param *p)
{
    (void)user;
    mem_free(p->w ? (void *)(uintptr_t)p->w->part[p->part].data : (void *)(uintptr_t)*p->fp32);
}

static void test_coders_in_bands(void **state)
{
    static const vae_config c = { .image_channels = 3, .latent_channels = 4, .levels = 3, .channels = { 192, 16, 16 }, .layers = 1, .groups = 4,
                                  .mid_attention = true, .scaling = 1 };
    static const grid small = { 1, 72, 80 }, picture = { 1, 288, 320 };
    float *result[2][2], *z = numbers(100, 72 * 80 * 4), *x = numbers(101, 288 * 320 * 3);
    vae *m = vae_new(&c);
    device *dev = backend_cpu.open(2);
    uint64_t seed = 1;
    (void)state;
    assert_non_null(m);
    assert_non_null(dev);
    vae_visit(m, give_weight, &seed);
    for (int taping = 0; taping < 2; taping++) {
        nn *cx = context(dev, taping);
        tensor y = vae_decode(cx, m, tensor_from(cx, 72 * 80, 4, z), small), e = vae_encode(cx, m, tensor_from(cx, 288 * 320, 3, x), picture);
        dreamo_error err = { 0 };
        if (nn_status(cx, &err)) fail_msg("%s", err.message);
        result[taping][0] = mem_alloc(sizeof(float) * 288 * 320 * 3);
        result[taping][1] = mem_alloc(sizeof(float) * 72 * 80 * 8);
        tensor_read(cx, y, result[taping][0]);
        tensor_read(cx, e, result[taping][1]);
        nn_free(cx);
    }
    assert_memory_equal(result[0][0], result[1][0], sizeof(float) * 288 * 320 * 3);
    assert_memory_equal(result[0][1], result[1][1], sizeof(float) * 72 * 80 * 8);
    for (int i = 0; i < 4; i++) mem_free(result[i / 2][i % 2]);
    vae_visit(m, take_weight, NULL);
    vae_free(m);
    mem_free(z), mem_free(x);
    dev->be->close(dev);
}

/* FLUX.1's autoencoder (spec 4.1).  At 1024x1024 the decoder's last level begins with 256 channels, 1 GiB, and has 128 inside, 512 MiB:
 * these two places are all that is as large as the picture.  Attention in the middle takes 16384 rows of 512 channels, 32 MiB, eight times;
 * a band less.  The encoder has two places of 128 channels. */
static size_t peak(bool encode, int side)
{
    static const vae_config flux = { .image_channels = 3, .latent_channels = 16, .levels = 4, .channels = { 128, 256, 512, 512 }, .layers = 2,
                                     .groups = 32, .mid_attention = true, .scaling = 0.3611f, .shift = 0.1159f };
    vae *m = vae_new(&flux);
    device *dry = backend_dry.open(1);
    nn *cx = context(dry, false);
    grid g = encode ? (grid){ 1, side, side } : (grid){ 1, side / 8, side / 8 };
    assert_non_null(m);
    if (encode) vae_encode(cx, m, tensor_new(cx, side * side, 3), g);
    else vae_decode(cx, m, tensor_new(cx, side / 8 * (side / 8), 16), g);
    dreamo_error err = { 0 };
    if (nn_status(cx, &err)) fail_msg("%s", err.message);
    size_t n = nn_count(cx).work_peak;
    nn_free(cx);
    vae_free(m);
    dry->be->close(dry);
    return n;
}

static void test_memory_of_large_pictures(void **state)
{
    const size_t mib = (size_t)1 << 20;
    (void)state;
    print_message("             decode 1024: %zu MiB, 2048: %zu MiB, encode 1024: %zu MiB\n", peak(false, 1024) / mib, peak(false, 2048) / mib,
                  peak(true, 1024) / mib);
    assert_true(peak(false, 1024) < 1900 * mib);
    assert_true(peak(false, 2048) < 4 * 1900 * mib);
    assert_true(peak(true, 1024) < 1400 * mib);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bands_change_no_number),
        cmocka_unit_test(test_coders_in_bands),
        cmocka_unit_test(test_memory_of_large_pictures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
