/* vae_loss.c - reconstruction and the posterior's distance from a normal. */
#include "train/stages/vae_loss.h"

/* Mean squared error of x[i + step] - x[i].  Where a step crosses a border it compares two pixels that are not neighbours: a row or a
 * column in a hundred, and the target has the same. */
static tensor step_error(nn *cx, tensor made, tensor wanted, int step)
{
    int rows = made.rows - step;
    tensor a = op_add(cx, tensor_rows(made, step, rows), op_scale(cx, tensor_rows(made, 0, rows), -1));
    tensor b = op_add(cx, tensor_rows(wanted, step, rows), op_scale(cx, tensor_rows(wanted, 0, rows), -1));
    return op_mse(cx, a, b, NULL);
}

void vae_forward(nn *cx, const vae *m, const float *pixels, const float *eps, grid g, vae_weights w, vae_out *out)
{
    int f = vae_factor(&m->config), latent = m->config.latent_channels;
    grid small = { g.n, g.h / f, g.w / f };
    bool taping = nn_taping(cx);
    tensor x = tensor_from(cx, g.n * g.h * g.w, m->config.image_channels, pixels);
    if (w.decoder_only) nn_set_taping(cx, false);
    out->moments = vae_encode(cx, m, x, g);
    tensor z = eps ? op_gaussian(cx, out->moments, tensor_from(cx, small.n * small.h * small.w, latent, eps))
                   : tensor_cols(out->moments, 0, latent);
    nn_set_taping(cx, taping);
    out->picture = vae_decode(cx, m, z, small);
    out->mse = op_mse(cx, out->picture, x, NULL);
    out->kl = op_kl(cx, out->moments);
    out->loss = w.decoder_only ? out->mse : op_add(cx, out->mse, op_scale(cx, out->kl, (float)w.kl));
    if (w.edges > 0) {
        tensor e = op_add(cx, step_error(cx, out->picture, x, 1), step_error(cx, out->picture, x, g.w));
        out->loss = op_add(cx, out->loss, op_scale(cx, e, (float)w.edges));
    }
}
