/* test_flux_train.c - DreamO's adapter stage at FLUX.1-dev's real widths against the official modules' autograd.
 *
 * 1 + 2 blocks of width 3072, T5 with one block of 4096, CLIP with one layer, LoRA of rank 128 on attention, two references: the losses
 * and gradients that tests/oracle/flux_train.py got from diffusers, peft and DreamO's forward, from bases in fp32, bf16, Q8_0 and Q4_0.
 * Of each gradient: its length, and 64 numbers (rows of tables one by one).  Weights are made from names. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "base/mem.h"
#include "format/safetensors.h"
#include "train/stages/adapter_set.h"
#include "train/flow/flow_loss.h"
#include "train/stages/sized.h"
#include "named_weights.h"

/* cmocka comes last: it has a macro called fail. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

enum { RANK = 128, FIRST_ADDED = 64, TEXT = 8, CLIP = 5, NOISE = 16, REF_ROWS = 6, SAMPLE = 64, TENSORS = 200 };

/* Relative L2 of losses, velocities and gradients. */
#define LIMIT 5e-5

/* ---- the networks ---- */

typedef struct made { void *p[TENSORS]; int n; dtype type; } made;

typedef struct encoding { dtype type; const float *from; char *to; size_t n; } encoding;

static void encode_piece(void *arg, int task, int worker)
{
    const encoding *e = arg;
    size_t at = (size_t)task * FILL_PIECE, n = at + FILL_PIECE < e->n ? FILL_PIECE : e->n - at;
    (void)worker;
    dtype_from_f32(e->type, e->from + at, n, e->to + dtype_nbytes_of(e->type, at));
}

/* Matrices of the type that is asked for, vectors and the position table plain. */
static void make(void *user, const param *p)
{
    made *m = user;
    size_t n = (size_t)param_count(p);
    bool matrix = p->w && p->rank == 2 && !strstr(p->name, "relative_attention_bias");
    float *data = mem_aligned(n * sizeof *data);
    assert_true(data && m->n < TENSORS);
    fill_param(dev->threads, data, p);
    m->p[m->n++] = data;
    if (matrix && m->type != DT_F32) {
        encoding e = { m->type, data, mem_aligned(dtype_nbytes_of(m->type, n)), n };
        assert_non_null(e.to);
        pool_run(dev->threads, (int)((n + FILL_PIECE - 1) / FILL_PIECE), encode_piece, &e);
        mem_free(data);
        m->p[m->n - 1] = e.to;
    }
    if (p->w) {
        p->w->part[p->part].type = matrix ? m->type : DT_F32;
        p->w->part[p->part].data = m->p[m->n - 1];
    } else {
        *p->fp32 = data;
    }
}

typedef struct scene {
    dit *dit;
    t5 *t5;
    clip *clip;
    made weights;
    params p;
    adapter_set set;
    flow_batch b;
    const char *type, *which;
    flow_out out;
    double loss;
    float v[NOISE * 64], text[TEXT * 4096], pooled[768];
} scene;

static scene s; /* its blocks run again on the way back */

static void open_networks(dtype type)
{
    const dit_config dit = { .layers = 1, .single_layers = 2, .heads = 24, .head_dim = 128, .in_channels = 64, .out_channels = 64, .text_dim = 4096,
                             .pooled_dim = 768, .rope_axes = { 16, 56, 56 }, .guidance = true };
    const t5_config t5 = { .layers = 1, .width = 4096, .heads = 64, .head_dim = 64, .ff = 10240, .vocab = 80, .buckets = 32, .max_distance = 128,
                           .eps = 1e-6f, .gated = true };
    const clip_config clip = { .layers = 1, .width = 768, .heads = 12, .ff = 3072, .vocab = 40, .positions = 16, .eps = 1e-5f, .quick_gelu = true };
    s = (scene){ .dit = dit_new(&dit), .t5 = t5_new(&t5), .clip = clip_new(&clip), .weights.type = type };
    dit_visit(s.dit, make, &s.weights);
    t5_visit(s.t5, make, &s.weights);
    s.weights.type = DT_F32;
    clip_visit(s.clip, make, &s.weights);
}

