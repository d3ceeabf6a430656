/* preview.c - the growing picture, cheaply.
 *
 * Flow matching moves x along a straight line: x = (1 - sigma) picture + sigma noise and v = noise - picture, so that x - sigma v is
 * the picture as the network sees it now.  Its latent is averaged down until it decodes to at most 256 pixels a side, and goes through the
 * autoencoder: right for every model, at a small part of a step's cost. */
#include <math.h>

#include "base/mem.h"
#include "pipe/generate.h"
#include "pipe/latent.h"

enum { SIDE = 256 };

/* planar [c, h, w] to rows [h/k * w/k, c], the mean of each k x k square; what does not fill a square is left out. */
static void shrink(const float *planar, int c, int h, int w, int k, float *rows)
{
    int small_h = h / k, small_w = w / k;
    for (int ch = 0; ch < c; ch++)
        for (int y = 0; y < small_h; y++)
            for (int x = 0; x < small_w; x++) {
                float sum = 0;
                for (int dy = 0; dy < k; dy++)
                    for (int dx = 0; dx < k; dx++) sum += planar[((size_t)ch * (size_t)h + (size_t)(y * k + dy)) * (size_t)w + (size_t)(x * k + dx)];
                rows[((size_t)y * (size_t)small_w + (size_t)x) * (size_t)c + (size_t)ch] = sum / (float)(k * k);
            }
}

static dreamo_status tell(generation *g, const dreamo_image *im, int step, dreamo_error *err)
{
    dreamo_event e = { .kind = DREAMO_EVENT_PREVIEW, .done = step, .total = g->how.steps, .seconds_left = -1, .image = im };
    if (!g->to.call || g->to.call(g->to.user, &e)) return DREAMO_OK;
    return fail(err, DREAMO_CANCELLED, "stopped on request");
}

dreamo_status preview_show(generation *g, const float *x, const float *v, float sigma, int step, dreamo_error *err)
{
    const vae_config *c = &g->m->vae->config;
    int factor = vae_factor(c), h = g->height / factor, w = g->width / factor, k = 1;
    while ((h / k) * factor > SIDE || (w / k) * factor > SIDE) k++;
    if (h / k < 1 || w / k < 1) return DREAMO_OK; /* a ribbon: there is nothing to see at this size */
    grid small = { 1, h / k, w / k };
    size_t n = (size_t)c->latent_channels * (size_t)h * (size_t)w, pixels = (size_t)(small.h * small.w) * (size_t)factor * (size_t)factor;
    float *now = mem_alloc(2 * n * sizeof *now), *rgb = mem_alloc(3 * pixels * sizeof *rgb), *planar = now ? now + n : NULL;
    dreamo_image im = { .width = small.w * factor, .height = small.h * factor, .rgb = mem_alloc(3 * pixels) };
    dreamo_status s = DREAMO_OK;
    if (now && rgb && im.rgb) {
        for (size_t i = 0; i < n; i++) now[i] = (x[i] - sigma * v[i]) / c->scaling + c->shift;
        latent_unpack(now, c->latent_channels, h, w, planar);
        shrink(planar, c->latent_channels, h, w, k, now);
        s = decode_rows(g->m, now, small, rgb, err);
        bool finite = true; /* an early guess may be anything; the step itself has been checked */
        for (size_t i = 0; s == DREAMO_OK && i < 3 * pixels; i++) finite = finite && isfinite(rgb[i]);
        if (s == DREAMO_OK && finite) {
            pixels_to_bytes(rgb, 3 * pixels, im.rgb);
            s = tell(g, &im, step, err);
        }
    } else {
        s = fail(err, DREAMO_MEMORY, "no memory for a preview");
    }
    mem_free(now);
    mem_free(rgb);
    mem_free(im.rgb);
    return s;
}
