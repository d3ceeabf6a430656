/* test_matting.c - the network that cuts things out: its samples, its loss, its mask's way to full size.
 *
 * The loss is judged by its definition and by central differences, the guided filter by pictures whose edge is known, samples by what they must keep. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/rng.h"
#include "data/matte/matte.h"
#include "image/guided.h"
#include "scratch.h"
#include "train/stages/matting_loss.h"

/* cmocka comes last: it has a macro called fail. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

/* ---- the loss ---- */

static void the_loss_is_its_definition(void **state)
{
    enum { N = 6 };
    const float x[2 * N] = { -3, -0.5f, 0, 0.7f, 2, 9, 1, 1, -1, 4, -8, 0.25f };
    const unsigned char a[2 * N] = { 0, 255, 128, 30, 255, 255, 0, 0, 0, 255, 255, 77 };
    double part[2], want[2] = { 0 };
    (void)state;
    for (int s = 0; s < 2; s++) {
        double both = 0, either = 0;
        for (int i = 0; i < N; i++) {
            double p = 1 / (1 + exp(-(double)x[s * N + i])), t = a[s * N + i] / 255.0;
            want[0] += (-t * log(p) - (1 - t) * log(1 - p)) / (2 * N);
            both += p * t, either += p + t - p * t;
        }
        want[1] += (1 - both / either) / 2;
    }
    double loss = matting_loss(x, a, 2, N, NULL, part);
    assert_true(fabs(part[0] - want[0]) < 1e-6 && fabs(part[1] - want[1]) < 1e-5 && fabs(loss - part[0] - part[1]) < 1e-12);
}

static void the_gradient_is_its_slope(void **state)
{
    enum { N = 8, STEPS = 2 };
    float x[STEPS * N], grad[STEPS * N];
    unsigned char a[STEPS * N];
    double part[2];
    rng r = rng_new(7, 0);
    (void)state;
    for (int i = 0; i < STEPS * N; i++) x[i] = (float)(2 * rng_normal(&r)), a[i] = (unsigned char)rng_below(&r, 256);
    matting_loss(x, a, STEPS, N, grad, part);
    for (int i = 0; i < STEPS * N; i++) {
        float was = x[i], h = 1e-2f;
        x[i] = was + h;
        double up = matting_loss(x, a, STEPS, N, NULL, part);
        x[i] = was - h;
        double down = matting_loss(x, a, STEPS, N, NULL, part);
        x[i] = was;
        assert_true(fabs((up - down) / (2 * (double)h) - grad[i]) < 1e-5);
    }
}

static void nothing_seen_where_nothing_is(void **state)
{
    const float x[4] = { -30, -30, -30, -30 }, none[4] = { 0 }, half[4] = { 1, 1, 0, 0 };
    const unsigned char a[4] = { 0 }, three[4] = { 255, 255, 255, 0 };
    double part[2], error, jaccard;
    (void)state;
    assert_true(matting_loss(x, a, 1, 4, NULL, part) < 1e-6);
    matting_measure(none, a, 4, &error, &jaccard);
    assert_true(error == 0 && jaccard == 1);
    matting_measure(half, three, 4, &error, &jaccard);
    assert_true(error == 0.25 && fabs(jaccard - 2.0 / 3) < 1e-12);
}

/* ---- to full size ---- */

static bitmap two_colours(int w, int h, double edge)
{
    bitmap b;
    assert_int_equal(bitmap_new(&b, w, h, 3, NULL), DREAMO_OK);
    for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x++) {
            bool left = (x + 0.5) / w < edge;
            unsigned char *p = b.data + 3 * (y * w + x);
            p[0] = left ? 200 : 30, p[1] = left ? 60 : 90, p[2] = left ? 40 : 160;
        }
    return b;
}

/* A soft mask around an edge that the picture has sharp becomes as sharp as the picture, at its full size. */
static void edges_come_from_the_picture(void **state)
{
    enum { SMALL = 32, LARGE = 200 };
    bitmap small = two_colours(SMALL, SMALL, 0.5), large = two_colours(LARGE, LARGE, 0.5);
    float mask[SMALL * SMALL];
    unsigned char *alpha = malloc(LARGE * LARGE);
    (void)state;
    for (int i = 0; i < SMALL * SMALL; i++) {
        float v = 0.5f - ((float)(i % SMALL) - 15.5f) / 6;
        mask[i] = v < 0 ? 0 : v > 1 ? 1 : v;
    }
    assert_int_equal(guided_upsample(mask, &small, &large, 4, 1e-4f, alpha, NULL), DREAMO_OK);
    for (int y = 0; y < LARGE; y += 7) {
        assert_true(alpha[y * LARGE + LARGE / 2 - 2] > 180 && alpha[y * LARGE + LARGE / 2 + 1] < 75); /* enlarged without it: 138 and 117 */
        assert_true(alpha[y * LARGE + 10] > 250 && alpha[y * LARGE + LARGE - 10] < 5);
    }
    free(alpha);
    bitmap_free(&small);
    bitmap_free(&large);
}

