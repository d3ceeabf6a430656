/* test_tape.c - the op context, judged by what must not depend on it: a small network run without a tape, with one, and with
 * checkpoints gives the same bytes; its gradients agree with central differences; a dry run predicts it to the byte. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "base/rng.h"
#include "nn/nn.h"
#include <cmocka.h> /* last: its macro fail() would hide base/error.h */

/* ---- a network: two streams, a vector that all blocks share, attention over both, LoRA, a map that leaves the block ---- */

enum { D = 8, HEADS = 2, HID = 12, NTXT = 3, NIMG = 5, ROWS = NTXT + NIMG, DEPTH = 4, RANK = 2, MAX_PARAMS = 64 };

typedef struct layer { weight mod, qkv, proj, up, down; adapter lora; vec qgain; } layer;
typedef struct net { layer layer[DEPTH]; weight head; int depth; } net;

/* All numbers of the network in one place, so that a test can walk them. */
static struct { float *p, *grad; int n; } params[MAX_PARAMS];
static int nparams;
static float store[16384], gradients[16384], inputs[1024], input_grads[1024];
static float *const X = inputs, *const VEC = inputs + 512, *const DX = input_grads, *const DVEC = input_grads + 512;
static float rope_cos[ROWS * D / HEADS / 2], rope_sin[ROWS * D / HEADS / 2], target[ROWS * D];

static const span txt_spans[] = { { 0, 2, 0 }, { 2, 1, 1 } }, img_spans[] = { { 0, 2, 0 }, { 2, 3, 1 } };
static const span joint_spans[] = { { 0, 2, 0 }, { 3, 2, 0 }, { 2, 1, 1 }, { 5, 3, 1 } };
static const layout txt_layout = { 2, 2, txt_spans }, img_layout = { 2, 2, img_spans }, joint_layout = { 2, 4, joint_spans };
static const route map_route = { 3, 1, 4, 2 };

static float *numbers(int n, rng *r, double size, float **grad)
{
    static int used;
    if (nparams == 0) used = 0;
    float *p = store + used, *g = gradients + used;
    params[nparams].p = p;
    params[nparams].grad = g;
    params[nparams++].n = n;
    used += n;
    assert_true(used <= 16384 && nparams <= MAX_PARAMS);
    for (int i = 0; i < n; i++) p[i] = (float)(size * rng_normal(r));
    *grad = g;
    return p;
}

static weight matrix(int in, int out, rng *r)
{
    weight w = { .name = "test", .in = in, .out = out, .kh = 1, .kw = 1, .nparts = 1, .part[0] = { .rows = out, .type = DT_F32 } };
    w.part[0].data = numbers(in * out, r, 0.4, &w.part[0].grad);
    w.part[0].bias = numbers(out, r, 0.1, &w.part[0].grad_bias);
    return w;
}

static void net_make(net *m, int depth)
{
    rng r = rng_new(7, 1);
    nparams = 0;
    m->depth = depth;
    for (int i = 0; i < depth; i++) {
        layer *l = &m->layer[i];
        l->mod = matrix(D, 3 * D, &r);
        l->qkv = matrix(D, 3 * D, &r);
        l->proj = matrix(D, D, &r);
        l->up = matrix(D, HID, &r);
        l->down = matrix(HID, D, &r);
        l->qgain = (vec){ .n = D / HEADS };
        l->qgain.p = numbers(l->qgain.n, &r, 1, &l->qgain.grad);
        l->lora = (adapter){ .row0 = 4, .rows = D, .rank = RANK, .scale = 0.7f };
        l->lora.A = numbers(RANK * D, &r, 0.5, &l->lora.grad_A);
        l->lora.B = numbers(D * RANK, &r, 0.5, &l->lora.grad_B);
        l->qkv.adapters = &l->lora;
    }
    m->head = matrix(D, D, &r);
    for (int i = 0; i < 1024; i++) inputs[i] = (float)rng_normal(&r);
    for (int i = 0; i < ROWS * D; i++) target[i] = (float)rng_normal(&r);
    for (int i = 0; i < ROWS * D / HEADS / 2; i++) {
        double a = rng_range(&r, -3, 3);
        rope_cos[i] = (float)cos(a);
        rope_sin[i] = (float)sin(a);
    }
}

