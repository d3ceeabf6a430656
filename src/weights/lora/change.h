/* change.h - what an adapter does to a layer when no pair of thin matrices says it: LoKr, LoHa, OFT, DoRA, plain differences.
 *
 * A change is a function from the layer's stored rows to what is added to them.  It is never held whole: any rows can be asked for, so
 * that a file can be converted without memory for the model (convert_rows.c), and a layer of an opened model is merged row by row
 * (merge.c).  Strength s means: W + s (W' - W), where W' is what the adapter's own library makes of W at strength 1. */
#ifndef WEIGHTS_LORA_CHANGE_H
#define WEIGHTS_LORA_CHANGE_H
#include "nn/tensor.h"

typedef enum change_kind {
    CHANGE_PRODUCT,     /* B A */
    CHANGE_KRONECKER,   /* LoKr: f[0] (x) f[1] */
    CHANGE_HADAMARD,    /* LoHa: (f[0] f[1]) o (f[2] f[3]) */
    CHANGE_FULL,        /* f[0] */
    CHANGE_ROTATED_ROWS,   /* OFT of LyCORIS and kohya: blocks of rows are rotated by f[0], then scaled by f[1] */
    CHANGE_ROTATED_COLUMNS /* OFT of PEFT: blocks of columns are */
} change_kind;

typedef struct lora_change {
    change_kind kind;
    weight *w;
    int row0, rows;          /* of w */
    bool swapped;            /* its rows come in the other order of halves (spec 1.3) */
    float strength, scale;   /* scale: alpha / rank */
    const float *f[4];       /* PRODUCT: B [rows, n[0]], A [n[0], in].  KRONECKER: [n[0], n[1]], [n[2], n[3]].  HADAMARD: [rows, n[0]], [n[0], in],
                                [rows, n[1]], [n[1], in].  FULL: [rows, in].  ROTATED: [blocks, n[0], n[0]], [rows] or NULL; n[1] = 1: all
                                blocks turn alike */
    int n[4];
    const float *magnitude;  /* DoRA: [rows], or with `by_column` [in]; NULL: none */
    bool by_column;
    struct lora_change *next; /* of those of one output tensor (convert_rows.c) */
    float *norms;            /* by_column: [in] lengths of the columns of what is not yet brought to length; change_prepare fills it */
} lora_change;

/* Cayley's rotation of n x n numbers Q = factor (M - M^T): (I - Q)^-1 (I + Q), in place; room [n, 2 n].  False: not finite. */
bool change_cayley(float *m, int n, double factor, double *room);
/* What has to be known of the whole layer before rows can be asked for.  base: the layer as its file has it. */
void change_prepare(lora_change *c, const weight *base);
/* Rows [row0, row0 + n) of w get their share: dst [n, in]. */
void change_add_rows(const lora_change *c, const weight *base, int row0, int n, float *dst);
#endif
