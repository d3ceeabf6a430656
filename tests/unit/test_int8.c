/* test_int8.c - `linear` of a device that may round activations to 8 bits (dev->fast).
 *
 *  - integers, scales and offsets of a run make ggml's values bit for bit (golden/kernels);
 *  - x is rounded to the whole numbers that ggml's Q8_0 stores for it, and whole numbers are multiplied exactly;
 *  - cpu agrees with ref, which rounds by the definition and adds in double: every type, parts of several types, odd heights and numbers
 *    of rows, cuts of wider matrices, adapters; every instruction set and number of threads gives the same bytes;
 *  - NaN, infinity, numbers next to nothing; few rows, other types and the way back are as without it;
 *  - how far all this is from exact products: about 0.5 %.
 * Machines with AMX round to bf16 instead (test_linear_bf16.c). */
#include <float.h>
#include "base/blocks.h"
#include "base/blocks_int8.h"
#include "stored_weights.h"

static weight one_part(dtype t, int rows, int in, const void *data)
{
    weight w = { .in = in, .out = rows, .kh = 1, .kw = 1, .nparts = 1 };
    w.part[0] = (weight_part){ .rows = rows, .type = t, .data = data };
    return w;
}

/* y of a device that may, or may not, round. */
static void product(device *dev, bool fast, tensor y, tensor x, const weight *w, tensor low)
{
    dev->fast = fast;
    dev->be->linear(dev, y, x, w, low);
    dev->fast = false;
}

/* ---- the definition ---- */

static void integers_and_scales_make_ggmls_values(void **state)
{
    (void)state;
    for (dtype t = DT_Q8_0; t < WEIGHTS; t++) {
        blocks_kind kind = blocks_int8_kind(t);
        assert_int_equal(kind == BLOCKS_NOT_INT8, t == DT_Q2_K);
        if (kind == BLOCKS_NOT_INT8) continue;
        golden g = golden_read(t);
        for (int i = 0; i < g.rows * g.in; i++) {
            const uint8_t *row = g.bytes + dtype_nbytes_of(t, (size_t)(i / g.in * g.in));
            blocks_ints b = { 0 };
            blocks_int8(t, row, (size_t)(i % g.in / BLOCKS_RUN), &b);
            float got = (float)b.q[i % BLOCKS_RUN] * b.scale[kind == BLOCKS_HALVES && i % BLOCKS_RUN >= 16];
            if (kind == BLOCKS_OFFSET) got = got + b.offset;
            if (memcmp(&got, &g.values[i], sizeof got)) fail_msg("%s, number %d: %a, not %a", dtype_name(t), i, got, g.values[i]);
        }
        golden_free(&g);
    }
    for (dtype t = DT_F32; t < DT_Q8_0; t++) assert_int_equal(blocks_int8_kind(t), BLOCKS_NOT_INT8);
}

/* Weights that pick one number each show what x became: the whole numbers of ggml's own 8-bit blocks, whose rule has tests elsewhere. */
static void x_becomes_ggmls_whole_numbers(void **state)
{
    enum { IN = 32, ROWS = 200 };
    static uint8_t picks[IN * 34], stored_x[ROWS * 34];
    (void)state;
    chance = rng_new(1, 0);
    tensor x = { .p = normals(ROWS * IN, 3), .rows = ROWS, .cols = IN, .ld = IN }, y = matrix(ROWS, IN);
    uint16_t one = f32_to_f16(1);
    for (int o = 0; o < IN; o++) memcpy(picks + 34 * o, &one, 2), picks[34 * o + 2 + o] = 1;
    weight w = one_part(DT_Q8_0, IN, IN, picks);
    blocks_from_f32(DT_Q8_0, x.p, ROWS * IN, stored_x);
    for (int i = 0; i < ncpus; i++) {
        product(cpus[i].dev, true, y, x, &w, (tensor){ 0 });
        for (int r = 0; r < ROWS; r++) {
            float most = 0;
            for (int k = 0; k < IN; k++) most = fmaxf(most, fabsf(x.p[r * IN + k]));
            for (int k = 0; k < IN; k++)
                if (y.p[r * IN + k] != (float)(int8_t)stored_x[34 * r + 2 + k] * (most / 127))
                    fail_msg("%s, row %d, number %d: %a became %a", cpus[i].name, r, k, x.p[r * IN + k], y.p[r * IN + k]);
        }
    }
    free(x.p), free(y.p);
}

