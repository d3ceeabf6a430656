/* flow_item.h - one sample of the transformer's task, composed: which references are shown, in which words, at which noise level.
 *
 * All choices come from the recipe's seed and the sample's number. */
#ifndef TRAIN_FLOW_ITEM_H
#define TRAIN_FLOW_ITEM_H
#include "train/flow/caption.h"
#include "train/stages/stage.h"

typedef enum flow_reference { REF_RIGHT, REF_OTHER, REF_NONE } flow_reference;

typedef struct flow_item {
    /* what is asked for */
    data_kind kind;
    data_split split;
    uint64_t index;                /* the data's sample; noise and choices come from it too */
    flow_reference reference;
    bool rejected;                 /* the same sample with a worse target: its rejected picture, or another sample's target; for preferences */
    float sigma;                   /* < 0: drawn, and captions and references are dropped as the recipe says */
    /* what was composed */
    data_sample sample, other;     /* other: where REF_OTHER's references come from */
    const bitmap *target;          /* of the sample; rejected: its rejected picture or the other's target */
    int nrefs;
    const data_ref *ref[DATA_MAX_REFS];  /* of the sample: slot, mask, task */
    const bitmap *shown[DATA_MAX_REFS];  /* the pictures in their places */
    bool placed;                   /* the caption has placeholders */
    bool missing;                  /* REF_OTHER, and the dataset has no other: not to be counted */
    data_ref self;                 /* recipe.self_reference: stands for the target */
    bitmap part;                   /* recipe.ref_crop: what is shown of it */
    caption words;
    flow_words named;              /* where the caption has the placeholders of its references */
    flow_few few;                  /* recipe.ref_tokens: which of a reference's tokens are shown; into `tokens` */
    int32_t *tokens;
    rng noise;                     /* its noise is drawn from here on */
} flow_item;

/* Draw kind and noise level of training sample `index`, none of the rest. */
flow_item     flow_item_train(const stage *s, const mixture *kinds, uint64_t index);
dreamo_status flow_item_compose(const stage *s, flow_item *it, bool references, dreamo_error *err);
void          flow_item_free(flow_item *it);

/* The share of each token's pixels that what a mask covers; mask [h, w] of 0..255, NULL: nothing.  out [(h/cell) * (w/cell)]. */
void flow_item_cover(const unsigned char *mask, int w, int h, int cell, float *out);
/* The same of all that the sample is about: the union of its references' masks, or the subject's. */
void flow_item_subjects(const flow_item *it, int cell, float *out);
#endif
