/* trainer.h - the loop: steps, logs, checkpoints, validation, samples, stopping. */
#ifndef TRAIN_TRAINER_H
#define TRAIN_TRAINER_H
#include "base/error.h"

/* Which part of a plan a run is; NULL: the recipe is of one stage.  begin_from: the file of the adapter that the stage before made; NULL:
 * as the recipe says. */
typedef struct trainer_part { const char *stage, *begin_from; } trainer_part;

dreamo_status trainer_run(const dreamo_train_options *o, const trainer_part *part, dreamo_error *err);
dreamo_status trainer_plan(const dreamo_train_options *o, const trainer_part *part, dreamo_train_costs *costs, dreamo_error *err);
#endif
