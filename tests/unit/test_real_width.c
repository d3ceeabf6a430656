/* test_real_width.c - the four networks at FLUX.1-dev's real widths against the official libraries.
 *
 * Weights and inputs are made from their names (no file could hold them here); outputs in tests/data were computed by the official
 * code in fp32.  The transformer has 1 + 1 blocks and T5 two, the autoencoder and CLIP are whole. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "format/image_file.h"
#include "format/safetensors.h"
#include "model/clip.h"
#include "model/dit.h"
#include "model/t5.h"
#include "model/vae.h"
#include "named_weights.h"

/* cmocka comes last: it has a macro called fail. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

/* Relative L2.  T5's scores are not scaled: with random weights they reach into the tens, and the softmax amplifies fp32 rounding. */
#define LIMIT 1e-5
#define LIMIT_T5 5e-5

/* ---- weights from names ---- */

typedef struct made { float *p[2000]; int n; } made;

static void make(void *user, const param *p)
{
    made *m = user;
    size_t n = (size_t)param_count(p);
    float *data = mem_aligned(n * sizeof *data);
    assert_non_null(data);
    m->p[m->n++] = data;
    fill_param(dev->threads, data, p);
    if (p->w) {
        p->w->part[p->part].type = DT_F32;
        p->w->part[p->part].data = data;
    } else {
        *p->fp32 = data;
    }
}

static void unmake(made *m)
{
    for (int i = 0; i < m->n; i++) mem_free(m->p[i]);
    m->n = 0;
}

/* ---- comparing ---- */

static const st_tensor *stored(const char *name)
{
    const st_tensor *t = st_find(&want, name);
    assert_non_null(t);
    return t;
}

static void compare(const char *name, const float *got, double limit)
{
    const st_tensor *t = stored(name);
    double error = 0, norm = 0;
    const float *w = t->data;
    for (size_t i = 0; i < t->count; i++) {
        error += ((double)got[i] - w[i]) * ((double)got[i] - w[i]);
        norm += (double)w[i] * w[i];
    }
    error = sqrt(error / norm);
    print_message("    %s: error %.1e\n", name, error);
    assert_true(error < limit);
}

/* [pixels, channels] to the stored [channels, height, width]. */
static float *planes(nn *cx, tensor x)
{
    float *packed = mem_alloc((size_t)x.rows * (size_t)x.cols * 4), *out = mem_alloc((size_t)x.rows * (size_t)x.cols * 4);
    assert_true(packed && out);
    tensor_read(cx, x, packed);
    for (int p = 0; p < x.rows; p++)
        for (int c = 0; c < x.cols; c++) out[c * x.rows + p] = packed[p * x.cols + c];
    mem_free(packed);
    return out;
}

static nn *context(size_t nbytes)
{
    nn *cx = nn_new(&(nn_options){ .dev = dev, .work_nbytes = nbytes, .keep_nbytes = 1 << 20 }, NULL);
    assert_non_null(cx);
    return cx;
}

static void check_ok(nn *cx)
{
    dreamo_error err = { 0 };
    if (nn_status(cx, &err)) fail_msg("%s", err.message);
}

/* ---- the networks ---- */

static void test_vae(void **state)
{
    vae_config c = { .image_channels = 3, .latent_channels = 16, .levels = 4, .channels = { 128, 256, 512, 512 }, .layers = 2, .groups = 32, .mid_attention = true };
    vae *m = vae_new(&c);
    made w = { 0 };
    bitmap toy;
    enum { H = 64, W = 48, Z = 16 };
    static float x[H * W * 3], z[8 * 6 * Z], values[Z * 8 * 6];
    (void)state;
    vae_visit(m, make, &w);
    assert_int_equal(image_read(TEST_DATA "/toy.png", &toy, NULL, 0, NULL), DREAMO_OK);
    for (int p = 0; p < H * W; p++)
        for (int k = 0; k < 3; k++) x[3 * p + k] = 2 * ((float)toy.data[(p / W * toy.width + p % W) * toy.channels + k] / 255) - 1;
    fill(dev->threads, values, Z * 8 * 6, "vae.z", sqrt(3), 0);
    for (int p = 0; p < 8 * 6; p++)
        for (int k = 0; k < Z; k++) z[p * Z + k] = values[k * 8 * 6 + p];

    nn *cx = context((size_t)1 << 30);
    tensor moments = vae_encode(cx, m, tensor_from(cx, H * W, 3, x), (grid){ 1, H, W });
    float *mean = planes(cx, tensor_cols(moments, 0, Z)), *logvar = planes(cx, tensor_cols(moments, Z, Z));
    tensor picture = vae_decode(cx, m, tensor_from(cx, 8 * 6, Z, z), (grid){ 1, 8, 6 });
    float *decoded = planes(cx, picture);
    check_ok(cx);
    compare("vae.mean", mean, LIMIT);
    compare("vae.logvar", logvar, LIMIT);
    compare("vae.decoded", decoded, LIMIT);
    mem_free(mean);
    mem_free(logvar);
    mem_free(decoded);
    nn_free(cx);
    bitmap_free(&toy);
    unmake(&w);
    vae_free(m);
}

