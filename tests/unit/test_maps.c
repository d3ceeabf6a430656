/* test_maps.c - where references are looked at: votes by hand, light by hand, and files that say the same in a batch and alone. */
#include <math.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "dreamo.h"
#include "pipe/maps.h"

/* cmocka comes last: it has a macro called fail. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "scratch.h"

#define MODEL TEST_DATA "/models/tiny"
#define DREAMO_LORA TEST_DATA "/lora/tiny/dreamo.safetensors"
#define TOY TEST_DATA "/cases/plain/toy.png"

static void test_votes(void **state)
{
    (void)state;
    float sum[4] = { 1, 1, 1, 1 };
    maps_add(sum, (float[]){ 100, 300, 100, 300 }, 4); /* mean 200, deviation 100 */
    maps_add(sum, (float[]){ 0.01f, 0.01f, 0.03f, 0.03f }, 4);
    const float both[4] = { -1, 1, 1, 3 };
    for (int i = 0; i < 4; i++) assert_float_equal(sum[i], both[i], 1e-4);
    maps_add(sum, (float[]){ 7, 7, 7, 7 }, 4);
    maps_add(sum, (float[]){ 1, NAN, 2, 3 }, 4);
    maps_add(sum, (float[]){ 1, INFINITY, 2, 3 }, 4);
    for (int i = 0; i < 4; i++) assert_float_equal(sum[i], both[i], 1e-4);
}

static void test_light(void **state)
{
    (void)state;
    dreamo_error err = { 0 };
    bitmap white, lit;
    assert_int_equal(bitmap_new(&white, 8, 2, 3, &err), DREAMO_OK);
    memset(white.data, 224, 8 * 2 * 3);
    assert_int_equal(maps_light(&white, (float[]){ -5, 3 }, 1, 2, &lit, &err), DREAMO_OK);
    /* the tokens' middles are at 2 and 6, the pixels' at 0.5, 1.5 and so on: an eighth, three, five and seven of the way between */
    const int want[8] = { 24, 24, 49, 99, 149, 199, 224, 224 };
    for (int i = 0; i < 8 * 2 * 3; i++) assert_int_equal(lit.data[i], want[i / 3 % 8]);
    bitmap_free(&lit);
    assert_int_equal(maps_light(&white, (float[]){ 2, 2 }, 1, 2, &lit, &err), DREAMO_OK);
    for (int i = 0; i < 8 * 2 * 3; i++) assert_int_equal(lit.data[i], 24); /* nothing stands out */
    bitmap_free(&lit);
    bitmap_free(&white);
}

static dreamo_model *open_model(void)
{
    dreamo_model_options o;
    dreamo_lora lora = { DREAMO_LORA, 1 };
    dreamo_model *m;
    dreamo_error err = { 0 };
    dreamo_model_options_init(&o);
    o.dir = MODEL;
    o.loras = &lora;
    o.nloras = 1;
    if (dreamo_open(&o, &m, &err)) fail_msg("%s", err.message);
    return m;
}

static const dreamo_reference toys[2] = { { .task = DREAMO_IP, .path = TOY, .res = 32 }, { .task = DREAMO_STYLE, .path = TOY, .res = 48, .slot = 5 } };

static dreamo_request request(int nrefs, uint64_t seed)
{
    dreamo_request r;
    dreamo_request_init(&r);
    r.prompt = "a toy";
    r.width = r.height = 64;
    r.steps = 2;
    r.seed = seed;
    r.refs = toys;
    r.nrefs = nrefs;
    return r;
}

static bool same_file(const char *a, const char *b)
{
    char *one = NULL, *two = NULL;
    size_t n = 0, m = 0;
    dreamo_error err = { 0 };
    if (file_read(a, 1 << 20, &one, &n, &err) || file_read(b, 1 << 20, &two, &m, &err)) fail_msg("%s", err.message);
    bool same = n == m && memcmp(one, two, n) == 0;
    mem_free(one);
    mem_free(two);
    return same;
}

