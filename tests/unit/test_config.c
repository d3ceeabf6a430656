/* test_config.c - FLUX.1-dev's own config files give its published sizes; a changed field is used or refused by name. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "format/json.h"
#include "weights/config.h"

/* cmocka comes last: it has a macro called fail. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "scratch.h"

#define FLUX TEST_DATA "/../../models/flux-dev/"

static void ok(dreamo_status s, const dreamo_error *err)
{
    if (s) fail_msg("%s", err->message);
}

/* ---- what FLUX.1-dev's files say ---- */

static void count(void *user, const param *p) { *(int64_t *)user += param_count(p); }

static void test_dit(void **state)
{
    dit_config c;
    dreamo_error err = { 0 };
    int64_t n = 0;
    (void)state;
    ok(config_dit(FLUX "transformer/config.json", &c, &err), &err);
    assert_int_equal(c.layers, 19);
    assert_int_equal(c.single_layers, 38);
    assert_int_equal(c.in_channels, 64);
    assert_int_equal(c.out_channels, 64); /* the field is missing: as many as go in */
    assert_int_equal(c.rope_axes[0], 16); /* missing as well */
    assert_true(c.guidance);
    dit *m = dit_new(&c);
    dit_visit(m, count, &n);
    assert_int_equal(n, 11901408320);     /* the index file's total, halved */
    dit_free(m);
}

static void test_vae(void **state)
{
    vae_config c;
    dreamo_error err = { 0 };
    int64_t n = 0;
    (void)state;
    ok(config_vae(FLUX "vae/config.json", &c, &err), &err);
    assert_int_equal(vae_factor(&c), 8);
    assert_int_equal(c.groups, 32);
    assert_true(c.scaling == 0.3611f && c.shift == 0.1159f && c.mid_attention);
    vae *m = vae_new(&c);
    vae_visit(m, count, &n);
    assert_int_equal(n, 83819683);
    vae_free(m);
}

static void test_t5(void **state)
{
    t5_config c;
    dreamo_error err = { 0 };
    int64_t n = 0;
    (void)state;
    ok(config_t5(FLUX "text_encoder_2/config.json", &c, &err), &err);
    assert_int_equal(c.buckets, 32);
    assert_int_equal(c.max_distance, 128);
    assert_true(c.gated && c.eps == 1e-6f);
    t5 *m = t5_new(&c);
    t5_visit(m, count, &n);
    assert_int_equal(n, 4762310656);
    t5_free(m);
}

static void test_clip(void **state)
{
    clip_config c;
    dreamo_error err = { 0 };
    int64_t n = 0;
    (void)state;
    ok(config_clip(FLUX "text_encoder/config.json", &c, &err), &err);
    assert_int_equal(c.positions, 77);
    assert_true(c.quick_gelu && c.eps == 1e-5f);
    clip *m = clip_new(&c);
    clip_visit(m, count, &n);
    assert_int_equal(n, 123060480);
    clip_free(m);
}

/* ---- one field changed ---- */

enum { DIT, VAE, T5, CLIP, PIPELINE };
static const char *const files[] = { FLUX "transformer/config.json", FLUX "vae/config.json", FLUX "text_encoder_2/config.json",
                                     FLUX "text_encoder/config.json", FLUX "model_index.json" };

static dreamo_status read_config(int kind, const char *path, dreamo_error *err)
{
    union { dit_config dit; vae_config vae; t5_config t5; clip_config clip; } c;
    switch (kind) {
    case DIT: return config_dit(path, &c.dit, err);
    case VAE: return config_vae(path, &c.vae, err);
    case T5: return config_t5(path, &c.t5, err);
    case CLIP: return config_clip(path, &c.clip, err);
    default: return config_pipeline(path, err);
    }
}

/* The file of `kind` with fields ("field": value, ...; null takes a field away) changed, into config.json. */
static void write_changed(int kind, const char *fields)
{
    json_t *o, *changes;
    dreamo_error err = { 0 };
    ok(json_read(files[kind], 1 << 16, &o, &err), &err);
    char *text = mem_printf("{%s}", fields);
    ok(json_parse(text, strlen(text), "the test", &changes, &err), &err);
    mem_free(text);
    json_object_update(o, changes);
    text = json_text(o);
    scratch_write("config.json", text, strlen(text));
    mem_free(text);
    json_decref(changes);
    json_decref(o);
}

