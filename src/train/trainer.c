/* trainer.c - one run of one stage.
 *
 * A step: `batch` samples in micro-batches of `micro`, gradients added; their norm; if it is a number, clip and AdamW, else
 * the step is skipped and counted.  Every save_every steps a checkpoint and a model folder.  A checkpoint that cannot be
 * written (disk full) is a warning while the run goes on, and the run's failure at its end. */
#include "train/trainer.h"

#include <math.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/sha256.h"
#include "train/checkpoint.h"
#include "train/ema.h"
#include "train/export.h"
#include "train/optimizer.h"
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
    double *partial;           /* for optimizer_norm */
    int lock;
    int64_t saved;             /* step of the last checkpoint */
} trainer;

static const stage_kind *const kinds[] = { [STAGE_VAE] = &stage_vae, [STAGE_BASE] = &stage_base,
                                           [STAGE_ADAPTER] = &stage_adapter, [STAGE_CFG] = &stage_cfg, [STAGE_SFT] = &stage_sft,
                                           [STAGE_DPO] = &stage_dpo };

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

static dreamo_status open_stage(trainer *t, dreamo_error *err)
{
    const char *name = t->o->backend ? t->o->backend : "cpu";
    const backend *be = backend_find(name);
    stage *s = &t->s;
    if (!be || be->dry) return fail(err, DREAMO_ARG, "backend \"%s\" is none of cpu, ref", name);
    *s = (stage){ .kind = kinds[t->r.stage], .r = &t->r, .model = t->o->model, .data = s->data, .dev = be->open(t->o->threads),
                  .begin_from = t->part ? t->part->begin_from : NULL };
    if (!s->dev) return fail(err, DREAMO_MEMORY, "no memory or no threads for backend %s", name);
    dreamo_status status = sized_open(&s->tape, s->dev, true, t->r.checkpoint, err);
    if (!status) status = sized_open(&s->plain, s->dev, false, false, err);
    if (status) return status;
    t->opened = true;
    if ((status = s->kind->open(s, err)) != DREAMO_OK) return status;
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
}

/* What the data are: names and sizes of the folder's files. */
static dreamo_status hash_data(const char *folder, char hex[65], dreamo_error *err)
{
    char **names = NULL, *list = mem_strdup("");
    int n = 0;
    dreamo_status s = list ? folder_list(folder, &names, &n, err) : fail(err, DREAMO_MEMORY, "%s: no memory", folder);
    for (int i = 0; !s && i < n; i++) {
        filemap map = { 0 };
        char *path = path_join(folder, names[i]), *longer = NULL;
        s = path ? DREAMO_OK : fail(err, DREAMO_MEMORY, "%s: no memory", folder);
        if (!s && !folder_exists(path)) s = file_map(path, &map, err);
        if (!s && !(longer = mem_printf("%s%s %zu\n", list, names[i], map.nbytes)))
            s = fail(err, DREAMO_MEMORY, "%s: no memory", folder);
        if (map.data) file_unmap(&map);
        if (longer) {
            mem_free(list);
            list = longer;
        }
        mem_free(path);
    }
    if (!s) sha256_hex(list, strlen(list), hex);
    folder_list_free(names, n);
    mem_free(list);
    return s;
}

