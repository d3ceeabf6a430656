/* stage_base.c - text to image: the transformer and both text encoders, all trained; the autoencoder frozen. */
#include <string.h>

#include "base/mem.h"
#include "train/export.h"
#include "train/flow/flow_validate.h"
#include "train/init.h"
#include "train/report/sheet.h"

/* Prefixes keep the three networks' names apart. */
static const struct { network_part part; const char *prefix; } trained[] = {
    { PART_DIT, "transformer." }, { PART_T5, "text_encoder_2." }, { PART_CLIP, "text_encoder." },
};
enum { TRAINED = 3, SEEDS = 3 };

typedef struct base_stage { flow_stage flow; int first[TRAINED + 1]; } base_stage;

static dreamo_status name_params(stage *s, base_stage *b, dreamo_error *err)
{
    dreamo_status status = DREAMO_OK;
    for (int i = 0; i < TRAINED && !status; i++) {
        b->first[i] = s->p.n;
        status = params_add_network(&s->p, trained[i].prefix, network_get(&s->n, trained[i].part),
                                    network_walker(trained[i].part), err);
    }
    b->first[TRAINED] = s->p.n;
    /* tables are looked up, not multiplied: no decay */
    for (int i = 0; i < s->p.n; i++)
        if (strstr(s->p.slot[i].name, "shared.weight") || strstr(s->p.slot[i].name, "embedding") ||
            strstr(s->p.slot[i].name, "relative_attention_bias"))
            s->p.slot[i].decay = strstr(s->p.slot[i].name, "embedder") != NULL;
    return status;
}

static dreamo_status open_base(stage *s, dreamo_error *err)
{
    base_stage *b = s->self = mem_calloc(1, sizeof *b);
    unsigned fresh = 1u << PART_DIT | 1u << PART_T5 | 1u << PART_CLIP, all = PARTS_OF_A_MODEL;
    if (!b) return fail(err, DREAMO_MEMORY, "no memory for a stage");
    dreamo_status status = network_open(&s->n, s->model, s->file, all, s->data ? fresh : all, err); /* a plan needs no weights */
    if (!status) status = name_params(s, b, err);
    if (!status) status = params_allocate(&s->p, s->r->ema > 0, err);
    if (status) return status;
    s->in_networks = params_total(&s->p);
    for (int i = 0; i < TRAINED; i++) {
        network_part part = trained[i].part;
        params_attach(&s->p, b->first[i], network_get(&s->n, part), network_walker(part));
        if (s->n.fresh[part]) init_network(&s->p, b->first[i], &s->n, part, (uint64_t)s->r->seed);
    }
    return flow_stage_open(s, &b->flow, false, err);
}

static void close_base(stage *s)
{
    base_stage *b = s->self;
    if (b) flow_stage_close(&b->flow);
    mem_free(b);
}

static void use_base(stage *s, const float *vector)
{
    const base_stage *b = s->self;
    for (int i = 0; i < TRAINED; i++)
        params_use(&s->p, vector, b->first[i], network_get(&s->n, trained[i].part), network_walker(trained[i].part));
}

static dreamo_status micro_base(stage *s, int64_t first, int of, log_step *out, dreamo_error *err)
{
    base_stage *b = s->self;
    return flow_stage_micro(s, &b->flow, first, of, out, err);
}

static dreamo_status plan_base(stage *s, nn_counts *counts, int64_t *tokens, dreamo_error *err)
{
    base_stage *b = s->self;
    return flow_stage_plan(s, &b->flow, counts, tokens, err);
}

static dreamo_status validate_base(stage *s, train_log *log, int64_t step, dreamo_error *err)
{
    base_stage *b = s->self;
    return flow_validate(s, &b->flow, log, step, err);
}

static dreamo_status export_base(stage *s, const char *folder, dreamo_error *err)
{
    const base_stage *b = s->self;
    const float *used = s->p.ema ? s->p.ema : s->p.value;
    dreamo_status status = DREAMO_OK;
    for (int i = 0; i < TRAINED && !status; i++) {
        char *path = mem_printf("%s/%s/%s.safetensors", folder, network_folder(trained[i].part), network_stem(trained[i].part));
        status = path ? export_weights(path, &s->p, used, b->first[i], b->first[i + 1] - b->first[i], trained[i].prefix,
                                       s->r->export_bf16, err)
                      : fail(err, DREAMO_MEMORY, "%s: no memory", folder);
        mem_free(path);
    }
    return status;
}

static dreamo_status sheet_base(stage *s, const char *model, const char *path, dreamo_error *err)
{
    const base_stage *b = s->self;
    return sheet_generated(s, model, path, &b->flow.kinds, (sheet_wishes){ .seeds = SEEDS }, err);
}

const stage_kind stage_base = { "base", open_base, close_base, micro_base, plan_base, use_base, validate_base, export_base,
                                sheet_base };
