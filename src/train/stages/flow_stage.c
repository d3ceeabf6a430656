/* flow_stage.c - composing, encoding, running. */
#include "train/stages/flow_stage.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "train/stages/encode.h"

enum { ENCODE_AT_ONCE = 8, VALIDATION_STREAM = 0x56414c };

/* ---- memory ---- */

dreamo_status flow_stage_open(stage *s, flow_stage *f, bool references, dreamo_error *err)
{
    const network *n = &s->n;
    int cell = 2 * vae_factor(&n->vae->config), side = (int)s->r->picture, channels = n->dit->config.in_channels;
    if (side % cell) return fail(err, DREAMO_ARG, "picture = %d must be a multiple of %d", side, cell);
    f->model.dit = n->dit;
    f->model.t5 = n->t5;
    f->model.clip = n->clip;
    f->room = (int)s->r->micro;
    f->side = side;
    f->tokens = (side / cell) * (side / cell);
    f->references = references;
    size_t room = (size_t)f->room, latent = room * (size_t)(f->tokens * channels), pictures = 2 * room;
    f->item = mem_calloc(room, sizeof *f->item);
    f->noise = mem_alloc(latent * sizeof *f->noise);
    f->latents = mem_alloc(2 * latent * sizeof *f->latents);
    f->pixels = mem_alloc(pictures * (size_t)(side * side * 3) * sizeof *f->pixels);
    f->cover = mem_alloc((size_t)f->tokens * sizeof *f->cover);
    if (!f->item || !f->noise || !f->latents || !f->pixels || !f->cover) return fail(err, DREAMO_MEMORY, "no memory for %d samples", f->room);
    flow_limits most = { f->room, unigram_max_length(n->t5_words), bpe_max_length(n->clip_words),
                         f->tokens * (references ? 2 : 1), references ? 1 : 0 };
    return flow_batch_new(&f->batch, &n->dit->config, most, err);
}

void flow_stage_close(flow_stage *f)
{
    flow_batch_free(&f->batch);
    mem_free(f->item);
    mem_free(f->noise);
    mem_free(f->latents);
    mem_free(f->pixels);
    mem_free(f->cover);
}

/* ---- composing ---- */

/* A sample whose subject is another one. */
static dreamo_status find_other(const stage *s, flow_item *it, int side, dreamo_error *err)
{
    for (uint64_t k = 1; k < 100; k++) {
        data_request q = { it->kind, it->split, (uint64_t)s->r->seed, it->index + k, side, side, 0 };
        dreamo_status status = data_sample_make(s->data, NULL, &q, &it->other, err);
        if (status || strcmp(it->other.subject, it->sample.subject) != 0) return status;
        data_sample_free(&it->other);
    }
    return fail(err, DREAMO_MISMATCH, "the dataset has only one held-out subject");
}

typedef struct compose_job { stage *s; flow_stage *f; } compose_job;

static dreamo_status compose_one(void *arg, int i, dreamo_error *err)
{
    const compose_job *j = arg;
    const stage *s = j->s;
    flow_stage *f = j->f;
    flow_item *it = &f->item[i];
    bool training = it->sigma < 0;
    size_t noise = (size_t)(f->tokens * f->batch.channels);
    rng r = rng_new((uint64_t)s->r->seed + (training ? 0 : VALIDATION_STREAM), it->index);
    data_request q = { it->kind, it->split, (uint64_t)s->r->seed, it->index, f->side, f->side, 0 };
    dreamo_status status = data_sample_make(s->data, NULL, &q, &it->sample, err);
    if (!status && it->reference == REF_OTHER) status = find_other(s, it, f->side, err);
    if (status) return status;
    bool no_text = training && rng_double(&r) < s->r->text_dropout, no_ref = training && rng_double(&r) < s->r->ref_dropout;
    it->nrefs = f->references && it->reference != REF_NONE && !no_ref && it->sample.nrefs > 0 ? 1 : 0;
    if (training) it->sigma = flow_sigma(&s->r->flow, &r);
    it->noise = f->noise + (size_t)i * noise;
    flow_noise(&r, it->noise, noise);
    return caption_read(&s->n, no_text ? "" : it->sample.caption, &it->words, err);
}

static void free_items(flow_stage *f, int n)
{
    for (int i = 0; i < n; i++) {
        data_sample_free(&f->item[i].sample);
        data_sample_free(&f->item[i].other);
        caption_free(&f->item[i].words);
    }
}

/* ---- encoding ---- */

typedef struct encode_job { const vae *m; const float *pixels; grid g; float *tokens; } encode_job;

static void encode(nn *cx, void *job)
{
    encode_job *j = job;
    encode_tokens(cx, j->m, j->pixels, j->g, j->tokens);
}

