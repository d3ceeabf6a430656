/* reference.c - preparing and encoding reference pictures. */
#include "pipe/reference.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/sha256.h"
#include "image/resize.h"
#include "pipe/latent.h"
#include "pipe/phase.h"
#include "prep/plain.h"

void reference_free(reference *r)
{
    bitmap_free(&r->rgb);
    *r = (reference){ 0 };
}

/* ---- reading ---- */

static dreamo_status hash_file(const char *path, char out[65], dreamo_error *err)
{
    filemap map;
    dreamo_status s = file_map(path, &map, err);
    if (s != DREAMO_OK) return s;
    sha256_hex(map.data, map.nbytes, out);
    file_unmap(&map);
    return DREAMO_OK;
}

static dreamo_status copy_pixels(const dreamo_image *im, reference *out, dreamo_error *err)
{
    if (!im || !im->rgb || im->width < 1 || im->height < 1)
        return fail(err, DREAMO_ARG, "%s: neither a file nor pixels are given", out->name);
    dreamo_status s = bitmap_new(&out->rgb, im->width, im->height, 3, err);
    if (s != DREAMO_OK) return s;
    size_t n = (size_t)im->width * (size_t)im->height * 3;
    memcpy(out->rgb.data, im->rgb, n);
    sha256_hex(im->rgb, n, out->sha256);
    return DREAMO_OK;
}

/* Any pixel that is not opaque. */
static bool has_holes(const bitmap *b)
{
    size_t n = (size_t)b->width * (size_t)b->height;
    for (size_t i = 0; b->channels == 4 && i < n; i++)
        if (b->data[4 * i + 3] != 255) return true;
    return false;
}

/* *cut: the picture came with its thing cut out. */
static dreamo_status read_picture(const dreamo_reference *r, reference *out, bool *cut, const reporter *to, dreamo_error *err)
{
    *cut = false;
    if (!r->path && !r->data) return copy_pixels(r->image, out, err);
    char note[256] = "";
    bitmap raw = { 0 };
    dreamo_status s = DREAMO_OK;
    if (r->path) s = hash_file(r->path, out->sha256, err);
    else sha256_hex(r->data, r->nbytes, out->sha256);
    if (s == DREAMO_OK && r->path) s = image_read(r->path, &raw, note, sizeof note, err);
    else if (s == DREAMO_OK) s = image_decode(r->data, r->nbytes, out->name, &raw, note, sizeof note, err);
    if (s == DREAMO_OK && note[0]) s = report_line(to, DREAMO_EVENT_NOTE, err, "%s: %s", out->name, note);
    if (s == DREAMO_OK && raw.channels == 3) {
        out->rgb = raw;
        return DREAMO_OK;
    }
    if (s == DREAMO_OK) {
        *cut = has_holes(&raw);
        s = composite_white(&raw, &out->rgb, err);
    }
    bitmap_free(&raw);
    return s;
}

/* ---- cutting and resizing ---- */

static dreamo_status whiten(bitmap *rgb, dreamo_error *err)
{
    size_t n = (size_t)rgb->width * (size_t)rgb->height;
    unsigned char *mask = mem_alloc(n);
    dreamo_status s = mask ? plain_mask(rgb, mask, err) : fail(err, DREAMO_MEMORY, "no memory for a mask of %d x %d pixels", rgb->width, rgb->height);
    for (size_t i = 0; i < n && !s; i++)
        if (!mask[i]) memset(rgb->data + 3 * i, 255, 3);
    mem_free(mask);
    return s;
}

/* What ip and id ask for before resizing (spec 8.1); *how tells it in a word. */
static dreamo_status cut_out(const dreamo_reference *r, reference *out, bool already, const char **how, const reporter *to,
                             dreamo_error *err)
{
    *how = already ? "alpha on white" : "as it is";
    if (r->no_cut || r->task == DREAMO_STYLE || (already && r->task == DREAMO_IP)) return DREAMO_OK;
    if (r->task == DREAMO_ID)
        return report_line(to, DREAMO_EVENT_WARNING, err,
                           "%s: faces are not cut out yet, the whole picture is used (cut=off says so silently)", out->name);
    switch (plain_background(&out->rgb)) {
    case BACKGROUND_WHITE: *how = "white background"; return DREAMO_OK;
    case BACKGROUND_PLAIN: *how = "plain background made white"; return whiten(&out->rgb, err);
    default: break;
    }
    return report_line(to, DREAMO_EVENT_WARNING, err, "%s: has neither alpha nor a plain background, and backgrounds are not removed yet: "
                       "the whole picture is used (cut=off says so silently)", out->name);
}

enum { SIDE_MAX = 16384 };

static dreamo_status fit_to_grid(const dreamo_reference *r, reference *out, int cell, int default_res, dreamo_error *err)
{
    int w = out->rgb.width, h = out->rgb.height, width = w - w % cell, height = h - h % cell, res = r->res ? r->res : default_res;
    if (res > 0) area_size(w, h, res, cell, &width, &height);
    if (width < cell || height < cell)
        return fail(err, DREAMO_CONTENT, "%s: %d x %d pixels become %d x %d; a reference needs at least %d on both sides", out->name, w, h,
                    width, height, cell);
    if (width > SIDE_MAX || height > SIDE_MAX) {
        fail(err, DREAMO_LIMIT, "%s: a strip of %d x %d pixels would become %d x %d, a side may have at most %d", out->name, w, h, width, height, SIDE_MAX);
        return hint(err, "crop it, or give it a border: a reference is best not far from square");
    }
    out->grid = (token_grid){ height / cell, width / cell };
    if (width == w && height == h) return DREAMO_OK;
    bitmap resized = { 0 };
    dreamo_status s = resize_area(&out->rgb, width, height, &resized, err);
    if (s != DREAMO_OK) return s;
    bitmap_free(&out->rgb);
    out->rgb = resized;
    return DREAMO_OK;
}

dreamo_status reference_prepare(const dreamo_reference *r, int index, int cell, int default_res, const reporter *to, reference *out,
                                dreamo_error *err)
{
    static const char *const tasks[] = { [DREAMO_IP] = "ip", [DREAMO_ID] = "id", [DREAMO_STYLE] = "style" };
    *out = (reference){ .task = r->task, .slot = r->slot ? r->slot : index + 1 };
    const char *base = r->path ? strrchr(r->path, '/') : NULL, *how;
    if (r->path) snprintf(out->name, sizeof out->name, "%s", base ? base + 1 : r->path);
    else if (r->name && *r->name) snprintf(out->name, sizeof out->name, "%s", r->name);
    else snprintf(out->name, sizeof out->name, "reference %d", index + 1);
    bool already;
    int w = 0, h = 0;
    dreamo_status s = read_picture(r, out, &already, to, err);
    if (s == DREAMO_OK) s = cut_out(r, out, already, &how, to, err);
    if (s == DREAMO_OK) {
        w = out->rgb.width;
        h = out->rgb.height;
        s = fit_to_grid(r, out, cell, default_res, err);
    }
    if (s == DREAMO_OK)
        s = report_line(to, DREAMO_EVENT_REF, err, "%s  %s  slot %d, %s, %dx%d from %dx%d", out->name, tasks[r->task], out->slot, how,
                        out->rgb.width, out->rgb.height, w, h);
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
