/* ranks.h - one run in several processes, over MPI.
 *
 * Started alone, or built without MPI, there is one rank and every call returns at once (NULL is that one rank).  Rank 0 is the only one that
 * writes.  Everything here is collective: all ranks call the same functions in the same order, from one thread.  A wait looks
 * whether the others still live, and fails with DREAMO_NET when one does not; after that only ranks_close is of use. */
#ifndef TRAIN_RANKS_H
#define TRAIN_RANKS_H
#include <stddef.h>
#include "base/error.h"

typedef struct ranks ranks;

/* Joins the others when a launcher (mpirun, srun) started several; *r stays NULL when not.  `stop` (may be NULL) becomes true when this
 * process is asked to end, as launchers do when another one died. */
dreamo_status ranks_open(ranks **r, const volatile bool *stop, dreamo_error *err);
void          ranks_close(ranks *r);
int           ranks_count(const ranks *r);
int           ranks_number(const ranks *r);

/* x[0..n-1] becomes the sum over all ranks. */
dreamo_status ranks_sum(ranks *r, double *x, int n, dreamo_error *err);
/* Does every rank come here with DREAMO_OK?  If not, all leave with the error of the first that did not. */
dreamo_status ranks_agree(ranks *r, dreamo_status mine, dreamo_error *err);

/* Begun here, done when ranks_finish returns; the data must stay until then. */
void ranks_reduce(ranks *r, float *x, size_t n, int to);               /* `to`'s x becomes the sum, the others' are used up */
void ranks_copy(ranks *r, void *x, size_t nbytes, int from);           /* everyone's x becomes `from`'s */
void ranks_send(ranks *r, void *x, size_t nbytes, int from, int to);   /* others may pass anything */
void ranks_poll(ranks *r);                                             /* let the network go on */
dreamo_status ranks_finish(ranks *r, dreamo_error *err);
#endif
