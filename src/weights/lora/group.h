/* group.h - inside of the adapter reader: keys become groups (group.c), groups become what is applied (lora.c). */
#ifndef WEIGHTS_LORA_GROUP_H
#define WEIGHTS_LORA_GROUP_H
#include "format/safetensors.h"
#include "weights/lora.h"
#include "weights/lora/alpha.h"

/* One tensor of the file, with its key taken apart. */
typedef struct lora_key { const st_tensor *t; size_t stem; lora_role role; } lora_key;

typedef enum lora_method { LORA, LOKR, LOHA, OFT, PEFT_OFT, DIFFERENCE, BIAS_ONLY, METHODS } lora_method;

/* All tensors of one stem. */
typedef struct lora_group {
    const char *name;        /* begins with the stem */
    size_t stem;
    const st_tensor *t[LORA_ROLES];
    lora_method method;
    int rank;                /* that alpha is divided by; 0: the method has no alpha */
    lora_target target;
    float alpha;             /* NAN: none given */
} lora_group;

/* Tensors that have one thing in common: how many, and the first few by name. */
typedef struct lora_leftover { int n; char names[400]; } lora_leftover;

typedef struct lora_reader {
    const char *path;
    lora_networks to;
    st_file file;
    int nkeys, ngroups;
    lora_key *keys;
    lora_group *groups;
    lora_alphas alphas;
    lora_leftover unmatched, text; /* no layer has such a name; no text encoder is here */
    int zeros;               /* modules whose numbers are all 0 where no training leaves them so */
    float *values;           /* room that is given out */
} lora_reader;

/* All tensors of the file by their layers and methods, shapes checked, alphas where a tensor says them. */
dreamo_status lora_group_keys(lora_reader *r, dreamo_error *err);
#endif