static dreamo_status begin_state(trainer *t, dreamo_error *err)
{
    run_state *s = &t->state;
    *s = (run_state){ .seed = t->r.seed, .smoothed = -1, .threads = pool_threads(t->s.dev->threads) };
    memcpy(s->stage, t->s.kind->name, strlen(t->s.kind->name) + 1);
    memcpy(s->backend, t->s.dev->be->name, strlen(t->s.dev->be->name) + 1);
    memcpy(s->model, t->s.frozen_hash, sizeof s->model);
    return hash_data(t->o->data, s->data, err);
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

static dreamo_status open_run(trainer *t, dreamo_error *err)
{
    const dreamo_train_options *o = t->o;
    if (!o->out) return fail(err, DREAMO_ARG, "training needs a folder to write into");
    if (!o->data) return fail(err, DREAMO_ARG, "training needs a dataset folder");
    char *lock = path_join(o->out, "lock");
    dreamo_status s = lock ? folder_make(o->out, err) : fail(err, DREAMO_MEMORY, "%s: no memory", o->out);
    if (!s) s = file_lock(lock, &t->lock, err);
    mem_free(lock);
    if (!s && !o->resume && checkpoint_any(o->out)) {
        fail(err, DREAMO_ARG, "%s: holds a run already", o->out);
        s = hint(err, "resume it, or give another folder");
    }
    if (!s) s = data_open(o->data, &t->s.data, err);
    if (!s) s = open_stage(t, err);
    if (!s) s = begin_state(t, err);
    if (!s && !(t->partial = mem_calloc((size_t)t->s.p.nchunks + 1, sizeof *t->partial)))
        s = fail(err, DREAMO_MEMORY, "no memory for the norm");
    if (!s && t->s.p.ema) ema_start(&t->s.p);
    t->log.call = o->progress;
    t->log.user = o->user;
    if (!s && o->resume && checkpoint_any(o->out)) s = resume(t, err);
    if (!s) s = log_open(&t->log, o->out, t->state.step, t->r.steps, t->r.log_every, o->progress, o->user, err);
    t->log.smoothed = t->state.smoothed;
    return s;
}

/* ---- a step ---- */

static dreamo_status step(trainer *t, dreamo_error *err)
{
    stage *s = &t->s;
    run_state *state = &t->state;
    const recipe *r = &t->r;
    int parts = (int)(r->batch / r->micro);
    log_step line = { .step = state->step + 1, .samples = (double)r->batch, .lr = lr_at(&r->lr, state->step + 1) };
    for (int i = 0; i < parts; i++) {
        dreamo_status status = s->kind->micro(s, state->samples + i * r->micro, parts, &line, err);
        if (status) return status;
    }
    line.norm = optimizer_norm(&s->p, s->dev->threads, t->partial) / parts;
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
    }
    if (s->p.ema && state->step % r->ema_every == 0)
        ema_update(&s->p, s->dev->threads, ema_decay(pow(r->ema, (double)r->ema_every), state->step / r->ema_every));
    dreamo_status status = log_add_step(&t->log, &line, err);
    state->smoothed = t->log.smoothed;
    if (!status && r->max_skips && state->in_a_row >= r->max_skips)
        status = fail(err, DREAMO_NUMERIC, "step %lld: gradients were not finite for %lld steps; the last checkpoint is %lld",
                      (long long)state->step, (long long)state->in_a_row, (long long)t->saved);
    return status;
}

/* ---- what happens between steps ---- */

static const float *average_or_value(const trainer *t) { return t->s.p.ema ? t->s.p.ema : t->s.p.value; }

static dreamo_status export_model(trainer *t, dreamo_error *err)
{
    stage *s = &t->s;
    char *temp = path_join(t->o->out, "model.tmp"), *final = path_join(t->o->out, "model");
    int skipped = 0;
    dreamo_status status = temp && final ? DREAMO_OK : fail(err, DREAMO_MEMORY, "%s: no memory", t->o->out);
    if (!status && folder_exists(temp)) status = folder_remove(temp, err);
    if (!status) status = copy_folder(t->o->model, temp, COPY_MAX, &skipped, err);
    s->kind->use(s, average_or_value(t));
    if (!status) status = s->kind->export(s, temp, err);
    s->kind->use(s, s->p.value);
    if (!status && folder_exists(final)) status = folder_remove(final, err);
    if (!status) status = folder_rename(temp, final, err);
    if (!status && skipped) log_note(&t->log, "%s: %d large files of %s were not copied", final, skipped, t->o->model);
    mem_free(temp);
    mem_free(final);
    return status;
}

