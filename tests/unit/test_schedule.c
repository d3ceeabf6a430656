/* test_schedule.c - sigmas and timesteps against the official scheduler, rounding against spec 1.5, 3.4 and 12. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/half.h"
#include "base/mem.h"
#include "format/safetensors.h"
#include "pipe/schedule.h"

/* cmocka comes last: it has a macro called fail. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static void near(double got, double want, double limit)
{
    if (!(fabs(got - want) <= limit)) fail_msg("%.9g instead of %.9g", got, want);
}

static void test_mu(void **state)
{
    (void)state;
    schedule_config c = schedule_flux();
    near(schedule_mu(&c, 2304), 0.846667, 1e-6);
    near(schedule_mu(&c, 3072), 0.976667, 1e-6);
    near(schedule_mu(&c, 4096), 1.15, 1e-12);
}

/* sigmas.TOKENS.STEPS, timesteps.., bf16.. (the rounded timestep that is embedded). */
static void test_against_official(void **state)
{
    (void)state;
    st_file f;
    dreamo_error err = { 0 };
    schedule_config c = schedule_flux();
    assert_int_equal(st_open(TEST_DATA "/schedule.safetensors", &f, &err), DREAMO_OK);
    assert_int_equal(f.ntensors, 30);
    for (int i = 0; i < f.ntensors; i++) {
        const st_tensor *t = &f.tensors[i];
        char kind[16];
        int tokens, steps;
        float sigmas[64], want[64];
        assert_int_equal(sscanf(t->name, "%15[^.].%d.%d", kind, &tokens, &steps), 3);
        assert_true(steps < 63 && t->count <= 64);
        dtype_to_f32(t->type, t->data, t->count, want);
        schedule_sigmas(&c, tokens, steps, sigmas);
        for (size_t j = 0; j < t->count; j++) {
            float time = sigmas[j] * 1000.0f;
            if (kind[0] == 's') near(sigmas[j], want[j], 1e-6 * want[j]);
            else if (kind[0] == 't') near(time, want[j], 1e-6 * want[j]);
            else near(schedule_embedded_time(time, true), want[j], 0);
        }
    }
    st_close(&f);
}

static void test_embedded(void **state)
{
    (void)state;
    static const float guidance[][2] = { { 3.5f, 3504 }, { 4.5f, 4512 }, { 2.5f, 2496 }, { 4, 4000 }, { 5, 4992 }, { 1, 1000 } };
    for (int i = 0; i < 6; i++) near(schedule_embedded_guidance(guidance[i][0], true), guidance[i][1], 0);
    near(schedule_embedded_guidance(3.5f, false), 3500, 0);
    near(schedule_embedded_time(31.375f, true), 31.5, 0);
    near(schedule_embedded_time(972.02f, false), 972.02f, 0);
    int exceptions = 0; /* spec 1.5: 27 bf16 values in [1, 1000] change on the way */
    for (float t = 1; t <= 1000; t = bf16_to_f32((uint16_t)(f32_to_bf16(t) + 1))) exceptions += schedule_embedded_time(t, true) != t;
    assert_int_equal(exceptions, 27);
}

static void test_step(void **state)
{
    (void)state;
    /* dt of the first of 12 steps at 4096 tokens is -0.0279798 in fp32 and -0.0279541015625 in bf16 (spec 12). */
    schedule_config c = schedule_flux();
    float sigmas[13], x[2] = { 1.0f, 1.0f }, v[2] = { 1.0f, -2.0f };
    schedule_sigmas(&c, 4096, 12, sigmas);
    near(round_bf16(sigmas[1] - sigmas[0]), -0.0279541015625, 0);
    near(round_bf16(sigmas[12] - sigmas[11]), -0.22265625, 0);
    schedule_step(x, v, 1, sigmas[0], sigmas[1], false);
    near(x[0], 1.0f + (sigmas[1] - sigmas[0]), 1e-7);
    schedule_step(x + 1, v + 1, 1, sigmas[0], sigmas[1], true);
    near(x[1], round_bf16(1.0f + 2 * 0.0279541015625f), 0);
}

static void test_constant_shift(void **state)
{
    (void)state;
    schedule_config c = schedule_flux();
    c.dynamic = false;
    c.shift = 3.0;
    near(schedule_shift(&c, 77, 0.5f), 0.75, 1e-7);
    near(schedule_shift(&c, 77, 1.0f), 1.0, 0);
}

static dreamo_status read_text(const char *text, schedule_config *c, dreamo_error *err)
{
    assert_int_equal(file_replace("schedule_test.json", text, strlen(text), NULL), DREAMO_OK);
    *err = (dreamo_error){ 0 };
    dreamo_status s = schedule_read("schedule_test.json", c, err);
    remove("schedule_test.json");
    return s;
}

static void test_read(void **state)
{
    (void)state;
    schedule_config c;
    dreamo_error err;
    assert_int_equal(read_text("{\"use_dynamic_shifting\": true, \"base_shift\": 0.25, \"max_image_seq_len\": 1024}", &c, &err), DREAMO_OK);
    assert_true(c.dynamic && c.base_shift == 0.25 && c.max_shift == 1.15 && c.max_tokens == 1024 && c.train_steps == 1000);
    assert_int_equal(read_text("{\"shift\": 2}", &c, &err), DREAMO_OK);
    assert_true(!c.dynamic && c.shift == 2);
    assert_int_equal(read_text("{\"use_karras_sigmas\": true}", &c, &err), DREAMO_MISMATCH);
    assert_int_equal(read_text("{\"shift\": \"3\"}", &c, &err), DREAMO_FORMAT);
    assert_int_equal(read_text("{\"use_dynamic_shifting\": true, \"max_image_seq_len\": 256}", &c, &err), DREAMO_FORMAT);
    assert_int_equal(read_text("{", &c, &err), DREAMO_FORMAT);
    assert_int_equal(mem_live(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_mu), cmocka_unit_test(test_against_official), cmocka_unit_test(test_embedded),
                                        cmocka_unit_test(test_step), cmocka_unit_test(test_constant_shift), cmocka_unit_test(test_read) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
