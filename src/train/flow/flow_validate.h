/* flow_validate.h - held-out losses of every kind of task, told to the log.
 *
 * Fixed samples, noise and noise levels: numbers of two runs compare, and the three ways of asking a sample - with the right references,
 * with others' of the same task, with none - can be compared in pairs. */
#ifndef TRAIN_FLOW_VALIDATE_H
#define TRAIN_FLOW_VALIDATE_H
#include "train/flow/flow_stage.h"

#define FLOW_LEVELS 4 /* of equally many draws: the loss is told for each, lowest noise first */

/* recipe.validation samples of each kind of the mixture that the dataset has held-out material for.  A line of log.ndjson a kind, names
 * "KIND.right", "KIND.right_error", "KIND.other_minus_right", "KIND.level1" ...; without references "KIND.loss" and its like. */
dreamo_status flow_validate(stage *s, flow_stage *f, train_log *log, int64_t step, dreamo_error *err);
#endif
