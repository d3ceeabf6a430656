/* reference.c - preparing and encoding reference pictures. */
#include "pipe/reference.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "pipe/latent.h"
#include "pipe/phase.h"

void reference_free(reference *r)
{
    bitmap_free(&r->rgb);
    *r = (reference){ 0 };
}

void reference_name(const dreamo_reference *r, int index, char *out, size_t nbytes)
{
    const char *base = r->path ? strrchr(r->path, '/') : NULL;
    if (r->path) snprintf(out, nbytes, "%s", base ? base + 1 : r->path);
    else if (r->name && *r->name) snprintf(out, nbytes, "%s", r->name);
    else snprintf(out, nbytes, "reference %d", index + 1);
}

const char *reference_task_name(dreamo_task task)
{
    static const char *const names[] = { [DREAMO_IP] = "ip", [DREAMO_ID] = "id", [DREAMO_STYLE] = "style", [DREAMO_AUTO] = "auto" };
    return names[task];
}

/* A line about it, with what the model will see. */
static dreamo_status show(const reference *r, const prepared *p, const reporter *to, dreamo_error *err)
{
    char text[400];
    const dreamo_image image = { .width = r->rgb.width, .height = r->rgb.height, .rgb = r->rgb.data };
    const dreamo_event event = { .kind = DREAMO_EVENT_REF, .done = r->slot, .seconds_left = -1, .text = text, .image = &image };
    snprintf(text, sizeof text, "%s  %s  slot %d, %s, %dx%d from %dx%d", r->name, reference_task_name(r->task), r->slot, p->how, r->rgb.width, r->rgb.height, p->width, p->height);
    return !to->call || to->call(to->user, &event) ? DREAMO_OK : fail(err, DREAMO_CANCELLED, "stopped");
}

dreamo_status reference_prepare(prep *with, device *dev, const dreamo_reference *r, int index, int cell, prep_sides sides, const reporter *to, reference *out,
                                dreamo_error *err)
{
    prepared p;
    *out = (reference){ .slot = r->slot ? r->slot : index + 1 };
    reference_name(r, index, out->name, sizeof out->name);
    dreamo_status s = prep_run(with, dev, r, out->name, cell, sides, to, &p, err);
    if (s != DREAMO_OK) return s;
    out->task = p.task;
    out->rgb = p.rgb;
    out->grid = (token_grid){ p.rgb.height / cell, p.rgb.width / cell };
    memcpy(out->sha256, p.sha256, sizeof out->sha256);
    s = show(out, &p, to, err);
    if (s != DREAMO_OK) reference_free(out);
    return s;
}

/* ---- encoding ---- */

typedef struct encode_job { const vae *m; const float *pixels; grid g; float *moments; } encode_job;

static void encode(nn *cx, void *job)
{
    encode_job *j = job;
    tensor x = tensor_from(cx, j->g.h * j->g.w, 3, j->pixels);
    tensor_read(cx, vae_encode(cx, j->m, x, j->g), j->moments);
}

/* The posterior of one picture, planar. */
typedef struct posterior { int c, h, w; size_t n; float *pixels, *moments, *mean, *logvar, *eps, *sample; } posterior;

static void posterior_free(posterior *p)
{
    mem_free(p->pixels);
    mem_free(p->moments);
    mem_free(p->mean);
}

static dreamo_status posterior_new(posterior *p, const vae *m, const bitmap *rgb, dreamo_error *err)
{
    int factor = vae_factor(&m->config);
    size_t pixels = (size_t)rgb->width * (size_t)rgb->height;
    *p = (posterior){ .c = m->config.latent_channels, .h = rgb->height / factor, .w = rgb->width / factor };
    p->n = (size_t)p->c * (size_t)p->h * (size_t)p->w;
    p->pixels = mem_alloc(pixels * 3 * sizeof(float));
    p->moments = mem_calloc(2 * p->n, sizeof(float));
    p->mean = mem_calloc(4 * p->n, sizeof(float));
    if (!p->pixels || !p->moments || !p->mean) {
        posterior_free(p);
        return fail(err, DREAMO_MEMORY, "no memory to encode a %d x %d reference", rgb->width, rgb->height);
    }
    p->logvar = p->mean + p->n;
    p->eps = p->logvar + p->n;
    p->sample = p->eps + p->n;
    for (size_t i = 0; i < pixels * 3; i++) p->pixels[i] = 2.0f * ((float)rgb->data[i] / 255.0f) - 1.0f;
    return DREAMO_OK;
}

/* Rows of [mean | log variance] apart into planes. */
static void split_moments(posterior *p)
{
    int pixels = p->h * p->w;
    for (int k = 0; k < p->c; k++)
        for (int i = 0; i < pixels; i++) {
            const float *row = p->moments + (size_t)i * (size_t)(2 * p->c);
            p->mean[k * pixels + i] = row[k];
            p->logvar[k * pixels + i] = row[p->c + k];
        }
}

static void take_sample(posterior *p, noise_generator *g, noise_kernel kernel)
{
    if (g) noise_normal(g, kernel, p->eps, p->n);
    for (size_t i = 0; i < p->n; i++) {
        float logvar = fminf(fmaxf(p->logvar[i], -30.0f), 20.0f);
        p->sample[i] = p->mean[i] + (g ? expf(0.5f * logvar) * p->eps[i] : 0.0f);
    }
}

dreamo_status reference_encode(device *dev, const vae *m, const reference *r, noise_generator *g, noise_kernel kernel,
                               float *tokens, dump *d, int number, dreamo_error *err)
{
    posterior p;
    dreamo_status s = posterior_new(&p, m, &r->rgb, err);
    if (s != DREAMO_OK) return s;
    encode_job job = { .m = m, .pixels = p.pixels, .g = { 1, r->rgb.height, r->rgb.width }, .moments = p.moments };
    s = phase_run(dev, encode, &job, err);
    if (s == DREAMO_OK) {
        split_moments(&p);
        take_sample(&p, g, kernel);
        dump_tensor(d, DT_U8, SHAPE(r->rgb.height, r->rgb.width, 3), r->rgb.data, "ref.%d.rgb", number);
        dump_tensor(d, DT_F32, SHAPE(p.c, p.h, p.w), p.mean, "ref.%d.mean", number);
        dump_tensor(d, DT_F32, SHAPE(p.c, p.h, p.w), p.logvar, "ref.%d.logvar", number);
        if (g) dump_tensor(d, DT_F32, SHAPE(p.c, p.h, p.w), p.eps, "ref.%d.eps", number);
        dump_tensor(d, DT_F32, SHAPE(p.c, p.h, p.w), p.sample, "ref.%d.sample", number);
        for (size_t i = 0; i < p.n; i++) p.sample[i] = (p.sample[i] - m->config.shift) * m->config.scaling;
        latent_pack(p.sample, p.c, p.h, p.w, tokens);
    }
    posterior_free(&p);
    return s;
}
