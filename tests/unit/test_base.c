/* test_base.c - errors, memory, arenas, random numbers, hashes, number formats, progress.  Files: test_file.c; threads: test_threads.c.
 *
 * Judges: interface B6 (the table of outcomes), FIPS 180-4 and PCG's own demonstration output, IEEE 754's definitions in double, PyTorch's
 * tables of both fp8 formats (golden/kernels). */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/dtype.h"
#include "base/error.h"
#include "base/half.h"
#include "base/mem.h"
#include "base/progress.h"
#include "base/rng.h"
#include "base/sha256.h"
#include "format/safetensors.h"

/* cmocka comes last: it has a macro called fail. */
static dreamo_status spoil(dreamo_error *err, dreamo_status status) { return fail(err, status, "%s: bad", "x.png"); }
static dreamo_status name_it(dreamo_error *err, const char *name) { return fail(err, DREAMO_FORMAT, "no \"%s\"", name); }
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

/* ---- errors ---- */

static void outcomes_are_those_of_the_interface(void **state)
{
    (void)state;
    static const struct { dreamo_status status; int exit; const char *code; int http; } rows[] = {
        { DREAMO_OK, 0, "ok", 200 }, { DREAMO_DIFFERS, 1, "differs", 200 }, { DREAMO_ARG, 2, "bad_argument", 400 },
        { DREAMO_FORMAT, 3, "bad_file", 422 }, { DREAMO_NOT_FOUND, 4, "not_found", 404 }, { DREAMO_MEMORY, 5, "no_memory", 507 },
        { DREAMO_LIMIT, 6, "too_large", 413 }, { DREAMO_IO, 7, "io", 500 }, { DREAMO_DEVICE, 8, "device", 503 },
        { DREAMO_NUMERIC, 9, "not_finite", 500 }, { DREAMO_CONTENT, 10, "no_subject", 422 }, { DREAMO_MISMATCH, 11, "mismatch", 409 },
        { DREAMO_BUSY, 12, "busy", 429 }, { DREAMO_AUTH, 13, "unauthorized", 401 }, { DREAMO_NET, 14, "network", 502 },
        { DREAMO_VERSION, 15, "version", 409 }, { DREAMO_BUG, 70, "internal", 500 }, { DREAMO_CANCELLED, 130, "cancelled", 499 },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_int_equal(dreamo_exit_code(rows[i].status), rows[i].exit);
        assert_string_equal(dreamo_status_code(rows[i].status), rows[i].code);
        assert_int_equal(dreamo_http_status(rows[i].status), rows[i].http);
    }
    assert_int_equal(dreamo_exit_code((dreamo_status)999), 70);
    assert_int_equal(dreamo_exit_code((dreamo_status)-1), 70);
    assert_string_equal(dreamo_version(), "0.1.0");
}

/* A name from a file can neither break the line nor reach the terminal; other text stays. */
static void a_message_is_one_plain_line(void **state)
{
    (void)state;
    dreamo_error err = { 0 };
    name_it(&err, "a\n\x1b[31m\x7f\xc2\x9b" "b \xc3\xa9\xc2\xa0");
    assert_string_equal(err.message, "no \"a??[31m???b \xc3\xa9\xc2\xa0\"");
    hint(&err, "use %s", "\t.");
    assert_string_equal(err.hint, "use ?.");
}

static void the_first_failure_is_kept(void **state)
{
    (void)state;
    dreamo_error err = { 0 };
    assert_int_equal(spoil(&err, DREAMO_FORMAT), DREAMO_FORMAT);
    assert_string_equal(err.message, "x.png: bad");
    assert_string_equal(err.hint, "");
    assert_int_equal(hint(&err, "use %d", 3), DREAMO_FORMAT);
    assert_string_equal(err.hint, "use 3");
    spoil(&err, DREAMO_IO);
    assert_int_equal(err.status, DREAMO_FORMAT);
    assert_int_equal(spoil(NULL, DREAMO_LIMIT), DREAMO_LIMIT);
    assert_int_equal(hint(NULL, "use %d", 3), DREAMO_LIMIT);
}

/* ---- memory ---- */

static void the_nth_allocation_fails(void **state)
{
    (void)state;
    size_t before = mem_live();
    mem_fail_at(3);
    void *a = mem_alloc(0), *b = mem_aligned(100), *c = mem_calloc(3, 5), *d = mem_strdup("x");
    assert_non_null(a);
    assert_non_null(b);
    assert_int_equal((uintptr_t)b % 64, 0);
    assert_null(c);
    assert_non_null(d); /* only the third */
    assert_int_equal(mem_live(), before + 3);
    mem_fail_at(1);
    assert_null(mem_realloc(d, 1000));
    assert_string_equal(d, "x");
    mem_free(a);
    mem_free(b);
    mem_free(d);
    mem_free(NULL);
    assert_int_equal(mem_live(), before);
    assert_null(mem_calloc(SIZE_MAX / 2, 3));
    assert_null(mem_aligned(SIZE_MAX));
}

