/* fit.h - a transformer's sizes as its file tells them: FLUX.1 comes without guidance (schnell), with fewer blocks (lite), in other widths. */
#ifndef WEIGHTS_FIT_H
#define WEIGHTS_FIT_H
#include "base/error.h"
#include "model/dit.h"

/* c: of the model folder.  Where the file in PATH (a file, shards, a folder with config.json of its own) says otherwise, it counts.  A file that
 * is no FLUX.1 transformer is refused by the name of its kind. */
dreamo_status fit_dit(const char *path, dit_config *c, dreamo_error *err);
#endif
