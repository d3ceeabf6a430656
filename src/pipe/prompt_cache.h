/* prompt_cache.h - embeddings of prompts seen before, in a folder: encoding a prompt by T5-XXL takes as long as several steps.
 *
 * A file is one prompt of one model: its name is a hash over the ids, the encoders' files, the adapters and the backend.  Embeddings come back bit
 * for bit.  What cannot be read, or does not match its hash, is made again. */
#ifndef PIPE_PROMPT_CACHE_H
#define PIPE_PROMPT_CACHE_H
#include "pipe/prompt.h"

/* True: p->embeds and p->pooled are those of an earlier run. */
bool          prompt_cache_read(const dreamo_model *m, prompt *p);
dreamo_status prompt_cache_write(const dreamo_model *m, const prompt *p, dreamo_error *err);
#endif
