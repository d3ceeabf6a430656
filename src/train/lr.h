/* lr.h - the learning rate of a step. */
#ifndef TRAIN_LR_H
#define TRAIN_LR_H
#include <stdint.h>

typedef enum lr_shape { LR_CONSTANT, LR_COSINE } lr_shape;

typedef struct lr_schedule {
    lr_shape shape;
    double peak, last;      /* cosine falls from peak to last */
    int64_t warmup;         /* rises linearly over so many steps */
} lr_schedule;

/* Of step 1 .. steps; the cosine's fall ends with the run. */
double lr_at(const lr_schedule *s, int64_t step, int64_t steps);
#endif
