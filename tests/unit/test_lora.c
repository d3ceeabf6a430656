/* test_lora.c - every naming of LoRA files against the weights that the official loader fused.
 *
 * The merged weight is computed here from what lora_open attached: W + sum of scale B A in double.  The fused-* files hold what
 * diffusers and peft made of the same LoRAs. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "format/safetensors.h"
#include "weights/bind.h"
#include "weights/config.h"
#include "weights/lora.h"
#include "weights/lora/write.h"
#include "weights/lora/merge.h"

/* cmocka comes last: it has a macro called fail. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#define LORA TEST_DATA "/lora/tiny/"

static const dit_config tiny = { .layers = 2, .single_layers = 2, .heads = 2, .head_dim = 16, .in_channels = 64, .out_channels = 64,
                                 .text_dim = 32, .pooled_dim = 24, .rope_axes = { 4, 6, 6 }, .guidance = true };
enum { TEXT_WIDTH = 32 };

/* ---- a transformer whose matrices come from the file ---- */

static void bind_matrix(void *user, const param *p)
{
    st_tensor *t = p->w ? st_set_find(user, p->name) : NULL;
    if (!p->w) return;
    assert_non_null(t);
    assert_int_equal(t->count, param_count(p));
    p->w->part[p->part].type = t->type;
    p->w->part[p->part].data = t->data;
}

static dit *open_tiny(st_set *files)
{
    dreamo_error err = { 0 };
    assert_int_equal(st_set_open(TEST_DATA "/models/tiny/transformer", "diffusion_pytorch_model", files, &err), DREAMO_OK);
    dit *m = dit_new(&tiny);
    assert_non_null(m);
    dit_visit(m, bind_matrix, files);
    return m;
}

/* ---- merging ---- */

static int first_row(const weight *w, int part)
{
    int row = 0;
    for (int i = 0; i < part; i++) row += w->part[i].rows;
    return row;
}

/* Rows [row0, row0 + rows) of w with all adapters added. */
static void merge(const weight *w, int part, double *out)
{
    int row0 = first_row(w, part), rows = w->part[part].rows, in = w->in;
    float *base = mem_alloc((size_t)rows * (size_t)in * sizeof *base);
    assert_non_null(base);
    dtype_to_f32(w->part[part].type, w->part[part].data, (size_t)rows * (size_t)in, base);
    for (int i = 0; i < rows * in; i++) out[i] = base[i];
    mem_free(base);
    for (const adapter *a = w->adapters; a; a = a->next)
        for (int r = 0; r < rows; r++) {
            int row = row0 + r - a->row0;
            for (int c = 0; row >= 0 && row < a->rows && c < in; c++) {
                double sum = 0;
                for (int k = 0; k < a->rank; k++) sum += (double)a->B[row * a->rank + k] * a->A[k * in + c];
                out[r * in + c] += a->scale * sum;
            }
        }
}

typedef struct comparison { st_file fused; int compared; } comparison;

/* In the fused file: equal to it.  Not in it: no adapter may have changed the weight. */
static void compare_matrix(void *user, const param *p)
{
    comparison *c = user;
    if (!p->w) return;
    size_t n = (size_t)param_count(p);
    const st_tensor *t = st_find(&c->fused, p->name);
    double *got = mem_alloc(n * sizeof *got), error = 0, size = 0;
    float *want = mem_alloc(n * sizeof *want);
    assert_true(got && want);
    merge(p->w, p->part, got);
    if (t) assert_int_equal(t->count, n);
    dtype_to_f32(t ? t->type : p->w->part[p->part].type, t ? t->data : p->w->part[p->part].data, n, want);
    for (size_t i = 0; i < n; i++) {
        error += (got[i] - want[i]) * (got[i] - want[i]);
        size += (double)want[i] * want[i];
    }
    if (!(sqrt(error / size) <= 1e-6)) fail_msg("%s: error %g", p->name, sqrt(error / size));
    c->compared += t != NULL;
    mem_free(got);
    mem_free(want);
}

typedef struct entry { const char *file; float scale; } entry;

/* Applied in products, and merged into copies: of both must come what the official loader made. */
static void check_stack_as(const entry *stack, int n, const char *fused, bool merged)
{
    st_set files;
    lora_merged layers = { 0 };
    pool *threads = pool_new(2);
    dit *m = open_tiny(&files);
    lora_file loras[8];
    dreamo_error err = { 0 };
    comparison c = { 0 };
    for (int i = 0; i < n; i++) {
        dreamo_status s = lora_open(stack[i].file, stack[i].scale, m, TEXT_WIDTH, &loras[i], &err);
        if (s != DREAMO_OK) fail_msg("%s", err.message);
        if (loras[i].warning) fail_msg("%s", loras[i].warning);
        for (int k = 0; k < loras[i].nmodules; k++) loras[i].modules[k].merge = merged && k % 3;
        lora_attach(&loras[i]);
        assert_int_equal(lora_merge(&layers, &loras[i], false, threads, &err), DREAMO_OK);
    }
    assert_true(merged == (layers.nlayers > 0));
    assert_int_equal(st_open(fused, &c.fused, &err), DREAMO_OK);
    dit_visit(m, compare_matrix, &c);
    assert_int_equal(c.compared, c.fused.ntensors);
    st_close(&c.fused);
    lora_unmerge(&layers);
    pool_free(threads);
    for (int i = 0; i < n; i++) {
        lora_detach(&loras[i]);
        lora_close(&loras[i]);
    }
    for (int i = 0; i < tiny.layers; i++) assert_null(m->doubles[i].img.qkv.adapters);
    dit_free(m);
    st_set_close(&files);
    assert_int_equal(mem_live(), 0);
}

