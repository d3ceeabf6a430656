/* flow_loss.h - the transformer's losses on a packed batch, written in ops.
 *
 * loss.diff = mean (v - (eps - x_0))^2 over noise tokens; loss.route = mean over layers and references of the mean squared
 * difference between a layer's routing map and the reference's mask (training spec 1.2). */
#ifndef TRAIN_FLOW_LOSS_H
#define TRAIN_FLOW_LOSS_H
#include "model/clip.h"
#include "model/t5.h"
#include "train/stages/flow_batch.h"

/* The networks that take part.  task [2, D] and idx [slots, D] are DreamO's tables; NULL: no condition embedding. */
typedef struct flow_model {
    const dit *dit;
    const t5 *t5;
    const clip *clip;
    const weight *task, *idx;
} flow_model;

#define FLOW_MAX_LAYERS 128

typedef struct flow_out {
    tensor text, pooled;              /* [text rows, text width], [samples, pooled width] */
    tensor velocity;                  /* [image rows, channels]; noise rows count */
    tensor diff, route;               /* [1,1]; route p NULL: not asked for, or no reference in the batch */
    tensor maps[FLOW_MAX_LAYERS];     /* [nroutes, widest] a layer, when routes were asked for */
    int nmaps;
} flow_out;

/* The batch must stay until nn_backward is done. */
void flow_forward(nn *cx, const flow_model *m, const flow_batch *b, bool routes, flow_out *out);
#endif
