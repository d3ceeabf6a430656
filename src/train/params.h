/* params.h - everything that is trained, as flat vectors.
 *
 * A stage names its parameters first (params_add, params_add_network), then all of them get memory at once: values (the fp32
 * masters), gradients and, when wanted, the running average.  A parameter is the same range of each vector, so optimizer, clipping,
 * averaging and checkpoints are loops over chunks that know no network.  What the optimizer remembers is a list beside them. */
#ifndef TRAIN_PARAMS_H
#define TRAIN_PARAMS_H
#include "base/dtype.h"
#include "base/error.h"
#include "base/threads.h"
#include "nn/param.h"

typedef struct param_slot {
    char name[192];
    int rank;
    int64_t shape[4];
    size_t at, count;     /* values [at, at + count) of every vector; at is a multiple of 16, gaps stay zero */
    bool decay;           /* a matrix: weight decay applies */
} param_slot;

/* What one task of the pool works on: a piece of one parameter. */
typedef struct param_chunk { size_t at, count; int slot; } param_chunk;

/* Something that the optimizer remembers of a parameter.  Checkpoints carry it, under `prefix` and the parameter's name, without knowing
 * what it means. */
typedef struct param_state {
    const char *prefix;   /* static */
    int slot;
    dtype type;
    size_t count;
    void *data;
} param_state;

typedef struct params {
    int n, room;
    param_slot *slot;
    int nchunks;
    param_chunk *chunk;
    size_t count;                        /* length of each vector, gaps included */
    float *value, *grad, *ema;           /* [count], 64-byte aligned; ema NULL when not wanted */
    int first, end;                      /* slots whose state is kept here: all of them, or one process' share (ranks.h) */
    int nstates, state_room;
    param_state *state;
} params;

/* Lists a network's parameters: dit_visit and its kin behind one type. */
typedef void (*network_walk)(void *network, param_visitor visit, void *user);

dreamo_status params_add(params *p, const char *name, int rank, const int64_t *shape, dreamo_error *err);
dreamo_status params_add_network(params *p, const char *prefix, void *network, network_walk walk, dreamo_error *err);
dreamo_status params_allocate(params *p, bool ema, dreamo_error *err); /* all vectors zero */
void          params_free(params *p);
/* Room, zeroed and 64-byte aligned, for `count` numbers of a state; it belongs to p.  NULL: no memory. */
void         *params_remember(params *p, const char *prefix, int slot, dtype type, size_t count);
size_t        params_nbytes(const params *p); /* of everything here */

/* Point a network at its slice of the vectors, beginning at slot `first` (in the order of params_add_network): values that it has
 * are copied in, then data, type and gradient pointers change over.  The network must not outlive p. */
void params_attach(params *p, int first, void *network, network_walk walk);
/* Only change over which vector the network computes with: p->value or p->ema. */
void params_use(params *p, const float *vector, int first, void *network, network_walk walk);

int     params_find(const params *p, const char *name); /* slot number; -1: none */
int64_t params_total(const params *p);                  /* numbers, without gaps */

/* fn(arg, chunk, c): chunk c of nchunks, on the pool. */
typedef void (*chunk_fn)(void *arg, const param_chunk *chunk, int c);
void params_run(const params *p, pool *threads, chunk_fn fn, void *arg);
void params_zero_grad(params *p, pool *threads);
#endif