static void sizes_do_not_wrap(void **state)
{
    (void)state;
    size_t n = 7;
    assert_false(mul_nbytes(SIZE_MAX, 2, &n));
    assert_false(add_nbytes(SIZE_MAX, 1, &n));
    assert_int_equal(n, 7);
    assert_true(mul_nbytes(SIZE_MAX / 2, 2, &n));
    assert_int_equal(n, SIZE_MAX - 1);
    assert_true(add_nbytes(n, 1, &n));
    assert_int_equal(n, SIZE_MAX);
}

/* Some sizes taken and given back, as a step does; the addresses relative to the first. */
static void one_step(arena *a, uintptr_t at[5])
{
    size_t mark = arena_mark(a);
    static const size_t sizes[] = { 1, 64, 65, 0, 100000 };
    for (int i = 0; i < 3; i++) at[i] = (uintptr_t)arena_get(a, sizes[i]);
    size_t inner = arena_mark(a);
    at[3] = (uintptr_t)arena_get(a, sizes[3]);
    arena_release(a, inner);
    at[4] = (uintptr_t)arena_get(a, sizes[4]);
    arena_release(a, mark);
    for (int i = 4; i >= 0; i--) at[i] -= at[0];
}

static void a_measuring_arena_predicts_to_the_byte(void **state)
{
    (void)state;
    arena real, measured;
    uintptr_t first[5], again[5], dry[5];
    size_t before = mem_live();
    arena_measure(&measured);
    one_step(&measured, dry);
    assert_true(arena_init(&real, measured.peak));
    one_step(&real, first);
    one_step(&real, again);
    assert_false(real.full);
    assert_memory_equal(first, again, sizeof first);
    assert_memory_equal(first, dry, sizeof first);
    assert_int_equal(real.peak, measured.peak);
    assert_int_equal((uintptr_t)arena_get(&real, 1) % ARENA_ALIGN, 0);
    assert_null(arena_get(&real, measured.peak));
    assert_true(real.full); /* and stays so */
    arena_free(&real);
    mem_fail_at(1);
    assert_false(arena_init(&real, 4096));
    arena_free(&real);
    assert_false(arena_init(&real, SIZE_MAX));
    assert_int_equal(mem_live(), before);
    assert_null(arena_get(&measured, SIZE_MAX));
}

static void a_large_arena_costs_what_is_touched(void **state)
{
    (void)state;
    arena a;
    assert_true(arena_init(&a, (size_t)1 << 42)); /* 4 TiB */
    char *p = arena_get(&a, 1 << 20);
    assert_int_equal(p[0] | p[(1 << 20) - 1], 0);
    arena_free(&a);
}

/* ---- random numbers and hashes ---- */

static void pcg_gives_its_published_numbers(void **state)
{
    (void)state;
    rng r = rng_new(42, 54); /* pcg32-demo */
    static const uint32_t expected[] = { 0xa15c02b7, 0x7b47f409, 0xba1d3330, 0x83d2f293, 0xbfa4784b, 0xcbed606e };
    for (int i = 0; i < 6; i++) assert_int_equal(rng_u32(&r), expected[i]);
}

static void draws_have_their_distributions(void **state)
{
    (void)state;
    enum { N = 200000 };
    rng r = rng_new(1, 2);
    int counts[6] = { 0 };
    double mean = 0, square = 0, fourth = 0, uniform = 0;
    for (int i = 0; i < N; i++) {
        counts[rng_below(&r, 6)]++;
        double u = rng_double(&r), z = rng_normal(&r), v = rng_range(&r, -3, 5);
        assert_true(u >= 0 && u < 1 && v >= -3 && v < 5);
        uniform += u / N;
        mean += z / N;
        square += z * z / N;
        fourth += z * z * z * z / N;
    }
    double chi2 = 0; /* five degrees of freedom: above 20.5 once in a thousand */
    for (int i = 0; i < 6; i++) chi2 += pow(counts[i] - N / 6.0, 2) / (N / 6.0);
    assert_true(chi2 < 20.5);
    assert_true(fabs(uniform - 0.5) < 4 * sqrt(1.0 / 12 / N));
    assert_true(fabs(mean) < 4 / sqrt(N));
    assert_true(fabs(square - 1) < 4 * sqrt(2.0 / N));
    assert_true(fabs(fourth - 3) < 4 * sqrt(96.0 / N));
    assert_int_equal(rng_below(&r, 1), 0);
}

