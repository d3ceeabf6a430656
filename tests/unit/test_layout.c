/* test_layout.c - one model under its many names: what the networks get from BFL's, ComfyUI's, fp8 and GGUF files is what they get from
 * the official folder, or what the files' public decoders make of them. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "model/clip.h"
#include "model/dit.h"
#include "model/t5.h"
#include "model/vae.h"
#include "weights/bind.h"
#include "weights/config.h"
#include "weights/kind.h"
#include "weights/parts.h"
#include "weights/variant.h"

/* cmocka comes last: it has a macro called fail. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "scratch.h"

#define TINY TEST_DATA "/models/tiny/"
#define LAYOUTS TEST_DATA "/layouts/"

/* A parameter's numbers as the kernels read them. */
static float *values_of(const param *p)
{
    size_t n = (size_t)param_count(p);
    float *v = mem_alloc(n * sizeof *v);
    assert_non_null(v);
    if (!p->w) {
        memcpy(v, *p->fp32, n * sizeof *v);
        return v;
    }
    const weight_part *part = &p->w->part[p->part];
    dtype_to_f32(part->type, part->data, n, v);
    for (size_t i = 0; part->row_scale && i < n; i++) v[i] *= part->row_scale[i / (n / (size_t)part->rows)];
    return v;
}

typedef struct list { int n; param p[600]; } list;
static void remember(void *user, const param *p)
{
    list *l = user;
    assert_true(l->n < 600);
    l->p[l->n++] = *p;
}

/* Every parameter of the second network is the first's, within `most` of the largest number of the tensor. */
static void same_network(const list *want, const list *got, double most)
{
    assert_int_equal(want->n, got->n);
    for (int i = 0; i < want->n; i++) {
        float *a = values_of(&want->p[i]), *b = values_of(&got->p[i]);
        double top = 0, worst = 0;
        for (int64_t k = 0; k < param_count(&want->p[i]); k++) {
            top = fmax(top, fabs((double)a[k]));
            worst = fmax(worst, fabs((double)a[k] - (double)b[k]));
        }
        if (!(worst <= most * top)) fail_msg("%s: off by %g of %g", want->p[i].name, worst, top);
        mem_free(a);
        mem_free(b);
    }
}

static dit *open_dit(const char *path, bound_files *b)
{
    dit_config c;
    dreamo_error err = { 0 };
    assert_int_equal(config_dit(TINY "transformer/config.json", &c, &err), DREAMO_OK);
    dit *m = dit_new(&c);
    if (bind_dit(m, path, b, &err)) fail_msg("%s", err.message);
    return m;
}

/* ComfyUI's file holds the same bf16 numbers; fp8 keeps four bits of each, Q4_0 four bits under a scale a block. */
static void transformer(void **state)
{
    static const struct { const char *file; double most; dtype first; } files[] = {
        { LAYOUTS "flux1-dev-comfy.safetensors", 0, DT_BF16 },
        { LAYOUTS "flux1-dev-fp8-scaled.safetensors", 1 / 16.0, DT_BF16 },
        { LAYOUTS "flux1-dev-Q4_0.gguf", 1 / 7.0, DT_F32 },
    };
    bound_files b, other;
    (void)state;
    dit *m = open_dit(TINY "transformer", &b);
    list want = { 0 };
    dit_visit(m, remember, &want);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        dit *o = open_dit(files[i].file, &other);
        list got = { 0 };
        dit_visit(o, remember, &got);
        same_network(&want, &got, files[i].most);
        assert_int_equal(o->doubles[0].img.qkv.nparts, 3);
        dit_free(o);
        bind_close(&other);
    }
    dit_free(m);
    bind_close(&b);
}

