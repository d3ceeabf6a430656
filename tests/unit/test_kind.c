/* test_kind.c - what files are, by the names that their makers gave the tensors; what is refused says what to take instead. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "weights/default_model.h"
#include "weights/fit.h"
#include "weights/kind.h"
#include "weights/parts.h"

/* cmocka comes last: it has a macro called fail. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "scratch.h"

enum { MOST = 8 };

/* Tensors of a file: "name rows columns" or "name"; of rank 2 with type BF16, or of rank 1. */
typedef struct expected { const char *tensors[MOST]; int holds; const char *words, *instead; } expected;

static const expected files[] = {
    /* FLUX.1 */
    { { "double_blocks.18.img_attn.qkv.weight 9216 3072", "single_blocks.37.linear1.weight 21504 3072", "img_in.weight 3072 64", "final_layer.linear.weight 64 3072",
        "guidance_in.in_layer.weight 3072 256" }, HAS_DIT, "FLUX.1-dev transformer, BFL's names", NULL },
    { { "transformer_blocks.18.attn.to_q.weight 3072 3072", "single_transformer_blocks.37.attn.to_q.weight 3072 3072", "x_embedder.weight 3072 64", "proj_out.weight 64 3072" },
      HAS_DIT, "FLUX.1-schnell transformer (no guidance), diffusers' names", NULL },
    { { "double_blocks.7.img_attn.qkv.weight 9216 3072", "single_blocks.37.linear1.weight 21504 3072", "img_in.weight 3072 64", "final_layer.linear.weight 64 3072",
        "guidance_in.in_layer.weight 3072 256" }, HAS_DIT, "FLUX.1 transformer with 8 + 38 blocks, BFL's names", NULL },
    { { "model.diffusion_model.double_blocks.18.img_attn.qkv.weight 9216 3072", "model.diffusion_model.single_blocks.37.linear1.weight 21504 3072",
        "model.diffusion_model.img_in.weight 3072 384", "model.diffusion_model.final_layer.linear.weight 64 3072", "model.diffusion_model.guidance_in.in_layer.weight 3072 256" },
      0, "FLUX.1 Fill transformer, ComfyUI's prefix and BFL's names", "masked picture" },
    { { "double_blocks.18.img_attn.qkv.weight 9216 3072", "single_blocks.37.linear1.weight 21504 3072", "img_in.weight 3072 128", "final_layer.linear.weight 64 3072",
        "guidance_in.in_layer.weight 3072 256" }, 0, "FLUX.1 Canny or Depth transformer, BFL's names", "control picture" },
    { { "single_transformer_blocks.3.attn.to_q.weight 3072 3072" }, HAS_DIT, "FLUX.1 transformer, diffusers' names", NULL }, /* a shard */
    { { "transformer_blocks.3.attn.to_q.weight 3072 3072", "transformer_blocks.3.ff_context.net.2.bias" }, HAS_DIT, "FLUX.1 transformer, diffusers' names (a shard)", NULL },
    { { "double_blocks.0.img_attn.qkv.weight.quant_state.bitsandbytes__nf4", "double_blocks.0.img_attn.qkv.weight" }, HAS_DIT,
      "FLUX.1 transformer, BFL's names, in NF4 by bitsandbytes", NULL },
    { { "model.diffusion_model.double_blocks.0.img_attn.qkv.weight", "text_encoders.t5xxl.transformer.encoder.block.0.layer.0.SelfAttention.q.weight",
        "text_encoders.clip_l.transformer.text_model.encoder.layers.0.mlp.fc1.weight", "vae.decoder.up.0.block.0.conv1.weight" },
      HAS_DIT | HAS_T5 | HAS_CLIP | HAS_VAE, "all-in-one checkpoint: FLUX.1 transformer, ComfyUI's prefix and BFL's names, and more", NULL },
    /* its relatives and others */
    { { "distilled_guidance_layer.in_proj.weight", "double_blocks.0.img_attn.qkv.weight" }, 0, "Chroma transformer", "take FLUX.1-dev's transformer" },
    { { "double_stream_modulation_img.lin.weight", "double_blocks.0.img_attn.qkv.weight" }, 0, "FLUX.2 transformer", "take FLUX.1-dev's" },
    { { "transformer_blocks.0.img_mod.1.weight", "txt_norm.weight" }, 0, "Qwen-Image transformer", "take FLUX.1-dev's" },
    { { "transformer_blocks.0.attn1.to_q.weight", "patch_embed.proj.weight" }, 0, "CogVideoX transformer", "take FLUX.1-dev's" },
    { { "transformer_blocks.0.attn9.to_q.weight" }, 0, "transformer of an unknown kind", "take FLUX.1-dev's" },
    { { "txt_in.individual_token_refiner.blocks.0.norm1.weight", "double_blocks.0.img_attn_qkv.weight" }, 0, "HunyuanVideo transformer", "take FLUX.1-dev's" },
    { { "blocks.0.cross_attn.q.weight", "patch_embedding.weight" }, 0, "Wan transformer", "take FLUX.1-dev's" },
    { { "noise_refiner.0.attention.qkv.weight", "cap_embedder.1.weight" }, 0, "Z-Image or Lumina transformer", "take FLUX.1-dev's" },
    { { "joint_blocks.0.x_block.attn.qkv.weight" }, 0, "Stable Diffusion 3 transformer", "take FLUX.1-dev's" },
    { { "model.diffusion_model.input_blocks.0.0.weight", "model.diffusion_model.output_blocks.0.0.weight", "conditioner.embedders.1.model.ln_final.weight" }, 0,
      "Stable Diffusion XL checkpoint", "take FLUX.1-dev's" },
    { { "model.diffusion_model.input_blocks.0.0.weight", "cond_stage_model.transformer.text_model.encoder.layers.0.mlp.fc1.weight" }, 0, "Stable Diffusion 1 or 2 checkpoint",
      "take FLUX.1-dev's" },
    { { "controlnet_x_embedder.weight", "transformer_blocks.0.attn.to_q.weight" }, 0, "ControlNet for FLUX.1", "leave it out" },
    { { "ip_adapter.1.to_k_ip.weight", "image_proj.proj.weight" }, 0, "IP-Adapter", "leave it out" },
    { { "redux_up.weight", "redux_down.weight" }, 0, "FLUX.1 Redux", "leave it out" },
    /* how they are stored */
    { { "transformer_blocks.0.qkv_proj.qweight", "transformer_blocks.0.qkv_proj.wscales", "transformer_blocks.0.qkv_proj.proj_down" }, 0, "weights in SVDQuant (Nunchaku)", "GGUF or fp8" },
    { { "a.qweight", "a.qzeros", "a.g_idx" }, 0, "weights in GPTQ", "GGUF or fp8" },
    { { "a.qweight", "a.qzeros", "a.scales" }, 0, "weights in AWQ", "GGUF or fp8" },
    { { "a.q_scale_max", "a.q_weight" }, 0, "weights in EXL2", "GGUF or fp8" },
    { { "a.trellis" }, 0, "weights in EXL3", "GGUF or fp8" },
    { { "transformer_blocks.0.attn.to_q.weight._data", "transformer_blocks.0.attn.to_q.weight._scale" }, 0, "weights quantised by quanto", "GGUF or fp8" },
    { { "transformer_blocks.0.attn.to_q.SCB", "transformer_blocks.0.attn.to_q.weight" }, 0, "weights in 8-bit integers by bitsandbytes", "GGUF or fp8" },
    { { "double_blocks.0.img_attn.qkv.weight_scale_2", "double_blocks.0.img_attn.qkv.weight" }, 0, "weights in NVFP4", "GGUF or fp8" },
    { { "double_blocks.0.img_attn.qkv.weight.quant_state.bitsandbytes__fp4" }, 0, "weights in FP4 by bitsandbytes", "GGUF or fp8" },
    /* text encoders */
    { { "encoder.block.0.layer.0.SelfAttention.q.weight", "shared.weight 32128 4096" }, HAS_T5, "T5 encoder", NULL },
    { { "encoder.block.0.layer.0.SelfAttention.q.weight", "decoder.block.0.layer.0.SelfAttention.q.weight" }, HAS_T5, "T5 with its decoder", NULL },
    { { "enc.blk.0.attn_q.weight" }, HAS_T5, "T5 encoder, llama.cpp's names", NULL },
    { { "encoder.block.0.layer.0.SelfAttention.q.weight", "encoder.block.1.layer.0.SelfAttention.relative_attention_bias.weight" }, 0, "umT5 encoder", "take T5 v1.1 XXL" },
    { { "model.layers.0.self_attn.q_proj.weight" }, 0, "language model (Llama, Qwen, Mistral)", "take T5 v1.1 XXL" },
    { { "text_model.encoder.layers.0.mlp.fc1.weight", "text_model.embeddings.position_embedding.weight 77 768" }, HAS_CLIP, "CLIP text encoder", NULL },
    { { "text_model.encoder.layers.0.mlp.fc1.weight", "text_model.embeddings.position_embedding.weight 77 1280" }, 0, "CLIP-G text encoder", "take CLIP-L" },
    { { "text_model.encoder.layers.0.mlp.fc1.weight", "text_model.embeddings.position_embedding.weight 248 768" }, 0, "Long-CLIP text encoder (248 positions)", "take CLIP-L" },
    { { "vision_model.encoder.layers.0.mlp.fc1.weight" }, 0, "CLIP vision encoder", "take CLIP-L" },
    { { "vision_model.encoder.layers.0.mlp.fc1.weight", "text_model.encoder.layers.0.mlp.fc1.weight" }, HAS_CLIP, "CLIP with its vision encoder", NULL },
    { { "transformer.resblocks.0.attn.in_proj_weight", "token_embedding.weight", "visual.proj" }, HAS_CLIP, "CLIP, OpenAI's names", NULL },
    /* autoencoders */
    { { "decoder.up_blocks.0.resnets.0.conv1.weight" }, HAS_VAE, "autoencoder, diffusers' names", NULL },
    { { "decoder.up.0.block.0.conv1.weight" }, HAS_VAE, "autoencoder, BFL's names", NULL },
    { { "decoder.middle.0.residual.0.gamma" }, 0, "Wan's video autoencoder", "take FLUX.1's autoencoder" },
    { { "taesd_decoder.1.weight", "taesd_encoder.0.weight" }, 0, "tiny autoencoder (TAESD)", "take FLUX.1's autoencoder" },
    /* adapters */
    { { "double_blocks.0.processor.qkv_lora1.down.weight" }, 0, "DreamO LoRA (dots)", NULL },
    { { "lora_unet_double_blocks_0_img_attn_qkv.lora_down.weight" }, 0, "LoRA in kohya's naming", NULL },
    { { "lora_unet_double_blocks_0_img_attn_qkv.lokr_w1" }, 0, "LoKr (LyCORIS)", NULL },
    { { "lora_unet_double_blocks_0_img_attn_qkv.hada_w1_a" }, 0, "LoHa (LyCORIS)", NULL },
    { { "lora_unet_double_blocks_0_img_attn_qkv.oft_blocks" }, 0, "OFT (LyCORIS, kohya)", NULL },
    { { "transformer.transformer_blocks.0.attn.to_q.lora_A.weight", "transformer.transformer_blocks.0.attn.to_q.lora_magnitude_vector" }, 0, "DoRA in PEFT's naming", NULL },
    { { "transformer.transformer_blocks.0.attn.to_q.lora_A.weight" }, 0, "LoRA in PEFT's naming", NULL },
    { { "base_model.model.transformer_blocks.0.attn.to_q.oft_R.weight" }, 0, "OFT by PEFT 0.16 or later", "take one of these" },
    { { "base_model.model.transformer_blocks.0.attn.to_q.lora_E" }, 0, "AdaLoRA", "take one of these" },
    { { "base_model.model.transformer_blocks.0.attn.to_q.boft_R" }, 0, "BOFT", "take one of these" },
    { { "base_model.model.transformer_blocks.0.attn.to_q.bone_block" }, 0, "Bone", "take one of these" },
    { { "base_model.model.transformer_blocks.0.attn.to_q.miss_block" }, 0, "MiSS", "take one of these" },
    { { "base_model.model.transformer_blocks.0.attn.to_q.c3a_kernel" }, 0, "C3A", "take one of these" },
    { { "base_model.model.transformer_blocks.0.attn.to_q.fourierft_spectrum" }, 0, "FourierFT", "take one of these" },
    { { "base_model.model.transformer_blocks.0.attn.to_q.waveft_spectrum" }, 0, "WaveFT", "take one of these" },
    { { "base_model.model.transformer_blocks.0.attn.to_q.hra_u" }, 0, "HRA", "take one of these" },
    { { "base_model.model.transformer_blocks.0.attn.to_q.ia3_l" }, 0, "(IA)3", "take one of these" },
    { { "base_model.model.transformer_blocks.0.attn.to_q.ln_tuning_layers.weight" }, 0, "LayerNorm tuning", "take one of these" },
    { { "base_model.model.transformer_blocks.0.attn.to_q.randlora_lambda" }, 0, "RandLoRA", "take one of these" },
    { { "base_model.model.transformer_blocks.0.attn.to_q.road_theta" }, 0, "RoAd", "take one of these" },
    { { "base_model.model.transformer_blocks.0.attn.to_q.shira_weight" }, 0, "SHiRA", "take one of these" },
    { { "base_model.model.transformer_blocks.0.attn.to_q.vblora_logits_A" }, 0, "VB-LoRA", "take one of these" },
    { { "diffusion_model.double_blocks.0.img_attn.norm.query_norm.scale.set_weight" }, 0, "weights that replace those of a model", "take one of these" },
    { { "transformer.single_transformer_blocks.0.attn.to_q.lora.down.weight" }, 0, "LoRA in the naming of diffusers' attention processors", NULL },
    { { "lora_unet_down_blocks_0_attentions_0_proj_in.lora_down.weight" }, 0, "LoRA for Stable Diffusion 1.5 or XL", "made for FLUX.1" },
    { { "lora_unet_double_blocks_0_img_attn_qkv.a1.weight", "lora_unet_double_blocks_0_img_attn_qkv.b1.weight" }, 0, "GLoRA (LyCORIS)", "take one of these" },
    { { "double_blocks.0.img_attn.qkv.lora_A.weight 128 3072", "img_in.lora_A.weight 128 128" }, 0, "FLUX.1 Canny or Depth as a LoRA", "control picture" },
    { { "dreamo_task_embedding.weight" }, 0, "DreamO embedding tables", NULL },
    { { "something" }, 0, "tensors of an unknown kind", NULL },
};

