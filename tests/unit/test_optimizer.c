/* test_optimizer.c - each optimizer against the official library's numbers (tests/oracle/optimizers.py), and its edges. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "format/safetensors.h"
#include "train/moments8.h"
#include "train/muon.h"
#include "train/optimizer.h"

/* cmocka comes last: it has a macro called fail. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

/* ---- AdamW: five steps of torch.optim.AdamW with clipping (golden README) ---- */

static const float *golden(const st_file *f, const char *what, int step, size_t count)
{
    char name[16];
    snprintf(name, sizeof name, "%s.%d", what, step);
    st_tensor *t = st_find(f, name);
    assert_non_null(t);
    assert_int_equal(t->count, count);
    return t->data;
}

static void assert_near(const float *got, const float *want, size_t n, double limit)
{
    double error = 0, size = 0;
    for (size_t i = 0; i < n; i++) {
        error += ((double)got[i] - want[i]) * ((double)got[i] - want[i]);
        size += (double)want[i] * want[i];
    }
    if (!(sqrt(error / size) <= limit)) fail_msg("relative error %g, limit %g", sqrt(error / size), limit);
}

static void check_adamw(device *dev)
{
    st_file f;
    params p = { 0 };
    optimizer *opt;
    adamw o = { .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8, .decay = 1e-2, .clip = 1 };
    double partial[8];
    assert_int_equal(st_open(TEST_DATA "/train/tiny/adamw.safetensors", &f, NULL), DREAMO_OK);
    assert_int_equal(params_add(&p, "p", 2, (const int64_t[]){ 7, 5 }, NULL), DREAMO_OK);
    assert_int_equal(params_add(&p, "q", 1, (const int64_t[]){ 11 }, NULL), DREAMO_OK);
    assert_true(p.slot[0].decay && !p.slot[1].decay);
    p.slot[1].decay = true; /* the official run decays both */
    assert_int_equal(params_allocate(&p, false, NULL), DREAMO_OK);
    assert_int_equal(optimizer_open(&opt, OPTIMIZER_ADAMW, &p, dev, NULL), DREAMO_OK);
    memcpy(p.value + p.slot[0].at, golden(&f, "p", 0, 35), 35 * sizeof(float));
    memcpy(p.value + p.slot[1].at, golden(&f, "q", 0, 11), 11 * sizeof(float));
    for (int step = 1; step <= 5; step++) {
        memcpy(p.grad + p.slot[0].at, golden(&f, "gp", step, 35), 35 * sizeof(float));
        memcpy(p.grad + p.slot[1].at, golden(&f, "gq", step, 11), 11 * sizeof(float));
        double norm = optimizer_norm(&p, dev->threads, partial);
        assert_near(&(float){ (float)norm }, golden(&f, "norm", step, 1), 1, 1e-6);
        optimizer_step(opt, &o, step, 1e-2, 1, norm);
        assert_near(p.value + p.slot[0].at, golden(&f, "p", step, 35), 35, 1e-6);
        assert_near(p.value + p.slot[1].at, golden(&f, "q", step, 11), 11, 1e-6);
        for (size_t i = 0; i < p.count; i++) assert_true(p.grad[i] == 0);
    }
    optimizer_close(opt);
    params_free(&p);
    st_close(&f);
}

static void test_adamw(void **state)
{
    (void)state;
    for (int threads = 1; threads <= 3; threads += 2) {
        device *dev = backend_cpu.open(threads);
        check_adamw(dev);
        backend_cpu.close(dev);
    }
}

