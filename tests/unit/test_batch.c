/* test_batch.c - pictures of a packed batch have the bytes that they have alone, whatever else is in it. */
#include <string.h>

#include "base/mem.h"
#include "dreamo.h"

/* cmocka comes last: it has a macro called fail. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#define MODEL TEST_DATA "/models/tiny"
#define DREAMO_LORA TEST_DATA "/lora/tiny/dreamo.safetensors"
#define TOY TEST_DATA "/cases/plain/toy.png"

enum { N = 5 };

/* Stops its picture at a step. */
typedef struct stopper { int at, steps; } stopper;

static bool listen(void *user, const dreamo_event *e)
{
    stopper *s = user;
    s->steps += e->kind == DREAMO_EVENT_STEP;
    return !s->at || s->steps < s->at;
}

static dreamo_model *open_model(const char *dir, const char *backend, int threads, bool official, bool fast)
{
    dreamo_model_options o;
    dreamo_lora lora = { DREAMO_LORA, 1 };
    dreamo_model *m;
    dreamo_error err = { 0 };
    dreamo_model_options_init(&o);
    o.dir = dir;
    o.backend = backend;
    o.threads = threads;
    o.numerics = official ? DREAMO_NUMERICS_OFFICIAL : DREAMO_NUMERICS_EXACT;
    o.fast = fast;
    o.loras = &lora;
    o.nloras = !strcmp(dir, MODEL);
    if (dreamo_open(&o, &m, &err)) fail_msg("%s", err.message);
    return m;
}

static const dreamo_reference toys[3] = { { .task = DREAMO_IP, .path = TOY, .res = 32 }, { .task = DREAMO_ID, .path = TOY, .res = 64 },
                                          { .task = DREAMO_STYLE, .path = TOY, .res = 48 } };

/* Prompts, seeds, guidance and references of their own: no two have the same number of rows. */
static void requests(dreamo_request r[N], stopper s[N], int side, double cfg)
{
    static const char *const prompts[N] = { "a toy", "", "a red boat on the sea under a tall white cloud", "two cats", "a toy" };
    for (int i = 0; i < N; i++) {
        dreamo_request_init(&r[i]);
        r[i].prompt = prompts[i];
        r[i].negative = cfg > 1 && i % 2 ? "fog" : NULL;
        r[i].width = r[i].height = side;
        r[i].steps = 3;
        r[i].seed = (uint64_t)(7 * i);
        r[i].guidance = 2 + i;
        r[i].true_cfg = cfg;
        r[i].refs = toys;
        r[i].nrefs = i % 4;
        r[i].progress = listen;
        r[i].user = &s[i];
        s[i] = (stopper){ 0 };
    }
}

static bool same(const dreamo_image *a, const dreamo_image *b)
{
    return a->width == b->width && a->height == b->height && memcmp(a->rgb, b->rgb, (size_t)a->width * (size_t)a->height * 3) == 0 &&
           strcmp(a->metadata, b->metadata) == 0;
}

/* Two of them, and all, as a batch, against each alone. */
static void compare(dreamo_model *m, int side, double cfg)
{
    dreamo_request r[N];
    stopper s[N];
    dreamo_image alone[N], out[N];
    dreamo_error errs[N], err = { 0 };
    const dreamo_request *list[N];
    requests(r, s, side, cfg);
    for (int i = 0; i < N; i++) {
        list[i] = &r[i];
        if (dreamo_generate(m, &r[i], &alone[i], &err)) fail_msg("%s", err.message);
    }
    for (int n = 2; n <= N; n += N - 2) {
        if (dreamo_generate_batch(m, list, n, out, errs)) fail_msg("%s", errs[0].message);
        for (int i = 0; i < n; i++) {
            if (!same(&alone[i], &out[i])) fail_msg("picture %d of %d, side %d, cfg %g", i, n, side, cfg);
            dreamo_image_free(&out[i]);
        }
    }
    for (int i = 0; i < N; i++) {
        assert_int_equal(s[i].steps, i < 2 ? 9 : 6); /* each heard of its own steps, and of no other's */
        dreamo_image_free(&alone[i]);
    }
}

static void test_same_bytes(void **state)
{
    (void)state;
    for (int threads = 1; threads <= 2; threads++)
        for (int official = 0; official < 2; official++) {
            dreamo_model *m = open_model(MODEL, NULL, threads, official, false);
            compare(m, 64, 1);
            compare(m, 64, 3);
            if (!official) compare(m, 160, 1);
            dreamo_close(m);
        }
}

