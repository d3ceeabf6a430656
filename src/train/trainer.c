/* trainer.c - one run of one stage.
 *
 * A step: `batch` samples in micro-batches of `micro`, gradients added; their norm; if it is a number, clip and AdamW, else
 * the step is skipped and counted.  Every save_every steps a checkpoint and a model folder.  A checkpoint that cannot be
 * written (disk full) is a warning while the run goes on, and the run's failure at its end.
 *
 * In several processes (ranks.h) each computes its part of the micro-batches; all make the same decisions at the same step, and rank 0
 * alone locks, logs, validates and writes. */
#include "train/trainer.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/sha256.h"
#include "pipe/rate.h"
#include "train/checkpoint.h"
#include "train/ema.h"
#include "train/export.h"
#include "train/optimizer.h"
#include "train/ranks/reduce.h"
#include "train/report/page.h"
#include "train/stages/stage.h"

typedef struct trainer {
    const dreamo_train_options *o;
    const trainer_part *part;
    recipe r;
    stage s;
    bool opened;               /* the stage */
    train_log log;
    run_state state;
    char *recipe_text;
    optimizer *opt;
    ranks *ranks;              /* NULL: this process alone */
    reducer *sums;
    bool stop;                 /* all ranks stop after this step */
    double *partial;           /* for optimizer_norm */
    int lock;
    bool made;                  /* the run's folder was not there before */
    int64_t saved, exported;   /* steps of the last checkpoint and of model/; -1: none */
    bool whole;                /* the process that made the loaded step got to its end: its page is there */
} trainer;

static const stage_kind *const kinds[] = { [STAGE_VAE] = &stage_vae, [STAGE_BASE] = &stage_base,
                                           [STAGE_ADAPTER] = &stage_adapter, [STAGE_CFG] = &stage_cfg, [STAGE_SFT] = &stage_sft,
                                           [STAGE_DPO] = &stage_dpo, [STAGE_JUDGE] = &stage_judge, [STAGE_MATTING] = &stage_matting };

enum { COPY_MAX = 256 << 20 }; /* larger files of the model folder are not copied into out/model */

/* ---- beginning ---- */

static dreamo_status read_recipe(trainer *t, dreamo_error *err)
{
    const dreamo_train_options *o = t->o;
    if (!o->recipe) return fail(err, DREAMO_ARG, "training needs a recipe file");
    if (!o->model) return fail(err, DREAMO_ARG, "training needs a model folder");
    dreamo_status s = t->part ? recipe_read_stage(o->recipe, t->part->stage, &t->r, err) : recipe_read(o->recipe, &t->r, err);
    for (int i = 0; !s && i < o->noverrides; i++) s = recipe_override(&t->r, o->overrides[i], err);
    if (!s) s = recipe_check(&t->r, err);
    if (!s && !(t->recipe_text = recipe_write(&t->r))) s = fail(err, DREAMO_MEMORY, "no memory for the recipe");
    return s;
}

static bool writes(const trainer *t) { return ranks_number(t->ranks) == 0; }

static dreamo_status open_ranks(trainer *t, dreamo_error *err)
{
    long long batch = t->r.batch, micro = t->r.micro;
    dreamo_status s = ranks_open(&t->ranks, t->o->stop, err);
    int n = ranks_count(t->ranks);
    if (s || batch % (micro * n) == 0) return s;
    fail(err, DREAMO_ARG, "batch = %lld cannot be divided among %d processes in micro-batches of %lld", batch, n, micro);
    return hint(err, "batch must be a multiple of %lld", micro * n);
}

