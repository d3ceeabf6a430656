/* flow.h - flow matching: which noise level a sample gets, and what the network must say.
 *
 * x_t = (1 - sigma) x_0 + sigma eps; the target is the velocity eps - x_0 (FLUX's sign: training spec 1.2). */
#ifndef TRAIN_FLOW_H
#define TRAIN_FLOW_H
#include <stddef.h>
#include "base/rng.h"

typedef enum flow_density { FLOW_LOGIT_NORMAL, FLOW_UNIFORM } flow_density;

typedef struct flow {
    flow_density density;
    double mean, std;    /* of the logit (Esser et al. 2024, section 3.1) */
    double shift;        /* sigma -> shift sigma / (1 + (shift - 1) sigma); 1 = as drawn */
} flow;

float flow_sigma(const flow *f, rng *r);        /* in (0, 1) */
float flow_quantile(const flow *f, double u);   /* the sigma below which a share u of the draws lies: for even validation */
void  flow_noise(rng *r, float *eps, size_t n); /* standard normal */
void  flow_mix(const float *x0, const float *eps, float sigma, size_t n, float *xt, float *target);
#endif
