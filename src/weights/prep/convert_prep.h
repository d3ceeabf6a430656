/* convert_prep.h - dreamo_convert for the networks that prepare references: from any file that holds one to safetensors, f32, f16 or bf16. */
#ifndef WEIGHTS_PREP_CONVERT_PREP_H
#define WEIGHTS_PREP_CONVERT_PREP_H
#include <stdbool.h>
#include "base/error.h"

/* *mine false: the options name another kind of file, which is left to others (and so is every fault of the options).  costs not NULL: only counted. */
dreamo_status convert_prep(const dreamo_convert_options *given, dreamo_convert_costs *costs, bool *mine, dreamo_error *err);
#endif