static void open_adapter(void)
{
    dreamo_error err = { 0 };
    assert_int_equal(adapter_set_fresh(&s.set, &s.p, s.dit, RANK, s.t5, FIRST_ADDED, &err), DREAMO_OK);
    assert_int_equal(params_allocate(&s.p, false, &err), DREAMO_OK);
    assert_int_equal(adapter_set_attach(&s.set, &s.p, NULL, 1, s.t5, true, &err), DREAMO_OK);
    for (int i = 0; i < s.p.n; i++) {
        const param_slot *t = &s.p.slot[i];
        fill(dev->threads, s.p.value + t->at, t->count, t->name, sqrt(3.0 / (double)t->shape[1]), 0);
    }
}

static void fill_batch(void)
{
    static const int32_t t5_ids[TEXT] = { 3, 17, FIRST_ADDED + 1, 5, 9, FIRST_ADDED, 77, 1 }, clip_ids[CLIP] = { 3, 8, 21, 5, 39 };
    flow_batch *b = &s.b;
    assert_int_equal(flow_batch_new(b, &s.dit->config, 1, NULL), DREAMO_OK);
    b->sample[0] = (condition_sample){ .out = { 4, 4 }, .nrefs = 2, .ref = { { 2, 3 }, { 3, 2 } }, .slot = { 2, 1 } };
    b->text[0] = (flow_text){ TEXT, CLIP };
    b->masked[0] = 3;
    b->words[0] = (flow_words){ true, { 2, 5 } };
    assert_int_equal(flow_batch_shape(b, &s.dit->config, 1, NULL), DREAMO_OK);
    assert_int_equal(b->image_rows, NOISE + 2 * REF_ROWS);
    memcpy(b->t5_ids, t5_ids, sizeof t5_ids);
    memcpy(b->clip_ids, clip_ids, sizeof clip_ids);
    b->sigma[0] = 0.625f;
    b->guidance[0] = 1;
    fill(NULL, b->clean, (size_t)(b->image_rows * 64), "train.clean", sqrt(3), 0);
    fill(NULL, b->noise, NOISE * 64, "train.noise", sqrt(3), 0);
    fill(NULL, b->mask, 2 * NOISE, "train.mask", 0.5, 0.5);
    flow_batch_mix(b);
}

static void close_scene(void)
{
    flow_batch_free(&s.b);
    adapter_set_free(&s.set);
    params_free(&s.p);
    for (int i = 0; i < s.weights.n; i++) mem_free(s.weights.p[i]);
    dit_free(s.dit);
    t5_free(s.t5);
    clip_free(s.clip);
}

/* ---- comparing ---- */

static const st_tensor *stored(const char *name)
{
    const st_tensor *t = st_find(&want, name);
    if (!t) fail_msg("%s is not stored", name);
    return t;
}

/* Every step-th number of `got`. */
static double error_of(const char *name, const float *got, size_t step)
{
    const st_tensor *t = stored(name);
    const float *w = t->data;
    double error = 0, size = 0;
    for (size_t i = 0; i < t->count; i++) {
        error += ((double)got[i * step] - w[i]) * ((double)got[i * step] - w[i]);
        size += (double)w[i] * w[i];
    }
    return size > 0 ? sqrt(error / size) : sqrt(error);
}

static double worst;

static void compare(const char *name, const float *got, size_t step)
{
    double error = error_of(name, got, step);
    worst = fmax(worst, error);
    if (!(error <= LIMIT)) fail_msg("%s: relative error %g", name, error);
}

static double length(const float *x, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += (double)x[i] * x[i];
    return sqrt(sum);
}

/* Rows of a table that took part, one by one; the others have no gradient. */
static void compare_rows(const char *name, const float *grad, const param_slot *t, int first)
{
    int64_t width = t->shape[1];
    for (int row = 0; row < t->shape[0]; row++) {
        char at[320];
        snprintf(at, sizeof at, "%s.%d", name, row);
        if (row >= first && row < first + 2) compare(at, grad + row * width, (size_t)(width / SAMPLE));
        else if (length(grad + row * width, (size_t)width) > 0) fail_msg("%s has a gradient", at);
    }
}