/* A picture is the same with its maps; they are the same whoever else is in the batch, and say different things of different references. */
static void test_files(void **state)
{
    (void)state;
    dreamo_image plain, out[3];
    dreamo_error err = { 0 }, errs[3];
    size_t before = mem_live();
    dreamo_model *m = open_model();
    dreamo_request r = request(2, 3);
    if (dreamo_generate(m, &r, &plain, &err)) fail_msg("%s", err.message);
    r.maps = "alone";
    if (dreamo_generate(m, &r, &out[0], &err)) fail_msg("%s", err.message);
    assert_memory_equal(plain.rgb, out[0].rgb, 64 * 64 * 3);
    dreamo_image_free(&out[0]);
    assert_false(same_file("alone/map-1-3.png", "alone/map-5-3.png"));

    dreamo_request list[3] = { request(1, 1), request(2, 2), request(2, 3) };
    const dreamo_request *at[3] = { &list[0], &list[1], &list[2] };
    list[0].maps = list[2].maps = "batch";
    if (dreamo_generate_batch(m, at, 3, out, errs)) fail_msg("%s%s%s", errs[0].message, errs[1].message, errs[2].message);
    assert_memory_equal(plain.rgb, out[2].rgb, 64 * 64 * 3);
    assert_true(same_file("alone/map-1-3.png", "batch/map-1-3.png") && same_file("alone/map-5-3.png", "batch/map-5-3.png"));
    assert_true(file_exists("batch/map-1-1.png") && !file_exists("batch/map-1-2.png"));
    for (int i = 0; i < 3; i++) dreamo_image_free(&out[i]);
    dreamo_image_free(&plain);
    dreamo_close(m);
    assert_int_equal(mem_live(), before);
}

static bool count_warnings(void *user, const dreamo_event *e)
{
    if (e->kind == DREAMO_EVENT_WARNING && strstr(e->text, "no maps")) ++*(int *)user;
    return true;
}

static void test_faults(void **state)
{
    (void)state;
    dreamo_image out;
    dreamo_error err = { 0 };
    int warnings = 0;
    dreamo_model *m = open_model();
    dreamo_request r = request(0, 1);
    r.maps = "none";
    r.progress = count_warnings;
    r.user = &warnings;
    if (dreamo_generate(m, &r, &out, &err)) fail_msg("%s", err.message);
    assert_int_equal(warnings, 1);
    assert_false(folder_exists("none"));
    dreamo_image_free(&out);
    scratch_write("file", "x", 1);
    r = request(1, 1);
    r.maps = "file/below"; /* before the steps, not after */
    assert_int_equal(dreamo_generate(m, &r, &out, &err), DREAMO_NOT_FOUND);
    assert_non_null(strstr(err.message, "file/below"));
    assert_null(out.rgb);
    dreamo_close(m);
}

/* Any allocation may fail. */
static void test_starved(void **state)
{
    (void)state;
    dreamo_image out;
    dreamo_error err = { 0 };
    dreamo_model *m = open_model();
    dreamo_request r = request(1, 1);
    r.width = r.height = 32;
    r.steps = 1;
    r.maps = "starved";
    if (dreamo_generate(m, &r, &out, &err)) fail_msg("%s", err.message);
    dreamo_image_free(&out);
    size_t before = mem_live();
    dreamo_status status = DREAMO_MEMORY;
    for (long n = 1; status != DREAMO_OK; n++) {
        mem_fail_at(n);
        status = dreamo_generate(m, &r, &out, &err);
        mem_fail_at(0);
        dreamo_image_free(&out);
        assert_int_equal(mem_live(), before);
    }
    dreamo_close(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_votes), cmocka_unit_test(test_light), cmocka_unit_test(test_files),
                                        cmocka_unit_test(test_faults), cmocka_unit_test(test_starved) };
    return cmocka_run_group_tests(tests, scratch_enter, scratch_leave);
}
