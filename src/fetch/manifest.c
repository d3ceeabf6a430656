/* manifest.c - the files of FLUX.1-dev and DreamO that each preset needs (spec 9, 2.7).
 *
 * Sizes are those that the hub lists, rounded; 0 stands where none is known.  A checksum stands here only where we hold the
 * very file, which are the vocabularies; for large files the hub tells one with its answer (download.c). */
#include "fetch/manifest.h"
#include <string.h>

static const manifest_repository
    flux     = { "black-forest-labs/FLUX.1-dev", "FLUX.1 [dev] non-commercial licence", true },
    encoders = { "comfyanonymous/flux_text_encoders", "T5 v1.1: Apache-2.0", false },
    adapters = { "ByteDance/DreamO", "Apache-2.0", false },
    turbo    = { "alimama-creative/FLUX.1-Turbo-Alpha", "FLUX.1 [dev] non-commercial licence", false };

#define MB 1000000ull
#define GB 1000000000ull

static const manifest_file files[] = {
    { &flux, "model_index.json", NULL, 0, NULL, 0 },
    { &flux, "scheduler/scheduler_config.json", NULL, 0, NULL, 0 },
    { &flux, "transformer/config.json", NULL, 0, NULL, 0 },
    { &flux, "transformer/diffusion_pytorch_model.safetensors.index.json", NULL, 0, NULL, 0 },
    { &flux, "transformer/diffusion_pytorch_model-00001-of-00003.safetensors", NULL, 998 * GB / 100, NULL, 0 },
    { &flux, "transformer/diffusion_pytorch_model-00002-of-00003.safetensors", NULL, 995 * GB / 100, NULL, 0 },
    { &flux, "transformer/diffusion_pytorch_model-00003-of-00003.safetensors", NULL, 387 * GB / 100, NULL, 0 },
    { &flux, "vae/config.json", NULL, 0, NULL, 0 },
    { &flux, "vae/diffusion_pytorch_model.safetensors", NULL, 168 * MB, NULL, 0 },
    { &flux, "text_encoder/config.json", NULL, 0, NULL, 0 },
    { &flux, "text_encoder/model.safetensors", NULL, 246 * MB, NULL, 0 },
    { &flux, "text_encoder_2/config.json", NULL, 0, NULL, 0 },
    { &flux, "text_encoder_2/model.safetensors.index.json", NULL, 0, NULL, FOR_BF16 },
    { &flux, "text_encoder_2/model-00001-of-00002.safetensors", NULL, 499 * GB / 100, NULL, FOR_BF16 },
    { &flux, "text_encoder_2/model-00002-of-00002.safetensors", NULL, 453 * GB / 100, NULL, FOR_BF16 },
    { &flux, "tokenizer/tokenizer_config.json", NULL, 0, NULL, 0 },
    { &flux, "tokenizer/special_tokens_map.json", NULL, 0, NULL, 0 },
    { &flux, "tokenizer/vocab.json", NULL, 1059962, "e089ad92ba36837a0d31433e555c8f45fe601ab5c221d4f607ded32d9f7a4349", 0 },
    { &flux, "tokenizer/merges.txt", NULL, 524619, "9fd691f7c8039210e0fced15865466c65820d09b63988b0174bfe25de299051a", 0 },
    { &flux, "tokenizer_2/tokenizer_config.json", NULL, 0, NULL, 0 },
    { &flux, "tokenizer_2/special_tokens_map.json", NULL, 0, NULL, 0 },
    { &flux, "tokenizer_2/spiece.model", NULL, 791656, "d60acb128cf7b7f2536e8f38a5b18a05535c9e14c7a355904270e15b0945ea86", 0 },
    { &flux, "tokenizer_2/tokenizer.json", NULL, 2424256, "6cd1badb7467cdab971403bbeb1945070ca385652385a2b6549f672b08089dfc", 0 },

    /* One file instead of FLUX.1-dev's two, under the name that the model loader takes first. */
    { &encoders, "t5xxl_fp16.safetensors", "text_encoder_2/model.safetensors", 979 * GB / 100, NULL, FOR_FP16 },
    { &encoders, "t5xxl_fp8_e4m3fn.safetensors", "text_encoder_2/model.safetensors", 489 * GB / 100, NULL, FOR_FP8 },

    { &adapters, "dreamo.safetensors", "dreamo/dreamo.safetensors", 478 * MB, NULL, 0 },
    { &adapters, "dreamo_cfg_distill.safetensors", "dreamo/dreamo_cfg_distill.safetensors", 478 * MB, NULL, 0 },
    { &adapters, "dreamo_quality_lora_pos.safetensors", "dreamo/dreamo_quality_lora_pos.safetensors", 478 * MB, NULL, FOR_V1 },
    { &adapters, "dreamo_quality_lora_neg.safetensors", "dreamo/dreamo_quality_lora_neg.safetensors", 478 * MB, NULL, FOR_V1 },
    { &adapters, "v1.1/dreamo_sft_lora.safetensors", "dreamo/v1.1/dreamo_sft_lora.safetensors", 0, NULL, FOR_V11 },
    { &adapters, "v1.1/dreamo_dpo_lora.safetensors", "dreamo/v1.1/dreamo_dpo_lora.safetensors", 0, NULL, FOR_V11 },

    { &turbo, "diffusion_pytorch_model.safetensors", "dreamo/FLUX.1-Turbo-Alpha/diffusion_pytorch_model.safetensors", 694 * MB, NULL,
      FOR_TURBO },
};

_Static_assert(sizeof files / sizeof *files <= MANIFEST_MOST, "a list of all files fits its place");

dreamo_status manifest_choose(const char *preset, bool with_turbo, const char *t5, unsigned *choice, dreamo_error *err)
{
    static const struct { const char *name; unsigned bit; } sets[] = { { "v1.1", FOR_V11 }, { "v1", FOR_V1 } },
        copies[] = { { "bf16", FOR_BF16 }, { "fp16", FOR_FP16 }, { "fp8", FOR_FP8 } };
    unsigned set = preset ? 0 : FOR_V11, copy = t5 ? 0 : FOR_BF16;
    for (size_t i = 0; preset && i < sizeof sets / sizeof *sets; i++)
        if (strcmp(preset, sets[i].name) == 0) set = sets[i].bit;
    for (size_t i = 0; t5 && i < sizeof copies / sizeof *copies; i++)
        if (strcmp(t5, copies[i].name) == 0) copy = copies[i].bit;
    if (!set) return fail(err, DREAMO_ARG, "preset \"%s\" is none of v1.1, v1", preset);
    if (!copy) return fail(err, DREAMO_ARG, "t5 \"%s\" is none of bf16, fp16, fp8", t5);
    *choice = set | copy | (with_turbo ? FOR_TURBO : 0);
    return DREAMO_OK;
}

const manifest_file *manifest_next(const manifest_file *after, unsigned choice)
{
    const manifest_file *end = files + sizeof files / sizeof *files;
    for (const manifest_file *f = after ? after + 1 : files; f < end; f++)
        if (!f->only || (f->only & choice)) return f;
    return NULL;
}

const char *manifest_path(const manifest_file *f) { return f->path ? f->path : f->file; }
