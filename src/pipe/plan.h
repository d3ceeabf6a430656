/* plan.h - what a request will cost, phase by phase, and what that comes to on a device. */
#ifndef PIPE_PLAN_H
#define PIPE_PLAN_H
#include "pipe/generate.h"

/* Text, each reference, modulations, steps, decoding. */
typedef struct phases {
    nn_counts all;
    uint64_t peak;                          /* bytes of the process, beside what it holds now */
    double step_flops;                      /* of all steps */
    nn_counts list[CONDITION_REFS + 4];
    int n, steps;                           /* how many; which one is the steps' */
} phases;
dreamo_status phases_measure(generation *g, phases *p, dreamo_error *err);

/* A device's speed: flops a second with plain weights and with the transformer's, bytes a second that go over. */
typedef struct device_rates { double plain, steps, sent; } device_rates;
device_rates  plan_rates(const dreamo_model *m, device *dev);
/* name and why last as long as the caller keeps them. */
dreamo_device_plan plan_on(const generation *g, const phases *p, const device *dev, const device_rates *r);
/* Opens m->dev for "auto": of these devices the one on which a picture as the model makes it by default takes least time, among those that pass their
 * self-test and have room for it.  Why one is not taken is told as a note. */
dreamo_status plan_choose(dreamo_model *m, char (*names)[64], int n, int threads, const reporter *to, dreamo_error *err);
#endif