/* The tensors as a file would have them. */
static st_file file_of(const expected *e, st_tensor room[MOST], char names[MOST][128])
{
    st_file f = { .path = (char *)(uintptr_t)"a.safetensors", .tensors = room };
    for (; f.ntensors < MOST && e->tensors[f.ntensors]; f.ntensors++) {
        long long rows = 0, cols = 0;
        int n = sscanf(e->tensors[f.ntensors], "%127s %lld %lld", names[f.ntensors], &rows, &cols);
        room[f.ntensors] = (st_tensor){ .name = names[f.ntensors], .type = DT_BF16, .rank = n == 3 ? 2 : 1, .shape = { rows, cols } };
    }
    return f;
}

static void kinds(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        const expected *e = &files[i];
        st_tensor room[MOST];
        char names[MOST][128];
        st_file f = file_of(e, room, names);
        weights_kind k = kind_of_weights(&f);
        if (strcmp(k.words, e->words) != 0 || k.holds != e->holds) fail_msg("%s: is \"%s\", holds %d", e->words, k.words, k.holds);
        if (!k.instead != !e->instead || (e->instead && !strstr(k.instead, e->instead))) fail_msg("%s: instead of it \"%s\"", e->words, k.instead ? k.instead : "");
    }
}

/* One line of two clauses: what it is, what to take. */
static void refusals(void **state)
{
    st_tensor room[MOST];
    char names[MOST][128];
    dreamo_error err = { 0 };
    (void)state;
    const expected chroma = { { "distilled_guidance_layer.in_proj.weight" }, 0, "", "" }, lora = { { "lora_unet_x.lokr_w1" }, 0, "", "" }, odd = { { "odd" }, 0, "", "" };
    st_file f = file_of(&chroma, room, names);
    st_set s = { .nfiles = 1, .files = &f, .name = f.path };
    assert_int_equal(kind_refuse(&s, "a.safetensors", HAS_DIT, &err), DREAMO_FORMAT);
    assert_string_equal(err.message, "a.safetensors: is a Chroma transformer, not a FLUX.1 transformer");
    assert_non_null(strstr(err.hint, "take FLUX.1-dev's transformer: flux1-dev.safetensors"));
    err = (dreamo_error){ 0 };
    assert_int_equal(kind_refuse_adapter(&f, &err), DREAMO_FORMAT);
    assert_string_equal(err.message, "a.safetensors: is a Chroma transformer, not a LoRA");
    f = file_of(&lora, room, names);
    err = (dreamo_error){ 0 };
    assert_int_equal(kind_refuse(&s, "a.safetensors", HAS_VAE, &err), DREAMO_FORMAT);
    assert_string_equal(err.hint, "give it as a LoRA: --lora FILE");
    assert_int_equal(kind_refuse_adapter(&f, NULL), DREAMO_OK);
    f = file_of(&odd, room, names);
    assert_int_equal(kind_refuse(&s, "a.safetensors", HAS_DIT, NULL), DREAMO_OK); /* its tensors will be listed */
}

