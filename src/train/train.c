/* train.c - the public interface of training. */
#include "dreamo.h"
#include "train/probe.h"

dreamo_status dreamo_train_probe(const char *probe, const dreamo_model_options *model, const char *dump, dreamo_error *err)
{
    if (!probe || !model || !dump) return fail(err, DREAMO_ARG, "a probe needs a case folder, a model and a folder to write into");
    return probe_run(probe, model, dump, err);
}

void dreamo_train_options_init(dreamo_train_options *o) { *o = (dreamo_train_options){ .size = sizeof *o }; }
