/* encode.h - pictures into packed latent tokens, through the frozen autoencoder. */
#ifndef TRAIN_ENCODE_H
#define TRAIN_ENCODE_H
#include "format/image_file.h"
#include "model/vae.h"

/* u8 RGB -> [-1, 1], channels last. */
void pixels_from_rgb(const unsigned char *rgb, size_t n, float *pixels);

/* The posterior means of g.n pictures, shifted, scaled and packed (spec 2.4, 1.12): pixels [n*h*w, 3] -> tokens
 * [n * (h/2f) * (w/2f), 4 * latent channels] in host memory.  No tape. */
void encode_tokens(nn *cx, const vae *m, const float *pixels, grid g, float *tokens);
/* The same for moments that were read already: [h*w, 2c] of one picture, h and w in latent pixels. */
void tokens_from_moments(const vae_config *c, const float *moments, int h, int w, float *tokens);
#endif
