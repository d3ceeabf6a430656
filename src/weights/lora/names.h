/* names.h - which layer of the transformer a LoRA file's key means.
 *
 * The world names the same layers in two ways (diffusers' and BFL's), spells them with dots or underscores, and puts
 * half a dozen prefixes before them (spec 1.2, 2.8, 2.9).  One table of names knows them all. */
#ifndef WEIGHTS_LORA_NAMES_H
#define WEIGHTS_LORA_NAMES_H
#include "model/clip.h"
#include "model/dit.h"
#include "model/t5.h"

/* What a tensor of an adapter's file is to its layer. */
typedef enum lora_role {
    LORA_A, LORA_B, LORA_B_BIAS, LORA_ALPHA,
    LORA_MAGNITUDE,                                        /* DoRA's: the length of each row (or column) of what comes out */
    LOKR_W1, LOKR_W1_A, LOKR_W1_B, LOKR_W2, LOKR_W2_A, LOKR_W2_B,
    LOHA_W1_A, LOHA_W1_B, LOHA_W2_A, LOHA_W2_B,
    OFT_BLOCKS, OFT_RESCALE,                               /* LyCORIS and kohya: rows are rotated */
    OFT_R, OFT_S,                                          /* PEFT: columns are */
    LORA_DIFF, LORA_DIFF_BIAS,                             /* the change itself */
    LORA_ROLES,
    LORA_OTHER                                             /* none of these */
} lora_role;

/* Splits KEY into stem and role: the stem is its first *stem_nbytes bytes. */
lora_role lora_split_key(const char *key, size_t *stem_nbytes);
/* The method that a key belongs to which is not applied here ("GLoRA"); NULL: none that is known. */
const char *lora_foreign_key(const char *key);

typedef enum lora_found { LORA_UNKNOWN, LORA_FOUND, LORA_NO_BLOCK /* the layer exists, in a larger model */ } lora_found;

typedef struct lora_target {
    weight *w;           /* NULL: a vector, of n numbers */
    const float **vector;
    int n;
    int row0, rows;      /* the rows of w that the LoRA adapts */
    bool swapped;        /* its rows come in BFL's order, shift then scale: swap the halves of B (spec 1.3) */
    bool diffusers;      /* named in diffusers' way, where the alpha rules of spec 2.9 hold */
} lora_target;

/* stem: "transformer.transformer_blocks.0.attn.to_q", "lora_unet_double_blocks_0_img_attn_qkv", ... */
lora_found lora_find(dit *m, const char *stem, lora_target *out);
/* The same in the text encoders: "lora_te1_text_model_encoder_layers_0_mlp_fc1", "text_encoder_2.encoder.block.0.layer.0.SelfAttention.q", ... */
lora_found lora_find_text(clip *c, t5 *t, const char *stem, lora_target *out);
bool       lora_is_text(const char *stem); /* it means a text encoder, known here or not */
#endif
