/* flux_names.h - the transformer's layers under both their names, diffusers' and BFL's (spec 1.2, 1.3).
 *
 * Our weights keep q, k, v (and a single block's mlp) fused, as BFL's files do; diffusers' name one of them, so a row of the table says which.
 * Weight files (layout.c) and LoRA files (lora/names.c) are read by this one table. */
#ifndef WEIGHTS_FLUX_NAMES_H
#define WEIGHTS_FLUX_NAMES_H
#include <stddef.h>

typedef enum flux_scope { FLUX_OUTER, FLUX_DOUBLE, FLUX_SINGLE } flux_scope; /* the member is of dit, dit_double, dit_single */

/* What a layer of diffusers' is of BFL's. */
typedef enum flux_rows {
    FLUX_WHOLE, FLUX_Q, FLUX_K, FLUX_V, FLUX_MLP,
    FLUX_SWAPPED /* all of it; shift, scale there, scale, shift here (spec 1.3) */
} flux_rows;

#define FLUX_VECTOR ((size_t)-1) /* no weight, and a ".scale" there where it is a ".weight" here */

typedef struct flux_name {
    flux_scope where;
    const char *ours, *theirs;  /* without block and without ".weight" */
    size_t member;              /* offset of the weight in its struct, or FLUX_VECTOR */
    flux_rows rows;
} flux_name;

extern const flux_name flux_names[]; /* ends with ours NULL */
#endif
