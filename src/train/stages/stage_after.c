/* stage_after.c - what comes after DreamO's own training: a LoRA on top of the frozen base and DreamO's frozen adapter.
 *
 *   cfg   one pass learns to say what true CFG says with two: target = neg + cfg_scale (pos - neg), where neg is the pass of the pipeline,
 *         without references, without condition embedding and with an empty prompt (spec 2.6)
 *   sft   flow matching on data that are chosen with care
 *   dpo   preferences (dpo.h): a sample's own target against the picture that was rejected for it, where the data tells one, or another one's
 *         target, of the same kind or of those that recipe.rejected lists; the network before training is the same one with this LoRA switched off
 * The others of these that the model folder has lie beneath, frozen: what is trained is what the folder will be, all together.
 * Export: dreamo/NAME.safetensors beside DreamO's own, in its naming. */
#include <math.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "train/export.h"
#include "train/report/sheet.h"
#include "train/stages/adapter_set.h"
#include "train/stages/dpo.h"
#include "train/flow/flow_validate.h"
#include "weights/lora/merge.h"

enum { SEEDS = 3 };

typedef struct after_stage {
    flow_stage flow;
    lora_file frozen[LORA_OWN];     /* DreamO's adapter and tables, and what lies beneath this LoRA */
    lora_merged merged;
    weight task, idx;
    adapter_set set;
    flow_batch alone;               /* cfg: the same noise without references and words */
    flow_out out;
    float *pos, *neg, *weight;      /* velocities on the host; dpo: slopes as row weights */
    size_t pos_room, neg_room, weight_room;
    double *error, *before, *slope; /* [micro] */
    double loss, ahead;             /* of the last dpo pass */
    bool tables;                    /* the pass knows DreamO's condition */
} after_stage;

static bool is_dpo(const stage *s) { return s->r->stage == STAGE_DPO; }

/* ---- opening ---- */

/* An adapter that the stage before began anew is not the one that the model folder's LoRAs were made for. */
static bool has_beneath(const stage *s) { return !s->begin_from || s->r->begin == BEGIN_MODEL; }

/* Applied as when pictures are made: small layers get copies with it added, which a step does not pay for. */
static dreamo_status open_frozen(stage *s, after_stage *a, lora_file *f, const char *path, dreamo_error *err)
{
    dreamo_status status = lora_open(path, 1, s->n.dit, s->n.t5->config.width, f, err);
    if (status) return status;
    if (!s->n.fresh[PART_DIT]) lora_merge_thick(f); /* a plan may be made without weights */
    lora_attach(f);
    return lora_merge(&a->merged, f, false, s->dev->threads, err);
}

static weight table(const char *name, const float *rows, int n, int width)
{
    return (weight){ .name = name, .in = width, .out = n, .kh = 1, .kw = 1, .nparts = 1, .part = { { .rows = n, .type = DT_F32, .data = rows, .held = true } } };
}

/* DreamO's condition, which only its own file may tell. */
static dreamo_status take_tables(stage *s, after_stage *a, dreamo_error *err)
{
    const dreamo_tables *t = &a->frozen[0].tables;
    int first = unigram_first_added(s->n.t5_words);
    if (!t->task || !t->idx || !t->t5) return fail(err, DREAMO_MISMATCH, "%s: has no task, index and T5 embedding tables", a->frozen[0].path);
    a->task = table(tables_names[0], t->task, 2, t->width);
    a->idx = table(tables_names[1], t->idx, t->nslots, t->width);
    a->flow.model.task = &a->task;
    a->flow.model.idx = &a->idx;
    if (first < 0 || t5_replace_rows(s->n.t5, first, DREAMO_T5_ROWS, t->t5)) return DREAMO_OK;
    return fail(err, DREAMO_MISMATCH, "%s: its T5 table has no rows for [ref#1] to [res]", s->model);
}

static dreamo_status open_beneath(stage *s, after_stage *a, dreamo_error *err)
{
    dreamo_status status = DREAMO_OK;
    for (int i = 0; i < LORA_OWN && !status; i++) {
        bool own = i == 0, on_top = !own && (!has_beneath(s) || strcmp(lora_own[i], s->kind->name) == 0);
        if (on_top) continue;
        char *path = own && s->begin_from ? mem_strdup(s->begin_from) : mem_printf("%s/dreamo/%s.safetensors", s->model, lora_own[i]);
        if (!path) return fail(err, DREAMO_MEMORY, "%s: no memory for a path", s->model);
        if (own || file_exists(path)) status = open_frozen(s, a, &a->frozen[i], path, err);
        mem_free(path);
    }
    return status ? status : take_tables(s, a, err);
}