static void check_stack(const entry *stack, int n, const char *fused)
{
    check_stack_as(stack, n, fused, false);
    check_stack_as(stack, n, fused, true);
}

/* A pair that costs a product a quarter of its layer's rows is merged, a thinner one, a large layer's and a convolution's are not. */
static void test_what_is_merged(void **state)
{
    weight layer = { .in = 64, .out = 192, .kh = 1, .kw = 1 }, kernel = { .in = 64, .out = 64, .kh = 3, .kw = 3 }, large = { .in = 3072, .out = 3072, .kh = 1, .kw = 1 };
    lora_module m[] = { { .w = &layer, .a = { .rows = 64, .rank = 8 } }, { .w = &layer, .a = { .rows = 64, .rank = 7 } }, { .w = &layer, .a = { .rows = 192, .rank = 12 } },
                        { .w = &kernel, .a = { .rows = 64, .rank = 64 } }, { .w = &large, .a = { .rows = 3072, .rank = 1024 } } };
    lora_file f = { .modules = m, .nmodules = 5 };
    (void)state;
    lora_merge_thick(&f);
    assert_true(m[0].merge && !m[1].merge && m[2].merge && !m[3].merge && !m[4].merge);
    lora_attach(&f);
    assert_true(layer.adapters == &m[1].a && !m[1].a.next && kernel.adapters == &m[3].a && large.adapters == &m[4].a);
}

static void test_v11_stack(void **state)
{
    (void)state;
    static const entry stack[] = { { LORA "dreamo.safetensors", 1 }, { LORA "dreamo_cfg_distill.safetensors", 1 }, { LORA "diffusion_pytorch_model.safetensors", 1 },
                                   { LORA "v1.1/dreamo_sft_lora.safetensors", 1 }, { LORA "v1.1/dreamo_dpo_lora.safetensors", 1.25f } };
    check_stack(stack, 5, LORA "fused-v1.1-fp32.safetensors");
}

static void test_kohya(void **state)
{
    (void)state;
    static const entry stack[] = { { LORA "kohya.safetensors", 1 } };
    check_stack(stack, 1, LORA "kohya-fused.safetensors");
}

/* ---- files written here: scales, the swap, refusals ---- */

#define FILE_NAME "lora_test.safetensors"

typedef struct made { const char *key; int rows, cols; float fill; } made; /* rows 0: a scalar */

static dreamo_status open_made(const made *list, int n, dit *m, lora_file *out, dreamo_error *err)
{
    static float zeros[64][64 * 40];
    st_tensor t[16] = { 0 };
    for (int i = 0; i < n; i++) {
        const made *k = &list[i];
        t[i] = (st_tensor){ .name = k->key, .type = DT_F32, .rank = k->rows || k->cols ? 2 : 0, .shape = { k->rows, k->cols }, .data = zeros[i] };
        t[i].count = t[i].rank ? (size_t)(k->rows * k->cols) : 1;
        t[i].nbytes = 4 * t[i].count;
        for (size_t j = 0; j < t[i].count; j++) zeros[i][j] = k->fill + (k->cols ? (float)(j / (size_t)k->cols) : 0);
    }
    *err = (dreamo_error){ 0 };
    assert_int_equal(st_write(FILE_NAME, t, n, NULL, 0, err), DREAMO_OK);
    dreamo_status s = lora_open(FILE_NAME, 2, m, TEXT_WIDTH, out, err);
    remove(FILE_NAME);
    return s;
}

#define OPEN(...) open_made((const made[]){ __VA_ARGS__ }, sizeof((const made[]){ __VA_ARGS__ }) / sizeof(made), m, &f, &err)
#define Q "transformer.transformer_blocks.0.attn.to_q"
#define K "transformer.transformer_blocks.0.attn.to_k"

/* ---- what is merged: LyCORIS 3.1.1 and PEFT 0.15.2 made the files of lora/kinds, and the merged weights beside them ---- */

#define KINDS TEST_DATA "/lora/kinds/"

/* W + strength (W' - W), where the file of merged weights has W'; W elsewhere.  Merged layers are fp32. */
typedef struct merge_check { st_file merged; st_set base; float strength; int compared; } merge_check;

