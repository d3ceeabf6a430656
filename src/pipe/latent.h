/* latent.h - the three orders in which latents lie.
 *
 * planar [c, h, w], as noise is drawn; rows [h*w, c], channels last, as the autoencoder has it; packed tokens
 * [(h/2)*(w/2), 4c], channel 4c + 2dy + dx (spec 1.12).  h and w are even. */
#ifndef PIPE_LATENT_H
#define PIPE_LATENT_H

void latent_pack(const float *planar, int c, int h, int w, float *tokens);
void latent_unpack(const float *tokens, int c, int h, int w, float *planar);
void latent_to_rows(const float *planar, int c, int pixels, float *rows);
void latent_to_planar(const float *rows, int c, int pixels, float *planar);
#endif
