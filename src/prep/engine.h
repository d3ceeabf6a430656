/* engine.h - runs a network once, in memory that a dry run has measured and that is given back after it. */
#ifndef PREP_ENGINE_H
#define PREP_ENGINE_H
#include "nn/nn.h"
#include "prep/networks.h"

/* fn makes its tensors, runs the network and reads what comes out; it is called twice, the first time for its shapes only. */
typedef void (*net_fn)(nn *cx, void *job);
dreamo_status net_run(device *dev, net_fn fn, void *job, prep_progress tell, void *user, dreamo_error *err);
#endif
