/* test_torture.c - allocations of opening a model and making a picture fail one after the other.
 *
 * Making a picture: every one.  Opening a model takes a hundred thousand, most of them words of a vocabulary: every one of the first
 * hundreds, then ever wider steps; LoRA files have their own test (test_lora.c).  Each time the answer is DREAMO_MEMORY with a message, nothing leaks, no file stays open, and the next call works. */
#include <dirent.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "dreamo.h"

/* cmocka comes last: it has a macro called fail. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static int open_files(void)
{
    int n = 0;
    DIR *d = opendir("/proc/self/fd");
    assert_non_null(d);
    while (readdir(d)) n++;
    closedir(d);
    return n;
}

static void prepare(dreamo_model_options *o, dreamo_request *r)
{
    static const dreamo_lora lora = { TEST_DATA "/lora/tiny/dreamo.safetensors", 1 };
    static const dreamo_reference ref = { .task = DREAMO_IP, .path = TEST_DATA "/cases/plain/toy.png", .res = 32 };
    dreamo_model_options_init(o);
    dreamo_request_init(r);
    o->dir = TEST_DATA "/models/tiny";
    o->loras = &lora;
    o->nloras = 1;
    o->threads = 1;
    r->prompt = "a toy [ref#1]";
    r->negative = "";
    r->true_cfg = 2;
    r->cfg_end = 1;
    r->refs = &ref;
    r->nrefs = 1;
    r->width = r->height = 32;
    r->steps = 1;
    r->ref_noise = true;
}

/* A model that survives a failed request must serve the next one. */
static void test_generate_again(void **state)
{
    (void)state;
    dreamo_model_options o;
    dreamo_request r;
    dreamo_model *model;
    dreamo_error err = { 0 };
    prepare(&o, &r);
    r.dump = "torture_dump";
    dreamo_image out;
    assert_int_equal(dreamo_open(&o, &model, &err), DREAMO_OK);
    assert_int_equal(dreamo_generate(model, &r, &out, &err), DREAMO_OK); /* the device keeps its scratch from now on */
    dreamo_image_free(&out);
    size_t live = mem_live();
    int failed = 0;
    for (long nth = 1, good = 0; good < 8; nth++) {
        err = (dreamo_error){ 0 };
        mem_fail_at(nth);
        dreamo_status s = dreamo_generate(model, &r, &out, &err);
        mem_fail_at(0);
        good = s == DREAMO_OK ? good + 1 : 0;
        if (s != DREAMO_OK && (s != DREAMO_MEMORY || !err.message[0])) fail_msg("allocation %ld: status %d, %s", nth, s, err.message);
        failed += s != DREAMO_OK;
        dreamo_image_free(&out);
        assert_int_equal(mem_live(), live);
    }
    assert_true(failed > 100);
    assert_int_equal(dreamo_generate(model, &r, &out, &err), DREAMO_OK);
    dreamo_image_free(&out);
    dreamo_close(model);
    assert_int_equal(mem_live(), 0);
    assert_int_equal(folder_remove(r.dump, &err), DREAMO_OK);
}

static void test_open(void **state)
{
    (void)state;
    dreamo_model_options o;
    dreamo_request r;
    dreamo_error err;
    int files = open_files(), good = 0;
    prepare(&o, &r);
    /* Past the last allocation every run succeeds. */
    for (long nth = 1; good < 4; nth += 1 + (nth > 300 ? nth / 8 : 0)) {
        dreamo_model *model;
        err = (dreamo_error){ 0 };
        mem_fail_at(nth);
        dreamo_status s = dreamo_open(&o, &model, &err);
        mem_fail_at(0);
        good = s == DREAMO_OK ? good + 1 : 0;
        if (s != DREAMO_OK && (s != DREAMO_MEMORY || !err.message[0])) fail_msg("allocation %ld: status %d, %s", nth, s, err.message);
        if (s != DREAMO_OK) assert_null(model);
        dreamo_close(model);
        if (mem_live() != 0) fail_msg("allocation %ld: %zu blocks leaked (%s)", nth, mem_live(), err.message);
        assert_int_equal(open_files(), files);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_generate_again), cmocka_unit_test(test_open) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
