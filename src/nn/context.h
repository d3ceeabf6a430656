/* context.h - what nn.h hides: the op context, its tape and its gradients.  For src/nn only. */
#ifndef NN_CONTEXT_H
#define NN_CONTEXT_H
#include "nn/nn.h"

#define BLOCK_IO 4 /* tensors that a block may replace */

typedef struct record record;
typedef void (*back_fn)(nn *cx, const record *r);

/* One op that was done: its way back and what that needs.  Unused fields stay zero. */
struct record {
    back_fn back;            /* NULL: the mark where a block began */
    tensor y, a, b, c, aux;  /* output, inputs, what forward kept for backward */
    const weight *w;
    vec gain, bias;
    modulation m;
    layout l;
    rope pe;
    attention_opts attn;
    const route *routes;
    const int32_t *ids;
    const float *row_weight;
    grid g;
    int n;
    float f;
    bool flag;
    /* blocks */
    nn_block_fn fn;
    const void *weights, *env;
    tensor in[BLOCK_IO], out[BLOCK_IO];
    int first_record, first_slot;
};

/* A tensor with a gradient.  The gradient has the root's shape, so a view of one is the same view of the other. */
typedef struct slot { tensor root, grad; } slot;

struct nn {
    device *dev;
    const backend *be;
    arena work, keep, host;
    bool taping, checkpoint, in_block;
    record *tape;
    int nrecords, record_room;
    slot *slots;             /* [0] unused */
    int nslots, slot_room;
    int first_inner;         /* gradients of older slots live in `keep`; 0 outside blocks on the way back */
    tensor block_out[BLOCK_IO]; /* where the last block left its outputs: the next one may reuse the place */
    dreamo_error error;
    nn_counts counts;
};

/* Count an op and look at the device; call after every kernel. */
void nn_done(nn *cx, double flops, double values);
/* When taping and something `needs` it: give *y a slot and return the record to fill, else NULL. */
record *tape_add(nn *cx, bool needs, back_fn back, tensor *y);
/* The gradient of x, made (zeroed) on first use; p NULL when none is wanted. */
tensor grad_of(nn *cx, tensor x);
tensor keep_new(nn *cx, int rows, int cols);
#endif
