/* manifest.h - what each preset needs: a table, in manifest.c. */
#ifndef FETCH_MANIFEST_H
#define FETCH_MANIFEST_H
#include "base/error.h"

typedef struct manifest_repository {
    const char *name, *licence;
    bool gated;
    bool releases;      /* files of releases on GitHub, TAG/FILE; else of the hub */
} manifest_repository;

typedef struct manifest_file {
    const manifest_repository *from;
    const char *file;   /* name in the repository */
    const char *path;   /* name below the model folder; NULL: the same */
    uint64_t listed;    /* bytes as published, mostly rounded to three digits; 0: not known */
    const char *sha256; /* NULL: not known */
    unsigned only;      /* FOR_... : the choices that need it; 0: all */
} manifest_file;

enum { MANIFEST_MOST = 64 }; /* no choice has more files */
enum { FOR_V1 = 1, FOR_V11 = 2, FOR_TURBO = 4, FOR_BF16 = 8, FOR_FP16 = 16, FOR_FP8 = 32, FOR_PREP = 64 };

/* The bits of a preset ("v1.1", "v1", "prep"; NULL: v1.1), the turbo adapter and a T5 copy ("bf16", "fp16", "fp8"; NULL: bf16); DREAMO_ARG. */
dreamo_status manifest_choose(const char *preset, bool turbo, const char *t5, unsigned *choice, dreamo_error *err);
/* The files of a choice in order, grouped by repository: start with NULL; NULL ends it. */
const manifest_file *manifest_next(const manifest_file *after, unsigned choice);
const char          *manifest_path(const manifest_file *f);
#endif
