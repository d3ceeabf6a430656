/* kind.c - the table of kinds: parts of names that only one kind of file has. */
#include "weights/kind.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define TAKE_DEV "take FLUX.1-dev's transformer: flux1-dev.safetensors, or a GGUF or fp8 file of it"
#define TAKE_QUANT "take the GGUF or fp8 file of the same model"
#define TAKE_T5 "take T5 v1.1 XXL: t5xxl_fp16.safetensors, or its fp8 or GGUF file"
#define TAKE_CLIP "take CLIP-L: clip_l.safetensors"
#define TAKE_MATTING "take the matting folder of a run of stage matting, or models/matting"
#define TAKE_JUDGE "take the judge folder of a run of stage judge, or models/judge"
#define TAKE_VAE "take FLUX.1's autoencoder: ae.safetensors"
#define TAKE_BEN2 "take BEN2's base network: model.safetensors"
#define TAKE_RETINAFACE "take RetinaFace with ResNet-50: detection_Resnet50_Final.pth"
#define TAKE_BISENET "take BiSeNet's face parser: parsing_bisenet.pth"
#define TAKE_ISNET "take the ISNet that tools/fetch-prep-free.sh gets"
#define TAKE_LORA "take a LoRA made for FLUX.1"
#define NOT_A_PART "it is no part of a FLUX.1 model: leave it out"
#define NO_METHOD "LoRA, LoKr, LoHa, OFT, DoRA and plain differences are applied: take one of these"

/* A row counts when a name of the file has each part of `has` (up to three) in it, and none has `not`; a part that begins with '^' begins the
 * name, one that ends with '$' ends it.  The first that counts says what the file is. */
typedef struct row {
    const char *has[3], *not;
    const char *words;
    int resembles;
    const char *instead;
    bool adapter;
} row;

