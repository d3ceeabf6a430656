/* stage_vae.c - the autoencoder, on single pictures: the targets of the recipe's kinds of sample, a micro-batch in one of its sizes.
 *
 * Validation is the reconstruction of held-out pictures from the posterior's mean, against principal components with as many
 * numbers a patch, fitted to training pictures. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "format/json.h"
#include "train/flow/encode.h"
#include "train/export.h"
#include "train/flow/flow.h"
#include "train/init.h"
#include "train/stages/latent_basis.h"
#include "train/stages/stage.h"
#include "train/stages/vae_loss.h"

enum { PCA_PICTURES = 512, STATISTICS = 256, PROBED = 64, SHEET_ROWS = 8, SHEET_ZOOM = 3, VALIDATION_MICRO = 8, SIZE_STREAM = 0x53495a45 };

typedef struct vae_stage {
    int n, w, h, factor;      /* pictures in the micro-batch, their size; pixels a latent pixel */
    int held_w, held_h;       /* of all pictures that are looked at between steps: the first size of the recipe */
    mixture kinds;
    float *pixels, *eps;      /* of a micro-batch, as large as the largest */
    float *held;              /* validation pictures */
    double pca_error;         /* of held pictures; < 0: not known yet */
    vae_out out;
    bool backward;
} vae_stage;

static size_t picture_size(const vae_stage *v) { return (size_t)(v->w * v->h) * 3; }
static size_t latent_pixels(const vae_stage *v) { return (size_t)(v->w / v->factor * (v->h / v->factor)); }
static void   look_at_held(vae_stage *v) { v->w = v->held_w, v->h = v->held_h; }

/* ---- pictures ---- */

typedef struct draw_job { const stage *s; data_split split; int64_t first; float *pixels; float *eps; } draw_job;

/* Training draws from the mixture; held out, its kinds take turns.  Without a mixture: all that stands on a scene, or held-out subjects. */
static data_kind kind_of(const draw_job *j, int i)
{
    const vae_stage *v = j->s->self;
    const mixture *m = &v->kinds;
    rng r = rng_new((uint64_t)j->s->r->seed, ~(uint64_t)(j->first + i));
    if (!j->s->r->kinds.n) return j->split == DATA_VAL ? DATA_SUBJECT : DATA_T2I;
    return (data_kind)(j->split == DATA_VAL ? &m->part[i % m->n] : mixture_draw(m, &r))->a;
}

static dreamo_status draw(void *arg, int i, dreamo_error *err)
{
    const draw_job *j = arg;
    const vae_stage *v = j->s->self;
    data_sample sample = { 0 };
    uint64_t index = (uint64_t)(j->first + i);
    data_request q = { kind_of(j, i), j->split, (uint64_t)j->s->r->seed, index, v->w, v->h, 0 };
    if (!data_can(j->s->data, q.kind, q.split)) q.kind = DATA_T2I; /* nothing of this kind is held out */
    dreamo_status s = data_sample_make(j->s->data, NULL, &q, &sample, err);
    if (!s) pixels_from_rgb(sample.target.data, picture_size(v), j->pixels + (size_t)i * picture_size(v));
    data_sample_free(&sample);
    if (!s && j->eps) {
        size_t n = latent_pixels(v) * (size_t)j->s->n.vae->config.latent_channels;
        rng r = rng_new((uint64_t)j->s->r->seed, index);
        flow_noise(&r, j->eps + (size_t)i * n, n);
    }
    return s;
}

/* n training pictures that no step uses, or held-out ones, in new memory. */
static dreamo_status draw_some(stage *s, data_split split, int n, float **pixels, dreamo_error *err)
{
    vae_stage *v = s->self;
    look_at_held(v);
    *pixels = mem_alloc((size_t)n * picture_size(v) * sizeof **pixels + 1);
    if (!*pixels) return fail(err, DREAMO_MEMORY, "no memory for %d pictures", n);
    bool held = split == DATA_VAL;
    draw_job job = { s, split, held ? 0 : INT64_MAX / 2, *pixels, NULL };
    return stage_each(s, n, draw, &job, err);
}

/* ---- opening ---- */

