/* stage_adapter.c - DreamO itself: LoRA and embedding tables on a frozen base, on samples with references.
 *
 * Validation asks the question that matters: is the loss on held-out samples lower with the right references than with others', and than
 * with none? */
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "train/stages/adapter_set.h"
#include "train/export.h"
#include "train/flow/flow_validate.h"
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
    if (!status) status = adapter_set_attach(set, &s->p, f, (uint64_t)s->r->seed, s->n.t5, s->r->train_t5_rows, err);
    if (!status && !s->r->train_tables) adapter_set_freeze_tables(set);
    return status;
}

static dreamo_status begin_from_model(stage *s, adapter_set *set, dreamo_error *err)
{
    lora_file f = { 0 };
    char *path = s->begin_from ? mem_strdup(s->begin_from) : mem_printf("%s/dreamo/dreamo.safetensors", s->model);
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
    unsigned all = PARTS_OF_A_MODEL;
    dreamo_status status = network_open(&s->n, s->model, s->file, all, s->data ? 0 : all, err); /* a plan needs no weights */
    if (!status)
        status = s->r->begin == BEGIN_MODEL || s->begin_from ? begin_from_model(s, &a->set, err) : begin_adapter(s, &a->set, NULL, err);
    if (!status) status = flow_stage_open(s, &a->flow, true, err);
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

static dreamo_status validate_adapter(stage *s, train_log *log, int64_t step, dreamo_error *err)
{
    adapter_stage *a = s->self;
    return flow_validate(s, &a->flow, log, step, err);
}

/* ---- export ---- */

static dreamo_status export_adapter(stage *s, const char *folder, dreamo_error *err)
{
    char *dir = path_join(folder, "dreamo"), *path = mem_printf("%s/dreamo/dreamo.safetensors", folder);
    const float *used = s->p.ema ? s->p.ema : s->p.value;
    dreamo_status status = dir && path ? folder_make(dir, err) : fail(err, DREAMO_MEMORY, "%s: no memory", folder);
    if (!status) status = export_weights(path, &s->p, used, 0, s->p.n, "", s->r->export_bf16, err);
    if (!status && s->r->begin == BEGIN_FRESH) status = export_remove_atop(dir, NULL, err);
    mem_free(dir);
    mem_free(path);
    return status;
}

static dreamo_status sheet_adapter(stage *s, const char *model, const char *path, dreamo_error *err)
{
    const adapter_stage *a = s->self;
    return sheet_generated(s, model, path, &a->flow.kinds, (sheet_wishes){ .references = true, .seeds = SEEDS, .frozen = true }, err);
}

const stage_kind stage_adapter = { "adapter", open_adapter, close_adapter, micro_adapter, plan_adapter, use_adapter,
                                   validate_adapter, export_adapter, sheet_adapter };
