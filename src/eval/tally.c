/* tally.c - counting. */
#include "eval/tally.h"
#include <math.h>

void tally_interval(tally t, double *lo, double *hi)
{
    const double z = 1.959963984540054; /* of the normal distribution, 97.5 % */
    *lo = 0, *hi = 1;
    if (!t.n) return;
    double n = t.n, p = t.yes / n, down = 1 + z * z / n;
    double middle = (p + z * z / (2 * n)) / down, half = z / down * sqrt(p * (1 - p) / n + z * z / (4 * n * n));
    *lo = fmax(0, middle - half);
    *hi = fmin(1, middle + half);
}

bool tally_first(const double *score, int n, int mine)
{
    for (int i = 0; i < n; i++)
        if (i != mine && score[i] >= score[mine]) return false;
    return true;
}
