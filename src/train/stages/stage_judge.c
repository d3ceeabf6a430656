/* stage_judge.c - the judge: samples with their references, what shows the same drawn together, what does not pushed apart (judge_loss.h).
 *
 * A micro-batch is a contrast of its own: references learn to be told from all others in it, so it should be large.  All pictures of a run
 * have the size that judge/config.json says.  Validation is retrieval: each held-out reference among all others of its head in the samples of a kind. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "eval/candidates.h"
#include "eval/tally.h"
#include "train/export.h"
#include "train/init.h"
#include "train/flow/encode.h"
#include "train/stages/judge_loss.h"
#include "train/stages/stage.h"

enum { OTHER_STREAM = 0x6f746872, TRIES = 24, VALIDATION_MICRO = 16 };

typedef struct judge_stage {
    mixture kinds;
    int side;                  /* of all pictures */
    phrases words;
    windows all;
    judge_batch b;
    data_sample *sample;       /* [most]: of the batch */
    int most;
    float *pixels;             /* [most * (1 + DATA_MAX_REFS)] pictures */
    float *cells, *grad;       /* of as many */
    double part[JUDGE_HEADS + 1], loss;
    bool backward;
} judge_stage;

static size_t picture_numbers(const judge_stage *j) { return (size_t)(j->side * j->side) * 3; }
static size_t cell_numbers(const judge_stage *j) { return (size_t)(j->all.cols * j->all.rows) * (size_t)judge_columns(j->b.config); }

/* ---- samples ---- */

typedef struct draw_job { const stage *s; data_split split; data_kind kind; int64_t first; } draw_job;

static dreamo_status draw(void *arg, int i, dreamo_error *err)
{
    const draw_job *d = arg;
    const judge_stage *j = d->s->self;
    uint64_t seed = (uint64_t)d->s->r->seed, index = (uint64_t)(d->first + i);
    rng r = rng_new(seed, ~index);
    data_kind kind = d->split == DATA_VAL ? d->kind : (data_kind)mixture_draw(&j->kinds, &r)->a;
    data_request q = { kind, d->split, seed, index, j->side, j->side, j->side };
    return data_sample_make(d->s->data, NULL, &q, &j->sample[i], err);
}

static void pixels_of(judge_stage *j, int picture, const bitmap *from)
{
    pixels_from_rgb(from->data, picture_numbers(j), j->pixels + (size_t)picture * picture_numbers(j));
}

static void add_reference(judge_stage *j, int target, const data_sample *s, const data_ref *f)
{
    judge_batch *b = &j->b;
    float coverage[1024];
    judge_pair *p = &b->pair[b->npairs];
    if (f->task != DATA_LOOK && !f->mask) return; /* nobody tells where it is */
    *p = (judge_pair){ head_of(s->kind, f->task), b->pictures, target, windows_whole(&j->all), f->identity, hash_fnv1a(f->name, strlen(f->name)) };
    if (f->task != DATA_LOOK) {
        windows_coverage(&j->all, f->mask, j->side, j->side, coverage);
        p->at = windows_of_mask(&j->all, coverage);
    }
    pixels_of(j, b->pictures++, &f->picture);
    b->npairs++;
}

/* A window that none of the target's references stands in, where one is found. */
static void add_other(judge_stage *j, int target, int first_pair, rng *r)
{
    judge_batch *b = &j->b;
    for (int tries = 0; tries < TRIES; tries++) {
        window at = j->all.list[rng_below(r, (uint32_t)j->all.n)];
        bool apart = true;
        for (int i = first_pair; i < b->npairs; i++) apart = apart && windows_overlap(at, b->pair[i].at) < 0.1;
        if (!apart) continue;
        b->other[b->nothers++] = (struct judge_other){ target, at };
        return;
    }
}

/* n samples become the batch. */
static dreamo_status compose(stage *s, data_split split, data_kind kind, int64_t first, int n, dreamo_error *err)
{
    judge_stage *j = s->self;
    judge_batch *b = &j->b;
    draw_job job = { s, split, kind, first };
    memset(j->sample, 0, (size_t)j->most * sizeof *j->sample);
    dreamo_status status = stage_each(s, n, draw, &job, err);
    rng r = rng_new((uint64_t)s->r->seed ^ OTHER_STREAM, (uint64_t)first);
    b->targets = b->pictures = n;
    b->npairs = b->nothers = 0;
    for (int i = 0; i < n && !status; i++) {
        const data_sample *x = &j->sample[i];
        int first_pair = b->npairs;
        pixels_of(j, i, &x->target);
        phrases_said(&j->words, x->caption, b->said + i * j->words.ngroups);
        for (int k = 0; k < x->nrefs; k++) add_reference(j, i, x, &x->ref[k]);
        if (b->npairs > first_pair) add_other(j, i, first_pair, &r);
    }
    for (int i = 0; i < n; i++) data_sample_free(&j->sample[i]);
    return status;
}

