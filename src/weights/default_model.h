/* default_model.h - names of models. */
#ifndef WEIGHTS_DEFAULT_MODEL_H
#define WEIGHTS_DEFAULT_MODEL_H
#include "dreamo.h"

/* What a user's NAME of a model means: a path that exists, else a folder of that name beside the shipped model ("flux-dev"), else NAME itself.
 * mem_free; NULL: no memory. */
char *model_folder(const char *name);
#endif