static void check_param(void *user, const param *p)
{
    merge_check *c = user;
    size_t n = (size_t)param_count(p);
    const st_tensor *to = st_find(&c->merged, p->name), *from = st_set_find(&c->base, p->name);
    if (!p->w && !to) return;
    float *got = mem_alloc(n * sizeof *got), *want = mem_alloc(n * sizeof *want), *plain = mem_alloc(n * sizeof *plain);
    double error = 0, size = 0;
    assert_true(got && want && plain && from);
    if (p->w && !p->w->adapters) {
        dtype_to_f32(p->w->part[p->part].type, p->w->part[p->part].data, n, got);
    } else if (p->w) {
        double *sum = mem_alloc(n * sizeof *sum);
        merge(p->w, p->part, sum);
        for (size_t i = 0; i < n; i++) got[i] = (float)sum[i];
        mem_free(sum);
    } else {
        memcpy(got, *p->fp32, n * sizeof *got);
    }
    dtype_to_f32(from->type, from->data, n, plain);
    memcpy(want, plain, n * sizeof *want);
    if (to) dtype_to_f32(to->type, to->data, n, want);
    for (size_t i = 0; i < n; i++) {
        double w = (double)plain[i] + (double)c->strength * ((double)want[i] - (double)plain[i]);
        error += ((double)got[i] - w) * ((double)got[i] - w);
        size += w * w;
    }
    if (!(sqrt(error / size) <= 1e-6)) fail_msg("%s: error %g", p->name, sqrt(error / size));
    c->compared += to != NULL;
    mem_free(got);
    mem_free(want);
    mem_free(plain);
}

/* Bound as generate binds: biases and norms are there, too. */
static void check_merged(const char *file, const char *merged, float strength)
{
    dreamo_error err = { 0 };
    bound_files files;
    lora_file f;
    lora_merged layers = { 0 };
    merge_check c = { .strength = strength };
    dit *m = dit_new(&tiny);
    assert_int_equal(bind_dit(m, TEST_DATA "/models/tiny/transformer", &files, &err), DREAMO_OK);
    if (lora_open_all(file, strength, &(lora_networks){ .dit = m }, &f, &err)) fail_msg("%s", err.message);
    if (f.warning) fail_msg("%s", f.warning);
    assert_int_equal(st_open(merged, &c.merged, &err), DREAMO_OK);
    assert_int_equal(st_set_open(TEST_DATA "/models/tiny/transformer", "diffusion_pytorch_model", &c.base, &err), DREAMO_OK);
    lora_attach(&f);
    assert_int_equal(lora_merge(&layers, &f, false, NULL, &err), DREAMO_OK);
    dit_visit(m, check_param, &c);
    assert_int_equal(c.compared, c.merged.ntensors);
    lora_unmerge(&layers);
    lora_detach(&f);
    c.strength = 0; /* and all is as it was */
    dit_visit(m, check_param, &c);
    lora_close(&f);
    st_close(&c.merged);
    st_set_close(&c.base);
    dit_free(m);
    bind_close(&files);
    assert_int_equal(mem_live(), 0);
}

static void test_lycoris(void **state)
{
    (void)state;
    check_merged(KINDS "lycoris.safetensors", KINDS "lycoris-merged.safetensors", 1);
    check_merged(KINDS "lycoris.safetensors", KINDS "lycoris-merged.safetensors", -0.75f);
}

static void test_peft(void **state)
{
    (void)state;
    check_merged(KINDS "peft.safetensors", KINDS "peft-merged.safetensors", 1);
    check_merged(KINDS "rslora.safetensors", KINDS "rslora-merged.safetensors", 1);
}

/* The same by dreamo_convert, which never holds a merged layer. */
static void test_converted(void **state)
{
    static const struct { const char *file, *merged; } rows[] = { { KINDS "lycoris.safetensors", KINDS "lycoris-merged.safetensors" }, { KINDS "peft.safetensors", KINDS "peft-merged.safetensors" } };
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        const dreamo_lora fuse = { rows[i].file, 0.5f };
        dreamo_convert_options o;
        dreamo_error err = { 0 };
        bound_files files;
        merge_check c = { .strength = 0.5f };
        dreamo_convert_options_init(&o);
        o.in = TEST_DATA "/models/tiny";
        o.out = "lora_test_fused.safetensors";
        o.to = "f32";
        o.fuse = &fuse;
        o.nfuse = 1;
        o.clobber = o.verify = true;
        o.threads = 2;
        if (dreamo_convert(&o, &err)) fail_msg("%s", err.message);
        dit *m = dit_new(&tiny);
        assert_int_equal(bind_dit(m, o.out, &files, &err), DREAMO_OK);
        assert_int_equal(st_open(rows[i].merged, &c.merged, &err), DREAMO_OK);
        assert_int_equal(st_set_open(TEST_DATA "/models/tiny/transformer", "diffusion_pytorch_model", &c.base, &err), DREAMO_OK);
        dit_visit(m, check_param, &c);
        assert_int_equal(c.compared, c.merged.ntensors);
        st_close(&c.merged);
        st_set_close(&c.base);
        dit_free(m);
        bind_close(&files);
        remove(o.out);
        assert_int_equal(mem_live(), 0);
    }
}

