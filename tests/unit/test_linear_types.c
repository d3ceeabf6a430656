/* test_linear_types.c - `linear`, its way back to x, and `embed` from every type a weight may have.
 *
 *  - decoding gives ggml's and PyTorch's values bit for bit (golden/kernels), at any address, whole rows and runs of 32;
 *  - ref's products and rows show exactly these values, times the rows' scales;
 *  - cpu, for each instruction set of this machine and one or two threads, agrees with ref: one to four parts of different types, with
 *    and without scales, odd numbers of rows, widths whose slabs of K begin inside a block; the same bytes again. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/blocks_decode.h"
#include "base/mem.h"
#include "stored_weights.h" /* and cmocka.h */

static void decoding_gives_ggmls_values(void **state)
{
    (void)state;
    for (dtype t = DT_BF16; t < WEIGHTS; t++) {
        golden g = golden_read(t);
        size_t n = (size_t)g.rows * (size_t)g.in;
        float *got = malloc(n * sizeof *got), run[BLOCKS_RUN];
        dtype_to_f32(t, g.bytes, n, got);
        for (size_t i = 0; i < n; i++)
            if (memcmp(&got[i], &g.values[i], 4)) fail_msg("%s, number %zu: %a, not %a", dtype_name(t), i, got[i], g.values[i]);
        for (size_t i = 0; dtype_block(t) > 1 && i < n; i += BLOCKS_RUN) {
            blocks_decode(t, g.bytes, i, BLOCKS_RUN, run);
            assert_memory_equal(run, got + i, sizeof run);
        }
        free(got);
        golden_free(&g);
    }
}

/* One number of x is 1, so a product is a weight; one of dy, so the gradient is a row. */
static void ref_shows_the_stored_values(void **state)
{
    static const float scales[] = { 0.5f, -4, 1, 0.125f, 16, -1 };
    (void)state;
    device *ref = backend_ref.open(1);
    for (dtype t = DT_BF16; t < WEIGHTS; t++)
        for (int scaled = 0; scaled < 2; scaled++) {
            golden g = golden_read(t);
            weight w = { .in = g.in, .out = g.rows, .kh = 1, .kw = 1, .nparts = 1 };
            w.part[0] = (weight_part){ .rows = g.rows, .type = t, .data = g.bytes, .row_scale = scaled ? scales : NULL };
            tensor x = matrix(g.in, g.in), y = matrix(g.in, g.rows), dy = matrix(g.rows, g.rows), dx = matrix(g.rows, g.in);
            tensor looked = matrix(g.rows, g.in);
            int32_t ids[6];
            for (int k = 0; k < g.in; k++) x.p[k * x.ld + k] = 1;
            for (int o = 0; o < g.rows; o++) dy.p[o * dy.ld + o] = 1, ids[o] = o;
            ref->be->linear(ref, y, x, &w, (tensor){ 0 });
            x.rows = g.rows;
            ref->be->linear_backward(ref, dx, dy, x, &w, (tensor){ 0 });
            ref->be->embed(ref, looked, ids, &w);
            for (int o = 0; o < g.rows; o++)
                for (int k = 0; k < g.in; k++) {
                    float want = g.values[o * g.in + k] * (scaled ? scales[o] : 1);
                    if (y.p[k * y.ld + o] != want || dx.p[o * dx.ld + k] != want || looked.p[o * looked.ld + k] != want)
                        fail_msg("%s, row %d, number %d: %a, %a and %a, not %a", dtype_name(t), o, k, y.p[k * y.ld + o], dx.p[o * dx.ld + k],
                                 looked.p[o * looked.ld + k], want);
                }
            free(x.p), free(y.p), free(dy.p), free(dx.p), free(looked.p);
            golden_free(&g);
        }
    backend_ref.close(ref);
}

/* ---- weights of any bit pattern ---- */

typedef struct operands {
    tensor x, y, dx, dy, looked;
    weight w;
    float *bias[WEIGHT_PARTS], *scale[WEIGHT_PARTS];
    void *room[WEIGHT_PARTS];
    int32_t ids[9];
} operands;

