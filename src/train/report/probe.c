/* probe.c - one sample, two losses, all gradients; then the autoencoder's. */
#include "train/report/probe.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "format/json.h"
#include "format/safetensors.h"
#include "image/resize.h"
#include "pipe/latent.h"
#include "train/stages/adapter_set.h"
#include "train/flow/caption.h"
#include "train/flow/encode.h"
#include "train/flow/flow_loss.h"
#include "train/stages/sized.h"
#include "train/stages/vae_loss.h"

/* ---- the stored sample ---- */

typedef struct probe_case {
    char *prompt, *target, *ref[CONDITION_REFS];
    int nrefs, width, height;
    double sigma, guidance;
    st_file inputs;
} probe_case;

static void case_free(probe_case *c)
{
    mem_free(c->prompt);
    mem_free(c->target);
    for (int i = 0; i < c->nrefs; i++) mem_free(c->ref[i]);
    st_close(&c->inputs);
}

static dreamo_status case_refs(probe_case *c, const char *folder, const char *path, const json_t *list, dreamo_error *err)
{
    if (!json_is_array(list) || json_array_size(list) < 1 || json_array_size(list) > CONDITION_REFS)
        return fail(err, DREAMO_FORMAT, "%s: references must be a list of 1 to %d file names", path, CONDITION_REFS);
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *name = json_string_value(json_array_get(list, i));
        c->ref[c->nrefs] = name ? path_join(folder, name) : NULL;
        if (!c->ref[c->nrefs]) return fail(err, DREAMO_FORMAT, "%s: reference %zu is not a file name", path, i + 1);
        c->nrefs++;
    }
    return DREAMO_OK;
}

static dreamo_status case_read(probe_case *c, const char *folder, dreamo_error *err)
{
    char *path = path_join(folder, "case.json"), *inputs = path_join(folder, "inputs.safetensors");
    json_t *o = NULL;
    const char *prompt = NULL, *target = NULL;
    int64_t width = 0, height = 0;
    dreamo_status s = path && inputs ? json_read(path, 1 << 16, &o, err) : fail(err, DREAMO_MEMORY, "%s: no memory", folder);
    if (!s) s = json_get_string(o, path, "prompt", NULL, &prompt, err);
    if (!s) s = json_get_string(o, path, "target", NULL, &target, err);
    if (!s) s = json_get_int(o, path, "width", 8, 4096, 0, &width, err);
    if (!s) s = json_get_int(o, path, "height", 8, 4096, 0, &height, err);
    if (!s) s = json_get_number(o, path, "sigma", 0, 1, -1, &c->sigma, err);
    if (!s) s = json_get_number(o, path, "guidance", 0, 100, -1, &c->guidance, err);
    if (!s) s = case_refs(c, folder, path, json_object_get(o, "references"), err);
    if (!s) {
        c->width = (int)width;
        c->height = (int)height;
        c->prompt = mem_strdup(prompt);
        c->target = path_join(folder, target);
        if (!c->prompt || !c->target) s = fail(err, DREAMO_MEMORY, "%s: no memory", folder);
    }
    if (!s) s = st_open(inputs, &c->inputs, err);
    json_decref(o);
    mem_free(path);
    mem_free(inputs);
    return s;
}

/* A float tensor of the inputs with `count` numbers. */
static dreamo_status input(const probe_case *c, const char *name, size_t count, float *out, dreamo_error *err)
{
    st_tensor *t = st_find(&c->inputs, name);
    if (!t || t->type != DT_F32 || t->count != count)
        return fail(err, DREAMO_FORMAT, "%s: %s must be F32 with %zu numbers", c->inputs.path, name, count);
    memcpy(out, t->data, count * sizeof *out);
    return DREAMO_OK;
}

/* ---- what is written ---- */

typedef struct out_list { int n, room; st_tensor *t; float **values; bool full; } out_list;

static void put(out_list *l, int rank, const int64_t *shape, const float *values, const char *format,
                ...) __attribute__((format(printf, 5, 6)));
static void put(out_list *l, int rank, const int64_t *shape, const float *values, const char *format, ...)
{
    char name[256];
    size_t count = 1;
    va_list ap;
    va_start(ap, format);
    vsnprintf(name, sizeof name, format, ap);
    va_end(ap);
    if (l->n == l->room) {
        int room = l->room ? 2 * l->room : 512;
        st_tensor *t = mem_realloc(l->t, (size_t)room * sizeof *t);
        if (t) l->t = t;
        float **v = t ? mem_realloc(l->values, (size_t)room * sizeof *v) : NULL;
        if (v) l->values = v;
        l->full = l->full || !t || !v;
        if (l->full) return;
        l->room = room;
    }
    st_tensor t = { .name = mem_strdup(name), .type = DT_F32, .rank = rank };
    for (int i = 0; i < rank; i++) count *= (size_t)(t.shape[i] = shape[i]);
    float *copy = mem_alloc(count * sizeof *copy);
    if (!copy || !t.name) {
        mem_free(copy);
        mem_free((char *)(uintptr_t)t.name);
        l->full = true;
        return;
    }
    memcpy(copy, values, count * sizeof *copy);
    t.count = count;
    t.nbytes = count * sizeof *copy;
    t.data = copy;
    l->values[l->n] = copy;
    l->t[l->n++] = t;
}