/* The scaled fp8 file to the last bit: row 5 of k of block 0 is row d + 5 of the fused tensor. */
static void scales(void **state)
{
    bound_files b;
    st_file want;
    (void)state;
    dit *m = open_dit(LAYOUTS "flux1-dev-fp8-scaled.safetensors", &b);
    assert_int_equal(st_open(LAYOUTS "fp8-decoded.safetensors", &want, NULL), DREAMO_OK);
    const st_tensor *t = st_find(&want, "scaled.double_blocks.0.img_attn.qkv.weight");
    assert_non_null(t);
    const float *fused = t->data;
    const weight *w = &m->doubles[0].img.qkv;
    int d = w->in;
    for (int part = 0; part < 3; part++) {
        assert_int_equal(w->part[part].type, DT_F8_E4M3);
        assert_non_null(w->part[part].row_scale);
        for (int i = 0; i < d * d; i++) {
            float v;
            dtype_to_f32(DT_F8_E4M3, (const char *)w->part[part].data + i, 1, &v);
            assert_true(v * w->part[part].row_scale[i / d] == fused[part * d * d + i]);
        }
    }
    st_close(&want);
    dit_free(m);
    bind_close(&b);
}

static void autoencoder(void **state)
{
    vae_config c;
    bound_files a, b;
    dreamo_error err = { 0 };
    (void)state;
    assert_int_equal(config_vae(TINY "vae/config.json", &c, &err), DREAMO_OK);
    vae *m = vae_new(&c), *o = vae_new(&c);
    assert_int_equal(bind_vae(m, TINY "vae", &a, &err), DREAMO_OK);
    if (bind_vae(o, LAYOUTS "ae.safetensors", &b, &err)) fail_msg("%s", err.message);
    list want = { 0 }, got = { 0 };
    vae_visit(m, remember, &want);
    vae_visit(o, remember, &got);
    same_network(&want, &got, 0);
    vae_free(m);
    vae_free(o);
    bind_close(&a);
    bind_close(&b);
}

static void text_encoder(void **state)
{
    t5_config c;
    bound_files a, b;
    dreamo_error err = { 0 };
    (void)state;
    assert_int_equal(config_t5(TINY "text_encoder_2/config.json", &c, &err), DREAMO_OK);
    t5 *m = t5_new(&c), *o = t5_new(&c);
    assert_int_equal(bind_t5(m, TINY "text_encoder_2", &a, &err), DREAMO_OK);
    if (bind_t5(o, LAYOUTS "t5xxl-Q8_0.gguf", &b, &err)) fail_msg("%s", err.message);
    assert_int_equal(o->embed.part[0].type, DT_Q8_0);
    list want = { 0 }, got = { 0 };
    t5_visit(m, remember, &want);
    t5_visit(o, remember, &got);
    same_network(&want, &got, 1 / 127.0);
    t5_free(m);
    t5_free(o);
    bind_close(&a);
    bind_close(&b);
}

/* ---- files written here from the official ones, under the names that others give them ---- */

static st_tensor renamed[800];
static char names[800][160];
static int nrenamed;

static void rename_to(const st_tensor *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void rename_to(const st_tensor *t, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    vsnprintf(names[nrenamed], sizeof names[0], format, ap);
    va_end(ap);
    renamed[nrenamed] = *t;
    renamed[nrenamed].name = names[nrenamed];
    nrenamed++;
}

/* OpenAI's: in_proj over q, k and v, as clip.load makes them. */
static void rename_openai(const st_file *f, char *room)
{
    static const char *const pairs[][2] = { { "self_attn.out_proj.", "attn.out_proj." }, { "layer_norm1.", "ln_1." }, { "layer_norm2.", "ln_2." }, { "mlp.fc1.", "mlp.c_fc." },
                                            { "mlp.fc2.", "mlp.c_proj." } };
    rename_to(st_find(f, "text_model.embeddings.token_embedding.weight"), "token_embedding.weight");
    rename_to(st_find(f, "text_model.embeddings.position_embedding.weight"), "positional_embedding");
    rename_to(st_find(f, "text_model.final_layer_norm.weight"), "ln_final.weight");
    rename_to(st_find(f, "text_model.final_layer_norm.bias"), "ln_final.bias");
    for (int layer = 0; layer < 2; layer++)
        for (int bias = 0; bias < 2; bias++) {
            const char *end = bias ? "bias" : "weight";
            char name[160];
            st_tensor all = { 0 };
            for (int k = 0; k < 3; k++) {
                snprintf(name, sizeof name, "text_model.encoder.layers.%d.self_attn.%c_proj.%s", layer, "qkv"[k], end);
                const st_tensor *t = st_find(f, name);
                memcpy(room + (size_t)k * t->nbytes, t->data, t->nbytes);
                all = *t;
            }
            all.data = room;
            all.shape[0] *= 3, all.count *= 3, all.nbytes *= 3;
            room += all.nbytes;
            rename_to(&all, "transformer.resblocks.%d.attn.in_proj_%s", layer, end);
            for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
                snprintf(name, sizeof name, "text_model.encoder.layers.%d.%s%s", layer, pairs[i][0], end);
                rename_to(st_find(f, name), "transformer.resblocks.%d.%s%s", layer, pairs[i][1], end);
            }
        }
}

