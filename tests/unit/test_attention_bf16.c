/* test_attention_bf16.c - attention of a device that may round (dev->fast), or is asked for products in bf16 (dev->bf16), on each instruction set of
 * this machine.
 *
 *  - where there are products in bf16: beside ref on q, k and v rounded here, what is left is the rounding of probabilities; beside ref on
 *    the numbers themselves, a few tenths of a percent; odd lengths, samples in several spans, the same bytes from any number of threads;
 *  - where there are none, in short samples, with a log-sum-exp, a mask or a bias: the bytes of a device that may not round;
 *  - asked for products in bf16, machines with AMX round both ways, in samples of any length; with a mask or a bias, and on others, nothing changes. */
#include "base/half.h"
#include "devices.h"

enum { HEADS = 2, ROWS = 1031 + 70 };

/* 1031 rows of sample 0 around 70 of sample 1. */
static const span spans[] = { { 0, 500, 0 }, { 570, 531, 0 }, { 500, 70, 1 } };
static const layout both = { 2, 3, spans };

typedef struct inputs { tensor q, k, v; } inputs;

/* Sharp: scores spread over several units. */
static inputs make(int dim)
{
    tensor cut = { .rows = ROWS, .cols = HEADS * dim, .ld = HEADS * dim + 3 };
    inputs in = { cut, cut, cut };
    in.q.p = normals(ROWS * in.q.ld, 2), in.k.p = normals(ROWS * in.q.ld, 1), in.v.p = normals(ROWS * in.q.ld, 1);
    return in;
}

static void release(inputs *in) { free(in->q.p), free(in->k.p), free(in->v.p); }

static void attend(device *dev, bool fast, tensor y, const inputs *in, layout l, attention_opts o, tensor lse)
{
    dev->fast = fast;
    dev->be->attention(dev, y, in->q, in->k, in->v, l, o, lse);
    dev->fast = false;
}

static double distance(tensor a, tensor b)
{
    double off = 0, size = 0;
    for (int i = 0; i < a.rows * a.cols; i++) off += pow((double)a.p[i] - b.p[i], 2), size += pow(b.p[i], 2);
    return sqrt(off / size);
}

static bool in_bf16(int i) { return strncmp(cpus[i].name, "avx512bf16", 10) == 0 || has_amx(i); }

static void round_rows(tensor x, float s)
{
    for (int i = 0; i < x.rows * x.ld; i++) x.p[i] = round_bf16(x.p[i] * s);
}

static void compare(int dim)
{
    inputs in = make(dim);
    const attention_opts o = { .heads = HEADS };
    tensor exact = matrix(ROWS, HEADS * dim), rounded = matrix(ROWS, HEADS * dim), y = matrix(ROWS, HEADS * dim), first = matrix(ROWS, HEADS * dim), plain = matrix(ROWS, HEADS * dim);
    device *ref = backend_ref.open(1);
    int found = -1; /* the device whose bytes are in `first` */
    attend(ref, false, exact, &in, both, o, (tensor){ 0 });
    inputs less = make(dim);
    size_t nbytes = sizeof(float) * (size_t)ROWS * (size_t)in.q.ld, made = sizeof(float) * (size_t)ROWS * HEADS * (size_t)dim;
    memcpy(less.q.p, in.q.p, nbytes), memcpy(less.k.p, in.k.p, nbytes), memcpy(less.v.p, in.v.p, nbytes);
    round_rows(less.q, 1 / sqrtf((float)dim)), round_rows(less.k, 1), round_rows(less.v, 1);
    attend(ref, false, rounded, &less, both, (attention_opts){ .heads = HEADS, .scale = 1 }, (tensor){ 0 });
    backend_ref.close(ref);
    for (int i = 0; i < ncpus; i++) {
        attend(cpus[i].dev, false, plain, &in, both, o, (tensor){ 0 });
        attend(cpus[i].dev, true, y, &in, both, o, (tensor){ 0 });
        if (!in_bf16(i)) {
            if (memcmp(y.p, plain.p, made)) fail_msg("%s, heads of %d: not as without rounding", cpus[i].name, dim);
            continue;
        }
        double p = distance(y, rounded), all = distance(y, exact);
        if (!(p < 1.5e-3 && all > 5e-4 && all < 6e-3)) fail_msg("%s, heads of %d: off by %.3g, of which the probabilities %.3g", cpus[i].name, dim, all, p);
        if (found < 0 || has_amx(i) != has_amx(found)) memcpy(first.p, y.p, made);
        if (memcmp(y.p, first.p, made)) fail_msg("%s, heads of %d: other bytes than with one thread", cpus[i].name, dim);
        found = i;
    }
    free(exact.p), free(rounded.p), free(y.p), free(first.p), free(plain.p);
    release(&in), release(&less);
}