static void put_tensor(out_list *l, nn *cx, tensor x, int rank, const int64_t *shape, const char *name)
{
    float *values = mem_alloc((size_t)x.rows * (size_t)x.cols * sizeof *values + 1);
    if (!values) {
        l->full = true;
        return;
    }
    tensor_read(cx, x, values);
    if (nn_ok(cx)) put(l, rank, shape, values, "%s", name);
    mem_free(values);
}

#define SIZES(...) (const int64_t[]){ __VA_ARGS__ }

static void put_grads(out_list *l, const params *p, int first, int n, const char *prefix)
{
    for (int i = first; i < first + n; i++)
        put(l, p->slot[i].rank, p->slot[i].shape, p->grad + p->slot[i].at, "%s%s", prefix, p->slot[i].name);
}

static void out_free(out_list *l)
{
    for (int i = 0; i < l->n; i++) {
        mem_free(l->values[i]);
        mem_free((char *)(uintptr_t)l->t[i].name);
    }
    mem_free(l->t);
    mem_free(l->values);
}

static dreamo_status out_write(const out_list *l, const char *dump, dreamo_error *err)
{
    if (l->full) return fail(err, DREAMO_MEMORY, "no memory for the probe's tensors");
    char *path = path_join(dump, "train.safetensors");
    dreamo_status s = path ? folder_make(dump, err) : fail(err, DREAMO_MEMORY, "%s: no memory", dump);
    if (!s) s = st_write(path, l->t, l->n, NULL, 0, err);
    mem_free(path);
    return s;
}

/* ---- the transformer's part ---- */

typedef struct probe {
    probe_case c;
    network n;
    lora_file lora;
    adapter_set set;
    params p, vae_p;        /* adapters and tables, then the base; the autoencoder */
    int base_first;
    flow_batch batch;
    device *dev;
    out_list out;
    bitmap target;
    float *pixels, *eps;    /* the target's, for the autoencoder */
    bool route;             /* which loss goes back */
    flow_out flow;
    vae_out vae;
} probe;

static dreamo_status read_rgb(const char *path, int cell, bitmap *out, dreamo_error *err)
{
    bitmap raw = { 0 };
    dreamo_status s = image_read(path, &raw, NULL, 0, err);
    if (!s && (raw.width % cell || raw.height % cell))
        s = fail(err, DREAMO_CONTENT, "%s: %dx%d is no multiple of %d", path, raw.width, raw.height, cell);
    if (!s && raw.channels == 3) {
        *out = raw;
        return s;
    }
    if (!s) s = composite_white(&raw, out, err);
    bitmap_free(&raw);
    return s;
}

/* One picture through the autoencoder into its rows of batch.clean. */
typedef struct encode_job { const vae *m; const float *pixels; grid g; float *tokens; } encode_job;

static void encode_one(nn *cx, void *job)
{
    encode_job *j = job;
    encode_tokens(cx, j->m, j->pixels, j->g, j->tokens);
}

static dreamo_status encode_bitmap(probe *p, const bitmap *b, float *tokens, dreamo_error *err)
{
    size_t n = (size_t)b->width * (size_t)b->height * 3;
    float *pixels = mem_alloc(n * sizeof *pixels);
    if (!pixels) return fail(err, DREAMO_MEMORY, "no memory for a picture");
    pixels_from_rgb(b->data, n, pixels);
    encode_job job = { p->n.vae, pixels, { 1, b->height, b->width }, tokens };
    dreamo_status s = sized_run(p->dev, false, false, encode_one, &job, err);
    mem_free(pixels);
    return s;
}

static dreamo_status load_pictures(probe *p, bitmap refs[CONDITION_REFS], condition_sample *shape, dreamo_error *err)
{
    int cell = 2 * vae_factor(&p->n.vae->config);
    dreamo_status s = read_rgb(p->c.target, cell, &p->target, err);
    if (!s && (p->target.width != p->c.width || p->target.height != p->c.height))
        s = fail(err, DREAMO_FORMAT, "%s: %dx%d, case.json says %dx%d", p->c.target, p->target.width, p->target.height,
                 p->c.width, p->c.height);
    *shape = (condition_sample){ .out = { p->target.height / cell, p->target.width / cell }, .nrefs = p->c.nrefs };
    for (int i = 0; !s && i < p->c.nrefs; i++) {
        s = read_rgb(p->c.ref[i], cell, &refs[i], err);
        shape->ref[i] = (token_grid){ refs[i].height / cell, refs[i].width / cell };
        shape->slot[i] = i + 1;
    }
    return s;
}