typedef struct env { tensor vec; } env;
static int block_calls;

/* A block inside the block. */
typedef struct inner_env { tensor vec; const layout *rows; } inner_env;

static void inner_fn(nn *cx, const void *weights, tensor *io, int n, const void *environment)
{
    const layer *l = weights;
    const inner_env *e = environment;
    (void)n;
    /* the shared vector again, as a gate: late here, so early on the way back, when its gradient's memory is most in danger */
    io[0] = op_gateadd(cx, io[0], e->vec, op_linear(cx, op_gelu(cx, op_linear(cx, io[0], &l->up)), &l->down), *e->rows);
}

static void block_fn(nn *cx, const void *weights, tensor *io, int n, const void *environment)
{
    const layer *l = weights;
    const env *e = environment;
    const layout *rows[2] = { &txt_layout, &img_layout };
    rope pe = { .cos = rope_cos, .sin = rope_sin, .dim = D / HEADS / 2 };
    block_calls++;
    tensor o = op_linear(cx, e->vec, &l->mod);
    modulation m = { tensor_cols(o, 0, D), tensor_cols(o, D, D), tensor_cols(o, 2 * D, D) };
    tensor x = op_catrows(cx, op_adaln(cx, io[0], m, *rows[0]), op_adaln(cx, io[1], m, *rows[1]));
    tensor u = op_linear(cx, x, &l->qkv);
    tensor q = op_qknorm(cx, tensor_cols(u, 0, D), l->qgain, pe), k = op_qknorm(cx, tensor_cols(u, D, D), l->qgain, pe);
    tensor a = op_attention(cx, q, k, tensor_cols(u, 2 * D, D), joint_layout, (attention_opts){ .heads = HEADS });
    a = op_linear(cx, a, &l->proj);
    if (n > 2) io[2] = op_routemap(cx, q, k, &map_route, 1, HEADS);
    for (int s = 0; s < 2; s++) {
        io[s] = op_gateadd(cx, io[s], m.gate, tensor_rows(a, s ? NTXT : 0, s ? NIMG : NTXT), *rows[s]);
        nn_block(cx, inner_fn, l, &io[s], 1, &(inner_env){ e->vec, rows[s] });
    }
}

/* The whole step; out (NULL: not wanted) [ROWS, D] then one loss. */
static void net_run(nn *cx, const net *m, float *out)
{
    tensor x = tensor_leaf(cx, tensor_from(cx, ROWS, D, X)), vec = tensor_leaf(cx, tensor_from(cx, 2, D, VEC));
    env *e = nn_keep(cx, &(env){ vec }, sizeof *e);
    tensor io[3] = { tensor_rows(x, 0, NTXT), tensor_rows(x, NTXT, NIMG) }, loss = { 0 };
    for (int i = 0; i < m->depth; i++) {
        io[2] = tensor_from(cx, 1, 2, NULL);
        nn_block(cx, block_fn, &m->layer[i], io, 3, e);
        tensor l = op_mse(cx, io[2], tensor_from(cx, 1, 2, NULL), NULL);
        loss = i ? op_add(cx, loss, op_scale(cx, l, 0.3f)) : l;
    }
    tensor y = op_linear(cx, op_catrows(cx, io[0], io[1]), &m->head);
    loss = op_add(cx, loss, op_mse(cx, y, tensor_from(cx, ROWS, D, target), NULL));
    if (out) {
        tensor_read(cx, y, out);
        tensor_read(cx, loss, out + ROWS * D);
    }
    if (!nn_taping(cx)) return;
    nn_backward(cx, loss);
    tensor_read(cx, tensor_grad(cx, x), DX);
    tensor_read(cx, tensor_grad(cx, vec), DVEC);
}

enum { PLAIN, TAPED, CHECKPOINTED, MODES };
#define OUT (ROWS * D + 1)