/* Fit principal components to training pictures; start from them when the recipe says so. */
static dreamo_status meet_pca(stage *s, bool fresh, dreamo_error *err)
{
    vae_stage *v = s->self;
    const vae_config *c = &s->n.vae->config;
    float *pixels = NULL;
    pca fitted = { 0 };
    dreamo_status status = draw_some(s, DATA_TRAIN, PCA_PICTURES, &pixels, err);
    if (!status) status = pca_fit(&fitted, pixels, PCA_PICTURES, v->w, v->h, vae_factor(c), c->latent_channels, err);
    if (!status && s->r->validation) status = draw_some(s, DATA_VAL, (int)s->r->validation, &v->held, err);
    if (!status && s->r->validation) v->pca_error = pca_error(&fitted, v->held, (int)s->r->validation, v->w, v->h);
    if (!status && fresh && s->r->init == INIT_PCA && !init_vae_pca(&s->p, 0, c, &fitted))
        status = fail(err, DREAMO_ARG, "init = pca: %s/vae/config.json has too few channels for it; init = plain always fits",
                      s->model);
    mem_free(pixels);
    pca_free(&fitted);
    return status;
}

static dreamo_status open_vae(stage *s, dreamo_error *err)
{
    vae_stage *v = s->self = mem_calloc(1, sizeof *v);
    if (!v) return fail(err, DREAMO_MEMORY, "no memory for a stage");
    dreamo_status status = network_open(&s->n, s->model, s->file, 1u << PART_VAE, 1u << PART_VAE, err);
    if (status) return status;
    int latent = s->n.vae->config.latent_channels, f = vae_factor(&s->n.vae->config);
    const mixture *sizes = &s->r->pictures;
    *v = (vae_stage){ .n = (int)s->r->micro, .factor = f, .held_w = sizes->part[0].a, .held_h = sizes->part[0].b, .pca_error = -1 };
    status = stage_check_sizes(s, 2 * f, err);
    if (!status) status = stage_kinds(s, DATA_T2I, &v->kinds, err);
    if (status) return status;
    if (v->n > 64) return fail(err, DREAMO_ARG, "micro = %d: the autoencoder takes at most 64", v->n);
    size_t largest = 0;
    for (int i = 0; i < sizes->n; i++) {
        size_t area = (size_t)sizes->part[i].a * (size_t)sizes->part[i].b;
        if (!area) return fail(err, DREAMO_ARG, "pictures = %dx0: a micro-batch of the autoencoder has one size", sizes->part[i].a);
        if (area > largest) {
            largest = area;
            v->w = sizes->part[i].a;
            v->h = sizes->part[i].b;
        }
    }
    v->pixels = mem_alloc((size_t)v->n * largest * 3 * sizeof *v->pixels);
    v->eps = mem_alloc((size_t)v->n * largest / (size_t)(f * f) * (size_t)latent * sizeof *v->eps);
    if (!v->pixels || !v->eps) return fail(err, DREAMO_MEMORY, "no memory for %d pictures", v->n);
    status = params_add_network(&s->p, "", s->n.vae, network_walker(PART_VAE), err);
    if (!status) status = params_allocate(&s->p, s->r->ema > 0, err);
    if (status) return status;
    s->in_networks = params_total(&s->p);
    params_attach(&s->p, 0, s->n.vae, network_walker(PART_VAE));
    if (s->n.fresh[PART_VAE]) init_network(&s->p, 0, &s->n, PART_VAE, (uint64_t)s->r->seed);
    return s->data ? meet_pca(s, s->n.fresh[PART_VAE], err) : DREAMO_OK;
}

static void close_vae(stage *s)
{
    vae_stage *v = s->self;
    if (!v) return;
    mem_free(v->pixels);
    mem_free(v->eps);
    mem_free(v->held);
    mem_free(v);
}

static void use_vae(stage *s, const float *vector) { params_use(&s->p, vector, 0, s->n.vae, network_walker(PART_VAE)); }

/* ---- steps ---- */

