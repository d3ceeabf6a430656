/* latent.c - moving latents from one order to another. */
#include "pipe/latent.h"

#include <stddef.h>

static size_t token_index(int c, int w, int y, int x, int k)
{
    size_t token = (size_t)(y / 2) * (size_t)(w / 2) + (size_t)(x / 2);
    return token * (size_t)(4 * c) + (size_t)(4 * k + 2 * (y & 1) + (x & 1));
}

void latent_pack(const float *planar, int c, int h, int w, float *tokens)
{
    for (int k = 0; k < c; k++)
        for (int y = 0; y < h; y++)
            for (int x = 0; x < w; x++) tokens[token_index(c, w, y, x, k)] = *planar++;
}

void latent_unpack(const float *tokens, int c, int h, int w, float *planar)
{
    for (int k = 0; k < c; k++)
        for (int y = 0; y < h; y++)
            for (int x = 0; x < w; x++) *planar++ = tokens[token_index(c, w, y, x, k)];
}

void latent_to_rows(const float *planar, int c, int pixels, float *rows)
{
    for (int k = 0; k < c; k++)
        for (int i = 0; i < pixels; i++) rows[(size_t)i * (size_t)c + (size_t)k] = *planar++;
}

void latent_to_planar(const float *rows, int c, int pixels, float *planar)
{
    for (int k = 0; k < c; k++)
        for (int i = 0; i < pixels; i++) *planar++ = rows[(size_t)i * (size_t)c + (size_t)k];
}