static const row rows[] = {
    /* adapters for other models: the names of the layers tell */
    { { ".lora", "joint_transformer_blocks." }, NULL, "LoRA for Stable Diffusion 3", 0, TAKE_LORA, true },
    { { "lora_unet_down_blocks_" }, NULL, "LoRA for Stable Diffusion 1.5 or XL", 0, TAKE_LORA, true },
    { { "lora_unet_input_blocks_" }, NULL, "LoRA for Stable Diffusion XL", 0, TAKE_LORA, true },
    { { "unet.down_blocks.", ".lora" }, NULL, "LoRA for Stable Diffusion 1.5 or XL", 0, TAKE_LORA, true },
    { { "down_blocks.", ".lora", ".attentions." }, NULL, "LoRA for Stable Diffusion 1.5 or XL", 0, TAKE_LORA, true },
    { { ".img_mod.1.", ".lora" }, NULL, "LoRA for Qwen-Image", 0, TAKE_LORA, true },
    { { "transformer_blocks.", ".img_mlp.net.", ".lora" }, NULL, "LoRA for Qwen-Image", 0, TAKE_LORA, true },
    { { "blocks.0.cross_attn.", ".lora" }, NULL, "LoRA for Wan", 0, TAKE_LORA, true },
    { { "lora_unet_blocks_0_cross_attn_" }, NULL, "LoRA for Wan", 0, TAKE_LORA, true },
    { { ".img_attn_qkv.", ".lora" }, NULL, "LoRA for HunyuanVideo", 0, TAKE_LORA, true },
    { { "layers.0.attention.", ".lora" }, NULL, "LoRA for Z-Image or Lumina", 0, TAKE_LORA, true },
    { { "to_qkv_mlp_proj", ".lora" }, NULL, "LoRA for FLUX.2", 0, TAKE_LORA, true },
    { { "stream_modulation", ".lora" }, NULL, "LoRA for FLUX.2", 0, TAKE_LORA, true },
    /* adapters by method, then by naming */
    { { "processor_qkv_lora" }, NULL, "DreamO LoRA", 0, NULL, true },
    { { ".processor.qkv_lora" }, NULL, "DreamO LoRA (dots)", 0, NULL, true },
    { { ".lora_mid." }, NULL, "LoCon with Tucker cores (LyCORIS)", 0, NO_METHOD, true },
    { { ".hada_t1" }, NULL, "LoHa with Tucker cores (LyCORIS)", 0, NO_METHOD, true },
    { { ".lokr_t2" }, NULL, "LoKr with Tucker cores (LyCORIS)", 0, NO_METHOD, true },
    { { ".a1.weight", ".b1.weight" }, NULL, "GLoRA (LyCORIS)", 0, NO_METHOD, true },
    { { ".on_input" }, NULL, "(IA)3 (LyCORIS)", 0, NO_METHOD, true },
    { { ".vera_lambda_b" }, NULL, "VeRA", 0, NO_METHOD, true },
    { { ".lambda_layer" }, NULL, "T-LoRA (LyCORIS)", 0, NO_METHOD, true },
    { { ".oft_R" }, NULL, "OFT by PEFT 0.16 or later", 0, NO_METHOD, true },
    { { ".lora_E" }, NULL, "AdaLoRA", 0, NO_METHOD, true },
    { { ".boft_R" }, NULL, "BOFT", 0, NO_METHOD, true },
    { { ".bone_" }, NULL, "Bone", 0, NO_METHOD, true },
    { { ".miss_" }, NULL, "MiSS", 0, NO_METHOD, true },
    { { ".c3a_kernel" }, NULL, "C3A", 0, NO_METHOD, true },
    { { ".fourierft_spectrum" }, NULL, "FourierFT", 0, NO_METHOD, true },
    { { ".waveft_spectrum" }, NULL, "WaveFT", 0, NO_METHOD, true },
    { { ".hra_u" }, NULL, "HRA", 0, NO_METHOD, true },
    { { ".ia3_l" }, NULL, "(IA)3", 0, NO_METHOD, true },
    { { ".ln_tuning_layers" }, NULL, "LayerNorm tuning", 0, NO_METHOD, true },
    { { ".randlora_" }, NULL, "RandLoRA", 0, NO_METHOD, true },
    { { ".road_theta" }, NULL, "RoAd", 0, NO_METHOD, true },
    { { ".shira_weight" }, NULL, "SHiRA", 0, NO_METHOD, true },
    { { ".vblora_" }, NULL, "VB-LoRA", 0, NO_METHOD, true },
    { { ".lokr_w" }, NULL, "LoKr (LyCORIS)", 0, NULL, true },
    { { ".hada_w1_a" }, NULL, "LoHa (LyCORIS)", 0, NULL, true },
    { { ".oft_blocks" }, NULL, "OFT (LyCORIS, kohya)", 0, NULL, true },
    { { ".oft_r" }, NULL, "OFT (PEFT)", 0, NULL, true },
    { { ".lora_magnitude_vector" }, NULL, "DoRA in PEFT's naming", 0, NULL, true },
    { { ".dora_scale" }, NULL, "DoRA (LyCORIS)", 0, NULL, true },
    { { "lora_unet_" }, NULL, "LoRA in kohya's naming", 0, NULL, true },
    { { "lora_transformer_" }, NULL, "LoRA in kohya's naming (diffusers' modules)", 0, NULL, true },
    { { "lora_te" }, NULL, "LoRA of text encoders alone, in kohya's naming", 0, NULL, true },
    { { ".lora_A." }, NULL, "LoRA in PEFT's naming", 0, NULL, true },
    { { ".lora_down." }, NULL, "LoRA", 0, NULL, true },
    { { ".lora.down." }, NULL, "LoRA in the naming of diffusers' attention processors", 0, NULL, true },
    { { ".diff$" }, NULL, "differences of weights", 0, NULL, true },
    { { ".diff_b$" }, NULL, "differences of biases", 0, NULL, true },
    { { ".set_weight$" }, NULL, "weights that replace those of a model", 0, NO_METHOD, true },
    /* what stands beside a transformer */
    { { "controlnet_x_embedder" }, NULL, "ControlNet for FLUX.1", 0, NOT_A_PART, false },
    { { "controlnet_blocks." }, NULL, "ControlNet", 0, NOT_A_PART, false },
    { { "input_hint_block." }, NULL, "ControlNet", 0, NOT_A_PART, false },
    { { "controlnet_cond_embedding" }, NULL, "ControlNet for Stable Diffusion", 0, NOT_A_PART, false },
    { { "ip_adapter" }, NULL, "IP-Adapter", 0, NOT_A_PART, false },
    { { "image_proj." }, NULL, "IP-Adapter", 0, NOT_A_PART, false },
    { { "pulid" }, NULL, "PuLID's encoder", 0, NOT_A_PART, false },
    { { "redux_up." }, NULL, "FLUX.1 Redux", 0, NOT_A_PART, false },
    { { "emb_params" }, NULL, "textual-inversion embedding", 0, NOT_A_PART, false },
    /* how weights are stored */
    { { ".quant_state.bitsandbytes__fp4" }, NULL, "weights in FP4 by bitsandbytes", 15, TAKE_QUANT, false },
    { { ".qweight", ".wscales" }, NULL, "weights in SVDQuant (Nunchaku)", 15, TAKE_QUANT, false },
    { { ".qweight", ".proj_down" }, NULL, "weights in SVDQuant (Nunchaku)", 15, TAKE_QUANT, false },
    { { ".qweight", ".qzeros", ".g_idx" }, NULL, "weights in GPTQ", 15, TAKE_QUANT, false },
    { { ".qweight", ".qzeros" }, NULL, "weights in AWQ", 15, TAKE_QUANT, false },
    { { ".q_scale_max" }, NULL, "weights in EXL2", 15, TAKE_QUANT, false },
    { { ".trellis" }, NULL, "weights in EXL3", 15, TAKE_QUANT, false },
    { { "._data", "._scale" }, NULL, "weights quantised by quanto", 15, TAKE_QUANT, false },
    { { ".SCB$" }, NULL, "weights in 8-bit integers by bitsandbytes", 15, TAKE_QUANT, false },
    { { ".weight_scale_2" }, NULL, "weights in NVFP4", 15, TAKE_QUANT, false },
    { { ".weight_packed" }, NULL, "weights packed by compressed-tensors", 15, TAKE_QUANT, false },
    /* transformers of others */
    { { "distilled_guidance_layer." }, NULL, "Chroma transformer", HAS_DIT, "Chroma takes other inputs than FLUX.1: " TAKE_DEV, false },
    { { "double_stream_modulation" }, NULL, "FLUX.2 transformer", HAS_DIT, "FLUX.2 is another model: " TAKE_DEV, false },
    { { "single_stream_modulation" }, NULL, "FLUX.2 transformer", HAS_DIT, "FLUX.2 is another model: " TAKE_DEV, false },
    { { "txt_in.individual_token_refiner" }, NULL, "HunyuanVideo transformer", HAS_DIT, TAKE_DEV, false },
    { { "img_attn_qkv" }, NULL, "HunyuanVideo transformer", HAS_DIT, TAKE_DEV, false },
    { { "byt5_in." }, NULL, "HunyuanImage transformer", HAS_DIT, TAKE_DEV, false },
    { { "transformer_blocks.", ".img_mod.1." }, NULL, "Qwen-Image transformer", HAS_DIT, TAKE_DEV, false },
    { { "patch_embedding.", "blocks.0.cross_attn." }, NULL, "Wan transformer", HAS_DIT, TAKE_DEV, false },
    { { "patch_embedding.", "blocks.0.attn2." }, NULL, "Wan transformer, diffusers' names", HAS_DIT, TAKE_DEV, false },
    { { "noise_refiner.", "cap_embedder." }, NULL, "Z-Image or Lumina transformer", HAS_DIT, TAKE_DEV, false },
    { { "joint_blocks." }, NULL, "Stable Diffusion 3 transformer", HAS_DIT, TAKE_DEV, false },
    { { "pos_embed.proj.", "transformer_blocks.", "ff_context." }, "single_transformer_blocks.", "Stable Diffusion 3 transformer, diffusers' names", HAS_DIT, TAKE_DEV, false },
    { { "adaln_single.", "caption_projection." }, NULL, "PixArt or Sana transformer", HAS_DIT, TAKE_DEV, false },
    { { "double_layers.", "single_layers." }, NULL, "AuraFlow transformer", HAS_DIT, TAKE_DEV, false },
    { { "double_stream_blocks.", "caption_projection." }, NULL, "HiDream transformer", HAS_DIT, TAKE_DEV, false },
    { { "patchify_proj." }, NULL, "LTX-Video transformer", HAS_DIT, TAKE_DEV, false },
    { { "transformer_blocks.", "patch_embed.proj.", "attn1." }, NULL, "CogVideoX transformer", HAS_DIT, TAKE_DEV, false },
    { { "blocks.", "t_embedder.", "attn.qkv_x." }, NULL, "Mochi transformer", HAS_DIT, TAKE_DEV, false },
    { { "clip_txt_pooled_mapper." }, NULL, "Stable Cascade network", HAS_DIT, TAKE_DEV, false },
    { { "conditioner.embedders.1." }, NULL, "Stable Diffusion XL checkpoint", 15, TAKE_DEV, false },
    { { "label_emb.", "input_blocks." }, NULL, "Stable Diffusion XL network", HAS_DIT, TAKE_DEV, false },
    { { "cond_stage_model.", "input_blocks." }, NULL, "Stable Diffusion 1 or 2 checkpoint", 15, TAKE_DEV, false },
    { { "input_blocks.", "output_blocks." }, NULL, "Stable Diffusion network", HAS_DIT, TAKE_DEV, false },
    { { "add_embedding.linear_1.", "down_blocks." }, NULL, "Stable Diffusion XL network, diffusers' names", HAS_DIT, TAKE_DEV, false },
    { { "time_embedding.linear_1.", "down_blocks." }, NULL, "Stable Diffusion network, diffusers' names", HAS_DIT, TAKE_DEV, false },
    /* FLUX.1, of which flux1 below says more */
    { { "single_transformer_blocks." }, NULL, "transformer, diffusers' names", HAS_DIT, NULL, false },
    { { "model.diffusion_model.double_blocks." }, NULL, "transformer, ComfyUI's prefix and BFL's names", HAS_DIT, NULL, false },
    { { "single_blocks." }, NULL, "transformer, BFL's names", HAS_DIT, NULL, false },
    { { "double_blocks." }, NULL, "transformer, BFL's names", HAS_DIT, NULL, false },
    { { "transformer_blocks.", ".ff_context." }, NULL, "transformer, diffusers' names (a shard)", HAS_DIT, NULL, false },
    { { "transformer_blocks." }, NULL, "transformer of an unknown kind", HAS_DIT, TAKE_DEV, false },
    /* text encoders */
    { { "block.1.layer.0.SelfAttention.relative_attention_bias" }, NULL, "umT5 encoder", HAS_T5, TAKE_T5, false },
    { { "blk.1.attn_rel_b." }, NULL, "umT5 encoder, llama.cpp's names", HAS_T5, TAKE_T5, false },
    { { "SelfAttention", "decoder.block." }, NULL, "T5 with its decoder", HAS_T5, NULL, false },
    { { "SelfAttention" }, NULL, "T5 encoder", HAS_T5, NULL, false },
    { { "enc.blk." }, NULL, "T5 encoder, llama.cpp's names", HAS_T5, NULL, false },
    { { "vision_model.", "vision_model.head." }, NULL, "SigLIP", HAS_CLIP, TAKE_CLIP, false },
    { { "vision_model.encoder." }, "text_model.", "CLIP vision encoder", HAS_CLIP, TAKE_CLIP, false },
    { { "visual.transformer.resblocks." }, "token_embedding.", "CLIP vision encoder, OpenAI's names", HAS_CLIP, TAKE_CLIP, false },
    { { "vision_model.encoder.", "text_model." }, NULL, "CLIP with its vision encoder", HAS_CLIP, NULL, false },
    { { "text_model.encoder." }, NULL, "CLIP text encoder", HAS_CLIP, NULL, false },
    { { "transformer.resblocks.", "token_embedding." }, NULL, "CLIP, OpenAI's names", HAS_CLIP, NULL, false },
    { { "encoder.layers.", "embeddings.position_embedding.", "embeddings.token_embedding." }, NULL, "CLIP text encoder", HAS_CLIP, NULL, false },
    { { "model.layers.0.self_attn.q_proj." }, NULL, "language model (Llama, Qwen, Mistral)", HAS_T5, TAKE_T5, false },
    { { "blk.0.ffn_gate." }, NULL, "language model (Llama, Qwen, Mistral), llama.cpp's names", HAS_T5, TAKE_T5, false },
    { { "bert.encoder.layer." }, NULL, "BERT", HAS_T5, TAKE_T5, false },
    { { "roberta.encoder.layer." }, NULL, "XLM-RoBERTa", HAS_T5, TAKE_T5, false },
    /* autoencoders, of which vae below says more */
    { { "decoder.middle.0.residual." }, NULL, "Wan's video autoencoder", HAS_VAE, TAKE_VAE, false },
    { { "decoder.up_blocks.0.resnets.0.conv1.conv." }, NULL, "video autoencoder", HAS_VAE, TAKE_VAE, false },
    { { "decoder.up_blocks." }, NULL, "autoencoder, diffusers' names", HAS_VAE, NULL, false },
    { { "decoder.up." }, NULL, "autoencoder, BFL's names", HAS_VAE, NULL, false },
    { { "taesd_decoder." }, NULL, "tiny autoencoder (TAESD)", HAS_VAE, TAKE_VAE, false },
    { { "decoder.layers.1.", "encoder.layers.1." }, "self_attn", "tiny autoencoder (TAESD)", HAS_VAE, TAKE_VAE, false },
    { { "^3.conv.0.weight" }, NULL, "tiny autoencoder (TAESD)", HAS_VAE, TAKE_VAE, false },
    /* what prepares references */
    { { "multifieldcrossatt.", "dec_blk4." }, NULL, "BEN2, which cuts out", HAS_BEN2, NULL, false },
    { { "BboxHead.", "body.layer4." }, NULL, "RetinaFace with ResNet-50, which finds faces", HAS_RETINAFACE, NULL, false },
    { { "BboxHead.", "body.stage1." }, NULL, "RetinaFace with MobileNet", HAS_RETINAFACE, TAKE_RETINAFACE, false },
    { { "cp.resnet.", "ffm.convblk." }, NULL, "BiSeNet, which parses faces", HAS_BISENET, NULL, false },
    { { "^onnx::Conv_1896", "^side6.weight" }, NULL, "ISNet, which cuts out", HAS_ISNET, NULL, false },
    { { "squeeze_module.", "bb.layers." }, NULL, "BiRefNet", HAS_BEN2, TAKE_BEN2, false },
    /* the rest */
    { { "dreamo_task_embedding" }, NULL, "DreamO embedding tables", 0, NULL, true },
    { { "body.0.rdb1." }, NULL, "upscaler (ESRGAN)", 0, NOT_A_PART, false },
    { { "model.1.sub.0.RDB1." }, NULL, "upscaler (ESRGAN)", 0, NOT_A_PART, false },
};

