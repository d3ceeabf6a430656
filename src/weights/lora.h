/* lora.h - LoRA files: read, check against the model, attach to its weights (spec 2.7-2.10).
 *
 * A file may also carry DreamO's three embedding tables (spec 2.1).  Adapters are applied when a layer is multiplied,
 * nothing is merged.  A file made for another model is refused; keys that mean nothing here are listed. */
#ifndef WEIGHTS_LORA_H
#define WEIGHTS_LORA_H
#include "base/error.h"
#include "weights/tables.h"
#include "weights/lora_names.h"

typedef struct lora_module {
    adapter a;
    weight *w;                   /* the weight it belongs to */
    char *stem;                  /* its name in the file, without role */
    const char *suffix_A, *suffix_B; /* stem + suffix = the file's tensor names */
} lora_module;

typedef struct lora_file {
    char *path;
    float scale;
    char sha256[65];             /* of the whole file */
    int nmodules;
    lora_module *modules;
    float *values;               /* every A and B, fp32 */
    char *names;                 /* every stem */
    dreamo_tables tables;        /* pointers NULL when the file has none */
    char *warning;               /* keys that match nothing, dropped DoRA vectors; NULL: none */
} lora_file;

/* Read PATH for model m, whose T5 has text_width columns.  Nothing is attached yet.  On failure *out is zeroed. */
dreamo_status lora_open(const char *path, float scale, dit *m, int text_width, lora_file *out, dreamo_error *err);
void          lora_close(lora_file *f); /* detach first; a zeroed file is allowed */
void          lora_attach(lora_file *f); /* adapters go to the end of their weights' lists */
void          lora_detach(lora_file *f);
#endif
