/* test_linear_bf16.c - linear layers whose products are in bf16 (dev->bf16), on each instruction set of this machine, both ways, beside ref, which
 * rounds the operands and sums in double.
 *
 * What is left between them is fp32's sums; with adapters also what rounding makes of it: x A^T is rounded again, and a sum that falls
 * on the other side of a tie is 2^-8 off.  Beside exact operands bf16 is some tenths of a percent off: that it rounds at all. */
#include "base/half.h"
#include "devices.h"

typedef struct shape { int rows, in, out, split; dtype type; bool scaled; int rank; } shape;

/* Odd sizes in every direction, one slab of k and several, few rows, stacked parts, stored types, a scaled row, adapters. */
static const shape shapes[] = {
    { 1, 1, 1, 0, DT_F32, false, 0 },       { 3, 7, 5, 2, DT_F32, false, 0 },       { 16, 256, 1536, 0, DT_F32, false, 0 },
    { 13, 33, 65, 32, DT_F32, false, 0 },   { 130, 257, 97, 0, DT_F32, false, 3 },  { 97, 1281, 31, 0, DT_F32, false, 0 },
    { 1301, 31, 47, 15, DT_F32, false, 0 }, { 280, 192, 576, 192, DT_F32, false, 16 }, { 61, 255, 301, 100, DT_BF16, false, 5 },
    { 61, 255, 301, 0, DT_F16, true, 0 },   { 35, 288, 330, 0, DT_Q8_0, false, 4 }, { 700, 96, 40, 0, DT_F8_E4M3, true, 0 },
};

typedef struct job {
    tensor x, dy, y, dx, low;
    weight w;
    adapter a;
    float *grad, *grad_bias, *grad_A, *grad_B;
} job;

static void make(job *j, const shape *s)
{
    int ld = s->in + 3, parts = s->split ? 2 : 1;
    size_t n = (size_t)s->out * (size_t)s->in;
    *j = (job){ .x = { .rows = s->rows, .cols = s->in, .ld = ld }, .dy = matrix(s->rows, s->out), .y = matrix(s->rows, s->out), .dx = matrix(s->rows, s->in) };
    j->x.p = normals(s->rows * ld, 1);
    free(j->dy.p);
    j->dy.p = normals(s->rows * s->out, 1);
    float *values = normals(s->out * s->in, 1 / sqrt(s->in));
    char *stored = malloc(dtype_nbytes_of(s->type, n));
    dtype_from_f32(s->type, values, n, stored);
    free(values);
    j->grad = calloc(n, sizeof(float)), j->grad_bias = calloc((size_t)s->out, sizeof(float));
    float *bias = normals(s->out, 1), *scale = s->scaled ? normals(s->out, 1) : NULL;
    j->w = (weight){ .in = s->in, .out = s->out, .kh = 1, .kw = 1, .nparts = parts };
    for (int i = 0, at = 0; i < parts; at += j->w.part[i++].rows)
        j->w.part[i] = (weight_part){ .rows = parts == 1 ? s->out : i ? s->out - s->split : s->split, .type = s->type, .bias = bias + at,
                                      .data = stored + dtype_nbytes_of(s->type, (size_t)at * (size_t)s->in), .row_scale = scale ? scale + at : NULL,
                                      .grad = j->grad + (size_t)at * (size_t)s->in, .grad_bias = j->grad_bias + at };
    if (!s->rank) return;
    int rows = s->out - 1; /* not the first */
    j->low = matrix(s->rows, s->rank);
    j->grad_A = calloc((size_t)(s->rank * s->in), sizeof(float)), j->grad_B = calloc((size_t)(rows * s->rank), sizeof(float));
    j->a = (adapter){ .row0 = 1, .rows = rows, .rank = s->rank, .scale = 0.7f, .A = normals(s->rank * s->in, 1 / sqrt(s->in)), .B = normals(rows * s->rank, 1),
                      .grad_A = j->grad_A, .grad_B = j->grad_B };
    j->w.adapters = &j->a;
}

