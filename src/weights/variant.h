/* variant.h - the published LoRA sets of DreamO (spec 2.7): which files, in which order, with which weights. */
#ifndef WEIGHTS_VARIANT_H
#define WEIGHTS_VARIANT_H
#include "dreamo.h"
#include "format/safetensors.h"

enum { VARIANT_MOST = 6 };
typedef struct variant { int n; dreamo_lora lora[VARIANT_MOST]; int steps; double guidance; } variant; /* paths are owned */

/* name: "v1" or "v1.1".  folder: where DreamO's files lie, under their published names.  The turbo LoRA may lie beside them under its own
 * published name, in a folder of its repository's name, or as turbo.safetensors.  A file that is missing is named (DREAMO_NOT_FOUND). */
dreamo_status variant_find(const char *name, bool turbo, const char *folder, variant *out, dreamo_error *err);
/* The same for a model and its transformer's files.  folder NULL: MODEL/dreamo.  Refuses a transformer that has LoRAs in it (DREAMO_MISMATCH). */
dreamo_status variant_for(const char *name, bool turbo, const char *folder, const char *model, const st_set *transformer, variant *out,
                          dreamo_error *err);
const char   *variant_fused(const st_set *transformer); /* which LoRAs those are, as dreamo_convert wrote it; NULL: none */
void          variant_free(variant *v);
#endif
