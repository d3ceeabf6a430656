/* rate.h - how fast is this machine?  For plans, before anything has been computed. */
#ifndef PIPE_RATE_H
#define PIPE_RATE_H
#include "nn/nn.h"

/* Flops a second of a matrix product of a few hundred rows with weights stored so, measured for about 50 ms; < 0: no memory.  fast: by a device
 * that may round (dev->fast). */
double rate_measure(device *dev, dtype stored, bool fast);
/* Bytes a second that go over to a device with memory of its own; < 0: it has none, or no memory. */
double rate_sent(device *dev);
#endif