/* Adapters that are not applied are refused by their names; so is a mix, and a bias where the layer has none. */
static void test_other_methods(void **state)
{
    (void)state;
    dit *m = dit_new(&tiny);
    lora_file f;
    dreamo_error err;
    assert_int_equal(OPEN({ Q ".a1.weight", 2, 32, 0 }, { Q ".b1.weight", 32, 2, 0 }), DREAMO_MISMATCH);
    assert_non_null(strstr(err.message, "GLoRA"));
    assert_int_equal(OPEN({ Q ".lora_A.weight", 2, 32, 0 }, { Q ".lora_B.weight", 32, 2, 0 }, { Q ".set_weight", 32, 32, 0 }), DREAMO_FORMAT);
    assert_non_null(strstr(err.message, "holds a patch that replaces weights"));
    assert_int_equal(OPEN({ Q ".lora_A.weight", 2, 32, 0 }, { Q ".lora_B.weight", 32, 2, 0 }, { Q ".lokr_w1", 4, 4, 0 }), DREAMO_FORMAT);
    assert_non_null(strstr(err.message, "two methods at once"));
    assert_int_equal(OPEN({ Q ".lokr_w1", 4, 4, 0 }, { Q ".lokr_w2", 8, 7, 0 }), DREAMO_MISMATCH);
    assert_int_equal(OPEN({ Q ".lokr_w1", 4, 4, 0 }, { Q ".lokr_w2_a", 0, 2, 0 }, { Q ".lokr_w2_b", 2, 8, 0 }), DREAMO_FORMAT);
    assert_int_equal(OPEN({ Q ".lokr_w1", 4, 4, 0 }), DREAMO_FORMAT);
    assert_non_null(strstr(err.message, "has no matrix lokr_w2"));
    assert_int_equal(OPEN({ Q ".hada_w1_a", 32, 2, 0 }, { Q ".hada_w1_b", 2, 32, 0 }, { Q ".hada_w2_a", 32, 2, 0 }), DREAMO_FORMAT);
    assert_int_equal(OPEN({ Q ".diff", 32, 31, 0 }), DREAMO_MISMATCH);
    assert_int_equal(OPEN({ "transformer_blocks.0.attn.norm_q.lora_A.weight", 1, 16, 0 }, { "transformer_blocks.0.attn.norm_q.lora_B.weight", 16, 1, 0 }), DREAMO_MISMATCH);
    assert_non_null(strstr(err.message, "a vector"));
    assert_int_equal(OPEN({ "lora_unet_down_blocks_0_x.lora_down.weight", 1, 16, 0 }), DREAMO_MISMATCH);
    assert_non_null(strstr(err.message, "is LoRA for Stable Diffusion"));
    dit_free(m);
    assert_int_equal(mem_live(), 0);
}

/* A strength that is said in metadata, by one number; one that is not understood is told. */
static void test_metadata(void **state)
{
    static const float zeros[4 * 32] = { 1 };
    const st_tensor t[] = { { .name = Q ".lora_A.weight", .type = DT_F32, .rank = 2, .shape = { 4, 32 }, .count = 128, .nbytes = 512, .data = zeros },
                            { .name = Q ".lora_B.weight", .type = DT_F32, .rank = 2, .shape = { 32, 4 }, .count = 128, .nbytes = 512, .data = zeros } };
    static const struct { const char *key, *value; float scale; const char *warning; } rows[] = {
        { "ss_network_alpha", "16.0", 4, NULL }, { "lora_alpha", "2", 0.5f, NULL }, { "network_alpha", "8", 2, NULL }, { "ss_network_alpha", "None", 1, NULL },
        { "my_alpha_field", "7", 1, "its metadata says \"my_alpha_field\", which is not understood" },
        { "lora_adapter_metadata", "{\"transformer.lora_alpha\": 6}", 1.5f, NULL }, { "lora_adapter_metadata", "{\"lora_alpha\": 6, \"use_rslora\": true}", 3, NULL },
        { "lora_adapter_metadata", "{\"transformer.lora_alpha\": 6, \"transformer.alpha_pattern\": {\"attn.to_q\": 20, \"o_q\": 1}}", 5, NULL },
        { "lora_adapter_metadata", "{\"lora_alpha\": 1e300}", 1, "\"lora_alpha\", which is not understood" },
        { "ss_network_alpha", "1e60", 1, "\"ss_network_alpha\", which is not understood" },
        { "lora_alpha", "-3", 1, "\"lora_alpha\", which is not understood" }, { "lora_alpha", "lots", 1, "\"lora_alpha\", which is not understood" },
        { "lora_adapter_metadata", "{broken", 1, "\"lora_adapter_metadata\", which is not understood" },
    };
    (void)state;
    dit *m = dit_new(&tiny);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        lora_file f;
        dreamo_error err = { 0 };
        const char *const meta[][2] = { { rows[i].key, rows[i].value } };
        assert_int_equal(st_write(FILE_NAME, t, 2, meta, 1, &err), DREAMO_OK);
        if (lora_open(FILE_NAME, 1, m, TEXT_WIDTH, &f, &err)) fail_msg("%s", err.message);
        if (f.modules[0].a.scale != rows[i].scale) fail_msg("%s: scale %g", rows[i].value, (double)f.modules[0].a.scale);
        if (!f.warning != !rows[i].warning || (f.warning && !strstr(f.warning, rows[i].warning))) fail_msg("%s: %s", rows[i].key, f.warning ? f.warning : "no warning");
        lora_close(&f);
    }
    remove(FILE_NAME);
    dit_free(m);
    assert_int_equal(mem_live(), 0);
}

/* kohya's text encoder halves go to CLIP and T5; without these they are told as not used. */
static void check_text_param(void *user, const param *p)
{
    merge_check *c = user;
    const st_tensor *want = st_find(&c->merged, p->name);
    if (!p->w || (!want && !p->w->adapters)) return;
    assert_non_null(want);
    double *got = mem_alloc(want->count * sizeof *got);
    merge(p->w, p->part, got);
    for (size_t i = 0; i < want->count; i++) assert_true(fabs(got[i] - (double)((const float *)want->data)[i]) <= 1e-5);
    mem_free(got);
    c->compared++;
}

