/* nn.h - the op context and the ops that models are written in.
 *
 * A model is ordinary C that calls ops.  The context decides what they do: compute on a backend, or only count
 * (dry); record themselves for `nn_backward` (taping); recompute blocks on the way back (checkpoints).  After the first
 * failure every op returns an empty tensor at once, so model code has no `if` for errors: the caller looks at
 * nn_status() once per step.
 *
 * Memory: two arenas.  `work` holds activations and is marked and released around each block; `keep` holds what outlives
 * a block (checkpointed outputs, gradients of outer tensors).  Addresses repeat every step.  Five lifetimes: static (code,
 * tables), model (weights), job (a request), step (nn_reset), block. */
#ifndef NN_NN_H
#define NN_NN_H
#include <assert.h>
#include "base/arena.h"
#include "base/error.h"
#include "nn/backend.h"

typedef struct nn nn;

typedef struct nn_options {
    device *dev;
    size_t work_nbytes, keep_nbytes; /* arena sizes; ignored when dry */
    device_load load;                /* of the ops that will run, as a dry run counted it (nn_load); zeros: unknown */
    bool taping;                     /* record for nn_backward */
    bool checkpoint;                 /* blocks keep only their inputs */
} nn_options;

nn           *nn_new(const nn_options *o, dreamo_error *err); /* NULL on failure */
void          nn_free(nn *cx);
void          nn_reset(nn *cx);              /* forget tape, tensors, gradients and error: next step */
dreamo_status nn_status(nn *cx, dreamo_error *err);           /* the sticky error */
dreamo_status nn_device_status(device *dev, dreamo_error *err); /* why a device failed, told once; DREAMO_OK: it has not */
void          nn_fail(nn *cx, dreamo_status s, const char *format, ...) __attribute__((format(printf, 3, 4)));
bool          nn_ok(const nn *cx);
/* False, and the sticky error DREAMO_BUG, when `ok` does not hold: shape checks. */
bool          nn_require(nn *cx, bool ok, const char *format, ...) __attribute__((format(printf, 3, 4)));
device       *nn_device(const nn *cx);
void          nn_set_taping(nn *cx, bool on);
bool          nn_taping(const nn *cx);

/* What was done since nn_reset: for dry plans and for the bench.  weights: bytes of the weights in files that were read, each once; of tables
 * the rows that were asked for; sent: what these take on a device with memory of its own, without tables (the host looks those up); both are counted
 * by dry runs only.  largest: of one weight's share of sent the most.  scores: bytes of the largest attention with a bias, [heads, rows, rows], or of what a linear layer's adapters add, which
 * devices may spell out. */
typedef struct nn_counts { int64_t ops; double flops, bytes, weights, sent, largest, scores; size_t work_peak, keep_peak; } nn_counts;
nn_counts nn_count(const nn *cx);
static inline device_load nn_load(const nn_counts *c)
{
    return (device_load){ (double)(c->work_peak + c->keep_peak), c->sent, c->largest, c->scores };
}
double nn_sent_nbytes(const weight *w); /* one weight's share of `sent` */
/* After each op: floating-point operations so far; false: stop, DREAMO_CANCELLED.  NULL: nobody. */
typedef bool (*nn_listen_fn)(void *user, double flops);
void nn_listen(nn *cx, nn_listen_fn fn, void *user);

/* ---- tensors ---- */
tensor tensor_new(nn *cx, int rows, int cols);                       /* step (or block) lifetime, not zeroed */
tensor tensor_from(nn *cx, int rows, int cols, const float *packed); /* copied in; NULL = zeros */
tensor tensor_leaf(nn *cx, tensor x);                                /* x, with a gradient to be read later */
void   tensor_read(nn *cx, tensor x, float *packed);
/* After nn_backward: the gradient of a leaf, or of a tensor made outside blocks (those of a block are given back with its scratch).
 * p NULL: none arrived. */
