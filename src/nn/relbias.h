/* relbias.h - T5's bias by distance, for backends that make a table of it.  "ref" and "cpu" have their own, so that one checks the other. */
#ifndef NN_RELBIAS_H
#define NN_RELBIAS_H
#include <math.h>

/* Spec 6.3: bucket of d = key - query.  Half of the buckets for each sign; exact up to a quarter of them, then logarithmic. */
static inline int relbias_bucket(int d, int buckets, int max_distance)
{
    int half = buckets / 2, exact = half / 2, n = d < 0 ? -d : d, side = d > 0 ? half : 0;
    if (n < exact) return side + n;
    int large = exact + (int)(logf((float)n / (float)exact) / logf((float)max_distance / (float)exact) * (float)(half - exact));
    return side + (large < half - 1 ? large : half - 1);
}
#endif
