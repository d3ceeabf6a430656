/* kind.h - what a file of tensors is, by the names and shapes in it.
 *
 * One table of kinds, which `info`, every refusal, folders of files and models given as one file share.  A kind that is not taken says what to
 * take instead. */
#ifndef WEIGHTS_KIND_H
#define WEIGHTS_KIND_H
#include "format/safetensors.h"

/* Networks that a file holds weights of; a bit each. */
enum { HAS_DIT = 1, HAS_T5 = 2, HAS_CLIP = 4, HAS_VAE = 8, HAS_ANY = 15, HAS_JUDGE = 16, HAS_BEN2 = 32, HAS_RETINAFACE = 64, HAS_BISENET = 128, HAS_ISNET = 256, HAS_MATTING = 512,
       HAS_PREP = HAS_BEN2 | HAS_RETINAFACE | HAS_BISENET | HAS_ISNET };

typedef struct weights_kind {
    char words[160];     /* "FLUX.1-dev transformer, BFL's names" */
    int holds;           /* HAS_...: of what it can be taken for; 0: a LoRA, tables, something else */
    int resembles;       /* HAS_...: of what it is a relative of, taken or not */
    const char *instead; /* why it is not taken and what is; NULL: it is taken */
    bool adapter;        /* it changes a model */
} weights_kind;
weights_kind kind_of_weights(const st_file *f);
weights_kind kind_of_set(const st_set *s);

/* "PATH: is X; take Y" for what is not taken, or is none of `wanted` (HAS_...), and DREAMO_OK for all else. */
dreamo_status kind_refuse(const st_set *s, const char *path, int wanted, dreamo_error *err);
/* The same for a file that is to be a LoRA. */
dreamo_status kind_refuse_adapter(const st_file *f, dreamo_error *err);
#endif