tensor tensor_grad(nn *cx, tensor x);
/* Views: rows or columns of x, no copy and no op.  The gradient of a view is the same view of x's gradient. */
static inline tensor tensor_rows(tensor x, int row0, int rows)
{
    assert(!x.p || (row0 >= 0 && rows >= 0 && row0 + rows <= x.rows));
    if (x.p) x.p += (size_t)row0 * x.ld;
    x.rows = rows;
    return x;
}
static inline tensor tensor_cols(tensor x, int col0, int cols)
{
    assert(!x.p || (col0 >= 0 && cols >= 0 && col0 + cols <= x.cols));
    if (x.p) x.p += col0;
    x.cols = cols;
    return x;
}

/* A copy of `data` (NULL: nothing yet) in host memory that lives until nn_reset: for what blocks read when they run again.  NULL after
 * a failure. */
void *nn_keep(nn *cx, const void *data, size_t nbytes);

/* ---- blocks and the way back ---- */
/* Run one block: fn replaces io[0..n-1] (n <= 4) by its outputs, of the same shapes.  Scratch is released after it; with checkpoints
 * on, taping keeps only its inputs and fn runs again during nn_backward (unless nothing in it is trained).
 *  - io's old tensors are spent: without a tape the outputs may take their place.
 *  - Whatever is to leave the block goes through io; other tensors made in it are gone when it ends.
 *  - Tensors from outside may be used (through env); their gradients add up over the blocks.
 *  - `weights`, `env` and all that ops point to (spans, rotary tables, routes, ids, row weights) must stay until nn_backward has
 *    run: nn_keep holds what would not.
 *  - A block inside a block is part of it; without a tape its scratch is released, too. */
typedef void (*nn_block_fn)(nn *cx, const void *weights, tensor *io, int n, const void *env);
void nn_block(nn *cx, nn_block_fn fn, const void *weights, tensor *io, int n, const void *env);
/* Called on the way back, once for each gradient accumulator of a parameter (weight_part.grad, vec.grad, adapter.grad_A ...) that an op has
 * just added to.  A dry run makes the same calls as the run itself. */
typedef void (*nn_watch_fn)(void *user, const float *grad);
void nn_watch(nn *cx, nn_watch_fn fn, void *user);
/* fn(user, false) now, when everything up to x is computed, and fn(user, true) on the way back, when nothing is left of what came after x.  Not in a
 * dry run; the second only with a tape and a gradient to x. */
typedef void (*nn_turn_fn)(void *user, bool back);
void nn_turn(nn *cx, tensor x, nn_turn_fn fn, void *user);
/* From loss [1,1]: adds to all parameters' gradients.  Once in a step: the tape is spent. */
void nn_backward(nn *cx, tensor loss);

/* ---- ops ---- */
/* Shapes and sources stand at the kernels, nn/backend.h.  A wrong shape is the sticky error DREAMO_BUG that names the op. */
tensor op_linear(nn *cx, tensor x, const weight *w);                        /* [T,in] -> [T,out] */
tensor op_embed(nn *cx, const int32_t *ids, int n, const weight *w);        /* -> [n,in]; ids must outlive the step */
tensor op_adaln(nn *cx, tensor x, modulation m, layout l);                  /* eps 1e-6 */
tensor op_gateadd(nn *cx, tensor x, tensor gate, tensor d, layout l);
tensor op_qknorm(nn *cx, tensor x, vec gain, rope pe);                      /* eps 1e-6 */
tensor op_attention(nn *cx, tensor q, tensor k, tensor v, layout l, attention_opts o);
tensor op_routemap(nn *cx, tensor q, tensor k, const route *r, int nroutes, int heads); /* -> [nroutes, max nimg] */
tensor op_softmax(nn *cx, tensor x, layout l);                              /* down the rows of each span */
tensor op_takerows(nn *cx, tensor x, const int32_t *ids, int n);            /* [rows,c] -> [n,c]; ids must outlive the step */
tensor op_gelu(nn *cx, tensor x);
tensor op_quickgelu(nn *cx, tensor x);
tensor op_silu(nn *cx, tensor x);
tensor op_add(nn *cx, tensor a, tensor b);
tensor op_mul(nn *cx, tensor a, tensor b);
tensor op_scale(nn *cx, tensor x, float s);
tensor op_layernorm(nn *cx, tensor x, vec gain, vec bias, float eps);
tensor op_rmsnorm(nn *cx, tensor x, vec gain, float eps);
tensor op_groupnorm(nn *cx, tensor x, grid g, int groups, vec gain, vec bias, float eps, bool silu);
tensor op_conv2d(nn *cx, tensor x, grid g, const weight *w, int stride);    /* "same" 3x3 or 1x1; stride 2: right/bottom pad */
tensor op_upsample2x(nn *cx, tensor x, grid g);
/* A convolution with what stands around it in an autoencoder (ops_bands.c): out of one op, so that without a tape no in-between result is
 * ever whole in memory. */
