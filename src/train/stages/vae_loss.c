/* vae_loss.c - reconstruction and the posterior's distance from a normal. */
#include "train/stages/vae_loss.h"

void vae_forward(nn *cx, const vae *m, const float *pixels, const float *eps, grid g, double kl_weight, vae_out *out)
{
    int f = vae_factor(&m->config), latent = m->config.latent_channels;
    grid small = { g.n, g.h / f, g.w / f };
    tensor x = tensor_from(cx, g.n * g.h * g.w, m->config.image_channels, pixels);
    out->moments = vae_encode(cx, m, x, g);
    tensor z = eps ? op_gaussian(cx, out->moments, tensor_from(cx, small.n * small.h * small.w, latent, eps))
                   : tensor_cols(out->moments, 0, latent);
    out->picture = vae_decode(cx, m, z, small);
    out->mse = op_mse(cx, out->picture, x, NULL);
    out->kl = op_kl(cx, out->moments);
    out->loss = op_add(cx, out->mse, op_scale(cx, out->kl, (float)kl_weight));
}
