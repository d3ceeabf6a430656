/* phase.c - dry run first, then the real one. */
#include "pipe/phase.h"

static size_t larger(size_t a, size_t b) { return a > b ? a : b; }

void phase_add(nn_counts *sum, const nn_counts *c)
{
    sum->ops += c->ops;
    sum->flops += c->flops;
    sum->bytes += c->bytes;
    sum->work_peak = larger(sum->work_peak, c->work_peak);
    sum->keep_peak = larger(sum->keep_peak, c->keep_peak);
    if (c->scores > sum->scores) sum->scores = c->scores;
}

dreamo_status phase_measure(phase_fn fn, void *job, int64_t times, nn_counts *out, dreamo_error *err)
{
    device *dry = backend_dry.open(1);
    if (!dry) return fail(err, DREAMO_MEMORY, "no memory for a dry run");
    dreamo_status s = DREAMO_MEMORY;
    nn *cx = nn_new(&(nn_options){ .dev = dry }, err);
    if (cx) {
        fn(cx, job);
        s = nn_status(cx, err);
        nn_counts c = nn_count(cx);
        c.ops *= times;
        c.flops *= (double)times;
        c.bytes *= (double)times;
        phase_add(out, &c);
        if (c.weights > out->weights) out->weights = c.weights;
        if (c.sent > out->sent) out->sent = c.sent;
        if (c.largest > out->largest) out->largest = c.largest;
        nn_free(cx);
    }
    backend_dry.close(dry);
    return s;
}

nn *phase_open(device *dev, const nn_counts *measured, dreamo_error *err)
{
    return nn_new(&(nn_options){ .dev = dev, .work_nbytes = measured->work_peak, .keep_nbytes = measured->keep_peak, .load = nn_load(measured) }, err);
}

dreamo_status phase_run(device *dev, phase_fn fn, void *job, dreamo_error *err)
{
    nn_counts measured = { 0 };
    dreamo_status s = phase_measure(fn, job, 1, &measured, err);
    if (s != DREAMO_OK) return s;
    nn *cx = phase_open(dev, &measured, err);
    if (!cx) return err && err->status ? err->status : DREAMO_MEMORY;
    fn(cx, job);
    s = nn_status(cx, err);
    nn_free(cx);
    return s;
}
