/* even_latent.h - one variance for all channels of the latent, and not a picture changed.
 *
 * Flow matching mixes all channels with noise of one size: a channel with a tenth of the others' deviation is lost in it until the
 * last steps.  So channel k is multiplied by s_k where the encoder ends, and divided by it where the decoder begins. */
#ifndef TRAIN_EVEN_LATENT_H
#define TRAIN_EVEN_LATENT_H
#include "train/params.h"

/* s_k = sqrt(mean variance / variance of k), at most 8 either way; 1 for a channel that does not vary. */
void even_latent_scales(const double *variance, int channels, double *scale);
/* `vector`: all values of the autoencoder's parameters.  Means are multiplied, log variances get 2 ln s_k.  Zero stays zero, so the
 * borders, which are padded with it, stay exact, too. */
dreamo_status even_latent_apply(const params *p, float *vector, int channels, const double *scale, dreamo_error *err);
#endif
