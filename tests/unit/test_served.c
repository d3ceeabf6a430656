/* test_served.c - what a server needs of the library: pictures from and to memory, previews, stopping between blocks, what the model sees of a
 * reference, and questions that other threads ask while a picture is made. */
#include <pthread.h>
#include <stdlib.h>
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

#define MODEL TEST_DATA "/models/tiny"
#define DREAMO_LORA TEST_DATA "/lora/tiny/dreamo.safetensors"
#define TOY TEST_DATA "/cases/plain/toy.png"

typedef struct seen {
    int steps, ticks, previews, last_preview, width, height;
    int stop_at_tick;
    dreamo_model *ask;   /* plan while it works */
    int plans;
} seen;

static bool listen(void *user, const dreamo_event *e)
{
    seen *s = user;
    s->steps += e->kind == DREAMO_EVENT_STEP;
    s->ticks += e->kind == DREAMO_EVENT_TICK;
    if (e->kind == DREAMO_EVENT_PREVIEW) {
        assert_non_null(e->image->rgb);
        s->previews++;
        s->last_preview = (int)e->done;
        s->width = e->image->width;
        s->height = e->image->height;
    }
    return !s->stop_at_tick || s->ticks < s->stop_at_tick;
}

static dreamo_request request(seen *s, int side, int steps)
{
    dreamo_request r;
    dreamo_request_init(&r);
    r.prompt = "a toy";
    r.width = r.height = side;
    r.steps = steps;
    r.seed = 3;
    r.progress = listen;
    r.user = s;
    *s = (seen){ 0 };
    return r;
}

static void make(dreamo_model *m, const dreamo_request *r, dreamo_image *out)
{
    dreamo_error err = { 0 };
    if (dreamo_generate(m, r, out, &err)) fail_msg("%s", err.message);
}

static bool same(const dreamo_image *a, const dreamo_image *b)
{
    return a->width == b->width && a->height == b->height && memcmp(a->rgb, b->rgb, (size_t)a->width * (size_t)a->height * 3) == 0;
}

/* ---- previews ---- */

static void test_previews(void **state)
{
    seen s;
    dreamo_image plain, watched, large;
    dreamo_request r = request(&s, 64, 4);
    make(*state, &r, &plain);
    assert_int_equal(s.previews, 0);
    r.preview_every = 1;
    make(*state, &r, &watched);
    assert_int_equal(s.previews, 3); /* not after the last step */
    assert_int_equal(s.last_preview, 3);
    assert_true(s.width == 64 && s.height == 64);
    assert_true(same(&plain, &watched)); /* looking changes nothing */
    r = request(&s, 528, 2); /* a third is the largest that fits 256: 528 / 3 = 176 */
    r.preview_every = 1;
    make(*state, &r, &large);
    assert_int_equal(s.previews, 1);
    assert_true(s.width == 176 && s.height == 176);
    dreamo_image_free(&plain);
    dreamo_image_free(&watched);
    dreamo_image_free(&large);
}

/* ---- stopping ---- */

static void test_stop_between_blocks(void **state)
{
    seen s;
    dreamo_image out;
    dreamo_error err = { 0 };
    dreamo_request r = request(&s, 32, 4);
    make(*state, &r, &out);
    dreamo_image_free(&out);
    int each = s.ticks / 4;
    assert_true(each >= 4 && s.ticks == 4 * each); /* as many in each step: its blocks */
    r = request(&s, 32, 4);
    s.stop_at_tick = each + 2;
    assert_int_equal(dreamo_generate(*state, &r, &out, &err), DREAMO_CANCELLED);
    assert_int_equal(s.steps, 1); /* in the midst of the second */
    assert_null(out.rgb);
}

/* ---- references ---- */

static void test_reference_in_memory(void **state)
{
    char *bytes;
    size_t nbytes;
    seen s;
    dreamo_image by_path, by_bytes, shown;
    assert_int_equal(file_read(TOY, 1 << 20, &bytes, &nbytes, NULL), DREAMO_OK);
    dreamo_reference path = { .task = DREAMO_IP, .path = TOY, .res = 32 }, memory = { .task = DREAMO_IP, .data = bytes, .nbytes = nbytes, .name = "toy", .res = 32 };
    dreamo_request r = request(&s, 32, 1);
    r.nrefs = 1;
    r.refs = &path;
    make(*state, &r, &by_path);
    r.refs = &memory;
    make(*state, &r, &by_bytes);
    assert_true(same(&by_path, &by_bytes));
    assert_string_equal(by_path.metadata, by_bytes.metadata); /* the same hash, too */
    assert_int_equal(dreamo_reference_show(*state, &memory, 0, NULL, NULL, &shown, NULL), DREAMO_OK);
    assert_true(shown.width == 32 && shown.height == 32);
    memory.nbytes /= 2;
    dreamo_error err = { 0 };
    dreamo_image none;
    assert_int_equal(dreamo_reference_show(*state, &memory, 0, NULL, NULL, &none, &err), DREAMO_FORMAT);
    assert_non_null(strstr(err.message, "toy: "));
    dreamo_image_free(&by_path);
    dreamo_image_free(&by_bytes);
    dreamo_image_free(&shown);
    mem_free(bytes);
}

/* ---- pictures in memory ---- */