static void clip_by_other_names(void **state)
{
    static const char *const prefixes[] = { "", "te.", "clip_l.transformer.", "cond_stage_model.transformer.", NULL };
    static char room[1 << 16];
    clip_config c;
    bound_files a, b;
    st_file f;
    dreamo_error err = { 0 };
    list want = { 0 };
    (void)state;
    assert_int_equal(config_clip(TINY "text_encoder/config.json", &c, &err), DREAMO_OK);
    clip *m = clip_new(&c);
    assert_int_equal(bind_clip(m, TINY "text_encoder", &a, &err), DREAMO_OK);
    clip_visit(m, remember, &want);
    assert_int_equal(st_open(TINY "text_encoder/model.safetensors", &f, &err), DREAMO_OK);
    for (int i = 0; i < 10; i++) { /* each prefix with and without text_model., and OpenAI's names plain and behind a prefix */
        nrenamed = 0;
        for (int k = 0; i < 8 && k < f.ntensors; k++) {
            const char *name = f.tensors[k].name;
            rename_to(&f.tensors[k], "%s%s", prefixes[i / 2], i % 2 && strncmp(name, "text_model.", 11) == 0 ? name + 11 : name);
        }
        if (i >= 8) rename_openai(&f, room);
        for (int k = 0; i == 9 && k < nrenamed; k++) {
            char whole[160];
            snprintf(whole, sizeof whole, "module.%.140s", names[k]);
            memcpy(names[k], whole, sizeof whole);
        }
        const st_tensor *any = st_find(&f, "text_model.final_layer_norm.bias"); /* the other half of a whole CLIP */
        if (i == 0) rename_to(any, "vision_model.post_layernorm.bias"), rename_to(any, "logit_scale"), rename_to(any, "visual_projection.weight");
        if (i == 8) rename_to(any, "visual.proj"), rename_to(any, "text_projection"), rename_to(any, "logit_scale");
        assert_int_equal(st_write("clip.safetensors", renamed, nrenamed, NULL, 0, &err), DREAMO_OK);
        clip *o = clip_new(&c);
        list got = { 0 };
        if (bind_clip(o, "clip.safetensors", &b, &err)) fail_msg("case %d: %s", i, err.message);
        clip_visit(o, remember, &got);
        same_network(&want, &got, 0);
        clip_free(o);
        bind_close(&b);
    }
    st_close(&f);
    clip_free(m);
    bind_close(&a);
}

