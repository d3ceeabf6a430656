/* backend.h - the table every backend fills: all kernels, and the only access to a tensor's bytes.
 *
 * Rules for kernels
 *  - Shapes are checked by the op wrappers (nn/ops.c); kernels trust them.
 *  - Tensors may be views: honour `ld` on every operand, including gradients.
 *  - Forward kernels overwrite y.  Backward kernels ADD to every gradient (parameters: accumulation over
 *    micro-batches; activations: a tensor may be used twice); an absent gradient has p == NULL and is skipped.
 *  - y never overlaps an input unless stated.  Gradients of one call may be the same tensor (op_mul(x, x)): add to one,
 *    then to the next.
 *  - Kernels cannot fail, except by memory: then they set dev->failed and return.  On devices of their own they can, by more: status and why say so.
 *  - A device with memory of its own gives addresses (reserve) that are names: only the table follows them.  It may record kernels and compute
 *    them when `read` asks, in the order in which they were called.  What a call's pointers point to beside tensors (weights, tables, ids,
 *    spans) stays as it is until the next read; weights as long as the device is open.
 *  - Same device, same thread count, same input: same bytes.
 * One op = a forward and a backward kernel side by side; backend/ref is the executable specification (double accumulation,
 * plain loops), every other backend is tested against it. */
#ifndef NN_BACKEND_H
#define NN_BACKEND_H
#include <stdint.h>
#include "base/error.h"
#include "base/threads.h"
#include "nn/tensor.h"

typedef struct device device;

enum { FAST_ROWS = 8, FAST_LENGTH = 1024 };
#define FAST_LEAST 0x1p-100f

/* What a context asks of a device, as a dry run counted it (nn_counts), in bytes: its arenas; the weights that its ops read; of one op's weights the most; scores of
 * the largest attention with a bias (0: none, or unknown). */
typedef struct device_load { double arenas, sent, largest, scores; } device_load;

/* What a device with memory of its own would take for a context.  resident, streamed: bytes of the weights that its ops read, those that stay there and those
 * that pass through each time.  weights: of the buffers with the first, which stay after it where there is room; beside: of all else, at most.  fits: false
 * when there would be no room for results in between. */
typedef struct device_need { double resident, streamed, weights, beside; bool fits; } device_need;

typedef struct host_matrix { float *p; int rows, cols; } host_matrix;