static const struct bad { int kind; const char *fields, *says; } bad[] = {
    { DIT, "\"num_layers\": null", "\"num_layers\" is missing" },
    { DIT, "\"num_layers\": -1", "\"num_layers\" is -1" },
    { DIT, "\"num_layers\": 1000000000000", "\"num_layers\" is 1000000000000" },
    { DIT, "\"num_layers\": 19.5", "\"num_layers\" is not a whole number" },
    { DIT, "\"num_layers\": \"19\"", "\"num_layers\" is not a whole number" },
    { DIT, "\"num_layers\": true", "\"num_layers\" is not a whole number" },
    { DIT, "\"num_layers\": 0, \"num_single_layers\": 0", "both 0" },
    { DIT, "\"num_attention_heads\": 0", "\"num_attention_heads\" is 0" },
    { DIT, "\"attention_head_dim\": null", "\"attention_head_dim\" is missing" },
    { DIT, "\"attention_head_dim\": 64", "sums to 128" },
    { DIT, "\"axes_dims_rope\": [16, 56]", "\"axes_dims_rope\" is not a list of 3" },
    { DIT, "\"axes_dims_rope\": [16, 56, -56]", "\"axes_dims_rope\": value 2" },
    { DIT, "\"axes_dims_rope\": [16, 55, 57]", "55 is not even" },
    { DIT, "\"axes_dims_rope\": 128", "\"axes_dims_rope\" is not a list" },
    { DIT, "\"in_channels\": 384, \"out_channels\": 64", "must be equal" }, /* FLUX.1-Fill */
    { DIT, "\"patch_size\": 2", "\"patch_size\" is 2" },
    { DIT, "\"guidance_embeds\": 1", "\"guidance_embeds\" is neither true nor false" },
    { DIT, "\"_class_name\": \"SD3Transformer2DModel\"", "only \"FluxTransformer2DModel\"" },
    { VAE, "\"_class_name\": \"AutoencoderTiny\"", "only \"AutoencoderKL\"" },
    { VAE, "\"act_fn\": \"relu\"", "\"act_fn\" is \"relu\"" },
    { VAE, "\"use_quant_conv\": true", "use_quant_conv" },
    { VAE, "\"use_post_quant_conv\": null", "use_post_quant_conv" }, /* true when missing */
    { VAE, "\"block_out_channels\": []", "\"block_out_channels\" is not a list of 1 to 6" },
    { VAE, "\"block_out_channels\": [32, 32, 32, 32, 32, 32, 32]", "\"block_out_channels\" is not a list of 1 to 6" },
    { VAE, "\"block_out_channels\": [128, 256, 512, 500]", "500 is no multiple of norm_num_groups" },
    { VAE, "\"block_out_channels\": [128, 256, 512, 99999999999]", "\"block_out_channels\": value 3" },
    { VAE, "\"norm_num_groups\": 0", "\"norm_num_groups\" is 0" },
    { VAE, "\"in_channels\": 4", "\"in_channels\" is 4" },
    { VAE, "\"out_channels\": 4", "\"out_channels\" is 4" },
    { VAE, "\"layers_per_block\": 100000", "\"layers_per_block\" is 100000" },
    { VAE,
      "\"down_block_types\": [\"DownEncoderBlock2D\", \"DownEncoderBlock2D\", \"DownEncoderBlock2D\", \"AttnDownEncoderBlock2D\"]", "AttnDownEncoderBlock2D" },
    { VAE, "\"up_block_types\": [\"UpDecoderBlock2D\"]", "\"up_block_types\" is not a list of 4" },
    { VAE, "\"latents_mean\": [0.5]", "\"latents_mean\"" },
    { VAE, "\"scaling_factor\": 0", "\"scaling_factor\" is 0" },
    { VAE, "\"scaling_factor\": null", "\"scaling_factor\" is missing" },
    { VAE, "\"shift_factor\": \"0\"", "\"shift_factor\" is not a number" },
    { T5, "\"model_type\": \"umt5\"", "\"model_type\" is \"umt5\"" },
    { T5, "\"feed_forward_proj\": \"gated-silu\", \"dense_act_fn\": null",
      "\"feed_forward_proj\" makes the activation \"gated-silu\"" },
    { T5, "\"feed_forward_proj\": \"relu\", \"dense_act_fn\": null", "\"relu\"" },
    { T5, "\"feed_forward_proj\": null, \"dense_act_fn\": null, \"is_gated_act\": null",
      "\"relu\"" }, /* what it is when nothing says */
    { T5, "\"dense_act_fn\": \"relu\"", "\"dense_act_fn\" makes the activation \"relu\"" },
    { T5, "\"is_gated_act\": \"yes\"", "\"is_gated_act\" is neither" },
    { T5, "\"relative_attention_max_distance\": 8", "relative_attention_max_distance 8" },
    { T5, "\"vocab_size\": 0", "\"vocab_size\" is 0" },
    { T5, "\"d_kv\": null", "\"d_kv\" is missing" },
    { T5, "\"layer_norm_epsilon\": -1", "\"layer_norm_epsilon\" is -1" },
    { CLIP, "\"hidden_act\": \"gelu\"", "\"hidden_act\" is \"gelu\"" }, /* the exact form, by erf */
    { CLIP, "\"hidden_size\": 770", "770 is no multiple of num_attention_heads 12" },
    { CLIP, "\"model_type\": \"clip_vision_model\"", "only \"clip_text_model\"" },
    { CLIP, "\"max_position_embeddings\": null", "\"max_position_embeddings\" is missing" },
    { CLIP, "\"num_hidden_layers\": 0", "\"num_hidden_layers\" is 0" },
    { PIPELINE, "\"_class_name\": \"StableDiffusion3Pipeline\"", "only \"FluxPipeline\"" },
};