/* Kontext has FLUX.1-dev's tensors: its name or its metadata tell. */
static void kontext(void **state)
{
    st_tensor room[MOST];
    char names[MOST][128], *keys[] = { (char *)(uintptr_t)"modelspec.title" }, *values[] = { (char *)(uintptr_t)"Flux.1 Kontext Dev" };
    (void)state;
    st_file f = file_of(&files[0], room, names);
    f.nmeta = 1;
    f.meta_key = keys;
    f.meta_value = values;
    assert_string_equal(kind_of_weights(&f).words, "FLUX.1 Kontext transformer, BFL's names");
    f.nmeta = 0;
    f.path = (char *)(uintptr_t)"/kontext/flux1-dev.safetensors"; /* a folder's name is not the file's */
    assert_string_equal(kind_of_weights(&f).words, "FLUX.1-dev transformer, BFL's names");
    f.path = (char *)(uintptr_t)"flux1-dev-Kontext_fp8_scaled.safetensors";
    assert_int_equal(kind_of_weights(&f).holds, 0);
}

/* Sizes follow the file. */
static void fitting(void **state)
{
    dit_config c = { .layers = 19, .single_layers = 38, .heads = 24, .head_dim = 128, .in_channels = 64, .out_channels = 64, .text_dim = 4096, .pooled_dim = 768,
                     .rope_axes = { 16, 56, 56 }, .guidance = true }, flux = c;
    dreamo_error err = { 0 };
    (void)state;
    assert_int_equal(fit_dit(TEST_DATA "/layouts/flux1-dev-comfy.safetensors", &c, &err), DREAMO_MISMATCH); /* 16 numbers on three axes: no file tells */
    assert_non_null(strstr(err.message, "its heads are 16 wide, those of the configuration 128"));
    err = (dreamo_error){ 0 };
    c = flux;
    c.head_dim = 16;
    c.heads = 1;
    if (fit_dit(TEST_DATA "/layouts/flux1-dev-Q4_0.gguf", &c, &err)) fail_msg("%s", err.message);
    assert_true(c.heads == 2 && c.layers == 2 && c.single_layers == 2 && c.text_dim == 32);
    assert_int_equal(c.pooled_dim, 24);
    assert_true(c.guidance && c.in_channels == 64);
    c = flux;
    if (fit_dit(TEST_DATA "/models/tiny/transformer", &c, &err)) fail_msg("%s", err.message); /* has a configuration of its own */
    assert_int_equal(c.rope_axes[0], 4);
}

