/* lora_names.h - which layer of the transformer a LoRA file's key means.
 *
 * The world names the same layers in two ways (diffusers' and BFL's), spells them with dots or underscores, and puts
 * half a dozen prefixes before them (spec 1.2, 2.8, 2.9).  One table of names knows them all. */
#ifndef WEIGHTS_LORA_NAMES_H
#define WEIGHTS_LORA_NAMES_H
#include "model/dit.h"

/* What a tensor of a LoRA file is to its layer. */
typedef enum lora_role { LORA_OTHER, LORA_A, LORA_B, LORA_ALPHA, LORA_DORA } lora_role;

/* Splits KEY into stem and role: the stem is its first *stem_nbytes bytes. */
lora_role lora_split_key(const char *key, size_t *stem_nbytes);

typedef enum lora_found { LORA_UNKNOWN, LORA_FOUND, LORA_NO_BLOCK /* the layer exists, in a larger model */ } lora_found;

typedef struct lora_target {
    weight *w;
    int row0, rows;      /* the rows of w that the LoRA adapts */
    bool swapped;        /* its rows come in BFL's order, shift then scale: swap the halves of B (spec 1.3) */
    bool diffusers;      /* named in diffusers' way, where the alpha rules of spec 2.9 hold */
} lora_target;

/* stem: "transformer.transformer_blocks.0.attn.to_q", "lora_unet_double_blocks_0_img_attn_qkv", ... */
lora_found lora_find(dit *m, const char *stem, lora_target *out);
#endif
