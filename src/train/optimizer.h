/* optimizer.h - how gradients become steps: AdamW, the same with its moments in 8 bits, and Muon; global-norm clipping.
 *
 *   adamw   AdamW (Loshchilov and Hutter 2019): two fp32 moments of everything.
 *   adamw8  the moments of matrices in 8 bits (Dettmers et al. 2022), of the rest in fp32: see moments8.h.
 *   muon    Muon (Jordan 2024) for the matrices that muon_takes, with one moment; AdamW for the rest.
 *
 * Decay is decoupled and touches matrices only.  A step reads the gradients, changes the values, and leaves zero gradients
 * behind.  What an optimizer remembers lies in p->state, where checkpoints find it. */
#ifndef TRAIN_OPTIMIZER_H
#define TRAIN_OPTIMIZER_H
#include "nn/backend.h"
#include "train/params.h"

typedef enum optimizer_kind { OPTIMIZER_ADAMW, OPTIMIZER_ADAMW8, OPTIMIZER_MUON } optimizer_kind;

/* The numbers of a recipe.  clip <= 0: none; momentum is Muon's. */
typedef struct adamw { double beta1, beta2, eps, decay, clip, momentum; } adamw;

typedef struct optimizer optimizer;

/* Give every slot in [p->first, p->end) its state, zero, after params_allocate.  Works on dev's threads, Muon with its kernels.  p and dev must
 * outlive it. */
dreamo_status optimizer_open(optimizer **o, optimizer_kind kind, params *p, device *dev, dreamo_error *err);
void          optimizer_close(optimizer *o);

/* Euclidean length of the gradients in [p->first, p->end); NaN or infinite when one of them is.  Summed in double, in an order
 * that depends on nothing but the parameters.  `partial` has room for p->nchunks doubles. */
double optimizer_norm(const params *p, pool *threads, double *partial);

/* Step `step` (from 1) of the slots in [p->first, p->end): gradients are first multiplied by `scale` (1 / micro-batches); norm is
 * the length of all of them, before that. */
void optimizer_step(optimizer *o, const adamw *a, int64_t step, double lr, double scale, double norm);

const char *optimizer_name(optimizer_kind kind);
double      optimizer_flops(const optimizer *o); /* of a step's matrix products */
#endif
