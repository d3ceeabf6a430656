/* condition.h - what DreamO adds to FLUX: which token belongs to what (spec 2.2, 2.3).
 *
 * A request's image tokens are the noise tokens, then the tokens of each reference in order.  Sizes are in tokens:
 * a token is 2x2 latent pixels, 2*factor picture pixels. */
#ifndef PIPE_CONDITION_H
#define PIPE_CONDITION_H
#include "model/dit.h"
#include "weights/tables.h"

typedef struct token_grid { int h, w; } token_grid;

/* One picture to be made: its own token grid, and its references with their slots. */
typedef struct condition_sample {
    token_grid out;
    int nrefs;
    token_grid ref[CONDITION_REFS];
    int slot[CONDITION_REFS];
} condition_sample;

int condition_noise_rows(const condition_sample *s);
int condition_image_rows(const condition_sample *s);

/* Positions of the image rows: the output's grid, then each reference further down the diagonal (spec 2.3). */
void condition_positions(const condition_sample *s, int32_t (*pos)[3]);
/* cond [image rows, width]: task row 1 for noise; task row 0 + the slot's row for references (spec 2.2). */
void condition_rows(const condition_sample *s, const dreamo_tables *t, bool official, float *cond);
#endif
