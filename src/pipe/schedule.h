/* schedule.h - the flow-match Euler scheduler (spec 3) and what the network is told about a step (spec 1.5).
 *
 * `official` asks for the bf16 rounding places of the official pipeline; without it everything is fp32. */
#ifndef PIPE_SCHEDULE_H
#define PIPE_SCHEDULE_H
#include <stdbool.h>
#include <stddef.h>
#include "base/error.h"

typedef struct schedule_config {
    bool dynamic;                 /* shift by the number of noise tokens; false: by the constant `shift` */
    double shift;
    double base_shift, max_shift; /* mu at base_tokens and at max_tokens */
    int base_tokens, max_tokens;
    int train_steps;              /* timestep = sigma * train_steps */
} schedule_config;

schedule_config schedule_flux(void);                                 /* FLUX.1-dev's numbers */
/* scheduler/scheduler_config.json; kinds of schedule that are not implemented are refused by name. */
dreamo_status schedule_read(const char *path, schedule_config *c, dreamo_error *err);

/* sigmas [steps + 1], the last one 0.  `tokens` counts noise tokens only. */
void  schedule_sigmas(const schedule_config *c, int tokens, int steps, float *sigmas);
/* Any sigma in (0, 1] through the same shift: training draws timesteps by it. */
float schedule_shift(const schedule_config *c, int tokens, float sigma);
double schedule_mu(const schedule_config *c, int tokens);

float schedule_embedded_time(float timestep, bool official);         /* what the sinusoid is made of (spec 1.5.1) */
float schedule_embedded_guidance(float guidance, bool official);     /* spec 1.5.2 */
/* x [n] += (sigma_next - sigma) v [n] (spec 3.4). */
void  schedule_step(float *x, const float *v, size_t n, float sigma, float sigma_next, bool official);
#endif
