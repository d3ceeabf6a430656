/* merge.h - adapters that have no low-rank form, added into copies of the layers they change.
 *
 * Every change is reckoned from the layer as its file stores it, and all add up, so that the order of a stack does not matter.  A changed matrix
 * is held in fp32: of FLUX.1 whole that would be 48 GB, which is refused when it is not there; dreamo_convert does the same row by row. */
#ifndef WEIGHTS_LORA_MERGE_H
#define WEIGHTS_LORA_MERGE_H
#include "base/threads.h"
#include "weights/lora.h"

typedef struct merged_layer { weight *w, was; float *data[WEIGHT_PARTS]; } merged_layer;
typedef struct merged_vector { const float **place, *was; float *copy; } merged_vector;
typedef struct lora_merged { int nlayers, nvectors, layer_room, vector_room; merged_layer *layers; merged_vector *vectors; } lora_merged;

/* Add what f changes; once for each file of a stack.  vectors_only: biases and norms, a few kilobytes, and no matrices.  On failure what was added
 * before stays, to be taken back by lora_unmerge.  threads may be NULL. */
dreamo_status lora_merge(lora_merged *m, const lora_file *f, bool vectors_only, pool *threads, dreamo_error *err);
void          lora_unmerge(lora_merged *m); /* the layers are as they were; zeroed ones are allowed */
#endif
