/* default_model.h - names of models. */
#ifndef WEIGHTS_DEFAULT_MODEL_H
#define WEIGHTS_DEFAULT_MODEL_H
#include "dreamo.h"

/* What a user's NAME of a model means: a path that exists, else a folder of that name beside the shipped model ("flux-dev"), else NAME itself; the folder of a
 * model in the hub's cache means its snapshot.
 * mem_free; NULL: no memory. */
char *model_folder(const char *name);
/* The snapshot of a model's folder in the hub's cache (models--OWNER--NAME); any other folder itself.  mem_free; NULL: no memory. */
char *hub_snapshot(const char *folder);
#endif