/* ---- names ---- */

static bool matches(const char *name, const char *part)
{
    size_t n = strlen(name), k = strlen(part);
    if (*part == '^') return strncmp(name, part + 1, k - 1) == 0;
    if (part[k - 1] == '$') return n >= k - 1 && memcmp(name + n - (k - 1), part, k - 1) == 0;
    return strstr(name, part) != NULL;
}

static const st_tensor *find(const st_set *s, const char *part)
{
    for (int i = 0; part && i < s->nfiles; i++)
        for (int k = 0; k < s->files[i].ntensors; k++)
            if (matches(s->files[i].tensors[k].name, part)) return &s->files[i].tensors[k];
    return NULL;
}

static bool counts(const st_set *s, const row *r)
{
    for (int i = 0; i < 3 && r->has[i]; i++)
        if (!find(s, r->has[i])) return false;
    return !find(s, r->not);
}

/* ---- shapes ---- */

/* Blocks of one kind: the greatest number after `part`, and one; 0: none. */
static int blocks(const st_set *s, const char *part)
{
    long most = -1;
    for (int i = 0; i < s->nfiles; i++)
        for (int k = 0; k < s->files[i].ntensors; k++) {
            const char *at = strstr(s->files[i].tensors[k].name, part);
            /* "transformer_blocks." ends "single_transformer_blocks.", too */
            if (!at || (at > s->files[i].tensors[k].name && at[-1] == '_')) continue;
            long n = strtol(at + strlen(part), NULL, 10);
            if (n > most && n < 1000) most = n;
        }
    return (int)most + 1;
}