static dreamo_status open_stage(trainer *t, dreamo_error *err)
{
    const backend *be = backend_to_train(t->o->backend, err);
    stage *s = &t->s;
    if (!be) return err ? err->status : DREAMO_ARG;
    if (t->o->cache && (t->r.stage == STAGE_VAE || t->r.stage == STAGE_JUDGE || t->r.stage == STAGE_MATTING))
        return fail(err, DREAMO_ARG, "%s: nothing of the %s's training stays the same", t->o->cache, t->r.stage == STAGE_VAE ? "autoencoder" : t->r.stage == STAGE_JUDGE ? "judge" : "matting network");
    *s = (stage){ .kind = kinds[t->r.stage], .r = &t->r, .cache = t->o->cache, .model = t->o->model, .data = s->data, .data_path = t->o->data,
                  .file = { [PART_DIT] = t->o->dit, [PART_T5] = t->o->t5, [PART_CLIP] = t->o->clip, [PART_VAE] = t->o->vae }, .dev = be->open(t->o->threads),
                  .begin_from = t->part ? t->part->begin_from : NULL };
    if (!s->dev) return fail(err, DREAMO_MEMORY, "no memory or no threads for backend %s", be->name);
    if (nn_device_status(s->dev, err)) return err ? err->status : DREAMO_DEVICE;
    if (be->settle && ranks_count(t->ranks) > 1) return fail(err, DREAMO_ARG, "backend %s trains in one process, these are %d", be->name, ranks_count(t->ranks));
    dreamo_status status = sized_open(&s->tape, s->dev, true, t->r.checkpoint, err);
    if (!status) status = sized_open(&s->plain, s->dev, false, false, err);
    if (status) return status;
    t->opened = true;
    if ((status = s->kind->open(s, err)) != DREAMO_OK) return status;
    if ((status = reducer_open(&t->sums, t->ranks, &s->p, &s->tape, err)) != DREAMO_OK) return status;
    return optimizer_open(&t->opt, t->r.optimizer, &s->p, s->dev, err);
}

static void close_all(trainer *t)
{
    stage *s = &t->s;
    if (t->opened) s->kind->close(s);
    sized_close(&s->tape);
    sized_close(&s->plain);
    optimizer_close(t->opt);
    params_free(&s->p);
    network_close(&s->n);
    if (s->dev) s->dev->be->close(s->dev);
    data_close(s->data);
    log_close(&t->log);
    mem_free(t->recipe_text);
    mem_free(t->partial);
    file_unlock(t->lock);
    reducer_close(t->sums);
    ranks_close(t->ranks);
}

static void begin_state(trainer *t)
{
    run_state *s = &t->state;
    *s = (run_state){ .seed = t->r.seed, .smoothed = -1, .threads = pool_threads(t->s.dev->threads) };
    memcpy(s->stage, t->s.kind->name, strlen(t->s.kind->name) + 1);
    memcpy(s->backend, t->s.dev->be->name, strlen(t->s.dev->be->name) + 1);
    memcpy(s->model, t->s.frozen_hash, sizeof s->model);
    memcpy(s->data, data_hash(t->s.data), sizeof s->data);
}

static void tell_broken(void *user, const char *line)
{
    train_log *l = user;
    log_warn(l, "passed over a broken checkpoint: %s", line);
}

static dreamo_status resume(trainer *t, dreamo_error *err)
{
    run_state now = t->state, then;
    dreamo_status s = checkpoint_load(t->o->out, &t->s.p, &then, tell_broken, &t->log, err);
    if (s) return s;
    if (strcmp(then.stage, now.stage) != 0)
        return fail(err, DREAMO_MISMATCH, "%s: its checkpoints are of stage %s, the recipe says %s", t->o->out, then.stage,
                    now.stage);
    if (strcmp(then.model, now.model) != 0)
        return fail(err, DREAMO_MISMATCH, "%s: the run began from other weights than those in %s", t->o->out, t->o->model);
    if (strcmp(then.data, now.data) != 0)
        return fail(err, DREAMO_MISMATCH, "%s: the run was trained on other data than %s", t->o->out, t->o->data);
    if (then.seed != now.seed)
        return fail(err, DREAMO_MISMATCH, "%s: the run has seed %lld, the recipe %lld", t->o->out, (long long)then.seed,
                    (long long)now.seed);
    if (then.threads != now.threads || strcmp(then.backend, now.backend) != 0)
        log_warn(&t->log, "the run used %s with %d threads, this is %s with %d: going on, but not bit for bit", then.backend,
                 then.threads, now.backend, now.threads);
    then.threads = now.threads;
    memcpy(then.backend, now.backend, sizeof then.backend);
    t->state = then;
    t->saved = then.step;
    return DREAMO_OK;
}

static bool is_sheet(void *user, const char *name)
{
    (void)user;
    return strncmp(name, "step-", 5) == 0;
}

/* The lock is ours: whatever is half done was left by a process that is gone. */
static dreamo_status sweep(const char *out, dreamo_error *err)
{
    char *samples = path_join(out, "samples");
    dreamo_status s = samples ? checkpoint_sweep(out, err) : fail(err, DREAMO_MEMORY, "%s: no memory", out);
    if (!s && folder_exists(samples)) s = folder_sweep(samples, is_sheet, NULL, err);
    mem_free(samples);
    return s;
}

