/* param.h - every parameter of a network under its file name.
 *
 * A network lists its parameters once (dit_visit, vae_visit, ...).  Loading, saving, initialising, training, and the names
 * of gradients all walk that list, so a name stands in one place. */
#ifndef NN_PARAM_H
#define NN_PARAM_H
#include "nn/tensor.h"

typedef struct param {
    char name[160];      /* as in the diffusers / transformers file */
    int rank;
    int64_t shape[4];
    /* where the network keeps it: exactly one of these two is set */
    weight *w;           /* a matrix: part `part` of w (data, type, grad) */
    int part;
    const float **fp32;  /* a bias or vec: fp32 in memory whatever the file's type */
    float **grad;        /* its gradient accumulator, for either kind */
} param;

typedef void (*param_visitor)(void *user, const param *p);

static inline int64_t param_count(const param *p)
{
    int64_t n = 1;
    for (int i = 0; i < p->rank; i++) n *= p->shape[i];
    return n;
}
#endif
