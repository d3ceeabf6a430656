/* flow_stage.h - what training the base and training the adapter have in common: samples to packed batches, steps, validation,
 * sheets. */
#ifndef TRAIN_FLOW_STAGE_H
#define TRAIN_FLOW_STAGE_H
#include "train/stages/caption.h"
#include "train/stages/flow_loss.h"
#include "train/stages/stage.h"

typedef enum flow_reference { REF_RIGHT, REF_OTHER, REF_NONE } flow_reference;

/* One sample to be composed. */
typedef struct flow_item {
    /* what is asked for */
    data_kind kind;
    data_split split;
    uint64_t index;                /* the data's sample; noise and choices come from it too */
    flow_reference reference;
    float sigma;                   /* < 0: drawn, and captions and references are dropped as the recipe says */
    /* what was composed */
    data_sample sample, other;     /* other: where REF_OTHER's reference comes from */
    caption words;
    int nrefs;
    float *noise;                  /* [noise rows, channels], in the stage's memory */
} flow_item;

typedef struct flow_stage {
    flow_model model;
    flow_batch batch;
    int room;                      /* samples in a micro-batch */
    int side, tokens;              /* of a picture: pixels, token rows */
    bool references;
    flow_item *item;               /* [room] */
    float *noise, *pixels, *latents; /* [room] each; [2 room] pictures, and their tokens */
    float *cover;                  /* [tokens]: how much of each the subject covers */
    flow_out out;
    bool backward;
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
/* loss.diff of each of `count` held-out samples: the i-th with the i-th of `count` evenly spread noise levels (in a fixed
 * shuffled order). */
dreamo_status flow_stage_losses(stage *s, flow_stage *f, data_kind kind, flow_reference reference, int count, double *loss,
                                dreamo_error *err);
/* Mean of n numbers and its standard error. */
void          flow_spread(const double *x, int n, double *mean, double *error);
#endif
