/* moments8.h - Adam's moments in 8 bits (Dettmers et al. 2022, "8-bit optimizers via block-wise quantization").
 *
 * BLOCK8 numbers share a scale, their greatest magnitude; each becomes the nearest of 256 numbers in [-1, 1] or [0, 1] that lie densely
 * near zero ("dynamic tree": seven decades, the more codes the higher the decade).  A second moment above zero never becomes
 * zero: the next step would divide by it.  A step computes with the fp32 moments and stores them afterwards. */
#ifndef TRAIN_MOMENTS8_H
#define TRAIN_MOMENTS8_H
#include "train/params.h"

enum { BLOCK8 = 256 };

typedef struct code8 {
    float value[256];             /* rising */
    float middle[256];            /* between value[i] and value[i + 1]; the last is infinite */
    unsigned char start[1 << 16]; /* code of the number whose upper 16 bits these are, or the one below */
    int least;                    /* lowest code for a number that is not zero; 0: any */
} code8;

void code8_make(code8 *c, bool is_signed);
/* n <= BLOCK8 numbers into codes; the answer is their scale. */
float code8_put(const code8 *c, const float *x, size_t n, unsigned char *codes);
void  code8_get(const code8 *c, const unsigned char *codes, float scale, size_t n, float *x);

/* Matrices of some size.  Tables, of which most rows get no gradient in a step, and vectors stay in fp32. */
bool moments8_take(const param_slot *s);

/* A step's numbers, the same for all parameters. */
typedef struct adam_rates {
    float scale;               /* on gradients: micro-batches and clipping */
    float beta1, beta2;
    float rate;                /* lr / (1 - beta1^t) */
    float root;                /* 1 / sqrt(1 - beta2^t) */
    float eps;
} adam_rates;

/* AdamW on n numbers that begin at a block; values are first multiplied by `keep`, gradients left zero. */
void moments8_step(const adam_rates *r, float keep, size_t n, float *x, float *g, const code8 *mc, unsigned char *m, float *m_scale,
                   const code8 *vc, unsigned char *v, float *v_scale);
#endif
