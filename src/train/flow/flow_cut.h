/* flow_cut.h - token dropping while training: a share of the picture tokens passes the middle single blocks by.
 *
 * Each token is dropped or not by chance, anew for each batch (TREAD, Krause et al. 2025): all of them go through the first and the last
 * blocks and count in the loss; text is never dropped.  Half of the tokens in three quarters of the single blocks saves about a fifth of
 * a step at the small model's shape. */
#ifndef TRAIN_FLOW_CUT_H
#define TRAIN_FLOW_CUT_H
#include "base/rng.h"
#include "train/flow/flow_batch.h"

typedef struct flow_cut {
    dit_short s;            /* points into the lists below */
    int32_t *rows, *back;
    span *spans;
    float *cos, *sin;
    size_t room, samples_room, half_room;
} flow_cut;

/* After flow_batch_shape.  `drop`: the share that passes by.  At least one token of each sample's noise stays. */
dreamo_status flow_cut_make(flow_cut *c, const flow_batch *b, const dit_config *dit, double drop, rng r, dreamo_error *err);
void          flow_cut_free(flow_cut *c);
#endif
