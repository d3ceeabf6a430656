/* flow_stage.c - composing, encoding, running. */
#include "train/flow/flow_stage.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "train/flow/encode.h"
#include "train/flow/flow_maps.h"

/* Pictures that are encoded together: more do not pay on a processor, on devices of their own the calls would cost more than the work. */
enum { ENCODE_AT_ONCE = 8, ENCODE_MOST = 64 };

/* ---- memory ---- */

/* Of text encoder and transformer only one is needed at a time. */
static void let_go(void *user, bool back)
{
    const network *n = user;
    bind_forget(&n->files[back ? PART_DIT : PART_T5]);
}

dreamo_status flow_stage_open(stage *s, flow_stage *f, bool references, dreamo_error *err)
{
    const network *n = &s->n;
    f->cell = 2 * vae_factor(&n->vae->config);
    f->model.dit = n->dit;
    f->model.t5 = n->t5;
    f->model.clip = n->clip;
    f->model.turn = let_go;
    f->model.turner = &s->n;
    f->room = (int)s->r->micro;
    f->references = references;
    dreamo_status status = stage_check_sizes(s, f->cell, err);
    if (!status) status = stage_kinds(s, references ? DATA_SUBJECT : DATA_T2I, &f->kinds, err);
    if (!status) status = flow_cache_open(s, &f->cache, references, err); /* whoever trains on references does not train the encoders */
    f->item = mem_calloc((size_t)f->room, sizeof *f->item);
    if (!status && !f->item) status = fail(err, DREAMO_MEMORY, "no memory for %d samples", f->room);
    if (!status) status = flow_ahead_open(s, f->room, &f->ahead, err);
    return status ? status : flow_batch_new(&f->batch, &n->dit->config, f->room, err);
}

void flow_stage_close(flow_stage *f)
{
    flow_ahead_close(f->ahead);
    flow_batch_free(&f->batch);
    flow_cut_free(&f->cut);
    mem_free(f->item);
    mem_free(f->pixels);
    mem_free(f->tokens);
    mem_free(f->cover);
}

dreamo_status flow_stage_grow(float **list, size_t *room, size_t need, dreamo_error *err)
{
    if (need <= *room) return DREAMO_OK;
    mem_free(*list);
    *list = mem_alloc(need * sizeof **list);
    *room = *list ? need : 0;
    return *list ? DREAMO_OK : fail(err, DREAMO_MEMORY, "no memory for %zu numbers", need);
}

/* ---- composing ---- */

typedef struct compose_job { stage *s; flow_stage *f; } compose_job;

static dreamo_status compose_one(void *arg, int i, dreamo_error *err)
{
    const compose_job *j = arg;
    return flow_item_compose(j->s, &j->f->item[i], j->f->references, err);
}

static void free_items(flow_stage *f, int n)
{
    for (int i = 0; i < n; i++) flow_item_free(&f->item[i]);
}

static token_grid grid_of(const flow_stage *f, int w, int h) { return (token_grid){ h / f->cell, w / f->cell }; }

static dreamo_status check_size(const flow_stage *f, const char *what, const bitmap *b, dreamo_error *err)
{
    if (b->width >= f->cell && b->height >= f->cell && b->width % f->cell == 0 && b->height % f->cell == 0) return DREAMO_OK;
    return fail(err, DREAMO_CONTENT, "a %s of %dx%d: sides must be multiples of %d", what, b->width, b->height, f->cell);
}

/* What the batch is laid out by. */
static dreamo_status shape_items(flow_stage *f, int n, dreamo_error *err)
{
    dreamo_status status = DREAMO_OK;
    for (int i = 0; i < n && !status; i++) {
        const flow_item *it = &f->item[i];
        condition_sample *c = &f->batch.sample[i];
        *c = (condition_sample){ .out = grid_of(f, it->sample.width, it->sample.height), .nrefs = it->nrefs };
        f->batch.text[i] = it->words.rows;
        f->batch.masked[i] = 0;
        f->batch.words[i] = it->named;
        f->batch.few[i] = it->few;
        status = check_size(f, "target", it->target, err);
        for (int k = 0; k < it->nrefs && !status; k++) {
            c->ref[k] = grid_of(f, it->shown[k]->width, it->shown[k]->height);
            c->slot[k] = it->ref[k]->slot;
            if (it->ref[k]->mask && it->reference == REF_RIGHT) f->batch.masked[i] |= 1u << k;
            status = check_size(f, "reference", it->shown[k], err);
        }
    }
    return status;
}

