/* dreamo.c - the public interface (include/dreamo.h) over generation and model. */
#include "dreamo.h"

#include <stdio.h>

#include "base/file.h"
#include "base/progress.h"
#include "pipe/generate.h"

void dreamo_request_init(dreamo_request *r)
{
    *r = (dreamo_request){ .size = sizeof *r, .guidance = -1, .negative_guidance = -1 };
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

static dreamo_status check_call(const dreamo_model *m, const void *r, const void *out, dreamo_error *err)
{
    if (m && r && out) return DREAMO_OK;
    return fail(err, DREAMO_ARG, "%s is missing", !m ? "the model" : !r ? "the request" : "the place for the result");
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
    dreamo_status s = check_call(model, r, out, err);
    if (s != DREAMO_OK) return s;
    *out = (dreamo_image){ 0 };
    pthread_mutex_lock(&model->busy);
    s = generate(model, r, out, err);
    pthread_mutex_unlock(&model->busy);
    return s;
}

dreamo_status dreamo_plan_request(dreamo_model *model, const dreamo_request *r, dreamo_plan *plan, dreamo_error *err)
{
    dreamo_status s = check_call(model, r, plan, err);
    if (s != DREAMO_OK) return s;
    generation g;
    pthread_mutex_lock(&model->busy);
    s = generation_prepare(&g, model, r, err);
    if (s == DREAMO_OK) s = generation_plan(&g, plan, err);
    generation_free(&g);
    pthread_mutex_unlock(&model->busy);
    return s;
}