static void pass(nn *cx, void *job)
{
    stage *s = job;
    vae_stage *v = s->self;
    vae_forward(cx, s->n.vae, v->pixels, v->backward ? v->eps : NULL, (grid){ v->n, v->h, v->w },
                (vae_weights){ s->r->kl, s->r->edges, s->r->decoder_only }, &v->out);
    if (v->backward && nn_ok(cx)) nn_backward(cx, v->out.loss);
}

static void add_part(log_step *out, int i, const char *name, double value)
{
    out->part[i].name = name;
    out->part[i].value += value;
    if (out->nparts <= i) out->nparts = i + 1;
}

static dreamo_status micro_vae(stage *s, int64_t first, int of, log_step *out, dreamo_error *err)
{
    vae_stage *v = s->self;
    rng r = rng_new((uint64_t)s->r->seed, (uint64_t)first ^ SIZE_STREAM);
    const mixture_part *size = mixture_draw(&s->r->pictures, &r);
    v->n = (int)s->r->micro;
    v->w = size->a;
    v->h = size->b;
    v->backward = true;
    draw_job job = { s, DATA_TRAIN, first, v->pixels, v->eps };
    dreamo_status status = stage_each(s, v->n, draw, &job, err);
    if (!status) status = sized_step(&s->tape, s->r->pictures.n > 1, pass, s, err);
    if (status) return status;
    float mse, kl, loss;
    tensor_read(s->tape.cx, v->out.mse, &mse);
    tensor_read(s->tape.cx, v->out.kl, &kl);
    tensor_read(s->tape.cx, v->out.loss, &loss);
    out->loss += (double)loss / of;
    add_part(out, 0, "mse", (double)mse / of);
    add_part(out, 1, "kl", (double)kl / of);
    return DREAMO_OK;
}

static dreamo_status plan_vae(stage *s, nn_counts *counts, int64_t *tokens, dreamo_error *err)
{
    vae_stage *v = s->self;
    v->backward = true;
    dreamo_status status = sized_measure(&s->tape, pass, s, err);
    *counts = s->tape.last;
    *tokens = (int64_t)v->n * v->w * v->h;
    return status;
}

/* ---- looking at held-out pictures ---- */

/* `n` pictures from `pixels` through the network, without a tape; what is wanted may be NULL. */
static dreamo_status look(stage *s, const float *pixels, int n, float *picture, float *moments, double *error, dreamo_error *err)
{
    vae_stage *v = s->self;
    look_at_held(v);
    size_t one = picture_size(v), latent = latent_pixels(v) * (size_t)(2 * s->n.vae->config.latent_channels);
    float *steps_pixels = v->pixels;
    dreamo_status status = DREAMO_OK;
    v->backward = false;
    if (error) *error = 0;
    for (int i = 0; i < n && !status; i += v->n) {
        float mse = 0;
        v->n = n - i < VALIDATION_MICRO ? n - i : VALIDATION_MICRO;
        v->pixels = (float *)(uintptr_t)(pixels + (size_t)i * one);
        status = sized_step(&s->plain, true, pass, s, err);
        if (status) break;
        tensor_read(s->plain.cx, v->out.mse, &mse);
        if (error) *error += (double)mse * v->n / n;
        if (picture) tensor_read(s->plain.cx, v->out.picture, picture + (size_t)i * one);
        if (moments) tensor_read(s->plain.cx, v->out.moments, moments + (size_t)i * latent);
    }
    v->pixels = steps_pixels;
    v->n = (int)s->r->micro;
    return status;
}

static dreamo_status validate_vae(stage *s, train_log *log, int64_t step, dreamo_error *err)
{
    vae_stage *v = s->self;
    double error = 0;
    if (!v->held) return DREAMO_OK;
    dreamo_status status = look(s, v->held, (int)s->r->validation, NULL, NULL, &error, err);
    if (status) return status;
    double mine = psnr(error), theirs = psnr(v->pca_error);
    log_note(log, "step %lld: %d held-out pictures: %.2f dB, principal components %.2f dB, %+.2f dB", (long long)step,
             (int)s->r->validation, mine, theirs, mine - theirs);
    log_part parts[] = { { "psnr", mine }, { "pca_psnr", theirs }, { "gain", mine - theirs } };
    return log_numbers(log, step, "validation", parts, 3, err);
}

