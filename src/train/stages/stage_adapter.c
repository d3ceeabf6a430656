/* stage_adapter.c - DreamO itself: LoRA and embedding tables on a frozen base, on samples with a reference.
 *
 * Validation asks the question that matters: is the loss on held-out subjects lower with the right reference than with another
 * subject's, and than with none? */
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "train/stages/adapter_set.h"
#include "train/export.h"
#include "train/stages/flow_stage.h"
#include "train/report/sheet.h"

enum { SEEDS = 4 };

typedef struct adapter_stage { flow_stage flow; adapter_set set; } adapter_stage;

/* Name, allocate, begin and attach what is trained; `f`: from this file, NULL: fresh. */
static dreamo_status begin_adapter(stage *s, adapter_set *set, const lora_file *f, dreamo_error *err)
{
    int first = unigram_first_added(s->n.t5_words);
    dreamo_status status = f ? adapter_set_from_file(set, &s->p, f, first, err)
                             : adapter_set_fresh(set, &s->p, s->n.dit, (int)s->r->rank, s->n.t5, first, err);
    if (!status) status = params_allocate(&s->p, s->r->ema > 0, err);
    return status ? status : adapter_set_attach(set, &s->p, f, (uint64_t)s->r->seed, s->n.t5, s->r->train_t5_rows, err);
}

static dreamo_status begin_from_model(stage *s, adapter_set *set, dreamo_error *err)
{
    lora_file f = { 0 };
    char *path = mem_printf("%s/dreamo/dreamo.safetensors", s->model);
    dreamo_status status = path ? lora_open(path, 1, s->n.dit, s->n.t5->config.width, &f, err)
                                : fail(err, DREAMO_MEMORY, "%s: no memory for a path", s->model);
    if (!status) status = begin_adapter(s, set, &f, err);
    lora_close(&f);
    mem_free(path);
    return status;
}

static dreamo_status open_adapter(stage *s, dreamo_error *err)
{
    adapter_stage *a = s->self = mem_calloc(1, sizeof *a);
    if (!a) return fail(err, DREAMO_MEMORY, "no memory for a stage");
    unsigned all = (1u << PARTS) - 1;
    dreamo_status status = network_open(&s->n, s->model, all, s->data ? 0 : all, err); /* a plan needs no weights */
    if (!status)
        status = s->r->begin == BEGIN_MODEL ? begin_from_model(s, &a->set, err) : begin_adapter(s, &a->set, NULL, err);
    if (!status) status = flow_stage_open(s, &a->flow, true, err);
    network_hash(&s->n, s->frozen_hash);
    a->flow.model.task = &a->set.task;
    a->flow.model.idx = &a->set.idx;
    return status;
}

static void close_adapter(stage *s)
{
    adapter_stage *a = s->self;
    if (!a) return;
    flow_stage_close(&a->flow);
    adapter_set_free(&a->set);
    mem_free(a);
}

static void use_adapter(stage *s, const float *vector)
{
    adapter_stage *a = s->self;
    adapter_set_use(&a->set, &s->p, vector, s->n.t5);
}

static dreamo_status micro_adapter(stage *s, int64_t first, int of, log_step *out, dreamo_error *err)
{
    adapter_stage *a = s->self;
    return flow_stage_micro(s, &a->flow, first, of, out, err);
}

static dreamo_status plan_adapter(stage *s, nn_counts *counts, int64_t *tokens, dreamo_error *err)
{
    adapter_stage *a = s->self;
    return flow_stage_plan(s, &a->flow, counts, tokens, err);
}

/* ---- right, another's, none ---- */

static dreamo_status report(train_log *log, int64_t step, const double *loss, int n, dreamo_error *err)
{
    static const char *const names[3][2] = { { "right", "right_error" }, { "other", "other_error" }, { "none", "none_error" } };
    log_part parts[10];
    double mean[3], error[3], gap[2], gap_error[2];
    for (int k = 0; k < 3; k++) {
        flow_spread(loss + k * n, n, &mean[k], &error[k]);
        parts[2 * k] = (log_part){ names[k][0], mean[k] };
        parts[2 * k + 1] = (log_part){ names[k][1], error[k] };
    }
    /* the same samples, noise and levels: pairs tell more than means */
    double *pair = mem_alloc((size_t)n * sizeof *pair);
    if (!pair) return fail(err, DREAMO_MEMORY, "no memory for validation");
    for (int k = 0; k < 2; k++) {
        for (int i = 0; i < n; i++) pair[i] = loss[(k + 1) * n + i] - loss[i];
        flow_spread(pair, n, &gap[k], &gap_error[k]);
    }
    mem_free(pair);
    parts[6] = (log_part){ "other_minus_right", gap[0] };
    parts[7] = (log_part){ "other_minus_right_error", gap_error[0] };
    parts[8] = (log_part){ "none_minus_right", gap[1] };
    parts[9] = (log_part){ "none_minus_right_error", gap_error[1] };
    log_note(log, "step %lld: %d held-out subjects: right reference %.4f +- %.4f, another's %.4f +- %.4f, none %.4f +- %.4f",
             (long long)step, n, mean[0], error[0], mean[1], error[1], mean[2], error[2]);
    log_note(log, "step %lld: in pairs: another's - right %.4f +- %.4f, none - right %.4f +- %.4f", (long long)step, gap[0],
             gap_error[0], gap[1], gap_error[1]);
    return log_numbers(log, step, "validation", parts, 10, err);
}

static dreamo_status validate_adapter(stage *s, train_log *log, int64_t step, dreamo_error *err)
{
    static const flow_reference modes[3] = { REF_RIGHT, REF_OTHER, REF_NONE };
    adapter_stage *a = s->self;
    int n = (int)s->r->validation;
    if (!n) return DREAMO_OK;
    double *loss = mem_alloc(3 * (size_t)n * sizeof *loss);
    dreamo_status status = loss ? DREAMO_OK : fail(err, DREAMO_MEMORY, "no memory for validation");
    for (int k = 0; k < 3 && !status; k++) status = flow_stage_losses(s, &a->flow, DATA_SUBJECT, modes[k], n, loss + k * n, err);
    if (!status) status = report(log, step, loss, n, err);
    mem_free(loss);
    return status;
}

/* ---- export ---- */

static dreamo_status export_adapter(stage *s, const char *folder, dreamo_error *err)
{
    char *dir = path_join(folder, "dreamo"), *path = mem_printf("%s/dreamo/dreamo.safetensors", folder);
    const float *used = s->p.ema ? s->p.ema : s->p.value;
    dreamo_status status = dir && path ? folder_make(dir, err) : fail(err, DREAMO_MEMORY, "%s: no memory", folder);
    if (!status) status = export_weights(path, &s->p, used, 0, s->p.n, "", s->r->export_bf16, err);
    mem_free(dir);
    mem_free(path);
    return status;
}

static dreamo_status sheet_adapter(stage *s, const char *model, const char *path, dreamo_error *err)
{
    return sheet_generated(s, model, path, DATA_SUBJECT, true, SEEDS, err);
}

const stage_kind stage_adapter = { "adapter", open_adapter, close_adapter, micro_adapter, plan_adapter, use_adapter,
                                   validate_adapter, export_adapter, sheet_adapter };
