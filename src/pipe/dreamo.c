/* dreamo.c - the public interface (include/dreamo.h) over generation and model. */
#include "dreamo.h"

#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/options.h"
#include "base/progress.h"
#include "pipe/generate.h"

void dreamo_request_init_sized(dreamo_request *r, size_t nbytes)
{
    const dreamo_request usual = { .size = sizeof usual, .guidance = -1, .negative_guidance = -1 };
    options_give(r, nbytes, &usual, sizeof usual);
}

static dreamo_status announce(generation *g, const dreamo_plan *p, dreamo_error *err)
{
    char time[48] = "", words[40];
    bool tera = p->flops >= 1e12;
    if (p->seconds >= 0) {
        if (p->seconds < 1) snprintf(words, sizeof words, "%.2g s", p->seconds);
        else progress_words(p->seconds, words, sizeof words);
        snprintf(time, sizeof time, "about %s, ", words);
    }
    return report_line(&g->to, DREAMO_EVENT_PLAN, err,
                       "%dx%d, %d step%s%s, %d tokens: %s%.3g %s, %.1f MB of weights, at most %.1f MB at a time", p->width, p->height, p->steps,
                       p->steps == 1 ? "" : "s", p->fast ? " (fast)" : "", p->tokens, time, p->flops * (tera ? 1e-12 : 1e-9), tera ? "TFLOP" : "GFLOP",
                       (double)p->weight_bytes / (1 << 20), (double)p->peak_bytes / (1 << 20));
}

static dreamo_status check_call(const dreamo_model *m, const void *request, const void *out, dreamo_error *err)
{
    if (m && request && out) return DREAMO_OK;
    return fail(err, DREAMO_ARG, "%s is missing", !m ? "the model" : !request ? "the request" : "the place for the result");
}

dreamo_status request_take(const dreamo_model *m, const dreamo_request *given, const void *out, dreamo_request *own, dreamo_error *err)
{
    dreamo_status s = check_call(m, given, out, err);
    if (s != DREAMO_OK) return s;
    dreamo_request_init(own);
    return options_take(own, sizeof *own, given, err);
}

/* Prepared, and told what it will cost. */
static dreamo_status begin(generation *g, dreamo_model *m, const dreamo_request *r, dreamo_plan *plan, dreamo_error *err)
{
    dreamo_status s = generation_prepare(g, m, model_own_device(m), r, err);
    if (s == DREAMO_OK) generation_rate(m);
    if (s == DREAMO_OK) s = generation_plan(g, plan, err);
    return s == DREAMO_OK ? announce(g, plan, err) : s;
}

static dreamo_status generate(dreamo_model *m, const dreamo_request *r, dreamo_image *out, dreamo_error *err)
{
    generation g, *one = &g;
    dreamo_plan plan = { 0 };
    dreamo_status s = begin(&g, m, r, &plan, err);
    double start = seconds_now();
    if (s == DREAMO_OK) {
        generation_run(&one, 1, out);
        s = g.status;
    }
    if (s == DREAMO_OK && plan.seconds > 0) m->pace = (m->pace > 0 ? m->pace : 1) * (seconds_now() - start) / plan.seconds;
    generation_free(&g);
    return s;
}

dreamo_status dreamo_generate(dreamo_model *model, const dreamo_request *r, dreamo_image *out, dreamo_error *err)
{
    dreamo_request own;
    dreamo_status s = request_take(model, r, out, &own, err);
    if (s != DREAMO_OK) return s;
    *out = (dreamo_image){ 0 };
    if (pthread_mutex_lock(&model->busy) != 0) return fail(err, DREAMO_BUSY, "the model is making a picture, and this is its callback");
    s = generate(model, &own, out, err);
    pthread_mutex_unlock(&model->busy);
    return s;
}

/* ---- batches ---- */

static dreamo_status check_alike(const generation *a, const generation *b, dreamo_error *err)
{
    if (a->width != b->width || a->height != b->height)
        return fail(err, DREAMO_MISMATCH, "%dx%d in a batch of %dx%d: all have the same size", b->width, b->height, a->width, a->height);
    if (a->how.steps != b->how.steps) return fail(err, DREAMO_MISMATCH, "%d steps in a batch of %d steps: all have the same number", b->how.steps, a->how.steps);
    if (a->cfg != b->cfg || (a->cfg && (a->how.cfg_start != b->how.cfg_start || a->how.cfg_end != b->how.cfg_end)))
        return fail(err, DREAMO_MISMATCH, "true CFG in other steps than the rest of the batch: all have it in the same ones");
    return DREAMO_OK;
}

/* Those that are well, together; they begin with the first one's shape. */
static void generate_batch(dreamo_model *m, const dreamo_request *r, int n, dreamo_image *out, dreamo_error *errs, generation *all)
{
    generation *run[DREAMO_BATCH], *first = NULL;
    for (int i = 0; i < n; i++) {
        generation *g = run[i] = &all[i];
        dreamo_plan plan = { 0 };
        dreamo_status s = r[i].size ? begin(g, m, &r[i], &plan, &errs[i]) : errs[i].status;
        if (s == DREAMO_OK && g->d) s = fail(&errs[i], DREAMO_ARG, "dump: a picture of a batch cannot be dumped");
        if (s == DREAMO_OK && first) s = check_alike(first, g, &errs[i]);
        g->m = m;
        g->status = s;
        if (s == DREAMO_OK && !first) first = g;
    }
    if (first) generation_run(run, n, out);
    for (int i = 0; i < n; i++) generation_free(&all[i]);
}