static void release(job *j)
{
    free(j->x.p), free(j->dy.p), free(j->y.p), free(j->dx.p), free(j->low.p);
    free(j->grad), free(j->grad_bias), free(j->grad_A), free(j->grad_B);
    free((void *)(uintptr_t)j->w.part[0].data), free((void *)(uintptr_t)j->w.part[0].bias), free((void *)(uintptr_t)j->w.part[0].row_scale);
    free((void *)(uintptr_t)j->a.A), free((void *)(uintptr_t)j->a.B);
}

enum { RESULTS = 6 };
typedef struct result { const char *name; size_t n; float *p; } result;

/* y, dx and every gradient, one after the other: gradients are added to what was there. */
static void run(device *dev, bool bf16, job *j, result *r)
{
    size_t rows = (size_t)j->x.rows, in = (size_t)j->w.in, out = (size_t)j->w.out, rank = (size_t)j->a.rank;
    const result all[RESULTS] = { { "y", rows * out, j->y.p }, { "dx", rows * in, j->dx.p }, { "dW", out * in, j->grad }, { "dbias", out, j->grad_bias },
                                  { "dA", rank * in, j->grad_A }, { "dB", (size_t)j->a.rows * rank, j->grad_B } };
    for (int i = 1; i < RESULTS; i++)
        for (size_t k = 0; k < all[i].n; k++) all[i].p[k] = 0.25f;
    dev->bf16 = bf16;
    dev->be->linear(dev, j->y, j->x, &j->w, j->low);
    dev->be->linear_backward(dev, j->dx, j->dy, j->x, &j->w, j->low);
    dev->bf16 = false;
    for (int i = 0; i < RESULTS; i++) {
        r[i] = all[i];
        r[i].p = malloc(all[i].n * sizeof(float) + 1);
        if (all[i].n) memcpy(r[i].p, all[i].p, all[i].n * sizeof(float));
    }
}

static void forget(result *r)
{
    for (int i = 0; i < RESULTS; i++) free(r[i].p);
}

static double distance(const result *a, const result *b)
{
    double off = 0, size = 0;
    for (size_t i = 0; i < a->n; i++) off += pow((double)a->p[i] - (double)b->p[i], 2), size += pow((double)b->p[i], 2);
    return size > 0 ? sqrt(off / size) : 0;
}

static void compare(device *ref, const shape *s)
{
    job j;
    result exact[RESULTS], rounded[RESULTS], mine[RESULTS], first[RESULTS];
    int kept = -1; /* the device whose bytes are in `first` */
    make(&j, s);
    run(ref, false, &j, exact);
    run(ref, true, &j, rounded);
    for (int i = 0; i < ncpus; i++) {
        run(cpus[i].dev, true, &j, mine);
        for (int k = 0; k < RESULTS; k++) {
            double off = distance(&mine[k], &rounded[k]), all = distance(&mine[k], &exact[k]), most = s->rank && k != 3 ? 2e-4 : 2e-6;
            bool rounds = k == 3 || s->rows * s->in * s->out < 1000 || !mine[k].n || (all > 3e-4 && all < 1e-2);
            if (!(off < most && rounds))
                fail_msg("%s, %dx%d->%d, %s: %.3g from ref in bf16, %.3g from ref", cpus[i].name, s->rows, s->in, s->out, mine[k].name, off, all);
            bool same = kept < 0 || has_amx(i) != has_amx(kept) || !mine[k].n || memcmp(mine[k].p, first[k].p, mine[k].n * sizeof(float)) == 0;
            if (cpus[i].dev->gains_by_bf16 && !same)
                fail_msg("%s, %dx%d->%d, %s: other bytes than with one thread", cpus[i].name, s->rows, s->in, s->out, mine[k].name);
        }
        if (!cpus[i].dev->gains_by_bf16 || (kept >= 0 && has_amx(i) == has_amx(kept))) {
            forget(mine);
            continue;
        }
        if (kept >= 0) forget(first);
        memcpy(first, mine, sizeof mine);
        kept = i;
    }
    if (kept >= 0) forget(first);
    forget(exact), forget(rounded);
    release(&j);
}

static void as_ref_rounds(void **state)
{
    (void)state;
    chance = rng_new(3, 0);
    device *ref = backend_ref.open(1);
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) compare(ref, &shapes[i]);
    backend_ref.close(ref);
}