/* A LoRA of its own, or the model folder's of the same name. */
static dreamo_status begin_after(stage *s, after_stage *a, dreamo_error *err)
{
    lora_file f = { 0 };
    bool on = s->r->begin == BEGIN_MODEL;
    char *path = mem_printf("%s/dreamo/%s.safetensors", s->model, s->kind->name);
    dreamo_status status = path ? DREAMO_OK : fail(err, DREAMO_MEMORY, "%s: no memory for a path", s->model);
    if (!status && on && (status = lora_open(path, 1, s->n.dit, s->n.t5->config.width, &f, err)) != DREAMO_OK)
        hint(err, "begin = fresh begins a new one");
    if (!status) status = on ? adapter_set_pairs_from_file(&a->set, &s->p, &f, err) : adapter_set_pairs(&a->set, &s->p, s->n.dit, (int)s->r->rank, s->r->layers == LAYERS_ALL, err);
    if (!status) status = params_allocate(&s->p, s->r->ema > 0, err);
    if (!status) status = adapter_set_attach(&a->set, &s->p, on ? &f : NULL, (uint64_t)s->r->seed, s->n.t5, false, err);
    lora_close(&f);
    mem_free(path);
    return status;
}

static dreamo_status open_after(stage *s, dreamo_error *err)
{
    after_stage *a = s->self = mem_calloc(1, sizeof *a);
    unsigned all = PARTS_OF_A_MODEL;
    size_t micro = (size_t)s->r->micro;
    if (!a) return fail(err, DREAMO_MEMORY, "no memory for a stage");
    if (is_dpo(s) && micro % 2) return fail(err, DREAMO_ARG, "micro = %zu: preferences come in pairs, it must be even", micro);
    int samples = 0, with = 0;
    if (is_dpo(s) && s->data) data_preferences(s->data, &samples, &with);
    if (with && with < samples) return fail(err, DREAMO_ARG, "%d of %d samples have a rejected picture; preferences need one in each, or in none", with, samples);
    dreamo_status status = network_open(&s->n, s->model, s->file, all, s->data ? 0 : all, err);
    if (!status) status = open_beneath(s, a, err);
    if (!status) status = begin_after(s, a, err);
    if (!status) status = flow_stage_open(s, &a->flow, true, err);
    if (!status) status = flow_batch_new(&a->alone, &s->n.dit->config, a->flow.room, err);
    if (status) return status;
    a->error = mem_calloc(3 * micro, sizeof *a->error);
    if (!a->error) return fail(err, DREAMO_MEMORY, "no memory for a stage");
    a->before = a->error + micro;
    a->slope = a->before + micro;
    return DREAMO_OK;
}

static void close_after(stage *s)
{
    after_stage *a = s->self;
    if (!a) return;
    flow_stage_close(&a->flow);
    flow_batch_free(&a->alone);
    adapter_set_free(&a->set);
    lora_unmerge(&a->merged);
    for (int i = 0; i < LORA_OWN; i++) {
        lora_detach(&a->frozen[i]);
        lora_close(&a->frozen[i]);
    }
    mem_free(a->pos);
    mem_free(a->neg);
    mem_free(a->weight);
    mem_free(a->error);
    mem_free(a);
}

static void use_after(stage *s, const float *vector)
{
    after_stage *a = s->self;
    adapter_set_use(&a->set, &s->p, vector, s->n.t5);
}

/* ---- passes ---- */

typedef struct pass_job { stage *s; after_stage *a; const flow_batch *b; bool tables; } pass_job;

static void plain_pass(nn *cx, void *job)
{
    pass_job *j = job;
    flow_model m = j->a->flow.model;
    if (!j->tables) m.task = m.idx = NULL;
    flow_forward(cx, &m, j->b, (flow_wishes){ 0 }, &j->a->out);
}

/* The velocities of `b` to the host. */
static dreamo_status look(stage *s, after_stage *a, const flow_batch *b, bool tables, float **to, size_t *room, dreamo_error *err)
{
    pass_job j = { s, a, b, tables };
    dreamo_status status = flow_stage_grow(to, room, (size_t)(b->image_rows * b->channels), err);
    if (!status) status = sized_step(&s->plain, true, plain_pass, &j, err);
    if (!status) tensor_read(s->plain.cx, a->out.velocity, *to);
    return status;
}