/* Numbers of -127..127 with a 127 in each run are their own rounding: the product is a sum of integers, here below 2^24. */
static void whole_numbers_are_multiplied_exactly(void **state)
{
    enum { IN = 512, OUT = 75, ROWS = 29 };
    static uint8_t bytes[OUT * IN / 32 * 34];
    uint16_t one = f32_to_f16(1);
    (void)state;
    chance = rng_new(2, 0);
    tensor x = matrix(ROWS, IN), y = matrix(ROWS, OUT);
    for (int i = 0; i < ROWS * IN; i++) x.p[i] = i % 32 == i / 32 % 32 ? (i % 3 ? 127 : -127) : (float)((int)rng_range(&chance, 0, 255) - 127);
    for (int b = 0; b < OUT * IN / 32; b++) {
        memcpy(bytes + 34 * b, &one, 2);
        for (int k = 0; k < 32; k++) bytes[34 * b + 2 + k] = b % 5 ? (uint8_t)rng_range(&chance, 0, 256) : b % 2 ? 128 : 127; /* -128 .. 127 */
    }
    weight w = one_part(DT_Q8_0, OUT, IN, bytes);
    for (int i = 0; i < ncpus; i++) {
        product(cpus[i].dev, true, y, x, &w, (tensor){ 0 });
        for (int r = 0; r < ROWS; r++)
            for (int o = 0; o < OUT; o++) {
                int want = 0;
                for (int k = 0; k < IN; k++) want += (int)x.p[r * IN + k] * (int8_t)bytes[(o * IN + k) / 32 * 34 + 2 + k % 32];
                if (y.p[r * OUT + o] != (float)want) fail_msg("%s, row %d, column %d: %.9g, not %d", cpus[i].name, r, o, y.p[r * OUT + o], want);
            }
    }
    free(x.p), free(y.p);
}

/* ---- cpu beside ref ---- */

typedef struct operands {
    weight w;
    adapter lora;
    tensor x, low;       /* x is a cut of a wider matrix, and so is every y */
    float *wide;
    float *bias[WEIGHT_PARTS], *A, *B;
    void *room[WEIGHT_PARTS];
} operands;

enum { BESIDE = 5 }; /* columns beside a cut */

static operands make(dtype t, int parts, bool mixed, int rows, int in)
{
    static const int heights[WEIGHT_PARTS] = { 37, 1, 64, 6 };
    operands o = { .w = { .in = in, .kh = 1, .kw = 1, .nparts = parts } };
    for (int i = 0, type = t; i < parts; i++) {
        o.bias[i] = normals(heights[i], 1);
        o.w.part[i] = (weight_part){ .rows = heights[i], .type = (dtype)type, .data = stored((dtype)type, heights[i] * in, &o.room[i]) };
        if (i != 1) o.w.part[i].bias = o.bias[i];
        o.w.out += heights[i];
        if (mixed) do type = (type + 4) % WEIGHTS; while (in % (int)dtype_block((dtype)type));
    }
    o.wide = normals(rows * (in + BESIDE), 1);
    o.x = (tensor){ .p = o.wide + 3, .rows = rows, .cols = in, .ld = in + BESIDE };
    o.A = normals(3 * in, 0.1), o.B = normals(3 * heights[0], 0.1);
    o.lora = (adapter){ .row0 = 0, .rows = heights[0], .rank = 3, .scale = 0.5f, .A = o.A, .B = o.B };
    o.low = matrix(rows, 3);
    return o;
}

