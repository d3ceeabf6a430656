/* pairs.h - preferences by the judge: of a sample's pictures the two that differ most in how well they show its references, the better one with no less
 * of what the caption says, as a dataset to train on (`dpo`).  Without that condition the largest subject wins, and hides the scene. */
#ifndef EVAL_PAIRS_H
#define EVAL_PAIRS_H
#include "data/own/own_write.h"
#include "eval/score.h"

typedef struct seen_picture {
    bitmap picture;
    double worth, said;       /* pairs_worth, pairs_said */
} seen_picture;

typedef struct pairs {
    own_writer to;            /* folder NULL: none are wanted, and nothing below does anything */
    bool real;                /* the sample's own target is the liked one (self-play: Yuan et al. 2024, "SPIN-Diffusion") */
    seen_picture *seen;       /* this sample's, copies */
    int nseen;
} pairs;

dreamo_status pairs_open(pairs *p, const char *folder, bool real, dreamo_error *err);
/* What a picture is worth: the mean of its references' margins, or without references what it says of the caption. */
double        pairs_worth(const answer *a, int counted, int right);
/* The share of the caption's labels that a picture has. */
double        pairs_said(int counted, int right);
dreamo_status pairs_see(pairs *p, const bitmap *picture, double worth, double said, dreamo_error *err);
/* The one of least worth; n > 0. */
int           pairs_worst(const seen_picture *seen, int n);
/* Of n pictures the two that differ most in worth, the better one saying no less; false: no two do. */
bool          pairs_choose(const seen_picture *seen, int n, int *liked, int *disliked);
/* The sample is done: if there are two such pictures, or `real` and a target, they are written under `name`. */
dreamo_status pairs_keep(pairs *p, const data_sample *s, const char *words, const char *name, dreamo_error *err);
/* The manifest, when all pictures are there. */
dreamo_status pairs_finish(pairs *p, dreamo_error *err);
void          pairs_close(pairs *p);
#endif