static void long_samples_are_rounded(void **state)
{
    (void)state;
    chance = rng_new(1, 0);
    compare(32);
    compare(128);
    compare(64);
}

static void unchanged(int dim, layout l, attention_opts o, bool lse, const char *what)
{
    inputs in = make(dim);
    tensor y = matrix(ROWS, HEADS * dim), plain = matrix(ROWS, HEADS * dim), sums = lse ? matrix(ROWS, HEADS) : (tensor){ 0 };
    for (int i = 0; i < ncpus; i++) {
        attend(cpus[i].dev, false, plain, &in, l, o, sums);
        attend(cpus[i].dev, true, y, &in, l, o, sums);
        if (memcmp(y.p, plain.p, sizeof(float) * (size_t)ROWS * HEADS * (size_t)dim)) fail_msg("%s, %s: not as without rounding", cpus[i].name, what);
    }
    free(y.p), free(plain.p), free(sums.p);
    release(&in);
}

static void others_stay(void **state)
{
    static const span in_two[] = { { 0, FAST_LENGTH - 1, 0 }, { FAST_LENGTH - 1, ROWS - FAST_LENGTH + 1, 1 } };
    (void)state;
    chance = rng_new(2, 0);
    float table[32 * HEADS];
    for (int i = 0; i < 32 * HEADS; i++) table[i] = 0.01f * (float)i;
    weight bias = { .in = HEADS, .out = 32, .kh = 1, .kw = 1, .nparts = 1, .part = { { .rows = 32, .type = DT_F32, .data = table } } };
    unchanged(32, (layout){ 2, 2, in_two }, (attention_opts){ .heads = HEADS }, false, "short samples");
    unchanged(32, both, (attention_opts){ .heads = HEADS }, true, "log-sum-exp");
    unchanged(32, both, (attention_opts){ .heads = HEADS, .causal = true }, false, "causal");
    unchanged(32, both, (attention_opts){ .heads = HEADS, .relbias = &bias, .max_distance = 128 }, false, "bias");
    unchanged(24, both, (attention_opts){ .heads = HEADS }, false, "heads of 24");
}

/* ---- asked for products in bf16, both ways ---- */

enum { Y, LSE, DQ, DK, DV, BOTH_WAYS };
static const char *const names[BOTH_WAYS] = { "y", "lse", "dq", "dk", "dv" };

static void both_ways(device *dev, bool bf16, tensor *r, const inputs *in, tensor dy, layout l, attention_opts o)
{
    for (int k = DQ; k < BOTH_WAYS; k++)
        for (int i = 0; i < r[k].rows * r[k].cols; i++) r[k].p[i] = 0.25f; /* gradients are added */
    dev->bf16 = bf16;
    dev->be->attention(dev, r[Y], in->q, in->k, in->v, l, o, r[LSE]);
    dev->be->attention_backward(dev, r[DQ], r[DK], r[DV], dy, r[Y], in->q, in->k, in->v, l, o, r[LSE]);
    dev->bf16 = false;
}