typedef struct backend {
    const char *name;   /* "ref", "cpu", "dry", "cuda" */
    bool dry;           /* computes nothing: tensors have no memory behind them */
    device *(*open)(int threads); /* NULL: no memory */
    void (*close)(device *);

    /* Devices with memory of their own; NULL: the host's.  reserve gives nbytes of it, as addresses that nobody else may follow; NULL: none, and the device has
     * failed.  expect: a context with such a load is made. */
    void *(*reserve)(device *, size_t nbytes);
    void (*release)(device *, void *base);
    void (*expect)(device *, device_load);
    device_need (*foresee)(const device *, device_load);
    double (*memory)(const device *);                     /* bytes that it may take */
    void (*forget)(device *); /* weights that ops read so far go away or change: keep nothing of them */
    void (*settle)(device *); /* the way back is done: gradients of weights go where they belong, and weights that have such may change.  NULL: nothing to do */

    /* For optimizers, on devices with memory of their own; NULL: the host does it.  Each of n matrices x [rows, cols], rows <= cols, packed, in the host's
     * memory, becomes what `rounds` of x = a x + (b s + c s^2) x, s = x x^T, make of it.  Rounds as `linear` does with dev->bf16. */
    void (*newton_schulz)(device *, const host_matrix *x, int n, int rounds, float a, float b, float c);
    void (*pin)(device *, void *p, size_t nbytes, bool on); /* host memory that goes to and fro at every step, from here on or no longer; NULL: no need */

    /* memory: host <-> tensor, and the two things the tape does to gradients */
    void (*write)(device *, tensor y, const float *src);   /* src packed [rows, cols] */
    void (*read)(device *, float *dst, tensor x);
    void (*zero)(device *, tensor y);
    void (*copy)(device *, tensor y, tensor x);            /* y = x */
    void (*add_to)(device *, tensor y, tensor x);          /* y += x */

    /* y [T,out] = x [T,in] W^T + bias (+ adapters).  low [T, sum of ranks] receives x A^T of each adapter,
     * side by side, for the way back (p NULL: no adapters).
     * With dev->fast and T >= FAST_ROWS, parts in ggml's blocks (not Q2_K, without row_scale) see x rounded as ggml rounds it: each 32
     * numbers of a row become d times whole numbers of -127..127, d = max|x| / 127, to nearest (ties to even).  Numbers all below
     * FAST_LEAST count as 0; 32 numbers with a NaN or infinity among them make the row of y NaN.  Adapters and other parts see x as it is.
     * A device may instead round as with dev->bf16, whatever the weights, adapters too: "cpu" does it on machines with AMX.
     * With dev->bf16 both operands of every product, here and on the way back, adapters' too, are rounded to bf16 (to nearest, ties to even; numbers
     * below 2^-126 may become 0), after a part's row_scale or an adapter's scale; sums stay fp32, and so do biases and their gradients. */
    void (*linear)(device *, tensor y, tensor x, const weight *w, tensor low);
    void (*linear_backward)(device *, tensor dx, tensor dy, tensor x, const weight *w, tensor low);

    /* y [n,n] = x w^T for x and w [n,k] of which that is symmetric: half may be computed and mirrored.  Rounds as `linear` does with dev->bf16.
     * For optimizers; no way back. */
    void (*symmetric)(device *, tensor y, tensor x, tensor w);

    /* y[row(id)] = table row ids[i]; id -1 gives zeros. */
    void (*embed)(device *, tensor y, const int32_t *ids, const weight *w);
    void (*embed_backward)(device *, tensor dy, const int32_t *ids, const weight *w);

    /* y = LN(x)(1 + scale) + shift, LN without affine, biased variance (spec 1.9). */
    void (*adaln)(device *, tensor y, tensor x, modulation m, layout l, float eps);
    void (*adaln_backward)(device *, tensor dx, modulation dm, tensor dy, tensor x, modulation m, layout l, float eps);

    /* y = x + gate * d, gate [samples, channels]. */
    void (*gateadd)(device *, tensor y, tensor x, tensor gate, tensor d, layout l);
    void (*gateadd_backward)(device *, tensor dx, tensor dgate, tensor dd, tensor dy, tensor gate, tensor d, layout l);

    /* Per head: RMSNorm with gain, then rotary on adjacent pairs (spec 1.6, 1.7). heads = cols / gain.n; pe.cos NULL: no rotary. */
    void (*qknorm)(device *, tensor y, tensor x, vec gain, rope pe, float eps);
    void (*qknorm_backward)(device *, tensor dx, tensor dy, tensor x, vec gain, rope pe, float eps);

    /* Softmax attention within each sample of the layout, all heads, no L x L matrix in memory.  lse [rows, heads] receives
     * log-sum-exp of the scaled (and biased) scores, p NULL when no gradient is wanted.
     * With dev->fast q, k, v and the probabilities may be rounded to bf16 when the longest sample has FAST_LENGTH rows or more and no
     * lse is asked for: "cpu" does it on machines with AVX-512 BF16, without bias or causal; "ref" never.
     * With dev->bf16 they may be, and dy and the gradients of the scores: "cpu" does it on machines with AMX, without bias or causal. */
    void (*attention)(device *, tensor y, tensor q, tensor k, tensor v, layout l, attention_opts o, tensor lse);
    void (*attention_backward)(device *, tensor dq, tensor dk, tensor dv, tensor dy, tensor y, tensor q, tensor k, tensor v,
                               layout l, attention_opts o, tensor lse);

    /* Routing maps (training 1.2), r[i]'s in row i of y: the mean over the reference's tokens and over heads of q . k_image / sqrt(head_dim), then zeros.
     * Routes may share rows of q and k. */
    void (*routemap)(device *, tensor y, tensor q, tensor k, const route *r, int heads);
    void (*routemap_backward)(device *, tensor dq, tensor dk, tensor dy, tensor q, tensor k, const route *r, int heads);

    /* Softmax down the rows of each span of the layout, column by column. */
    void (*softmax)(device *, tensor y, tensor x, layout l);
    void (*softmax_backward)(device *, tensor dx, tensor dy, tensor y, layout l);

    /* y [n, c]: row i = row ids[i] of x; rows may repeat. */
    void (*takerows)(device *, tensor y, tensor x, const int32_t *ids);
    void (*takerows_backward)(device *, tensor dx, tensor dy, const int32_t *ids);

    /* element-wise */
    void (*gelu)(device *, tensor y, tensor x);            /* tanh form */
    void (*gelu_backward)(device *, tensor dx, tensor dy, tensor x);
    void (*quickgelu)(device *, tensor y, tensor x);       /* u sigmoid(1.702 u) */
    void (*quickgelu_backward)(device *, tensor dx, tensor dy, tensor x);
    void (*silu)(device *, tensor y, tensor x);
    void (*silu_backward)(device *, tensor dx, tensor dy, tensor x);
    void (*add)(device *, tensor y, tensor a, tensor b);   /* y may be a or b; backward is add_to */
    void (*mul)(device *, tensor y, tensor a, tensor b);
    void (*mul_backward)(device *, tensor da, tensor db, tensor dy, tensor a, tensor b);
    void (*scale)(device *, tensor y, tensor x, float s);  /* y = s x */
    void (*scale_backward)(device *, tensor dx, tensor dy, float s);

    /* norms over channels of a row */
    void (*layernorm)(device *, tensor y, tensor x, vec gain, vec bias, float eps);
    void (*layernorm_backward)(device *, tensor dx, tensor dy, tensor x, vec gain, vec bias, float eps);
    void (*rmsnorm)(device *, tensor y, tensor x, vec gain, float eps);
    void (*rmsnorm_backward)(device *, tensor dx, tensor dy, tensor x, vec gain, float eps);

    /* GroupNorm over (pixels of one picture) x (channels of a group), then SiLU when asked.
     * stats [n, 2*groups] = mean, 1/std of each group in turn; x may be a band of the pictures that they were taken from. */
    void (*groupstats)(device *, tensor stats, tensor x, grid g, int groups, float eps);
    void (*groupnorm)(device *, tensor y, tensor x, grid g, int groups, vec gain, vec bias, bool silu, tensor stats);
    void (*groupnorm_backward)(device *, tensor dx, tensor dy, tensor x, grid g, int groups, vec gain, vec bias, float eps,
                               bool silu, tensor stats);

    /* Cross-correlation, 1 x 1 or 3 x 3 (w->kh x w->kw); input grid g; (kh - 1) / 2 zeros on every side, or with stride 2 on the
     * right and bottom only (spec 4.4).  Output height = h / stride. */
    void (*conv2d)(device *, tensor y, tensor x, grid g, const weight *w, int stride);
    void (*conv2d_backward)(device *, tensor dx, tensor dy, tensor x, grid g, const weight *w, int stride);
    void (*upsample2x)(device *, tensor y, tensor x, grid g);   /* nearest; g is the input's */
    void (*upsample2x_backward)(device *, tensor dx, tensor dy, grid g);

    /* Space to depth and back: spec 1.12, channel k = 4c + 2dy + dx.  pack: x [n*h*w, c] -> y [n*(h/2)*(w/2), 4c]; g is the
     * unpacked grid. */
    void (*pack2x2)(device *, tensor y, tensor x, grid g);
    void (*unpack2x2)(device *, tensor y, tensor x, grid g);
    void (*pack2x2_backward)(device *, tensor dx, tensor dy, grid g);
    void (*unpack2x2_backward)(device *, tensor dx, tensor dy, grid g);

    /* y [rows, c] = mean + exp(logvar/2) eps; x = [mean | logvar] of 2c columns, logvar clamped to [-30, 20] (spec 2.4). */
    void (*gaussian)(device *, tensor y, tensor x, tensor eps);
    void (*gaussian_backward)(device *, tensor dx, tensor dy, tensor x, tensor eps);
    /* y [1,1] = 0.5 mean(mean^2 + var - 1 - logvar). */
    void (*kl)(device *, tensor y, tensor x);
    void (*kl_backward)(device *, tensor dx, tensor dy, tensor x);

    /* y [1,1] = mean over elements of weight_row (a - b)^2; row_weight [rows] or NULL = 1.  b gets no gradient. */
    void (*mse)(device *, tensor y, tensor a, tensor b, const float *row_weight);
    void (*mse_backward)(device *, tensor da, tensor dy, tensor a, tensor b, const float *row_weight);

    /* ---- what networks that look at pictures need beside; computed, not trained: no way back ---- */

    void (*activate)(device *, tensor y, tensor x, act a);
    void (*rowscale)(device *, tensor y, tensor x, tensor s); /* row i of y = s[i] times row i of x; s [rows, 1] */
    /* Each channel of each picture: (x - mean) / sqrt(biased variance + eps), then `a`.  y may be x. */
    void (*instancenorm)(device *, tensor y, tensor x, grid g, float eps, act a);
    /* Cross-correlation of any reach; zeros around the picture.  y = a(conv(x) + beside), beside p NULL: nothing. */
    void (*conv)(device *, tensor y, tensor x, grid g, const weight *w, reach r, tensor beside, act a);
    void (*depthwise)(device *, tensor y, tensor x, grid g, const weight *w, reach r); /* channel c by row c of w, [channels, 1, side, side] */
    void (*maxpool)(device *, tensor y, tensor x, grid g, reach r);                    /* of the pixels inside the picture */
    void (*boxmean)(device *, tensor y, tensor x, grid g, grid to);                    /* `to` divides g: means of the boxes */
    void (*resample)(device *, tensor y, tensor x, grid g, grid to, resampling how);
    /* Attention within each window (spec 2.3): qkv [pixels, 3 C] = q, k, v, head by head inside each.  Pixels that fill a window up have q, k, v = fill
     * [3 C], and count as keys; table [(2 side - 1)^2, heads], by distance.  Moved windows: -100 between pixels that were not neighbours. */
    void (*windowattention)(device *, tensor y, tensor qkv, grid g, swin m, vec fill, vec table);
    /* Attention of q's rows over k's and v's, picture by picture; scale 1/sqrt(head_dim). */
    void (*crossattention)(device *, tensor y, tensor q, tensor k, tensor v, int samples, int heads);
} backend;

