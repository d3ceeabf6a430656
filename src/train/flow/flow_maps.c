/* flow_maps.c - by ranks (Mann and Whitney 1947): the sum of the subject's tells how many pairs it wins. */
#include "train/flow/flow_maps.h"

#include <math.h>
#include <stdlib.h>

static int by_value(const void *a, const void *b)
{
    float x = ((const flow_token *)a)->value, y = ((const flow_token *)b)->value;
    return (x > y) - (x < y);
}

double flow_map_inside(const float *map, const float *mask, int n, flow_token *spare)
{
    double ranks = 0;
    int inside = 0;
    for (int i = 0; i < n; i++) {
        spare[i] = (flow_token){ map[i], mask[i] >= 0.5f };
        inside += spare[i].inside;
    }
    if (!inside || inside == n) return NAN;
    qsort(spare, (size_t)n, sizeof *spare, by_value);
    for (int i = 0, end; i < n; i = end) { /* equal values share their mean rank */
        int winners = 0;
        for (end = i; end < n && spare[end].value == spare[i].value; end++) winners += spare[end].inside;
        ranks += winners * 0.5 * (i + 1 + end);
    }
    return (ranks - 0.5 * inside * (inside + 1.0)) / ((double)inside * (n - inside));
}
