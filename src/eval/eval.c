/* eval.c - dreamo_eval: what is asked for is checked and opened, then kind after kind. */
#include <string.h>
#include "base/mem.h"
#include "base/options.h"
#include "eval/cases.h"
#include "weights/default_model.h"

enum { MOST_SEEDS = 64, SPARE = 8 }; /* candidates beyond those asked for, in place of a sample's own */

void dreamo_eval_options_init_sized(dreamo_eval_options *o, size_t nbytes)
{
    const dreamo_eval_options usual = { .size = sizeof usual, .n = 100, .seeds = 1, .candidates = 100, .seed = 1, .guidance = -1 };
    options_give(o, nbytes, &usual, sizeof usual);
}

static dreamo_status check(const dreamo_eval_options *o, dreamo_error *err)
{
    if (!o->data) return fail(err, DREAMO_ARG, "eval needs a dataset");
    if (o->n < 1 || o->n > 1000000) return fail(err, DREAMO_ARG, "%d samples of a kind: 1 to 1000000", o->n);
    if (o->seeds < 1 || o->seeds > MOST_SEEDS) return fail(err, DREAMO_ARG, "%d seeds: 1 to %d", o->seeds, MOST_SEEDS);
    if (o->candidates < 2 || o->candidates > 10000) return fail(err, DREAMO_ARG, "%d candidates: 2 to 10000", o->candidates);
    if (o->ref_side && (o->ref_side < 16 || o->ref_side > 1024)) return fail(err, DREAMO_ARG, "references of %d pixels: 16 to 1024", o->ref_side);
    if (!o->width != !o->height) return fail(err, DREAMO_ARG, "eval: a size is a width and a height");
    if (!o->model && (o->keep || o->scenes)) return fail(err, DREAMO_ARG, "eval: without a model there are no pictures to keep or to move to another scene");
    if (o->pairs_real && !o->pairs) return fail(err, DREAMO_ARG, "eval: real pictures are preferred where preferences are written, and no folder is named for them");
    if (o->pairs && (!o->model || (o->seeds < 2 && !o->pairs_real))) return fail(err, DREAMO_ARG, "eval: preferences need a model, and at least two seeds");
    if (o->against && !o->model) return fail(err, DREAMO_ARG, "eval: without a model nothing stands against %s", o->against);
    return DREAMO_OK;
}

/* ---- which kinds ---- */

typedef struct kinds { int n; data_kind kind[DATA_KINDS]; } kinds;

static dreamo_status list_kinds(const evaluation *e, kinds *k, dreamo_error *err)
{
    dreamo_status s = DREAMO_OK;
    *k = (kinds){ 0 };
    if (e->o->kinds) s = data_kind_list(e->o->kinds, k->kind, &k->n, err);
    for (int i = 0; i < k->n && !s; i++)
        if (!measure_count(e, k->kind[i]))
            s = fail(err, DREAMO_CONTENT, "%s: has nothing %s to make \"%s\" samples of", e->o->data, e->o->pairs ? "to train on" : "held out", data_kind_name(k->kind[i]));
    for (int i = data_given(e->data) ? DATA_SUBJECT : DATA_T2I; !e->o->kinds && i < DATA_KINDS; i++) /* given samples: T2I is any of them */
        if (measure_count(e, (data_kind)i)) k->kind[k->n++] = (data_kind)i;
    if (!s && !k->n) s = fail(err, DREAMO_CONTENT, "%s: has nothing held out that could be asked", e->o->data);
    return s;
}

/* Which heads the kinds have references for. */
static unsigned heads_of(const evaluation *e, const kinds *k)
{
    static const unsigned of[DATA_KINDS] = {
        [DATA_SUBJECT] = 1u << JUDGE_THING, [DATA_SUBJECTS] = 1u << JUDGE_THING, [DATA_ID] = 1u << JUDGE_PERSON, [DATA_IDS] = 1u << JUDGE_PERSON,
        [DATA_STYLE] = 1u << JUDGE_STYLE, [DATA_ID_STYLE] = 1u << JUDGE_PERSON | 1u << JUDGE_STYLE, [DATA_TRYON] = 1u << JUDGE_GARMENT,
        [DATA_ID_TRYON] = 1u << JUDGE_PERSON | 1u << JUDGE_GARMENT, [DATA_ID_SUBJECT] = 1u << JUDGE_PERSON | 1u << JUDGE_THING,
        [DATA_SUBJECT_STYLE] = 1u << JUDGE_THING | 1u << JUDGE_STYLE,
    };
    unsigned heads = 0;
    for (int i = 0; i < k->n; i++) heads |= of[k->kind[i]];
    return data_given(e->data) ? (1u << JUDGE_HEADS) - 1 : heads; /* a told kind may have any references */
}

/* ---- running ---- */

static dreamo_status open_all(evaluation *e, dreamo_error *err)
{
    const dreamo_eval_options *o = e->o;
    char *folder = o->judge ? mem_strdup(o->judge) : model_folder("judge");
    dreamo_status s = folder ? DREAMO_OK : fail(err, DREAMO_MEMORY, "no memory for the judge's name");
    if (!s) s = judging_open(&e->judge, folder, o->backend, o->threads, err);
    if (!s) s = data_open_asks(o->data, &e->data, err);
    if (!s && o->among) s = data_open(o->among, &e->among, err);
    if (!s) s = pictures_open(&e->made, o, data_hash(e->data), err);
    if (!s) s = pairs_open(&e->liked, o->pairs, o->pairs_real, err);
    mem_free(folder);
    return s;
}

static dreamo_status draw_candidates(evaluation *e, const kinds *k, dreamo_error *err)
{
    unsigned heads = heads_of(e, k);
    int side = e->judge.net->config.side; /* a larger picture would only be made smaller again */
    dreamo_status s = DREAMO_OK;
    for (int h = 0; h < JUDGE_HEADS && !s; h++)
        if (heads >> h & 1) s = candidates_draw(&e->pool[h], &e->judge, e->among ? e->among : e->data, h, e->o->candidates + SPARE, e->o->seed, side, err);
    return s;
}

static void close_all(evaluation *e)
{
    for (int h = 0; h < JUDGE_HEADS; h++) candidates_free(&e->pool[h]);
    pairs_close(&e->liked);
    pictures_close(&e->made);
    data_close(e->among);
    data_close(e->data);
    judging_close(&e->judge);
    mem_free(e->page.p);
}

dreamo_status dreamo_eval(const dreamo_eval_options *given, dreamo_error *err)
{
    dreamo_eval_options o;
    evaluation e = { .o = &o };
    kinds k;
    int64_t total = 0;
    dreamo_eval_options_init(&o);
    dreamo_status s = options_take(&o, sizeof o, given, err);
    if (!s) s = check(&o, err);
    if (s) return s;
    e.to = (reporter){ o.progress, o.user };
    s = open_all(&e, err);
    if (!s) s = list_kinds(&e, &k, err);
    if (!s) s = draw_candidates(&e, &k, err);
    for (int i = 0; !s && i < k.n; i++) total += (int64_t)measure_count(&e, k.kind[i]) * (e.made.m ? o.seeds + o.scenes : 1);
    progress_start(&e.pace, s ? 1 : total);
    for (int i = 0; !s && i < k.n; i++) s = measure_kind(&e, k.kind[i], err);
    if (!s) s = pairs_finish(&e.liked, err);
    const char *shipped = dreamo_default_model(), *name = !o.model ? "the judge" : o.model->dir ? o.model->dir : shipped ? shipped : "the shipped model";
    if (!s && o.page) s = cases_page(o.page, &e.page, &o, name, err);
    close_all(&e);
    return s;
}
