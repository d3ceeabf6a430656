/* alpha.h - how strong an adapter is meant to be, where its file says so beside its tensors.
 *
 * kohya and DreamO store a tensor "alpha" with each module.  diffusers since 0.34 and SimpleTuner write PEFT's configuration into the file's
 * metadata ("lora_adapter_metadata": r, lora_alpha, patterns of both, use_rslora), PEFT into adapter_config.json beside the file, others a single
 * number ("ss_network_alpha", "lora_alpha"). */
#ifndef WEIGHTS_LORA_ALPHA_H
#define WEIGHTS_LORA_ALPHA_H
#include <jansson.h>
#include "format/safetensors.h"

typedef struct lora_alphas {
    json_t *config;        /* PEFT's fields, for each network ("transformer.lora_alpha") or for all; NULL: none */
    double number;         /* for all modules; NAN: none */
    const char *unknown;   /* a field that speaks of an alpha and is none of these; NULL: none.  Borrowed from the file */
} lora_alphas;

dreamo_status lora_alphas_read(const st_file *f, lora_alphas *out, dreamo_error *err);
void          lora_alphas_free(lora_alphas *a); /* zeroed ones are allowed */
/* Alpha of the module with this stem ("transformer.single_transformer_blocks.0.attn.to_k") and rank, so that the scale is alpha / rank; NAN:
 * not said. */
double        lora_alpha_of(const lora_alphas *a, const char *stem, int rank);
/* The rank that PEFT's configuration gives the module, for what its tensors do not show (a LoKr of two whole factors); 0: not said. */
int           lora_rank_of(const lora_alphas *a, const char *stem);
#endif