/* Micro-batches: the sum of two gradients with scale 1/2 is a step with their mean. */
static void test_adamw_scale(void **state)
{
    (void)state;
    params p[2] = { 0 };
    device *dev = backend_cpu.open(1);
    adamw o = { .beta1 = 0.9, .beta2 = 0.99, .eps = 1e-8, .clip = 0.5 };
    double partial[4];
    for (int k = 0; k < 2; k++) {
        assert_int_equal(params_add(&p[k], "x", 1, (const int64_t[]){ 3 }, NULL), DREAMO_OK);
        optimizer *opt;
        assert_int_equal(params_allocate(&p[k], false, NULL), DREAMO_OK);
        assert_int_equal(optimizer_open(&opt, OPTIMIZER_ADAMW, &p[k], dev, NULL), DREAMO_OK);
        for (int i = 0; i < 3; i++) p[k].grad[i] = (float)(i + 1) * (k ? 2 : 1);
        double scale = k ? 0.5 : 1;
        optimizer_step(opt, &o, 1, 0.1, scale, optimizer_norm(&p[k], NULL, partial));
        optimizer_close(opt);
    }
    assert_memory_equal(p[0].value, p[1].value, 3 * sizeof(float));
    params_free(&p[0]);
    params_free(&p[1]);
    backend_cpu.close(dev);
}

static void test_norm_finds_nan(void **state)
{
    (void)state;
    params p = { 0 };
    double partial[8];
    assert_int_equal(params_add(&p, "x", 1, (const int64_t[]){ 100000 }, NULL), DREAMO_OK);
    assert_int_equal(params_allocate(&p, false, NULL), DREAMO_OK);
    assert_int_equal(p.nchunks, 4);
    for (int i = 0; i < 100000; i++) p.grad[i] = 0.5f;
    assert_true(fabs(optimizer_norm(&p, NULL, partial) - 0.5 * sqrt(100000)) < 1e-9);
    p.grad[99999] = NAN;
    assert_false(isfinite(optimizer_norm(&p, NULL, partial)));
    params_free(&p);
}

/* ---- Muon, and Adam in 8 bits: three steps of torch.optim.Muon and of torchao's AdamW8bit ---- */

enum { STEPS = 3 };

static const float *stored(const st_file *f, size_t count, const char *format, ...)
{
    char name[64];
    va_list ap;
    va_start(ap, format);
    vsnprintf(name, sizeof name, format, ap);
    va_end(ap);
    st_tensor *t = st_find(f, name);
    if (!t) fail_msg("no %s", name);
    assert_int_equal(t->count, count);
    return t->data;
}

static const struct { const char *name; int rank; int64_t shape[4]; } shapes[] = {
    { "wide", 2, { 6, 20 } }, { "tall", 2, { 33, 8 } }, { "square", 2, { 16, 16 } }, { "conv", 4, { 8, 5, 3, 3 } },
    { "panels", 2, { 66, 64 } }, { "late", 2, { 64, 80 } },
};
enum { NSHAPES = sizeof shapes / sizeof *shapes };

/* All in one run, with a bias beside them that AdamW takes. */
static void check_muon(const st_file *f, device *dev)
{
    params p = { 0 };
    optimizer *opt;
    adamw a = { .beta1 = 0.9, .beta2 = 0.99, .eps = 1e-8, .decay = 0.1, .momentum = 0.95 };
    for (int i = 0; i < NSHAPES; i++)
        assert_int_equal(params_add(&p, shapes[i].name, shapes[i].rank, shapes[i].shape, NULL), DREAMO_OK);
    assert_int_equal(params_add(&p, "bias", 1, (const int64_t[]){ 3 }, NULL), DREAMO_OK);
    assert_int_equal(params_allocate(&p, false, NULL), DREAMO_OK);
    assert_int_equal(optimizer_open(&opt, OPTIMIZER_MUON, &p, dev, NULL), DREAMO_OK);
    assert_int_equal(p.nstates, NSHAPES + 2); /* one moment of each matrix, two of the bias */
    for (int i = 0; i < NSHAPES; i++)
        memcpy(p.value + p.slot[i].at, stored(f, p.slot[i].count, "muon.%s.0", shapes[i].name), p.slot[i].count * sizeof(float));
    for (int step = 1; step <= STEPS; step++) {
        for (int i = 0; i < NSHAPES; i++)
            memcpy(p.grad + p.slot[i].at, stored(f, p.slot[i].count, "muon.%s.g%d", shapes[i].name, step),
                   p.slot[i].count * sizeof(float));
        p.grad[p.slot[NSHAPES].at] = 1;
        optimizer_step(opt, &a, step, 0.02, 1, 1);
        for (int i = 0; i < NSHAPES; i++)
            assert_near(p.value + p.slot[i].at, stored(f, p.slot[i].count, "muon.%s.%d", shapes[i].name, step), p.slot[i].count, 1e-5);
        assert_true(fabs(p.value[p.slot[NSHAPES].at] + 0.02 * step) < 1e-6); /* a constant gradient: lr a step */
        for (size_t i = 0; i < p.count; i++) assert_true(p.grad[i] == 0);
    }
    optimizer_close(opt);
    params_free(&p);
}

