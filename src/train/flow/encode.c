/* encode.c - pictures to tokens. */
#include "train/flow/encode.h"

#include "base/mem.h"

void pixels_from_rgb(const unsigned char *rgb, size_t n, float *pixels)
{
    for (size_t i = 0; i < n; i++) pixels[i] = 2.0f * ((float)rgb[i] / 255.0f) - 1.0f;
}

void tokens_from_moments(const vae_config *c, const float *moments, int h, int w, float *tokens)
{
    int channels = c->latent_channels;
    for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x++) {
            const float *mean = moments + (size_t)(y * w + x) * (size_t)(2 * channels);
            float *token = tokens + (size_t)(y / 2 * (w / 2) + x / 2) * (size_t)(4 * channels) + 2 * (y % 2) + x % 2;
            for (int k = 0; k < channels; k++) token[4 * k] = (mean[k] - c->shift) * c->scaling;
        }
}

void encode_tokens(nn *cx, const vae *m, const float *pixels, grid g, float *tokens)
{
    int factor = vae_factor(&m->config), h = g.h / factor, w = g.w / factor, channels = m->config.latent_channels;
    bool taping = nn_taping(cx);
    nn_set_taping(cx, false);
    tensor moments = vae_encode(cx, m, tensor_from(cx, g.n * g.h * g.w, 3, pixels), g);
    nn_set_taping(cx, taping);
    size_t one = (size_t)(h * w) * (size_t)(2 * channels);
    float *host = mem_calloc((size_t)g.n * one, sizeof *host);
    if (!host) {
        nn_fail(cx, DREAMO_MEMORY, "no memory for %d pictures' latents", g.n);
        return;
    }
    tensor_read(cx, moments, host);
    for (int i = 0; i < g.n; i++)
        tokens_from_moments(&m->config, host + (size_t)i * one, h, w, tokens + (size_t)i * (size_t)(h * w) * (size_t)channels);
    mem_free(host);
}