/* ---- encoding ---- */

/* A picture and the rows that its tokens belong in, all or a few of them; b NULL: done. */
typedef struct to_encode { const bitmap *b; float *to; int few; const int32_t *token; char key[65]; } to_encode;

typedef struct encode_job { const vae *m; const float *pixels; grid g; float *tokens; } encode_job;

static void encode(nn *cx, void *job)
{
    encode_job *j = job;
    encode_tokens(cx, j->m, j->pixels, j->g, j->tokens);
}

/* A picture's tokens, all or the few, into their rows. */
static void place_tokens(const to_encode *e, const float *from, size_t tokens, size_t channels)
{
    if (!e->few) memcpy(e->to, from, tokens * sizeof(float));
    for (int k = 0; k < e->few; k++) memcpy(e->to + (size_t)k * channels, from + (size_t)e->token[k] * channels, channels * sizeof(float));
}

/* What the cache has is done. */
static dreamo_status take_kept(flow_stage *f, to_encode *e, dreamo_error *err)
{
    int rows = e->b->width / f->cell * (e->b->height / f->cell), channels = f->batch.channels;
    size_t tokens = (size_t)(rows * channels);
    dreamo_status status = flow_stage_grow(&f->tokens, &f->tokens_room, tokens, err);
    if (status) return status;
    flow_cache_picture_key(&f->cache, e->b, e->key);
    if (!flow_cache_read_tokens(&f->cache, e->key, rows, channels, f->tokens)) return DREAMO_OK;
    place_tokens(e, f->tokens, tokens, (size_t)channels);
    e->b = NULL;
    return DREAMO_OK;
}

typedef struct convert_job { const to_encode *const *taken; size_t picture; float *pixels; } convert_job;

static dreamo_status convert_one(void *arg, int i, dreamo_error *err)
{
    const convert_job *j = arg;
    (void)err;
    pixels_from_rgb(j->taken[i]->b->data, j->picture, j->pixels + (size_t)i * j->picture);
    return DREAMO_OK;
}

/* list[first] and those after it that have its size, at most ENCODE_AT_ONCE, in one go. */
static dreamo_status encode_alike(stage *s, flow_stage *f, to_encode *list, int first, int n, dreamo_error *err)
{
    int w = list[first].b->width, h = list[first].b->height, some = 0;
    size_t picture = (size_t)w * (size_t)h * 3, tokens = (size_t)(w / f->cell * (h / f->cell) * f->batch.channels);
    to_encode *taken[ENCODE_MOST];
    int most = s->dev->be->reserve ? ENCODE_MOST : ENCODE_AT_ONCE;
    dreamo_status status = flow_stage_grow(&f->pixels, &f->pixels_room, (size_t)most * picture, err);
    if (!status) status = flow_stage_grow(&f->tokens, &f->tokens_room, (size_t)most * tokens, err);
    for (int i = first; i < n && some < most && !status; i++) {
        if (!list[i].b || list[i].b->width != w || list[i].b->height != h) continue;
        taken[some++] = &list[i];
    }
    convert_job convert = { (const to_encode *const *)taken, picture, f->pixels };
    if (!status) status = stage_each(s, some, convert_one, &convert, err);
    for (int i = 0; i < some; i++) taken[i]->b = NULL;
    encode_job job = { s->n.vae, f->pixels, { some, h, w }, f->tokens };
    if (!status) status = sized_step(&s->plain, true, encode, &job, err);
    for (int i = 0; i < some && !status; i++) {
        float *from = f->tokens + (size_t)i * tokens;
        place_tokens(taken[i], from, tokens, (size_t)f->batch.channels);
        if (*taken[i]->key)
            status = flow_cache_write_tokens(&f->cache, taken[i]->key, (int)tokens / f->batch.channels, f->batch.channels, from, err);
    }
    return status;
}