/* What a folder lacks is told by name, and what was seen in its place. */
static void missing_parts(void **state)
{
    parts p;
    dreamo_error err = { 0 };
    (void)state;
    assert_int_equal(mkdir("some", 0777), 0);
    assert_int_equal(symlink(TEST_DATA "/layouts/flux1-dev-comfy.safetensors", "some/a.safetensors"), 0);
    assert_int_equal(symlink(TEST_DATA "/layouts/ae.safetensors", "some/b.safetensors"), 0);
    assert_int_equal(symlink(TEST_DATA "/lora/kinds/lycoris.safetensors", "some/c.safetensors"), 0);
    st_tensor g[2] = { { .name = "text_model.encoder.layers.0.mlp.fc1.weight", .type = DT_F32, .rank = 1, .shape = { 1 }, .count = 1, .nbytes = 4, .data = "abcd" },
                       { .name = "text_model.embeddings.position_embedding.weight", .type = DT_U8, .rank = 2, .shape = { 1, 1280 }, .count = 1280, .nbytes = 1280 } };
    static char zeros[2560];
    g[1] = (st_tensor){ .name = g[1].name, .type = DT_BF16, .rank = 2, .shape = { 1, 1280 }, .count = 1280, .nbytes = 2560, .data = zeros };
    assert_int_equal(st_write("some/clip.safetensors", g, 2, NULL, 0, &err), DREAMO_OK);
    if (parts_find("some", 0, &p, &err)) fail_msg("%s", err.message);
    assert_int_equal(parts_holds(&p), HAS_DIT | HAS_VAE);
    assert_int_equal(parts_check(&p, "some", HAS_T5, &err), DREAMO_NOT_FOUND);
    assert_string_equal(err.message, "some: holds no CLIP text encoder that can be taken (some/clip.safetensors: CLIP-G text encoder)");
    assert_string_equal(err.hint, "add it, or name it: --clip FILE (clip_l.safetensors)");
    assert_int_equal(parts_check(&p, "some", HAS_T5 | HAS_CLIP, NULL), DREAMO_OK);
    parts_free(&p);
    assert_int_equal(parts_find("some/a.safetensors", 0, &p, &err), DREAMO_OK); /* one file */
    assert_string_equal(p.dit, "some/a.safetensors");
    parts_free(&p);
    assert_int_equal(mem_live(), 0);
}

