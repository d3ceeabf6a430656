/* dpo.c - loss and slopes. */
#include "train/stages/dpo.h"

#include <math.h>

double dpo_loss(const double *error, const double *before, int pairs, double beta, double *slope, double *ahead)
{
    double sum = 0;
    *ahead = 0;
    for (int p = 0; p < pairs; p++) {
        const double *e = error + 2 * p, *b = before + 2 * p;
        double z = 0.5 * beta * ((e[0] - e[1]) - (b[0] - b[1]));
        sum += (z > 0 ? z : 0) + log1p(exp(-fabs(z))); /* -log sigmoid(-z) */
        slope[2 * p] = 0.5 * beta / (1 + exp(-z)) / pairs;
        slope[2 * p + 1] = -slope[2 * p];
        *ahead += (z < 0) / (double)pairs;
    }
    return sum / pairs;
}