static void test_clip(void **state)
{
    clip_config c = { .layers = 12, .width = 768, .heads = 12, .ff = 3072, .vocab = 49408, .positions = 77, .eps = 1e-5f, .quick_gelu = true };
    clip *m = clip_new(&c);
    made w = { 0 };
    const int32_t *ids = stored("clip.ids")->data;
    static float pooled[768];
    int end = 0;
    (void)state;
    clip_visit(m, make, &w);
    while (ids[end] != 49407) end++;
    nn *cx = context((size_t)256 << 20);
    span s = { 0, 77, 0 };
    tensor y = clip_encode(cx, m, ids, (layout){ 1, 1, &s }, &end);
    tensor_read(cx, y, pooled);
    check_ok(cx);
    compare("clip.pooled", pooled, LIMIT);
    nn_free(cx);
    unmake(&w);
    clip_free(m);
}

static void test_t5(void **state)
{
    t5_config c = { .layers = 2, .width = 4096, .heads = 64, .head_dim = 64, .ff = 10240, .vocab = 32128, .buckets = 32, .max_distance = 128, .eps = 1e-6f, .gated = true };
    t5 *m = t5_new(&c);
    made w = { 0 };
    static float every[2079];
    float *y = mem_alloc((size_t)512 * 4096 * 4);
    (void)state;
    t5_visit(m, make, &w);
    nn *cx = context((size_t)512 << 20);
    span s = { 0, 512, 0 };
    tensor out = t5_encode(cx, m, stored("t5.ids")->data, (layout){ 1, 1, &s });
    tensor_read(cx, out, y);
    check_ok(cx);
    for (size_t i = 0; i < 2079; i++) every[i] = y[i * 1009];
    compare("t5.every", every, LIMIT_T5);
    compare("t5.first16", y, LIMIT_T5);
    mem_free(y);
    nn_free(cx);
    unmake(&w);
    t5_free(m);
}

static tensor made_tensor(nn *cx, int rows, int cols, const char *name, double factor)
{
    float *v = mem_alloc((size_t)rows * (size_t)cols * 4);
    fill(dev->threads, v, (size_t)rows * (size_t)cols, name, factor * sqrt(3), 0);
    tensor x = tensor_from(cx, rows, cols, v);
    mem_free(v);
    return x;
}

static void test_dit(void **state)
{
    dit_config c = { .layers = 1, .single_layers = 1, .heads = 24, .head_dim = 128, .in_channels = 64, .out_channels = 64, .text_dim = 4096,
                     .pooled_dim = 768, .rope_axes = { 16, 56, 56 }, .guidance = true };
    enum { TEXT = 512, IMAGE = 36 };
    dit *m = dit_new(&c);
    made w = { 0 };
    static float v[IMAGE * 64], time[256], guidance[256], cos_table[(TEXT + IMAGE) * 64], sin_table[(TEXT + IMAGE) * 64];
    static int32_t pos[TEXT + IMAGE][3];
    const float *ids = stored("dit.img_ids")->data;
    (void)state;
    dit_visit(m, make, &w);
    for (int i = 0; i < IMAGE * 3; i++) pos[TEXT + i / 3][i % 3] = (int32_t)ids[i];
    dit_rope(&c, (const int32_t (*)[3])pos, TEXT + IMAGE, cos_table, sin_table);
    dit_sinusoid(625, time);
    dit_sinusoid(3500, guidance);
    nn *cx = context((size_t)512 << 20);
    span txt = { 0, TEXT, 0 }, img = { 0, IMAGE, 0 }, joint[2] = { { 0, TEXT, 0 }, { TEXT, IMAGE, 0 } };
    dit_batch b = {
        .tokens = made_tensor(cx, IMAGE, 64, "dit.tokens", 1), .text = made_tensor(cx, TEXT, 4096, "dit.context", 0.3),
        .pooled = made_tensor(cx, 1, 768, "dit.pooled", 1), .cond = made_tensor(cx, IMAGE, 3072, "dit.cond", 0.5),
        .time = tensor_from(cx, 1, 256, time), .guidance = tensor_from(cx, 1, 256, guidance),
        .txt = { 1, 1, &txt }, .img = { 1, 1, &img }, .joint = { 1, 2, joint }, .pe = { .cos = cos_table, .sin = sin_table, .dim = 64 },
    };
    tensor y = dit_forward(cx, m, &b);
    tensor_read(cx, y, v);
    check_ok(cx);
    compare("dit.v", v, LIMIT);
    nn_free(cx);
    unmake(&w);
    dit_free(m);
}

static int setup(void **state)
{
    (void)state;
    return numbers_open(TEST_DATA "/real-width.safetensors");
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_vae), cmocka_unit_test(test_clip), cmocka_unit_test(test_t5), cmocka_unit_test(test_dit) };
    return cmocka_run_group_tests(tests, setup, numbers_close);
}
