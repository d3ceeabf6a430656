/* trainer.h - the loop: steps, logs, checkpoints, validation, samples, stopping. */
#ifndef TRAIN_TRAINER_H
#define TRAIN_TRAINER_H
#include "base/error.h"

dreamo_status trainer_run(const dreamo_train_options *o, dreamo_error *err);
dreamo_status trainer_plan(const dreamo_train_options *o, dreamo_train_costs *costs, dreamo_error *err);
#endif
