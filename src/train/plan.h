/* plan.h - several stages in one recipe file, one after the other: DreamO's warm-up, all kinds, quality (training spec 1.3).
 *
 * Stage NAME runs in OUT/NAME, from what the stage before left: the adapter, or after an autoencoder or a base, the model folder.  A stage
 * with `distil` first makes its pictures in OUT/NAME-data.  With resume finished stages are passed over, the one that was interrupted goes
 * on, and the rest follow. */
#ifndef TRAIN_PLAN_H
#define TRAIN_PLAN_H
#include "base/error.h"

/* A recipe of one stage is run as it is. */
dreamo_status plan_run(const dreamo_train_options *o, dreamo_error *err);
/* Of a plan: the stage whose steps cost most; steps of all stages. */
dreamo_status plan_costs(const dreamo_train_options *o, dreamo_train_costs *costs, dreamo_error *err);
#endif
