/* optimizer.h - AdamW (Loshchilov and Hutter 2019) with global-norm clipping.
 *
 * Decay is decoupled and touches matrices only.  A step reads the gradients, changes the values, and leaves zero gradients
 * behind. */
#ifndef TRAIN_OPTIMIZER_H
#define TRAIN_OPTIMIZER_H
#include "train/params.h"

typedef struct adamw { double beta1, beta2, eps, decay, clip; /* clip <= 0: none */ } adamw;

/* Euclidean length of all gradients; NaN or infinite when one of them is.  Summed in double, in an order that depends on
 * nothing but the parameters.  `partial` has room for p->nchunks doubles. */
double optimizer_norm(const params *p, pool *threads, double *partial);

/* Step `step` (from 1): gradients are first multiplied by `scale` (1 / micro-batches); norm is optimizer_norm's answer. */
void optimizer_step(const adamw *o, params *p, pool *threads, int64_t step, double lr, double scale, double norm);
#endif