static void sha256_gives_the_standards_examples(void)
{
    char hex[65], *million = mem_alloc(1000000);
    sha256_hex("", 0, hex);
    assert_string_equal(hex, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    sha256_hex("abc", 3, hex);
    assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    sha256_hex("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 56, hex);
    assert_string_equal(hex, "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
    memset(million, 'a', 1000000);
    sha256_hex(million, 1000000, hex);
    assert_string_equal(hex, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
    for (size_t piece = 1; piece < 200; piece += 13) { /* in pieces: the same */
        unsigned char sum[32];
        sha256 s;
        sha256_init(&s);
        for (size_t at = 0; at < 1000000; at += piece) sha256_add(&s, million + at, at + piece < 1000000 ? piece : 1000000 - at);
        sha256_done(&s, sum);
        assert_int_equal(sum[0], 0xcd);
        assert_int_equal(sum[31], 0xd0);
    }
    mem_free(million);
}

static void hashes_give_the_standards_examples(void **state)
{
    (void)state;
    sha256_gives_the_standards_examples();
    sha256_plain_only(true);
    sha256_gives_the_standards_examples();
    sha256_plain_only(false);
    assert_int_equal(hash_fnv1a("", 0), 0xcbf29ce484222325u); /* Noll's test vectors */
    assert_int_equal(hash_fnv1a("a", 1), 0xaf63dc4c8601ec8cu);
    assert_int_equal(hash_fnv1a("foobar", 6), 0x85944171f73967e8u);
}

/* ---- number formats ---- */

static double f16_by_definition(uint16_t h)
{
    int exponent = h >> 10 & 31, fraction = h & 1023;
    double v = exponent == 31 ? (fraction ? NAN : INFINITY) : exponent ? ldexp(1024 + fraction, exponent - 25) : ldexp(fraction, -24);
    return h & 0x8000 ? -v : v;
}

static void f16_follows_ieee_754(void **state)
{
    (void)state;
    for (unsigned h = 0; h < 65536; h++) {
        float f = f16_to_f32((uint16_t)h);
        double expected = f16_by_definition((uint16_t)h);
        if (isnan(expected)) {
            assert_true(isnan(f) && (f32_to_f16(f) & 0x7FFF) > 0x7C00);
            continue;
        }
        assert_true(f == (float)expected && (signbit(f) != 0) == (h >= 0x8000));
        assert_int_equal(f32_to_f16(f), h);
    }
    /* Between two neighbours: the half way point goes to the even one, a hair less or more to the nearer one.  65504 is the last. */
    for (unsigned h = 0; h < 0x7C00; h++) {
        double below = f16_by_definition((uint16_t)h), above = h == 0x7BFF ? 65536 : f16_by_definition((uint16_t)(h + 1));
        float middle = (float)((below + above) / 2);
        assert_int_equal(f32_to_f16(middle), h + (h & 1));
        assert_int_equal(f32_to_f16(nextafterf(middle, 0)), h);
        assert_int_equal(f32_to_f16(nextafterf(middle, INFINITY)), h + 1);
        assert_int_equal(f32_to_f16(-middle), 0x8000 | (h + (h & 1)));
    }
    assert_int_equal(f32_to_f16(1e30f), 0x7C00);
    assert_int_equal(f32_to_f16(-INFINITY), 0xFC00);
    assert_int_equal(f32_to_f16(1e-30f), 0);
}

static void bf16_rounds_to_even(void **state)
{
    (void)state;
    for (unsigned h = 0; h < 0x7F80; h++) {
        float below = bf16_to_f32((uint16_t)h);
        uint32_t bits = h << 16 | 0x8000;
        float middle;
        memcpy(&middle, &bits, 4);
        assert_int_equal(f32_to_bf16(below), h);
        assert_int_equal(f32_to_bf16(middle), h + (h & 1));
        assert_int_equal(f32_to_bf16(nextafterf(middle, 0)), h);
        assert_int_equal(f32_to_bf16(nextafterf(middle, INFINITY)), h + 1);
    }
    assert_true(isnan(round_bf16(NAN)));
    uint32_t quiet_in_low_bits = 0x7F800001;
    float nan;
    memcpy(&nan, &quiet_in_low_bits, 4);
    assert_true(isnan(round_bf16(nan)));
    assert_true(isinf(round_bf16(3.4e38f)));
}

static void fp8_is_pytorchs(void **state)
{
    (void)state;
    st_file f;
    unsigned char bytes[256];
    float got[256], expected[256];
    assert_int_equal(st_open(TEST_DATA "/fp8.safetensors", &f, NULL), DREAMO_OK);
    for (int i = 0; i < 256; i++) bytes[i] = (unsigned char)i;
    for (int five = 0; five < 2; five++) {
        st_tensor *t = st_find(&f, five ? "e5m2.values" : "e4m3fn.values");
        assert_non_null(t);
        memcpy(expected, t->data, sizeof expected);
        dtype_to_f32(five ? DT_F8_E5M2 : DT_F8_E4M3, bytes, 256, got);
        for (int i = 0; i < 256; i++) {
            if (isnan(expected[i])) assert_true(isnan(got[i]));
            else assert_memory_equal(&got[i], &expected[i], 4);
        }
    }
    st_close(&f);
}

static void every_type_becomes_f32_from_any_address(void **state)
{
    (void)state;
    unsigned char room[8 * 3 + 1];
    float got[3];
#define CHECK(type, ctype, a, b, c)                                                                 \
    do {                                                                                            \
        ctype v[3] = { (ctype)(a), (ctype)(b), (ctype)(c) };                                        \
        memcpy(room + 1, v, sizeof v);                                                              \
        dtype_to_f32(type, room + 1, 3, got);                                                       \
        for (int i = 0; i < 3; i++) assert_true(got[i] == (float)v[i]);                             \
        assert_int_equal(dtype_nbytes(type), sizeof *v);                                            \
    } while (0)
    CHECK(DT_F32, float, 1.5, -0x1p-149, 3e38);
    CHECK(DT_F64, double, 0.1, -1e-300, 1e300);
    CHECK(DT_I64, int64_t, INT64_MIN, 16777217, -1);
    CHECK(DT_I32, int32_t, INT32_MIN, 16777217, -1);
    CHECK(DT_I16, int16_t, INT16_MIN, 300, -1);
    CHECK(DT_I8, int8_t, INT8_MIN, 100, -1);
    CHECK(DT_U64, uint64_t, UINT64_MAX, 16777217, 0);
    CHECK(DT_U32, uint32_t, UINT32_MAX, 16777217, 0);
    CHECK(DT_U16, uint16_t, UINT16_MAX, 300, 0);
    CHECK(DT_U8, uint8_t, 255, 100, 0);
    CHECK(DT_BOOL, uint8_t, 1, 0, 1);
#undef CHECK
    for (int t = 0; t < DT_COUNT; t++) assert_int_equal(dtype_from_name(dtype_name((dtype)t)), t);
    assert_int_equal(dtype_from_name("f32"), -1);
    assert_int_equal(dtype_from_name("F4"), -1);
    assert_int_equal(dtype_from_name(""), -1);
}

/* ---- progress ---- */

static void time_is_told_in_words(void **state)
{
    (void)state;
    static const struct { double seconds; const char *words; } rows[] = {
        { 0, "0.0 s" }, { 1.24, "1.2 s" }, { 59.94, "59.9 s" }, { 59.96, "1 min 00 s" }, { 200, "3 min 20 s" }, { 3599.6, "1 h 00 min" },
        { 7500, "2 h 05 min" }, { 360000, "100 h 00 min" }, { -1, "unknown" }, { NAN, "unknown" }, { INFINITY, "unknown" },
    };
    char words[40];
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        progress_words(rows[i].seconds, words, sizeof words);
        assert_string_equal(words, rows[i].words);
    }
    progress_words(200, words, 4); /* cut, not overrun */
    assert_string_equal(words, "3 m");
}

static void the_time_left_is_never_negative(void **state)
{
    (void)state;
    progress p;
    progress_start(&p, 10);
    assert_true(progress_seconds_left(&p) < 0 && progress_seconds_a_step(&p) < 0);
    p.last -= 4; /* two steps in four seconds */
    progress_step(&p, 2);
    assert_true(fabs(progress_seconds_a_step(&p) - 2) < 0.2);
    assert_true(fabs(progress_seconds_left(&p) - 16) < 1.6);
    progress_step(&p, 2); /* nothing new: no division by zero */
    progress_step(&p, 12);
    assert_true(progress_seconds_left(&p) == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(outcomes_are_those_of_the_interface), cmocka_unit_test(the_first_failure_is_kept), cmocka_unit_test(a_message_is_one_plain_line),
        cmocka_unit_test(the_nth_allocation_fails), cmocka_unit_test(sizes_do_not_wrap),
        cmocka_unit_test(a_measuring_arena_predicts_to_the_byte), cmocka_unit_test(a_large_arena_costs_what_is_touched),
        cmocka_unit_test(pcg_gives_its_published_numbers), cmocka_unit_test(draws_have_their_distributions),
        cmocka_unit_test(hashes_give_the_standards_examples), cmocka_unit_test(f16_follows_ieee_754),
        cmocka_unit_test(bf16_rounds_to_even), cmocka_unit_test(fp8_is_pytorchs),
        cmocka_unit_test(every_type_becomes_f32_from_any_address), cmocka_unit_test(time_is_told_in_words),
        cmocka_unit_test(the_time_left_is_never_negative),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