static void test_muon(void **state)
{
    (void)state;
    st_file f;
    assert_int_equal(st_open(TEST_DATA "/train/optimizers.safetensors", &f, NULL), DREAMO_OK);
    for (int threads = 1; threads <= 3; threads += 2) {
        device *dev = backend_cpu.open(threads);
        check_muon(&f, dev);
        backend_cpu.close(dev);
    }
    device *ref = backend_ref.open(1);
    check_muon(&f, ref);
    backend_ref.close(ref);
#ifdef DREAMO_CUDA
    device *cuda = backend_cuda.open(2);
    check_muon(&f, cuda);
    backend_cuda.close(cuda);
#endif
    st_close(&f);
}

static void test_muon_takes(void **state)
{
    (void)state;
    static const struct { const char *name; bool takes; } list[] = {
        { "transformer.transformer_blocks.0.attn.to_q.weight", true }, { "transformer.transformer_blocks.0.ff.net.0.proj.weight", true },
        { "transformer.single_transformer_blocks.3.proj_out.weight", true }, { "transformer.context_embedder.weight", true },
        { "text_encoder_2.encoder.block.0.layer.0.SelfAttention.q.weight", true }, { "encoder.down_blocks.0.resnets.0.conv1.weight", true },
        { "double_blocks_0_processor_qkv_lora1.down.weight", true }, { "single_blocks_0_processor_proj_lora.up.weight", true },
        { "transformer.x_embedder.weight", false }, { "transformer.proj_out.weight", false }, { "encoder.conv_in.weight", false },
        { "decoder.conv_out.weight", false }, { "transformer.transformer_blocks.0.norm1.linear.weight", false },
        { "transformer.transformer_blocks.0.norm1_context.linear.weight", false }, { "transformer.norm_out.linear.weight", false },
        { "transformer.single_transformer_blocks.0.norm.linear.weight", false },
        { "transformer.time_text_embed.timestep_embedder.linear_1.weight", false },
    };
    param_slot s = { .rank = 2, .shape = { 8, 8 }, .count = 64, .decay = true };
    for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
        snprintf(s.name, sizeof s.name, "%s", list[i].name);
        if (muon_takes(&s) != list[i].takes) fail_msg("%s", s.name);
    }
    s.decay = false; /* a table */
    assert_false(muon_takes(&s));
    assert_false(muon_takes(&(param_slot){ .name = "a.bias", .rank = 1, .shape = { 8 }, .count = 8, .decay = true }));
}