static dreamo_status take_folder(trainer *t, dreamo_error *err)
{
    const dreamo_train_options *o = t->o;
    char *lock = path_join(o->out, "lock");
    t->made = !folder_exists(o->out);
    dreamo_status s = lock ? folder_make(o->out, err) : fail(err, DREAMO_MEMORY, "%s: no memory", o->out);
    if (!s) s = file_lock(lock, &t->lock, err);
    mem_free(lock);
    if (!s) s = sweep(o->out, err);
    if (!s && !o->resume && checkpoint_any(o->out)) {
        fail(err, DREAMO_ARG, "%s: holds a run already", o->out);
        s = hint(err, "resume it, or give another folder");
    }
    return s;
}

/* A run that never began leaves nothing: what is in a folder that was there before, or has more in it by now, stays. */
static void leave_folder(const trainer *t)
{
    char *lock = t->made ? path_join(t->o->out, "lock") : NULL;
    if (lock) remove(lock);
    if (lock) remove(t->o->out);
    mem_free(lock);
}

static dreamo_status open_run(trainer *t, dreamo_error *err)
{
    const dreamo_train_options *o = t->o;
    if (!o->out) return fail(err, DREAMO_ARG, "training needs a folder to write into");
    if (!o->data) return fail(err, DREAMO_ARG, "training needs a dataset folder");
    dreamo_status s = writes(t) ? take_folder(t, err) : DREAMO_OK;
    if (!s) s = data_open(o->data, &t->s.data, err);
    if (!s) s = open_stage(t, err);
    if (!s) network_hash(&t->s.n, t->s.frozen_hash);
    if (!s) begin_state(t);
    if (!s && !(t->partial = mem_calloc((size_t)t->s.p.nchunks + 1, sizeof *t->partial)))
        s = fail(err, DREAMO_MEMORY, "no memory for the norm");
    if (!s && t->s.p.ema) ema_start(&t->s.p);
    dreamo_progress tell = writes(t) ? o->progress : NULL;
    t->log.call = tell;
    t->log.user = o->user;
    if (!s && o->resume && checkpoint_any(o->out)) s = resume(t, err);
    t->whole = !s && t->saved >= 0 && page_step(o->out) == t->state.step;
    if (!s) s = log_open(&t->log, writes(t) ? o->out : NULL, t->state.step, t->whole, t->r.steps, t->r.log_every, tell, o->user, err);
    t->log.smoothed = t->state.smoothed;
    return s;
}

/* ---- a step ---- */

static bool stopped(const trainer *t) { return t->stop || t->log.stop || (t->o->stop && *t->o->stop); }

/* Gradients summed over the ranks; losses and their parts, too; whether one of them failed or wants to stop.  The norm of a rank's share
 * becomes that of all. */
static dreamo_status add_ranks(trainer *t, log_step *line, dreamo_status mine, dreamo_error *err)
{
    enum { NORM, LOSS, FAILED, STOP, PARTS_AT };
    double x[PARTS_AT + LOG_PARTS] = { 0 };
    dreamo_status s = reducer_sum(t->sums, mine ? NULL : err);
    if (!mine) mine = s;
    line->norm = optimizer_norm(&t->s.p, t->s.dev->threads, t->partial);
    if (!t->ranks || s == DREAMO_NET) return mine;
    x[NORM] = line->norm * line->norm;
    x[LOSS] = line->loss;
    x[FAILED] = mine != DREAMO_OK;
    x[STOP] = stopped(t);
    for (int i = 0; i < LOG_PARTS; i++) x[PARTS_AT + i] = line->part[i].value;
    s = ranks_sum(t->ranks, x, PARTS_AT + LOG_PARTS, mine ? NULL : err);
    if (s || x[FAILED] > 0) return s ? s : ranks_agree(t->ranks, mine, err);
    line->norm = sqrt(x[NORM]);
    line->loss = x[LOSS];
    t->stop = x[STOP] > 0;
    for (int i = 0; i < LOG_PARTS; i++) line->part[i].value = x[PARTS_AT + i];
    return DREAMO_OK;
}

/* In the second step from the beginning, the first with sums that begin early. */
static void tell_ranks(trainer *t)
{
    int sums, early;
    reducer_counts(t->sums, &sums, &early);
    log_note(&t->log, "%d processes: %d sums of gradients a step, %d of them begin while the way back runs", ranks_count(t->ranks), sums,
             early);
}