/* Targets and references into their rows of batch.clean. */
static dreamo_status encode_all(stage *s, flow_stage *f, int n, dreamo_error *err)
{
    flow_batch *b = &f->batch;
    int count = 0;
    to_encode *list = mem_calloc((size_t)n * (1 + DATA_MAX_REFS), sizeof *list);
    if (!list) return fail(err, DREAMO_MEMORY, "no memory for %d samples", n);
    for (int i = 0; i < n; i++) {
        const flow_item *it = &f->item[i];
        float *row = b->clean + (size_t)b->image0[i] * (size_t)b->channels;
        list[count++] = (to_encode){ .b = it->target, .to = row };
        row += condition_noise_rows(&b->sample[i]) * b->channels;
        for (int k = 0; k < it->nrefs; k++) {
            list[count++] = (to_encode){ .b = it->shown[k], .to = row, .few = it->few.n[k], .token = it->few.token[k] };
            row += flow_batch_ref_rows(b, i, k) * b->channels;
        }
    }
    dreamo_status status = DREAMO_OK;
    for (int i = 0; i < count && !status && f->cache.folder; i++) status = take_kept(f, &list[i], err);
    for (int i = 0; i < count && !status; i++)
        if (list[i].b) status = encode_alike(s, f, list, i, count, err);
    mem_free(list);
    return status;
}

/* ---- packing ---- */

/* Tokens of the subjects count 1 + weight times in their sample's loss; the sample's sum stays what it was. */
static dreamo_status weigh_subjects(flow_stage *f, const flow_item *it, int tokens, double weight, float *row_weight, dreamo_error *err)
{
    dreamo_status status = weight ? flow_stage_grow(&f->cover, &f->cover_room, (size_t)tokens, err) : DREAMO_OK;
    if (!weight || status) return status;
    double sum = 0;
    flow_item_subjects(it, f->cell, f->cover);
    for (int t = 0; t < tokens; t++) sum += 1 + weight * (double)f->cover[t];
    for (int t = 0; t < tokens; t++) row_weight[t] *= (float)((1 + weight * (double)f->cover[t]) * tokens / sum);
    return DREAMO_OK;
}

static dreamo_status draw_noise(void *arg, int i, dreamo_error *err)
{
    const compose_job *j = arg;
    flow_batch *b = &j->f->batch;
    rng r = j->f->item[i].noise;
    (void)err;
    flow_noise(&r, b->noise + (size_t)b->image0[i] * (size_t)b->channels, (size_t)(condition_noise_rows(&b->sample[i]) * b->channels));
    return DREAMO_OK;
}

static dreamo_status fill_batch(stage *s, flow_stage *f, int n, dreamo_error *err)
{
    flow_batch *b = &f->batch;
    compose_job job = { s, f };
    dreamo_status status = stage_each(s, n, draw_noise, &job, err);
    int routes = 0;
    memset(b->mask, 0, (size_t)(b->nroutes * b->widest) * sizeof(float));
    for (int i = 0; i < n && !status; i++) {
        const flow_item *it = &f->item[i];
        int tokens = condition_noise_rows(&b->sample[i]);
        memcpy(b->t5_ids + b->text0[i], it->words.t5, (size_t)it->words.rows.nt5 * sizeof(int32_t));
        memcpy(b->clip_ids + b->clip0[i], it->words.clip, (size_t)it->words.rows.nclip * sizeof(int32_t));
        b->sigma[i] = it->sigma;
        b->guidance[i] = (float)s->r->guidance;
        status = weigh_subjects(f, it, tokens, s->r->subject_weight, b->row_weight + b->image0[i], err);
        for (int k = 0; k < it->nrefs; k++)
            if (b->masked[i] >> k & 1)
                flow_item_cover(it->ref[k]->mask, it->sample.width, it->sample.height, f->cell, b->mask + routes++ * b->widest);
    }
    if (!status) flow_batch_mix(b);
    return status;
}

