/* denoise.h - from noise to a latent (spec 0.1, 2.6, 3.4). */
#ifndef PIPE_DENOISE_H
#define PIPE_DENOISE_H
#include "pipe/condition.h"
#include "pipe/prompt.h"

typedef struct sampling {
    int steps;
    float guidance, first_guidance, negative_guidance;
    float true_cfg;                 /* 1 = off */
    float cfg_share;                /* of it that the two passes add: all, or what is beyond the one pass's own (dreamo_model.said_cfg) */
    int cfg_start, cfg_end;         /* true CFG in steps start <= i < end */
    bool official;                  /* bf16 rounding places */
} sampling;

/* One picture of a batch. */
typedef struct denoise_input {
    const dreamo_model *m;
    const sampling *how;
    const condition_sample *sample;
    const float *references;        /* [reference rows, channels], packed, shifted, scaled; NULL without */
    prompt *positive, *negative;    /* negative NULL: true CFG off */
    float *x;                       /* [noise rows, channels]: noise in, clean packed latent out */
    float *maps;                    /* [references, noise rows]: += where each reference is looked at, of all layers and steps (maps.h); NULL: not asked */
    const reporter *to;
    /* After each step but before the next, or NULL: x as it is now, the velocity that led there, and the sigma that x has. */
    dreamo_status (*preview)(void *user, const float *x, const float *v, float sigma, int step, dreamo_error *err);
    void *user;
    dreamo_status status;           /* not DREAMO_OK: it failed or was stopped, *err says why, and the others go on without it */
    dreamo_error *err;
} denoise_input;

#define DENOISE_STEPS_MAX 60

#define DENOISE_BATCH DREAMO_BATCH

/* n pictures in one packed batch, each with the bytes that it would have alone: no op mixes rows of different samples, and none sums in another order
 * when there are more rows.  They agree in the model, the grid of the output, the number of steps and the steps with true CFG.  d: only with n = 1. */
void denoise(denoise_input *in, int n, dump *d);
/* Adds what comes before the steps (the modulations of all of them), and what they cost; *lists: bytes held beside the arenas in both. */
dreamo_status denoise_measure(denoise_input *in, nn_counts *before, nn_counts *steps, uint64_t *lists, dreamo_error *err);
#endif