static void test_specification(void **state)
{
    (void)state;
    dreamo_model *m = open_model(MODEL, "ref", 1, false, false);
    compare(m, 32, 3);
    dreamo_close(m);
}

/* The shipped model: sizes, weights and steps that people use. */
static void test_shipped(void **state)
{
    (void)state;
    for (int fast = 0; fast < 2; fast++) {
        dreamo_model *m = open_model(REPO_ROOT "/models/dreamo-mini", NULL, 2, false, fast);
        compare(m, 128, 1);
        dreamo_close(m);
    }
}

/* One that is refused, one that is stopped, one of another shape: the rest is what it would have been. */
static void test_one_by_one(void **state)
{
    dreamo_request r[N];
    stopper s[N];
    dreamo_image alone, out[N];
    dreamo_error errs[N], err = { 0 };
    const dreamo_request *list[N];
    (void)state;
    dreamo_model *m = open_model(MODEL, NULL, 1, false, false);
    requests(r, s, 64, 1);
    for (int i = 0; i < N; i++) list[i] = &r[i];
    if (dreamo_generate(m, &r[3], &alone, &err)) fail_msg("%s", err.message);
    size_t before = mem_live();
    r[0].steps = 1000;
    r[1].width = 80;
    s[2].at = 2;
    s[4].at = 0;
    assert_int_equal(dreamo_generate_batch(m, list, N, out, errs), DREAMO_LIMIT);
    assert_int_equal(errs[0].status, DREAMO_LIMIT);
    assert_int_equal(errs[1].status, DREAMO_OK); /* the first that can be made says what the shape is */
    assert_int_equal(errs[2].status, DREAMO_MISMATCH);
    dreamo_image_free(&out[1]);
    r[1].width = 64;
    assert_int_equal(dreamo_generate_batch(m, list, N, out, errs), DREAMO_LIMIT);
    assert_int_equal(errs[2].status, DREAMO_CANCELLED);
    assert_int_equal(s[2].steps, 2);
    assert_true(!errs[1].status && !errs[3].status && !errs[4].status && !out[0].rgb && !out[2].rgb);
    assert_true(same(&alone, &out[3]));
    for (int i = 0; i < N; i++) dreamo_image_free(&out[i]);
    for (int i = 0; i < N; i++) s[i] = (stopper){ .at = 1 };
    r[0].steps = 3;
    assert_int_equal(dreamo_generate_batch(m, list, N, out, errs), DREAMO_CANCELLED);
    for (int i = 0; i < N; i++) assert_true(errs[i].status == DREAMO_CANCELLED && s[i].steps == 1 && !out[i].rgb); /* all gave up: no further step */
    r[1].dump = "/nowhere";
    assert_int_equal(dreamo_generate_batch(m, list, 0, out, errs), DREAMO_ARG);
    assert_int_equal(dreamo_generate_batch(m, list, DREAMO_BATCH + 1, out, errs), DREAMO_ARG);
    assert_int_equal(dreamo_generate_batch(NULL, list, 1, out, errs), DREAMO_ARG);
    assert_int_equal(mem_live(), before);
    dreamo_image_free(&alone);
    dreamo_close(m);
}

/* Any allocation may fail: nothing is left behind, and the next batch is well. */
static void test_starved(void **state)
{
    dreamo_request r[N];
    stopper s[N];
    dreamo_image out[2];
    dreamo_error errs[2];
    (void)state;
    dreamo_model *m = open_model(MODEL, NULL, 1, false, false);
    requests(r, s, 32, 1);
    const dreamo_request *list[2] = { &r[0], &r[2] };
    r[0].steps = r[2].steps = 1;
    assert_int_equal(dreamo_generate_batch(m, list, 2, out, errs), DREAMO_OK); /* the device keeps its scratch from now on */
    for (int i = 0; i < 2; i++) dreamo_image_free(&out[i]);
    size_t before = mem_live();
    for (long n = 1;; n++) {
        mem_fail_at(n);
        dreamo_status status = dreamo_generate_batch(m, list, 2, out, errs);
        mem_fail_at(0);
        for (int i = 0; i < 2; i++) dreamo_image_free(&out[i]);
        assert_int_equal(mem_live(), before);
        if (status == DREAMO_OK) break;
        assert_int_equal(status, DREAMO_MEMORY);
    }
    dreamo_close(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_bytes), cmocka_unit_test(test_specification), cmocka_unit_test(test_shipped), cmocka_unit_test(test_one_by_one),
        cmocka_unit_test(test_starved),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
