/* test_encode.c - fp32 to stored types, against what ggml's Python library and PyTorch wrote (golden/kernels), and the searched 4, 5
 * and 6-bit blocks against what a uniform quantiser must reach. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/blocks.h"
#include "base/rng.h"
#include "format/safetensors.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static const st_tensor *need(const st_file *f, const char *name)
{
    const st_tensor *t = st_find(f, name);
    if (!t) fail_msg("%s is not there", name);
    return t;
}

/* Same numbers in, same bytes out. */
static void simple_types_give_ggmls_bytes(void **state)
{
    static const struct { dtype type; const char *bytes; } types[] = {
        { DT_Q4_0, "Q4_0.bytes" }, { DT_Q4_1, "Q4_1.bytes" }, { DT_Q5_0, "Q5_0.bytes" }, { DT_Q5_1, "Q5_1.bytes" },
        { DT_Q8_0, "Q8_0.bytes" }, { DT_BF16, "BF16.bytes" }, { DT_F16, "F16.bytes" },
    };
    st_file f;
    (void)state;
    assert_int_equal(st_open(TEST_DATA "/gguf-blocks.safetensors", &f, NULL), DREAMO_OK);
    const st_tensor *source = need(&f, "source");
    uint8_t *got = malloc(source->nbytes);
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        const st_tensor *want = need(&f, types[i].bytes);
        assert_int_equal(want->nbytes, dtype_nbytes_of(types[i].type, source->count));
        dtype_from_f32(types[i].type, source->data, source->count, got);
        for (size_t k = 0; k < want->nbytes; k++)
            if (got[k] != ((const uint8_t *)want->data)[k]) fail_msg("%s: byte %zu differs", types[i].bytes, k);
    }
    free(got);
    st_close(&f);
}

static void fp8_rounds_as_pytorch(void **state)
{
    st_file f;
    (void)state;
    assert_int_equal(st_open(TEST_DATA "/fp8.safetensors", &f, NULL), DREAMO_OK);
    const st_tensor *in = need(&f, "encode.in");
    for (int e5 = 0; e5 < 2; e5++) {
        const st_tensor *want = need(&f, e5 ? "encode.e5m2" : "encode.e4m3fn");
        for (size_t i = 0; i < in->count; i++) {
            float v;
            uint8_t b, w = ((const uint8_t *)want->data)[i];
            memcpy(&v, (const char *)in->data + 4 * i, 4);
            dtype_from_f32(e5 ? DT_F8_E5M2 : DT_F8_E4M3, &v, 1, &b);
            if (b != w && !(isnan(v) && (b & 0x7F) > 0x7C && (w & 0x7F) > 0x7C))
                fail_msg("%s of %a is %02x, not %02x", e5 ? "e5m2" : "e4m3fn", (double)v, b, w);
        }
    }
    st_close(&f);
}

/* Every number that a type can hold survives. */
static void halves_come_back(void **state)
{
    static const dtype types[] = { DT_F16, DT_BF16, DT_F8_E4M3, DT_F8_E5M2 };
    (void)state;
    for (int t = 0; t < 4; t++)
        for (unsigned bits = 0; bits < 1u << 8 * dtype_nbytes(types[t]); bits++) {
            uint16_t from = (uint16_t)bits, to = 0;
            float v;
            dtype_to_f32(types[t], &from, 1, &v);
            dtype_from_f32(types[t], &v, 1, &to);
            if (!isnan(v)) assert_int_equal(from, to);
        }
}

enum { COUNT = 256 * 256 };

/* ||decoded - x|| / ||x|| */
static double loss(dtype t, const float *x)
{
    uint8_t *bytes = malloc(dtype_nbytes_of(t, COUNT));
    float *back = malloc(COUNT * sizeof *back);
    double error = 0, sum = 0;
    dtype_from_f32(t, x, COUNT, bytes);
    dtype_to_f32(t, bytes, COUNT, back);
    for (int i = 0; i < COUNT; i++) {
        error += pow((double)back[i] - (double)x[i], 2);
        sum += pow((double)x[i], 2);
    }
    free(bytes);
    free(back);
    return sqrt(error / sum);
}

/* On uniform numbers a quantiser of b bits has the error 2^-b: step 2 / 2^b, error step / sqrt(12), size 1 / sqrt(3).  Groups that
 * choose their own range may not be worse, at any size of the numbers, with a zero mean or without.  On normal numbers, as weights
 * are, they must beat the format of as many bits with one fixed rule. */
static void searched_blocks_reach_the_bound(void **state)
{
    static const struct { dtype type, rival; int bits; } types[] = { { DT_Q4_K, DT_Q4_0, 4 }, { DT_Q5_K, DT_Q5_0, 5 }, { DT_Q6_K, DT_Q5_1, 6 } };
    static const float size[] = { 3, 0.02f, 1e-3f };
    float *x = malloc(COUNT * sizeof *x);
    rng r = rng_new(11, 1);
    (void)state;
    for (int t = 0; t < 3; t++) {
        for (int k = 0; k < 3; k++) {
            for (int i = 0; i < COUNT; i++) x[i] = (float)rng_range(&r, -1, 1) * size[k];
            double e = loss(types[t].type, x);
            if (e > pow(2, -types[t].bits)) fail_msg("%s, size %g: error %g", dtype_name(types[t].type), (double)size[k], e);
        }
        for (int i = 0; i < COUNT; i++) x[i] = (float)rng_normal(&r) * 0.02f;
        double e = loss(types[t].type, x), rival = loss(types[t].rival, x);
        print_message("normal numbers: %s %.4f, %s %.4f\n", dtype_name(types[t].type), e, dtype_name(types[t].rival), rival);
        if (e >= rival) fail_msg("%s: error %g, %s has %g", dtype_name(types[t].type), e, dtype_name(types[t].rival), rival);
    }
    free(x);
}

/* Zeros, one number repeated, one number among zeros, numbers below what a scale can hold: finite, and exact where a level is. */
static void degenerate_blocks_stay_finite(void **state)
{
    static const dtype types[] = { DT_Q4_0, DT_Q4_1, DT_Q5_0, DT_Q5_1, DT_Q8_0, DT_Q4_K, DT_Q5_K, DT_Q6_K };
    static const float fill[] = { 0, 1, -1, 0, 1e-8f, 1e-42f, -0.f };
    float x[256], back[256];
    uint8_t bytes[512];
    (void)state;
    for (size_t t = 0; t < sizeof types / sizeof *types; t++)
        for (int k = 0; k < 7; k++) {
            for (int i = 0; i < 256; i++) x[i] = fill[k];
            if (k == 3) x[77] = 5;
            dtype_from_f32(types[t], x, 256, bytes);
            dtype_to_f32(types[t], bytes, 256, back);
            for (int i = 0; i < 256; i++)
                if (!(fabsf(back[i] - x[i]) <= 0.01f * fabsf(x[i]) + 1e-7f))
                    fail_msg("%s: %g became %g", dtype_name(types[t]), (double)x[i], (double)back[i]);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(simple_types_give_ggmls_bytes), cmocka_unit_test(fp8_rounds_as_pytorch), cmocka_unit_test(halves_come_back),
        cmocka_unit_test(searched_blocks_reach_the_bound),
        cmocka_unit_test(degenerate_blocks_stay_finite),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