static void test_adamw8(void **state)
{
    (void)state;
    enum { N = 34 * 128 };
    st_file f;
    params p = { 0 };
    optimizer *opt;
    device *dev = backend_cpu.open(2);
    adamw a = { .beta1 = 0.9, .beta2 = 0.99, .eps = 1e-8, .decay = 0.1 };
    assert_int_equal(st_open(TEST_DATA "/train/optimizers.safetensors", &f, NULL), DREAMO_OK);
    assert_int_equal(params_add(&p, "w", 2, (const int64_t[]){ 34, 128 }, NULL), DREAMO_OK);
    assert_int_equal(params_allocate(&p, false, NULL), DREAMO_OK);
    assert_int_equal(optimizer_open(&opt, OPTIMIZER_ADAMW8, &p, dev, NULL), DREAMO_OK);
    assert_int_equal(p.nstates, 4);
    memcpy(p.value, stored(&f, N, "adamw8.0"), N * sizeof(float));
    for (int step = 1; step <= STEPS; step++) {
        memcpy(p.grad, stored(&f, N, "adamw8.g%d", step), N * sizeof(float));
        optimizer_step(opt, &a, step, 0.02, 1, 1);
        assert_near(p.value, stored(&f, N, "adamw8.%d", step), N, 1e-5);
    }
    /* the moments as they were stored: the same codes */
    for (int k = 0; k < 2; k++) {
        static float got[N];
        code8 c;
        code8_make(&c, k == 0);
        const unsigned char *codes = p.state[2 * k].data;
        const float *scale = p.state[2 * k + 1].data, *want = stored(&f, N, k ? "adamw8.v" : "adamw8.m");
        for (int b = 0; b < N / BLOCK8; b++) code8_get(&c, codes + b * BLOCK8, scale[b], BLOCK8, got + b * BLOCK8);
        int off = 0;
        for (int i = 0; i < N; i++) off += fabsf(got[i] - want[i]) > 1e-5f * fabsf(want[i]) + 1e-12f;
        if (off > N / 1000) fail_msg("%d of %d codes differ", off, N); /* a number in the middle of two codes may fall to either */
    }
    optimizer_close(opt);
    params_free(&p);
    backend_cpu.close(dev);
    st_close(&f);
}

/* The nearest code by trying all, over numbers of every size; what is not zero never becomes a zero second moment. */
static void test_codes(void **state)
{
    (void)state;
    static code8 c[2];
    for (int k = 0; k < 2; k++) {
        code8_make(&c[k], k == 0);
        for (int i = 1; i < 256; i++) assert_true(c[k].value[i] > c[k].value[i - 1]);
        assert_true(c[k].value[255] == 1);
        for (int i = 0; i < 200000; i++) {
            float x[2] = { 1, (float)(pow(10, -9.0 * i / 200000) * (k == 0 && i % 2 ? -1 : 1)) }, best = 9;
            unsigned char code[2];
            assert_true(code8_put(&c[k], x, 2, code) == 1);
            for (int j = 0; j < 256; j++) best = fminf(best, fabsf(c[k].value[j] - x[1]));
            if (k == 1) assert_true(code[1] > 0);
            if (k == 0 || x[1] > 3e-7f) assert_true(fabsf(c[k].value[code[1]] - x[1]) <= best * 1.000001f + 1e-12f);
        }
        float none[3] = { 0 }, back[3] = { 1, 1, 1 };
        unsigned char code[3];
        assert_true(code8_put(&c[k], none, 3, code) == 0);
        code8_get(&c[k], code, 0, 3, back);
        assert_memory_equal(none, back, sizeof none);
    }
}

/* What stays in fp32: vectors, tables, small matrices. */
static void test_moments8_take(void **state)
{
    (void)state;
    assert_true(moments8_take(&(param_slot){ .rank = 2, .count = 4096, .decay = true }));
    assert_false(moments8_take(&(param_slot){ .rank = 2, .count = 4095, .decay = true }));
    assert_false(moments8_take(&(param_slot){ .rank = 2, .count = 4096, .decay = false }));
    assert_false(moments8_take(&(param_slot){ .rank = 1, .count = 4096, .decay = true }));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_adamw), cmocka_unit_test(test_adamw_scale), cmocka_unit_test(test_norm_finds_nan),
        cmocka_unit_test(test_muon), cmocka_unit_test(test_muon_takes), cmocka_unit_test(test_adamw8), cmocka_unit_test(test_codes),
        cmocka_unit_test(test_moments8_take),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