/* What was composed becomes a batch. */
static dreamo_status lay(stage *s, flow_stage *f, int n, dreamo_error *err)
{
    dreamo_status status = shape_items(f, n, err);
    if (!status) status = flow_batch_shape(&f->batch, &s->n.dit->config, n, err);
    if (!status) status = encode_all(s, f, n, err);
    if (!status) status = fill_batch(s, f, n, err);
    if (!status) status = flow_cache_texts(s, &f->cache, &f->batch, err);
    if (!status && s->r->token_dropout > 0)
        status = flow_cut_make(&f->cut, &f->batch, &s->n.dit->config, s->r->token_dropout, f->item[0].noise, err);
    return status;
}

static dreamo_status compose_items(stage *s, flow_stage *f, int n, dreamo_error *err)
{
    compose_job job = { s, f };
    return stage_each(s, n, compose_one, &job, err);
}

dreamo_status flow_stage_compose(stage *s, flow_stage *f, int n, dreamo_error *err)
{
    dreamo_status status = compose_items(s, f, n, err);
    if (!status) status = lay(s, f, n, err);
    free_items(f, n);
    return status;
}

/* ---- running ---- */

static tensor weighted(nn *cx, tensor sum, tensor x, double weight)
{
    return x.p && weight > 0 ? op_add(cx, sum, op_scale(cx, x, (float)weight)) : sum;
}

static void pass(nn *cx, void *job)
{
    compose_job *j = job;
    flow_stage *f = j->f;
    const recipe *r = j->s->r;
    bool looks = f->backward && f->references;
    flow_wishes w = { (looks && r->routing_loss > 0) || f->looks, looks && r->placeholder_loss > 0,
                      f->backward && r->token_dropout > 0 ? &f->cut.s : NULL };
    flow_forward(cx, &f->model, &f->batch, w, &f->out);
    if (!f->backward || !nn_ok(cx)) return;
    tensor loss = weighted(cx, f->out.diff, f->out.route, r->routing_loss);
    nn_backward(cx, weighted(cx, loss, f->out.holder, r->placeholder_loss));
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
    dreamo_status status = DREAMO_OK;
    f->backward = true;
    if (!flow_ahead_take(f->ahead, first, &f->item, &status, err)) {
        for (int i = 0; i < f->room; i++) f->item[i] = flow_item_train(s, &f->kinds, (uint64_t)(first + i));
        status = compose_items(s, f, f->room, err);
    }
    if (!status) status = lay(s, f, f->room, err);
    free_items(f, f->room);
    flow_ahead_begin(f->ahead, &f->kinds, first + f->room, f->references);
    if (!status) status = flow_stage_run(s, f, err);
    flow_ahead_wait(f->ahead);
    if (status) return status;
    const struct { const char *name; tensor x; double weight; } part[] = {
        { "diff", f->out.diff, 1 }, { "route", f->out.route, s->r->routing_loss }, { "holder", f->out.holder, s->r->placeholder_loss },
    };
    for (int k = 0, n = 0; k < 3; k++) {
        float value = 0;
        if (part[k].weight <= 0 || !(k == 0 || f->references)) continue;
        if (part[k].x.p) tensor_read(s->tape.cx, part[k].x, &value);
        out->loss += part[k].weight * (double)value / of;
        add_part(out, n++, part[k].name, (double)value / of);
    }
    if (out->nparts == 1) out->nparts = 0; /* the loss itself */
    return DREAMO_OK;
}

/* References that a kind may have at most. */
static int most_refs(data_kind kind)
{
    return kind == DATA_T2I ? 0 : kind == DATA_SUBJECT || kind == DATA_ID || kind == DATA_STYLE ? 1 : kind == DATA_SUBJECTS || kind == DATA_IDS ? 3 : 2;
}

static int largest_side(const mixture *sides, int shorter)
{
    int side = 0;
    for (int i = 0; i < sides->n; i++) {
        int this = sides->part[i].a ? sides->part[i].a : shorter;
        if (this > side) side = this;
    }
    return side;
}