static void release(operands *o)
{
    for (int i = 0; i < o->w.nparts; i++) free(o->bias[i]), free(o->room[i]);
    free(o->wide), free(o->A), free(o->B), free(o->low.p);
}

/* A cut of a matrix whose other numbers are 7. */
static tensor cut(int rows, int cols)
{
    tensor y = matrix(rows, cols + BESIDE);
    for (int i = 0; i < rows * y.ld; i++) y.p[i] = 7;
    y.p += 2, y.cols = cols;
    return y;
}

static void spared(tensor y, const char *how)
{
    for (int r = 0; r < y.rows; r++)
        for (int c = 0; c < BESIDE; c++)
            if (y.p[r * y.ld + (c < 2 ? c - 2 : y.cols + c - 2)] != 7) fail_msg("%s: wrote beside row %d", how, r);
}

/* The length of a row of weights is what its product with normally distributed x is like. */
static double length(const weight *w, int row)
{
    static float values[4096];
    double sum = 0;
    int32_t id = row;
    device *ref = backend_ref.open(1);
    ref->be->embed(ref, (tensor){ .p = values, .rows = 1, .cols = w->in, .ld = w->in }, &id, w);
    backend_ref.close(ref);
    for (int k = 0; k < w->in; k++) sum += (double)values[k] * values[k];
    return sqrt(sum);
}

static void compare(dtype t, int parts, bool mixed, bool lora, int rows, int in)
{
    operands o = make(t, parts, mixed, rows, in);
    device *ref = backend_ref.open(1);
    tensor want = cut(rows, o.w.out), got = cut(rows, o.w.out), first = cut(rows, o.w.out);
    if (lora) o.w.adapters = &o.lora;
    product(ref, true, want, o.x, &o.w, o.low);
    for (int i = 0; i < ncpus; i++) {
        product(cpus[i].dev, true, i ? got : first, o.x, &o.w, o.low);
        spared(i ? got : first, cpus[i].name);
        for (int c = 0; c < o.w.out; c++) {
            double size = length(&o.w, c) + 1;
            for (int r = 0; i == 0 && r < rows; r++) {
                double a = first.p[r * first.ld + c], b = want.p[r * want.ld + c];
                if (!(fabs(a - b) <= 3e-6 * size))
                    fail_msg("%s, %d parts, first %s, %d rows, %d wide: row %d, column %d: %.9g, not %.9g of %.3g", cpus[i].name, parts, dtype_name(t), rows, in, r, c, a, b, size);
            }
        }
        if (i && t != DT_Q2_K && !mixed && !lora && memcmp(got.p - 2, first.p - 2, sizeof(float) * (size_t)(rows * got.ld)))
            fail_msg("%s, %d parts of %s, %d rows, %d wide: not the bytes of %s", cpus[i].name, parts, dtype_name(t), rows, in, cpus[0].name);
    }
    backend_ref.close(ref);
    free(want.p - 2), free(got.p - 2), free(first.p - 2);
    release(&o);
}

static void cpu_agrees_with_ref(void **state)
{
    static const int rows[] = { 8, 9, 13, 19, 31, 50 };
    (void)state;
    for (dtype t = DT_Q8_0; t < WEIGHTS; t++)
        for (int i = 0; i < 6; i++) {
            chance = rng_new((uint64_t)(t * 8 + i), 0);
            compare(t, i % WEIGHT_PARTS + 1, i == 1 || i == 3, i == 3, rows[i], i % 2 ? 512 : 256);
        }
}

static void narrow_and_wide_rows(void **state)
{
    (void)state;
    chance = rng_new(3, 0);
    for (dtype t = DT_Q8_0; t < WEIGHTS; t++) {
        if (dtype_block(t) == 32) compare(t, 2, false, false, 11, 32), compare(t, 1, false, false, 9, 352);
        compare(t, 1, false, false, 8, 2560);
    }
}