/* ---- export ---- */

/* Of the latents of training pictures: each channel's mean, the covariance, the mean of the posterior's variances; and, when wanted, what pictures show of
 * them (latent_basis.h). */
typedef struct latent_facts { double *mean, *covariance, *posterior, *gram; } latent_facts;

static void count_moments(const float *moments, int rows, int n, const latent_facts *of)
{
    for (int i = 0; i < rows; i++) {
        const float *x = moments + (size_t)i * (size_t)(2 * n);
        for (int k = 0; k < n; k++) {
            of->mean[k] += (double)x[k] / rows;
            of->posterior[k] += exp(fmin(fmax((double)x[n + k], -30), 20)) / rows;
            for (int j = 0; j < n; j++) of->covariance[k * n + j] += (double)x[k] * (double)x[j] / rows;
        }
    }
    for (int k = 0; k < n; k++)
        for (int j = 0; j < n; j++) of->covariance[k * n + j] -= of->mean[k] * of->mean[j];
}

/* Of the first of these latents, a micro-batch at a time. */
static dreamo_status look_at_decoder(stage *s, const float *moments, double *gram, dreamo_error *err)
{
    vae_stage *v = s->self;
    int n = s->n.vae->config.latent_channels, pixels = (int)latent_pixels(v);
    rng r = rng_new((uint64_t)s->r->seed, ~(uint64_t)0);
    int64_t count = 0;
    float *z = mem_alloc((size_t)(VALIDATION_MICRO * pixels * n) * sizeof *z);
    dreamo_status status = z ? DREAMO_OK : fail(err, DREAMO_MEMORY, "no memory for latents");
    for (int at = 0; at < PROBED * pixels && !status; at += VALIDATION_MICRO * pixels) {
        for (int i = 0; i < VALIDATION_MICRO * pixels; i++) memcpy(z + i * n, moments + (size_t)(at + i) * (size_t)(2 * n), (size_t)n * sizeof *z);
        status = latent_gram(s->dev, s->n.vae, z, (grid){ VALIDATION_MICRO, v->h / v->factor, v->w / v->factor }, 1, &r, gram, &count, err);
    }
    for (int i = 0; i < n * n && count; i++) gram[i] /= (double)count;
    params_zero_grad(&s->p, s->dev->threads);
    mem_free(z);
    return status;
}

static dreamo_status find_facts(stage *s, const latent_facts *of, dreamo_error *err)
{
    vae_stage *v = s->self;
    int n = s->n.vae->config.latent_channels;
    look_at_held(v);
    int rows = STATISTICS * (int)latent_pixels(v);
    float *pixels = NULL, *moments = mem_alloc((size_t)rows * (size_t)(2 * n) * sizeof *moments);
    dreamo_status status = moments ? draw_some(s, DATA_TRAIN, STATISTICS, &pixels, err) : fail(err, DREAMO_MEMORY, "no memory for latents");
    if (!status) status = look(s, pixels, STATISTICS, NULL, moments, NULL, err);
    if (!status) count_moments(moments, rows, n, of);
    if (!status && of->gram) status = look_at_decoder(s, moments, of->gram, err);
    mem_free(pixels);
    mem_free(moments);
    return status;
}

/* config.json with the shift and scale that give the latents, in their new basis, mean 0 and variance 1 over all channels. */
static dreamo_status write_config(const char *path, const latent_facts *of, const latent_basis *b, dreamo_error *err)
{
    json_t *o = NULL;
    double middle = 0, square = 0;
    for (int k = 0; k < b->n; k++) {
        const double *to = b->to + k * b->n;
        double mean = 0, variance = 0;
        for (int i = 0; i < b->n; i++) {
            mean += to[i] * of->mean[i];
            for (int j = 0; j < b->n; j++) variance += to[i] * of->covariance[i * b->n + j] * to[j];
        }
        middle += mean / b->n;
        square += (fmax(variance, 0) + mean * mean) / b->n;
    }
    dreamo_status status = json_read(path, 1 << 20, &o, err);
    if (!status) {
        json_object_set_new(o, "shift_factor", json_real(middle));
        json_object_set_new(o, "scaling_factor", json_real(1 / sqrt(fmax(square - middle * middle, 1e-12))));
        char *text = json_text(o);
        status = text ? file_replace(path, text, strlen(text), err) : fail(err, DREAMO_MEMORY, "%s: no memory", path);
        mem_free(text);
    }
    json_decref(o);
    return status;
}