static void test_encode_decode(void **state)
{
    static const char *const formats[] = { "png", "jpeg", "webp" };
    dreamo_image im = { .width = 40, .height = 24, .rgb = mem_alloc(40 * 24 * 3), .metadata = mem_strdup("{\"seed\":7}") }, back;
    dreamo_error err = { 0 };
    void *data;
    char *text;
    size_t nbytes;
    (void)state;
    for (int i = 0; i < 40 * 24 * 3; i++) im.rgb[i] = (uint8_t)(i / 3 % 40 * 6); /* smooth: lossy formats stay near */
    for (int f = 0; f < 3; f++) {
        assert_int_equal(dreamo_image_encode(&im, formats[f], 0, &data, &nbytes, &err), DREAMO_OK);
        assert_int_equal(dreamo_image_decode(data, nbytes, "x", 0, &back, &err), DREAMO_OK);
        assert_true(back.width == 40 && back.height == 24);
        int worst = 0;
        for (int i = 0; i < 40 * 24 * 3; i++) worst = abs(back.rgb[i] - im.rgb[i]) > worst ? abs(back.rgb[i] - im.rgb[i]) : worst;
        assert_true(f ? worst < 16 : worst == 0);
        assert_int_equal(dreamo_image_metadata(data, nbytes, "x", &text, &err), DREAMO_OK);
        if (f) assert_null(text);
        else assert_string_equal(text, "{\"seed\":7}");
        dreamo_text_free(text);
        dreamo_image_free(&back);
        assert_int_equal(dreamo_image_decode(data, nbytes, "x", 40 * 24 - 1, &back, &err), DREAMO_LIMIT); /* one pixel too many */
        assert_null(back.rgb);
        err = (dreamo_error){ 0 };
        dreamo_bytes_free(data);
    }
    assert_int_equal(dreamo_image_encode(&im, "gif", 0, &data, &nbytes, NULL), DREAMO_ARG);
    assert_int_equal(dreamo_image_encode(&im, "jpeg", 101, &data, &nbytes, NULL), DREAMO_ARG);
    assert_int_equal(dreamo_image_decode(NULL, 3, "x", 0, &back, NULL), DREAMO_ARG);
    dreamo_image_free(&im);
    dreamo_bytes_free(NULL);
}

/* A failed allocation is no_memory, and nothing is left behind. */
static void test_starved(void **state)
{
    static const char *const formats[] = { "png", "jpeg" };
    dreamo_image im = { .width = 8, .height = 8, .rgb = mem_calloc(8 * 8, 3) };
    (void)state;
    for (int f = 0; f < 2; f++)
        for (long n = 1;; n++) {
            void *data;
            size_t nbytes, before = mem_live();
            mem_fail_at(n);
            dreamo_status s = dreamo_image_encode(&im, formats[f], 0, &data, &nbytes, NULL);
            mem_fail_at(0);
            dreamo_bytes_free(data);
            assert_int_equal(mem_live(), before);
            if (s == DREAMO_OK) break;
            assert_int_equal(s, DREAMO_MEMORY);
        }
    dreamo_image_free(&im);
}

/* ---- asking while it works ---- */

static void *ask(void *user)
{
    seen *s = user, quiet;
    for (int i = 0; i < 20; i++) {
        dreamo_request r = request(&quiet, 64, 2);
        dreamo_plan plan;
        s->plans += dreamo_plan_request(s->ask, &r, &plan, NULL) == DREAMO_OK && plan.steps == 2 && plan.tokens > 0;
    }
    return NULL;
}

static bool hold(void *user, const dreamo_event *e) /* the picture is not finished before the questions are answered */
{
    seen *s = user;
    pthread_t thread;
    if (e->kind != DREAMO_EVENT_STEP || e->done != 1) return true;
    return pthread_create(&thread, NULL, ask, s) == 0 && pthread_join(thread, NULL) == 0;
}

static void test_plan_meanwhile(void **state)
{
    seen s;
    dreamo_image out;
    dreamo_request r = request(&s, 32, 2);
    s.ask = *state;
    r.progress = hold;
    make(*state, &r, &out);
    assert_int_equal(s.plans, 20);
    dreamo_image_free(&out);
}

static void test_about(void **state)
{
    dreamo_model_about a = { .size = sizeof a };
    assert_int_equal(dreamo_about(*state, &a, NULL), DREAMO_OK);
    assert_string_equal(a.name, "tiny");
    assert_int_equal(strlen(a.hash), 64);
    assert_true(a.cell == 16 && a.max_side == 4096 && a.max_steps == 60 && a.max_refs == 9 && a.threads == 1 && a.steps >= 1 && a.weight_bytes > 0);
    dreamo_model_about older = { .size = offsetof(dreamo_model_about, hash), .cell = 7 }; /* of a program that knew less: the rest is left alone */
    assert_int_equal(dreamo_about(*state, &older, NULL), DREAMO_OK);
    assert_string_equal(older.name, "tiny");
    assert_true(!older.hash && older.cell == 7);
    a.size = sizeof(size_t) - 1;
    assert_int_equal(dreamo_about(*state, &a, NULL), DREAMO_ARG);
}

static int open_model(void **state)
{
    dreamo_model_options o;
    dreamo_lora lora = { DREAMO_LORA, 1 };
    dreamo_model_options_init(&o);
    o.dir = MODEL;
    o.loras = &lora;
    o.nloras = 1;
    o.threads = 1;
    return dreamo_open(&o, (dreamo_model **)state, NULL);
}

static int close_model(void **state)
{
    dreamo_close(*state);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_previews), cmocka_unit_test(test_stop_between_blocks), cmocka_unit_test(test_reference_in_memory), cmocka_unit_test(test_encode_decode),
        cmocka_unit_test(test_starved), cmocka_unit_test(test_plan_meanwhile), cmocka_unit_test(test_about),
    };
    return cmocka_run_group_tests(tests, open_model, close_model);
}
