/* flow_loss.h - the transformer's losses on a packed batch, written in ops.
 *
 * loss.diff = mean (v - (eps - x_0))^2 over noise tokens.
 * loss.route = mean over layers and masked references of the mean squared difference between a layer's routing map and the mask (paper,
 * Eq. 2-3): the map is the logits' mean over heads and over the reference's tokens, without a softmax, so one pooled query and one
 * product with a matrix a layer make it.
 * loss.holder = mean over layers and samples with placeholders of the mean squared difference between the softmax of each reference's
 * logits over its sample's placeholders and the matrix of what means what (Eq. 4). */
#ifndef TRAIN_FLOW_LOSS_H
#define TRAIN_FLOW_LOSS_H
#include "model/clip.h"
#include "model/t5.h"
#include "train/flow/flow_batch.h"

/* The networks that take part.  task [2, D] and idx [slots, D] are DreamO's tables; NULL: no condition embedding. */
typedef struct flow_model {
    const dit *dit;
    const t5 *t5;
    const clip *clip;
    const weight *task, *idx;
    nn_turn_fn turn;                  /* called between the text encoders and the transformer, both ways; NULL: nobody */
    void *turner;
} flow_model;

#define FLOW_MAX_LAYERS 128

typedef struct flow_out {
    tensor text, pooled;              /* [text rows, text width], [samples, pooled width] */
    tensor velocity;                  /* [image rows, channels]; noise rows count */
    tensor diff, route, holder;       /* [1,1]; p NULL: not asked for, or nothing in the batch to look at */
    tensor maps[FLOW_MAX_LAYERS];     /* [nroutes, widest] a layer, when routes were asked for; p NULL: not made there */
    tensor matched[FLOW_MAX_LAYERS];  /* [nmatches, 1] */
    int nmaps;
} flow_out;

/* What is asked for beside the loss of the velocity. */
typedef struct flow_wishes { bool routes, holders; const dit_short *cut; /* token dropping; NULL: none */ } flow_wishes;

/* The batch must stay until nn_backward is done. */
void flow_forward(nn *cx, const flow_model *m, const flow_batch *b, flow_wishes w, flow_out *out);
#endif
