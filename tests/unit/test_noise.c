/* test_noise.c - the noise kernels against what torch 2.6 drew, and against spec 12's vectors. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/half.h"
#include "base/mem.h"
#include "format/safetensors.h"
#include "pipe/noise.h"

/* cmocka comes last: it has a macro called fail. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static void test_engine(void **state)
{
    (void)state;
    static const uint32_t first[] = { 1608637542u, 3421126067u, 4083286876u, 787846414u };
    noise_generator g;
    noise_seed(&g, 42);
    for (int i = 0; i < 4; i++) assert_int_equal(noise_u32(&g), first[i]);
}

/* Spec 12: 262,144 values of a 1024x1024 picture. */
static void check_latent(uint64_t seed, const uint16_t first[6], const uint16_t last[4], uint64_t sum)
{
    enum { N = 16 * 128 * 128 };
    float *x = mem_alloc(N * sizeof *x);
    assert_non_null(x);
    noise_generator g;
    noise_seed(&g, seed);
    noise_normal(&g, NOISE_BF16, x, N);
    uint64_t total = 0;
    for (int i = 0; i < N; i++) total += f32_to_bf16(x[i]);
    for (int i = 0; i < 6; i++) assert_int_equal(f32_to_bf16(x[i]), first[i]);
    for (int i = 0; i < 4; i++) assert_int_equal(f32_to_bf16(x[N - 4 + i]), last[i]);
    assert_true(total == sum);
    mem_free(x);
}

static void test_bf16_latents(void **state)
{
    (void)state;
    check_latent(0, (uint16_t[]){ 0x3fbb, 0x3e95, 0x3f76, 0x3fc9, 0x3efd, 0xbfc2 }, (uint16_t[]){ 0xbf88, 0xbf43, 0x3f54, 0x3fcf }, 8450595998u);
    check_latent(42, (uint16_t[]){ 0xbf4f, 0xbfc4, 0x3ed0, 0x3e30, 0xbe7d, 0x3e51 }, (uint16_t[]){ 0xbd5f, 0xbf55, 0xbff5, 0xbf22 }, 8459433737u);
}

static void test_tail(void **state)
{
    (void)state;
    static const float want[20] = { -0.97265625f, -0.306640625f, -0.42578125f, 2.15625f, 0.77734375f, 1.5078125f, 1.046875f, -0.107421875f,
        0.70703125f, 0, -0.10302734375f, 0.134765625f, -0.12353515625f, 0.2236328125f, 0.52734375f, -1.21875f, 1.3203125f, 0, 0.82421875f, 0.68359375f };
    float x[20];
    noise_generator g;
    noise_seed(&g, 7);
    noise_normal(&g, NOISE_BF16, x, 20);
    for (int i = 0; i < 20; i++) assert_true(x[i] == want[i] && !signbit(x[i]) == !signbit(want[i]));
}

/* Every stored draw: names are KERNEL.SEED.SHAPE. */
static void test_against_torch(void **state)
{
    (void)state;
    st_file f;
    dreamo_error err = { 0 };
    assert_int_equal(st_open(TEST_DATA "/noise.safetensors", &f, &err), DREAMO_OK);
    assert_int_equal(f.ntensors, 12);
    for (int i = 0; i < f.ntensors; i++) {
        const st_tensor *t = &f.tensors[i];
        char kernel[16];
        unsigned long long seed;
        assert_int_equal(sscanf(t->name, "%15[^.].%llu", kernel, &seed), 2);
        float *got = mem_alloc(t->count * sizeof *got), *want = mem_alloc(t->count * sizeof *want);
        assert_true(got && want);
        dtype_to_f32(t->type, t->data, t->count, want);
        noise_generator g;
        noise_seed(&g, seed);
        noise_normal(&g, (noise_kernel)noise_kernel_from_name(kernel), got, t->count);
        double error = 0, size = 0;
        for (size_t j = 0; j < t->count; j++) {
            if (t->type == DT_BF16) assert_int_equal(f32_to_bf16(got[j]), f32_to_bf16(want[j]));
            error += (got[j] - want[j]) * (double)(got[j] - want[j]);
            size += want[j] * (double)want[j];
        }
        assert_true(sqrt(error / size) <= 2e-6);
        mem_free(got);
        mem_free(want);
    }
    st_close(&f);
}

static void test_names_and_rounding(void **state)
{
    (void)state;
    assert_int_equal(noise_kernel_from_name("fp32-rounded"), NOISE_FP32_ROUNDED);
    assert_int_equal(noise_kernel_from_name("fp16"), -1);
    float exact[48], rounded[48];
    noise_generator g;
    noise_seed(&g, UINT64_C(0x500000003)); /* the low 32 bits count */
    noise_normal(&g, NOISE_FP32, exact, 48);
    noise_seed(&g, 3);
    noise_normal(&g, NOISE_FP32_ROUNDED, rounded, 48);
    for (int i = 0; i < 48; i++) assert_true(rounded[i] == round_bf16(exact[i]));
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_engine), cmocka_unit_test(test_bf16_latents), cmocka_unit_test(test_tail),
                                        cmocka_unit_test(test_against_torch), cmocka_unit_test(test_names_and_rounding) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