/* ComfyUI's newer scaled fp8: weight_scale, input_scale and a tag.  A tag that says another format is no fp8. */
static void tagged_fp8(void **state)
{
    static const char tag[] = "{\"format\": \"float8_e4m3fn\"}", other[] = "{\"format\": \"mxfp8\"}";
    bound_files a, b;
    st_file f;
    dreamo_error err = { 0 };
    list want = { 0 }, got = { 0 };
    (void)state;
    dit *m = open_dit(LAYOUTS "flux1-dev-fp8-scaled.safetensors", &a);
    dit_visit(m, remember, &want);
    assert_int_equal(st_open(LAYOUTS "flux1-dev-fp8-scaled.safetensors", &f, &err), DREAMO_OK);
    nrenamed = 0;
    int last = 0;
    for (int k = 0; k < f.ntensors; k++) {
        const char *name = f.tensors[k].name, *dot = strrchr(name, '.');
        int stem = dot ? (int)(dot - name) : 0;
        if (strcmp(name, "scaled_fp8") == 0) continue;
        if (!dot || strcmp(dot, ".scale_weight") != 0) {
            rename_to(&f.tensors[k], "%s", name);
            continue;
        }
        rename_to(&f.tensors[k], "%.*s.weight_scale", stem, name);
        rename_to(&f.tensors[k], "%.*s.input_scale", stem, name);
        const st_tensor t = { .type = DT_U8, .rank = 1, .shape = { sizeof tag - 1 }, .count = sizeof tag - 1, .nbytes = sizeof tag - 1, .data = tag };
        last = nrenamed;
        rename_to(&t, "%.*s.comfy_quant", stem, name);
    }
    assert_true(last > 0);
    assert_int_equal(st_write("fp8.safetensors", renamed, nrenamed, NULL, 0, &err), DREAMO_OK);
    dit *o = open_dit("fp8.safetensors", &b);
    dit_visit(o, remember, &got);
    same_network(&want, &got, 0);
    dit_free(o);
    bind_close(&b);
    renamed[last].data = other;
    renamed[last].shape[0] = (int64_t)(renamed[last].count = renamed[last].nbytes = sizeof other - 1);
    assert_int_equal(st_write("fp8.safetensors", renamed, nrenamed, NULL, 0, &err), DREAMO_OK);
    assert_int_equal(bind_dit(m, "fp8.safetensors", &b, &err), DREAMO_FORMAT);
    assert_non_null(strstr(err.message, ".comfy_quant"));
    st_close(&f);
    dit_free(m);
    bind_close(&a);
}

/* A download that stopped in room taken in advance: a matrix of zeros, or a file that ends in them. */
static void zeros_are_told(void **state)
{
    static char zeros[1 << 16];
    bound_files b;
    st_file f;
    dreamo_error err = { 0 };
    (void)state;
    assert_int_equal(st_open(LAYOUTS "flux1-dev-comfy.safetensors", &f, &err), DREAMO_OK);
    nrenamed = 0;
    for (int k = 0; k < f.ntensors; k++) rename_to(&f.tensors[k], "%s", f.tensors[k].name);
    for (int k = 0; k < nrenamed; k++)
        if (strstr(names[k], "img_mlp.2.weight")) renamed[k].data = zeros;
    assert_int_equal(st_write("zeros.safetensors", renamed, nrenamed, NULL, 0, &err), DREAMO_OK);
    dit *m = open_dit("zeros.safetensors", &b);
    assert_string_equal(b.warning, "zeros.safetensors: 2 matrices hold zeros only: model.diffusion_model.double_blocks.0.img_mlp.2.weight, "
                                   "model.diffusion_model.double_blocks.1.img_mlp.2.weight; was it fetched whole?");
    dit_free(m);
    bind_close(&b);
    m = open_dit(LAYOUTS "flux1-dev-comfy.safetensors", &b);
    assert_null(b.warning);
    dit_free(m);
    bind_close(&b);
    st_close(&f);
}

static void what_does_not_belong_is_named(void **state)
{
    dit_config c;
    bound_files b;
    dreamo_error err = { 0 };
    (void)state;
    assert_int_equal(config_dit(TINY "transformer/config.json", &c, &err), DREAMO_OK);
    c.single_layers--;
    dit *m = dit_new(&c);
    assert_int_equal(bind_dit(m, LAYOUTS "flux1-dev-comfy.safetensors", &b, &err), DREAMO_FORMAT);
    assert_non_null(strstr(err.message, "tensors belong to no part of the model: model.diffusion_model.single_blocks.1."));
    dit_free(m);
    c.single_layers += 2;
    m = dit_new(&c);
    err = (dreamo_error){ 0 };
    assert_int_equal(bind_dit(m, LAYOUTS "flux1-dev-Q4_0.gguf", &b, &err), DREAMO_FORMAT);
    assert_non_null(strstr(err.message, "tensors are missing: single_transformer_blocks.2."));
    dit_free(m);
}

