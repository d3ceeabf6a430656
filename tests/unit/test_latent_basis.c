/* test_latent_basis.c - the latent's basis: matrices with known answers, what a decoder shows against differences, and pictures that stay. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "train/init.h"
#include "train/stages/latent_basis.h"
#include "train/stages/sized.h"

/* cmocka comes last: it has a macro called fail. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

enum { N = 4, SIDE = 8, SMALL = 4, PIXELS = SIDE * SIDE * 3, CELLS = SMALL * SMALL };

/* ---- matrices ---- */

static void test_even(void **state)
{
    (void)state;
    latent_basis b;
    assert_int_equal(latent_basis_new(&b, 3, NULL), DREAMO_OK);
    latent_even(&b, (const double[]){ 1, 4, 0 });
    assert_true(fabs(b.to[0] - 2 * b.to[4]) < 1e-12 && b.to[8] == 1 && b.to[1] == 0);
    assert_true(fabs(b.to[0] * b.back[0] - 1) < 1e-12 && fabs(b.to[4] * b.back[4] - 1) < 1e-12);
    latent_basis_free(&b);
}

/* x' a y, all [n, n]: out. */
static void product(int n, const double *x, bool turned, const double *y, double *out)
{
    for (int i = 0; i < n; i++)
        for (int j = 0; j < n; j++) {
            out[i * n + j] = 0;
            for (int k = 0; k < n; k++) out[i * n + j] += (turned ? x[k * n + i] : x[i * n + k]) * y[k * n + j];
        }
}

/* G of eigenvalues 9, 4, 1 and 1/4 in a turned basis, which was scaled before: afterwards G' is diagonal, e^(1 - power) for eigenvalue e and largest first. */
static void test_visible(void **state)
{
    (void)state;
    static const double e[N] = { 1, 0.25, 9, 4 }, sorted[N] = { 9, 4, 1, 0.25 };
    for (int round = 0; round < 3; round++) {
        double power = (round + 1) / 3.0, turn[N * N], gram[N * N] = { 0 }, scaled[N * N], a[N * N], after[N * N], mean = 0;
        for (int i = 0; i < N; i++)
            for (int j = 0; j < N; j++) turn[i * N + j] = (i == j) - 0.5; /* a reflection */
        latent_basis b;
        assert_int_equal(latent_basis_new(&b, N, NULL), DREAMO_OK);
        latent_even(&b, (const double[]){ 1, 4, 2, 1 });
        for (int i = 0; i < N; i++)
            for (int j = 0; j < N; j++)
                for (int k = 0; k < N; k++) gram[i * N + j] += turn[i * N + k] * e[k] * turn[j * N + k];
        for (int i = 0; i < N; i++) /* of the basis before the scaling */
            for (int j = 0; j < N; j++) scaled[i * N + j] = gram[i * N + j] * b.to[i * N + i] * b.to[j * N + j];
        assert_int_equal(latent_visible(&b, scaled, power, NULL), DREAMO_OK);
        product(N, scaled, false, b.back, a);
        product(N, b.back, true, a, after);
        for (int i = 0; i < N; i++) mean += pow(e[i], power) / N;
        for (int i = 0; i < N; i++)
            for (int j = 0; j < N; j++) {
                double want = i == j ? pow(sorted[i], 1 - power) * mean : 0;
                if (fabs(after[i * N + j] - want) > 1e-9) fail_msg("power %g: %d, %d is %g, not %g", power, i, j, after[i * N + j], want);
            }
        product(N, b.to, false, b.back, a);
        for (int i = 0; i < N * N; i++)
            if (fabs(a[i] - (i % (N + 1) == 0)) > 1e-12) fail_msg("power %g: to back has %g at %d", power, a[i], i);
        latent_basis_free(&b);
    }
}

/* ---- a decoder ---- */

typedef struct net { vae *m; params p; device *dev; } net;

static void net_open(net *t)
{
    vae_config c = { .image_channels = 3, .latent_channels = N, .levels = 2, .channels = { 8, 16 }, .layers = 1, .groups = 4, .mid_attention = true, .scaling = 1 };
    *t = (net){ .m = vae_new(&c), .dev = backend_cpu.open(2) };
    network n = { .vae = t->m };
    assert_int_equal(params_add_network(&t->p, "", t->m, network_walker(PART_VAE), NULL), DREAMO_OK);
    assert_int_equal(params_allocate(&t->p, false, NULL), DREAMO_OK);
    params_attach(&t->p, 0, t->m, network_walker(PART_VAE));
    init_network(&t->p, 0, &n, PART_VAE, 7);
    rng r = rng_new(5, 6);
    for (size_t i = 0; i < t->p.count; i++) t->p.value[i] += 0.02f * (float)rng_normal(&r); /* biases and last layers, too */
}

static void net_close(net *t)
{
    t->dev->be->close(t->dev);
    params_free(&t->p);
    vae_free(t->m);
}

