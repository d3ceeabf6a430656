/* ema.h - the running average of the values, which is what gets exported. */
#ifndef TRAIN_EMA_H
#define TRAIN_EMA_H
#include "train/params.h"

/* The average begins as a copy of the values. */
void   ema_start(params *p);
/* Decay to use at a step (from 1): short memory first, so that the random beginning is forgotten: 
 * min(decay, (1 + step) / (10 + step)). */
double ema_decay(double decay, int64_t step);
/* ema = d ema + (1 - d) value. */
void   ema_update(params *p, pool *threads, double d);
#endif
