/* test_flow_losses.c - the three losses of a packed batch of mixed samples against central differences, tensor by tensor.
 *
 * The batch: two references of which one has a mask, both named in the text; no reference; one reference of which two tokens are shown.
 * Sizes differ.  With and without token dropping and checkpoints. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "train/stages/adapter_set.h"
#include "train/flow/flow_cut.h"
#include "train/flow/flow_loss.h"
#include "train/stages/sized.h"
#include "train/network.h"

/* cmocka comes last: it has a macro called fail. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

enum { SAMPLES = 3, TEXT = 6, CLIP = 4 };

typedef struct scene {
    network n;
    params p;
    adapter_set set;
    flow_batch b;
    flow_cut cut;
    device *dev;
    const char *which;      /* "diff", "route", "holder" */
    bool cutting, backward;
    flow_out out;
    double loss;
} scene;

static void fill(rng *r, float *x, size_t n, double size)
{
    for (size_t i = 0; i < n; i++) x[i] = (float)(size * rng_normal(r));
}

static void open_scene(scene *s)
{
    rng r = rng_new(5, 1);
    dreamo_error err = { 0 };
    *s = (scene){ .dev = backend_ref.open(1) };
    if (network_open(&s->n, TEST_DATA "/models/tiny", NULL, PARTS_OF_A_MODEL, 0, &err)) fail_msg("%s", err.message);
    int first = unigram_first_added(s->n.t5_words);
    assert_int_equal(adapter_set_fresh(&s->set, &s->p, s->n.dit, 3, s->n.t5, first, &err), DREAMO_OK);
    assert_int_equal(params_allocate(&s->p, false, &err), DREAMO_OK);
    assert_int_equal(adapter_set_attach(&s->set, &s->p, NULL, 1, s->n.t5, true, &err), DREAMO_OK);
    for (int i = 0; i < s->p.n; i++)
        if (i != s->set.t5_slot) fill(&r, s->p.value + s->p.slot[i].at, s->p.slot[i].count, 0.3);

    static const int32_t few[] = { 1, 4 };
    flow_batch *b = &s->b;
    assert_int_equal(flow_batch_new(b, &s->n.dit->config, SAMPLES, &err), DREAMO_OK);
    b->sample[0] = (condition_sample){ .out = { 2, 3 }, .nrefs = 2, .ref = { { 2, 2 }, { 1, 2 } }, .slot = { 2, 1 } };
    b->sample[1] = (condition_sample){ .out = { 2, 2 } };
    b->sample[2] = (condition_sample){ .out = { 1, 3 }, .nrefs = 1, .ref = { { 3, 2 } }, .slot = { 4 } };
    b->masked[0] = 1;
    b->masked[2] = 1;
    b->words[0] = (flow_words){ true, { 4, 1 } };
    b->few[2] = (flow_few){ { 2 }, { few } };
    for (int i = 0; i < SAMPLES; i++) b->text[i] = (flow_text){ TEXT, CLIP };
    assert_int_equal(flow_batch_shape(b, &s->n.dit->config, SAMPLES, &err), DREAMO_OK);
    assert_int_equal(b->image_rows, 6 + 4 + 2 + 4 + 3 + 2);
    assert_int_equal(b->nroutes, 2);
    assert_int_equal(b->nmatches, 4);
    for (int i = 0; i < b->text_rows; i++) b->t5_ids[i] = 3 + (int32_t)rng_below(&r, 20);
    for (int i = 0; i < b->clip_rows; i++) b->clip_ids[i] = (int32_t)rng_below(&r, 20);
    b->t5_ids[4] = first + 1;
    b->t5_ids[1] = first;
    for (int i = 0; i < SAMPLES; i++) {
        b->sigma[i] = 0.2f + 0.3f * (float)i;
        b->guidance[i] = 1;
    }
    fill(&r, b->clean, (size_t)(b->image_rows * b->channels), 1);
    fill(&r, b->noise, (size_t)(b->image_rows * b->channels), 1);
    for (int i = 0; i < b->nroutes * b->widest; i++) b->mask[i] = i % b->widest < b->routes[i / b->widest].nimg ? (float)rng_double(&r) : 0;
    flow_batch_mix(b);
    assert_int_equal(flow_cut_make(&s->cut, b, &s->n.dit->config, 0.4, rng_new(3, 3), &err), DREAMO_OK);
}