struct device {
    const backend *be;
    pool *threads;      /* NULL for one thread */
    bool failed;        /* a kernel could not get memory, or what status and why say */
    bool watch;         /* asked for: look at every result, and fail with the name of the op that makes the first NaN or infinity (there) */
    dreamo_status status; /* with `failed`: why; DREAMO_OK: memory */
    char why[224];
    bool gains_by_fast; /* products of blocks in integers are faster here than in floats */
    bool fast;          /* asked for: `linear` and `attention` may round what they multiply (there) */
    bool bf16;          /* asked for: `linear` and `symmetric` round what they multiply to bf16, `linear` both ways; `attention` may (there) */
    bool gains_by_bf16; /* which is faster here than in floats */
    const char *name;   /* of this device; NULL: the backend's */
    void *state;        /* the backend's own */
};

extern const backend backend_ref, backend_cpu, backend_dry;
#ifdef DREAMO_CUDA
extern const backend backend_cuda;
#endif
const backend *backend_find(const char *name); /* NULL: no such backend */
const backend *backend_to_train(const char *name, dreamo_error *err); /* "cpu" (NULL), "cuda" or "ref"; NULL: err says why not */
const char *backend_for_pictures(const char *name); /* where a run on `name` makes its pictures: there, or NULL, the default, where that only trains */
/* For inference: "cpu" (NULL), "ref" or "ggml:NAME".  memory: bytes that a device of its own may take; 0: what is free.  NULL on failure. */
const char *device_name(const device *dev);    /* "cpu", "ggml:Vulkan0" */
device *device_open(const char *name, int threads, uint64_t memory, dreamo_error *err);
/* Names of this machine's: "cpu" and ggml's; how many were filled in. */
int     devices_here(char (*names)[64], int most);
bool    device_is_gpu(const char *name);
dreamo_status device_test(const char *name, dreamo_error *err); /* whether it computes what "ref" does: a second */
#endif