static nn *open_mode(device *dev, int mode, size_t work, size_t keep, dreamo_error *err)
{
    nn_options o = { dev, work, keep, .taping = mode != PLAIN, .checkpoint = mode == CHECKPOINTED };
    return nn_new(&o, err);
}

static nn_counts run_mode(const backend *be, int threads, int mode, const net *m, float *out)
{
    device *dev = be->open(threads);
    nn *cx = open_mode(dev, mode, 1 << 20, 1 << 20, NULL);
    assert_non_null(cx);
    memset(gradients, 0, sizeof gradients);
    memset(input_grads, 0, sizeof input_grads);
    net_run(cx, m, out);
    dreamo_error err = { 0 };
    assert_int_equal(nn_status(cx, &err), DREAMO_OK);
    nn_counts c = nn_count(cx);
    nn_free(cx);
    be->close(dev);
    return c;
}

/* ---- the same bytes in every mode ---- */

static void same_bytes(const backend *be, int threads)
{
    static float first_gradients[16384], first_input_grads[1024];
    float out[MODES][OUT];
    net m;
    net_make(&m, DEPTH);
    run_mode(be, threads, PLAIN, &m, out[PLAIN]);
    run_mode(be, threads, TAPED, &m, out[TAPED]);
    memcpy(first_gradients, gradients, sizeof gradients);
    memcpy(first_input_grads, input_grads, sizeof input_grads);
    run_mode(be, threads, CHECKPOINTED, &m, out[CHECKPOINTED]);
    assert_memory_equal(out[PLAIN], out[TAPED], sizeof out[0]);
    assert_memory_equal(out[PLAIN], out[CHECKPOINTED], sizeof out[0]);
    assert_memory_equal(first_gradients, gradients, sizeof gradients);
    assert_memory_equal(first_input_grads, input_grads, sizeof input_grads);
    for (int i = 0; i < nparams; i++) { /* and none was forgotten */
        float sum = 0;
        for (int j = 0; j < params[i].n; j++) sum += fabsf(params[i].grad[j]);
        assert_true(sum > 0);
    }
}

static void test_same_bytes_on_ref(void **state) { (void)state; same_bytes(&backend_ref, 1); }
static void test_same_bytes_on_cpu(void **state) { (void)state; same_bytes(&backend_cpu, 1); same_bytes(&backend_cpu, 2); }

/* ---- gradients ---- */

/* Change of the loss when the n values at p move along the signs of their gradient, by central differences. */
static double slope(const net *m, float *p, const float *grad, int n)
{
    double eps = 4e-3 / sqrt(n), side[2];
    float *old = malloc((size_t)n * sizeof *old), out[OUT];
    memcpy(old, p, (size_t)n * sizeof *old);
    for (int s = 0; s < 2; s++) {
        for (int i = 0; i < n; i++) p[i] = (float)(old[i] + (s ? 1 : -1) * (grad[i] < 0 ? -eps : eps));
        run_mode(&backend_ref, 1, PLAIN, m, out);
        side[s] = out[ROWS * D];
    }
    memcpy(p, old, (size_t)n * sizeof *old);
    free(old);
    return (side[1] - side[0]) / (2 * eps);
}

static void agrees(const net *m, float *p, const float *grad, int n)
{
    static float kept[16384];
    double expected = 0;
    memcpy(kept, grad, (size_t)n * sizeof *kept); /* the runs clear gradients */
    for (int i = 0; i < n; i++) expected += fabs(kept[i]);
    double found = slope(m, p, kept, n);
    if (fabs(found - expected) > 1e-3 * fabs(expected) + 3e-4) fail_msg("slope %.8g, gradient says %.8g", found, expected);
}

static void test_gradients_agree_with_central_differences(void **state)
{
    static float all[16384], leaves[1024];
    net m;
    (void)state;
    net_make(&m, 2);
    run_mode(&backend_ref, 1, CHECKPOINTED, &m, NULL);
    memcpy(all, gradients, sizeof all);
    memcpy(leaves, input_grads, sizeof leaves);
    for (int i = 0; i < nparams; i++) agrees(&m, params[i].p, all + (params[i].grad - gradients), params[i].n);
    agrees(&m, X, leaves, ROWS * D);
    agrees(&m, VEC, leaves + 512, 2 * D); /* the vector that all blocks share */
}