/* The largest sample that the recipe can draw. */
static dreamo_status largest(const stage *s, const flow_stage *f, condition_sample *c, dreamo_error *err)
{
    const mixture *p = &s->r->pictures, *sides = &s->r->ref_sides;
    int best = 0, side = 0, shorter = 0;
    for (int i = 1; i < p->n; i++)
        if (p->part[i].a * p->part[i].b > p->part[best].a * p->part[best].b) best = i;
    for (int i = 0; i < p->n; i++) {
        int least = p->part[i].a < p->part[i].b ? p->part[i].a : p->part[i].b;
        if (least > shorter) shorter = least;
    }
    side = largest_side(sides, shorter);
    int w = p->part[best].a, h = p->part[best].b;
    for (int i = 0; i < p->n; i++) /* a picture's own shape has at most the area of the references' side */
        if (!p->part[i].a && side * side > w * h) w = h = side;
    if (!w) return fail(err, DREAMO_ARG, "pictures = 0x0: a plan needs sizes, here or in ref_sides");
    *c = (condition_sample){ .out = grid_of(f, w, h) };
    side = 0;
    for (int i = 0; f->references && i < f->kinds.n; i++) {
        int kind = f->kinds.part[i].a, refs = most_refs((data_kind)kind);
        mixture own = mixture_for(sides, kind);
        int this = largest_side(&own, shorter);
        if (refs * this * this > c->nrefs * side * side) c->nrefs = refs, side = this;
    }
    for (int k = 0; k < c->nrefs; k++) {
        c->ref[k] = grid_of(f, side, side);
        c->slot[k] = k + 1;
    }
    return DREAMO_OK;
}

dreamo_status flow_stage_plan(stage *s, flow_stage *f, nn_counts *counts, int64_t *tokens, dreamo_error *err)
{
    flow_batch *b = &f->batch;
    compose_job job = { s, f };
    condition_sample most;
    int named = unigram_first_added(s->n.t5_words);
    dreamo_status status = largest(s, f, &most, err);
    for (int i = 0; i < f->room && !status; i++) {
        b->sample[i] = most;
        b->masked[i] = (1u << most.nrefs) - 1;
        b->words[i] = (flow_words){ .has = most.nrefs > 1 };
        b->few[i] = (flow_few){ { 0 }, { NULL } };
        b->text[i] = (flow_text){ unigram_max_length(s->n.t5_words), bpe_max_length(s->n.clip_words) };
    }
    f->backward = true;
    if (!status) status = flow_batch_shape(b, &s->n.dit->config, f->room, err);
    for (int i = 0; i < b->text_rows && !status; i++) b->t5_ids[i] = named < 0 ? 0 : named; /* one that trains */
    if (!status && s->r->token_dropout > 0)
        status = flow_cut_make(&f->cut, b, &s->n.dit->config, s->r->token_dropout, rng_new(0, 0), err);
    if (!status) status = sized_measure(&s->tape, pass, &job, err);
    if (status) return status;
    *counts = s->tape.last;
    *tokens = b->text_rows + b->image_rows;
    for (int k = 0; k <= most.nrefs && !status; k++) {
        token_grid g = k ? most.ref[k - 1] : most.out;
        size_t picture = (size_t)(g.h * g.w * f->cell * f->cell) * 3 * (size_t)f->room;
        status = flow_stage_grow(&f->pixels, &f->pixels_room, picture, err);
        if (!status) status = flow_stage_grow(&f->tokens, &f->tokens_room, (size_t)(f->room * g.h * g.w * b->channels), err);
        encode_job pictures = { s->n.vae, f->pixels, { f->room, g.h * f->cell, g.w * f->cell }, f->tokens };
        if (!status) status = sized_measure(&s->plain, encode, &pictures, err);
        counts->ops += s->plain.last.ops;
        counts->flops += s->plain.last.flops;
    }
    return status;
}

/* ---- validation ---- */