static int64_t side(const st_tensor *t, int d) { return t && t->rank == 2 && dtype_is_weight(t->type) ? t->shape[d] : 0; }

static bool says_kontext(const st_set *s)
{
    const char *slash = s->name ? strrchr(s->name, '/') : NULL, *name = slash ? slash + 1 : s->name;
    if (name && strcasestr(name, "kontext")) return true;
    static const char *const fields[] = { "modelspec.title", "modelspec.architecture", "general.name", "general.basename" };
    for (size_t i = 0; s->nfiles && i < sizeof fields / sizeof *fields; i++) {
        const char *v = st_meta(&s->files[0], fields[i]);
        if (v && strcasestr(v, "kontext")) return true;
    }
    return false;
}

/* Which of FLUX.1's transformers: the width of the first layer, guidance, the number of blocks. */
static void flux1(const st_set *s, weights_kind *k)
{
    char names[80];
    snprintf(names, sizeof names, "%.79s", k->words + strlen("transformer")); /* of "transformer, BFL's names" */
    const st_tensor *first = find(s, "img_in.weight$"), *last = find(s, "final_layer.linear.weight$");
    if (!first) first = find(s, "x_embedder.weight$");
    if (!last) last = find(s, "^proj_out.weight");
    bool guidance = find(s, "guidance_in.") || find(s, "guidance_embedder."), bfl = find(s, "double_blocks.") || find(s, "single_blocks.");
    int doubles = blocks(s, bfl ? "double_blocks." : "transformer_blocks."), singles = blocks(s, bfl ? "single_blocks." : "single_transformer_blocks.");
    int64_t in = side(first, 1), out = side(last, 0);
    const char *model = "FLUX.1-dev", *of = "";
    char count[48] = "";
    if (in && out && in == 6 * out) {
        model = "FLUX.1 Fill";
        k->instead = "its first layer takes the masked picture, too, which DreamO does not make: " TAKE_DEV;
    } else if (in && out && in == 2 * out) {
        model = "FLUX.1 Canny or Depth";
        k->instead = "its first layer takes a control picture, too, which DreamO does not make: " TAKE_DEV;
    } else if (in && out && in != out) {
        snprintf(count, sizeof count, " with %lld channels in and %lld out", (long long)in, (long long)out);
        model = "FLUX.1";
        k->instead = "FLUX.1 has as many out as in: " TAKE_DEV;
    } else if (says_kontext(s)) {
        model = "FLUX.1 Kontext";
        k->instead = "it places references otherwise than DreamO: " TAKE_DEV;
    } else if (first && last && !guidance) {
        model = "FLUX.1-schnell";
        of = " (no guidance)";
    }
    if (!*count && first && last && (doubles != 19 || singles != 38)) snprintf(count, sizeof count, " with %d + %d blocks", doubles, singles);
    snprintf(k->words, sizeof k->words, "%s transformer%s%s%s", !first || !last ? "FLUX.1" : *count && guidance && !k->instead ? "FLUX.1" : model, of, count, names);
}