/* The composed batch without references, words and condition. */
static dreamo_status make_alone(stage *s, after_stage *a, dreamo_error *err)
{
    const flow_batch *b = &a->flow.batch;
    flow_batch *n = &a->alone;
    caption empty;
    size_t row = (size_t)b->channels * sizeof(float);
    dreamo_status status = caption_read(&s->n, "", &empty, err);
    if (status) return status;
    for (int i = 0; i < b->samples; i++) {
        n->sample[i] = (condition_sample){ .out = b->sample[i].out };
        n->text[i] = empty.rows;
        n->sigma[i] = b->sigma[i];
        n->guidance[i] = b->guidance[i];
    }
    status = flow_batch_shape(n, &s->n.dit->config, b->samples, err);
    for (int i = 0; i < b->samples && !status; i++) {
        size_t rows = (size_t)condition_noise_rows(&b->sample[i]);
        memcpy(n->t5_ids + n->text0[i], empty.t5, (size_t)empty.rows.nt5 * sizeof(int32_t));
        memcpy(n->clip_ids + n->clip0[i], empty.clip, (size_t)empty.rows.nclip * sizeof(int32_t));
        memcpy(n->clean + (size_t)n->image0[i] * (size_t)n->channels, b->clean + (size_t)b->image0[i] * (size_t)b->channels, rows * row);
        memcpy(n->noise + (size_t)n->image0[i] * (size_t)n->channels, b->noise + (size_t)b->image0[i] * (size_t)b->channels, rows * row);
    }
    if (!status) flow_batch_mix(n);
    if (!status) status = flow_cache_texts(s, &a->flow.cache, n, err);
    caption_free(&empty);
    return status;
}

/* a->pos becomes the teacher's velocity: neg + scale (pos - neg) on noise rows; pos where there is little noise left. */
static dreamo_status teach(stage *s, after_stage *a, dreamo_error *err)
{
    const flow_batch *b = &a->flow.batch;
    adapter_set_switch(&a->set, false);
    dreamo_status status = look(s, a, b, true, &a->pos, &a->pos_room, err);
    if (!status) status = make_alone(s, a, err);
    if (!status) status = look(s, a, &a->alone, false, &a->neg, &a->neg_room, err);
    adapter_set_switch(&a->set, true);
    for (int i = 0; i < b->samples && !status; i++) {
        float *pos = a->pos + (size_t)b->image0[i] * (size_t)b->channels;
        const float *neg = a->neg + (size_t)a->alone.image0[i] * (size_t)b->channels;
        float scale = b->sigma[i] > s->r->cfg_above ? (float)s->r->cfg_scale : 1;
        for (int k = 0; k < condition_noise_rows(&b->sample[i]) * b->channels; k++) pos[k] = neg[k] + scale * (pos[k] - neg[k]);
    }
    return status;
}

/* Errors of the velocities in `v` against the batch's targets. */
static void errors_of(const flow_batch *b, const float *v, double *error)
{
    for (int i = 0; i < b->samples; i++) error[i] = flow_sample_loss(b, v, b->target, i);
}

/* A preference's gradient is that of squared errors weighed by the slopes, which the same pass tells (dpo.h). */
static void dpo_pass(nn *cx, void *job)
{
    stage *s = job;
    after_stage *a = s->self;
    flow_batch *b = &a->flow.batch;
    flow_forward(cx, &a->flow.model, b, (flow_wishes){ 0 }, &a->out);
    if (!nn_ok(cx)) return;
    tensor_read(cx, a->out.velocity, a->pos);
    errors_of(b, a->pos, a->error);
    a->loss = dpo_loss(a->error, a->before, b->samples / 2, s->r->dpo_beta, a->slope, &a->ahead);
    memset(a->weight, 0, (size_t)b->image_rows * sizeof *a->weight);
    for (int i = 0; i < b->samples; i++) {
        int tokens = condition_noise_rows(&b->sample[i]);
        for (int t = 0; t < tokens; t++) /* op_mse divides by all rows, an error by its own */
            a->weight[b->image0[i] + t] = (float)(a->slope[i] * b->image_rows / tokens);
    }
    nn_backward(cx, op_mse(cx, a->out.velocity, tensor_from(cx, b->image_rows, b->channels, b->target), a->weight));
}

static dreamo_status run_dpo(stage *s, after_stage *a, dreamo_error *err)
{
    const flow_batch *b = &a->flow.batch;
    adapter_set_switch(&a->set, false);
    dreamo_status status = look(s, a, b, true, &a->pos, &a->pos_room, err);
    adapter_set_switch(&a->set, true);
    if (!status) status = flow_stage_grow(&a->weight, &a->weight_room, (size_t)b->image_rows, err);
    if (status) return status;
    errors_of(b, a->pos, a->before);
    return sized_step(&s->tape, true, dpo_pass, s, err);
}

