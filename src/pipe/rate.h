/* rate.h - how fast is this machine?  For plans, before anything has been computed. */
#ifndef PIPE_RATE_H
#define PIPE_RATE_H
#include "nn/nn.h"

/* Flops a second of a matrix product of a few hundred rows, measured for about 10 ms; < 0: no memory.  stored: DT_F32, or the type of
 * weights that are multiplied by a device that may round (dev->fast). */
double rate_measure(device *dev, dtype stored);
#endif
