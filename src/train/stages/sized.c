/* sized.c - measure, grow, run. */
#include "train/stages/sized.h"

dreamo_status sized_open(sized *s, device *dev, bool taping, bool checkpoint, dreamo_error *err)
{
    *s = (sized){ .dev = dev, .dry = backend_dry.open(1), .taping = taping, .checkpoint = checkpoint };
    return s->dry ? DREAMO_OK : fail(err, DREAMO_MEMORY, "no memory for a dry run");
}

void sized_close(sized *s)
{
    nn_free(s->cx);
    nn_free(s->dry_cx);
    if (s->dry) s->dry->be->close(s->dry);
    *s = (sized){ 0 };
}

dreamo_status sized_measure(sized *s, sized_fn fn, void *job, dreamo_error *err)
{
    if (!s->dry_cx) s->dry_cx = nn_new(&(nn_options){ .dev = s->dry, .taping = s->taping, .checkpoint = s->checkpoint }, err);
    if (!s->dry_cx) return DREAMO_MEMORY;
    nn_reset(s->dry_cx);
    nn_watch(s->dry_cx, s->planned, s->watcher);
    fn(s->dry_cx, job);
    dreamo_status status = nn_status(s->dry_cx, err);
    s->last = nn_count(s->dry_cx);
    return status;
}

dreamo_status sized_step(sized *s, bool measure, sized_fn fn, void *job, dreamo_error *err)
{
    dreamo_status status = measure || !s->cx ? sized_measure(s, fn, job, err) : DREAMO_OK;
    if (status) return status;
    if (!s->cx || s->last.work_peak > s->work || s->last.keep_peak > s->keep) {
        nn_free(s->cx);
        s->work = s->last.work_peak > s->work ? s->last.work_peak : s->work;
        s->keep = s->last.keep_peak > s->keep ? s->last.keep_peak : s->keep;
        s->cx = nn_new(&(nn_options){ .dev = s->dev, .work_nbytes = s->work, .keep_nbytes = s->keep, .taping = s->taping,
                                      .checkpoint = s->checkpoint }, err);
        if (!s->cx) return DREAMO_MEMORY;
    }
    nn_reset(s->cx);
    nn_watch(s->cx, s->arrived, s->watcher);
    fn(s->cx, job);
    return nn_status(s->cx, err);
}

dreamo_status sized_run(device *dev, bool taping, bool checkpoint, sized_fn fn, void *job, dreamo_error *err)
{
    sized s;
    dreamo_status status = sized_open(&s, dev, taping, checkpoint, err);
    if (!status) status = sized_step(&s, true, fn, job, err);
    sized_close(&s);
    return status;
}