/* Neighbours in the list are a pair: the same sample, then the rejected one. */
static void choose_items(stage *s, flow_stage *f, uint64_t first)
{
    for (int i = 0; i < f->room; i++) {
        f->item[i] = flow_item_train(s, &f->kinds, is_dpo(s) ? (first + (uint64_t)i) / 2 : first + (uint64_t)i);
        f->item[i].rejected = is_dpo(s) && i % 2;
    }
}

static dreamo_status micro_after(stage *s, int64_t first, int of, log_step *out, dreamo_error *err)
{
    after_stage *a = s->self;
    flow_stage *f = &a->flow;
    if (s->r->stage == STAGE_SFT) return flow_stage_micro(s, f, first, of, out, err);
    choose_items(s, f, (uint64_t)first);
    f->backward = true;
    dreamo_status status = flow_stage_compose(s, f, f->room, err);
    if (status) return status;
    if (is_dpo(s)) {
        status = run_dpo(s, a, err);
        out->loss += a->loss / of;
        out->part[0].name = "ahead";
        out->part[0].value += a->ahead / of;
        out->nparts = 1;
        return status;
    }
    float loss = 0;
    status = teach(s, a, err);
    if (status) return status;
    memcpy(f->batch.target, a->pos, (size_t)(f->batch.image_rows * f->batch.channels) * sizeof(float));
    status = flow_stage_run(s, f, err);
    if (status) return status;
    tensor_read(s->tape.cx, f->out.diff, &loss);
    out->loss += (double)loss / of;
    return DREAMO_OK;
}

static dreamo_status plan_after(stage *s, nn_counts *counts, int64_t *tokens, dreamo_error *err)
{
    after_stage *a = s->self;
    return flow_stage_plan(s, &a->flow, counts, tokens, err);
}

/* ---- held-out samples ---- */

/* What is told of the held-out samples of a kind: each number's mean over them. */
enum { TOLD = 4 };

static void held_items(const stage *s, flow_stage *f, data_kind kind, int at, int n)
{
    for (int i = 0; i < n; i++) {
        int sample = is_dpo(s) ? (at + i) / 2 : at + i;
        f->item[i] = (flow_item){ .kind = kind, .split = DATA_VAL, .index = (uint64_t)sample, .rejected = is_dpo(s) && i % 2,
                                  .sigma = flow_quantile(&s->r->flow, flow_level(sample)) };
    }
}

/* cfg: errors of the LoRA's one pass, of the teacher, of one pass without the LoRA; how far the LoRA is from the teacher. */
static dreamo_status held_cfg(stage *s, after_stage *a, double *sum, dreamo_error *err)
{
    const flow_batch *b = &a->flow.batch;
    size_t n = (size_t)(b->image_rows * b->channels);
    float *mine = NULL, *before = NULL;
    size_t mine_room = 0, before_room = 0;
    dreamo_status status = look(s, a, b, true, &mine, &mine_room, err);
    adapter_set_switch(&a->set, false);
    if (!status) status = look(s, a, b, true, &before, &before_room, err);
    adapter_set_switch(&a->set, true);
    if (!status) status = teach(s, a, err);
    for (int i = 0; i < b->samples && !status && n; i++) {
        sum[0] += flow_sample_loss(b, mine, b->target, i);
        sum[1] += flow_sample_loss(b, a->pos, b->target, i);
        sum[2] += flow_sample_loss(b, mine, a->pos, i);
        sum[3] += flow_sample_loss(b, before, a->pos, i);
    }
    mem_free(mine);
    mem_free(before);
    return status;
}

/* dpo: the loss; pairs that are ahead of what they were; pairs of which the right one is the easier. */
static dreamo_status held_dpo(stage *s, after_stage *a, double *sum, dreamo_error *err)
{
    const flow_batch *b = &a->flow.batch;
    int pairs = b->samples / 2;
    double ahead;
    adapter_set_switch(&a->set, false);
    dreamo_status status = look(s, a, b, true, &a->pos, &a->pos_room, err);
    adapter_set_switch(&a->set, true);
    if (status) return status;
    errors_of(b, a->pos, a->before);
    status = look(s, a, b, true, &a->pos, &a->pos_room, err);
    if (status) return status;
    errors_of(b, a->pos, a->error);
    sum[0] += 2 * pairs * dpo_loss(a->error, a->before, pairs, s->r->dpo_beta, a->slope, &ahead);
    sum[1] += 2 * pairs * ahead;
    for (int p = 0; p < pairs; p++) {
        sum[2] += 2 * (a->error[2 * p] < a->error[2 * p + 1]);
        sum[3] += 2 * (a->before[2 * p] < a->before[2 * p + 1]);
    }
    return DREAMO_OK;
}

