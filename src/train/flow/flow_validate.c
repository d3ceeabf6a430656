/* flow_validate.c - right, another's, none; kind by kind. */
#include "train/flow/flow_validate.h"

#include <math.h>
#include <stdio.h>

#include "base/mem.h"

enum { WAYS = 3, NUMBERS = 2 * WAYS + 6 + 2 * FLOW_LEVELS, NAME = 64 };

/* The numbers of one kind, with their names. */
typedef struct told { const char *kind; int n; char name[NUMBERS][NAME]; log_part part[NUMBERS]; } told;

static void tell(told *t, const char *what, double value)
{
    snprintf(t->name[t->n], NAME, "%.20s.%.40s", t->kind, what);
    t->part[t->n] = (log_part){ t->name[t->n], value };
    t->n++;
}

static void tell_spread(told *t, const char *what, const double *x, int n, double *mean, double *error)
{
    char with_error[NAME];
    flow_spread(x, n, mean, error);
    snprintf(with_error, sizeof with_error, "%.40s_error", what);
    tell(t, what, *mean);
    tell(t, with_error, *error);
}

/* Means over the samples in each quarter of the noise levels. */
static void tell_levels(told *t, const char *name, const double *loss, int n, double *picked)
{
    for (int q = 0; q < FLOW_LEVELS; q++) {
        char what[NAME];
        double mean, error;
        int count = 0;
        for (int i = 0; i < n; i++)
            if ((int)(flow_level(i) * FLOW_LEVELS) == q) picked[count++] = loss[i];
        flow_spread(picked, count, &mean, &error);
        snprintf(what, sizeof what, "%s%d", name, q + 1);
        tell(t, what, mean);
    }
}

static dreamo_status report_loss(told *t, train_log *log, int64_t step, const double *loss, int n, double *spare, dreamo_error *err)
{
    double mean, error;
    tell_spread(t, "loss", loss, n, &mean, &error);
    tell_levels(t, "level", loss, n, spare);
    log_note(log, "step %lld: %s: %d held out: loss %.4f +- %.4f", (long long)step, t->kind, n, mean, error);
    return log_numbers(log, step, "validation", t->part, t->n, err);
}

/* loss: of each way, then how far references look inside their masks.  spare: room for twice n. */
static dreamo_status report_ways(told *t, train_log *log, int64_t step, const double *loss, int n, double *spare, dreamo_error *err)
{
    static const char *const way[WAYS] = { "right", "other", "none" }, *const gap[WAYS] = { "", "other_minus_right", "none_minus_right" };
    double mean[WAYS], error[WAYS], more[WAYS], more_error[WAYS];
    for (int k = 0; k < WAYS; k++) tell_spread(t, way[k], loss + k * n, n, &mean[k], &error[k]);
    for (int k = 1; k < WAYS; k++) {
        /* the same samples, noise and levels: pairs tell more than means */
        for (int i = 0; i < n; i++) spare[i] = loss[k * n + i] - loss[i];
        tell_spread(t, gap[k], spare, n, &more[k], &more_error[k]);
        if (k == REF_NONE) tell_levels(t, gap[k], spare, n, spare + n);
    }
    tell_levels(t, "level", loss, n, spare);
    const double *inside = loss + WAYS * n;
    flow_spread(inside, n, &more[0], &more_error[0]);
    if (isfinite(more[0])) tell_spread(t, "inside", inside, n, &more[0], &more_error[0]);
    log_note(log, "step %lld: %s: %d held out: right reference %.4f +- %.4f, another's %.4f +- %.4f, none %.4f +- %.4f", (long long)step,
             t->kind, n, mean[0], error[0], mean[1], error[1], mean[2], error[2]);
    log_note(log, "step %lld: %s: in pairs: another's - right %.4f +- %.4f, none - right %.4f +- %.4f", (long long)step, t->kind, more[1],
             more_error[1], more[2], more_error[2]);
    if (isfinite(more[0])) log_note(log, "step %lld: %s: the right references look inside their masks: %.3f +- %.3f", (long long)step, t->kind, more[0], more_error[0]);
    return log_numbers(log, step, "validation", t->part, t->n, err);
}

static dreamo_status validate_kind(stage *s, flow_stage *f, data_kind kind, double *loss, train_log *log, int64_t step, dreamo_error *err)
{
    static const flow_reference ways[WAYS] = { REF_RIGHT, REF_OTHER, REF_NONE };
    int n = (int)s->r->validation;
    told t = { .kind = data_kind_name(kind) };
    bool referred = f->references && kind != DATA_T2I;
    dreamo_status status = DREAMO_OK;
    if (!referred) status = flow_stage_losses(s, f, kind, REF_NONE, n, loss, NULL, err);
    for (int k = 0; referred && k < WAYS && !status; k++) status = flow_stage_losses(s, f, kind, ways[k], n, loss + k * n, k ? NULL : loss + WAYS * n, err);
    if (status) return status;
    return (referred ? report_ways : report_loss)(&t, log, step, loss, n, loss + (WAYS + 1) * n, err);
}

dreamo_status flow_validate(stage *s, flow_stage *f, train_log *log, int64_t step, dreamo_error *err)
{
    size_t n = (size_t)s->r->validation;
    if (!n) return DREAMO_OK;
    double *loss = mem_alloc((WAYS + 3) * n * sizeof *loss);
    dreamo_status status = loss ? DREAMO_OK : fail(err, DREAMO_MEMORY, "no memory for validation");
    for (int i = 0; i < f->kinds.n && !status; i++) {
        data_kind kind = (data_kind)f->kinds.part[i].a;
        if (data_can(s->data, kind, DATA_VAL)) status = validate_kind(s, f, kind, loss, log, step, err);
    }
    mem_free(loss);
    return status;
}