/* Targets, then the references there are; their tokens lie in f->latents in the same order. */
static dreamo_status encode_all(stage *s, flow_stage *f, int n, dreamo_error *err)
{
    size_t picture = (size_t)(f->side * f->side * 3), latent = (size_t)(f->tokens * f->batch.channels);
    int count = 0;
    for (int i = 0; i < n; i++) pixels_from_rgb(f->item[i].sample.target.data, picture, f->pixels + (size_t)count++ * picture);
    for (int i = 0; i < n; i++) {
        const flow_item *it = &f->item[i];
        const bitmap *ref = it->reference == REF_OTHER ? &it->other.ref[0].picture : &it->sample.ref[0].picture;
        if (it->nrefs) pixels_from_rgb(ref->data, picture, f->pixels + (size_t)count++ * picture);
    }
    dreamo_status status = DREAMO_OK;
    for (int i = 0; i < count && !status; i += ENCODE_AT_ONCE) {
        int some = count - i < ENCODE_AT_ONCE ? count - i : ENCODE_AT_ONCE;
        encode_job job = { s->n.vae, f->pixels + (size_t)i * picture, { some, f->side, f->side },
                           f->latents + (size_t)i * latent };
        status = sized_step(&s->plain, true, encode, &job, err);
    }
    return status;
}

/* ---- packing ---- */

/* The share of each token's pixels that the subject covers. */
static void mask_of(const flow_stage *f, const unsigned char *cover, float *mask)
{
    int w = (int)lrint(sqrt((double)f->tokens)), cell = f->side / w;
    for (int t = 0; t < f->tokens; t++) {
        int sum = 0;
        for (int p = 0; cover && p < cell * cell; p++)
            sum += cover[(t / w * cell + p / cell) * f->side + t % w * cell + p % cell];
        mask[t] = (float)sum / (255.0f * (float)(cell * cell));
    }
}

/* Tokens of the subject count 1 + weight times in its sample's loss; the sample's sum stays what it was. */
static void weigh_subject(flow_stage *f, const data_sample *sample, double weight, float *row_weight)
{
    const unsigned char *cover = sample->ref[0].mask ? sample->ref[0].mask : sample->subject_mask;
    if (!weight || !cover) return;
    mask_of(f, cover, f->cover);
    double sum = 0;
    for (int t = 0; t < f->tokens; t++) sum += 1 + weight * (double)f->cover[t];
    for (int t = 0; t < f->tokens; t++)
        row_weight[t] *= (float)((1 + weight * (double)f->cover[t]) * f->tokens / sum);
}

static void shape_items(flow_stage *f, int n)
{
    int side = (int)lrint(sqrt((double)f->tokens));
    token_grid g = { side, side };
    for (int i = 0; i < n; i++) {
        f->batch.sample[i] = (condition_sample){ .out = g, .nrefs = f->item[i].nrefs, .ref = { g }, .slot = { 1 } };
        f->batch.text[i] = f->item[i].words.rows;
    }
}

static void fill_batch(const stage *s, flow_stage *f, int n)
{
    flow_batch *b = &f->batch;
    size_t latent = (size_t)(f->tokens * b->channels);
    int ref = n, routes = 0;
    for (int i = 0; i < n; i++) {
        const flow_item *it = &f->item[i];
        float *clean = b->clean + (size_t)b->image0[i] * (size_t)b->channels;
        memcpy(b->t5_ids + b->text0[i], it->words.t5, (size_t)it->words.rows.nt5 * sizeof(int32_t));
        memcpy(b->clip_ids + b->clip0[i], it->words.clip, (size_t)it->words.rows.nclip * sizeof(int32_t));
        memcpy(clean, f->latents + (size_t)i * latent, latent * sizeof(float));
        memcpy(b->noise + (size_t)b->image0[i] * (size_t)b->channels, it->noise, latent * sizeof(float));
        b->sigma[i] = it->sigma;
        weigh_subject(f, &it->sample, s->r->subject_weight, b->row_weight + b->image0[i]);
        b->guidance[i] = 1; /* distilled guidance is not trained here */
        if (!it->nrefs) continue;
        memcpy(clean + latent, f->latents + (size_t)ref++ * latent, latent * sizeof(float));
        mask_of(f, it->sample.ref[0].mask, b->mask + (size_t)routes++ * (size_t)f->tokens);
    }
    flow_batch_mix(b);
}

dreamo_status flow_stage_compose(stage *s, flow_stage *f, int n, dreamo_error *err)
{
    compose_job job = { s, f };
    dreamo_status status = stage_each(s, n, compose_one, &job, err);
    if (!status) status = encode_all(s, f, n, err);
    if (!status) {
        shape_items(f, n);
        status = flow_batch_shape(&f->batch, &s->n.dit->config, n, err);
    }
    if (!status) fill_batch(s, f, n);
    free_items(f, n);
    return status;
}

/* ---- running ---- */

static tensor total_loss(nn *cx, const stage *s, const flow_out *out)
{
    if (!out->route.p) return out->diff;
    return op_add(cx, out->diff, op_scale(cx, out->route, (float)s->r->routing_loss));
}

static void pass(nn *cx, void *job)
{
    compose_job *j = job;
    flow_stage *f = j->f;
    flow_forward(cx, &f->model, &f->batch, f->backward && f->references && j->s->r->routing_loss > 0, &f->out);
    if (f->backward && nn_ok(cx)) nn_backward(cx, total_loss(cx, j->s, &f->out));
}