dreamo_status dreamo_generate_batch(dreamo_model *model, const dreamo_request *const *r, int n, dreamo_image *out, dreamo_error *errs)
{
    dreamo_request own[DREAMO_BATCH];
    dreamo_error few = { 0 };
    if (!model || !r || !out || !errs) return fail(&few, DREAMO_ARG, "something is missing");
    if (n < 1 || n > DREAMO_BATCH) return fail(&errs[0], DREAMO_ARG, "a batch of %d pictures: allowed is 1 to %d", n, DREAMO_BATCH);
    for (int i = 0; i < n; i++) {
        errs[i] = (dreamo_error){ 0 };
        out[i] = (dreamo_image){ 0 };
        if (request_take(model, r[i], &out[i], &own[i], &errs[i]) != DREAMO_OK) own[i] = (dreamo_request){ 0 };
    }
    if (pthread_mutex_lock(&model->busy) != 0) return fail(&errs[0], DREAMO_BUSY, "the model is making a picture, and this is its callback");
    generation *all = mem_calloc((size_t)n, sizeof *all);
    if (all) generate_batch(model, own, n, out, errs, all);
    else fail(&errs[0], DREAMO_MEMORY, "no memory for a batch of %d", n);
    mem_free(all);
    pthread_mutex_unlock(&model->busy);
    for (int i = 0; i < n; i++)
        if (errs[i].status) return errs[i].status;
    return DREAMO_OK;
}

/* The model's own device for a while, to prepare references on.  NULL: it has none, or a picture is made there: the processor will do. */
static device *borrow(dreamo_model *m)
{
    device *dev = model_own_device(m);
    return dev && pthread_mutex_trylock(&m->busy) == 0 ? dev : NULL;
}

static void give_back(dreamo_model *m, device *dev)
{
    if (dev) pthread_mutex_unlock(&m->busy);
}

dreamo_status dreamo_plan_request(dreamo_model *model, const dreamo_request *r, dreamo_plan *plan, dreamo_error *err)
{
    dreamo_request own;
    dreamo_status s = request_take(model, r, plan, &own, err);
    if (s != DREAMO_OK) return s;
    generation g;
    if (pthread_mutex_trylock(&model->busy) == 0) { /* what runs now will leave its rates behind */
        generation_rate(model);
        pthread_mutex_unlock(&model->busy);
    }
    device *dev = borrow(model);
    s = generation_prepare(&g, model, dev, &own, err);
    give_back(model, dev);
    if (s == DREAMO_OK) s = generation_plan(&g, plan, err);
    generation_free(&g);
    return s;
}

dreamo_status dreamo_reference_show(const dreamo_model *model, const dreamo_reference *r, int index, dreamo_progress progress, void *user,
                                    dreamo_image *out, dreamo_error *err)
{
    dreamo_status s = check_call(model, r, out, err);
    if (s != DREAMO_OK) return s;
    *out = (dreamo_image){ 0 };
    reference ref;
    const reporter to = { progress, user };
    dreamo_model *m = (dreamo_model *)(uintptr_t)model; /* its lock, and the device behind it */
    device *dev = borrow(m);
    s = reference_prepare(m->prep, dev, r, index, model_cell(m), model_ref_sides(m, r, 1), &to, &ref, err);
    give_back(m, dev);
    if (s == DREAMO_OK) *out = (dreamo_image){ .width = ref.rgb.width, .height = ref.rgb.height, .rgb = ref.rgb.data };
    return s;
}

dreamo_status dreamo_about(const dreamo_model *m, dreamo_model_about *out, dreamo_error *err)
{
    if (!m || !out) return fail(err, DREAMO_ARG, "%s is missing", !m ? "the model" : "the place for the answer");
    size_t size = out->size < sizeof *out ? out->size : sizeof *out; /* an older program has a smaller place */
    if (size < sizeof size) return fail(err, DREAMO_ARG, "a place of %zu bytes: its size is not set", out->size);
    const char *slash = strrchr(m->home, '/');
    const model_defaults *d = &m->defaults;
    int cell = model_cell(m), slots = m->tables.task ? m->tables.nslots - 1 : 0;
    const dreamo_model_about a = { .size = size, .name = slash && slash[1] ? slash + 1 : m->home, .hash = m->hash, .backend = device_name(m->dev),
                                 .threads = pool_threads(m->dev->threads), .width = d->width, .height = d->height, .steps = d->steps,
                                 .ref_res = d->ref_res, .guidance = d->guidance, .true_cfg = d->true_cfg, .cell = cell,
                                 .max_side = REQUEST_SIDE_MAX - REQUEST_SIDE_MAX % cell, .max_steps = DENOISE_STEPS_MAX,
                                 .max_refs = slots < CONDITION_REFS ? slots : CONDITION_REFS, .weight_bytes = model_weight_bytes(m), .ref_res_face = d->ref_res_face,
                                 .ref_res_style = d->ref_res_style, .ref_res_several = d->ref_res_several, .ref_res_faces = d->ref_res_faces };
    memcpy(out, &a, size);
    return DREAMO_OK;
}
