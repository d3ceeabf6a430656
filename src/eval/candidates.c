/* candidates.c - drawing references until there are enough. */
#include "eval/candidates.h"
#include <stdio.h>
#include <string.h>
#include "base/mem.h"
#include "base/rng.h"

enum { TRIES = 5 }; /* samples for each candidate that is wanted */

shown shown_by(const data_ref *f) { return (shown){ f->identity, hash_fnv1a(f->name, strlen(f->name)) }; }

int head_of(data_kind kind, data_task task)
{
    if (task == DATA_FACE) return JUDGE_PERSON;
    if (task == DATA_LOOK) return JUDGE_STYLE;
    return kind == DATA_TRYON || kind == DATA_ID_TRYON ? JUDGE_GARMENT : JUDGE_THING;
}

static dreamo_status add(candidates *c, judging *j, int head, const data_ref *f, float *cells, dreamo_error *err)
{
    shown what = shown_by(f);
    for (int i = 0; i < c->n; i++)
        if (shown_alike(c->what[i], what)) return DREAMO_OK;
    dreamo_status s = judging_look(j, &f->picture, cells, err);
    if (s) return s;
    judging_wanted(j, head, cells, c->vectors + (size_t)c->n * (size_t)j->net->config.embed);
    snprintf(c->words[c->n], sizeof c->words[0], "%s", f->name);
    c->what[c->n++] = what;
    return DREAMO_OK;
}

static dreamo_status draw_split(candidates *c, judging *j, const data_set *among, data_split split, int head, int most, uint64_t seed, int side, float *cells,
                                dreamo_error *err)
{
    static const data_kind kinds[JUDGE_HEADS] = { DATA_SUBJECT, DATA_ID, DATA_STYLE, DATA_TRYON };
    data_kind kind = data_given(among) ? DATA_ANY : kinds[head];
    int tries = data_given(among) ? data_count(among, DATA_ANY, split) : TRIES * most;
    dreamo_status s = DREAMO_OK;
    if (!data_can(among, kind, split)) return DREAMO_OK;
    for (int i = 0; i < tries && c->n < most && !s; i++) {
        data_request q = { kind, split, seed, (uint64_t)i, side, side, side };
        data_sample sample = { 0 };
        s = data_sample_make(among, NULL, &q, &sample, err);
        for (int k = 0; k < sample.nrefs && c->n < most && !s; k++)
            if (head_of(sample.kind, sample.ref[k].task) == head) s = add(c, j, head, &sample.ref[k], cells, err);
        data_sample_free(&sample);
    }
    return s;
}

dreamo_status candidates_draw(candidates *c, judging *j, const data_set *among, int head, int most, uint64_t seed, int side, dreamo_error *err)
{
    float *cells = mem_alloc(judging_numbers(j) * sizeof *cells);
    *c = (candidates){ .what = mem_calloc((size_t)most + 1, sizeof *c->what), .words = mem_calloc((size_t)most + 1, sizeof *c->words),
                       .vectors = mem_calloc((size_t)most + 1, (size_t)j->net->config.embed * sizeof *c->vectors) };
    dreamo_status s = cells && c->what && c->words && c->vectors ? DREAMO_OK : fail(err, DREAMO_MEMORY, "no memory for %d candidates", most);
    if (!s) s = draw_split(c, j, among, DATA_VAL, head, most, seed, side, cells, err);
    if (!s && c->n < most) s = draw_split(c, j, among, DATA_TRAIN, head, most, seed, side, cells, err);
    mem_free(cells);
    if (s) candidates_free(c);
    return s;
}

void candidates_free(candidates *c)
{
    mem_free(c->what);
    mem_free(c->words);
    mem_free(c->vectors);
    *c = (candidates){ 0 };
}