/* The latent's channels tell whose autoencoder it is. */
static void vae(const st_set *s, weights_kind *k)
{
    const st_tensor *t = find(s, "decoder.conv_in.weight$");
    int64_t channels = t && t->rank == 4 ? t->shape[1] : 0;
    if (channels == 4 && find(s, "quant_conv.")) {
        snprintf(k->words, sizeof k->words, "Stable Diffusion's autoencoder (4 channels)");
        k->instead = TAKE_VAE;
    } else if (channels == 32 && find(s, "bn.running_mean")) {
        snprintf(k->words, sizeof k->words, "FLUX.2's autoencoder (32 channels)");
        k->instead = TAKE_VAE;
    }
}

/* CLIP-L is 768 wide and reads 77 tokens; what is 1,280 wide is G. */
static void clip(const st_set *s, weights_kind *k)
{
    const st_tensor *t = find(s, "position_embedding.weight$");
    if (!t) t = find(s, "positional_embedding$");
    int64_t width = side(t, 1), positions = side(t, 0);
    if (width == 1280 || width == 1024) {
        snprintf(k->words, sizeof k->words, width == 1280 ? "CLIP-G text encoder" : "CLIP-H text encoder");
        k->instead = TAKE_CLIP;
    } else if (positions == 248) {
        snprintf(k->words, sizeof k->words, "Long-CLIP text encoder (248 positions)");
        k->instead = TAKE_CLIP;
    }
}