static dreamo_status fill_batch(probe *p, const caption *words, const condition_sample *shape, const bitmap *refs,
                                dreamo_error *err)
{
    flow_batch *b = &p->batch;
    dreamo_status s = flow_batch_new(b, &p->n.dit->config, 1, err);
    if (s) return s;
    b->sample[0] = *shape;
    b->text[0] = words->rows;
    b->masked[0] = (1u << shape->nrefs) - 1;
    s = flow_batch_shape(b, &p->n.dit->config, 1, err);
    if (s) return s;
    memcpy(b->t5_ids, words->t5, (size_t)words->rows.nt5 * sizeof(int32_t));
    memcpy(b->clip_ids, words->clip, (size_t)words->rows.nclip * sizeof(int32_t));
    b->sigma[0] = (float)p->c.sigma;
    b->guidance[0] = (float)p->c.guidance;
    size_t noise = (size_t)condition_noise_rows(shape), row = noise;
    s = encode_bitmap(p, &p->target, b->clean, err);
    for (int i = 0; !s && i < shape->nrefs; i++) {
        int rows = shape->ref[i].h * shape->ref[i].w;
        float *at = b->clean + row * (size_t)b->channels;
        char name[32];
        s = encode_bitmap(p, &refs[i], at, err);
        snprintf(name, sizeof name, "ref.%d.latent", i + 1);
        put(&p->out, 2, SIZES(rows, b->channels), at, "%s", name);
        row += (size_t)rows;
    }
    if (!s) s = input(&p->c, "noise", noise * (size_t)b->channels, b->noise, err);
    if (!s) s = input(&p->c, "masks", noise * (size_t)shape->nrefs, b->mask, err);
    if (!s) flow_batch_mix(b);
    return s;
}

static void flow_pass(nn *cx, void *job)
{
    probe *p = job;
    flow_model m = { .dit = p->n.dit, .t5 = p->n.t5, .clip = p->n.clip, .task = &p->set.task, .idx = &p->set.idx };
    const flow_batch *b = &p->batch;
    flow_forward(cx, &m, b, (flow_wishes){ .routes = true }, &p->flow);
    tensor loss = p->route ? p->flow.route : p->flow.diff;
    if (nn_ok(cx)) nn_backward(cx, loss);
    if (nn_device(cx)->be->dry) return;
    put_tensor(&p->out, cx, loss, 1, SIZES(1), p->route ? "loss.route" : "loss.diff");
    if (p->route) return;
    int noise = condition_noise_rows(&b->sample[0]), nrefs = b->sample[0].nrefs, layers = p->flow.nmaps;
    put_tensor(&p->out, cx, tensor_rows(p->flow.velocity, 0, noise), 2, SIZES(noise, b->channels), "v");
    put_tensor(&p->out, cx, p->flow.text, 2, SIZES(p->flow.text.rows, p->flow.text.cols), "prompt_embeds");
    put_tensor(&p->out, cx, p->flow.pooled, 1, SIZES(p->flow.pooled.cols), "pooled");
    float *maps = mem_alloc((size_t)(layers * nrefs * noise) * sizeof *maps);
    if (!maps) nn_fail(cx, DREAMO_MEMORY, "no memory for the maps");
    for (int i = 0; nn_ok(cx) && i < layers; i++) tensor_read(cx, p->flow.maps[i], maps + (size_t)(i * nrefs * noise));
    if (nn_ok(cx)) put(&p->out, 3, SIZES(layers, nrefs, noise), maps, "maps");
    mem_free(maps);
}

static dreamo_status run_flow(probe *p, dreamo_error *err)
{
    const flow_batch *b = &p->batch;
    int noise = condition_noise_rows(&b->sample[0]);
    put(&p->out, 2, SIZES(noise, b->channels), b->clean, "x0");
    put(&p->out, 2, SIZES(noise, b->channels), b->shown, "xt");
    dreamo_status s = sized_run(p->dev, true, false, flow_pass, p, err);
    put_grads(&p->out, &p->p, 0, p->base_first, "grad.diff.");
    put_grads(&p->out, &p->p, p->base_first, p->p.n - p->base_first, "base.");
    params_zero_grad(&p->p, NULL);
    p->route = true;
    if (!s) s = sized_run(p->dev, true, false, flow_pass, p, err);
    put_grads(&p->out, &p->p, 0, p->base_first, "grad.route.");
    return s;
}

