/* test_resize.c - resampling and compositing against OpenCV's and Pillow's own results: every byte. */
#include <stdio.h>
#include <string.h>
#include "image_kernels.h"
#include "image/resize.h"

/* cmocka comes last: it has a macro called fail. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static bitmap picture(const st_tensor *t)
{
    return (bitmap){ (int)t->shape[1], (int)t->shape[0], (int)t->shape[2], (unsigned char *)(uintptr_t)t->data };
}

typedef dreamo_status (*resize_fn)(const bitmap *src, int width, int height, bitmap *out, dreamo_error *err);

/* Every stored NAME.i.in -> NAME.i.out; returns how many there were. */
static int compare_all(const char *name, resize_fn resize)
{
    int i = 0;
    for (;; i++) {
        char key[32];
        snprintf(key, sizeof key, "%s.%d.in", name, i);
        const st_tensor *in = st_find(&stored, key);
        if (!in) return i;
        snprintf(key, sizeof key, "%s.%d.out", name, i);
        const st_tensor *want = st_find(&stored, key);
        assert_non_null(want);
        bitmap src = picture(in), got, expected = picture(want);
        assert_int_equal(resize(&src, expected.width, expected.height, &got, NULL), DREAMO_OK);
        if (memcmp(got.data, expected.data, want->nbytes) != 0) fail_msg("%s differs", key);
        bitmap_free(&got);
    }
}

static void test_area(void **state)
{
    (void)state;
    assert_int_equal(compare_all("area", resize_area), 13);
}

static void test_lanczos(void **state)
{
    (void)state;
    assert_int_equal(compare_all("lanczos", resize_lanczos), 4);
}

/* What the official cut-out does with a picture's alpha. */
static void test_composite(void **state)
{
    const st_tensor *in = st_find(&stored, "over.in"), *want = st_find(&stored, "paste.white");
    (void)state;
    assert_true(in && want);
    bitmap src = picture(in), got;
    assert_int_equal(composite_white(&src, &got, NULL), DREAMO_OK);
    assert_memory_equal(got.data, want->data, want->nbytes);
    bitmap_free(&got);
}

/* The rule of spec 8.1, worked by hand: about res*res pixels, floored to the grid, never nothing. */
static void test_area_size(void **state)
{
    static const struct { int w, h, res, grid, want_w, want_h; } cases[] = {
        { 800, 800, 512, 16, 512, 512 }, { 1024, 768, 512, 16, 576, 432 }, { 97, 65, 64, 16, 64, 48 }, { 1, 4000, 64, 16, 16, 4032 },
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int w, h;
        area_size(cases[i].w, cases[i].h, cases[i].res, cases[i].grid, &w, &h);
        assert_int_equal(w, cases[i].want_w);
        assert_int_equal(h, cases[i].want_h);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_area), cmocka_unit_test(test_lanczos), cmocka_unit_test(test_composite), cmocka_unit_test(test_area_size) };
    return cmocka_run_group_tests(tests, open_stored, close_stored);
}