static void close_scene(scene *s)
{
    flow_cut_free(&s->cut);
    flow_batch_free(&s->b);
    adapter_set_free(&s->set);
    params_free(&s->p);
    network_close(&s->n);
    s->dev->be->close(s->dev);
}

static void pass(nn *cx, void *job)
{
    scene *s = job;
    flow_model m = { .dit = s->n.dit, .t5 = s->n.t5, .clip = s->n.clip, .task = &s->set.task, .idx = &s->set.idx };
    flow_forward(cx, &m, &s->b, (flow_wishes){ true, true, s->cutting ? &s->cut.s : NULL }, &s->out);
    tensor loss = s->which[0] == 'd' ? s->out.diff : s->which[0] == 'r' ? s->out.route : s->out.holder;
    float value;
    if (s->backward && nn_ok(cx)) nn_backward(cx, loss);
    if (!nn_ok(cx)) return;
    tensor_read(cx, loss, &value);
    s->loss = value;
}

static double run(scene *s, bool backward, bool checkpoint)
{
    dreamo_error err = { 0 };
    s->backward = backward;
    if (sized_run(s->dev, true, checkpoint, pass, s, &err)) fail_msg("%s: %s", s->which, err.message);
    return s->loss;
}

/* The slope of the loss along the gradient of one tensor is that gradient's length. */
static void check_slot(scene *s, int slot, const float *grad, double whole)
{
    const param_slot *t = &s->p.slot[slot];
    double length = 0, slope[2];
    for (size_t k = 0; k < t->count; k++) length += (double)grad[t->at + k] * grad[t->at + k];
    length = sqrt(length);
    float *before = mem_alloc(t->count * sizeof *before);
    memcpy(before, s->p.value + t->at, t->count * sizeof *before);
    for (int i = 0; i < 2; i++) {
        double h = 0.04 / (1 + i), at[2];
        for (int side = 0; side < 2; side++) {
            for (size_t k = 0; k < t->count; k++)
                s->p.value[t->at + k] = before[k] + (float)((side ? -h : h) * grad[t->at + k] / (length + 1e-30));
            at[side] = run(s, false, false);
        }
        slope[i] = (at[0] - at[1]) / (2 * h);
    }
    memcpy(s->p.value + t->at, before, t->count * sizeof *before);
    mem_free(before);
    double extrapolated = (4 * slope[1] - slope[0]) / 3; /* Richardson */
    if (fabs(extrapolated - length) > 2e-3 * length + 1e-3 * whole)
        fail_msg("%s%s: %s: slope %g, gradient %g", s->which, s->cutting ? " with tokens dropped" : "", t->name, extrapolated, length);
}

static void check(scene *s)
{
    float *grad = mem_alloc(s->p.count * sizeof *grad);
    double whole = 0, difference = 0;
    params_zero_grad(&s->p, NULL);
    run(s, true, false);
    memcpy(grad, s->p.grad, s->p.count * sizeof *grad);
    for (size_t i = 0; i < s->p.count; i++) whole += (double)grad[i] * grad[i];
    whole = sqrt(whole);
    assert_true(whole > 1e-4);
    for (int i = 0; i < s->p.n; i++) check_slot(s, i, grad, whole);
    /* blocks that run again give the same */
    params_zero_grad(&s->p, NULL);
    run(s, true, true);
    for (size_t i = 0; i < s->p.count; i++) difference = fmax(difference, fabs((double)grad[i] - s->p.grad[i]));
    assert_true(difference < 1e-6 * whole);
    mem_free(grad);
}

