/* sized.h - one op context that grows: each piece of work is measured by a dry run, and given the arenas it needs.
 *
 * Like pipe/phase.h, for training: with a tape, and kept from step to step. */
#ifndef TRAIN_SIZED_H
#define TRAIN_SIZED_H
#include "nn/nn.h"

typedef void (*sized_fn)(nn *cx, void *job);

typedef struct sized {
    device *dev, *dry;
    nn *cx, *dry_cx;
    bool taping, checkpoint;
    size_t work, keep;      /* arena sizes of cx */
    nn_counts last;         /* of the last dry run */
    nn_watch_fn planned, arrived; /* set after sized_open: hear of every gradient of a dry run, and of the run itself */
    void *watcher;
} sized;

dreamo_status sized_open(sized *s, device *dev, bool taping, bool checkpoint, dreamo_error *err);
void          sized_close(sized *s);
/* What fn would do; nothing is computed. */
dreamo_status sized_measure(sized *s, sized_fn fn, void *job, dreamo_error *err);
/* Make room for what sized_measure saw, then run fn on the device.  `measure` false: the shapes are known to fit. */
dreamo_status sized_step(sized *s, bool measure, sized_fn fn, void *job, dreamo_error *err);
/* All in one, for work that is done once. */
dreamo_status sized_run(device *dev, bool taping, bool checkpoint, sized_fn fn, void *job, dreamo_error *err);
#endif
