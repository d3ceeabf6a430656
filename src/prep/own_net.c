/* own_net.c - the picture shrunk to about the side that the network was trained at, its odds, and those to full size along the picture's edges. */
#include "prep/own_net.h"

#include <math.h>

#include "base/file.h"
#include "base/mem.h"
#include "image/guided.h"
#include "image/resize.h"
#include "model/matting.h"
#include "prep/engine.h"
#include "weights/bind.h"
#include "weights/config.h"

enum { RADIUS = 3 };
static const float eps = 1e-4f;

struct own_net { matting *m; bound_files files; };

dreamo_status own_net_open(const char *folder, own_net **out, dreamo_error *err)
{
    matting_config c;
    own_net *n = *out = mem_calloc(1, sizeof *n);
    char *config = path_join(folder, "config.json");
    dreamo_status s = n && config ? config_matting(config, &c, err) : fail(err, DREAMO_MEMORY, "%s: no memory", folder);
    mem_free(config);
    if (!s && !(n->m = matting_new(&c))) s = fail(err, DREAMO_MEMORY, "%s: no memory for the network", folder);
    if (!s) s = bind_matting(n->m, folder, &n->files, err);
    if (!s) return DREAMO_OK;
    own_net_close(n);
    *out = NULL;
    return s;
}

void own_net_close(own_net *n)
{
    if (!n) return;
    bind_close(&n->files);
    matting_free(n->m);
    mem_free(n);
}

typedef struct job { const own_net *n; const float *pixels; grid g; float *odds; } job;

static void look(nn *cx, void *arg)
{
    job *j = arg;
    tensor_read(cx, matting_logits(cx, j->n->m, tensor_from(cx, j->g.h * j->g.w, 3, j->pixels), j->g), j->odds);
}

dreamo_status own_net_mask(own_net *n, device *dev, const bitmap *rgb, unsigned char *alpha, float *most, dreamo_error *err)
{
    bitmap small = { 0 };
    int w, h;
    area_size(rgb->width, rgb->height, n->m->config.side, matting_cell(&n->m->config), &w, &h);
    int limit = 4 * n->m->config.side; /* a strip is looked at squeezed */
    w = w < limit ? w : limit, h = h < limit ? h : limit;
    size_t pixels = (size_t)w * (size_t)h;
    float *values = mem_alloc(4 * pixels * sizeof *values);
    dreamo_status s = values ? resize_area(rgb, w, h, &small, err) : fail(err, DREAMO_MEMORY, "no memory to cut out a picture of %d x %d pixels", rgb->width, rgb->height);
    for (size_t i = 0; i < 3 * pixels && !s; i++) values[i] = 2.0f * (small.data[i] / 255.0f) - 1;
    job j = { n, values, { 1, h, w }, values ? values + 3 * pixels : NULL };
    if (!s) s = net_run(dev, look, &j, NULL, NULL, err);
    *most = 0;
    for (size_t i = 0; i < pixels && !s; i++) {
        j.odds[i] = 1 / (1 + expf(-j.odds[i]));
        *most = j.odds[i] > *most ? j.odds[i] : *most;
    }
    if (!s) s = guided_upsample(j.odds, &small, rgb, RADIUS, eps, alpha, err);
    bitmap_free(&small);
    mem_free(values);
    return s;
}