/* ---- opening ---- */

static dreamo_status open_judge(stage *s, dreamo_error *err)
{
    judge_stage *j = s->self = mem_calloc(1, sizeof *j);
    if (!j) return fail(err, DREAMO_MEMORY, "no memory for a stage");
    dreamo_status status = network_open(&s->n, s->model, NULL, 1u << PART_JUDGE, 1u << PART_JUDGE, err);
    if (status) return status;
    network_hash(&s->n, s->frozen_hash);
    const judge_config *c = &s->n.judge->config;
    int cells = c->side / judge_cell(c);
    j->side = c->side;
    j->most = (int)(s->r->micro > VALIDATION_MICRO ? s->r->micro : VALIDATION_MICRO);
    if (s->r->sample_every) return fail(err, DREAMO_ARG, "sample_every = %lld: the judge makes no pictures, so it must be 0", (long long)s->r->sample_every);
    if (s->r->micro > 1024) return fail(err, DREAMO_ARG, "micro = %lld: the judge takes at most 1024", (long long)s->r->micro);
    if (!(status = stage_kinds(s, DATA_SUBJECT, &j->kinds, err))) status = windows_new(&j->all, cells, cells, err);
    char *config = mem_printf("%s/judge/config.json", s->model);
    if (!status) status = config ? phrases_read(config, &j->words, err) : fail(err, DREAMO_MEMORY, "%s: no memory", s->model);
    mem_free(config);
    if (status) return status;
    j->b = (judge_batch){ .config = c, .all = &j->all, .words = &j->words, .label_weight = s->r->label_weight };
    size_t pictures = (size_t)j->most * (1 + DATA_MAX_REFS), targets = (size_t)j->most;
    j->sample = mem_calloc(targets, sizeof *j->sample);
    j->b.pair = mem_calloc(targets * DATA_MAX_REFS, sizeof *j->b.pair);
    j->b.other = mem_calloc(targets, sizeof *j->b.other);
    j->b.said = mem_calloc(targets * (size_t)j->words.ngroups, sizeof *j->b.said);
    j->pixels = mem_alloc(pictures * picture_numbers(j) * sizeof *j->pixels);
    j->cells = mem_alloc(pictures * cell_numbers(j) * sizeof *j->cells);
    j->grad = mem_alloc(pictures * cell_numbers(j) * sizeof *j->grad);
    if (!j->sample || !j->b.pair || !j->b.other || !j->b.said || !j->pixels || !j->cells || !j->grad)
        return fail(err, DREAMO_MEMORY, "no memory for %zu pictures", pictures);
    status = params_add_network(&s->p, "", s->n.judge, network_walker(PART_JUDGE), err);
    if (!status) status = params_allocate(&s->p, s->r->ema > 0, err);
    if (status) return status;
    s->in_networks = params_total(&s->p);
    params_attach(&s->p, 0, s->n.judge, network_walker(PART_JUDGE));
    if (s->n.fresh[PART_JUDGE]) init_network(&s->p, 0, &s->n, PART_JUDGE, (uint64_t)s->r->seed);
    return DREAMO_OK;
}

static void close_judge(stage *s)
{
    judge_stage *j = s->self;
    if (!j) return;
    windows_free(&j->all);
    phrases_free(&j->words);
    mem_free(j->sample);
    mem_free(j->b.pair);
    mem_free(j->b.other);
    mem_free(j->b.said);
    mem_free(j->pixels);
    mem_free(j->cells);
    mem_free(j->grad);
    mem_free(j);
}

static void use_judge(stage *s, const float *vector) { params_use(&s->p, vector, 0, s->n.judge, network_walker(PART_JUDGE)); }

/* ---- steps ---- */

