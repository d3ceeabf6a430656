/* heads.h - which of the judge's heads a reference is for. */
#ifndef EVAL_HEADS_H
#define EVAL_HEADS_H
#include "data/sample.h"
#include "model/judge.h"

/* Where the kind tells of no garment, what an `ip` reference shows counts as a thing. */
static inline int head_of(data_kind kind, data_task task)
{
    if (task == DATA_FACE) return JUDGE_PERSON;
    if (task == DATA_LOOK) return JUDGE_STYLE;
    return kind == DATA_TRYON || kind == DATA_ID_TRYON ? JUDGE_GARMENT : JUDGE_THING;
}

#endif