static void test_text_encoders(void **state)
{
    clip_config clips;
    t5_config t5s;
    dreamo_error err = { 0 };
    bound_files a, b;
    merge_check c = { .strength = 1 };
    lora_file f;
    (void)state;
    assert_int_equal(config_clip(TEST_DATA "/models/tiny/text_encoder/config.json", &clips, &err), DREAMO_OK);
    assert_int_equal(config_t5(TEST_DATA "/models/tiny/text_encoder_2/config.json", &t5s, &err), DREAMO_OK);
    dit *m = dit_new(&tiny);
    clip *words = clip_new(&clips);
    t5 *text = t5_new(&t5s);
    assert_int_equal(bind_clip(words, TEST_DATA "/models/tiny/text_encoder", &a, &err), DREAMO_OK);
    assert_int_equal(bind_t5(text, TEST_DATA "/models/tiny/text_encoder_2", &b, &err), DREAMO_OK);
    if (lora_open_all(KINDS "text.safetensors", 1, &(lora_networks){ m, words, text }, &f, &err)) fail_msg("%s", err.message);
    assert_null(f.warning);
    lora_attach(&f);
    assert_int_equal(st_open(KINDS "text-merged.safetensors", &c.merged, &err), DREAMO_OK);
    clip_visit(words, check_text_param, &c);
    t5_visit(text, check_text_param, &c);
    assert_int_equal(c.compared, c.merged.ntensors);
    lora_detach(&f);
    lora_close(&f);
    assert_int_equal(lora_open(KINDS "text.safetensors", 1, m, TEXT_WIDTH, &f, &err), DREAMO_MISMATCH);
    st_close(&c.merged);
    bind_close(&a);
    bind_close(&b);
    clip_free(words);
    t5_free(text);
    dit_free(m);
}

/* ---- the main LoRA under four names ---- */

static double sum_of(const lora_file *f, const weight *w, int row, int col)
{
    double total = 0;
    for (int i = 0; i < f->nmodules; i++) {
        const lora_module *l = &f->modules[i];
        int r = row - l->a.row0;
        if (l->w != w || r < 0 || r >= l->a.rows) continue;
        for (int k = 0; k < l->a.rank; k++) total += (double)l->a.scale * l->a.B[r * l->a.rank + k] * l->a.A[k * w->in + col];
    }
    return total;
}

static void compare_files(const lora_file *a, const lora_file *b, weight *w)
{
    for (int row = 0; row < w->out; row++)
        for (int col = 0; col < w->in; col++) assert_true(fabs(sum_of(a, w, row, col) - sum_of(b, w, row, col)) <= 1e-7);
}

static void test_same_lora_other_names(void **state)
{
    (void)state;
    static const char *const others[] = { LORA "dreamo-bfl.safetensors", LORA "dreamo-xlabs.safetensors", LORA "dreamo-kohya2.safetensors" };
    dit *m = dit_new(&tiny);
    assert_non_null(m);
    lora_file a, b;
    dreamo_error err = { 0 };
    assert_int_equal(lora_open(LORA "dreamo.safetensors", 0.5f, m, TEXT_WIDTH, &a, &err), DREAMO_OK);
    assert_true(a.tables.task && a.tables.idx && a.tables.t5 && a.tables.nslots == 10);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(lora_open(others[i], 0.5f, m, TEXT_WIDTH, &b, &err), DREAMO_OK);
        assert_null(b.tables.task);
        for (int k = 0; k < 2; k++) {
            compare_files(&a, &b, &m->doubles[k].img.qkv);
            compare_files(&a, &b, &m->doubles[k].txt.qkv);
            compare_files(&a, &b, &m->doubles[k].img.proj);
            compare_files(&a, &b, &m->doubles[k].txt.proj);
            compare_files(&a, &b, &m->singles[k].in);
            compare_files(&a, &b, &m->singles[k].out);
        }
        lora_close(&b);
    }
    lora_close(&a);
    dit_free(m);
}

/* ---- names alone ---- */

