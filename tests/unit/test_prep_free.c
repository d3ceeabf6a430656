/* test_prep_free.c - the free networks that prepare references against PyTorch (tests/oracle/prep_free.py), with weights from their names. */
#include <stdlib.h>
#include "base/mem.h"
#include "model/isnet.h"
#include "model/tinyface.h"
#include "named_weights.h"
/* cmocka comes last: it has a macro called fail. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

typedef struct made { float *p[600]; int n; } made;

static void make(void *user, const param *p)
{
    made *m = user;
    float *data = mem_alloc((size_t)param_count(p) * sizeof *data);
    assert_non_null(data);
    m->p[m->n++] = data;
    fill_param(dev->threads, data, p);
    if (p->rank == 1) fill(dev->threads, data, (size_t)param_count(p), p->name, 0.1, 0); /* all are biases, whatever the export calls them */
    if (p->w) p->w->part[p->part].type = DT_F32, p->w->part[p->part].data = data;
    else *p->fp32 = data;
}

static void unmake(made *m)
{
    while (m->n) mem_free(m->p[--m->n]);
}

static tensor picture(nn *cx, int h, int w, const char *name)
{
    float *v = mem_alloc((size_t)(h * w) * 3 * sizeof *v);
    fill(dev->threads, v, (size_t)(h * w) * 3, name, 0.5, 0);
    tensor x = tensor_from(cx, h * w, 3, v);
    mem_free(v);
    return x;
}

static void compare(nn *cx, tensor y, const char *name, double limit)
{
    const st_tensor *t = st_find(&want, name);
    dreamo_error err = { 0 };
    if (nn_status(cx, &err)) fail_msg("%s", err.message);
    assert_int_equal(y.rows * y.cols, t->count);
    float *got = mem_alloc(t->count * sizeof *got);
    const float *w = t->data;
    double error = 0, norm = 0;
    tensor_read(cx, y, got);
    for (size_t i = 0; i < t->count; i++) error += ((double)got[i] - w[i]) * ((double)got[i] - w[i]), norm += (double)w[i] * w[i];
    print_message("    %s: error %.1e\n", name, sqrt(error / norm));
    assert_true(sqrt(error / norm) < limit);
    mem_free(got);
}

static nn *context(void)
{
    nn *cx = nn_new(&(nn_options){ .dev = dev, .work_nbytes = (size_t)256 << 20, .keep_nbytes = 1 }, NULL);
    assert_non_null(cx);
    return cx;
}

static void test_isnet(void **state)
{
    isnet *m = isnet_new();
    made w = { 0 };
    (void)state;
    isnet_visit(m, make, &w);
    assert_int_equal(w.n, 2 * (ISNET_CONVS + 2));
    nn *cx = context();
    compare(cx, isnet_mask(cx, m, picture(cx, 96, 128, "isnet.x"), (grid){ 1, 96, 128 }), "isnet.mask", 1e-5);
    nn_free(cx);
    unmake(&w);
    isnet_free(m);
}

static void test_face_api(void **state)
{
    static tinyface boxes;
    static landmarks points;
    made w = { 0 };
    (void)state;
    tinyface_shape(&boxes);
    landmarks_shape(&points);
    tinyface_visit(&boxes, make, &w);
    landmarks_visit(&points, make, &w);
    nn *cx = context();
    compare(cx, tinyface_cells(cx, &boxes, picture(cx, TINYFACE_SIDE, TINYFACE_SIDE, "tinyface.x")), "tinyface.cells", 1e-5);
    compare(cx, landmarks_points(cx, &points, picture(cx, LANDMARKS_SIDE, LANDMARKS_SIDE, "landmarks.x")), "landmarks.points", 1e-5);
    nn_free(cx);
    unmake(&w);
}

static int setup(void **state)
{
    (void)state;
    return numbers_open(TEST_DATA "/prep/free.safetensors");
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_isnet), cmocka_unit_test(test_face_api) };
    return cmocka_run_group_tests(tests, setup, numbers_close);
}
