/* train.c - the public interface of training. */
#include "base/options.h"
#include "train/report/probe.h"
#include "train/plan.h"

void dreamo_train_options_init_sized(dreamo_train_options *o, size_t nbytes)
{
    const dreamo_train_options usual = { .size = sizeof usual };
    options_give(o, nbytes, &usual, sizeof usual);
}

static dreamo_status check_overrides(const dreamo_train_options *o, dreamo_error *err)
{
    if (o->noverrides < 0 || (o->noverrides > 0 && !o->overrides)) return fail(err, DREAMO_ARG, "%d settings, but no list of them", o->noverrides);
    for (int i = 0; i < o->noverrides; i++)
        if (!o->overrides[i]) return fail(err, DREAMO_ARG, "setting %d is missing", i + 1);
    return DREAMO_OK;
}

dreamo_status dreamo_train(const dreamo_train_options *o, dreamo_error *err)
{
    dreamo_train_options own;
    dreamo_train_options_init(&own);
    dreamo_status s = options_take(&own, sizeof own, o, err);
    if (!s) s = check_overrides(&own, err);
    return s ? s : plan_run(&own, err);
}

dreamo_status dreamo_train_plan(const dreamo_train_options *o, dreamo_train_costs *costs, dreamo_error *err)
{
    dreamo_train_options own;
    if (!costs) return fail(err, DREAMO_ARG, "the place for the costs is missing");
    dreamo_train_options_init(&own);
    dreamo_status s = options_take(&own, sizeof own, o, err);
    if (!s) s = check_overrides(&own, err);
    return s ? s : plan_costs(&own, costs, err);
}

dreamo_status dreamo_train_probe(const char *probe, const dreamo_model_options *model, const char *dump, dreamo_error *err)
{
    if (!probe || !model || !dump)
        return fail(err, DREAMO_ARG, "a probe needs a case folder, a model and a folder to write into");
    dreamo_model_options own;
    dreamo_model_options_init(&own);
    dreamo_status s = options_take(&own, sizeof own, model, err);
    return s ? s : probe_run(probe, &own, dump, err);
}