static void test_names(void **state)
{
    (void)state;
    dit *m = dit_new(&tiny);
    assert_non_null(m);
    const struct { const char *stem; weight *w; int row0, rows; bool swapped; } names[] = {
        { "transformer.transformer_blocks.1.attn.to_k", &m->doubles[1].img.qkv, 32, 32, false },
        { "transformer_blocks.1.attn.add_v_proj", &m->doubles[1].txt.qkv, 64, 32, false },
        { "base_model.model.transformer.single_transformer_blocks.0.proj_mlp", &m->singles[0].in, 96, 128, false },
        { "lora_unet_single_blocks_1_linear1", &m->singles[1].in, 0, 224, false },
        { "lora_transformer_single_transformer_blocks_1_attn_to_v", &m->singles[1].in, 64, 32, false },
        { "lycoris_single_transformer_blocks_1_attn_to_v", &m->singles[1].in, 64, 32, false }, /* the LyCORIS library alone, SimpleTuner */
        { "diffusion_model.single_blocks.0.linear2", &m->singles[0].out, 0, 32, false },
        { "model.diffusion_model.double_blocks.0.txt_mod.lin", &m->doubles[0].txt.mod, 0, 192, false },
        { "single_blocks_0_processor_qkv_lora", &m->singles[0].in, 0, 96, false },
        { "double_blocks.1.any.proj_lora2", &m->doubles[1].txt.proj, 0, 32, false },
        { "transformer.proj_out", &m->proj_out, 0, 64, false },
        { "single_transformer_blocks.1.proj_out", &m->singles[1].out, 0, 32, false },
        { "transformer.norm_out.linear", &m->norm_out, 0, 64, false },
        { "lora_unet_final_layer_adaLN_modulation_1", &m->norm_out, 0, 64, true },
        { "time_text_embed.guidance_embedder.linear_2", &m->guidance_in.out, 0, 32, false },
        { "diffusion_model.vector_in.in_layer", &m->pooled_in.in, 0, 32, false },
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        lora_target t;
        if (lora_find(m, names[i].stem, &t) != LORA_FOUND) fail_msg("%s not found", names[i].stem);
        assert_ptr_equal(t.w, names[i].w);
        assert_int_equal(t.row0, names[i].row0);
        assert_int_equal(t.rows, names[i].rows);
        assert_int_equal(t.swapped, names[i].swapped);
    }
    lora_target t;
    assert_int_equal(lora_find(m, "double_blocks.2.img_attn.qkv", &t), LORA_NO_BLOCK);
    assert_int_equal(lora_find(m, "lora_te1_text_model_encoder_layers_0_mlp_fc1", &t), LORA_UNKNOWN);
    assert_int_equal(lora_find(m, "transformer_blocks.x.attn.to_q", &t), LORA_UNKNOWN);
    assert_int_equal(lora_find(m, "transformer_blocks.0.attn.to_q.more", &t), LORA_UNKNOWN);
    dit_free(m);
}

/* ---- written under other names ---- */

/* The rows of w with all adapters of f, without the weight itself: scale B A in double. */
static double *products(const lora_file *f, const weight *w)
{
    double *sum = mem_calloc((size_t)w->out * (size_t)w->in, sizeof *sum);
    assert_non_null(sum);
    for (int i = 0; i < f->nmodules; i++) {
        const adapter *a = &f->modules[i].a;
        if (f->modules[i].w != w) continue;
        for (int r = 0; r < a->rows; r++)
            for (int k = 0; k < a->rank; k++)
                for (int c = 0; c < w->in; c++)
                    sum[(size_t)(a->row0 + r) * (size_t)w->in + (size_t)c] +=
                        (double)a->scale * (double)a->B[r * a->rank + k] * (double)a->A[k * w->in + c];
    }
    return sum;
}

static void same_products(const lora_file *a, const lora_file *b, const weight *w, const char *what)
{
    double *x = products(a, w), *y = products(b, w), most = 0, off = 0;
    for (size_t i = 0; i < (size_t)w->out * (size_t)w->in; i++) {
        most = fmax(most, fabs(x[i]));
        off = fmax(off, fabs(x[i] - y[i]));
    }
    if (off > 1e-6 * most) fail_msg("%s: %s: off by %g of %g", what, w->name, off, most);
    mem_free(x);
    mem_free(y);
}

static void same_lora(const lora_file *a, const lora_file *b, dit *m, const char *what)
{
    weight *const outer[] = { &m->x_in, &m->text_in, &m->time_in.in, &m->time_in.out, &m->guidance_in.in, &m->guidance_in.out,
                              &m->pooled_in.in, &m->pooled_in.out, &m->norm_out, &m->proj_out };
    for (size_t i = 0; i < sizeof outer / sizeof *outer; i++) same_products(a, b, outer[i], what);
    for (int i = 0; i < tiny.layers; i++)
        for (int k = 0; k < 2; k++) {
            dit_stream *s = k ? &m->doubles[i].txt : &m->doubles[i].img;
            weight *const list[] = { &s->mod, &s->qkv, &s->proj, &s->mlp_in, &s->mlp_out };
            for (int j = 0; j < 5; j++) same_products(a, b, list[j], what);
        }
    for (int i = 0; i < tiny.single_layers; i++) {
        weight *const list[] = { &m->singles[i].mod, &m->singles[i].in, &m->singles[i].out };
        for (int j = 0; j < 3; j++) same_products(a, b, list[j], what);
    }
}

#define RENAMED "lora_renamed.safetensors"

