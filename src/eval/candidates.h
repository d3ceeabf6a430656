/* candidates.h - among what a reference must be found: others of its head, as the judge knows them. */
#ifndef EVAL_CANDIDATES_H
#define EVAL_CANDIDATES_H
#include "data/sample.h"
#include "eval/judging.h"

/* What tells references apart: equal in one of the two, they show the same. */
typedef struct shown { uint64_t identity, name; } shown;
shown       shown_by(const data_ref *f);
static inline bool shown_alike(shown a, shown b) { return a.identity == b.identity || a.name == b.name; }

typedef struct candidates {
    int n;
    shown *what;
    char (*words)[64];      /* for readers */
    float *vectors;         /* [n, embed] */
} candidates;

/* Which head a reference is for: where the kind tells of no garment, an `ip` reference shows a thing. */
int head_of(data_kind kind, data_task task);

/* Up to `most`, all different: the references of held-out samples in order; where those give fewer (a dataset holds few styles back), those of
 * training samples, too.  side: of their pictures.  On failure *c is freed. */
dreamo_status candidates_draw(candidates *c, judging *j, const data_set *among, int head, int most, uint64_t seed, int side, dreamo_error *err);
void          candidates_free(candidates *c);
#endif