/* The loss is computed from the cells on the host. */
static void pass(nn *cx, void *job)
{
    stage *s = job;
    judge_stage *j = s->self;
    int pictures = j->b.pictures, side = j->side;
    tensor x = tensor_from(cx, pictures * side * side, 3, j->pixels);
    tensor cells = judge_cells(cx, s->n.judge, x, (grid){ pictures, side, side });
    if (!nn_ok(cx)) return;
    if (!nn_device(cx)->be->dry) {
        tensor_read(cx, cells, j->cells);
        if (!j->backward) return;
        j->loss = judge_loss(&j->b, j->cells, j->grad, j->part);
        if (j->loss < 0) {
            nn_fail(cx, DREAMO_MEMORY, "no memory for the judge's loss");
            return;
        }
    }
    if (j->backward) stage_backward(cx, cells, j->cells, j->grad);
}

static dreamo_status micro_judge(stage *s, int64_t first, int of, log_step *out, dreamo_error *err)
{
    judge_stage *j = s->self;
    j->backward = true;
    dreamo_status status = compose(s, DATA_TRAIN, DATA_ANY, first, (int)s->r->micro, err);
    if (!status) status = sized_step(&s->tape, true, pass, s, err);
    if (status) return status;
    out->loss += j->loss / of;
    out->nparts = JUDGE_HEADS + 1;
    for (int i = 0; i <= JUDGE_HEADS; i++) {
        out->part[i].name = i < JUDGE_HEADS ? judge_head_names[i] : "labels";
        out->part[i].value += j->part[i] / of;
    }
    return DREAMO_OK;
}

static dreamo_status plan_judge(stage *s, nn_counts *counts, int64_t *tokens, dreamo_error *err)
{
    judge_stage *j = s->self;
    j->backward = true;
    j->b.pictures = (int)s->r->micro * (1 + DATA_MAX_REFS);
    dreamo_status status = sized_measure(&s->tape, pass, s, err);
    *counts = s->tape.last;
    *tokens = (int64_t)j->b.pictures * j->side * j->side;
    return status;
}

/* ---- held-out samples ---- */

/* What validation keeps of a kind: each reference's vector, the vectors of all windows of each target, how often labels were right. */
typedef struct held { int n, room; judge_pair *pair; float *wanted, *seen; int targets; tally labels; } held;

static void keep_batch(const judge_stage *j, held *h)
{
    const judge_batch *b = &j->b;
    int n = b->config->embed, stride = judge_columns(b->config), groups = j->words.ngroups, first = JUDGE_HEADS * n;
    float mean[4096];
    for (int i = 0; i < b->npairs && h->n < h->room; i++, h->n++) {
        const judge_pair *p = &b->pair[i];
        const float *from = j->cells + (size_t)p->reference * cell_numbers(j) + p->head * n;
        window_vector(&j->all, from, stride, n, windows_whole(&j->all), h->wanted + (size_t)h->n * (size_t)n);
        h->pair[h->n] = *p;
        h->pair[h->n].target += h->targets;
    }
    for (int t = 0; t < b->targets; t++) {
        memcpy(h->seen + (size_t)(h->targets + t) * cell_numbers(j), j->cells + (size_t)t * cell_numbers(j), cell_numbers(j) * sizeof(float));
        window_mean(&j->all, j->cells + (size_t)t * cell_numbers(j) + first, stride, b->config->labels, windows_whole(&j->all), mean);
        for (int g = 0; g < groups; g++) {
            const phrase_group *group = &j->words.group[g];
            int best = group->first;
            for (int k = 1; k < group->n; k++) best = mean[group->first + k] > mean[best] ? group->first + k : best;
            if (b->said[t * groups + g] >= 0) tally_add(&h->labels, best == b->said[t * groups + g]);
        }
    }
    h->targets += b->targets;
}

static bool alike(const judge_pair *p, const judge_pair *q) { return p->target == q->target || p->identity == q->identity || p->name == q->name; }

