/* phase.h - running a piece of network with exactly the memory it needs.
 *
 * A phase is a function of an op context and a job.  It is first run on the dry backend, which computes nothing and
 * says what the arenas must hold, then on the device.  A dry tensor_read gives zeros, so a job's results may be overwritten
 * twice, but its inputs must not be among them. */
#ifndef PIPE_PHASE_H
#define PIPE_PHASE_H
#include "nn/nn.h"

typedef void (*phase_fn)(nn *cx, void *job);

/* What `times` runs of the phase cost; no weight is read.  *out keeps the larger arena sizes and weights and adds up the work,
 * so that several phases can share one context, and one sum. */
dreamo_status phase_measure(phase_fn fn, void *job, int64_t times, nn_counts *out, dreamo_error *err);
/* Adds work, keeps the larger arenas; weights stay apart. */
void          phase_add(nn_counts *sum, const nn_counts *c);
/* A context on the device for what was measured; NULL on failure.  nn_free it. */
nn           *phase_open(device *dev, const nn_counts *measured, dreamo_error *err);
/* Measure, open, run once, close. */
dreamo_status phase_run(device *dev, phase_fn fn, void *job, dreamo_error *err);
#endif