static void compare_gradients(void)
{
    for (int i = 0; i < s.p.n; i++) {
        const param_slot *t = &s.p.slot[i];
        const float *grad = s.p.grad + t->at;
        char name[256], norm[320];
        snprintf(name, sizeof name, "%s.%s.%s", s.type, s.which, t->name);
        snprintf(norm, sizeof norm, "%s.norm", name);
        float got = (float)length(grad, t->count);
        compare(norm, &got, 1);
        if (i == s.set.task_slot || i == s.set.t5_slot) compare_rows(name, grad, t, 0);
        else if (i == s.set.idx_slot) compare_rows(name, grad, t, 1);
        else compare(name, grad, t->count / SAMPLE | 1);
    }
}

/* ---- running ---- */

static void pass(nn *cx, void *job)
{
    flow_model m = { .dit = s.dit, .t5 = s.t5, .clip = s.clip, .task = &s.set.task, .idx = &s.set.idx };
    (void)job;
    flow_forward(cx, &m, &s.b, (flow_wishes){ .routes = true, .holders = true }, &s.out);
    const flow_out *o = &s.out;
    tensor all = op_add(cx, op_add(cx, o->diff, o->route), op_scale(cx, o->holder, 0.1f));
    tensor loss = s.which[0] == 'd' ? o->diff : s.which[0] == 'r' ? o->route : s.which[0] == 'h' ? o->holder : all;
    if (!nn_ok(cx)) return;
    nn_backward(cx, loss);
    float value;
    tensor_read(cx, loss, &value);
    tensor_read(cx, tensor_rows(o->velocity, 0, NOISE), s.v);
    tensor_read(cx, o->text, s.text);
    tensor_read(cx, o->pooled, s.pooled);
    s.loss = value;
}

static void check(const char *which, bool checkpoint)
{
    dreamo_error err = { 0 };
    char name[64];
    s.which = which;
    worst = 0;
    params_zero_grad(&s.p, dev->threads);
    if (sized_run(dev, true, checkpoint, pass, NULL, &err)) fail_msg("%s", err.message);
    float loss = (float)s.loss;
    snprintf(name, sizeof name, "%s.loss.%s", s.type, which);
    compare(name, &loss, 1);
    snprintf(name, sizeof name, "%s.v", s.type);
    compare(name, s.v, 7);
    compare_gradients();
    print_message("    %s, %s%s: worst error %.1e\n", s.type, which, checkpoint ? ", blocks run again" : "", worst);
}

static void open_scene(dtype type, const char *name)
{
    open_networks(type);
    open_adapter();
    fill_batch();
    s.type = name;
}

static void test_plain(void **state)
{
    (void)state;
    open_scene(DT_F32, "f32");
    check("diff", false);
    compare("f32.text", s.text, 257);
    compare("f32.pooled", s.pooled, 7);
    check("route", false);
    check("holder", false);
    check("all", true);
    close_scene();
}

/* The base computed from as it is stored: as from the same numbers decoded. */
static void test_bf16(void **state)
{
    (void)state;
    open_scene(DT_BF16, "bf16");
    check("all", false);
    close_scene();
}

static void test_q8(void **state)
{
    (void)state;
    open_scene(DT_Q8_0, "q8_0");
    check("all", false);
    close_scene();
}

static void test_q4(void **state)
{
    (void)state;
    open_scene(DT_Q4_0, "q4_0");
    check("all", true);
    close_scene();
}

static int setup(void **state)
{
    (void)state;
    return numbers_open(TEST_DATA "/flux-train.safetensors");
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_plain), cmocka_unit_test(test_bf16), cmocka_unit_test(test_q8), cmocka_unit_test(test_q4) };
    return cmocka_run_group_tests(tests, setup, numbers_close);
}