static dreamo_status save(trainer *t, dreamo_error *err)
{
    if (t->saved == t->state.step) return DREAMO_OK;
    dreamo_status s = checkpoint_save(t->o->out, &t->s.p, &t->state, t->recipe_text, (int)t->r.keep, err);
    if (!s) t->saved = t->state.step;
    return s ? s : export_model(t, err);
}

static dreamo_status validate(trainer *t, dreamo_error *err)
{
    stage *s = &t->s;
    s->kind->use(s, average_or_value(t));
    dreamo_status status = s->kind->validate(s, &t->log, t->state.step, err);
    s->kind->use(s, s->p.value);
    return status;
}

/* A sheet of samples from the model folder of the last save. */
static dreamo_status sheet(trainer *t, dreamo_error *err)
{
    char *folder = path_join(t->o->out, "samples"), *model = path_join(t->o->out, "model");
    char *path = mem_printf("%s/samples/step-%06lld.png", t->o->out, (long long)t->state.step);
    dreamo_status s = folder && model && path ? folder_make(folder, err) : fail(err, DREAMO_MEMORY, "%s: no memory", t->o->out);
    if (!s) s = t->s.kind->sheet(&t->s, model, path, err);
    mem_free(folder);
    mem_free(model);
    mem_free(path);
    return s;
}

static bool due(const trainer *t, int64_t every)
{
    return every > 0 && (t->state.step % every == 0 || t->state.step == t->r.steps);
}

static dreamo_status after_step(trainer *t, dreamo_error *err)
{
    dreamo_status s = DREAMO_OK;
    dreamo_error why = { 0 };
    bool last = t->state.step == t->r.steps, sample = due(t, t->r.sample_every);
    if (due(t, t->r.save_every) || sample) {
        s = save(t, &why);
        if (s == DREAMO_IO && !last) {
            log_warn(&t->log, "step %lld could not be saved, the run goes on: %s", (long long)t->state.step, why.message);
            sample = false;
            s = DREAMO_OK;
        }
    }
    if (!s && due(t, t->r.validate_every)) s = validate(t, &why);
    if (!s && sample) s = sheet(t, &why);
    return s ? fail(err, s, "%s", why.message) : DREAMO_OK;
}

static bool stopped(const trainer *t) { return t->log.stop || (t->o->stop && *t->o->stop); }

dreamo_status trainer_run(const dreamo_train_options *o, const trainer_part *part, dreamo_error *err)
{
    trainer t = { .o = o, .part = part, .lock = -1, .saved = -1 };
    dreamo_status s = read_recipe(&t, err);
    if (!s) s = open_run(&t, err);
    if (!s)
        log_note(&t.log, "%s: %lld numbers are trained, %s with %d threads, from step %lld", t.s.kind->name,
                 (long long)params_total(&t.s.p), t.s.dev->be->name, pool_threads(t.s.dev->threads), (long long)t.state.step);
    double started = seconds_now(), before = t.state.seconds;
    while (!s && t.state.step < t.r.steps && !stopped(&t)) {
        s = step(&t, err);
        t.state.seconds = before + seconds_now() - started;
        if (!s) s = after_step(&t, err);
    }
    if (!s && stopped(&t) && t.state.step < t.r.steps) {
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
    dreamo_status s = read_recipe(&t, err);
    if (!s) s = open_stage(&t, err);
    if (!s) s = t.s.kind->plan(&t.s, &micro, &tokens, err);
    if (!s) {
        int64_t parts = t.r.batch / t.r.micro;
        const params *p = &t.s.p;
        *costs = (dreamo_train_costs){
            .parameters = params_total(p), .frozen = network_count(&t.s.n) - t.s.in_networks,
            .steps = t.r.steps, .batch = t.r.batch, .tokens = tokens * parts, .ops = micro.ops * parts,
            .flops = micro.flops * (double)parts + optimizer_flops(t.opt), .param_bytes = params_nbytes(p),
            .work_bytes = micro.work_peak + micro.keep_peak,
        };
    }
    close_all(&t);
    return s;
}
