/* generate.h - a request, checked and prepared, on its way to a picture. */
#ifndef PIPE_GENERATE_H
#define PIPE_GENERATE_H
#include "pipe/denoise.h"
#include "pipe/reference.h"

#define REQUEST_SIDE_MAX 4096

typedef struct generation {
    dreamo_model *m;
    const dreamo_request *r;
    reporter to;
    int width, height, cell, default_res;
    sampling how;
    noise_kernel kernel;
    condition_sample sample;
    reference refs[CONDITION_REFS];
    prompt positive, negative;
    const char *negative_words;  /* NULL: none */
    bool cfg;                    /* the negative prompt is used */
    dump *d;
    float *ref_tokens;           /* packed, all references */
    float *x;                    /* [noise rows, channels] */
    float *maps;                 /* [references, noise rows] with r->maps, else NULL */
    dreamo_status status;        /* how it went so far; after it failed nothing more is done for it */
    dreamo_error *err;
} generation;

/* One latent to pixels: z [grid, channels] rows, rgb [pixels, 3] in -1..1, and those as bytes. */
dreamo_status decode_rows(dreamo_model *m, const float *z, grid g, float *rgb, dreamo_error *err);
void          pixels_to_bytes(const float *rows, size_t n, uint8_t *out);
/* preview.c: tell the caller how the picture would be if x [tokens, channels] moved on along v to sigma 0. */
dreamo_status preview_show(generation *g, const float *x, const float *v, float sigma, int step, dreamo_error *err);

/* Everything that can be refused, before anything long begins: numbers, pictures, prompts. */
/* dev: what prepares references (prep_run).  err: for its whole life. */
dreamo_status generation_prepare(generation *g, dreamo_model *m, device *dev, const dreamo_request *r, dreamo_error *err);
/* n of them, whose steps are run as one batch (denoise.h); how it went for each is in its status, and out[i] is filled where it went well. */
void          generation_run(generation *const *g, int n, dreamo_image *out);
void          generation_free(generation *g);

denoise_input generation_inputs(generation *g); /* for the sampling loop */

/* plan.c: what generation_run will cost, in seconds only when the rate is known; and measuring it, for who holds the model's lock. */
void          generation_rate(dreamo_model *m);
dreamo_status generation_plan(generation *g, dreamo_plan *plan, dreamo_error *err);
/* dreamo.c: the caller's request as this library knows it; `out` is where the result goes. */
dreamo_status request_take(const dreamo_model *m, const dreamo_request *given, const void *out, dreamo_request *own, dreamo_error *err);
/* request.c: ranges and defaults only. */
dreamo_status request_check(generation *g, dreamo_error *err);
/* metadata.c: the JSON that goes into a picture; mem_free. */
dreamo_status metadata_write(const generation *g, char **out, dreamo_error *err);
#endif