static dreamo_status export_vae(stage *s, const char *folder, dreamo_error *err)
{
    int n = s->n.vae->config.latent_channels;
    size_t nbytes = s->p.count * sizeof(float);
    char *config = mem_printf("%s/vae/config.json", folder), *weights = mem_printf("%s/vae/diffusion_pytorch_model.safetensors", folder);
    double *mean = mem_calloc((size_t)(2 * n + 2 * n * n), sizeof *mean), *variance = mem_alloc((size_t)n * sizeof *variance);
    latent_facts of = { mean, mean + 2 * n, mean + n, s->r->visible_channels > 0 ? mean + 2 * n + n * n : NULL };
    latent_basis b = { 0 };
    float *out = mem_alloc(nbytes);
    dreamo_status status = config && weights && mean && variance && out ? latent_basis_new(&b, n, err) : fail(err, DREAMO_MEMORY, "%s: no memory", folder);
    if (!status) status = find_facts(s, &of, err);
    if (!status) {
        memcpy(out, s->p.ema ? s->p.ema : s->p.value, nbytes);
        for (int k = 0; k < n; k++) variance[k] = fmax(of.covariance[k * n + k], 0);
        if (s->r->even_channels) latent_even(&b, variance);
        if (of.gram) status = latent_visible(&b, of.gram, s->r->visible_channels, err);
    }
    if (!status) status = latent_basis_apply(&b, &s->p, out, of.posterior, err);
    if (!status) status = export_weights(weights, &s->p, out, 0, s->p.n, "", s->r->export_bf16, err);
    if (!status) status = write_config(config, &of, &b, err);
    latent_basis_free(&b);
    mem_free(config);
    mem_free(weights);
    mem_free(mean);
    mem_free(variance);
    mem_free(out);
    return status;
}

/* Rows of original and reconstruction. */
static dreamo_status sheet_vae(stage *s, const char *model, const char *path, dreamo_error *err)
{
    vae_stage *v = s->self;
    int n = SHEET_ROWS * 2;
    look_at_held(v);
    float *pixels = NULL, *picture = mem_alloc((size_t)n * picture_size(v) * sizeof *picture);
    bitmap sheet = { 0 };
    (void)model;
    use_vae(s, s->p.ema ? s->p.ema : s->p.value);
    dreamo_status status = picture ? draw_some(s, DATA_VAL, n, &pixels, err) : fail(err, DREAMO_MEMORY, "no memory for a sheet");
    if (!status) status = look(s, pixels, n, picture, NULL, NULL, err);
    if (!status) status = bitmap_new(&sheet, 4 * v->w * SHEET_ZOOM, SHEET_ROWS * v->h * SHEET_ZOOM, 3, err);
    for (int y = 0; !status && y < sheet.height; y++)
        for (int x = 0; x < sheet.width; x++) {
            int py = y / SHEET_ZOOM, px = x / SHEET_ZOOM, column = px / v->w, i = py / v->h * 2 + column / 2;
            size_t at = (size_t)i * picture_size(v) + (size_t)(py % v->h * v->w + px % v->w) * 3;
            const float *from = (column % 2 ? picture : pixels) + at;
            unsigned char *to = sheet.data + ((size_t)y * (size_t)sheet.width + (size_t)x) * 3;
            for (int k = 0; k < 3; k++) to[k] = (unsigned char)lrintf(fminf(fmaxf((from[k] + 1) * 127.5f, 0), 255));
        }
    if (!status) status = image_write_png(path, &sheet, NULL, 0, true, err);
    use_vae(s, s->p.value);
    bitmap_free(&sheet);
    mem_free(pixels);
    mem_free(picture);
    return status;
}

const stage_kind stage_vae = { "vae", open_vae, close_vae, micro_vae, plan_vae, use_vae, validate_vae, export_vae, sheet_vae };