/* A weight of `parts` parts, the first of type t, the others of other types that fit the width. */
static operands make(dtype t, int parts, bool scaled, int rows, int in)
{
    static const int heights[WEIGHT_PARTS] = { 37, 1, 45, 6 };
    operands o = { .w = { .in = in, .kh = 1, .kw = 1, .nparts = parts } };
    for (int i = 0, type = t; i < parts; i++, type = (type + 4) % WEIGHTS) {
        while (in % (int)dtype_block((dtype)type)) type = (type + 1) % WEIGHTS;
        int height = heights[i];
        o.bias[i] = normals(height, 1);
        o.scale[i] = normals(height, 1);
        o.w.part[i] = (weight_part){ .rows = height, .type = (dtype)type, .data = stored((dtype)type, height * in, &o.room[i]) };
        if (i != 1) o.w.part[i].bias = o.bias[i];
        if (scaled && i != 2) o.w.part[i].row_scale = o.scale[i];
        o.w.out += height;
    }
    o.x = matrix(rows, in), o.dx = matrix(rows, in), o.y = matrix(rows, o.w.out), o.dy = matrix(rows, o.w.out), o.looked = matrix(9, in);
    free(o.x.p), free(o.dy.p);
    o.x.p = normals(rows * in, 1), o.dy.p = normals(rows * o.w.out, 1);
    for (int i = 0; i < 9; i++) o.ids[i] = i == 3 ? -1 : i * (o.w.out - 1) / 8;
    return o;
}

static void release(operands *o)
{
    for (int i = 0; i < o->w.nparts; i++) free(o->bias[i]), free(o->scale[i]), free(o->room[i]);
    free(o->x.p), free(o->y.p), free(o->dx.p), free(o->dy.p), free(o->looked.p);
}

static void perform(device *dev, const operands *o)
{
    for (int i = 0; i < o->dx.rows * o->dx.cols; i++) o->dx.p[i] = 0.25f; /* a gradient is added to */
    dev->be->linear(dev, o->y, o->x, &o->w, (tensor){ 0 });
    dev->be->linear_backward(dev, o->dx, o->dy, o->x, &o->w, (tensor){ 0 });
    dev->be->embed(dev, o->looked, o->ids, &o->w);
}

/* ---- cpu beside ref ---- */

/* The longest of n rows: what a product of one with normally distributed x is like, where a sum may cancel by chance. */
static double longest(device *ref, const weight *w, int row0, int n)
{
    double most = 0;
    for (int i = 0; i < n; i++) {
        int32_t id = row0 + i;
        tensor values = matrix(1, w->in);
        double sum = 0;
        ref->be->embed(ref, values, &id, w);
        for (int k = 0; k < w->in; k++) sum += (double)values.p[k] * values.p[k];
        most = fmax(most, sqrt(sum));
        free(values.p);
    }
    return most;
}

/* Columns [col0, col0 + cols), relative to `size` or the largest number there. */
static void same(const operands *o, tensor got, tensor want, int col0, int cols, const char *what, const char *how, double limit, double size)
{
    double off = 0;
    for (int r = 0; r < got.rows; r++)
        for (int c = col0; c < col0 + cols; c++) {
            double a = got.p[r * got.ld + c], b = want.p[r * want.ld + c];
            size = fmax(size, fabs(b));
            off = isfinite(a) ? fmax(off, fabs(a - b)) : INFINITY;
        }
    if (!(off <= limit * size))
        fail_msg("%s, %s of %d parts, first %s, %d rows, %d wide: differs by %.3g of %.3g", how, what, o->w.nparts,
                 dtype_name(o->w.part[0].type), got.rows, o->w.in, off, size);
}

static void compare(dtype t, int parts, bool scaled, int rows, int in)
{
    operands o = make(t, parts, scaled, rows, in), again = o;
    device *ref = backend_ref.open(1);
    perform(ref, &o);
    double length[WEIGHT_PARTS];
    for (int p = 0, at = 0; p < parts; at += o.w.part[p++].rows) length[p] = longest(ref, &o.w, at, o.w.part[p].rows);
    again.y = matrix(rows, o.w.out), again.dx = matrix(rows, in), again.looked = matrix(9, in);
    tensor y = matrix(rows, o.w.out), dx = matrix(rows, in);
    for (int i = 0; i < ncpus; i++) {
        perform(cpus[i].dev, &again);
        for (int p = 0, at = 0; p < parts; at += o.w.part[p++].rows)
            same(&o, again.y, o.y, at, o.w.part[p].rows, "y", cpus[i].name, 5e-6, length[p]);
        same(&o, again.dx, o.dx, 0, in, "dx", cpus[i].name, 5e-6, 0);
        same(&o, again.looked, o.looked, 0, in, "rows looked up", cpus[i].name, 1e-6, 0);
        memcpy(y.p, again.y.p, sizeof(float) * (size_t)rows * (size_t)o.w.out);
        memcpy(dx.p, again.dx.p, sizeof(float) * (size_t)rows * (size_t)in);
        perform(cpus[i].dev, &again);
        assert_memory_equal(y.p, again.y.p, sizeof(float) * (size_t)rows * (size_t)o.w.out);
        assert_memory_equal(dx.p, again.dx.p, sizeof(float) * (size_t)rows * (size_t)in);
    }
    backend_ref.close(ref);
    free(again.y.p), free(again.dx.p), free(again.looked.p), free(y.p), free(dx.p);
    release(&o);
}

