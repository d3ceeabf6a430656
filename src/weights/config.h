/* config.h - the config.json files of a model folder into the networks' config structs.
 *
 * Sizes come from here and from nowhere else.  A field that would change what a network computes in a way that
 * is not implemented is refused by name. */
#ifndef WEIGHTS_CONFIG_H
#define WEIGHTS_CONFIG_H
#include "base/error.h"
#include "model/clip.h"
#include "model/dit.h"
#include "model/judge.h"
#include "model/matting.h"
#include "model/t5.h"
#include "model/vae.h"

dreamo_status config_pipeline(const char *path, dreamo_error *err);             /* model_index.json: must be a FluxPipeline's */
dreamo_status config_dit(const char *path, dit_config *c, dreamo_error *err);   /* transformer/config.json */
dreamo_status config_vae(const char *path, vae_config *c, dreamo_error *err);   /* vae/config.json */
dreamo_status config_t5(const char *path, t5_config *c, dreamo_error *err);     /* text_encoder_2/config.json */
dreamo_status config_clip(const char *path, clip_config *c, dreamo_error *err); /* text_encoder/config.json */
dreamo_status config_matting(const char *path, matting_config *c, dreamo_error *err); /* matting/config.json */
dreamo_status config_judge(const char *path, judge_config *c, dreamo_error *err); /* judge/config.json: sizes, and how many labels its groups list */
#endif
