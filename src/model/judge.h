/* judge.h - the network that measures pictures: what is where in them, and which words fit.
 *
 * A trunk of convolutions makes a cell of every 2^levels x 2^levels pixels.  A cell says, for each head, a vector that is the same for the same
 * thing (person, style, garment) wherever it is seen, and a score for every label that a caption may say.  Both are linear at the end, so
 * that a window's vector is the mean of its cells' and a picture's scores the mean of all. */
#ifndef MODEL_JUDGE_H
#define MODEL_JUDGE_H
#include "nn/nn.h"
#include "nn/param.h"

#define JUDGE_MAX_LEVELS 6
#define JUDGE_MAX_BLOCKS 8
enum { JUDGE_THING, JUDGE_PERSON, JUDGE_STYLE, JUDGE_GARMENT, JUDGE_HEADS };
extern const char *const judge_head_names[JUDGE_HEADS]; /* "thing", ... */

typedef struct judge_config {
    int side;                               /* of the pictures that it looks at, in pixels */
    int levels, channels[JUDGE_MAX_LEVELS]; /* each halves the sides */
    int blocks[JUDGE_MAX_LEVELS];           /* residual convolutions after that */
    int hidden;                             /* width before the heads */
    int embed;                              /* numbers of a head's vector */
    int labels;                             /* of all groups together */
} judge_config;

typedef struct judge_conv { vec gain, bias; weight conv; } judge_conv; /* conv(silu(layernorm(x))); the first has no norm */
typedef struct judge_level { judge_conv down, block[JUDGE_MAX_BLOCKS]; } judge_level;
typedef struct judge {
    judge_config config;
    judge_level level[JUDGE_MAX_LEVELS];
    vec gain, bias;
    weight hidden, heads, labels;
} judge;

judge *judge_new(const judge_config *c); /* NULL: no memory */
void   judge_free(judge *m);
void   judge_visit(judge *m, param_visitor visit, void *user);
int    judge_cell(const judge_config *c);    /* sides must be multiples of so many pixels */
int    judge_columns(const judge_config *c); /* JUDGE_HEADS * embed + labels */

/* x [n*h*w, 3] in [-1, 1] -> [n*(h/cell)*(w/cell), columns]: the heads' vectors in turn, then the labels. */
tensor judge_cells(nn *cx, const judge *m, tensor x, grid g);
#endif