static dreamo_status step(trainer *t, dreamo_error *err)
{
    stage *s = &t->s;
    run_state *state = &t->state;
    const recipe *r = &t->r;
    int parts = (int)(r->batch / r->micro), mine = parts / ranks_count(t->ranks), first = mine * ranks_number(t->ranks);
    dreamo_status status = DREAMO_OK;
    log_step line = { .step = state->step + 1, .samples = (double)r->batch, .lr = lr_at(&r->lr, state->step + 1, r->steps) };
    s->dev->bf16 = r->products == PRODUCTS_BF16;
    for (int i = 0; i < mine && !status; i++) {
        if (i == mine - 1) reducer_last(t->sums);
        status = s->kind->micro(s, state->samples + (first + i) * r->micro, parts, &line, err);
    }
    status = add_ranks(t, &line, status, err);
    if (status) return status;
    line.norm /= parts;
    line.skipped = !isfinite(line.norm) || !isfinite(line.loss);
    state->step++;
    state->samples += r->batch;
    if (line.skipped) {
        params_zero_grad(&s->p, s->dev->threads);
        state->skipped++;
        state->in_a_row++;
    } else {
        /* skipped steps do not count for the moments' corrections */
        optimizer_step(t->opt, &r->adamw, state->step - state->skipped, line.lr, 1.0 / parts, line.norm * parts);
        state->in_a_row = 0;
        if ((status = reducer_spread(t->sums, err)) != DREAMO_OK) return status;
    }
    s->dev->bf16 = false; /* validation and samples are exact */
    if (s->p.ema && state->step % r->ema_every == 0)
        ema_update(&s->p, s->dev->threads, ema_decay(pow(r->ema, (double)r->ema_every), state->step / r->ema_every));
    status = log_add_step(&t->log, &line, err);
    state->smoothed = t->log.smoothed;
    if (!status && r->max_skips && state->in_a_row >= r->max_skips)
        status = fail(err, DREAMO_NUMERIC, "step %lld: gradients were not finite for %lld steps; the last checkpoint is %lld",
                      (long long)state->step, (long long)state->in_a_row, (long long)t->saved);
    return status;
}

/* ---- what happens between steps ---- */

static const float *average_or_value(const trainer *t) { return t->s.p.ema ? t->s.p.ema : t->s.p.value; }

/* What model/trained.json says: which step's numbers are in the folder, and that the export was finished (it is written last). */
static char *trained_text(const trainer *t) /* mem_free; NULL: no memory */
{
    const params *p = &t->s.p;
    sha256 hash;
    char hex[65];
    sha256_init(&hash);
    sha256_add(&hash, average_or_value(t), p->count * sizeof(float));
    sha256_add(&hash, t->recipe_text, strlen(t->recipe_text)); /* it decides how they are exported */
    sha256_text(&hash, hex);
    return mem_printf("{\"stage\":\"%s\",\"step\":%lld,\"sha256\":\"%s\"}\n", t->s.kind->name, (long long)t->state.step, hex);
}

static dreamo_status export_model(trainer *t, dreamo_error *err)
{
    stage *s = &t->s;
    char *temp = path_join(t->o->out, "model.tmp"), *final = path_join(t->o->out, "model");
    char *mark = path_join(t->o->out, "model.tmp/trained.json"), *text = trained_text(t);
    int skipped = 0;
    bool enough = temp && final && mark && text;
    dreamo_status status = enough ? checkpoint_sweep(t->o->out, err) : fail(err, DREAMO_MEMORY, "%s: no memory", t->o->out);
    if (!status) status = copy_folder(s->n.dir, temp, COPY_MAX, &skipped, err);
    s->kind->use(s, average_or_value(t));
    if (!status) status = s->kind->export(s, temp, err);
    s->kind->use(s, s->p.value);
    if (!status) status = file_replace(mark, text, strlen(text), err);
    if (!status) status = folder_replace(temp, final, err);
    if (!status) t->exported = t->state.step;
    else if (temp && folder_exists(temp)) folder_remove(temp, NULL); /* its room is the next checkpoint's */
    if (!status && skipped) log_note(&t->log, "%s: %d large files of %s were not copied", final, skipped, s->n.dir);
    mem_free(text);
    mem_free(mark);
    mem_free(temp);
    mem_free(final);
    return status;
}

