/* lr.h - the learning rate of a step. */
#ifndef TRAIN_LR_H
#define TRAIN_LR_H
#include <stdint.h>

/* LR_WSD, warm-up, stable, decay: stays at its peak and falls at the end (arXiv 2405.18392: 1 - sqrt).  Until the fall begins, how long a run will be need not
 * be known. */
typedef enum lr_shape { LR_CONSTANT, LR_COSINE, LR_WSD } lr_shape;

typedef struct lr_schedule {
    lr_shape shape;
    double peak, last;      /* cosine and wsd fall from peak to last */
    double decay;           /* wsd's share of the steps in which it falls */
    int64_t warmup;         /* rises linearly over so many steps */
} lr_schedule;

/* Of step 1 .. steps; falls end with the run. */
double lr_at(const lr_schedule *s, int64_t step, int64_t steps);
#endif
