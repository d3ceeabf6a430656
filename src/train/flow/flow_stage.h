/* flow_stage.h - what training the base and training the adapter have in common: samples to packed batches, steps, validation. */
#ifndef TRAIN_FLOW_STAGE_H
#define TRAIN_FLOW_STAGE_H
#include "train/flow/flow_ahead.h"
#include "train/flow/flow_cache.h"
#include "train/flow/flow_cut.h"
#include "train/flow/flow_item.h"
#include "train/flow/flow_loss.h"

typedef struct flow_stage {
    flow_model model;
    flow_batch batch;
    flow_cut cut;                  /* with recipe.token_dropout */
    flow_cache cache;
    int room;                      /* samples in a micro-batch */
    int cell;                      /* pixels of a token's side */
    bool references;
    mixture kinds;                 /* of the samples; not empty */
    flow_item *item;               /* [room] */
    flow_ahead *ahead;             /* NULL: nothing is composed ahead */
    float *pixels, *tokens;        /* pictures on their way through the autoencoder; they grow */
    float *cover;                  /* how much of each token the subjects cover; grows */
    size_t pixels_room, tokens_room, cover_room;
    flow_out out;
    bool backward;
    bool looks;                    /* without the way back, too, maps are made */
} flow_stage;

/* After s->n is open: set up model (without tables) and batch memory.  `references`: samples may have them. */
dreamo_status flow_stage_open(stage *s, flow_stage *f, bool references, dreamo_error *err);
void          flow_stage_close(flow_stage *f);
/* Compose, encode and mix f->item[0 .. n-1]. */
dreamo_status flow_stage_compose(stage *s, flow_stage *f, int n, dreamo_error *err);
/* Forward and, with f->backward, the way back; on the context with or without a tape. */
dreamo_status flow_stage_run(stage *s, flow_stage *f, dreamo_error *err);
dreamo_status flow_stage_micro(stage *s, flow_stage *f, int64_t first, int of, log_step *out, dreamo_error *err);
dreamo_status flow_stage_plan(stage *s, flow_stage *f, nn_counts *counts, int64_t *tokens, dreamo_error *err);

/* Mean squared error over sample i's noise tokens; both [image rows, channels]. */
double        flow_sample_loss(const flow_batch *b, const float *velocity, const float *target, int i);
/* Room for `need` numbers; what was there is gone when it grows. */
dreamo_status flow_stage_grow(float **list, size_t *room, size_t need, dreamo_error *err);

/* Where sample i of a validation stands among the noise levels, 0..1: a fixed order in which neighbours are far apart. */
double        flow_level(int i);
/* loss.diff of each of `count` held-out samples, the i-th at flow_level(i) of the recipe's density.  NAN: REF_OTHER, and there is no other.
 * inside: flow_map_inside of each, the mean over layers and masked references; NAN: has none.  NULL: not wanted. */
dreamo_status flow_stage_losses(stage *s, flow_stage *f, data_kind kind, flow_reference reference, int count, double *loss, double *inside,
                                dreamo_error *err);
/* Mean of the numbers among n and its standard error; NANs do not count. */
void          flow_spread(const double *x, int n, double *mean, double *error);
#endif