/* Every file into every naming and back into DreamO's or PEFT's: the products stay.  What DreamO's names cannot say is refused. */
static void test_renamed(void **state)
{
    (void)state;
    static const struct { const char *file; bool attention_only; } files[] = {
        { "dreamo.safetensors", true }, { "dreamo_cfg_distill.safetensors", true }, { "dreamo_quality_lora_pos.safetensors", true },
        { "dreamo-bfl.safetensors", true }, { "dreamo-kohya2.safetensors", true }, { "dreamo-xlabs.safetensors", true },
        { "kohya.safetensors", false }, { "diffusion_pytorch_model.safetensors", false }, { "v1.1/dreamo_sft_lora.safetensors", false },
    };
    dit *m = dit_new(&tiny);
    assert_non_null(m);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        for (int naming = NAMING_DREAMO; naming <= NAMING_KOHYA; naming++) {
            char path[128], what[160];
            lora_file a, b, c;
            dreamo_error err = { 0 };
            snprintf(path, sizeof path, LORA "%s", files[i].file);
            snprintf(what, sizeof what, "%s as naming %d", files[i].file, naming);
            if (lora_open(path, 1, m, TEXT_WIDTH, &a, &err)) fail_msg("%s", err.message);
            dreamo_status s = lora_write(RENAMED, &a, m, (lora_naming)naming, &err);
            if (naming == NAMING_DREAMO && !files[i].attention_only) {
                assert_int_equal(s, DREAMO_MISMATCH);
                assert_non_null(strstr(err.message, "the dreamo naming has no name for"));
                lora_close(&a);
                continue;
            }
            if (s) fail_msg("%s: %s", what, err.message);
            if (lora_open(RENAMED, 1, m, TEXT_WIDTH, &b, &err)) fail_msg("%s: %s", what, err.message);
            assert_null(b.warning);
            same_lora(&a, &b, m, what);
            assert_int_equal(b.tables.task != NULL, naming == NAMING_DREAMO && a.tables.task);
            if (b.tables.task) assert_memory_equal(a.tables.task, b.tables.task, 2 * 32 * sizeof(float));
            /* and back */
            assert_int_equal(lora_write(RENAMED, &b, m, files[i].attention_only ? NAMING_DREAMO : NAMING_DIFFUSERS, &err), DREAMO_OK);
            if (lora_open(RENAMED, 1, m, TEXT_WIDTH, &c, &err)) fail_msg("%s: %s", what, err.message);
            same_lora(&a, &c, m, what);
            lora_close(&a);
            lora_close(&b);
            lora_close(&c);
        }
    dit_free(m);
    remove(RENAMED);
    assert_int_equal(mem_live(), 0);
}

/* DreamO's file through PEFT's names, which cut q, k and v apart, and back: the bytes of every matrix. */
static void test_there_and_back(void **state)
{
    (void)state;
    dit *m = dit_new(&tiny);
    lora_file a, b;
    st_file x, y;
    assert_int_equal(lora_open(LORA "dreamo.safetensors", 1, m, TEXT_WIDTH, &a, NULL), DREAMO_OK);
    assert_int_equal(lora_write(RENAMED, &a, m, NAMING_DIFFUSERS, NULL), DREAMO_OK);
    assert_int_equal(lora_open(RENAMED, 1, m, TEXT_WIDTH, &b, NULL), DREAMO_OK);
    assert_int_equal(lora_write(RENAMED, &b, m, NAMING_DREAMO, NULL), DREAMO_OK);
    assert_int_equal(st_open(LORA "dreamo.safetensors", &x, NULL), DREAMO_OK);
    assert_int_equal(st_open(RENAMED, &y, NULL), DREAMO_OK);
    assert_int_equal(x.ntensors, y.ntensors + 3); /* without the tables */
    for (int i = 0; i < y.ntensors; i++) {
        const st_tensor *t = &y.tensors[i], *u = st_find(&x, t->name);
        if (!u) fail_msg("no %s", t->name);
        assert_int_equal(u->count, t->count);
        assert_int_equal(u->type, t->type);
        assert_memory_equal(u->data, t->data, t->nbytes);
    }
    st_close(&x);
    st_close(&y);
    lora_close(&b);
    /* the tables alone */
    assert_int_equal(lora_write(RENAMED, &a, m, NAMING_EMBEDDING, NULL), DREAMO_OK);
    assert_int_equal(lora_open(RENAMED, 1, m, TEXT_WIDTH, &b, NULL), DREAMO_OK);
    assert_int_equal(b.nmodules, 0);
    assert_memory_equal(a.tables.idx, b.tables.idx, (size_t)a.tables.nslots * 32 * sizeof(float));
    lora_close(&a);
    lora_close(&b);
    dit_free(m);
    remove(RENAMED);
}

static void test_scales(void **state)
{
    (void)state;
    dit *m = dit_new(&tiny);
    lora_file f;
    dreamo_error err;
    assert_non_null(m);
    /* No alphas, mixed ranks: each module's alpha is its own rank, as diffusers has it since 0.34. */
    assert_int_equal(OPEN({ K ".lora_A.weight", 2, 32, 0 }, { K ".lora_B.weight", 32, 2, 0 }, { Q ".lora_A.weight", 4, 32, 0 }, { Q ".lora_B.weight", 32, 4, 0 }), DREAMO_OK);
    assert_true(f.modules[0].a.scale == 2.0f && f.modules[1].a.scale == 2.0f);
    assert_true(f.ranks_differ);
    lora_close(&f);
    /* One alpha: the other module gets it too. */
    assert_int_equal(OPEN({ Q ".alpha", 0, 0, 8 }, { K ".lora_A.weight", 2, 32, 0 }, { K ".lora_B.weight", 32, 2, 0 }, { Q ".lora_A.weight", 4, 32, 0 }, { Q ".lora_B.weight", 32, 4, 0 }), DREAMO_OK);
    assert_true(f.modules[0].a.scale == 2.0f * 8 / 2 && f.modules[1].a.scale == 2.0f * 8 / 4);
    lora_close(&f);
    /* Kohya without alpha: scale 1. */
    assert_int_equal(OPEN({ "lora_unet_img_in.lora_down.weight", 3, 64, 0 }, { "lora_unet_img_in.lora_up.weight", 32, 3, 0 }), DREAMO_OK);
    assert_true(f.modules[0].a.scale == 2.0f);
    lora_close(&f);
    /* BFL's final layer: row r of B goes to row (r + 32) % 64. */
    assert_int_equal(OPEN({ "final_layer.adaLN_modulation.1.lora_A.weight", 1, 32, 0 }, { "final_layer.adaLN_modulation.1.lora_B.weight", 64, 1, 0 }), DREAMO_OK);
    for (int r = 0; r < 64; r++) assert_true(f.modules[0].a.B[r] == (float)((r + 32) % 64));
    lora_close(&f);
    /* Leftovers are named, those of text encoders that are not here apart; so is an A that no training leaves. */
    assert_int_equal(OPEN({ Q ".lora_A.weight", 1, 32, 0 }, { Q ".lora_B.weight", 32, 1, 0 }, { "lora_te_x.alpha", 0, 0, 1 }, { "junk", 1, 1, 0 }), DREAMO_OK);
    assert_string_equal(f.warning, FILE_NAME ": 1 tensor of no layer of this model, not used: junk; 1 tensor of text encoders, which are not adapted here: "
                                   "lora_te_x.alpha; 1 of 1 modules are all zeros: was it cut short?");
    lora_close(&f);
    dit_free(m);
}