static dreamo_status open_networks(probe *p, const dreamo_model_options *o, dreamo_error *err)
{
    const backend *be = backend_to_train(o->backend, err);
    if (!be) return err ? err->status : DREAMO_ARG;
    if (!o->dir) return fail(err, DREAMO_ARG, "a probe needs a model folder");
    if (o->nloras != 1) return fail(err, DREAMO_ARG, "a probe needs exactly one LoRA, %d are given", o->nloras);
    dreamo_status s = network_open(&p->n, o->dir, (const char *const[PARTS]){ o->dit, o->t5, o->clip, o->vae }, PARTS_OF_A_MODEL, 0, err);
    if (!s) s = lora_open(o->loras[0].path, o->loras[0].scale, p->n.dit, p->n.t5->config.width, &p->lora, err);
    if (!s) s = adapter_set_from_file(&p->set, &p->p, &p->lora, unigram_first_added(p->n.t5_words), err);
    p->base_first = p->p.n;
    if (!s) s = params_add_network(&p->p, "", p->n.dit, network_walker(PART_DIT), err);
    if (!s) s = params_allocate(&p->p, false, err);
    if (!s) params_attach(&p->p, p->base_first, p->n.dit, network_walker(PART_DIT));
    if (!s) s = adapter_set_attach(&p->set, &p->p, &p->lora, 0, p->n.t5, true, err);
    p->dev = s ? NULL : be->open(o->threads);
    return s || p->dev ? s : fail(err, DREAMO_MEMORY, "no memory or no threads for backend %s", be->name);
}

static dreamo_status prepare(probe *p, dreamo_error *err)
{
    bitmap refs[CONDITION_REFS] = { 0 };
    condition_sample shape;
    caption words = { 0 };
    dreamo_status s = load_pictures(p, refs, &shape, err);
    if (!s) s = caption_read(&p->n, p->c.prompt, &words, err);
    if (!s) s = fill_batch(p, &words, &shape, refs, err);
    caption_free(&words);
    for (int i = 0; i < CONDITION_REFS; i++) bitmap_free(&refs[i]);
    return s;
}

/* ---- the autoencoder's part ---- */

static void vae_pass(nn *cx, void *job)
{
    probe *p = job;
    vae_forward(cx, p->n.vae, p->pixels, p->eps, (grid){ 1, p->c.height, p->c.width }, (vae_weights){ .kl = 1e-3 }, &p->vae);
    if (nn_ok(cx)) nn_backward(cx, p->vae.loss);
    if (nn_device(cx)->be->dry) return;
    put_tensor(&p->out, cx, p->vae.loss, 1, SIZES(1), "vae.loss");
    put_tensor(&p->out, cx, p->vae.kl, 1, SIZES(1), "vae.kl");
}

static dreamo_status run_vae(probe *p, dreamo_error *err)
{
    int f = vae_factor(&p->n.vae->config), latent = p->n.vae->config.latent_channels, pixels = p->c.width / f * (p->c.height / f);
    size_t n = (size_t)p->c.width * (size_t)p->c.height * 3, m = (size_t)(latent * pixels);
    float *planar = mem_alloc(m * sizeof *planar);
    p->pixels = mem_alloc(n * sizeof *p->pixels);
    p->eps = mem_alloc(m * sizeof *p->eps);
    dreamo_status s = planar && p->pixels && p->eps ? input(&p->c, "eps", m, planar, err)
                                                    : fail(err, DREAMO_MEMORY, "no memory for a picture");
    if (!s) {
        latent_to_rows(planar, latent, pixels, p->eps);
        pixels_from_rgb(p->target.data, n, p->pixels);
        s = params_add_network(&p->vae_p, "", p->n.vae, network_walker(PART_VAE), err);
    }
    if (!s) s = params_allocate(&p->vae_p, false, err);
    if (!s) params_attach(&p->vae_p, 0, p->n.vae, network_walker(PART_VAE));
    if (!s) s = sized_run(p->dev, true, false, vae_pass, p, err);
    if (!s) put_grads(&p->out, &p->vae_p, 0, p->vae_p.n, "vae.grad.");
    mem_free(planar);
    return s;
}

dreamo_status probe_run(const char *folder, const dreamo_model_options *model, const char *dump, dreamo_error *err)
{
    probe p = { 0 };
    dreamo_status s = case_read(&p.c, folder, err);
    if (!s) s = open_networks(&p, model, err);
    if (!s) s = prepare(&p, err);
    if (!s) s = run_flow(&p, err);
    if (!s) s = run_vae(&p, err);
    if (!s) s = out_write(&p.out, dump, err);
    out_free(&p.out);
    mem_free(p.pixels);
    mem_free(p.eps);
    bitmap_free(&p.target);
    flow_batch_free(&p.batch);
    adapter_set_free(&p.set);
    network_close(&p.n);
    lora_close(&p.lora);
    params_free(&p.p);
    params_free(&p.vae_p);
    case_free(&p.c);
    if (p.dev) p.dev->be->close(p.dev);
    return s;
}
