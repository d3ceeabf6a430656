/* prepare.c - preparing references without a model: the public functions. */
#include <string.h>

#include "base/mem.h"
#include "base/options.h"
#include "pipe/reference.h"

enum { RES = 512, RES_MAX = 4096, CELL = 16, CELL_MAX = 256 }; /* DreamO's, on FLUX */

struct dreamo_prep { prep *with; device *dev; /* NULL: the processor */ int res, cell; };

void dreamo_prep_options_init_sized(dreamo_prep_options *o, size_t nbytes)
{
    const dreamo_prep_options usual = { .size = sizeof usual, .res = RES, .cell = CELL };
    options_give(o, nbytes, &usual, sizeof usual);
}

dreamo_status dreamo_prep_open(const dreamo_prep_options *given, dreamo_prep **out, dreamo_error *err)
{
    dreamo_prep_options o;
    dreamo_prep_options_init(&o);
    if (!out) return fail(err, DREAMO_ARG, "the place for what prepares references is missing");
    *out = NULL;
    dreamo_status s = options_take(&o, sizeof o, given, err);
    if (s) return s;
    if (o.cell < 1 || o.cell > CELL_MAX) return fail(err, DREAMO_ARG, "cell %d: allowed is 1 to %d", o.cell, CELL_MAX);
    if (o.res < o.cell || o.res > RES_MAX) return fail(err, DREAMO_ARG, "res %d: allowed is %d to %d", o.res, o.cell, RES_MAX);
    if (o.threads < 0) return fail(err, DREAMO_ARG, "threads %d: 0 or more", o.threads);
    dreamo_prep *p = mem_calloc(1, sizeof *p);
    if (!p) return fail(err, DREAMO_MEMORY, "no memory for what prepares references");
    p->res = o.res, p->cell = o.cell;
    const prep_choice how = { .networks = o.networks, .cutter = o.cutter, .cache = o.cache, .threads = o.threads };
    s = prep_open(&how, &p->with, err);
    if (!s && o.device && strcmp(o.device, "cpu") != 0 && !(p->dev = device_open(o.device, o.threads, o.memory, err))) s = err && err->status ? err->status : DREAMO_DEVICE;
    if (s) dreamo_prep_close(p);
    else *out = p;
    return s;
}

void dreamo_prep_close(dreamo_prep *p)
{
    if (p) prep_close(p->with);
    if (p && p->dev) p->dev->be->close(p->dev);
    mem_free(p);
}

dreamo_status dreamo_prep_run(dreamo_prep *p, const dreamo_reference *r, int index, dreamo_progress progress, void *user, dreamo_image *out, dreamo_task *task,
                              dreamo_error *err)
{
    if (!p || !r || !out) return fail(err, DREAMO_ARG, "%s is missing", !p ? "what prepares references" : !r ? "the reference" : "the place for the result");
    *out = (dreamo_image){ 0 };
    reference ref;
    const reporter to = { progress, user };
    dreamo_status s = reference_prepare(p->with, p->dev, r, index, p->cell, (prep_sides){ p->res, p->res, p->res }, &to, &ref, err);
    if (s) return s;
    *out = (dreamo_image){ .width = ref.rgb.width, .height = ref.rgb.height, .rgb = ref.rgb.data };
    if (task) *task = ref.task;
    return DREAMO_OK;
}