static void test_refusals(void **state)
{
    (void)state;
    dit *m = dit_new(&tiny);
    lora_file f;
    dreamo_error err;
    assert_non_null(m);
    assert_int_equal(OPEN({ Q ".lora_A.weight", 2, 32, 0 }), DREAMO_FORMAT);
    assert_non_null(strstr(err.message, "no matrix B"));
    assert_int_equal(OPEN({ Q ".lora_A.weight", 2, 32, 0 }, { Q ".lora_B.weight", 32, 3, 0 }), DREAMO_FORMAT);
    assert_non_null(strstr(err.message, "rank 2, B has rank 3"));
    assert_int_equal(OPEN({ Q ".lora_A.weight", 2, 31, 0 }, { Q ".lora_B.weight", 32, 2, 0 }), DREAMO_MISMATCH);
    assert_int_equal(OPEN({ Q ".lora_A.weight", 2, 32, 0 }, { Q ".lora_B.weight", 96, 2, 0 }), DREAMO_MISMATCH);
    assert_int_equal(OPEN({ Q ".alpha", 0, 0, NAN }, { Q ".lora_A.weight", 2, 32, 0 }, { Q ".lora_B.weight", 32, 2, 0 }), DREAMO_FORMAT);
    assert_int_equal(OPEN({ "double_blocks.7.img_mlp.0.lora_A.weight", 2, 32, 0 }, { "double_blocks.7.img_mlp.0.lora_B.weight", 128, 2, 0 }), DREAMO_MISMATCH);
    assert_int_equal(OPEN({ "down_blocks.0.attentions.0.lora_A.weight", 2, 32, 0 }), DREAMO_MISMATCH);
    assert_int_equal(OPEN({ "dreamo_task_embedding.weight", 2, 32, 0 }), DREAMO_FORMAT);
    assert_int_equal(OPEN({ "dreamo_task_embedding.weight", 2, 16, 0 }, { "dreamo_idx_embedding.weight", 10, 32, 0 }), DREAMO_MISMATCH);
    assert_int_equal(OPEN({ "dreamo_t5_embedding.weight", 9, 32, 0 }), DREAMO_MISMATCH);
    assert_int_equal(OPEN({ Q ".lora_A.weight", 2, 32, 0 }, { Q ".lora_down.weight", 2, 32, 0 }, { Q ".lora_B.weight", 32, 2, 0 }), DREAMO_FORMAT);
    dit_free(m);
    assert_int_equal(mem_live(), 0);
}

static void test_failed_allocations(void **state)
{
    (void)state;
    dit *m = dit_new(&tiny);
    assert_non_null(m);
    size_t live = mem_live();
    lora_file f;
    dreamo_status s = DREAMO_MEMORY;
    long nth = 1;
    for (; s != DREAMO_OK; nth++) {
        dreamo_error err = { 0 };
        mem_fail_at(nth);
        s = lora_open(LORA "dreamo.safetensors", 1, m, TEXT_WIDTH, &f, &err);
        mem_fail_at(0);
        if (s != DREAMO_OK && s != DREAMO_MEMORY) fail_msg("allocation %ld: %s", nth, err.message);
        if (s != DREAMO_OK) assert_int_equal(mem_live(), live);
    }
    assert_true(nth > 10);
    lora_close(&f);
    assert_int_equal(mem_live(), live);
    dit_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_names), cmocka_unit_test(test_scales), cmocka_unit_test(test_refusals), cmocka_unit_test(test_failed_allocations),
                                        cmocka_unit_test(test_same_lora_other_names), cmocka_unit_test(test_kohya), cmocka_unit_test(test_what_is_merged), cmocka_unit_test(test_v11_stack),
                                        cmocka_unit_test(test_lycoris), cmocka_unit_test(test_peft), cmocka_unit_test(test_converted), cmocka_unit_test(test_other_methods),
                                        cmocka_unit_test(test_metadata), cmocka_unit_test(test_text_encoders),
                                        cmocka_unit_test(test_renamed), cmocka_unit_test(test_there_and_back) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