static void results(tensor *r, int dim)
{
    for (int k = 0; k < BOTH_WAYS; k++) r[k] = matrix(ROWS, k == LSE ? HEADS : HEADS * dim);
}

static void forget(tensor *r)
{
    for (int k = 0; k < BOTH_WAYS; k++) free(r[k].p);
}

/* rounds: AMX is off by some tenths of a percent and by no more; else by nothing. */
static void trained(int dim, layout l, attention_opts o, bool rounds, const char *what)
{
    inputs in = make(dim);
    tensor dy = { .p = normals(ROWS * HEADS * dim, 1), .rows = ROWS, .cols = HEADS * dim, .ld = HEADS * dim }, exact[BOTH_WAYS], mine[BOTH_WAYS], first[BOTH_WAYS], plain[BOTH_WAYS];
    results(exact, dim), results(mine, dim), results(first, dim), results(plain, dim);
    device *ref = backend_ref.open(1);
    both_ways(ref, false, exact, &in, dy, l, o);
    backend_ref.close(ref);
    int found = -1;
    for (int i = 0; i < ncpus; i++) {
        both_ways(cpus[i].dev, true, mine, &in, dy, l, o);
        both_ways(cpus[i].dev, false, plain, &in, dy, l, o);
        for (int k = 0; k < BOTH_WAYS; k++) {
            size_t nbytes = sizeof(float) * (size_t)(mine[k].rows * mine[k].cols);
            if (!has_amx(i) || !rounds) {
                if (memcmp(mine[k].p, plain[k].p, nbytes)) fail_msg("%s, %s, heads of %d: %s is not as without rounding", cpus[i].name, what, dim, names[k]);
                continue;
            }
            double off = distance(mine[k], exact[k]);
            if (!(off < 1e-2 && off > (k == LSE ? 1e-5 : 1e-4))) fail_msg("%s, %s, heads of %d: %s is off by %.3g", cpus[i].name, what, dim, names[k], off);
            if (found < 0) memcpy(first[k].p, mine[k].p, nbytes);
            if (memcmp(first[k].p, mine[k].p, nbytes)) fail_msg("%s, %s, heads of %d: %s has other bytes than with one thread", cpus[i].name, what, dim, names[k]);
        }
        if (has_amx(i)) found = i;
    }
    forget(exact), forget(mine), forget(first), forget(plain);
    free(dy.p);
    release(&in);
}

static void products_in_bf16_both_ways(void **state)
{
    static const span odd[] = { { 0, 1, 0 }, { 1, 17, 1 }, { 18, 33, 2 }, { 51, 127, 3 }, { 178, 129, 4 }, { 307, 300, 5 }, { 700, 5, 5 } };
    const layout lengths = { 6, 7, odd };
    (void)state;
    chance = rng_new(7, 0);
    float table[32 * HEADS];
    for (int i = 0; i < 32 * HEADS; i++) table[i] = 0.01f * (float)i;
    weight bias = { .in = HEADS, .out = 32, .kh = 1, .kw = 1, .nparts = 1, .part = { { .rows = 32, .type = DT_F32, .data = table } } };
    trained(32, both, (attention_opts){ .heads = HEADS }, true, "two samples");
    trained(32, lengths, (attention_opts){ .heads = HEADS }, true, "odd lengths");
    trained(64, lengths, (attention_opts){ .heads = HEADS }, true, "odd lengths");
    trained(128, lengths, (attention_opts){ .heads = HEADS, .scale = 0.2f }, true, "a scale");
    trained(24, lengths, (attention_opts){ .heads = HEADS }, false, "narrow heads");
    trained(32, lengths, (attention_opts){ .heads = HEADS, .causal = true }, false, "causal");
    trained(32, lengths, (attention_opts){ .heads = HEADS, .relbias = &bias, .max_distance = 128 }, false, "bias");
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(long_samples_are_rounded), cmocka_unit_test(others_stay), cmocka_unit_test(products_in_bf16_both_ways) };
    return cmocka_run_group_tests(tests, open_devices, close_devices);
}
