/* latent_basis.h - which numbers the latent is written down in, and not a picture changed.
 *
 * Flow matching gives every channel noise of one size and asks for all of them alike, so their scales decide what a network spends itself on.  The
 * encoder ends and the decoder begins with a linear layer; a matrix into the one and its inverse into the other change the scales and nothing else.
 *
 * even: one variance for all channels.
 * visible: channels are turned until each changes pictures on its own (the eigenvectors of G, the decoder's mean Gram matrix J'J), and the one whose unit
 * step changes pixels by g is multiplied by g^power.  With 1 a distance in the latent is one in pixels, and nearly all of it is coarse; an autoencoder
 * whose channels are even has most of its variance in what nobody sees. */
#ifndef TRAIN_LATENT_BASIS_H
#define TRAIN_LATENT_BASIS_H
#include "base/rng.h"
#include "model/vae.h"
#include "train/params.h"

/* All [n, n]: new = to old, old = back new. */
typedef struct latent_basis { int n; double *to, *back; } latent_basis;

dreamo_status latent_basis_new(latent_basis *b, int n, dreamo_error *err); /* the unit matrix twice */
void          latent_basis_free(latent_basis *b);
/* Channel k is multiplied by sqrt(mean variance / variance of k), at most 8 either way; by 1 when it does not vary.  b: a new one. */
void          latent_even(latent_basis *b, const double *variance);
/* gram [n, n]: of the basis that b begins from.  The most visible channel comes first; squares of the factors have mean 1. */
dreamo_status latent_visible(latent_basis *b, const double *gram, double power, dreamo_error *err);
/* `vector`: all values of the autoencoder's parameters.  Zero stays zero, so the borders, which are padded with it, stay exact, too.  Means are exact;
 * a channel that is a mixture of old ones has one variance everywhere, that of their mean posterior [n], where scaled ones keep theirs. */
dreamo_status latent_basis_apply(const latent_basis *b, const params *p, float *vector, const double *posterior, dreamo_error *err);

/* gram [channels, channels] += sum over pixels of the latent z [n * h * w, channels] and `probes` of (J'u)(J'u)', u normal over the pixels of the decoded
 * pictures: the sum's mean is G.  *count += how many terms.  Parameters get gradients, too, which the caller throws away. */
dreamo_status latent_gram(device *dev, const vae *m, const float *z, grid g, int probes, rng *r, double *gram, int64_t *count, dreamo_error *err);
#endif
