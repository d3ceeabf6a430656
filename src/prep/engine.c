/* engine.c - dry, then in earnest. */
#include "prep/engine.h"

typedef struct listener { prep_progress tell; void *user; double all; } listener;

static bool listen(void *user, double flops)
{
    const listener *l = user;
    return l->tell(l->user, flops < l->all ? flops / l->all : 1.0);
}

static dreamo_status measure(net_fn fn, void *job, nn_counts *out, dreamo_error *err)
{
    device *dry = backend_dry.open(1);
    nn *cx = dry ? nn_new(&(nn_options){ .dev = dry }, err) : NULL;
    dreamo_status s = cx ? DREAMO_OK : fail(err, DREAMO_MEMORY, "no memory for a plan");
    if (cx) {
        fn(cx, job);
        *out = nn_count(cx);
        s = nn_status(cx, err);
    }
    nn_free(cx);
    if (dry) dry->be->close(dry);
    return s;
}

dreamo_status net_run(device *dev, net_fn fn, void *job, prep_progress tell, void *user, dreamo_error *err)
{
    nn_counts n;
    dreamo_status s = measure(fn, job, &n, err);
    if (s) return s;
    nn *cx = nn_new(&(nn_options){ .dev = dev, .work_nbytes = n.work_peak, .keep_nbytes = n.keep_peak, .load = nn_load(&n) }, err);
    if (!cx) return DREAMO_MEMORY;
    listener l = { tell, user, n.flops > 0 ? n.flops : 1 };
    if (tell) nn_listen(cx, listen, &l);
    fn(cx, job);
    s = nn_status(cx, err);
    nn_free(cx);
    return s;
}
