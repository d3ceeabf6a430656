/* kind.h - what a file of tensors is, by the names in it. */
#ifndef WEIGHTS_KIND_H
#define WEIGHTS_KIND_H
#include "format/safetensors.h"

/* Networks that a file holds weights of; a bit each. */
enum { HAS_DIT = 1, HAS_T5 = 2, HAS_CLIP = 4, HAS_VAE = 8 };

typedef struct weights_kind {
    const char *words;   /* "FLUX transformer, BFL's names" */
    int holds;           /* HAS_...; 0: a LoRA, tables, something else */
} weights_kind;
weights_kind kind_of_weights(const st_file *f);
#endif
