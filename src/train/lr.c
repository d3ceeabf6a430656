/* lr.c - linear warm-up, then constant, a half cosine, or constant with a fall at the end. */
#include "train/lr.h"

#include <math.h>

double lr_at(const lr_schedule *s, int64_t step, int64_t steps)
{
    if (step <= s->warmup) return s->peak * (double)step / (double)s->warmup;
    if (s->shape == LR_CONSTANT || steps <= s->warmup) return s->peak;
    double done = (double)(step - s->warmup) / (double)(steps - s->warmup);
    if (done > 1) done = 1;
    if (s->shape == LR_WSD) {
        double left = (double)(steps - step) / (s->decay * (double)steps);
        return left >= 1 ? s->peak : left <= 0 ? s->last : s->last + (s->peak - s->last) * (1 - sqrt(1 - left));
    }
    return s->last + (s->peak - s->last) * 0.5 * (1 + cos(3.14159265358979323846 * done));
}
