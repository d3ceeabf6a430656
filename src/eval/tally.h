/* tally.h - shares and how sure they are. */
#ifndef EVAL_TALLY_H
#define EVAL_TALLY_H
#include <stdbool.h>

typedef struct tally { int yes, n; } tally;

static inline void   tally_add(tally *t, bool yes) { t->n++, t->yes += yes; }
static inline double tally_share(tally t) { return t.n ? (double)t.yes / t.n : -1; } /* -1: nothing was counted */
/* Wilson's interval of 95 % (Wilson 1927); 0 and 1 where nothing was counted. */
void tally_interval(tally t, double *lo, double *hi);

/* Whether candidate `mine` has the highest of n scores, alone. */
bool tally_first(const double *score, int n, int mine);
#endif
