/* reference.h - from a picture file to reference tokens (spec 8.1, 2.4).
 *
 * What is done with the picture is the layer prep/'s; here are its slot, its name in messages, and its tokens. */
#ifndef PIPE_REFERENCE_H
#define PIPE_REFERENCE_H
#include "format/image_file.h"
#include "model/vae.h"
#include "pipe/condition.h"
#include "pipe/dump.h"
#include "pipe/noise.h"
#include "base/report.h"
#include "prep/prep.h"

typedef struct reference {
    dreamo_task task;          /* ip, id or style: auto has decided */
    int slot;
    bitmap rgb;                /* what the autoencoder sees */
    token_grid grid;           /* in tokens */
    char sha256[65];           /* of the file, or of the caller's pixels */
    char name[96];             /* for messages */
} reference;

/* Prepare reference number `index` (from 0) of a request; `cell` is the side of a token in pixels; dev and sides as in prep_run. */
dreamo_status reference_prepare(prep *with, device *dev, const dreamo_reference *r, int index, int cell, prep_sides sides, const reporter *to, reference *out,
                                dreamo_error *err);
void          reference_free(reference *r);
void          reference_name(const dreamo_reference *r, int index, char *out, size_t nbytes); /* of its file, or the caller's name, or its number */
const char   *reference_task_name(dreamo_task task);

/* Encode into packed tokens [grid.h * grid.w, 4 * latent channels], shifted and scaled.  With a generator the posterior is
 * sampled (spec 2.4), without one its mean is taken.  `number` names the dumped tensors ref.NUMBER.*. */
dreamo_status reference_encode(device *dev, const vae *m, const reference *r, noise_generator *g, noise_kernel kernel,
                               float *tokens, dump *d, int number, dreamo_error *err);
#endif