/* x w^T that is symmetric: here w = x.  Any size, both precisions, every number of it. */
static void symmetric_products(void **state)
{
    static const int sizes[][2] = { { 1, 1 }, { 5, 9 }, { 16, 16 }, { 66, 64 }, { 97, 33 }, { 256, 256 }, { 192, 768 }, { 333, 1300 } };
    (void)state;
    chance = rng_new(4, 0);
    device *ref = backend_ref.open(1);
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
        for (int bf16 = 0; bf16 < 2; bf16++) {
            int n = sizes[s][0];
            tensor x = { .rows = n, .cols = sizes[s][1], .ld = sizes[s][1] + 3 }, y = matrix(n, n), wanted = matrix(n, n);
            x.p = normals(n * x.ld, 1);
            ref->bf16 = bf16;
            ref->be->symmetric(ref, wanted, x, x);
            for (int i = 0; i < ncpus; i++) {
                cpus[i].dev->bf16 = bf16;
                cpus[i].dev->be->symmetric(cpus[i].dev, y, x, x);
                cpus[i].dev->bf16 = false;
                double off = distance(&(result){ "", (size_t)(n * n), y.p }, &(result){ "", (size_t)(n * n), wanted.p });
                if (!(off < 2e-6)) fail_msg("%s, %d x %d, bf16 %d: %.3g from ref", cpus[i].name, n, x.cols, bf16, off);
            }
            free(x.p), free(y.p), free(wanted.p);
        }
    backend_ref.close(ref);
}

/* What is no number stays none: that is how a trainer sees that a step failed. */
static void what_is_no_number_stays_none(void **state)
{
    static const float none[] = { NAN, INFINITY, -INFINITY };
    const shape s = { 29, 70, 45, 0, DT_F32, false, 0 };
    (void)state;
    for (int i = 0; i < ncpus; i++)
        for (int k = 0; k < 3; k++) {
            job j;
            result r[RESULTS];
            make(&j, &s);
            j.x.p[5 * j.x.ld + 69] = none[k];
            run(cpus[i].dev, true, &j, r);
            for (int row = 0; row < s.rows; row++)
                if (isfinite(r[0].p[row * s.out + 44]) == (row == 5)) fail_msg("%s: %g in row 5, row %d has %g", cpus[i].name, (double)none[k], row, (double)r[0].p[row * s.out + 44]);
            if (isfinite(r[2].p[44 * s.in + 69]) || !isfinite(r[2].p[44 * s.in + 68])) fail_msg("%s: the gradient of column 69 alone has no number", cpus[i].name);
            forget(r);
            release(&j);
        }
}

/* A device that may round does so on machines with AMX: forward as with dev->bf16, few rows and the way back as without. */
static void amx_rounds_when_it_may(void **state)
{
    (void)state;
    chance = rng_new(5, 0);
    for (int i = 0; i < ncpus; i++) {
        for (size_t k = 0; has_amx(i) && k < sizeof shapes / sizeof *shapes; k++) {
            job j;
            result rounded[RESULTS], exact[RESULTS], fast[RESULTS];
            make(&j, &shapes[k]);
            run(cpus[i].dev, true, &j, rounded);
            run(cpus[i].dev, false, &j, exact);
            cpus[i].dev->fast = true;
            run(cpus[i].dev, false, &j, fast);
            cpus[i].dev->fast = false;
            const result *want = shapes[k].rows < FAST_ROWS ? exact : rounded;
            if (memcmp(fast[0].p, want[0].p, fast[0].n * sizeof(float))) fail_msg("%s, %d rows: y is not as rounded", cpus[i].name, shapes[k].rows);
            if (memcmp(fast[1].p, exact[1].p, fast[1].n * sizeof(float))) fail_msg("%s, %d rows: dx is rounded", cpus[i].name, shapes[k].rows);
            forget(rounded), forget(exact), forget(fast);
            release(&j);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(as_ref_rounds), cmocka_unit_test(symmetric_products), cmocka_unit_test(what_is_no_number_stays_none),
                                        cmocka_unit_test(amx_rounds_when_it_may) };
    return cmocka_run_group_tests(tests, open_devices, close_devices);
}
