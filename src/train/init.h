/* init.h - first weights of networks that have none. */
#ifndef TRAIN_INIT_H
#define TRAIN_INIT_H
#include "train/network.h"
#include "train/pca.h"

/* Fill the values of network `part`, whose parameters begin at slot `first` of p.  A weight depends on seed, part and name
 * alone. */
void init_network(params *p, int first, const network *n, network_part part, uint64_t seed);

/* After init_network for the autoencoder: rewrite its encoder so that it computes the principal components (each of variance 1)
 * of patches as large as its factor, exactly up to the head's GroupNorm.  false: the configuration leaves no room for that
 * path, nothing was changed. */
bool init_vae_pca(params *p, int first, const vae_config *c, const pca *from);
#endif
