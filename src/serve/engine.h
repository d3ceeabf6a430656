/* engine.h - the one model that is kept open, and what any thread may ask of it while it works. */
#ifndef SERVE_ENGINE_H
#define SERVE_ENGINE_H
#include <pthread.h>
#include "serve/api/ask.h"

enum { ENGINE_PLANS = 16 };

typedef struct engine {
    dreamo_model *model;
    dreamo_model_about about;
    pthread_mutex_t lock;            /* of the plans */
    struct { char shape[160]; dreamo_plan plan; } plans[ENGINE_PLANS]; /* recent shapes without references: a dry run takes a millisecond */
    int nplans, next_plan;
} engine;

dreamo_status engine_open(const dreamo_model_options *o, engine *e, dreamo_error *err);
void          engine_close(engine *e); /* a zeroed one is allowed */
/* What the ask would cost; refuses what the model would refuse.  References must have their bytes. */
dreamo_status engine_plan(engine *e, const ask *a, dreamo_plan *out, problem *p);
/* What the model sees of reference i, as PNG; `notes` (may be NULL) gets its lines, "...; ...". */
dreamo_status engine_show(engine *e, const ask_ref *r, int i, void **png, size_t *nbytes, int *width, int *height, char *notes, size_t notes_nbytes,
                          problem *p);
#endif
