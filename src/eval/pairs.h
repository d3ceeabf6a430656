/* pairs.h - preferences by the judge: of a sample's pictures the one that shows its references best, and the one that does worst, as a dataset to
 * train on (`dpo`). */
#ifndef EVAL_PAIRS_H
#define EVAL_PAIRS_H
#include "data/own/own_write.h"
#include "eval/score.h"

typedef struct pairs {
    own_writer to;            /* folder NULL: none are wanted, and nothing below does anything */
    double best, worst;       /* of this sample's pictures so far */
    bitmap liked, disliked;
    int seen;
} pairs;

dreamo_status pairs_open(pairs *p, const char *folder, dreamo_error *err);
/* What a picture is worth: the mean of its references' margins, or without references the share of the caption's labels that it has. */
double        pairs_worth(const answer *a, int counted, int right);
dreamo_status pairs_see(pairs *p, const bitmap *picture, double worth, dreamo_error *err);
/* The sample is done: when its pictures differ in worth, the pair is written under `name`. */
dreamo_status pairs_keep(pairs *p, const data_sample *s, const char *words, const char *name, dreamo_error *err);
/* The manifest, when all pictures are there. */
dreamo_status pairs_finish(pairs *p, dreamo_error *err);
void          pairs_close(pairs *p);
#endif