static dreamo_status validate_held(stage *s, after_stage *a, train_log *log, int64_t step, dreamo_error *err)
{
    static const char *const names[2][TOLD] = { { "loss", "teacher_loss", "apart", "apart_before" }, { "loss", "ahead", "right", "right_before" } };
    flow_stage *f = &a->flow;
    int all = is_dpo(s) ? 2 * (int)s->r->validation : (int)s->r->validation, count = 0;
    double sum[TOLD] = { 0 };
    log_part part[TOLD];
    dreamo_status status = DREAMO_OK;
    f->backward = false;
    for (int k = 0; k < f->kinds.n && !status; k++) {
        data_kind kind = (data_kind)f->kinds.part[k].a;
        if (!data_can(s->data, kind, DATA_VAL)) continue;
        for (int at = 0; at < all && !status; at += f->room) {
            int n = all - at < f->room ? all - at : f->room;
            held_items(s, f, kind, at, n);
            status = flow_stage_compose(s, f, n, err);
            if (!status) status = (is_dpo(s) ? held_dpo : held_cfg)(s, a, sum, err);
            count += n;
        }
    }
    if (status || !count) return status;
    for (int i = 0; i < TOLD; i++) part[i] = (log_part){ names[is_dpo(s)][i], sum[i] / count };
    log_note(log, "step %lld: held out: %s %.4f, %s %.4f, %s %.4f, %s %.4f", (long long)step, part[0].name, part[0].value, part[1].name,
             part[1].value, part[2].name, part[2].value, part[3].name, part[3].value);
    return log_numbers(log, step, "validation", part, TOLD, err);
}

static dreamo_status validate_after(stage *s, train_log *log, int64_t step, dreamo_error *err)
{
    after_stage *a = s->self;
    return s->r->stage == STAGE_SFT ? flow_validate(s, &a->flow, log, step, err) : validate_held(s, a, log, step, err);
}

/* ---- export ---- */

/* An adapter that the stage before made is not in the model folder that was copied: it goes along. */
static dreamo_status bring_adapter(const stage *s, const char *folder, dreamo_error *err)
{
    filemap map = { 0 };
    char *path = mem_printf("%s/dreamo/dreamo.safetensors", folder);
    dreamo_status status = path ? file_map(s->begin_from, &map, err) : fail(err, DREAMO_MEMORY, "%s: no memory", folder);
    if (!status) status = file_replace(path, map.data, map.nbytes, err);
    if (map.data) file_unmap(&map);
    mem_free(path);
    return status;
}

static dreamo_status export_after(stage *s, const char *folder, dreamo_error *err)
{
    char *dir = path_join(folder, "dreamo"), *path = mem_printf("%s/dreamo/%s.safetensors", folder, s->kind->name);
    const float *used = s->p.ema ? s->p.ema : s->p.value;
    dreamo_status status = dir && path ? folder_make(dir, err) : fail(err, DREAMO_MEMORY, "%s: no memory", folder);
    if (!status) status = export_weights(path, &s->p, used, 0, s->p.n, "", s->r->export_bf16, err);
    if (!status && !has_beneath(s)) status = export_remove_atop(dir, s->kind->name, err);
    if (!status && s->begin_from) status = bring_adapter(s, folder, err);
    mem_free(dir);
    mem_free(path);
    return status;
}

static dreamo_status sheet_after(stage *s, const char *model, const char *path, dreamo_error *err)
{
    const after_stage *a = s->self;
    return sheet_generated(s, model, path, &a->flow.kinds, (sheet_wishes){ .references = true, .seeds = SEEDS, .frozen = true }, err);
}

const stage_kind stage_cfg = { "cfg", open_after, close_after, micro_after, plan_after, use_after, validate_after, export_after, sheet_after };
const stage_kind stage_sft = { "sft", open_after, close_after, micro_after, plan_after, use_after, validate_after, export_after, sheet_after };
const stage_kind stage_dpo = { "dpo", open_after, close_after, micro_after, plan_after, use_after, validate_after, export_after, sheet_after };
