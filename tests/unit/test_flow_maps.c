/* test_flow_maps.c - how far a map looks inside a mask: by hand, and against the count of all pairs. */
#include <math.h>

#include "base/rng.h"
#include "train/flow/flow_maps.h"

/* cmocka comes last: it has a macro called fail. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

enum { MOST = 200 };

static double pairs(const float *map, const float *mask, int n)
{
    double won = 0;
    int count = 0;
    for (int i = 0; i < n; i++)
        for (int k = 0; k < n; k++)
            if (mask[i] >= 0.5f && mask[k] < 0.5f) {
                won += map[i] > map[k] ? 1 : map[i] == map[k] ? 0.5 : 0;
                count++;
            }
    return won / count;
}

static void by_hand(void **state)
{
    (void)state;
    flow_token spare[4];
    const float mask[] = { 1, 0.5f, 0, 0.49f };
    assert_true(flow_map_inside((const float[]){ 3, 2, 1, 0 }, mask, 4, spare) == 1);
    assert_true(flow_map_inside((const float[]){ 0, 1, 2, 3 }, mask, 4, spare) == 0);
    assert_true(flow_map_inside((const float[]){ -3, -1, -2, -1 }, mask, 4, spare) == 0.375);
    assert_true(flow_map_inside((const float[]){ 7, 7, 7, 7 }, mask, 4, spare) == 0.5);
    assert_true(isnan(flow_map_inside(mask, (const float[]){ 1, 1, 1, 1 }, 4, spare)));
    assert_true(isnan(flow_map_inside(mask, (const float[]){ 0, 0, 0, 0 }, 4, spare)));
}

static void all_pairs(void **state)
{
    (void)state;
    rng r = rng_new(3, 1);
    float map[MOST], mask[MOST];
    flow_token spare[MOST];
    for (int round = 0; round < 50; round++) {
        int n = 2 + (int)rng_below(&r, MOST - 1);
        for (int i = 0; i < n; i++) {
            mask[i] = (float)rng_double(&r);
            map[i] = round % 2 ? (float)rng_normal(&r) : (float)rng_below(&r, 5); /* half of them with many ties */
        }
        mask[0] = 0;
        mask[1] = 1;
        assert_true(fabs(flow_map_inside(map, mask, n, spare) - pairs(map, mask, n)) < 1e-12);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(by_hand), cmocka_unit_test(all_pairs) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