/* Whether model/ is that of the step that was loaded: a process that was killed after the checkpoint did not get to it. */
static dreamo_status look_at_model(trainer *t, dreamo_error *err)
{
    char *mark = path_join(t->o->out, "model/trained.json"), *text = trained_text(t), *now = NULL;
    size_t nbytes = 0;
    dreamo_status s = mark && text ? DREAMO_OK : fail(err, DREAMO_MEMORY, "%s: no memory", t->o->out);
    bool same = !s && file_read(mark, 1024, &now, &nbytes, NULL) == DREAMO_OK && strcmp(now, text) == 0;
    t->exported = same ? t->state.step : -1;
    mem_free(now);
    mem_free(text);
    mem_free(mark);
    return s;
}

static dreamo_status save(trainer *t, dreamo_error *err)
{
    dreamo_status s = DREAMO_OK;
    if (t->saved != t->state.step) {
        s = reducer_gather(t->sums, err);
        if (!s && writes(t)) s = checkpoint_save(t->o->out, &t->s.p, &t->state, t->recipe_text, (int)t->r.keep, err);
        reducer_forget(t->sums);
        s = ranks_agree(t->ranks, s, err);
        if (s) return s;
        t->saved = t->state.step;
    }
    if (writes(t) && t->exported != t->state.step) s = export_model(t, err);
    return ranks_agree(t->ranks, s, err);
}

static dreamo_status validate(trainer *t, dreamo_error *err)
{
    stage *s = &t->s;
    s->kind->use(s, average_or_value(t));
    dreamo_status status = s->kind->validate(s, &t->log, t->state.step, err);
    s->kind->use(s, s->p.value);
    return status;
}

/* A sheet of samples from the model folder of the last save; one that is there already stays when `keep`. */
static dreamo_status sheet(trainer *t, bool keep, dreamo_error *err)
{
    char *folder = path_join(t->o->out, "samples"), *model = path_join(t->o->out, "model");
    char *path = mem_printf("%s/samples/step-%06lld.png", t->o->out, (long long)t->state.step);
    dreamo_status s = folder && model && path ? folder_make(folder, err) : fail(err, DREAMO_MEMORY, "%s: no memory", t->o->out);
    if (!s && !(keep && file_exists(path))) s = t->s.kind->sheet(&t->s, model, path, err);
    if (!s) log_picture(&t->log, t->state.step, path);
    mem_free(folder);
    mem_free(model);
    mem_free(path);
    return s;
}

/* report.html; a run does not fail for want of it. */
static void tell_page(trainer *t)
{
    dreamo_error why = { 0 };
    char computer[64];
    const data_set *d = t->s.data;
    snprintf(computer, sizeof computer, "%s, %d threads%s", t->s.dev->be->name, pool_threads(t->s.dev->threads), t->ranks ? " a process" : "");
    page p = {
        .out = t->o->out, .stage = t->s.kind->name, .model = t->o->model, .data = t->o->data, .recipe = t->recipe_text,
        .computer = computer, .processes = ranks_count(t->ranks), .optimizer = optimizer_name(t->r.optimizer), .step = t->state.step, .steps = t->r.steps,
        .samples = t->state.samples, .batch = t->r.batch, .skipped = t->state.skipped, .parameters = params_total(&t->s.p),
        .concepts = { data_concepts(d, DATA_TRAIN), data_concepts(d, DATA_VAL) },
        .subjects = { data_subjects(d, DATA_TRAIN), data_subjects(d, DATA_VAL) }, .seconds = t->state.seconds,
    };
    if (page_write(&p, &why)) log_warn(&t->log, "the report could not be written: %s", why.message);
}

static bool due(const trainer *t, int64_t every)
{
    return every > 0 && (t->state.step % every == 0 || t->state.step == t->r.steps);
}

/* What is due at a step.  `loaded`: another process made the step and may have been killed anywhere in here; only what it did not get
 * to is done, so that the folder comes out as if it had lived. */
