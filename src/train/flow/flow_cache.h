/* flow_cache.h - what frozen encoders make of fixed data, kept in a folder: latents by the picture's pixels, text by the caption's ids.
 *
 * With given pictures the same are encoded in every epoch; FLUX's autoencoder and T5-XXL cost as much as a step of the adapter, and T5 as much
 * memory as the base.  Losses are those of a run without it, bit for bit.
 *
 * The trap: rows of [ref#1] to [res] are the adapter's, in training or not.  A caption that has one is encoded by T5 in each step, with
 * its gradient, and never kept; CLIP has no such rows. */
#ifndef TRAIN_FLOW_CACHE_H
#define TRAIN_FLOW_CACHE_H
#include "train/flow/flow_batch.h"
#include "train/stages/stage.h"

typedef struct flow_cache {
    const char *folder;                              /* NULL: nothing is kept */
    bool texts;                                      /* the text encoders are frozen, too */
    char of_vae[65], of_t5[65], of_clip[65];         /* hashes of their files */
} flow_cache;

/* With s->cache: refused for samples that are composed anew each time. */
dreamo_status flow_cache_open(stage *s, flow_cache *c, bool texts, dreamo_error *err);

/* A picture's tokens [rows, channels]. */
void          flow_cache_picture_key(const flow_cache *c, const bitmap *b, char key[65]);
bool          flow_cache_read_tokens(const flow_cache *c, const char *key, int rows, int channels, float *tokens);
dreamo_status flow_cache_write_tokens(const flow_cache *c, const char *key, int rows, int channels, float *tokens, dreamo_error *err);

/* After the batch's ids are filled: what is kept goes into b->kept, what is not is made and written. */
dreamo_status flow_cache_texts(stage *s, const flow_cache *c, flow_batch *b, dreamo_error *err);
#endif
