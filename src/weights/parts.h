/* parts.h - a folder of single weight files, as ComfyUI's users keep them, or one file that holds several networks. */
#ifndef WEIGHTS_PARTS_H
#define WEIGHTS_PARTS_H
#include "base/error.h"

typedef struct parts {
    char *dit, *t5, *clip, *vae; /* paths; NULL: not found */
    int passed_over;             /* HAS_ of kind.h: parts of which a relative was seen that cannot be taken */
    char *passed;                /* the first of them, "FILE is a Chroma transformer"; NULL: none */
} parts;

/* Look at every .safetensors, .sft and .gguf file of the folder and of its folders, by content; or at the one file.  Two files for one part are refused
 * by name (DREAMO_ARG): which is meant?  LoRAs and unknown files are passed over, and so are the
 * parts of `given` (HAS_ of kind.h), which come from elsewhere. */
dreamo_status parts_find(const char *path, int given, parts *out, dreamo_error *err);
/* DREAMO_NOT_FOUND when one is neither there nor given: which, and what to do. */
dreamo_status parts_check(const parts *p, const char *path, int given, dreamo_error *err);
int           parts_holds(const parts *p); /* HAS_... */
void          parts_free(parts *p);
#endif
