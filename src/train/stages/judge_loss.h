/* judge_loss.h - what the judge is trained on, computed on the host from its cells, with the gradient to each of them.
 *
 * Pairs: a reference, and the window of its target that shows it.  a = unit(mean of the reference's cells), b = unit(mean of the window's).
 * For each head the contrastive loss both ways (InfoNCE; van den Oord et al. 2018) over all pairs of the batch,
 *
 *     mean over pairs p of -1/2 log e^{a_p.b_p/T} / (sum_q e^{a_p.b_q/T} + sum_o e^{a_p.o/T}) - 1/2 log e^{a_p.b_p/T} / sum_q e^{a_q.b_p/T}
 *
 * where q shows the same thing as p only if q = p, and o are windows that show no reference at all (styles, which are everywhere, have none).
 * Labels: for each group the cross entropy of the softmax over its labels, of the mean over all cells of a target, mean over the targets whose
 * caption says one. */
#ifndef TRAIN_JUDGE_LOSS_H
#define TRAIN_JUDGE_LOSS_H
#include "eval/phrases.h"
#include "eval/windows.h"
#include "model/judge.h"

typedef struct judge_pair {
    int head, reference, target;    /* pictures */
    window at;                      /* in the target */
    uint64_t identity, name;        /* equal in one of them: the same thing */
} judge_pair;

typedef struct judge_batch {
    const judge_config *config;
    const windows *all;             /* cells of a picture */
    const phrases *words;
    int pictures, targets;          /* pictures 0 .. targets - 1 are targets */
    int npairs, room;
    judge_pair *pair;
    int nothers;
    struct judge_other { int picture; window at; } *other; /* [targets] */
    int *said;                      /* [targets, groups] */
    double label_weight;
} judge_batch;

/* cells, grad [pictures * cells, judge_columns]; grad is overwritten.  part [JUDGE_HEADS + 1]: the heads' losses and the labels' (mean over
 * groups, before its weight).  Their weighted sum is the answer; < 0: no memory. */
double judge_loss(const judge_batch *b, const float *cells, float *grad, double *part);
#endif