static void test_gradients_of_views(void **state)
{
    device *dev = backend_ref.open(1);
    nn *cx = open_mode(dev, TAPED, 1 << 16, 1 << 16, NULL);
    float g[6 * 4];
    (void)state;
    tensor x = tensor_leaf(cx, tensor_from(cx, 6, 4, X)), zero = tensor_from(cx, 2, 2, NULL);
    tensor cut = tensor_cols(tensor_rows(x, 3, 2), 1, 2);
    nn_backward(cx, op_mse(cx, op_add(cx, cut, cut), zero, NULL)); /* mean (2x)^2: 8x / 4 */
    assert_true(nn_ok(cx));
    assert_null(tensor_grad(cx, zero).p);
    tensor_read(cx, tensor_grad(cx, x), g);
    for (int t = 0; t < 6; t++)
        for (int c = 0; c < 4; c++) {
            bool inside = (t == 3 || t == 4) && (c == 1 || c == 2);
            assert_float_equal(g[4 * t + c], inside ? 2 * X[4 * t + c] : 0, 1e-6);
        }
    tensor_read(cx, tensor_grad(cx, cut), g);
    assert_float_equal(g[3], 2 * X[4 * 4 + 2], 1e-6);
    nn_free(cx);
    backend_ref.close(dev);
}

/* x x and x + x: both inputs share one gradient buffer. */
static void test_the_same_tensor_twice(void **state)
{
    const backend *all[] = { &backend_ref, &backend_cpu };
    (void)state;
    for (int b = 0; b < 2; b++) {
        device *dev = all[b]->open(2);
        nn *cx = open_mode(dev, TAPED, 1 << 20, 1 << 20, NULL);
        float g[7 * 9];
        tensor x = tensor_leaf(cx, tensor_from(cx, 7, 9, X)), zero = tensor_from(cx, 7, 9, NULL);
        nn_backward(cx, op_mse(cx, op_mul(cx, x, x), zero, NULL)); /* mean x^4 */
        tensor_read(cx, tensor_grad(cx, x), g);
        assert_true(nn_ok(cx));
        for (int i = 0; i < 63; i++) assert_float_equal(g[i], 4 * X[i] * X[i] * X[i] / 63, 1e-5);
        nn_free(cx);
        all[b]->close(dev);
    }
}

/* ---- memory ---- */

static void test_dry_run_predicts_to_the_byte(void **state)
{
    net m;
    (void)state;
    net_make(&m, DEPTH);
    for (int mode = 0; mode < MODES; mode++) {
        nn_counts real = run_mode(&backend_ref, 1, mode, &m, NULL), dry = run_mode(&backend_dry, 1, mode, &m, NULL);
        assert_true(real.ops == dry.ops && real.flops == dry.flops && real.bytes == dry.bytes);
        assert_int_equal(real.work_peak, dry.work_peak);
        assert_int_equal(real.keep_peak, dry.keep_peak);
        assert_true(dry.ops > 0 && dry.flops > 0);
        /* exactly that much is enough, a tensor less is not */
        for (int less = 0; less < 3; less++) {
            device *dev = backend_ref.open(1);
            bool enough = !less || (less == 2 && !dry.keep_peak);
            nn *cx = open_mode(dev, mode, dry.work_peak - (less == 1 ? ARENA_ALIGN : 0),
                               dry.keep_peak - (!enough && less == 2 ? ARENA_ALIGN : 0), NULL);
            net_run(cx, &m, NULL);
            assert_int_equal(nn_status(cx, NULL), enough ? DREAMO_OK : DREAMO_MEMORY);
            nn_free(cx);
            backend_ref.close(dev);
        }
    }
}

