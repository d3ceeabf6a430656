/* plan.c - one stage after the other. */
#include "train/plan.h"

#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/progress.h"
#include "train/checkpoint.h"
#include "train/recipe.h"
#include "train/trainer.h"

typedef struct plan {
    const dreamo_train_options *o;
    recipe_stages stages;
    recipe r[RECIPE_STAGES];
    char *model, *adapter;      /* where the next stage begins; adapter NULL: as its recipe says */
} plan;

static dreamo_status no_memory(const plan *p, dreamo_error *err) { return fail(err, DREAMO_MEMORY, "%s: no memory", p->o->recipe); }

/* Every stage's numbers before the first begins: a mistake in the last one is told now. */
static dreamo_status read_all(plan *p, dreamo_error *err)
{
    const dreamo_train_options *o = p->o;
    dreamo_status s = DREAMO_OK;
    for (int i = 0; i < p->stages.n && !s; i++) {
        s = recipe_read_stage(o->recipe, p->stages.name[i], &p->r[i], err);
        for (int k = 0; k < o->noverrides && !s; k++) s = recipe_override(&p->r[i], o->overrides[k], err);
        if (!s) s = recipe_check(&p->r[i], err);
    }
    return s;
}

static dreamo_status take(plan *p, char **to, char *path, dreamo_error *err)
{
    if (!path) return no_memory(p, err);
    mem_free(*to);
    *to = path;
    return DREAMO_OK;
}

/* What a finished stage leaves to the next. */
static dreamo_status hand_over(plan *p, int i, const char *out, dreamo_error *err)
{
    if (p->r[i].stage > STAGE_ADAPTER) return DREAMO_OK; /* a LoRA of its own: the next one begins where this one did */
    if (p->r[i].stage == STAGE_ADAPTER) return take(p, &p->adapter, mem_printf("%s/model/dreamo/dreamo.safetensors", out), err);
    mem_free(p->adapter);
    p->adapter = NULL;
    return take(p, &p->model, path_join(out, "model"), err);
}

static void tell(const plan *p, const char *line)
{
    if (p->o->progress) p->o->progress(p->o->user, &(dreamo_event){ .kind = DREAMO_EVENT_NOTE, .text = line });
}

/* The captions come from the data, of the kinds that the stage before was trained on. */
static dreamo_status distil(const plan *p, int i, const char *folder, dreamo_error *err)
{
    const dreamo_train_options *o = p->o;
    const recipe *r = &p->r[i];
    char kinds[1024], sizes[1024];
    dreamo_distil_options d;
    dreamo_distil_options_init(&d);
    mixture_write(&p->r[i ? i - 1 : i].kinds, MIXTURE_KINDS, kinds, sizeof kinds);
    mixture_write(&r->pictures, MIXTURE_SIZES, sizes, sizeof sizes);
    d.model = p->model;
    d.dit = o->dit;
    d.t5 = o->t5;
    d.clip = o->clip;
    d.vae = o->vae;
    d.data = o->data;
    d.out = folder;
    d.kinds = strcmp(kinds, "auto") == 0 ? "t2i" : kinds;
    d.pictures = sizes;
    d.seed = (uint64_t)r->seed;
    d.count = (int)r->distil;
    d.threads = o->threads;
    d.backend = backend_for_pictures(o->backend);
    d.progress = o->progress;
    d.user = o->user;
    return dreamo_dataset_distil(&d, err);
}

static dreamo_status run_stage(plan *p, int i, dreamo_error *err)
{
    dreamo_train_options o = *p->o;
    const char *name = p->stages.name[i];
    char line[128], *out = path_join(p->o->out, name), *made = mem_printf("%s/%s-data", p->o->out, name);
    dreamo_status s = out && made ? DREAMO_OK : no_memory(p, err);
    snprintf(line, sizeof line, "stage %d of %d: %s", i + 1, p->stages.n, name);
    tell(p, line);
    if (!s && p->r[i].distil) {
        s = distil(p, i, made, err);
        o.data = made;
    }
    o.model = p->model;
    o.out = out;
    o.resume = p->o->resume && out && checkpoint_any(out);
    trainer_part part = { name, p->adapter };
    if (!s) s = trainer_run(&o, &part, err);
    if (!s) s = hand_over(p, i, out, err);
    mem_free(out);
    mem_free(made);
    return s;
}

static dreamo_status begin(plan *p, const dreamo_train_options *o, dreamo_error *err)
{
    *p = (plan){ .o = o };
    if (!o->recipe) return fail(err, DREAMO_ARG, "training needs a recipe file");
    dreamo_status s = recipe_list_stages(o->recipe, &p->stages, err);
    if (s || !p->stages.n) return s;
    if (!o->model) return fail(err, DREAMO_ARG, "training needs a model folder");
    if (!(p->model = mem_strdup(o->model))) return no_memory(p, err);
    return read_all(p, err);
}

dreamo_status plan_run(const dreamo_train_options *o, dreamo_error *err)
{
    plan p;
    dreamo_status s = begin(&p, o, err);
    if (!s && !p.stages.n) return trainer_run(o, NULL, err);
    if (!s && !o->out) s = fail(err, DREAMO_ARG, "training needs a folder to write into");
    if (!s && !o->data) s = fail(err, DREAMO_ARG, "training needs a dataset folder");
    if (!s) s = folder_make(o->out, err);
    for (int i = 0; i < p.stages.n && !s; i++) s = run_stage(&p, i, err);
    mem_free(p.model);
    mem_free(p.adapter);
    return s;
}

dreamo_status plan_costs(const dreamo_train_options *o, dreamo_train_costs *costs, dreamo_error *err)
{
    plan p;
    int64_t steps = 0;
    dreamo_status s = begin(&p, o, err);
    if (!s && !p.stages.n) return trainer_plan(o, NULL, costs, err);
    *costs = (dreamo_train_costs){ 0 };
    for (int i = 0; i < p.stages.n && !s; i++) {
        dreamo_train_costs one;
        trainer_part part = { .stage = p.stages.name[i] };
        s = trainer_plan(o, &part, &one, err);
        steps += p.r[i].steps;
        if (!s && one.flops >= costs->flops) *costs = one;
    }
    costs->steps = steps;
    mem_free(p.model);
    return s;
}