static void flat_masks_stay_flat(void **state)
{
    static const int sizes[][4] = { { 16, 16, 64, 64 }, { 5, 9, 31, 7 }, { 8, 8, 8, 8 }, { 1, 1, 3, 5 }, { 32, 2, 1, 40 } };
    rng r = rng_new(3, 1);
    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        const int *z = sizes[i];
        bitmap small, large;
        assert_int_equal(bitmap_new(&small, z[0], z[1], 3, NULL), DREAMO_OK);
        assert_int_equal(bitmap_new(&large, z[2], z[3], 3, NULL), DREAMO_OK);
        for (int k = 0; k < 3 * z[0] * z[1]; k++) small.data[k] = (unsigned char)rng_below(&r, 256);
        for (int k = 0; k < 3 * z[2] * z[3]; k++) large.data[k] = (unsigned char)rng_below(&r, 256);
        float *mask = malloc((size_t)(z[0] * z[1]) * sizeof *mask);
        unsigned char *alpha = malloc((size_t)(z[2] * z[3]));
        for (int k = 0; k < z[0] * z[1]; k++) mask[k] = 0.4f;
        assert_int_equal(guided_upsample(mask, &small, &large, 3, 1e-4f, alpha, NULL), DREAMO_OK);
        for (int k = 0; k < z[2] * z[3]; k++) assert_int_equal(alpha[k], 102);
        free(mask);
        free(alpha);
        bitmap_free(&small);
        bitmap_free(&large);
    }
    assert_int_equal(mem_live(), 0);
}

/* ---- samples ---- */

static data_set *open_assets(void)
{
    data_set *d;
    dreamo_error err = { 0 };
    if (data_open(TEST_DATA "/assets", &d, &err)) fail_msg("%s", err.message);
    return d;
}

static void samples_are_functions_of_their_number(void **state)
{
    enum { SIDE = 64, N = 24 };
    data_set *d = open_assets();
    matte_pictures none = { 0 };
    bool differ = false;
    (void)state;
    for (uint64_t i = 0; i < N; i++) {
        bitmap one, same, other;
        unsigned char *alpha[3];
        int covered = 0;
        assert_int_equal(matte_make(d, &none, DATA_TRAIN, 5, i, SIDE, &one, &alpha[0], NULL), DREAMO_OK);
        assert_int_equal(matte_make(d, &none, DATA_TRAIN, 5, i, SIDE, &same, &alpha[1], NULL), DREAMO_OK);
        assert_int_equal(matte_make(d, &none, DATA_TRAIN, 6, i, SIDE, &other, &alpha[2], NULL), DREAMO_OK);
        assert_memory_equal(one.data, same.data, SIDE * SIDE * 3);
        assert_memory_equal(alpha[0], alpha[1], SIDE * SIDE);
        differ = differ || memcmp(one.data, other.data, SIDE * SIDE * 3) != 0;
        for (int k = 0; k < SIDE * SIDE; k++) covered += alpha[0][k] > 127;
        assert_true(covered > 0 && covered < SIDE * SIDE);
        for (int k = 0; k < 3; k++) mem_free(alpha[k]);
        bitmap_free(&one);
        bitmap_free(&same);
        bitmap_free(&other);
    }
    assert_true(differ);
    data_close(d);
    assert_int_equal(mem_live(), 0);
}

/* Every eighth by name is held out; a cut-out needs alpha; a folder that is not there holds none. */
static void folders_of_photographs(void **state)
{
    bitmap b;
    matte_pictures p;
    char name[40];
    dreamo_error err = { 0 };
    (void)state;
    assert_int_equal(matte_pictures_open(".", &p, NULL), DREAMO_OK);
    assert_true(p.photos.n[0] + p.photos.n[1] + p.cutouts.n[0] + p.cutouts.n[1] == 0);
    matte_pictures_free(&p);
    assert_true(mkdir("photos", 0777) == 0 && mkdir("cutouts", 0777) == 0);
    for (int i = 0; i < 9; i++) {
        assert_int_equal(bitmap_new(&b, i ? 20 : 900, i ? 10 : 500, 3, NULL), DREAMO_OK);
        memset(b.data, i, 3 * (size_t)b.width * (size_t)b.height);
        snprintf(name, sizeof name, "photos/%d.png", i);
        assert_int_equal(image_write_png(name, &b, NULL, 0, true, NULL), DREAMO_OK);
        bitmap_free(&b);
    }
    assert_int_equal(matte_pictures_open(".", &p, NULL), DREAMO_OK);
    assert_true(p.photos.n[0] == 8 && p.photos.n[1] == 1);
    assert_int_equal(p.photos.picture[1][0].data[0], 7);
    assert_true(p.photos.picture[0][0].width == 806 && p.photos.picture[0][0].height == 448); /* the shorter side */
    matte_pictures_free(&p);
    assert_true(rename("photos/0.png", "cutouts/0.png") == 0);
    assert_int_equal(matte_pictures_open(".", &p, &err), DREAMO_FORMAT);
    assert_non_null(strstr(err.message, "cutouts/0.png: a cut-out has alpha"));
    assert_int_equal(mem_live(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(the_loss_is_its_definition), cmocka_unit_test(the_gradient_is_its_slope), cmocka_unit_test(nothing_seen_where_nothing_is),
                                        cmocka_unit_test(edges_come_from_the_picture), cmocka_unit_test(flat_masks_stay_flat), cmocka_unit_test(samples_are_functions_of_their_number),
                                        cmocka_unit_test(folders_of_photographs) };
    return cmocka_run_group_tests(tests, scratch_enter, scratch_leave);
}