/* Parts of a height that fills panels or leaves one column, rows enough for several chunks. */
static void many_rows(void **state)
{
    (void)state;
    chance = rng_new(4, 0);
    compare(DT_Q8_0, 4, false, false, 301, 256);
    compare(DT_Q4_K, 3, true, true, 301, 256);
}

/* ---- where nothing changes ---- */

static void unchanged(dtype t, int rows, bool scaled)
{
    operands o = make(t, 1, false, rows, 256);
    tensor plain = matrix(rows, o.w.out), fast = matrix(rows, o.w.out);
    float *scale = normals(o.w.out, 1);
    if (scaled) o.w.part[0].row_scale = scale;
    for (int i = -1; i < ncpus; i++) {
        device *dev = i < 0 ? backend_ref.open(1) : cpus[i].dev;
        product(dev, false, plain, o.x, &o.w, o.low);
        product(dev, true, fast, o.x, &o.w, o.low);
        if (memcmp(plain.p, fast.p, sizeof(float) * (size_t)(rows * o.w.out)))
            fail_msg("%s, %d rows of %s%s: not as without rounding", i < 0 ? "ref" : cpus[i].name, rows, dtype_name(t), scaled ? " with scales" : "");
        if (i < 0) backend_ref.close(dev);
    }
    free(plain.p), free(fast.p), free(scale);
    release(&o);
}

static void few_rows_and_other_types_stay(void **state)
{
    (void)state;
    chance = rng_new(5, 0);
    for (dtype t = DT_F32; t < DT_Q8_0; t++) unchanged(t, 16, false);
    unchanged(DT_Q2_K, 16, false);
    unchanged(DT_Q8_0, 16, true);
    for (dtype t = DT_Q8_0; t < WEIGHTS; t++) unchanged(t, FAST_ROWS - 1, false);
}

static void the_way_back_stays(void **state)
{
    (void)state;
    chance = rng_new(6, 0);
    operands o = make(DT_Q4_K, 2, false, 16, 256);
    tensor dy = { .p = normals(16 * o.w.out, 1), .rows = 16, .cols = o.w.out, .ld = o.w.out }, dx[2] = { matrix(16, 256), matrix(16, 256) };
    for (int i = 0; i < ncpus; i++) {
        for (int fast = 0; fast < 2; fast++) {
            memset(dx[fast].p, 0, sizeof(float) * 16 * 256);
            cpus[i].dev->fast = fast;
            cpus[i].dev->be->linear_backward(cpus[i].dev, dx[fast], dy, o.x, &o.w, (tensor){ 0 });
        }
        cpus[i].dev->fast = false;
        assert_memory_equal(dx[0].p, dx[1].p, sizeof(float) * 16 * 256);
    }
    free(dy.p), free(dx[0].p), free(dx[1].p);
    release(&o);
}

/* ---- numbers that have no rounding ---- */

static void nan_and_infinity_take_their_row_only(void **state)
{
    static const float odd[] = { NAN, INFINITY, -INFINITY };
    (void)state;
    chance = rng_new(7, 0);
    for (int type = 0; type < 3; type++) {
        operands o = make(((dtype[]){ DT_Q8_0, DT_Q5_1, DT_Q6_K })[type], 1, false, 12, 256);
        tensor clean = matrix(12, o.w.out), y = matrix(12, o.w.out);
        for (int i = -1; i < ncpus; i++) {
            device *dev = i < 0 ? backend_ref.open(1) : cpus[i].dev;
            product(dev, true, clean, o.x, &o.w, o.low);
            for (int n = 0; n < 3; n++) {
                float *x = o.x.p + (4 + n) * o.x.ld + 100, kept = *x;
                *x = odd[n];
                product(dev, true, y, o.x, &o.w, o.low);
                *x = kept;
                for (int r = 0; r < 12; r++)
                    for (int c = 0; c < o.w.out; c++) {
                        float a = y.p[r * y.ld + c];
                        if (r == 4 + n ? !isnan(a) : a != clean.p[r * y.ld + c]) fail_msg("%s, %f in row %d: row %d holds %g", i < 0 ? "ref" : cpus[i].name, odd[n], 4 + n, r, a);
                    }
            }
            if (i < 0) backend_ref.close(dev);
        }
        free(clean.p), free(y.p);
        release(&o);
    }
}