/* Counted by hand: a linear of 3 x 8 -> 24 with an adapter of rank 2 on 8 rows. */
static void test_flops_of_a_linear(void **state)
{
    net m;
    (void)state;
    net_make(&m, 1);
    device *dev = backend_dry.open(1);
    nn *cx = open_mode(dev, TAPED, 0, 0, NULL);
    tensor y = op_linear(cx, tensor_from(cx, 3, D, NULL), &m.layer[0].qkv);
    double forward = 2 * 3 * (8 * 24 + 2 * (8 + 8));
    assert_true(nn_count(cx).flops == forward);
    assert_true(nn_count(cx).bytes == 4 * (3 * 8 + 3 * 24 + 8 * 24 + 2 * (8 + 8)));
    nn_backward(cx, op_mse(cx, y, tensor_from(cx, 3, 24, NULL), NULL));
    /* x wants no gradient: dW; of the adapter dlow, dA, dB */
    assert_true(nn_count(cx).flops == forward + 2 * 3 * (8 * 24 + 2 * (8 + 8 + 8)));
    assert_true(nn_ok(cx));
    nn_free(cx);
    backend_dry.close(dev);
}

/* A block more costs its kept outputs and nothing else: gradients of the streams are recycled. */
static void test_depth_costs_only_what_is_kept(void **state)
{
    net m;
    nn_counts c[MODES][DEPTH + 1];
    (void)state;
    net_make(&m, DEPTH);
    for (int mode = 0; mode < MODES; mode++)
        for (m.depth = 2; m.depth <= DEPTH; m.depth++) c[mode][m.depth] = run_mode(&backend_dry, 1, mode, &m, NULL);
    size_t streams = (NTXT * D * 4 + 63) / 64 * 64 + (NIMG * D * 4 + 63) / 64 * 64, map = 64;
    assert_int_equal(c[CHECKPOINTED][4].keep_peak - c[CHECKPOINTED][3].keep_peak, streams + map);
    assert_int_equal(c[TAPED][4].keep_peak, c[TAPED][3].keep_peak);
    assert_int_equal(c[PLAIN][4].keep_peak, 0);
    assert_true(c[CHECKPOINTED][4].work_peak < c[TAPED][4].work_peak);
}

static void test_addresses_repeat(void **state)
{
    net m;
    device *dev = backend_ref.open(1);
    nn *cx = open_mode(dev, CHECKPOINTED, 1 << 20, 1 << 20, NULL);
    (void)state;
    net_make(&m, 2);
    net_run(cx, &m, NULL);
    nn_counts first = nn_count(cx);
    tensor a = tensor_new(cx, 2, 2);
    nn_reset(cx);
    net_run(cx, &m, NULL);
    nn_counts second = nn_count(cx);
    tensor b = tensor_new(cx, 2, 2);
    assert_ptr_equal(a.p, b.p);
    assert_memory_equal(&first, &second, sizeof first);
    nn_free(cx);
    backend_ref.close(dev);
}

/* ---- what nobody trains is not run again ---- */

static void frozen_fn(nn *cx, const void *weights, tensor *io, int n, const void *environment)
{
    (void)n, (void)environment;
    block_calls++;
    io[0] = op_add(cx, io[0], op_linear(cx, io[0], weights));
}

static void test_frozen_blocks_run_once(void **state)
{
    net m;
    device *dev = backend_ref.open(1);
    (void)state;
    net_make(&m, 1);
    weight frozen = m.layer[0].proj;
    frozen.part[0].grad = frozen.part[0].grad_bias = NULL;
    for (int trained = 0; trained < 2; trained++) {
        nn *cx = open_mode(dev, CHECKPOINTED, 1 << 16, 1 << 16, NULL);
        tensor x = tensor_from(cx, NIMG, D, X);
        block_calls = 0;
        nn_block(cx, frozen_fn, trained ? &m.layer[0].proj : &frozen, &x, 1, NULL);
        nn_block(cx, frozen_fn, &frozen, &x, 1, NULL);
        assert_int_equal(x.slot != 0, trained);
        nn_backward(cx, op_mse(cx, op_linear(cx, x, &m.head), tensor_from(cx, NIMG, D, target), NULL));
        assert_int_equal(block_calls, trained ? 4 : 2);
        assert_true(nn_ok(cx));
        nn_free(cx);
    }
    backend_ref.close(dev);
}

