/* train.c - the public interface of training. */
#include "dreamo.h"
#include "train/report/probe.h"
#include "train/plan.h"

void dreamo_train_options_init(dreamo_train_options *o) { *o = (dreamo_train_options){ .size = sizeof *o }; }

dreamo_status dreamo_train(const dreamo_train_options *o, dreamo_error *err)
{
    if (!o || o->size < sizeof *o) return fail(err, DREAMO_ARG, "training options were not set up by dreamo_train_options_init");
    return plan_run(o, err);
}

dreamo_status dreamo_train_plan(const dreamo_train_options *o, dreamo_train_costs *costs, dreamo_error *err)
{
    if (!o || o->size < sizeof *o || !costs)
        return fail(err, DREAMO_ARG, "training options were not set up by dreamo_train_options_init");
    return plan_costs(o, costs, err);
}

dreamo_status dreamo_train_probe(const char *probe, const dreamo_model_options *model, const char *dump, dreamo_error *err)
{
    if (!probe || !model || !dump)
        return fail(err, DREAMO_ARG, "a probe needs a case folder, a model and a folder to write into");
    return probe_run(probe, model, dump, err);
}
