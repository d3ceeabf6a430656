/* generate.c - one request from beginning to end (spec 0.1). */
#include "pipe/generate.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "base/file.h"
#include "base/mem.h"
#include "pipe/latent.h"
#include "pipe/maps.h"
#include "pipe/phase.h"

void generation_free(generation *g)
{
    for (int i = 0; i < CONDITION_REFS; i++) reference_free(&g->refs[i]);
    prompt_free(&g->positive);
    prompt_free(&g->negative);
    dump_free(g->d);
    mem_free(g->ref_tokens);
    mem_free(g->x);
    mem_free(g->maps);
    *g = (generation){ 0 };
}

/* ---- before anything long ---- */

static dreamo_status maps_make_room(generation *g, dreamo_error *err)
{
    size_t n = (size_t)g->r->nrefs * (size_t)condition_noise_rows(&g->sample);
    if (!g->r->nrefs) return report_line(&g->to, DREAMO_EVENT_WARNING, err, "no maps: there are no references");
    if (!(g->maps = mem_calloc(n, sizeof *g->maps))) return fail(err, DREAMO_MEMORY, "no memory for the maps of %d references", g->r->nrefs);
    return folder_make(g->r->maps, err);
}

dreamo_status generation_prepare(generation *g, dreamo_model *m, device *dev, const dreamo_request *r, dreamo_error *err)
{
    *g = (generation){ .m = m, .r = r, .to = { r->progress, r->user }, .cell = model_cell(m), .err = err };
    dreamo_status s = request_check(g, err);
    if (s == DREAMO_OK) s = model_check_files(m, err);
    if (s != DREAMO_OK) return s;
    g->sample.out = (token_grid){ g->height / g->cell, g->width / g->cell };
    for (int i = 0; s == DREAMO_OK && i < r->nrefs; i++) {
        s = reference_prepare(m->prep, dev, &r->refs[i], i, g->cell, model_ref_sides(m, r->refs, r->nrefs), &g->to, &g->refs[i], err);
        g->sample.ref[i] = g->refs[i].grid;
        g->sample.slot[i] = g->refs[i].slot;
        g->sample.nrefs = i + 1;
    }
    if (s == DREAMO_OK) s = prompt_read(m, r->prompt, &g->to, &g->positive, err);
    if (s == DREAMO_OK && g->cfg) s = prompt_read(m, g->negative_words, &g->to, &g->negative, err);
    if (s == DREAMO_OK && r->dump) s = folder_make(r->dump, err); /* before hours of work, not after */
    if (s == DREAMO_OK && r->maps) s = maps_make_room(g, err);
    if (s == DREAMO_OK && r->dump && !(g->d = dump_new())) s = fail(err, DREAMO_MEMORY, "no memory for a dump");
    return s;
}

static dreamo_status show_preview(void *user, const float *x, const float *v, float sigma, int step, dreamo_error *err)
{
    generation *g = user;
    if (step % g->r->preview_every || step == g->how.steps) return DREAMO_OK;
    return preview_show(g, x, v, sigma, step, err);
}

denoise_input generation_inputs(generation *g)
{
    return (denoise_input){ .m = g->m, .how = &g->how, .sample = &g->sample, .references = g->ref_tokens, .positive = &g->positive,
                            .negative = g->cfg ? &g->negative : NULL, .x = g->x, .maps = g->maps, .to = &g->to, .preview = g->r->preview_every > 0 ? show_preview : NULL,
                            .user = g, .err = g->err };
}

/* ---- decoding ---- */

typedef struct decode_job { const vae *m; const float *z; grid g; float *rgb; } decode_job;

static void decode(nn *cx, void *job)
{
    decode_job *j = job;
    tensor z = tensor_from(cx, j->g.h * j->g.w, j->m->config.latent_channels, j->z);
    tensor x = vae_decode(cx, j->m, z, j->g);
    tensor_read(cx, x, j->rgb);
}

dreamo_status decode_rows(dreamo_model *m, const float *z, grid g, float *rgb, dreamo_error *err)
{
    decode_job job = { m->vae, z, g, rgb };
    return phase_run(m->dev, decode, &job, err);
}

/* [-1, 1] to 0..255, halves to even (spec 8.3). */
void pixels_to_bytes(const float *rows, size_t n, uint8_t *out)
{
    for (size_t i = 0; i < n; i++) out[i] = (uint8_t)nearbyintf(255.0f * fminf(fmaxf(rows[i] * 0.5f + 0.5f, 0.0f), 1.0f));
}

