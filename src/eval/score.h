/* score.h - one picture against one sample's references. */
#ifndef EVAL_SCORE_H
#define EVAL_SCORE_H
#include "eval/candidates.h"
#include "eval/order.h"

/* References as the judge knows them. */
typedef struct asked {
    int n, head[DATA_MAX_REFS], slot[DATA_MAX_REFS];
    shown what[DATA_MAX_REFS];
    float *wanted;                  /* [DATA_MAX_REFS, embed] */
} asked;

/* What was found of them. */
typedef struct answer {
    int n;
    bool first[DATA_MAX_REFS];      /* it comes before all candidates */
    double margin[DATA_MAX_REFS];   /* its score less the best candidate's */
    int instead[DATA_MAX_REFS];     /* the best candidate's number */
    int among[DATA_MAX_REFS];       /* how many there were, itself included */
    window at[DATA_MAX_REFS];
} answer;

dreamo_status asked_new(asked *a, const judging *j, dreamo_error *err);
void          asked_free(asked *a);
/* cells: scratch, [judging_numbers]. */
dreamo_status asked_read(asked *a, judging *j, const data_sample *s, float *cells, dreamo_error *err);

/* pool [JUDGE_HEADS]; of each the first `most` - 1 are candidates that show nothing of `about` and of `other` (NULL: nobody).  vectors: scratch,
 * [all.n, embed]. */
void score_picture(const judging *j, const candidates *pool, int most, const asked *about, const asked *other, const float *cells, float *vectors, answer *out);

/* Pairs of references of one head whose windows are the same place, where only one of them is found; *pairs counts all pairs of one head. */
int  score_merged(const asked *about, const answer *a, int *pairs);
/* 1: every rule is kept, -1: one is turned round, 0: neither. */
int  score_order(const order *o, const asked *about, const answer *a);

/* How alike two pictures are as a whole: the correlation of 32 x 32 pixels, -1 .. 1. */
enum { TINY = 32, TINY_NUMBERS = TINY * TINY * 3 };
dreamo_status score_tiny(const bitmap *picture, unsigned char tiny[TINY_NUMBERS], dreamo_error *err);
double        score_likeness(const unsigned char *a, const unsigned char *b);
/* Root mean square difference, 0 .. 1. */
double        score_distance(const unsigned char *a, const unsigned char *b);
#endif
