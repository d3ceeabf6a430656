/* even_latent.c - scales of the channels, into the two layers that meet the latent. */
#include "train/stages/even_latent.h"

#include <math.h>

static const double most = 8;

void even_latent_scales(const double *variance, int channels, double *scale)
{
    double mean = 0;
    for (int k = 0; k < channels; k++) mean += variance[k] / channels;
    for (int k = 0; k < channels; k++) scale[k] = variance[k] > 0 ? fmin(fmax(sqrt(mean / variance[k]), 1 / most), most) : 1;
}

dreamo_status even_latent_apply(const params *p, float *vector, int channels, const double *scale, dreamo_error *err)
{
    int last_weight = params_find(p, "encoder.conv_out.weight"), last_bias = params_find(p, "encoder.conv_out.bias");
    int first_weight = params_find(p, "decoder.conv_in.weight");
    if (last_weight < 0 || last_bias < 0 || first_weight < 0)
        return fail(err, DREAMO_BUG, "the autoencoder has no layers beside its latent");
    const param_slot *w = &p->slot[last_weight], *b = &p->slot[last_bias], *d = &p->slot[first_weight];
    size_t row = w->count / (size_t)(2 * channels), taps = (size_t)(d->shape[2] * d->shape[3]), rows = (size_t)d->shape[0];
    for (int k = 0; k < channels; k++) {
        for (size_t i = 0; i < row; i++) vector[w->at + (size_t)k * row + i] *= (float)scale[k];
        vector[b->at + (size_t)k] *= (float)scale[k];
        vector[b->at + (size_t)(channels + k)] += (float)(2 * log(scale[k]));
        for (size_t o = 0; o < rows; o++) /* [out, in, kh, kw] */
            for (size_t t = 0; t < taps; t++) vector[d->at + (o * (size_t)channels + (size_t)k) * taps + t] /= (float)scale[k];
    }
    return DREAMO_OK;
}