static void dump_picture(generation *g, const float *rows, float *planar, const uint8_t *rgb)
{
    if (!g->d) return;
    latent_to_planar(rows, 3, g->width * g->height, planar);
    dump_tensor(g->d, DT_F32, SHAPE(3, g->height, g->width), planar, "image");
    dump_tensor(g->d, DT_U8, SHAPE(g->height, g->width, 3), rgb, "rgb");
}

/* planar and rows hold 3 floats a picture pixel, or what the latent needs if that is more. */
static dreamo_status decode_into(generation *g, float *planar, float *rows, float *z, dreamo_image *out, dreamo_error *err)
{
    const vae_config *c = &g->m->vae->config;
    int factor = vae_factor(c), h = g->height / factor, w = g->width / factor;
    size_t n = (size_t)h * (size_t)w * (size_t)c->latent_channels;
    latent_unpack(g->x, c->latent_channels, h, w, planar);
    for (size_t i = 0; i < n; i++) planar[i] = planar[i] / c->scaling + c->shift;
    dump_tensor(g->d, DT_F32, SHAPE(c->latent_channels, h, w), planar, "latent");
    latent_to_rows(planar, c->latent_channels, h * w, z);
    dreamo_status s = decode_rows(g->m, z, (grid){ 1, h, w }, rows, err);
    if (s != DREAMO_OK) return s;
    size_t values = (size_t)g->width * (size_t)g->height * 3;
    for (size_t i = 0; i < values; i++)
        if (!isfinite(rows[i])) return fail(err, DREAMO_NUMERIC, "the decoded picture holds NaN or infinity");
    pixels_to_bytes(rows, values, out->rgb);
    dump_picture(g, rows, planar, out->rgb);
    return DREAMO_OK;
}

static dreamo_status decode_picture(generation *g, dreamo_image *out, dreamo_error *err)
{
    const vae_config *c = &g->m->vae->config;
    size_t pixels = (size_t)g->width * (size_t)g->height, area = (size_t)vae_factor(c) * (size_t)vae_factor(c);
    size_t latent = pixels / area * (size_t)c->latent_channels, n = latent > 3 * pixels ? latent : 3 * pixels;
    float *planar = mem_alloc(n * sizeof *planar), *rows = mem_alloc(3 * pixels * sizeof *rows), *z = mem_alloc(latent * sizeof *z);
    *out = (dreamo_image){ .width = g->width, .height = g->height, .rgb = mem_alloc(3 * pixels) };
    dreamo_status s = DREAMO_MEMORY;
    if (planar && rows && z && out->rgb) s = decode_into(g, planar, rows, z, out, err);
    else fail(err, s, "no memory for a picture of %d x %d", g->width, g->height);
    mem_free(planar);
    mem_free(rows);
    mem_free(z);
    return s;
}

/* ---- the run ---- */

static dreamo_status encode_references(generation *g, dreamo_error *err)
{
    size_t channels = (size_t)g->m->dit->config.in_channels;
    size_t rows = (size_t)(condition_image_rows(&g->sample) - condition_noise_rows(&g->sample));
    noise_generator eps;
    g->ref_tokens = mem_calloc(rows * channels + 1, sizeof(float));
    if (!g->ref_tokens) return fail(err, DREAMO_MEMORY, "no memory for %zu reference tokens", rows);
    noise_seed(&eps, g->r->ref_seed); /* one generator for all of them, in order */
    float *at = g->ref_tokens;
    for (int i = 0; i < g->sample.nrefs; i++) {
        noise_generator *sampled = g->r->ref_noise ? &eps : NULL;
        dreamo_status s = reference_encode(g->m->dev, g->m->vae, &g->refs[i], sampled, g->kernel, at, g->d, i + 1, err);
        if (s != DREAMO_OK) return s;
        at += (size_t)(g->refs[i].grid.h * g->refs[i].grid.w) * channels;
    }
    return DREAMO_OK;
}

/* One draw in [channel, row, column] order, then packed (spec 7.4). */
static dreamo_status draw_noise(generation *g, dreamo_error *err)
{
    const vae_config *c = &g->m->vae->config;
    int factor = vae_factor(c), h = g->height / factor, w = g->width / factor;
    size_t n = (size_t)c->latent_channels * (size_t)h * (size_t)w;
    float *planar = mem_alloc(n * sizeof *planar);
    g->x = mem_alloc(n * sizeof *g->x);
    if (planar && g->x) {
        noise_generator seeded;
        noise_seed(&seeded, g->r->seed);
        noise_normal(&seeded, g->kernel, planar, n);
        latent_pack(planar, c->latent_channels, h, w, g->x);
    }
    mem_free(planar);
    if (planar && g->x) return DREAMO_OK;
    return fail(err, DREAMO_MEMORY, "no memory for the noise of a %d x %d picture", g->width, g->height);
}

