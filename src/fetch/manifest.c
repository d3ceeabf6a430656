/* manifest.c - the files of FLUX.1-dev and DreamO that each preset needs (spec 9, 2.7), and those of the networks that prepare references.
 *
 * Sizes are those that the hub lists, rounded; 0 stands where none is known.  A checksum stands here only where we hold the
 * very file, which are the vocabularies, or where many publish the same; for large files the hub tells one with its answer (download.c). */
#include "fetch/manifest.h"
#include <string.h>

static const manifest_repository
    flux     = { "black-forest-labs/FLUX.1-dev", "FLUX.1 [dev] non-commercial licence", true, false },
    encoders = { "comfyanonymous/flux_text_encoders", "T5 v1.1: Apache-2.0", false, false },
    adapters = { "ByteDance/DreamO", "Apache-2.0", false, false },
    turbo    = { "alimama-creative/FLUX.1-Turbo-Alpha", "FLUX.1 [dev] non-commercial licence", false, false },
    cutter   = { "PramaLLC/BEN2", "MIT", false, false },
    faces    = { "xinntao/facexlib", "MIT; the parser was trained on CelebAMask-HQ, for research", false, true };

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

    { &cutter, "model.safetensors", "ben2.safetensors", 380577976, "ea8b7907176a09667c86343dc7d00de6a6d871076cb90bb5f753618fd6fb3ebb", FOR_PREP },
    { &faces, "v0.1.0/detection_Resnet50_Final.pth", "detection_Resnet50_Final.pth", 109497761, "6d1de9c2944f2ccddca5f5e010ea5ae64a39845a86311af6fdf30841b0a5a16d", FOR_PREP },
    { &faces, "v0.2.0/parsing_bisenet.pth", "parsing_bisenet.pth", 53289463, "468e13ca13a9b43cc0881a9f99083a430e9c0a38abd935431d1c28ee94b26567", FOR_PREP },
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
    if (preset && strcmp(preset, "prep") == 0) {
        *choice = FOR_PREP;
        return DREAMO_OK;
    }
    if (!set) return fail(err, DREAMO_ARG, "preset \"%s\" is none of v1.1, v1, prep", preset);
    if (!copy) return fail(err, DREAMO_ARG, "t5 \"%s\" is none of bf16, fp16, fp8", t5);
    *choice = set | copy | (with_turbo ? FOR_TURBO : 0);
    return DREAMO_OK;
}

/* What prepares references is a choice of its own. */
static bool belongs(const manifest_file *f, unsigned choice)
{
    bool prep = f->only & FOR_PREP;
    if (choice == ~0u) return true;
    return prep == !!(choice & FOR_PREP) && (!f->only || f->only & choice);
}

const manifest_file *manifest_next(const manifest_file *after, unsigned choice)
{
    const manifest_file *end = files + sizeof files / sizeof *files;
    for (const manifest_file *f = after ? after + 1 : files; f < end; f++)
        if (belongs(f, choice)) return f;
    return NULL;
}

const char *manifest_path(const manifest_file *f) { return f->path ? f->path : f->file; }