typedef struct conv_step {
    const weight *w;
    int stride;                                 /* 1 or 2 */
    group_norm norm;                            /* first silu(groupnorm(x)); groups 0: not */
    bool twice;                                 /* then twice the size */
    tensor beside;                              /* after the convolution, + this; p NULL: not */
    const weight *shortcut;                     /* 1x1, on `beside`; NULL: as it is */
    tensor into;                                /* where the result goes, which may be where `beside` lies; p NULL: a new tensor */
} conv_step;
tensor op_conv_step(nn *cx, tensor x, grid g, conv_step s);
tensor op_pack2x2(nn *cx, tensor x, grid g);
tensor op_unpack2x2(nn *cx, tensor x, grid g);
tensor op_gaussian(nn *cx, tensor x, tensor eps);
tensor op_kl(nn *cx, tensor x);
tensor op_mse(nn *cx, tensor a, tensor b, const float *row_weight);         /* b: the target, without gradient */
tensor op_catrows(nn *cx, tensor a, tensor b);                              /* [a; b] */
tensor op_catcols(nn *cx, tensor a, tensor b);                              /* [a b] */

/* Forward only (ops_sight.c): taping through one of them is DREAMO_BUG. */
tensor op_activate(nn *cx, tensor x, act a);
tensor op_rowscale(nn *cx, tensor x, tensor s);
tensor op_instancenorm(nn *cx, tensor x, grid g, float eps, act a);
/* into: where the result goes, which may be where x lies; p NULL: a new tensor. */
tensor op_instancenorm_into(nn *cx, tensor x, grid g, float eps, act a, tensor into);
tensor op_conv(nn *cx, tensor x, grid g, const weight *w, reach r, tensor beside, act a); /* -> [n * r.h * r.w, out] */
tensor op_depthwise(nn *cx, tensor x, grid g, const weight *w, reach r);
tensor op_maxpool(nn *cx, tensor x, grid g, reach r);
tensor op_boxmean(nn *cx, tensor x, grid g, grid to);
tensor op_resample(nn *cx, tensor x, grid g, grid to, resampling how);        /* the same size: x itself */
/* [x resampled, beside], without the first in a place of its own; beside: [pixels of `to`, any].  No gradient. */
tensor op_resample_beside(nn *cx, tensor x, grid g, grid to, resampling how, tensor beside);
tensor op_windowattention(nn *cx, tensor qkv, grid g, swin m, vec fill, vec table);
tensor op_crossattention(nn *cx, tensor q, tensor k, tensor v, int samples, int heads);

/* side x side with `pad` pixels beyond every border, the outputs that fit. */
static inline reach reach_padded(grid g, int side, int stride, int dilation, int pad)
{
    int far = dilation * (side - 1) + 1 - 2 * pad;
    return (reach){ side, stride, dilation, pad, (g.h - far) / stride + 1, (g.w - far) / stride + 1 };
}
static inline grid reach_grid(grid g, reach r) { return (grid){ g.n, r.h, r.w }; }
#endif