static void cpu_agrees_with_ref(void **state)
{
    static const int rows[] = { 1, 3, 13, 27 };
    (void)state;
    for (dtype t = DT_F32; t < WEIGHTS; t++)
        for (int parts = 1; parts <= WEIGHT_PARTS; parts++)
            for (int scaled = 0; scaled < 2; scaled++) {
                chance = rng_new((uint64_t)(t * 8 + parts * 2 + scaled), 0);
                compare(t, parts, scaled, rows[(t + parts) % 4], 512);
            }
}

/* 1280 = 4 slabs of 320, which begin inside blocks of 256; 352 = 2 slabs of 192 and 160; 32 = one block. */
static void slabs_may_begin_inside_a_block(void **state)
{
    static const int widths[] = { 32, 352, 1280 };
    (void)state;
    chance = rng_new(5, 0);
    for (dtype t = DT_F32; t < WEIGHTS; t++)
        for (int i = 0; i < 3; i++)
            if (widths[i] % (int)dtype_block(t) == 0) compare(t, 1, i == 1, 7, widths[i]);
}

/* fp8 has no block: any width. */
static void fp8_of_odd_widths(void **state)
{
    static const int widths[] = { 1, 5, 33, 321 };
    (void)state;
    chance = rng_new(6, 0);
    for (dtype t = DT_F32; t <= DT_F8_E5M2; t++)
        for (int i = 0; i < 4; i++) compare(t, 2, true, 5, widths[i]);
}

/* Rows enough for several blocks of A and chunks of C. */
static void many_rows(void **state)
{
    (void)state;
    chance = rng_new(7, 0);
    compare(DT_Q8_0, 4, true, 301, 256);
    compare(DT_Q4_K, 4, false, 301, 256);
}

/* A 1 x 1 convolution is a linear layer, in both backends. */
static void convolutions_of_one_tap_too(void **state)
{
    (void)state;
    chance = rng_new(8, 0);
    device *ref = backend_ref.open(1);
    for (dtype t = DT_F32; t < WEIGHTS; t++) {
        operands o = make(t, 3, true, 6, 256);
        grid g = { 1, 2, 3 };
        tensor y = matrix(6, o.w.out), dx = matrix(6, 256);
        perform(ref, &o);
        for (int i = -1; i < ncpus; i++) {
            device *dev = i < 0 ? ref : cpus[i].dev;
            for (int k = 0; k < 6 * 256; k++) dx.p[k] = 0.25f;
            dev->be->conv2d(dev, y, o.x, g, &o.w, 1);
            dev->be->conv2d_backward(dev, dx, o.dy, o.x, g, &o.w, 1);
            same(&o, y, o.y, 0, o.w.out, "y of a convolution", i < 0 ? "ref" : cpus[i].name, 5e-6, 0);
            same(&o, dx, o.dx, 0, 256, "dx of a convolution", i < 0 ? "ref" : cpus[i].name, 5e-6, 0);
        }
        free(y.p), free(dx.p);
        release(&o);
    }
    backend_ref.close(ref);
}

static void without_memory_ref_says_so(void **state)
{
    (void)state;
    operands o = make(DT_Q8_0, 1, false, 2, 32);
    device *ref = backend_ref.open(1);
    mem_fail_at(1);
    ref->be->linear(ref, o.y, o.x, &o.w, (tensor){ 0 });
    mem_fail_at(0);
    assert_true(ref->failed);
    backend_ref.close(ref);
    release(&o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decoding_gives_ggmls_values), cmocka_unit_test(ref_shows_the_stored_values), cmocka_unit_test(cpu_agrees_with_ref),
        cmocka_unit_test(slabs_may_begin_inside_a_block), cmocka_unit_test(fp8_of_odd_widths), cmocka_unit_test(many_rows),
        cmocka_unit_test(convolutions_of_one_tap_too), cmocka_unit_test(without_memory_ref_says_so),
    };
    return cmocka_run_group_tests(tests, open_devices, close_devices);
}