static void test_gradients(void **state)
{
    static const char *const losses[] = { "diff", "route", "holder" };
    scene s;
    (void)state;
    open_scene(&s);
    for (int i = 0; i < 6; i++) {
        s.which = losses[i % 3];
        s.cutting = i >= 3;
        check(&s);
    }
    close_scene(&s);
}

/* The text's own rows get a gradient from the placeholder loss: that is how [ref#k] learns what it means. */
static void test_placeholder_reaches_its_rows(void **state)
{
    scene s;
    (void)state;
    open_scene(&s);
    s.which = "holder";
    params_zero_grad(&s.p, NULL);
    double loss = run(&s, true, false);
    const param_slot *t = &s.p.slot[s.set.t5_slot];
    int width = (int)t->shape[1];
    for (int row = 0; row < 10; row++) {
        double sum = 0;
        for (int c = 0; c < width; c++) sum += fabs((double)s.p.grad[t->at + (size_t)(row * width + c)]);
        assert_true(row < 2 ? sum > 1e-9 : sum == 0);
    }
    /* of a 2 x 2 matrix with rows that sum to one, against the unit matrix */
    assert_true(loss > 0 && loss < 1);
    close_scene(&s);
}

/* Task and index rows that stay: no gradient for them, and the one for all else as before. */
static void test_frozen_tables(void **state)
{
    scene s;
    double sum[2] = { 0 };
    (void)state;
    open_scene(&s);
    s.which = "diff";
    float *grad = mem_alloc(s.p.count * sizeof *grad);
    params_zero_grad(&s.p, NULL);
    run(&s, true, false);
    memcpy(grad, s.p.grad, s.p.count * sizeof *grad);
    adapter_set_freeze_tables(&s.set);
    params_zero_grad(&s.p, NULL);
    run(&s, true, false);
    for (int i = 0; i < s.p.n; i++) {
        bool table = i == s.set.task_slot || i == s.set.idx_slot;
        for (size_t k = s.p.slot[i].at; k < s.p.slot[i].at + s.p.slot[i].count; k++) {
            sum[table] += fabs((double)grad[k]);
            assert_true(s.p.grad[k] == (table ? 0 : grad[k]));
        }
    }
    assert_true(sum[0] > 1e-4 && sum[1] > 1e-4);
    mem_free(grad);
    close_scene(&s);
}

/* All logits alike: every placeholder is as likely, and the loss is the mean of (1/n - 1)^2 and (n - 1) times (1/n)^2. */
static void test_undecided(void **state)
{
    scene s;
    (void)state;
    open_scene(&s);
    s.which = "holder";
    s.b.words[0] = (flow_words){ true, { 2, 2 } };
    assert_int_equal(flow_batch_shape(&s.b, &s.n.dit->config, SAMPLES, NULL), DREAMO_OK);
    assert_true(fabs(run(&s, false, false) - 0.25) < 1e-6);
    close_scene(&s);
}

/* Tokens that pass by: the others see each other alone, nothing is lost on the way. */
static void test_cut_rows(void **state)
{
    scene s;
    (void)state;
    open_scene(&s);
    const flow_cut *c = &s.cut;
    int all = s.b.text_rows + s.b.image_rows, moved = 0, covered = 0;
    assert_true(c->s.nrows > s.b.text_rows && c->s.nrows < all);
    for (int i = 0; i < all; i++) moved += c->back[i] != i;
    assert_int_equal(moved, c->s.nrows);
    for (int i = 0; i < c->s.nrows; i++) {
        assert_int_equal(c->back[c->rows[i]], all + i);
        assert_true(!i || c->rows[i] > c->rows[i - 1]);
    }
    for (int i = 0; i < c->s.joint.nspans; i++) covered += c->s.joint.spans[i].rows;
    assert_int_equal(covered, c->s.nrows);
    assert_true(c->s.end > c->s.first);
    close_scene(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gradients), cmocka_unit_test(test_placeholder_reaches_its_rows), cmocka_unit_test(test_frozen_tables), cmocka_unit_test(test_undecided),
        cmocka_unit_test(test_cut_rows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
