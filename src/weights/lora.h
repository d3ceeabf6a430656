/* lora.h - adapter files: read, check against the model, attach to its weights (spec 2.7-2.10).
 *
 * LoRA in every naming is applied when a layer is multiplied; only a small layer's whose pair is not much thinner than the layer may be merged (lora_merge_thick).  LoKr, LoHa, OFT, DoRA and plain differences have no such form:
 * they are changes (lora/change.h), merged into copies of layers (lora/merge.h).  A file may adapt the text encoders, too, and may carry
 * DreamO's three embedding tables (spec 2.1).  A file made for another model is refused; keys that mean nothing here are listed. */
#ifndef WEIGHTS_LORA_H
#define WEIGHTS_LORA_H
#include "base/error.h"
#include "weights/tables.h"
#include "weights/lora/change.h"
#include "weights/lora/names.h"

typedef struct lora_module {
    adapter a;
    weight *w;                   /* the weight it belongs to */
    char *stem;                  /* its name in the file, without role */
    const char *suffix_A, *suffix_B; /* stem + suffix = the file's tensor names */
    bool merge;                  /* into a copy of the layer, as a change is */
} lora_module;

/* What is added to a bias or a norm's gain: factor * add. */
typedef struct lora_vector { const float **place; int n; const float *add; float factor; } lora_vector;

typedef struct lora_file {
    char *path;
    float scale;
    char sha256[65];             /* of the whole file */
    int nmodules, nchanges, nvectors;
    lora_module *modules;
    lora_change *changes;
    lora_vector *vectors;
    float *values;               /* every A and B, fp32, and what the changes need */
    char *names;                 /* every stem */
    dreamo_tables tables;        /* pointers NULL when the file has none */
    bool ranks_differ;           /* and no alpha is said: diffusers up to 0.33.1 gives all modules the first one's rank */
    char *warning;               /* what is in the file and not used, or does nothing; NULL: none */
} lora_file;

/* A model folder's own, dreamo/NAME.safetensors, in the order in which they are applied: DreamO's adapter, then what was trained on top of it. */
enum { LORA_OWN = 4 };
extern const char *const lora_own[LORA_OWN];

/* The networks that a file may adapt; text encoders NULL: what is for them is told as not used. */
typedef struct lora_networks { dit *dit; clip *clip; t5 *t5; } lora_networks;

/* Read PATH for these networks.  Nothing is attached yet.  On failure *out is zeroed. */
dreamo_status lora_open_all(const char *path, float scale, const lora_networks *n, lora_file *out, dreamo_error *err);
/* For the transformer alone; text_width: columns of the T5 encoder that the file's table must fit. */
dreamo_status lora_open(const char *path, float scale, dit *m, int text_width, lora_file *out, dreamo_error *err);
void          lora_close(lora_file *f); /* detach first; a zeroed file is allowed */
/* Pairs that cost a product a quarter as much as their layer's rows and more, as those of small models do, are to be merged: the sum is the same but for rounding. */
void          lora_merge_thick(lora_file *f);
void          lora_attach(lora_file *f); /* the modules' adapters go to the end of their weights' lists; changes and what is to be merged are lora_merge's */
void          lora_detach(lora_file *f);
#endif