typedef struct job { const net *t; const float *in; float *out; } job;

static void decode(nn *cx, void *user)
{
    job *j = user;
    tensor_read(cx, vae_decode(cx, j->t->m, tensor_from(cx, CELLS, N, j->in), (grid){ 1, SMALL, SMALL }), j->out);
}

static void encode(nn *cx, void *user)
{
    job *j = user;
    tensor_read(cx, vae_encode(cx, j->t->m, tensor_from(cx, SIDE * SIDE, 3, j->in), (grid){ 1, SIDE, SIDE }), j->out);
}

static void run(const net *t, sized_fn fn, const float *in, float *out)
{
    job j = { t, in, out };
    assert_int_equal(sized_run(t->dev, false, false, fn, &j, NULL), DREAMO_OK);
}

/* The mean over many probes is what central differences say, within its own spread. */
static void test_gram(void **state)
{
    (void)state;
    enum { PROBES = 3000 };
    net t;
    net_open(&t);
    float z[CELLS * N], moved[CELLS * N], up[PIXELS], down[PIXELS];
    double want[N * N] = { 0 }, got[N * N] = { 0 }, off = 0, size = 0;
    static double slope[N][PIXELS];
    rng r = rng_new(1, 2);
    for (int i = 0; i < CELLS * N; i++) z[i] = (float)rng_normal(&r);
    for (int at = 0; at < CELLS; at++) {
        for (int k = 0; k < N; k++) {
            for (int way = 0; way < 2; way++) {
                memcpy(moved, z, sizeof z);
                moved[at * N + k] += way ? -0.02f : 0.02f;
                run(&t, decode, moved, way ? down : up);
            }
            for (int i = 0; i < PIXELS; i++) slope[k][i] = ((double)up[i] - (double)down[i]) / 0.04;
        }
        for (int a = 0; a < N; a++)
            for (int b = 0; b < N; b++)
                for (int i = 0; i < PIXELS; i++) want[a * N + b] += slope[a][i] * slope[b][i] / CELLS;
    }
    int64_t count = 0;
    assert_int_equal(latent_gram(t.dev, t.m, z, (grid){ 1, SMALL, SMALL }, PROBES, &r, got, &count, NULL), DREAMO_OK);
    assert_true(count == (int64_t)PROBES * CELLS);
    for (int i = 0; i < N * N; i++) {
        off += pow(got[i] / (double)count - want[i], 2);
        size += want[i] * want[i];
    }
    if (!(size > 0) || off > 0.02 * 0.02 * size) fail_msg("relative error %g", sqrt(off / size));
    net_close(&t);
}

/* After a basis was applied, encoding gives `to` times the means, and decoding those the same picture. */
static void test_pictures_stay(void **state)
{
    (void)state;
    net t;
    net_open(&t);
    float picture[PIXELS], moments[2][CELLS * 2 * N], mean[CELLS * N], made[2][PIXELS];
    rng r = rng_new(8, 9);
    double posterior[N] = { 0.5, 0.1, 0.2, 0.4 }, gram[N * N], change = 0;
    for (int i = 0; i < PIXELS; i++) picture[i] = (float)rng_range(&r, -1, 1);
    for (int i = 0; i < N * N; i++) gram[i] = 3.0 * (i % (N + 1) == 0) * (1 + i) + 0.7;
    latent_basis b;
    assert_int_equal(latent_basis_new(&b, N, NULL), DREAMO_OK);
    assert_int_equal(latent_visible(&b, gram, 0.6, NULL), DREAMO_OK);
    for (int after = 0; after < 2; after++) {
        if (after) assert_int_equal(latent_basis_apply(&b, &t.p, t.p.value, posterior, NULL), DREAMO_OK);
        run(&t, encode, picture, moments[after]);
        for (int i = 0; i < CELLS; i++) memcpy(mean + i * N, moments[after] + i * 2 * N, N * sizeof(float));
        run(&t, decode, mean, made[after]);
    }
    for (int i = 0; i < CELLS; i++)
        for (int k = 0; k < N; k++) {
            double want = 0, variance = 0;
            for (int j = 0; j < N; j++) {
                want += b.to[k * N + j] * moments[0][i * 2 * N + j];
                variance += b.to[k * N + j] * b.to[k * N + j] * posterior[j];
            }
            assert_true(fabs(moments[1][i * 2 * N + k] - want) < 1e-4);
            assert_true(fabs(moments[1][i * 2 * N + N + k] - log(variance)) < 1e-5);
            change = fmax(change, fabs(moments[1][i * 2 * N + k] - moments[0][i * 2 * N + k]));
        }
    assert_true(change > 0.05);
    for (int i = 0; i < PIXELS; i++) assert_true(fabsf(made[0][i] - made[1][i]) < 1e-4f);
    latent_basis_free(&b);
    net_close(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_even), cmocka_unit_test(test_visible), cmocka_unit_test(test_gram), cmocka_unit_test(test_pictures_stay),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
