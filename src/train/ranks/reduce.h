/* reduce.h - what several processes do with parameters: gradients are summed while the way back still runs, each rank keeps
 * the optimizer's state of its share (ZeRO-1, Rajbhandari et al. 2020) and makes that share's step, and values go to all.
 *
 * Slots are cut into buckets, none across two shares.  A bucket's sum begins when no op on the way back will touch it any more: the dry
 * run before a step counts how often each gradient is added to, the step counts down.  All ranks must begin sums in one order: the one
 * in which buckets became ready on rank 0 in the first step. */
#ifndef TRAIN_REDUCE_H
#define TRAIN_REDUCE_H
#include "train/params.h"
#include "train/ranks/ranks.h"
#include "train/stages/sized.h"

typedef struct reducer reducer;

/* After params_allocate, before optimizer_open: sets p->first and p->end; listens to what `tape` does.  One rank: *x stays NULL, and
 * every call returns at once. */
dreamo_status reducer_open(reducer **x, ranks *r, params *p, sized *tape, dreamo_error *err);
void          reducer_close(reducer *x);

/* The micro-batch that comes is the step's last. */
void          reducer_last(reducer *x);
/* All sums, to the ranks whose share they are in; other gradients are zero afterwards. */
dreamo_status reducer_sum(reducer *x, dreamo_error *err);
/* Values from the ranks that changed them to all. */
dreamo_status reducer_spread(reducer *x, dreamo_error *err);
/* Everyone's state to rank 0, which then holds all of p->state until reducer_forget. */
dreamo_status reducer_gather(reducer *x, dreamo_error *err);
void          reducer_forget(reducer *x);

/* Sums in a step, and how many of them began before the way back was over (in the second step and later). */
void reducer_counts(const reducer *x, int *sums, int *early);
#endif
