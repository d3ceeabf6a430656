/* recipe.h - a training run's every number, read from a file of `name = value` lines.
 *
 * `#` begins a comment, [headings] are for the reader.  Unknown names, doubled names, values that are not what the name
 * wants: refused with the line's number and what is allowed.  One table (recipe.c) knows names, ranges and defaults. */
#ifndef TRAIN_RECIPE_H
#define TRAIN_RECIPE_H
#include <stdbool.h>
#include "base/error.h"
#include "train/flow/flow.h"
#include "train/lr.h"
#include "train/mixture.h"
#include "train/optimizer.h"

typedef enum train_stage { STAGE_VAE, STAGE_BASE, STAGE_ADAPTER, STAGE_CFG, STAGE_SFT, STAGE_DPO, STAGE_JUDGE, STAGE_MATTING } train_stage;
typedef enum vae_init { INIT_PLAIN, INIT_PCA } vae_init;
typedef enum products { PRODUCTS_FP32, PRODUCTS_BF16 } products; /* what a step's products round their operands to */
typedef enum adapter_begin { BEGIN_FRESH, BEGIN_MODEL } adapter_begin; /* MODEL: as the model folder's dreamo/dreamo.safetensors has it; cfg, sft, dpo: dreamo/NAME.safetensors */
typedef enum lora_layers { LAYERS_ATTENTION, LAYERS_ALL } lora_layers; /* of the blocks: DreamO's, or MLPs and modulation too */

typedef struct recipe {
    train_stage stage;
    /* steps and samples */
    int64_t steps, batch, micro;             /* a step = `batch` samples, computed `micro` at a time */
    int64_t seed;
    bool checkpoint;                         /* recompute blocks on the way back: less memory, a third more time */
    products products;
    /* optimizer */
    optimizer_kind optimizer;
    lr_schedule lr;
    adamw adamw;
    double ema;                              /* decay of the running average; 0 = none */
    int64_t ema_every;                       /* update it every so many steps */
    int64_t max_skips;                       /* so many steps in a row without finite gradients end the run */
    /* files */
    int64_t log_every, save_every, keep, sample_every, samples, validate_every, validation;
    bool export_bf16;                        /* exported weights are stored as bf16 */
    /* data */
    mixture kinds, pictures, ref_sides;      /* of the targets and of the references */
    int64_t distil;                          /* in a plan: pictures of the frozen base that are made first, and trained on instead of the data */
    double text_dropout;                     /* the caption becomes empty */
    double ref_dropout, one_dropout;         /* no reference at all; of several, one is left out */
    double placeholders;                     /* share of captions with [ref#k] where there are several references (paper: 0.5) */
    double subject_weight;                   /* how much more a token of the subject counts in the loss */
    /* flow matching */
    flow flow;
    /* autoencoder */
    vae_init init;
    double kl, edges;
    bool decoder_only;                       /* the encoder stays: what was trained on its latents stays right */
    bool even_channels;                      /* export: one variance for all channels of the latent, */
    double visible_channels;                 /* then turned and scaled by what pictures show of them, to this power (latent_basis.h) */
    /* adapter */
    adapter_begin begin;
    int64_t rank;                            /* of a fresh adapter */
    lora_layers layers;                      /* of a LoRA that comes after DreamO's */
    double guidance;                         /* told to the guidance embedder, where there is one */
    mixture rejected;                        /* dpo: kinds of the targets that are worse; auto: the sample's own kind */
    double cfg_scale, cfg_above, dpo_beta;   /* of the teacher, which guides where there is more noise than that; of the preferences */
    double routing_loss, placeholder_loss;   /* weights of both */
    double same_size;                        /* of composed training samples, the share whose subjects have the reference's size and are moved by whole tokens */
    double ref_tokens;                       /* share of a reference's tokens that is shown, at random */
    bool self_reference;                     /* the reference is the target itself */
    double ref_crop;                         /* ... or a rectangle of its tokens, whose sides are this share of its own, or more, */
    double ref_scale;                        /* shown smaller or larger by up to this factor */
    double token_dropout;                    /* share of picture tokens that pass the middle single blocks by */
    double label_weight;                     /* judge: of what captions say beside what references show */
    bool train_tables;                       /* task and index rows; a fresh adapter has none without */
    bool train_t5_rows;                      /* the rows of [ref#1] to [res] */
} recipe;

void          recipe_defaults(recipe *r);
dreamo_status recipe_read(const char *path, recipe *r, dreamo_error *err);

/* A plan is a recipe with headings [stage NAME]: what stands before the first is common to all stages, what stands below one is that
 * stage's own and goes before. */
#define RECIPE_STAGES 16
typedef struct recipe_stages { int n; char name[RECIPE_STAGES][32]; } recipe_stages;
dreamo_status recipe_list_stages(const char *path, recipe_stages *out, dreamo_error *err); /* n 0: not a plan */
dreamo_status recipe_read_stage(const char *path, const char *stage, recipe *r, dreamo_error *err);
/* "name=value" from the command line; `where` begins the message. */
dreamo_status recipe_override(recipe *r, const char *assignment, dreamo_error *err);
/* Combinations that no single line can get wrong. */
dreamo_status recipe_check(const recipe *r, dreamo_error *err);
/* Every name with its value, as a recipe file; mem_free.  NULL: no memory. */
char         *recipe_write(const recipe *r);
#endif