static bool is_control_lora(const st_set *s)
{
    const st_tensor *t = find(s, "img_in.lora_A.weight$"), *out = find(s, "final_layer.linear.lora_B.weight$");
    if (!t) t = find(s, "x_embedder.lora_A.weight$");
    return side(t, 1) == 128 || (side(t, 1) && side(out, 0) && side(t, 1) == 2 * side(out, 0));
}

/* ---- the answer ---- */

static weights_kind of_row(const st_set *s, const row *r)
{
    weights_kind k = { .resembles = r->resembles, .instead = r->instead, .adapter = r->adapter };
    snprintf(k.words, sizeof k.words, "%s", r->words);
    if (!k.instead && k.resembles == HAS_DIT) flux1(s, &k);
    if (!k.instead && k.resembles == HAS_VAE) vae(s, &k);
    if (!k.instead && k.resembles == HAS_CLIP) clip(s, &k);
    k.holds = k.instead ? 0 : k.resembles;
    return k;
}

weights_kind kind_of_set(const st_set *s)
{
    weights_kind k = { .words = "tensors of an unknown kind" };
    size_t i = 0, n = sizeof rows / sizeof *rows;
    while (i < n && !counts(s, &rows[i])) i++;
    if (i < n) k = of_row(s, &rows[i]);
    if (k.adapter && is_control_lora(s)) {
        snprintf(k.words, sizeof k.words, "FLUX.1 Canny or Depth as a LoRA");
        k.instead = "it widens the first layer for a control picture, which DreamO does not make: " TAKE_LORA;
    }
    for (; k.holds && i < n; i++) { /* other networks of the same file */
        weights_kind more = counts(s, &rows[i]) ? of_row(s, &rows[i]) : (weights_kind){ 0 };
        if (more.holds & ~k.holds) k.holds |= more.holds;
    }
    k.resembles |= k.holds;
    if (k.holds & (k.holds - 1)) {
        char one[sizeof k.words];
        snprintf(one, sizeof one, "%s", k.words);
        snprintf(k.words, sizeof k.words, "all-in-one checkpoint: %.100s, and more", one);
    }
    if (k.holds && find(s, ".quant_state.bitsandbytes__nf4")) strncat(k.words, ", in NF4 by bitsandbytes", sizeof k.words - strlen(k.words) - 1);
    return k;
}

