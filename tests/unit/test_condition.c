/* test_condition.c - positions on the diagonal, task and slot rows (spec 2.2, 2.3), latent orders (1.12), plain backgrounds. */
#include <string.h>

#include "base/mem.h"
#include "pipe/condition.h"
#include "prep/plain.h"
#include "pipe/latent.h"

/* cmocka comes last: it has a macro called fail. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

/* A 2 x 3 picture with references of 1 x 2 and 2 x 1 tokens in slots 4 and 1. */
static const condition_sample sample = { .out = { 2, 3 }, .nrefs = 2, .ref = { { 1, 2 }, { 2, 1 } }, .slot = { 4, 1 } };

static void test_positions(void **state)
{
    (void)state;
    static const int32_t want[10][3] = { { 0, 0, 0 }, { 0, 0, 1 }, { 0, 0, 2 }, { 0, 1, 0 }, { 0, 1, 1 }, { 0, 1, 2 },
                                         { 0, 2, 3 }, { 0, 2, 4 }, { 0, 3, 5 }, { 0, 4, 5 } };
    int32_t pos[10][3];
    assert_int_equal(condition_noise_rows(&sample), 6);
    assert_int_equal(condition_image_rows(&sample), 10);
    condition_positions(&sample, pos);
    assert_memory_equal(pos, want, sizeof want);
}

static void test_rows(void **state)
{
    (void)state;
    float task[2 * 2] = { 1, 2, 10, 20 }, idx[5 * 2] = { 99, 99, 0.25f, 0, 99, 99, 99, 99, 0.001f, 0.5f }, cond[10][2];
    dreamo_tables t = { .width = 2, .nslots = 5, .task = task, .idx = idx };
    condition_rows(&sample, &t, false, cond[0]);
    for (int i = 0; i < 6; i++) assert_true(cond[i][0] == 10 && cond[i][1] == 20); /* noise: task row 1 */
    for (int i = 6; i < 8; i++) assert_true(cond[i][0] == 1.001f && cond[i][1] == 2.5f); /* task row 0 + slot 4 */
    for (int i = 8; i < 10; i++) assert_true(cond[i][0] == 1.25f && cond[i][1] == 2);
    condition_rows(&sample, &t, true, cond[0]);
    assert_true(cond[6][0] == 1.0f); /* 1.001 in bf16 */
}

static void test_latents(void **state)
{
    (void)state;
    enum { C = 3, H = 4, W = 6 };
    float planar[C * H * W], tokens[C * H * W], back[C * H * W], rows[C * H * W];
    for (int i = 0; i < C * H * W; i++) planar[i] = (float)i;
    latent_pack(planar, C, H, W, tokens);
    /* Token (1, 2), channel 4c + 2dy + dx with c = 2, dy = 1, dx = 0 is latent[2][3][4]. */
    assert_true(tokens[(1 * 3 + 2) * 12 + 4 * 2 + 2] == planar[2 * H * W + 3 * W + 4]);
    latent_unpack(tokens, C, H, W, back);
    assert_memory_equal(back, planar, sizeof planar);
    latent_to_rows(planar, C, H * W, rows);
    assert_true(rows[(3 * W + 4) * C + 2] == planar[2 * H * W + 3 * W + 4]);
    latent_to_planar(rows, C, H * W, back);
    assert_memory_equal(back, planar, sizeof planar);
}

/* A dark square with a hole, on a flat ground. */
static void draw(bitmap *b, unsigned char ground)
{
    memset(b->data, ground, (size_t)(b->width * b->height * 3));
    for (int y = 5; y < 15; y++)
        for (int x = 5; x < 15; x++)
            if (x != 9 || y != 9) memset(b->data + (y * b->width + x) * 3, 20, 3);
}

static void test_cutout(void **state)
{
    (void)state;
    bitmap b;
    unsigned char mask[400];
    dreamo_error err = { 0 };
    assert_int_equal(bitmap_new(&b, 20, 20, 3, &err), DREAMO_OK);
    draw(&b, 255);
    assert_int_equal(plain_background(&b), BACKGROUND_WHITE);
    draw(&b, 180);
    b.data[0] = 170; /* within the noise of a JPEG */
    assert_int_equal(plain_background(&b), BACKGROUND_PLAIN);
    assert_int_equal(plain_mask(&b, mask, &err), DREAMO_OK);
    assert_int_equal(mask[0], 0);
    assert_int_equal(mask[19 * 20 + 19], 0);
    assert_int_equal(mask[5 * 20 + 5], 255);
    assert_int_equal(mask[9 * 20 + 9], 255); /* the fill does not reach what the thing encloses */
    for (int i = 0; i < 20; i++) memset(b.data + i * 3, i * 12, 3); /* a busy upper edge */
    assert_int_equal(plain_background(&b), BACKGROUND_BUSY);
    bitmap_free(&b);
    assert_int_equal(mem_live(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_positions), cmocka_unit_test(test_rows), cmocka_unit_test(test_latents), cmocka_unit_test(test_cutout) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
