/* context.h - what nn.h hides: the op context, its tape and its gradients.  For src/nn only. */
#ifndef NN_CONTEXT_H
#define NN_CONTEXT_H
#include "nn/nn.h"

#define BLOCK_IO 4  /* tensors that a block may replace */
#define OP_INPUTS 3 /* tensors that an op may take a gradient to */
#define SPARES 8    /* spent gradients of block outputs, waiting for the next block */

typedef struct record record;

/* An op's way back: from dy, the gradient of its output, add to d[i], the gradient of in[i] (p NULL: not wanted). */
typedef void (*back_fn)(nn *cx, const record *r, tensor dy, const tensor *d);

/* One op that was done: how to go back and what that needs.  Unused fields are zero. */
struct record {
    back_fn back;            /* NULL: the end of a block, and `n` is its number */
    tensor y, in[OP_INPUTS];
    tensor aux;              /* what forward kept for backward: low, lse, stats */
    const weight *w;
    vec gain, bias;
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
    nn_turn_fn turn;
    void *turner;
};

/* One block that was run.  Taped, its ops stand on the tape from first_record on; checkpointed, fn makes them again from `in`. */
typedef struct block {
    bool checkpointed;
    int n;
    nn_block_fn fn;
    const void *weights, *env;
    tensor in[BLOCK_IO], out[BLOCK_IO];
    int first_record;
    int first_slot, end_slot; /* tensors that it made; checkpointed: its outputs */
} block;

/* A tensor with a gradient.  The gradient has the root's shape, so a view of one is the same view of the other. */
typedef struct slot {
    tensor root, grad;
    bool kept;               /* the gradient lies in `keep` */
} slot;

struct nn {
    device *dev;
    const backend *be;
    arena work, keep, host;
    bool taping, checkpoint, in_block;
    bool touched;            /* an op since this was cleared wanted a gradient */
    bool walked;             /* nn_backward has run */
    nn_watch_fn watch;       /* NULL: nobody */
    void *watcher;
    nn_listen_fn listen;     /* NULL: nobody */
    void *listener;
    record *tape;
    block *blocks;
    slot *slots;             /* [0] unused: slot 0 means no gradient */
    int nrecords, record_room, nblocks, block_room, nslots, slot_room;
    int first_inner;         /* on the way back through a block: gradients of older slots live in `keep` */
    tensor spare[SPARES];
    int nspares;
    tensor block_out[BLOCK_IO]; /* where the last block left its outputs: the next one may reuse the place */
    const weight **seen;        /* dry: whose bytes are counted */
    int nseen, seen_room;
    dreamo_error error;
    nn_counts counts;
};

/* For messages: nn_require(cx, ..., "x is " SHAPE, DIMS(x)). */
#define SHAPE "%d x %d"
#define DIMS(x) (x).rows, (x).cols
#define GRID "%d x %d x %d"
#define SIDES(g) (g).n, (g).h, (g).w

static inline double tensor_nbytes(tensor x) { return sizeof(float) * (double)x.rows * x.cols; }

/* Count an op and look at the device; call after every kernel. */
void nn_done(nn *cx, double flops, double nbytes);
void nn_look(nn *cx); /* the device's failure becomes the context's */
/* An op reads `rows` rows of a table; 0: all of a weight. */
void nn_reads(nn *cx, const weight *w, int rows);
tensor keep_new(nn *cx, int rows, int cols);
/* The list with room for one more than n elements; NULL and the sticky error when there is no memory. */
void *nn_grown(nn *cx, void *list, int n, int *room, size_t each);

/* When taping, and an input has a slot or the op `trains` parameters: give *y a slot and return the record to fill, else NULL. */
record *tape_add(nn *cx, back_fn back, bool trains, tensor *y, tensor a, tensor b, tensor c);
#endif
