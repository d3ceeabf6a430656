/* test_train_probe.c - losses and gradients of one sample against the official networks' autograd.
 *
 * tests/data/train/tiny holds the sample and the numbers (of tensors with more than 64, every 29th).  Compared through the public
 * interface, on every backend, for the transformer's two losses, every base weight, and the autoencoder. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "dreamo.h"
#include "format/safetensors.h"
#include "scratch.h"

/* cmocka comes last: it has a macro called fail. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

enum { EVERY = 29, WHOLE = 64 };
#define LIMIT 1e-4 /* relative L2 */

/* A bias of the autoencoder's keys shifts all scores of a query alike, and softmax does not see it: its gradient is zero, and
 * what is stored is rounding.  It is compared with zero on the scale of the matrix's gradient beside it. */
static bool is_zero(const char *name) { return strncmp(name, "vae.", 4) == 0 && strstr(name, ".to_k.bias") != NULL; }

static double length(const float *x, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += (double)x[i] * x[i];
    return sqrt(sum);
}

static void compare_zero(const st_file *got, const st_tensor *t)
{
    char beside[256];
    snprintf(beside, sizeof beside, "%.*sweight", (int)(strlen(t->name) - 4), t->name);
    const st_tensor *matrix = st_find(got, beside);
    assert_non_null(matrix);
    if (length(t->data, t->count) > 1e-6 * length(matrix->data, matrix->count)) fail_msg("%s is not zero", t->name);
}

static void compare(const st_tensor *want, const st_tensor *got, double top)
{
    double error = 0, size = 0;
    if (!got) fail_msg("%s is missing", want->name);
    size_t step = got->count > WHOLE ? EVERY : 1;
    assert_int_equal((got->count + step - 1) / step, want->count);
    const float *a = want->data, *b = got->data;
    for (size_t i = 0; i < want->count; i++) {
        error += ((double)a[i] - b[i * step]) * ((double)a[i] - b[i * step]);
        size += (double)a[i] * a[i];
    }
    double scale = fmax(sqrt(size), 1e-6 * top * sqrt((double)want->count));
    if (!(sqrt(error) <= LIMIT * scale)) fail_msg("%s: relative error %g", want->name, sqrt(error) / scale);
}

static void check(const char *backend, const char *folder)
{
    dreamo_model_options o;
    dreamo_error err = { 0 };
    dreamo_lora lora = { TEST_DATA "/lora/tiny/dreamo.safetensors", 1 };
    st_file want, got;
    char path[64];
    double top = 0;
    dreamo_model_options_init(&o);
    o.dir = TEST_DATA "/models/tiny";
    o.loras = &lora;
    o.nloras = 1;
    o.backend = backend;
    if (dreamo_train_probe(TEST_DATA "/train/tiny", &o, folder, &err)) fail_msg("%s", err.message);
    snprintf(path, sizeof path, "%s/train.safetensors", folder);
    assert_int_equal(st_open(path, &got, NULL), DREAMO_OK);
    assert_int_equal(st_open(TEST_DATA "/train/tiny/want.safetensors", &want, NULL), DREAMO_OK);
    for (int i = 0; i < got.ntensors; i++)
        for (size_t k = 0; strstr(got.tensors[i].name, "grad") && k < got.tensors[i].count; k++)
            top = fmax(top, fabs(((const float *)got.tensors[i].data)[k]));
    for (int i = 0; i < want.ntensors; i++) {
        const st_tensor *t = st_find(&got, want.tensors[i].name);
        if (t && is_zero(t->name)) compare_zero(&got, t);
        else compare(&want.tensors[i], t, top);
    }
    assert_true(want.ntensors > 340);
    st_close(&want);
    st_close(&got);
}

static void test_cpu(void **state)
{
    (void)state;
    check("cpu", "cpu");
}

static void test_ref(void **state)
{
    (void)state;
    check("ref", "ref");
}

#ifdef DREAMO_CUDA
static void test_cuda(void **state)
{
    (void)state;
    check("cuda", "cuda");
}
#endif

static void test_refusals(void **state)
{
    (void)state;
    dreamo_model_options o;
    dreamo_error err = { 0 };
    dreamo_lora lora = { TEST_DATA "/lora/tiny/dreamo_cfg_distill.safetensors", 1 };
    dreamo_model_options_init(&o);
    o.dir = TEST_DATA "/models/tiny";
    assert_int_equal(dreamo_train_probe(TEST_DATA "/train/tiny", &o, "out", &err), DREAMO_ARG);
    assert_non_null(strstr(err.message, "exactly one LoRA"));
    o.loras = &lora;
    o.nloras = 1;
    err = (dreamo_error){ 0 };
    assert_int_equal(dreamo_train_probe(TEST_DATA "/train/tiny", &o, "out", &err), DREAMO_MISMATCH);
    assert_non_null(strstr(err.message, "embedding tables"));
    err = (dreamo_error){ 0 };
    assert_int_equal(dreamo_train_probe("nowhere", &o, "out", &err), DREAMO_NOT_FOUND);
    assert_int_equal(dreamo_train_probe(NULL, &o, "out", NULL), DREAMO_ARG);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_cpu), cmocka_unit_test(test_ref),
#ifdef DREAMO_CUDA
                                        cmocka_unit_test(test_cuda),
#endif
                                        cmocka_unit_test(test_refusals) };
    return cmocka_run_group_tests(tests, scratch_enter, scratch_leave);
}