/* A folder of single files, sorted out by what is in them. */
static void parts_of_a_folder(void **state)
{
    parts p;
    dreamo_error err = { 0 };
    (void)state;
    assert_int_equal(mkdir("comfy", 0777) | mkdir("comfy/unet", 0777) | mkdir("comfy/lora", 0777), 0);
    assert_int_equal(symlink(LAYOUTS "flux1-dev-Q4_0.gguf", "comfy/unet/anything.gguf"), 0);
    assert_int_equal(symlink(LAYOUTS "ae.safetensors", "comfy/a.safetensors"), 0);
    assert_int_equal(symlink(LAYOUTS "t5xxl-Q8_0.gguf", "comfy/b.gguf"), 0);
    assert_int_equal(symlink(TINY "text_encoder/model.safetensors", "comfy/c.safetensors"), 0);
    assert_int_equal(symlink(TEST_DATA "/lora/tiny/dreamo.safetensors", "comfy/lora/d.safetensors"), 0);
    if (parts_find("comfy", 0, &p, &err)) fail_msg("%s", err.message);
    assert_string_equal(p.dit, "comfy/unet/anything.gguf");
    assert_string_equal(p.vae, "comfy/a.safetensors");
    assert_string_equal(p.t5, "comfy/b.gguf");
    assert_string_equal(p.clip, "comfy/c.safetensors");
    parts_free(&p);
    assert_int_equal(symlink(LAYOUTS "flux1-dev-comfy.safetensors", "comfy/e.safetensors"), 0);
    assert_int_equal(parts_find("comfy", 0, &p, &err), DREAMO_ARG);
    assert_non_null(strstr(err.message, "both hold the transformer"));
    assert_int_equal(parts_find("comfy", HAS_DIT, &p, NULL), DREAMO_OK); /* it comes from elsewhere */
    assert_null(p.dit);
    assert_string_equal(p.vae, "comfy/a.safetensors");
    parts_free(&p);
}

/* The published sets: files in their order, with their weights (spec 2.7). */
static void variants(void **state)
{
    static const float v1[] = { 1, 1, 1, 0.15f, -0.8f }, v11[] = { 1, 1, 1, 1, 1.25f };
    variant v;
    dreamo_error err = { 0 };
    (void)state;
    if (variant_find("v1", true, TEST_DATA "/lora/tiny", &v, &err)) fail_msg("%s", err.message);
    assert_int_equal(v.n, 5);
    for (int i = 0; i < 5; i++) assert_true(v.lora[i].scale == v1[i]);
    assert_non_null(strstr(v.lora[2].path, "/diffusion_pytorch_model.safetensors"));
    assert_int_equal(v.steps, 12);
    variant_free(&v);
    if (variant_find("v1.1", false, TEST_DATA "/lora/tiny", &v, &err)) fail_msg("%s", err.message);
    assert_int_equal(v.n, 4);
    assert_non_null(strstr(v.lora[3].path, "/v1.1/dreamo_dpo_lora.safetensors"));
    assert_true(v.lora[3].scale == v11[4]);
    assert_int_equal(v.steps, 25);
    variant_free(&v);
    assert_int_equal(variant_find("v2", true, ".", &v, &err), DREAMO_ARG);
    err = (dreamo_error){ 0 };
    assert_int_equal(variant_find("v1", true, "comfy", &v, &err), DREAMO_NOT_FOUND);
    assert_string_equal(err.message, "comfy/dreamo.safetensors: no such file");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(transformer), cmocka_unit_test(scales), cmocka_unit_test(autoencoder), cmocka_unit_test(text_encoder),
        cmocka_unit_test(clip_by_other_names), cmocka_unit_test(tagged_fp8), cmocka_unit_test(zeros_are_told),
        cmocka_unit_test(what_does_not_belong_is_named), cmocka_unit_test(parts_of_a_folder), cmocka_unit_test(variants),
    };
    return cmocka_run_group_tests(tests, scratch_enter, scratch_leave);
}
