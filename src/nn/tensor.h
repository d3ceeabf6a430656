/* tensor.h - the few nouns of the networks: tensor, vec, weight, layout, grid.
 *
 * A tensor is a matrix by value: fp32, row-major, rows [tokens or pixels] x cols [channels].  `ld` is the distance
 * between rows, so a cut of rows or columns is a view: no copy, no op, and its gradient is the same view of
 * the parent's gradient. */
#ifndef NN_TENSOR_H
#define NN_TENSOR_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/dtype.h"

typedef struct tensor {
    float *p;            /* belongs to the backend: read and written through tensor_read / tensor_write */
    int rows, cols, ld;
    int slot;            /* names the gradient; 0 = none is wanted */
} tensor;

/* A trainable or frozen vector: norm gains and shifts. */
typedef struct vec {
    int n;
    const float *p;      /* [n] fp32; NULL = absent */
    float *grad;         /* [n] accumulator, NULL = frozen */
} vec;

/* A stored matrix [rows, in] of one file tensor.  Several of them, one below the other, make a weight. */
typedef struct weight_part {
    int rows;
    dtype type;          /* one that dtype_is_weight; convolutions and relbias: DT_F32, DT_BF16, DT_F16 */
    const void *data;    /* [rows, in]; convolutions [rows, in, kh, kw] as in the file.  fp8 and blocks need no alignment */
    const float *row_scale; /* [rows], every number of a row times this (scaled fp8); NULL = 1 */
    const float *bias;   /* [rows] fp32 or NULL */
    float *grad;         /* fp32, shaped like data; NULL = frozen */
    float *grad_bias;    /* [rows]; NULL = frozen */
    bool held;           /* data is memory of the process's own, there from the opening on; false: a file's pages, which come when they are read */
} weight_part;

/* LoRA: rows [row0, row0 + rows) of the weight get scale * B A.  Frozen or trainable. */
typedef struct adapter {
    int row0, rows, rank;
    float scale;
    const float *A, *B;  /* [rank, in], [rows, rank] fp32 */
    float *grad_A, *grad_B;
    struct adapter *next;
} adapter;

/* What `linear`, `conv2d` and `embed` multiply with.  Only they look inside: storage types, fused or split
 * tensors (q, k, v and mlp of a FLUX block), adapters.  Model code passes the pointer along. */
#define WEIGHT_PARTS 4
typedef struct weight {
    const char *name;    /* for messages */
    int in, out;         /* out = sum of the parts' rows */
    int kh, kw;          /* 1, 1 unless a convolution (then `in` counts channels) */
    int nparts;
    weight_part part[WEIGHT_PARTS];
    adapter *adapters;   /* list, applied in order */
} weight;

/* As what a device with memory of its own holds part i: f32, bf16 and blocks byte for byte; all else as bf16, f16 too, since devices multiply f16 as f16,
 * where activations above 65,504 become infinite.  Adapters are as exact as the weight beside which they stand. */
static inline dtype weight_sent_type(const weight *w, int i)
{
    const weight_part *p = &w->part[i];
    bool kept = p->type == DT_F32 || (!p->row_scale && w->kh * w->kw == 1 && dtype_block(p->type) > 1 && p->type != DT_NF4);
    return kept ? p->type : DT_BF16;
}
static inline dtype weight_sent_type_beside(const weight *w) { return w->part[0].type == DT_F32 ? DT_F32 : DT_BF16; }

/* Packed batches: which rows belong to which sample.  No padding; samples may differ in length.  A sample's rows may lie in several
 * spans (text rows in one place, image rows in another): attention joins them in the order listed.
 * Spans are listed sample by sample and cover every row once. */
typedef struct span { int start, rows, sample; } span;
typedef struct layout { int samples, nspans; const span *spans; } layout;

/* Pictures are channels-last matrices [n*h*w, channels] with this beside them. */
typedef struct grid { int n, h, w; } grid;

/* GroupNorm's constants. */
typedef struct group_norm { int groups; float eps; vec gain, bias; } group_norm;

/* adaLN modulation: each is [samples, channels], row s for the rows of sample s. */
typedef struct modulation { tensor shift, scale, gate; } modulation;

/* Rotary tables, row r for row r of q and k: [rows, head_dim/2] each, pairs of adjacent channels (spec 1.6).  The same as positions, for devices that
 * turn by those: pos[a * step + r] is row r's on axis a, which turns axes[a] channels of each head, one axis after the other; NULL: not known. */
typedef struct rope {
    const float *cos, *sin;
    int dim;             /* head_dim/2, = distance between rows */
    const int32_t *pos;
    int step, axes[3];
} rope;

typedef struct attention_opts {
    int heads;
    float scale;           /* on q.k; 0 means 1/sqrt(head_dim) */
    bool causal;           /* CLIP: key position <= query position within the sample */
    const weight *relbias; /* T5 (spec 6.3): [buckets, heads], one row a bucket; NULL = none */
    int max_distance;      /* T5: 128 */
} attention_opts;

/* What follows a convolution or a norm, or stands alone. */
typedef enum act {
    ACT_NONE, ACT_RELU,
    ACT_LEAKY,             /* x < 0: 0.1 x */
    ACT_SIGMOID,
    ACT_GELU_ERF           /* x (1 + erf(x / sqrt 2)) / 2 */
} act;

/* How far a filter or a pooling reaches: output pixel (y, x) of h x w sees the side x side input pixels (y stride - before + i dilation, ...). */
typedef struct reach { int side, stride, dilation, before, h, w; } reach;

/* Where a resampled pixel comes from (spec 4.6): half-pixel centres clamped at the border; corners on corners; the pixel that floor(out * in / size) names. */
typedef enum resampling { SAMPLE_BILINEAR, SAMPLE_CORNERS, SAMPLE_NEAREST } resampling;

/* Swin's windows: side x side pixels from the upper left on, the last ones filled up on the right and below; moved by `shift` pixels. */
typedef struct swin { int side, shift, heads; } swin;

/* Which rows the routing map compares (training spec 1.2): one reference of one sample. */
typedef struct route { int ref0, nref, img0, nimg; } route; /* row ranges in q and k */

/* Rows of a stored matrix: a view, as tensor_rows is one of a tensor. */
static inline weight weight_cut(const weight *w, int row0, int rows)
{
    weight v = *w;
    v.out = v.part[0].rows = rows;
    if (w->part[0].data) v.part[0].data = (const char *)w->part[0].data + dtype_nbytes_of(w->part[0].type, (size_t)row0 * (size_t)w->in);
    if (v.part[0].row_scale) v.part[0].row_scale += row0;
    if (v.part[0].bias) v.part[0].bias += row0;
    return v;
}

/* Coordinate of output pixel i along one axis: *at, its neighbour *next, and the neighbour's share.  In fp32, as it is done elsewhere. */
static inline float sample_at(int i, int in, int out, resampling how, int *at, int *next)
{
    float step = how == SAMPLE_CORNERS ? (out > 1 ? (float)(in - 1) / (float)(out - 1) : 0.0f) : (float)in / (float)out;
    float x = how == SAMPLE_BILINEAR ? ((float)i + 0.5f) * step - 0.5f : (float)i * step;
    if (x < 0) x = 0;
    *at = (int)x < in - 1 ? (int)x : in - 1;
    *next = *at + 1 < in && how != SAMPLE_NEAREST ? *at + 1 : *at;
    return how == SAMPLE_NEAREST ? 0.0f : x - (float)*at;
}
#endif
