/* matting.h - the network that cuts a thing out of its picture: how much of each pixel is the thing.
 *
 * A U of residual convolutions (Ronneberger et al. 2015): pictures are packed 2x2, each level halves the sides, the deepest looks at all of the
 * picture by attention, and on the way up each level adds what it saw on the way down. */
#ifndef MODEL_MATTING_H
#define MODEL_MATTING_H
#include "nn/nn.h"
#include "nn/param.h"

#define MATTING_MAX_LEVELS 6
#define MATTING_MAX_BLOCKS 8

typedef struct matting_config {
    int side;                                   /* pictures are brought to side x side; others of whole cells work, too */
    int levels, channels[MATTING_MAX_LEVELS];   /* multiples of `groups` */
    int blocks[MATTING_MAX_LEVELS];             /* residual convolutions of a level on the way down */
    int up_blocks[MATTING_MAX_LEVELS];          /* and on the way up; the deepest has none */
    int groups, heads;                          /* of its norms; of the attention */
} matting_config;

typedef struct matting_conv { vec gain, bias; weight conv; } matting_conv; /* conv(silu(groupnorm(x))); the first has no norm */
typedef struct matting_level { matting_conv down, block[MATTING_MAX_BLOCKS], up_block[MATTING_MAX_BLOCKS]; weight up; } matting_level;
typedef struct matting {
    matting_config config;
    matting_level level[MATTING_MAX_LEVELS];
    vec look_gain, look_bias, mlp_gain, mlp_bias, gain, bias;
    weight qkv, look, mlp_in, mlp_out, head;
} matting;

matting *matting_new(const matting_config *c); /* NULL: no memory */
void     matting_free(matting *m);
void     matting_visit(matting *m, param_visitor visit, void *user);
int      matting_cell(const matting_config *c); /* sides must be multiples of so many pixels */

/* x [n*h*w, 3] in [-1, 1] -> [n*h*w, 1]: the log odds that a pixel is the thing's. */
tensor matting_logits(nn *cx, const matting *m, tensor x, grid g);
#endif
