/* dreamo.c - the public interface (include/dreamo.h) over generation and model. */
#include "dreamo.h"

#include <stdio.h>

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

/* The request as this library knows it, and the model for this call alone. */
static dreamo_status begin_call(dreamo_model *m, const dreamo_request *given, const void *out, dreamo_request *own, dreamo_error *err)
{
    if (!m || !given || !out) return fail(err, DREAMO_ARG, "%s is missing", !m ? "the model" : !given ? "the request" : "the place for the result");
    dreamo_request_init(own);
    dreamo_status s = options_take(own, sizeof *own, given, err);
    if (s != DREAMO_OK || pthread_mutex_lock(&m->busy) == 0) return s;
    return fail(err, DREAMO_BUSY, "the model is making a picture, and this is its callback");
}

static dreamo_status generate(dreamo_model *m, const dreamo_request *r, dreamo_image *out, dreamo_error *err)
{
    generation g;
    dreamo_plan plan = { 0 };
    dreamo_status s = generation_prepare(&g, m, r, err);
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
    dreamo_status s = begin_call(model, r, out, &own, err);
    if (s != DREAMO_OK) return s;
    *out = (dreamo_image){ 0 };
    s = generate(model, &own, out, err);
    pthread_mutex_unlock(&model->busy);
    return s;
}

dreamo_status dreamo_plan_request(dreamo_model *model, const dreamo_request *r, dreamo_plan *plan, dreamo_error *err)
{
    dreamo_request own;
    dreamo_status s = begin_call(model, r, plan, &own, err);
    if (s != DREAMO_OK) return s;
    generation g;
    s = generation_prepare(&g, model, &own, err);
    if (s == DREAMO_OK) s = generation_plan(&g, plan, err);
    generation_free(&g);
    pthread_mutex_unlock(&model->busy);
    return s;
}