dreamo_status flow_stage_run(stage *s, flow_stage *f, dreamo_error *err)
{
    compose_job job = { s, f };
    return sized_step(f->backward ? &s->tape : &s->plain, true, pass, &job, err);
}

static void add_part(log_step *out, int i, const char *name, double value)
{
    out->part[i].name = name;
    out->part[i].value += value;
    if (out->nparts <= i) out->nparts = i + 1;
}

dreamo_status flow_stage_micro(stage *s, flow_stage *f, int64_t first, int of, log_step *out, dreamo_error *err)
{
    for (int i = 0; i < f->room; i++) {
        uint64_t index = (uint64_t)(first + i);
        rng r = rng_new((uint64_t)s->r->seed, ~index);
        bool subject = f->references || rng_double(&r) < s->r->subject_share;
        f->item[i] = (flow_item){ .kind = subject ? DATA_SUBJECT : DATA_T2I, .split = DATA_TRAIN, .index = index, .sigma = -1 };
    }
    f->backward = true;
    dreamo_status status = flow_stage_compose(s, f, f->room, err);
    if (!status) status = flow_stage_run(s, f, err);
    if (status) return status;
    float diff = 0, route = 0;
    tensor_read(s->tape.cx, f->out.diff, &diff);
    if (f->out.route.p) tensor_read(s->tape.cx, f->out.route, &route);
    out->loss += ((double)diff + s->r->routing_loss * (double)route) / of;
    if (f->references && s->r->routing_loss > 0) {
        add_part(out, 0, "diff", (double)diff / of);
        add_part(out, 1, "route", (double)route / of);
    }
    return DREAMO_OK;
}

dreamo_status flow_stage_plan(stage *s, flow_stage *f, nn_counts *counts, int64_t *tokens, dreamo_error *err)
{
    flow_batch *b = &f->batch;
    compose_job job = { s, f };
    int nclip = bpe_max_length(s->n.clip_words), side = (int)lrint(sqrt((double)f->tokens));
    for (int i = 0; i < f->room; i++) {
        token_grid g = { side, side };
        b->sample[i] = (condition_sample){ .out = g, .nrefs = f->references, .ref = { g }, .slot = { 1 } };
        b->text[i] = (flow_text){ unigram_max_length(s->n.t5_words), nclip };
    }
    f->backward = true;
    dreamo_status status = flow_batch_shape(b, &s->n.dit->config, f->room, err);
    if (!status) status = sized_measure(&s->tape, pass, &job, err);
    if (status) return status;
    *counts = s->tape.last;
    *tokens = b->text_rows + b->image_rows;
    encode_job pictures = { s->n.vae, f->pixels, { f->room * (f->references ? 2 : 1), f->side, f->side }, f->latents };
    status = sized_measure(&s->plain, encode, &pictures, err);
    counts->ops += s->plain.last.ops;
    counts->flops += s->plain.last.flops;
    return status;
}

/* ---- validation ---- */

/* Mean squared error of the velocity over sample i's noise tokens. */
static double sample_loss(const flow_batch *b, const float *velocity, int i)
{
    size_t at = (size_t)b->image0[i] * (size_t)b->channels, n = (size_t)condition_noise_rows(&b->sample[i]) * (size_t)b->channels;
    double sum = 0;
    for (size_t k = at; k < at + n; k++) sum += ((double)velocity[k] - b->target[k]) * ((double)velocity[k] - b->target[k]);
    return sum / (double)n;
}

dreamo_status flow_stage_losses(stage *s, flow_stage *f, data_kind kind, flow_reference reference, int count, double *loss,
                                dreamo_error *err)
{
    float *velocity = mem_alloc(f->batch.rows_room * (size_t)f->batch.channels * sizeof *velocity);
    dreamo_status status = velocity ? DREAMO_OK : fail(err, DREAMO_MEMORY, "no memory for validation");
    f->backward = false;
    for (int at = 0; at < count && !status; at += f->room) {
        int n = count - at < f->room ? count - at : f->room;
        for (int i = 0; i < n; i++) {
            /* a golden-ratio walk through the quantiles: neighbours in the list of subjects get far-apart noise levels */
            double u = fmod(0.5 + 0.6180339887498949 * (at + i), 1.0);
            f->item[i] = (flow_item){ .kind = kind, .split = DATA_VAL, .index = (uint64_t)(at + i), .reference = reference,
                                      .sigma = flow_quantile(&s->r->flow, fmin(fmax(u, 1e-3), 1 - 1e-3)) };
        }
        status = flow_stage_compose(s, f, n, err);
        if (!status) status = flow_stage_run(s, f, err);
        if (status) break;
        tensor_read(s->plain.cx, f->out.velocity, velocity);
        for (int i = 0; i < n; i++) loss[at + i] = sample_loss(&f->batch, velocity, i);
    }
    mem_free(velocity);
    return status;
}

void flow_spread(const double *x, int n, double *mean, double *error)
{
    double sum = 0, square = 0;
    for (int i = 0; i < n; i++) sum += x[i];
    *mean = sum / n;
    for (int i = 0; i < n; i++) square += (x[i] - *mean) * (x[i] - *mean);
    *error = n > 1 ? sqrt(square / (n - 1) / n) : 0;
}
