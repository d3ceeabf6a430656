/* kind.c - names that only one kind of file has. */
#include "weights/kind.h"
#include <string.h>

/* The first match counts. */
static const struct { const char *part; weights_kind kind; } kinds[] = {
    { "processor_qkv_lora", { "DreamO LoRA", 0 } },
    { ".processor.qkv_lora", { "DreamO LoRA (dots)", 0 } },
    { "lora_unet_", { "LoRA in kohya's naming", 0 } },
    { "lora_transformer_", { "LoRA in kohya's naming (diffusers' modules)", 0 } },
    { ".lora_A.", { "LoRA in PEFT's naming", 0 } },
    { ".lora_down.", { "LoRA", 0 } },
    { "model.diffusion_model.double_blocks.", { "FLUX transformer, ComfyUI's prefix and BFL's names", HAS_DIT } },
    { "single_transformer_blocks.", { "FLUX transformer, diffusers' names", HAS_DIT } },
    { "single_blocks.", { "FLUX transformer, BFL's names", HAS_DIT } },
    { "transformer_blocks.", { "FLUX transformer, diffusers' names (a shard)", HAS_DIT } },
    { "decoder.up_blocks.", { "autoencoder, diffusers' names", HAS_VAE } },
    { "decoder.up.", { "autoencoder, BFL's names", HAS_VAE } },
    { "text_model.encoder.", { "CLIP text encoder", HAS_CLIP } },
    { "SelfAttention", { "T5 encoder", HAS_T5 } },
    { "enc.blk.", { "T5 encoder, llama.cpp's names", HAS_T5 } },
    { "dreamo_task_embedding", { "DreamO embedding tables", 0 } },
};

static bool any(const st_file *f, const char *part)
{
    for (int i = 0; i < f->ntensors; i++)
        if (strstr(f->tensors[i].name, part)) return true;
    return false;
}

weights_kind kind_of_weights(const st_file *f)
{
    weights_kind k = { "tensors of an unknown kind", 0 };
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (any(f, kinds[i].part)) {
            k = kinds[i].kind;
            break;
        }
    if (!k.holds) return k;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (any(f, kinds[i].part)) k.holds |= kinds[i].kind.holds;
    if (k.holds & (k.holds - 1)) k.words = "all-in-one checkpoint";
    return k;
}
