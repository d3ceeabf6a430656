/* parts.h - a folder of single weight files, as ComfyUI's users keep them. */
#ifndef WEIGHTS_PARTS_H
#define WEIGHTS_PARTS_H
#include "base/error.h"

typedef struct parts { char *dit, *t5, *clip, *vae; } parts; /* paths; NULL: not found */

/* Look at every .safetensors, .sft and .gguf file of the folder and of its folders, by content.  Two files for one part are refused by
 * name (DREAMO_ARG): which is meant?  LoRAs and unknown files are passed over, and so are the
 * parts of `given` (HAS_ of kind.h), which come from elsewhere. */
dreamo_status parts_find(const char *folder, int given, parts *out, dreamo_error *err);
void          parts_free(parts *p);
#endif