/* How many references come first, in their own target, of all others of their head that another target shows. */
static dreamo_status retrieve(const judge_stage *j, const held *h, tally *found, dreamo_error *err)
{
    int n = j->b.config->embed, which;
    float *vectors = mem_alloc((size_t)j->all.n * (size_t)n * sizeof *vectors);
    double *score = mem_alloc((size_t)(h->n + 1) * sizeof *score);
    dreamo_status status = vectors && score ? DREAMO_OK : fail(err, DREAMO_MEMORY, "no memory for %d vectors", j->all.n);
    for (int i = 0; i < h->n && !status; i++) {
        const judge_pair *p = &h->pair[i];
        windows whole = { .cols = j->all.cols, .rows = j->all.rows, .n = 1, .list = &(window){ 0, 0, j->all.cols, j->all.rows } };
        const windows *where = p->head == JUDGE_STYLE ? &whole : &j->all;
        int m = 0;
        windows_vectors(where, h->seen + (size_t)p->target * cell_numbers(j) + p->head * n, judge_columns(j->b.config), n, vectors);
        for (int k = 0; k < h->n; k++)
            if (k == i || (h->pair[k].head == p->head && !alike(&h->pair[k], p))) {
                double s = windows_best(where, vectors, n, h->wanted + (size_t)k * (size_t)n, &which);
                if (k == i) {
                    score[m++] = score[0];
                    score[0] = s;
                } else
                    score[m++] = s;
            }
        tally_add(found, tally_first(score, m, 0));
    }
    mem_free(vectors);
    mem_free(score);
    return status;
}

static dreamo_status validate_kind(stage *s, data_kind kind, train_log *log, int64_t step, dreamo_error *err)
{
    judge_stage *j = s->self;
    int count = (int)s->r->validation, n = j->b.config->embed;
    held h = { .room = count * DATA_MAX_REFS };
    tally found = { 0 };
    h.pair = mem_calloc((size_t)h.room + 1, sizeof *h.pair);
    h.wanted = mem_alloc(((size_t)h.room + 1) * (size_t)n * sizeof *h.wanted);
    h.seen = mem_alloc(((size_t)count + 1) * cell_numbers(j) * sizeof *h.seen);
    dreamo_status status = h.pair && h.wanted && h.seen ? DREAMO_OK : fail(err, DREAMO_MEMORY, "no memory for %d samples", count);
    j->backward = false;
    for (int at = 0; at < count && !status; at += VALIDATION_MICRO) {
        int m = count - at < VALIDATION_MICRO ? count - at : VALIDATION_MICRO;
        status = compose(s, DATA_VAL, kind, at, m, err);
        if (!status) status = sized_step(&s->plain, true, pass, s, err);
        if (!status) keep_batch(j, &h);
    }
    if (!status) status = retrieve(j, &h, &found, err);
    if (!status) {
        double lo, hi;
        log_part parts[] = { { "first", tally_share(found) }, { "labels", tally_share(h.labels) } };
        tally_interval(found, &lo, &hi);
        log_note(log, "step %lld: %s: %d of %d references come first (%.2f, 95 %%: %.2f to %.2f), %d of %d labels are right", (long long)step, data_kind_name(kind), found.yes, found.n,
                 tally_share(found), lo, hi, h.labels.yes, h.labels.n);
        status = log_numbers(log, step, data_kind_name(kind), parts, 2, err);
    }
    mem_free(h.pair);
    mem_free(h.wanted);
    mem_free(h.seen);
    return status;
}

static dreamo_status validate_judge(stage *s, train_log *log, int64_t step, dreamo_error *err)
{
    judge_stage *j = s->self;
    dreamo_status status = DREAMO_OK;
    for (int i = 0; i < j->kinds.n && s->r->validation && !status; i++)
        if (data_can(s->data, (data_kind)j->kinds.part[i].a, DATA_VAL)) status = validate_kind(s, (data_kind)j->kinds.part[i].a, log, step, err);
    return status;
}

static dreamo_status export_judge(stage *s, const char *folder, dreamo_error *err)
{
    char *path = mem_printf("%s/judge/model.safetensors", folder);
    dreamo_status status = path ? export_weights(path, &s->p, s->p.ema ? s->p.ema : s->p.value, 0, s->p.n, "", s->r->export_bf16, err)
                                : fail(err, DREAMO_MEMORY, "%s: no memory", folder);
    mem_free(path);
    return status;
}

/* There is nothing to be seen; open_judge refuses to be asked. */
static dreamo_status sheet_judge(stage *s, const char *model, const char *path, dreamo_error *err)
{
    (void)s, (void)model, (void)path;
    return fail(err, DREAMO_BUG, "the judge makes no pictures");
}

const stage_kind stage_judge = { "judge", open_judge, close_judge, micro_judge, plan_judge, use_judge, validate_judge, export_judge, sheet_judge };
