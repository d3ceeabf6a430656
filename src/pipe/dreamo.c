/* dreamo.c - the public interface (include/dreamo.h) over generation and model. */
#include "dreamo.h"

#include <stdio.h>
#include <string.h>

#include "base/file.h"
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

/* The request as this library knows it. */
static dreamo_status take_call(const dreamo_model *m, const dreamo_request *given, const void *out, dreamo_request *own, dreamo_error *err)
{
    dreamo_status s = check_call(m, given, out, err);
    if (s != DREAMO_OK) return s;
    dreamo_request_init(own);
    return options_take(own, sizeof *own, given, err);
}

static dreamo_status generate(dreamo_model *m, const dreamo_request *r, dreamo_image *out, dreamo_error *err)
{
    generation g;
    dreamo_plan plan = { 0 };
    dreamo_status s = generation_prepare(&g, m, r, err);
    if (s == DREAMO_OK) generation_rate(m);
    if (s == DREAMO_OK) s = generation_plan(&g, &plan, err);
    if (s == DREAMO_OK) s = announce(&g, &plan, err);
    double start = seconds_now();
    if (s == DREAMO_OK) s = generation_run(&g, out, err);
    if (s == DREAMO_OK && plan.seconds > 0) m->pace = (m->pace > 0 ? m->pace : 1) * (seconds_now() - start) / plan.seconds;
    generation_free(&g);
    return s;
}

dreamo_status dreamo_generate(dreamo_model *model, const dreamo_request *r, dreamo_image *out, dreamo_error *err)
{
    dreamo_request own;
    dreamo_status s = take_call(model, r, out, &own, err);
    if (s != DREAMO_OK) return s;
    *out = (dreamo_image){ 0 };
    if (pthread_mutex_lock(&model->busy) != 0) return fail(err, DREAMO_BUSY, "the model is making a picture, and this is its callback");
    s = generate(model, &own, out, err);
    pthread_mutex_unlock(&model->busy);
    return s;
}

dreamo_status dreamo_plan_request(dreamo_model *model, const dreamo_request *r, dreamo_plan *plan, dreamo_error *err)
{
    dreamo_request own;
    dreamo_status s = take_call(model, r, plan, &own, err);
    if (s != DREAMO_OK) return s;
    generation g;
    if (pthread_mutex_trylock(&model->busy) == 0) { /* what runs now will leave its rates behind */
        generation_rate(model);
        pthread_mutex_unlock(&model->busy);
    }
    s = generation_prepare(&g, model, &own, err);
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
    s = reference_prepare(r, index, model_cell(model), model->defaults.ref_res, &to, &ref, err);
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
    const dreamo_model_about a = { .size = size, .name = slash && slash[1] ? slash + 1 : m->home, .hash = m->hash, .backend = m->backend->name,
                                 .threads = pool_threads(m->dev->threads), .width = d->width, .height = d->height, .steps = d->steps,
                                 .ref_res = d->ref_res, .guidance = d->guidance, .true_cfg = d->true_cfg, .cell = cell,
                                 .max_side = REQUEST_SIDE_MAX - REQUEST_SIDE_MAX % cell, .max_steps = DENOISE_STEPS_MAX,
                                 .max_refs = slots < CONDITION_REFS ? slots : CONDITION_REFS, .weight_bytes = model_weight_bytes(m) };
    memcpy(out, &a, size);
    return DREAMO_OK;
}