weights_kind kind_of_weights(const st_file *f)
{
    st_file one = *f;
    const st_set s = { .nfiles = 1, .files = &one, .name = one.path };
    return kind_of_set(&s);
}

/* ---- refusals ---- */

/* "is a", "is an", "holds", or "is" before what has a name of its own. */
static const char *is(const char *words)
{
    static const char *const many[] = { "weights", "tensors", "differences", "DreamO embedding tables" };
    static const char *const none[] = { "Stable Diffusion's", "FLUX.2's", "Wan's", "PuLID's", "LoRA", "LoKr", "LoHa", "OFT", "DoRA",
                                        "(IA)3", "VeRA", "GLoRA", "T-LoRA", "LoCon", "AdaLoRA", "BOFT", "Bone", "MiSS", "C3A", "FourierFT", "WaveFT", "HRA", "LayerNorm",
                                        "RandLoRA", "RoAd", "SHiRA", "VB-LoRA", "BEN2", "RetinaFace", "BiSeNet", "ISNet", "BiRefNet", "CLIP with", "T5 with", "SigLIP", "BERT", "XLM", "FLUX.1 Redux", "FLUX.1 Canny or Depth as" };
    for (size_t i = 0; i < sizeof many / sizeof *many; i++)
        if (strncmp(words, many[i], strlen(many[i])) == 0) return "holds ";
    for (size_t i = 0; i < sizeof none / sizeof *none; i++)
        if (strncmp(words, none[i], strlen(none[i])) == 0) return "is ";
    return strchr("AEIOUaeiou", *words) ? "is an " : "is a ";
}