double flow_sample_loss(const flow_batch *b, const float *velocity, const float *target, int i)
{
    size_t at = (size_t)b->image0[i] * (size_t)b->channels, n = (size_t)condition_noise_rows(&b->sample[i]) * (size_t)b->channels;
    double sum = 0;
    for (size_t k = at; k < at + n; k++) sum += ((double)velocity[k] - target[k]) * ((double)velocity[k] - target[k]);
    return sum / (double)n;
}

/* Of each sample in the batch, the mean over layers and masked references. */
static dreamo_status see_maps(stage *s, flow_stage *f, double *inside, dreamo_error *err)
{
    const flow_batch *b = &f->batch;
    size_t n = (size_t)(b->nroutes * b->widest);
    float *map = mem_alloc(n * sizeof *map + 1);
    flow_token *spare = mem_alloc((size_t)b->widest * sizeof *spare + 1);
    int *count = mem_calloc((size_t)b->samples, sizeof *count);
    dreamo_status status = map && spare && count ? DREAMO_OK : fail(err, DREAMO_MEMORY, "no memory for %d maps", b->nroutes);
    for (int i = 0; i < b->samples; i++) inside[i] = 0;
    for (int l = 0; l < f->out.nmaps && !status; l++) {
        if (!f->out.maps[l].p) continue;
        tensor_read(s->plain.cx, f->out.maps[l], map);
        for (int i = 0, r = 0; i < b->samples; i++)
            for (int k = 0; k < b->sample[i].nrefs; k++) {
                if (!(b->masked[i] >> k & 1)) continue;
                size_t at = (size_t)(r * b->widest);
                double found = flow_map_inside(map + at, b->mask + at, b->routes[r++].nimg, spare);
                if (!isfinite(found)) continue;
                inside[i] += found;
                count[i]++;
            }
    }
    for (int i = 0; i < b->samples && !status; i++) inside[i] = count[i] ? inside[i] / count[i] : (double)NAN;
    mem_free(map);
    mem_free(spare);
    mem_free(count);
    return status;
}

double flow_level(int i) { return fmin(fmax(fmod(0.5 + 0.6180339887498949 * i, 1.0), 1e-3), 1 - 1e-3); } /* a golden-ratio walk */

dreamo_status flow_stage_losses(stage *s, flow_stage *f, data_kind kind, flow_reference reference, int count, double *loss, double *inside,
                                dreamo_error *err)
{
    float *velocity = NULL;
    size_t room = 0;
    dreamo_status status = DREAMO_OK;
    f->backward = false;
    f->looks = inside;
    for (int at = 0; at < count && !status; at += f->room) {
        int n = count - at < f->room ? count - at : f->room;
        for (int i = 0; i < n; i++)
            f->item[i] = (flow_item){ .kind = kind, .split = DATA_VAL, .index = (uint64_t)(at + i), .reference = reference,
                                      .sigma = flow_quantile(&s->r->flow, flow_level(at + i)) };
        status = flow_stage_compose(s, f, n, err);
        if (!status) status = flow_stage_run(s, f, err);
        if (!status) status = flow_stage_grow(&velocity, &room, (size_t)(f->batch.image_rows * f->batch.channels), err);
        if (status) break;
        if (inside) status = see_maps(s, f, inside + at, err);
        tensor_read(s->plain.cx, f->out.velocity, velocity);
        for (int i = 0; i < n; i++) loss[at + i] = f->item[i].missing ? (double)NAN : flow_sample_loss(&f->batch, velocity, f->batch.target, i);
    }
    f->looks = false;
    mem_free(velocity);
    return status;
}

void flow_spread(const double *x, int n, double *mean, double *error)
{
    double sum = 0, square = 0;
    int count = 0;
    for (int i = 0; i < n; i++)
        if (isfinite(x[i])) {
            sum += x[i];
            count++;
        }
    *mean = count ? sum / count : (double)NAN;
    for (int i = 0; i < n; i++)
        if (isfinite(x[i])) square += (x[i] - *mean) * (x[i] - *mean);
    *error = count > 1 ? sqrt(square / (count - 1) / count) : 0;
}
