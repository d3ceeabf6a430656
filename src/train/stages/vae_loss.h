/* vae_loss.h - the autoencoder's loss, written in ops.
 *
 * loss = mean (decode(mean + std eps) - x)^2 + edges e + kl_weight kl, kl = 0.5 mean(mean^2 + var - 1 - logvar), and e the same mean
 * over differences of neighbouring pixels: what blurs an edge costs twice. */
#ifndef TRAIN_VAE_LOSS_H
#define TRAIN_VAE_LOSS_H
#include "model/vae.h"

typedef struct vae_weights { double kl, edges; bool decoder_only; /* the encoder gets no gradient */ } vae_weights;
typedef struct vae_out { tensor moments, picture, mse, kl, loss; } vae_out;

/* pixels [n*h*w, 3] in [-1, 1]; eps [n*(h/f)*(w/f), latent channels], NULL: decode the mean. */
void vae_forward(nn *cx, const vae *m, const float *pixels, const float *eps, grid g, vae_weights w, vae_out *out);
#endif