static dreamo_status after_step(trainer *t, bool loaded, dreamo_error *err)
{
    dreamo_status s = DREAMO_OK;
    dreamo_error why = { 0 };
    bool last = t->state.step == t->r.steps, sample = due(t, t->r.sample_every);
    if (loaded && writes(t)) s = checkpoint_settle(t->o->out, t->state.step, (int)t->r.keep, &why);
    if (loaded) s = ranks_agree(t->ranks, s, &why);
    if (!s && (loaded || sample || due(t, t->r.save_every))) s = save(t, &why);
    if (s == DREAMO_IO && !last) {
        log_warn(&t->log, "step %lld could not be saved, the run goes on: %s", (long long)t->state.step, why.message);
        sample = false;
        s = DREAMO_OK;
        why = (dreamo_error){ 0 };
    }
    bool check = due(t, t->r.validate_every), tells = writes(t) && !(loaded && t->whole);
    if (!s && check && tells) s = validate(t, &why);
    if (!s && sample && tells) s = sheet(t, loaded, &why);
    if (!s && tells && (check || sample || due(t, t->r.save_every))) tell_page(t); /* last: it tells that all of this is done */
    if (check || sample) s = ranks_agree(t->ranks, s, &why);
    if (s && err) *err = why;
    return s;
}

dreamo_status trainer_run(const dreamo_train_options *o, const trainer_part *part, dreamo_error *err)
{
    trainer t = { .o = o, .part = part, .lock = -1, .saved = -1, .exported = -1 };
    dreamo_status s = read_recipe(&t, err);
    if (!s) s = open_ranks(&t, err);
    if (!s) s = open_run(&t, err);
    if (s) leave_folder(&t);
    s = ranks_agree(t.ranks, s, err);
    bool loaded = !s && t.saved >= 0;
    if (!s)
        log_note(&t.log, "%s: %lld numbers are trained, %s with %d threads, from step %lld", t.s.kind->name,
                 (long long)params_total(&t.s.p), t.s.dev->be->name, pool_threads(t.s.dev->threads), (long long)t.state.step);
    if (!s && t.r.products == PRODUCTS_BF16 && !t.s.dev->gains_by_bf16)
        log_note(&t.log, "products = bf16: there is no instruction for them here, so rounding only costs time; fp32 is faster");
    double started = seconds_now(), before = t.state.seconds;
    int64_t second = t.state.step + 2;
    if (loaded && writes(&t)) s = look_at_model(&t, err);
    if (loaded) s = ranks_agree(t.ranks, s, err);
    if (loaded && !s) s = after_step(&t, true, err);
    while (!s && t.state.step < t.r.steps && !(t.ranks ? t.stop : stopped(&t))) {
        s = step(&t, err);
        if (!s && t.ranks && t.state.step == second) tell_ranks(&t);
        t.state.seconds = before + seconds_now() - started;
        if (!s) s = after_step(&t, false, err);
    }
    if (!s && t.state.step < t.r.steps) {
        s = save(&t, err);
        if (!s) s = fail(err, DREAMO_CANCELLED, "stopped after step %lld, which is saved", (long long)t.state.step);
    }
    close_all(&t);
    return s;
}

dreamo_status trainer_plan(const dreamo_train_options *o, const trainer_part *part, dreamo_train_costs *costs, dreamo_error *err)
{
    trainer t = { .o = o, .part = part, .lock = -1 };
    nn_counts micro = { 0 };
    int64_t tokens = 0;
    uint64_t before = memory_now();
    dreamo_status s = read_recipe(&t, err);
    if (!s) s = open_stage(&t, err);
    if (!s) s = t.s.kind->plan(&t.s, &micro, &tokens, err);
    if (!s) {
        int64_t parts = t.r.batch / t.r.micro;
        const params *p = &t.s.p;
        t.s.dev->bf16 = t.r.products == PRODUCTS_BF16;
        double rate = rate_measure(t.s.dev, t.s.n.dit ? dit_type(t.s.n.dit) : DT_F32, false), flops = micro.flops * (double)parts + optimizer_flops(t.opt);
        *costs = (dreamo_train_costs){
            .parameters = params_total(p), .frozen = network_count(&t.s.n) - t.s.in_networks,
            .steps = t.r.steps, .batch = t.r.batch, .tokens = tokens * parts, .ops = micro.ops * parts,
            .flops = flops, .param_bytes = params_nbytes(p), .work_bytes = micro.work_peak + micro.keep_peak,
            .weight_bytes = network_nbytes(&t.s.n), .seconds = rate > 0 ? flops / rate : -1,
        };
        /* of the text encoder's and the transformer's weights only one is there at a time (flow_stage.c) */
        uint64_t text = bind_nbytes(&t.s.n.files[PART_T5]), dit = bind_nbytes(&t.s.n.files[PART_DIT]);
        costs->peak_bytes = before + costs->param_bytes + costs->work_bytes + costs->weight_bytes - (text < dit ? text : dit);
    }
    close_all(&t);
    return s;
}