static const char *wanted_words(int wanted)
{
    return wanted == HAS_DIT ? "a FLUX.1 transformer" : wanted == HAS_T5 ? "a T5 encoder" : wanted == HAS_CLIP ? "a CLIP text encoder"
         : wanted == HAS_VAE ? "an autoencoder" : wanted == HAS_JUDGE ? "a judge" : wanted == HAS_MATTING ? "a matting network" : wanted == HAS_ANY ? "a model" : wanted == HAS_BEN2 ? "BEN2"
         : wanted == HAS_RETINAFACE ? "RetinaFace" : wanted == HAS_BISENET ? "BiSeNet" : wanted == HAS_ISNET ? "ISNet" : "a FLUX.1 transformer or T5 encoder";
}

static const char *wanted_instead(int wanted)
{
    return wanted == HAS_T5 ? TAKE_T5 : wanted == HAS_CLIP ? TAKE_CLIP : wanted == HAS_VAE ? TAKE_VAE : wanted == HAS_JUDGE ? TAKE_JUDGE : wanted == HAS_MATTING ? TAKE_MATTING : wanted == HAS_BEN2 ? TAKE_BEN2
         : wanted == HAS_RETINAFACE ? TAKE_RETINAFACE : wanted == HAS_BISENET ? TAKE_BISENET : wanted == HAS_ISNET ? TAKE_ISNET : TAKE_DEV;
}

dreamo_status kind_refuse(const st_set *s, const char *path, int wanted, dreamo_error *err)
{
    weights_kind k = kind_of_set(s);
    bool known = k.resembles || k.instead || k.adapter;
    if (!known || k.holds & wanted) return DREAMO_OK; /* what has no name is told tensor by tensor */
    fail(err, DREAMO_FORMAT, "%s: %s%s, not %s", path, is(k.words), k.words, wanted_words(wanted));
    return hint(err, "%s", k.adapter && !k.instead ? "give it as a LoRA: --lora FILE" : k.instead && k.resembles & wanted ? k.instead : wanted_instead(wanted));
}

dreamo_status kind_refuse_adapter(const st_file *f, dreamo_error *err)
{
    weights_kind k = kind_of_weights(f);
    if (k.adapter ? !k.instead : !(k.resembles || k.instead)) return DREAMO_OK;
    fail(err, k.adapter ? DREAMO_MISMATCH : DREAMO_FORMAT, "%s: %s%s, not %s", f->path, is(k.words), k.words,
         k.adapter ? "an adapter that is applied here" : "a LoRA");
    return hint(err, "%s", k.instead ? k.instead : "a part of a model is given by --dit, --t5, --clip or --vae");
}
