/* write.h - a LoRA under the names of another program.
 *
 *   dreamo     double_blocks_0_processor_qkv_lora1.down.weight ...   q, k, v of attention fused, no alpha (spec 2.8)
 *   diffusers  transformer.transformer_blocks.0.attn.to_q.lora_A.weight ...   q, k, v apart; as PEFT names them (spec 2.9)
 *   kohya      lora_unet_double_blocks_0_img_attn_qkv.lora_down.weight ...   BFL's layers, with alpha
 *   embedding  DreamO's three tables alone
 *
 * What one naming fuses and another keeps apart is cut or joined without changing a product B A: one A under three names, several A below
 * each other with a block-diagonal B, zeros for rows that a LoRA leaves alone.  Tables go with `dreamo` and `embedding`; the other
 * programs refuse files that hold them. */
#ifndef WEIGHTS_LORA_WRITE_H
#define WEIGHTS_LORA_WRITE_H
#include "weights/lora.h"

typedef enum lora_naming { NAMING_DREAMO, NAMING_DIFFUSERS, NAMING_KOHYA, NAMING_EMBEDDING } lora_naming;

int lora_naming_from(const char *word); /* -1: none of them */

/* f was opened for model m, with scale 1.  DREAMO_MISMATCH: it adapts a layer that the naming has no name for. */
dreamo_status lora_write(const char *path, const lora_file *f, dit *m, lora_naming naming, dreamo_error *err);
#endif