/* ---- failures ---- */

static void bad_fn(nn *cx, const void *weights, tensor *io, int n, const void *environment)
{
    (void)n, (void)environment, (void)cx, (void)weights;
    io[0] = tensor_rows(io[0], 0, 1);
}

static void note(void *user, bool back)
{
    char *said = user;
    said[strlen(said)] = back ? 'b' : 'f';
}

/* A table of two parts of which the second trains: the way back reaches it, and a turn after it, only when one of its rows is looked up. */
static void test_a_table_that_is_not_asked(void **state)
{
    (void)state;
    static const int32_t first[2] = { 0, 1 }, second[2] = { 0, 3 };
    static const float data[4 * D] = { 1 };
    float grad[2 * D], ones[2 * D];
    for (int i = 0; i < 2 * D; i++) ones[i] = 1;
    for (int i = 0; i < 4; i++) {
        bool taping = i & 1, asked = i & 2;
        char said[4] = "";
        weight table = { .name = "table", .in = D, .out = 4, .kh = 1, .kw = 1, .nparts = 2,
                         .part = { { .rows = 2, .type = DT_F32, .data = data }, { .rows = 2, .type = DT_F32, .data = data + 2 * D, .grad = grad } } };
        memset(grad, 0, sizeof grad);
        device *dev = backend_ref.open(1);
        nn *cx = nn_new(&(nn_options){ .dev = dev, .work_nbytes = 1 << 16, .keep_nbytes = 1 << 16, .taping = taping }, NULL);
        tensor x = op_embed(cx, asked ? second : first, 2, &table);
        nn_turn(cx, x, note, said);
        tensor loss = op_mse(cx, op_scale(cx, x, 2), tensor_from(cx, 2, D, ones), NULL);
        if (taping) nn_backward(cx, loss);
        assert_true(nn_ok(cx));
        assert_string_equal(said, taping && asked ? "fb" : "f");
        for (int k = 0; k < 2 * D; k++) assert_true((grad[k] != 0) == (taping && asked && k >= D)); /* row 3 is the part's second */
        nn_free(cx);
        backend_ref.close(dev);
    }
}

static void test_the_first_failure_sticks(void **state)
{
    net m;
    dreamo_error err = { 0 };
    device *dev = backend_ref.open(1);
    nn *cx = open_mode(dev, TAPED, 1 << 16, 1 << 16, NULL);
    (void)state;
    net_make(&m, 1);
    m.head.name = "time_text_embed.linear_1";
    tensor x = tensor_leaf(cx, tensor_from(cx, 3, 5, X));
    tensor y = op_linear(cx, x, &m.head);
    assert_null(y.p);
    assert_int_equal(nn_status(cx, &err), DREAMO_BUG);
    assert_string_equal(err.message, "linear time_text_embed.linear_1: x has 5 columns, the weight takes 8 (1 x 1 taps)");
    int64_t ops = nn_count(cx).ops;
    assert_null(op_gelu(cx, y).p); /* everything after it is silent */
    assert_null(op_add(cx, x, x).p);
    assert_null(tensor_new(cx, 1, 1).p);
    nn_block(cx, block_fn, &m.layer[0], &y, 1, NULL);
    nn_backward(cx, y);
    assert_null(tensor_grad(cx, x).p);
    nn_fail(cx, DREAMO_IO, "later");
    assert_int_equal(nn_status(cx, NULL), DREAMO_BUG);
    assert_int_equal(nn_count(cx).ops, ops);
    nn_reset(cx);
    assert_int_equal(nn_status(cx, NULL), DREAMO_OK);

    x = tensor_leaf(cx, tensor_from(cx, 2, 8, X));
    tensor loss = op_mse(cx, x, tensor_from(cx, 2, 8, NULL), NULL);
    nn_backward(cx, loss);
    assert_true(nn_ok(cx));
    nn_backward(cx, loss);
    assert_int_equal(nn_status(cx, NULL), DREAMO_BUG);

    for (int mode = 0; mode < MODES; mode++) {
        nn *other = open_mode(dev, mode, 1 << 16, 1 << 16, NULL);
        tensor z = tensor_from(other, 3, 8, X);
        err = (dreamo_error){ 0 };
        nn_block(other, bad_fn, NULL, &z, 1, NULL);
        assert_int_equal(nn_status(other, &err), DREAMO_BUG);
        assert_string_equal(err.message, "a block made 1 x 8 of its tensor 0, which was 3 x 8");
        nn_free(other);
    }
    nn_free(cx);
    backend_ref.close(dev);
}