/* "text 12.1 s, references 6.02 s, 4 steps 601 s, decoding 9.5 s, most memory 5448.2 MB"; at: the clock before the first and after each. */
static dreamo_status tell_times(const generation *g, const double at[5], dreamo_error *err)
{
    struct rusage used = { 0 };
    getrusage(RUSAGE_SELF, &used);
    return report_line(&g->to, DREAMO_EVENT_NOTE, err, "text %.3g s, references %.3g s, %d step%s %.3g s, decoding %.3g s, most memory %.1f MB", at[1] - at[0],
                       at[2] - at[1], g->how.steps, g->how.steps == 1 ? "" : "s", at[3] - at[2], at[4] - at[3], (double)used.ru_maxrss / 1024); /* KiB; MB as in the plan */
}

/* How a stage went for picture g, and whether the next one is for it. */
static bool well(const generation *g) { return g->status == DREAMO_OK; }

static void encode_prompts(generation *g)
{
    if (well(g)) g->status = prompt_encode(g->m, &g->positive, g->d, "", g->err);
    if (well(g) && g->cfg) g->status = prompt_encode(g->m, &g->negative, g->d, "neg.", g->err);
}

static void run_steps(generation *const *g, int n)
{
    denoise_input in[DENOISE_BATCH];
    generation *member[DENOISE_BATCH];
    int count = 0;
    for (int i = 0; i < n; i++) {
        if (!well(g[i])) continue;
        in[count] = generation_inputs(g[i]);
        member[count++] = g[i];
    }
    if (count) denoise(in, count, member[0]->d);
    for (int i = 0; i < count; i++) member[i]->status = in[i].status;
}

/* A file a reference: map-SLOT-SEED.png. */
static dreamo_status write_maps(const generation *g, const dreamo_image *im, dreamo_error *err)
{
    dreamo_status s = DREAMO_OK;
    bitmap picture = { im->width, im->height, 3, im->rgb };
    for (int k = 0; g->maps && k < g->sample.nrefs && !s; k++) {
        bitmap lit = { 0 };
        char *path = mem_printf("%s/map-%d-%llu.png", g->r->maps, g->sample.slot[k], (unsigned long long)g->r->seed);
        s = path ? maps_light(&picture, g->maps + (size_t)(k * condition_noise_rows(&g->sample)), g->sample.out.h, g->sample.out.w, &lit, err)
                 : fail(err, DREAMO_MEMORY, "no memory for a file name");
        if (!s) s = image_write_png(path, &lit, NULL, 0, true, err);
        bitmap_free(&lit);
        mem_free(path);
    }
    return s;
}

static void finish(generation *g, const double at[5], dreamo_image *out)
{
    if (well(g) && g->r->timings) g->status = tell_times(g, at, g->err);
    if (well(g)) g->status = metadata_write(g, &out->metadata, g->err);
    if (well(g)) g->status = write_maps(g, out, g->err);
    if (well(g) && g->d) g->status = dump_write(g->d, g->r->dump, g->err);
    if (!well(g)) dreamo_image_free(out);
}

void generation_run(generation *const *g, int n, dreamo_image *out)
{
    dreamo_model *m = g[0]->m;
    double at[5] = { seconds_now() };
    for (int i = 0; i < n; i++) encode_prompts(g[i]);
    bind_forget(&m->files[MODEL_T5]); /* one network's weights in memory at a time */
    bind_forget(&m->files[MODEL_CLIP]);
    at[1] = seconds_now();
    for (int i = 0; i < n; i++)
        if (well(g[i])) g[i]->status = encode_references(g[i], g[i]->err);
    bind_forget(&m->files[MODEL_VAE]);
    for (int i = 0; i < n; i++)
        if (well(g[i])) g[i]->status = draw_noise(g[i], g[i]->err);
    at[2] = seconds_now();
    run_steps(g, n);
    bind_forget(&m->files[MODEL_DIT]);
    at[3] = seconds_now();
    for (int i = 0; i < n; i++)
        if (well(g[i])) g[i]->status = decode_picture(g[i], &out[i], g[i]->err);
    bind_forget(&m->files[MODEL_VAE]);
    at[4] = seconds_now();
    for (int i = 0; i < n; i++) finish(g[i], at, &out[i]);
}
