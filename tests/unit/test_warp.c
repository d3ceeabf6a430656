/* test_warp.c - affine resampling and the robust similarity against OpenCV's own results.
 *
 * warp.* and lmeds.* were computed by OpenCV 4; the vectors with numbers are those of the specification's section 7. */
#include <math.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include "image_kernels.h"
#include "image/warp.h"

/* cmocka comes last: it has a macro called fail. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static const double target[5][2] = { { 192.98138, 239.94708 }, { 318.90277, 240.1936 }, { 256.63416, 314.01935 }, { 201.26117, 371.41043 }, { 313.08905, 371.15118 } };

static const void *get(const char *format, int i)
{
    char key[32];
    snprintf(key, sizeof key, format, i);
    const st_tensor *t = st_find(&stored, key);
    return t ? t->data : NULL;
}

/* The border's colour is that of the face path, as the official code gives it to a BGR picture. */
static void warps_are_exact(void **state)
{
    static const unsigned char border[3] = { 135, 133, 132 };
    int n = 0, worst = 0;
    (void)state;
    for (; get("warp.%d.in", n); n++) {
        char key[32];
        snprintf(key, sizeof key, "warp.%d.in", n);
        const st_tensor *in = st_find(&stored, key);
        const unsigned char *want = get("warp.%d.out", n);
        bitmap src = { (int)in->shape[1], (int)in->shape[0], 3, (unsigned char *)(uintptr_t)in->data }, out;
        affine a;
        memcpy(a.m, get("warp.%d.matrix", n), sizeof a.m);
        assert_int_equal(warp_affine(&src, &a, 64, 64, border, &out, NULL), DREAMO_OK);
        for (int i = 0; i < 64 * 64 * 3; i++) worst = abs(out.data[i] - want[i]) > worst ? abs(out.data[i] - want[i]) : worst;
        bitmap_free(&out);
    }
    assert_int_equal(n, 4);
    assert_int_equal(worst, 0);
}

static void the_specification_s_warp(void **state)
{
    static const unsigned char border[3] = { 135, 133, 132 };
    static const unsigned char want[5][6] = { { 135, 124, 110, 97, 90, 80 }, { 39, 32, 22, 29, 41, 52 }, { 30, 40, 52, 64, 76, 87 }, { 65, 75, 87, 99, 111, 122 },
                                              { 100, 112, 122, 134, 146, 157 } };
    unsigned char pixels[30][3];
    const affine a = { { { 1.3, 0.2, -1 }, { -0.2, 1.3, 1.5 } } };
    bitmap src = { 6, 5, 3, pixels[0] }, out;
    (void)state;
    for (int i = 0; i < 30; i++) pixels[i][0] = (unsigned char)(8 * i), pixels[i][1] = pixels[i][2] = 0;
    assert_int_equal(warp_affine(&src, &a, 6, 5, border, &out, NULL), DREAMO_OK);
    for (int i = 0; i < 30; i++) assert_int_equal(out.data[3 * i], want[i / 6][i % 6]);
    bitmap_free(&out);
}

static void similarities_are_opencv_s(void **state)
{
    int n = 0;
    (void)state;
    for (; get("lmeds.%d.points", n); n++) {
        double points[5][2];
        const double *want = get("lmeds.%d.matrix", n);
        affine got;
        memcpy(points, get("lmeds.%d.points", n), sizeof points);
        assert_int_equal(similarity_lmeds((const double (*)[2])points, target, &got, NULL, NULL), DREAMO_OK);
        for (int i = 0; i < 6; i++) assert_true(fabs(got.m[i / 3][i % 3] - want[i]) <= 1e-6 * fmax(1, fabs(want[i])));
    }
    assert_int_equal(n, 12);
}

static void outliers_are_left_out(void **state)
{
    static const double points[2][5][2] = { { { 412.5, 300.25 }, { 520, 310.5 }, { 470.75, 372 }, { 418, 425.5 }, { 505.25, 433 } },
                                            { { 100, 120 }, { 160, 118 }, { 131, 150 }, { 106, 181 }, { 156, 180 } } };
    static const double want[2][4] = { { 1.054219959171, -0.02111094409056, -248.0338505875, -68.14082753668 }, { 2.142422074641, 0.035320533319, -17.935601002184, -18.203358598757 } };
    static const bool used[2][5] = { { 1, 0, 1, 1, 0 }, { 1, 1, 1, 1, 1 } };
    (void)state;
    for (int i = 0; i < 2; i++) {
        affine a;
        bool inlier[5];
        assert_int_equal(similarity_lmeds(points[i], target, &a, inlier, NULL), DREAMO_OK);
        assert_memory_equal(inlier, used[i], sizeof inlier);
        const double got[4] = { a.m[0][0], a.m[1][0], a.m[0][2], a.m[1][2] };
        for (int k = 0; k < 4; k++) assert_true(fabs(got[k] - want[i][k]) < 2e-7 * fmax(1, fabs(want[i][k])));
        assert_true(a.m[0][1] == -a.m[1][0] && a.m[1][1] == a.m[0][0]);
    }
}

static void one_point_is_no_face(void **state)
{
    const double same[5][2] = { { 5, 5 }, { 5, 5 }, { 5, 5 }, { 5, 5 }, { 5, 5 } };
    affine a;
    const affine flat = { { { 1, 2, 0 }, { 2, 4, 0 } } };
    unsigned char pixel[3] = { 0 };
    bitmap src = { 1, 1, 3, pixel }, out;
    dreamo_error err = { 0 };
    (void)state;
    assert_int_equal(similarity_lmeds(same, target, &a, NULL, &err), DREAMO_CONTENT);
    assert_int_equal(warp_affine(&src, &flat, 4, 4, pixel, &out, NULL), DREAMO_CONTENT);
}

/* There and back is where one was. */
static void the_way_back(void **state)
{
    const affine a = { { { 1.25, 0.5, -30 }, { -0.75, 2, 11 } } };
    affine back, both;
    (void)state;
    assert_int_equal(affine_invert(&a, &back, NULL), DREAMO_OK);
    both = affine_then(&a, &back);
    for (int i = 0; i < 6; i++) assert_true(fabs(both.m[i / 3][i % 3] - (i == 0 || i == 4)) < 1e-12);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(warps_are_exact), cmocka_unit_test(the_specification_s_warp), cmocka_unit_test(similarities_are_opencv_s),
                                        cmocka_unit_test(outliers_are_left_out), cmocka_unit_test(one_point_is_no_face), cmocka_unit_test(the_way_back) };
    return cmocka_run_group_tests(tests, open_stored, close_stored);
}
