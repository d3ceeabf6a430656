/* probe.h - losses and gradients of one stored sample, for comparison with the official networks' autograd. */
#ifndef TRAIN_PROBE_H
#define TRAIN_PROBE_H
#include "base/error.h"

/* folder: case.json, pictures, inputs.safetensors.  Writes dump/train.safetensors (golden README, `train/M`). */
dreamo_status probe_run(const char *folder, const dreamo_model_options *model, const char *dump, dreamo_error *err);
#endif