static void test_every_allocation_may_fail(void **state)
{
    const backend *all[] = { &backend_ref, &backend_cpu };
    float out[OUT], expected[OUT];
    net m;
    (void)state;
    net_make(&m, DEPTH);
    for (int b = 0; b < 2; b++)
        for (int mode = 0; mode < MODES; mode++) {
            run_mode(all[b], 1, mode, &m, expected);
            bool done = false;
            for (long nth = 1; !done; nth++) {
                size_t live = mem_live();
                mem_fail_at(nth);
                device *dev = all[b]->open(1);
                dreamo_error err = { 0 };
                nn *cx = dev ? open_mode(dev, mode, 1 << 20, 1 << 20, &err) : NULL;
                if (cx) {
                    net_run(cx, &m, out);
                    nn_status(cx, &err);
                    done = nn_ok(cx);
                    nn_free(cx);
                }
                mem_fail_at(0);
                if (dev) all[b]->close(dev);
                if (!done && dev) assert_int_equal(err.status, DREAMO_MEMORY);
                assert_int_equal(mem_live(), live);
                assert_true(nth < 1000);
            }
            assert_memory_equal(out, expected, sizeof out);
        }
}

static void test_every_arena_may_be_full(void **state)
{
    net m;
    device *dev = backend_ref.open(1);
    (void)state;
    net_make(&m, 2);
    for (int mode = 0; mode < MODES; mode++) {
        nn_counts need = run_mode(&backend_dry, 1, mode, &m, NULL);
        for (int which = 0; which < 2; which++)
            for (size_t have = 0; have < (which ? need.keep_peak : need.work_peak); have += ARENA_ALIGN) {
                nn *cx = open_mode(dev, mode, which ? need.work_peak : have, which ? have : need.keep_peak, NULL);
                net_run(cx, &m, NULL);
                /* an arena of no bytes still has one unit */
                if (have > 0) assert_int_equal(nn_status(cx, NULL), DREAMO_MEMORY);
                nn_free(cx);
            }
    }
    backend_ref.close(dev);
}

static void test_backends_by_name(void **state)
{
    (void)state;
    assert_ptr_equal(backend_find("ref"), &backend_ref);
    assert_ptr_equal(backend_find("cpu"), &backend_cpu);
    assert_ptr_equal(backend_find("dry"), &backend_dry);
    assert_null(backend_find("CPU"));
    assert_null(backend_find(""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_bytes_on_ref),
        cmocka_unit_test(test_same_bytes_on_cpu),
        cmocka_unit_test(test_gradients_agree_with_central_differences),
        cmocka_unit_test(test_gradients_of_views),
        cmocka_unit_test(test_the_same_tensor_twice),
        cmocka_unit_test(test_dry_run_predicts_to_the_byte),
        cmocka_unit_test(test_flops_of_a_linear),
        cmocka_unit_test(test_depth_costs_only_what_is_kept),
        cmocka_unit_test(test_addresses_repeat),
        cmocka_unit_test(test_frozen_blocks_run_once),
        cmocka_unit_test(test_a_table_that_is_not_asked),
        cmocka_unit_test(test_the_first_failure_sticks),
        cmocka_unit_test(test_every_allocation_may_fail),
        cmocka_unit_test(test_every_arena_may_be_full),
        cmocka_unit_test(test_backends_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
