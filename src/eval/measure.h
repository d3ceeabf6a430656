/* measure.h - one kind of task: its samples are drawn, asked, looked at and counted. */
#ifndef EVAL_MEASURE_H
#define EVAL_MEASURE_H
#include "format/text.h"
#include "eval/making.h"
#include "eval/pairs.h"
#include "eval/score.h"
#include "eval/tally.h"

typedef struct evaluation {
    const dreamo_eval_options *o;
    judging judge;
    data_set *data, *among;
    pictures made;
    candidates pool[JUDGE_HEADS];
    reporter to;
    progress pace;
    text page;              /* sections, when o->page */
    pairs liked;            /* when o->pairs */
} evaluation;

/* How many samples of a kind there are to ask with, at most o->n; 0: none. */
int           measure_count(const evaluation *e, data_kind kind);
/* The i-th of them. */
dreamo_status measure_sample(const evaluation *e, data_kind kind, int i, data_sample *out, dreamo_error *err);
/* All of a kind; then the row is told and its section of the page is written. */
dreamo_status measure_kind(evaluation *e, data_kind kind, dreamo_error *err);
#endif
