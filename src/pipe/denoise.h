/* denoise.h - from noise to a latent (spec 0.1, 2.6, 3.4). */
#ifndef PIPE_DENOISE_H
#define PIPE_DENOISE_H
#include "pipe/condition.h"
#include "pipe/prompt.h"

typedef struct sampling {
    int steps;
    float guidance, first_guidance, negative_guidance;
    float true_cfg;                 /* 1 = off */
    int cfg_start, cfg_end;         /* true CFG in steps start <= i < end */
    bool official;                  /* bf16 rounding places */
} sampling;

typedef struct denoise_input {
    const dreamo_model *m;
    const sampling *how;
    const condition_sample *sample;
    const float *references;        /* [reference rows, channels], packed, shifted, scaled; NULL without */
    prompt *positive, *negative;    /* negative NULL: true CFG off */
    /* After each step but before the next, or NULL: x as it is now, the velocity that led there, and the sigma that x has. */
    dreamo_status (*preview)(void *user, const float *x, const float *v, float sigma, int step, dreamo_error *err);
    void *user;
} denoise_input;

#define DENOISE_STEPS_MAX 60

/* x [noise rows, channels]: noise in, clean packed latent out. */
dreamo_status denoise(const denoise_input *in, float *x, dump *d, const reporter *to, dreamo_error *err);
/* Adds what comes before the steps (the modulations of all of them), and what they cost; *lists: bytes held beside the arenas in both. */
dreamo_status denoise_measure(const denoise_input *in, nn_counts *before, nn_counts *steps, uint64_t *lists, dreamo_error *err);
#endif
