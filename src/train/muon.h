/* muon.h - Muon (Jordan 2024): the momentum of a matrix, made nearly orthogonal, is its step.
 *
 *   m = momentum m + (1 - momentum) g;  u = momentum m + (1 - momentum) g            (Nesterov)
 *   u / |u|, then five times  X = a X + (b X X^T + c (X X^T)^2) X                     (Newton-Schulz)
 *   x = x (1 - lr decay) - lr 0.2 sqrt(max(rows, cols)) X
 *
 * The factor gives a step the length that AdamW's has (Liu et al. 2025), so both take one learning rate.  A convolution is the
 * matrix [out, in kh kw].  The products run through the backend, a matrix a task of the pool; with
 * dev->bf16 those of matrices that are nearly square are in bf16. */
#ifndef TRAIN_MUON_H
#define TRAIN_MUON_H
#include "nn/backend.h"
#include "train/params.h"

typedef struct muon muon;

/* Matrices inside the networks.  Not: tables, which are looked up; what touches pictures and latents (first and last layers); what sees
 * one row a sample (modulation, embedded timesteps): its gradient has no more rank than the batch has samples, and the rest of
 * what would be made orthogonal is noise. */
bool muon_takes(const param_slot *s);

dreamo_status muon_open(muon **m, params *p, device *dev, dreamo_error *err);
void          muon_close(muon *m);
/* Slot `slot` belongs to it from now on; `momentum` is shaped like it. */
void muon_add(muon *m, int slot, float *momentum);
/* Gradients are multiplied by `scale` first, values by `keep`; gradients are left zero. */
void   muon_step(muon *m, float momentum, float lr, float keep, float scale);
double muon_flops(const muon *m); /* of a step; NULL: 0 */
#endif