static void the_ends_of_the_range(void **state)
{
    (void)state;
    chance = rng_new(8, 0);
    operands o = make(DT_Q8_0, 1, false, 8, 32);
    tensor y = matrix(8, o.w.out), want = matrix(8, o.w.out);
    static const float most[] = { 0, -0.0f, 0x1p-149f, 0x1p-126f, 0.99f * FAST_LEAST, FAST_LEAST, 0x1p-60f, 0x1p100f };
    for (int r = 0; r < 8; r++)
        for (int k = 0; k < 32; k++) o.x.p[r * o.x.ld + k] = most[r] * (k == r ? 1 : 0.5f);
    device *ref = backend_ref.open(1);
    product(ref, true, want, o.x, &o.w, o.low);
    backend_ref.close(ref);
    for (int i = 0; i < ncpus; i++) {
        product(cpus[i].dev, true, y, o.x, &o.w, o.low);
        for (int r = 0; r < 8; r++)
            for (int c = 0; c < o.w.out; c++) {
                float a = y.p[r * y.ld + c], b = want.p[r * y.ld + c];
                if (r < 5 ? a != o.bias[0][c] : !(fabsf(a - b) <= 1e-5f * (fabsf(b) + most[r]) + 1e-6f * fabsf(o.bias[0][c])))
                    fail_msg("%s, numbers of %g, column %d: %g, not %g", cpus[i].name, most[r], c, a, b);
            }
    }
    free(y.p), free(want.p);
    release(&o);
}

/* ---- how far from exact ---- */

/* Rounding to steps of max / 127 is off by 1/sqrt(12) of a step: with 32 normally distributed numbers, whose largest is about 2.2 deviations,
 * that is 0.5 % of them, and of their products with any weights. */
static void about_half_a_percent_off(void **state)
{
    (void)state;
    chance = rng_new(9, 0);
    for (dtype t = DT_Q8_0; t < DT_Q2_K; t++) {
        operands o = make(t, 1, false, 64, 1024);
        tensor exact = matrix(64, o.w.out), y = matrix(64, o.w.out);
        double off = 0, size = 0;
        o.w.part[0].bias = NULL;
        device *ref = backend_ref.open(1);
        product(ref, false, exact, o.x, &o.w, o.low);
        backend_ref.close(ref);
        product(cpus[ncpus - 1].dev, true, y, o.x, &o.w, o.low);
        for (int i = 0; i < 64 * o.w.out; i++) off += pow((double)y.p[i] - exact.p[i], 2), size += pow(exact.p[i], 2);
        off = sqrt(off / size);
        if (!(off > 0.0045 && off < 0.0065)) fail_msg("%s: off by %.3f %%", dtype_name(t), 100 * off);
        free(exact.p), free(y.p);
        release(&o);
    }
}

static int open_all_but_amx(void **state)
{
    int failed = open_devices(state);
    while (ncpus && has_amx(ncpus - 1)) backend_cpu.close(cpus[--ncpus].dev);
    return failed;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(integers_and_scales_make_ggmls_values), cmocka_unit_test(x_becomes_ggmls_whole_numbers),
        cmocka_unit_test(whole_numbers_are_multiplied_exactly), cmocka_unit_test(cpu_agrees_with_ref), cmocka_unit_test(narrow_and_wide_rows),
        cmocka_unit_test(many_rows), cmocka_unit_test(few_rows_and_other_types_stay), cmocka_unit_test(the_way_back_stays),
        cmocka_unit_test(nan_and_infinity_take_their_row_only), cmocka_unit_test(the_ends_of_the_range), cmocka_unit_test(about_half_a_percent_off),
    };
    return cmocka_run_group_tests(tests, open_all_but_amx, close_devices);
}