static void refused(int kind, const char *what, const char *says)
{
    dreamo_error err = { 0 };
    size_t live = mem_live();
    dreamo_status s = read_config(kind, "config.json", &err);
    if (s != DREAMO_FORMAT || !strstr(err.message, says) || strncmp(err.message, "config.json: ", 13) != 0)
        fail_msg("%s: status %d, \"%s\" does not say \"%s\"", what, s, err.message, says);
    assert_null(strchr(err.message, '\n'));
    assert_int_equal(mem_live(), live);
}

static void test_bad_fields(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        write_changed(bad[i].kind, bad[i].fields);
        refused(bad[i].kind, bad[i].fields, bad[i].says);
    }
}

static void test_bad_text(void **state)
{
    static const char *const texts[][2] = { { "", "not valid JSON" }, { "[]", "is not a JSON object" },
                                            { "{\"num_layers\": 1, \"num_layers\": 2}", "not valid JSON" },
                                            { "{\"num_layers\": 1", "not valid JSON" }, { "{} {}", "not valid JSON" } };
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        for (int kind = DIT; kind <= PIPELINE; kind++) {
            scratch_write("config.json", texts[i][0], strlen(texts[i][0]));
            refused(kind, texts[i][0], texts[i][1]);
        }
    for (int kind = DIT; kind <= PIPELINE; kind++) {
        dreamo_error err = { 0 };
        assert_int_equal(read_config(kind, "nowhere/config.json", &err), DREAMO_NOT_FOUND);
        assert_non_null(strstr(err.message, "nowhere/config.json"));
    }
}

/* Fields in another form that mean the same, as transformers reads them. */
static void test_good_fields(void **state)
{
    static const struct { int kind; const char *fields; } good[] = {
        { T5, "\"feed_forward_proj\": null" }, { T5, "\"dense_act_fn\": \"gelu_pytorch_tanh\"" }, { T5, "\"dense_act_fn\": null, \"is_gated_act\": null" },
        { T5, "\"model_type\": null" }, { CLIP, "\"hidden_act\": \"gelu_new\"" }, { DIT, "\"out_channels\": 64" }, { DIT, "\"num_single_layers\": 0" },
        { DIT, "\"axes_dims_rope\": [0, 64, 64]" }, { DIT, "\"something_new\": {\"a\": [1]}" }, { VAE, "\"mid_block_add_attention\": false" },
        { VAE, "\"shift_factor\": null" }, { VAE,
                                             "\"block_out_channels\": [64], \"down_block_types\": [\"DownEncoderBlock2D\"], \"up_block_types\": null" },
    };
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        dreamo_error err = { 0 };
        write_changed(good[i].kind, good[i].fields);
        if (read_config(good[i].kind, "config.json", &err)) fail_msg("%s: %s", good[i].fields, err.message);
    }
    t5_config c;
    dreamo_error err = { 0 };
    write_changed(T5, "\"is_gated_act\": false");
    ok(config_t5("config.json", &c, &err), &err);
    assert_false(c.gated);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_dit),        cmocka_unit_test(test_vae),
                                             cmocka_unit_test(test_t5),         cmocka_unit_test(test_clip),
                                        cmocka_unit_test(test_bad_fields), cmocka_unit_test(test_bad_text), cmocka_unit_test(test_good_fields) };
    return cmocka_run_group_tests(tests, scratch_enter, scratch_leave);
}
