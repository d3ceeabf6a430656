/* bench_step.h - one training step (forward and way back, without the optimizer) of networks of the default model's size,
 * on random data: what the kernels come to when they work together. */
#ifndef EVAL_BENCH_STEP_H
#define EVAL_BENCH_STEP_H
#include "base/error.h"
#include "nn/nn.h"

typedef struct bench_step bench_step;
typedef enum bench_network { BENCH_DIT, BENCH_VAE } bench_network;

bench_step   *bench_step_new(device *dev, bench_network which, dreamo_error *err); /* NULL on failure */
void          bench_step_free(bench_step *s);
dreamo_status bench_step_run(bench_step *s, dreamo_error *err);
double        bench_step_flops(const bench_step *s);  /* of the last run, as the ops count them */
const char   *bench_step_shape(const bench_step *s);  /* in words */
#endif