static void hub_cache(void **state)
{
    (void)state;
    assert_int_equal(mkdir("models--x--y", 0777) | mkdir("models--x--y/refs", 0777) | mkdir("models--x--y/snapshots", 0777) | mkdir("models--x--y/snapshots/abc", 0777), 0);
    char *path = hub_snapshot("models--x--y"); /* the only one */
    assert_string_equal(path, "models--x--y/snapshots/abc");
    mem_free(path);
    scratch_write("models--x--y/refs/main", "gone", 4); /* a name that leads nowhere */
    path = hub_snapshot("models--x--y");
    assert_string_equal(path, "models--x--y/snapshots/abc");
    mem_free(path);
    assert_int_equal(mkdir("models--x--y/snapshots/def", 0777), 0);
    path = hub_snapshot("models--x--y"); /* which? */
    assert_string_equal(path, "models--x--y");
    mem_free(path);
    scratch_write("models--x--y/refs/main", "def\n", 4);
    path = model_folder("models--x--y");
    assert_string_equal(path, "models--x--y/snapshots/def");
    mem_free(path);
    assert_int_equal(mem_live(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(kinds), cmocka_unit_test(refusals), cmocka_unit_test(kontext), cmocka_unit_test(fitting),
                                        cmocka_unit_test(missing_parts), cmocka_unit_test(hub_cache) };
    return cmocka_run_group_tests(tests, scratch_enter, scratch_leave);
}
