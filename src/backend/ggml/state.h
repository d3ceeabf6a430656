/* state.h - a device of ggml's, and the one way in which our ops become its nodes.
 *
 * ggml (CPU, CUDA, HIP, Vulkan, Metal, SYCL) brings kernels; memory and order are ours.
 *  - A tensor's address is a name.  arena_at maps addresses that nobody may follow, and behind each such range (`range`) lies one
 *    buffer of the device; a byte's place in one is its place in the other.
 *  - Ops are recorded and computed when somebody reads.  A graph that was recorded once is found again by its first op and run as it is
 *    while the ops that follow are the same: a denoising step is built once.
 *  - Every node passes `node`.  What holds on all backends, and is asked for there: results are packed unless the last node is ADD, MUL or CPY;
 *    what GELU, SILU, SCALE, SOFT_MAX and MUL_MAT read is packed; an op's result is marked as an output (else fusion may leave it
 *    unwritten); operands and results of products, attention and some others (is_bordered) begin on the device's border; every tensor has its buffer
 *    (`ggml_backend_view_init`); the device says that it takes the node, and no operand is
 *    larger than its largest buffer.
 *  - What cannot be done leaves a message in device->why and nothing is computed until the op context has told it.
 * Forward only: training stays on "cpu". */
#ifndef BACKEND_GGML_STATE_H
#define BACKEND_GGML_STATE_H
#include <ggml-alloc.h>
#include <ggml-backend.h>
#include <ggml.h>
#include "backend/ggml/ggml.h"
#include "backend/ggml/guard.h"
#include "nn/backend.h"

typedef struct ggml_tensor gt;

enum { RANGES = 16, SCRATCHES = 24, GRAPHS = 256, SPARES_MOST = 64 };

/* Bytes on the device. */
typedef struct place { ggml_backend_buffer_t buffer; char *at; } place;

typedef struct range { char *base; size_t nbytes; ggml_backend_buffer_t buffer; } range;

/* Something of the host that was sent over: a rotary table, positions, a mask.  Looked at again in each graph, since its owner may have changed it. */
typedef struct table { const void *from; size_t nbytes; void *copy; ggml_backend_buffer_t buffer; uint64_t seen; } table;

/* A table that an op makes itself: what attention adds to scores, where a resampled pixel comes from.  key: of all that it is made from. */
typedef struct made { uint64_t key; void *data; } made;

typedef struct recorded { uint64_t key; int first; /* of its nodes */ } recorded;

/* Ops that were recorded between two reads. */
typedef struct graph {
    struct ggml_context *cx;
    struct ggml_cgraph *nodes;
    gt **node;                   /* the same, in order */
    recorded *op;
    int nnodes, node_room, nops, op_room;
    double nbytes;               /* that its nodes read and write */
    int fused;                   /* nodes that follow one of ours within an op and that a backend may fuse with it */
} graph;

/* One stored matrix (or vector) of a weight on the device. */
typedef struct stored { const void *key; uint64_t how; enum ggml_type type; place where; int slab; } stored;

/* Weights that stay, filled one after the other.  `phase`: when they were last wanted. */
typedef struct slab { ggml_backend_buffer_t buffer; size_t nbytes, used; uint64_t phase; } slab;

/* Where weights that do not stay pass through: while the graph that reads one half is computed, the other is filled. */
typedef struct half {
    ggml_backend_buffer_t buffer, pinned; /* pinned: what is on its way lies there; NULL where the device has no such memory */
    char *stage;                          /* the same bytes on the host */
    size_t used;
    stored *passing;                      /* what lies in it */
    int n, room;
    ggml_backend_event_t filled, spent;
    bool touched, busy;                   /* what is recorded reads it; a graph that was sent off does */
} half;

typedef struct state {
    device *dev;
    ggml_backend_t be, copier;            /* copier: a queue of its own for weights on their way; NULL: none */
    ggml_backend_dev_t id;
    ggml_backend_buffer_type_t type;
    bool host;                            /* ggml's CPU */
    char name[64];                        /* ggml:NAME */
    size_t align, border, largest;        /* where our buffers' parts begin; where operands of products have to; of one buffer */
    range range[RANGES];
    ggml_backend_buffer_t spare[SPARES_MOST]; /* given back, to be handed out again */
    int nspares;
    /* memory for in-between results: handed out anew for every op, in chunks that stay where they are */
    struct { ggml_backend_buffer_t buffer; size_t nbytes; } scratch[SCRATCHES];
    int chunk;
    size_t taken;
    /* what is recorded */
    graph graph[GRAPHS], *now;
    int at;                               /* ops of `now` that were asked for */
    const char *op;                       /* the one that is recorded */
    const char *weight;                   /* and its weight's name */
    uint64_t segment;                     /* counts graphs */
    tensor last;                          /* the result of the op before, for `watch` */
    char last_name[96];
    table *tables;
    int ntables, table_room;
    made *made;
    int nmade, made_room;
    /* weights */
    stored *weights;                      /* those that stay */
    int nweights, weight_room, *index, index_room; /* index: of a hash of their keys, -1: free */
    slab *slabs;
    int nslabs, slab_room;
    half half[2];
    int turn;
    size_t half_nbytes, margin;
    uint64_t phase;
    bool lost;                            /* the device answers no more */
    bool broken;                          /* an op failed in the middle: what is recorded is to be forgotten */
    ggml_counts count;
} state;

static inline state *state_of(device *d) { return d->state; }

/* Views. */
static inline tensor rows_of(tensor x, int first, int n)
{
    x.p += (size_t)first * (size_t)x.ld;
    x.rows = n;
    return x;
}

static inline tensor columns_of(tensor x, int first, int n)
{
    x.p += first;
    x.cols = n;
    return x;
}

/* memory.c */
bool   gg_fail(state *s, dreamo_status status, const char *format, ...) __attribute__((format(printf, 3, 4))); /* false; the first one stays */
bool   gg_ok(const state *s);
ggml_backend_buffer_t gg_buffer(state *s, size_t nbytes, const char *what);  /* NULL, and it has failed */
void   gg_buffer_free(state *s, ggml_backend_buffer_t b); /* it becomes a spare */
bool   gg_spares_free(state *s);                      /* to the driver; whether there were any */
place  gg_place(state *s, tensor x);                  /* where x lies */
place  gg_scratch(state *s, size_t nbytes);
place  gg_table(state *s, const void *p, size_t nbytes); /* p's bytes, on the device */
/* A table of nbytes that an op makes itself, on the device: filled by `fill` (false: no memory), zeroed before, when nothing has this key yet; it stays as
 * long as tables do. */
place  gg_made(state *s, uint64_t key, size_t nbytes, bool (*fill)(void *data, const void *how), const void *how);
void  *gg_grown(state *s, void *list, int n, int *room, size_t each); /* with room for one more; NULL: it has failed, and the list is as it was */
void  *gg_reserve(device *, size_t nbytes);
void   gg_release(device *, void *base);
void   gg_expect(device *, device_load);
void   gg_write(device *, tensor y, const float *src);
void   gg_read(device *, float *dst, tensor x);
void   gg_zero(device *, tensor y);
void   gg_tables_free(state *s);

device_need gg_foresee(const device *, device_load);

/* graph.c */
/* Whether the op has to be recorded: false when it was, or when nothing is to be done after a failure.  The words tell it from all others; the first
 * four are its result. */
bool   gg_fresh(state *s, const char *op, const uint64_t *words, int n);
#define T(x) (uint64_t)(uintptr_t)(x).p, (uint64_t)(x).rows, (uint64_t)(x).cols, (uint64_t)(x).ld
#define P(p) (uint64_t)(uintptr_t)(p)
#define G(g) (uint64_t)(g).n, (uint64_t)(g).h, (uint64_t)(g).w
#define R(r) (uint64_t)(r).side, (uint64_t)(r).stride, (uint64_t)(r).dilation, (uint64_t)(r).before, (uint64_t)(r).h, (uint64_t)(r).w
#define FRESH(s, op, ...) gg_fresh(s, op, (const uint64_t[]){ __VA_ARGS__ }, (int)(sizeof((const uint64_t[]){ __VA_ARGS__ }) / sizeof(uint64_t)))
uint64_t gg_mix(uint64_t key, uint64_t word);
uint64_t gg_layout(layout l);                         /* its spans, as a word */
uint64_t gg_float(float f);
gt    *gg_leaf(state *s, enum ggml_type type, place at, const int64_t ne[4], const size_t nb[4]);
gt    *gg_mat(state *s, tensor x);                    /* [cols, rows], rows ld apart */
gt    *gg_row(state *s, place at, int n);             /* [n] fp32 */
gt    *gg_heads(state *s, tensor x, int d);           /* [d, heads, rows] */
gt    *gg_tokens(state *s, tensor x, int d);          /* [d, rows, heads] */
gt    *gg_pixels(state *s, tensor x, int w, int h);   /* [cols, w, h] */
void   gg_look(state *s);                             /* watching: fails when the last op's result holds NaN or infinity */
void   gg_wait(state *s);                             /* until all graphs that were sent off are computed */
gt    *gg_mid(state *s, gt *t);                       /* a node between, in scratch memory */
gt    *gg_viewed(state *s, gt *t);                    /* a view or permutation, ready to be read */
gt    *gg_over(state *s, gt *t, const gt *old);       /* a node between in the place of one that nothing else reads, where backends may work in place */
gt    *gg_into(state *s, gt *t, tensor y);            /* a node between whose result is written at y, packed */
void   gg_out(state *s, gt *t, tensor y);             /* the op's result */
bool   gg_aligned(state *s, tensor x);                /* it begins where operands of products have to */
gt    *gg_packed(state *s, tensor x);                 /* gg_mat, copied when its rows lie apart or it begins off the border */
void   gg_copy_node(state *s, gt *from, gt *to);      /* between leaves */
bool   gg_flush(state *s, bool wait);                 /* send off what is recorded; wait: until it is computed */
void   gg_drop(state *s);                             /* forget all graphs */
void   gg_drop_others(state *s);                      /* but what is being recorded */

/* weights.c */
typedef struct on_device { place at; enum ggml_type type; } on_device;
/* To be called once before an op's gg_fresh, with all weights that it reads: makes room for those that are passing through, for which it may send off
 * what was recorded before. */
bool   gg_gather(state *s, const weight *w);
/* Then: [rows, in] as products take it: blocks, bf16 and fp32 byte for byte; f16, fp8, NF4 and what has row scales as bf16. */
on_device gg_part(state *s, const weight *w, int part);
/* All parts one below the other, which takes one product in place of several: where they are of one type there and not too large together. */
bool      gg_is_whole(const state *s, const weight *w);
on_device gg_whole(state *s, const weight *w);
place     gg_biases(state *s, const weight *w);                    /* of all parts, one after the other; they always stay; buffer NULL: there are none */
on_device gg_down(state *s, const weight *w, const adapter *a);    /* A [rank, in] */
on_device gg_up(state *s, const weight *w, const adapter *a);      /* scale B [rows, rank] */
on_device gg_taps(state *s, const weight *w, int dy);              /* row dy of a convolution's taps as [out, kw in]: tap and channel in */
place  gg_by_tap(state *s, const weight *w);                       /* [kh kw, out] fp32 of a filter a channel; always stays */
place  gg_vector(state *s, const float *p, int n);                 /* n fp32 numbers; they always stay */
void   gg_weights_free(state *s);
bool   gg_weights_shrink(state *s, size_t wanted);                 /* give back weights of other phases; whether there is room then */
void   gg_spent(state *s);                                         /* all graphs are computed */
bool   gg_filled(state *s);                                        /* the graph that is sent off now waits for its weights */
void   gg_sent(state *s);

/* the ops, a file each family */
void gg_linear(device *, tensor y, tensor x, const weight *w, tensor low);
void gg_embed(device *, tensor y, const int32_t *ids, const weight *w);
void gg_matmul(state *s, tensor y, gt *x, const on_device *m, int in, int out, place bias); /* y packed; bias.buffer NULL: none */
void gg_attention(device *, tensor y, tensor q, tensor k, tensor v, layout l, attention_opts o, tensor lse);
void gg_adaln(device *, tensor y, tensor x, modulation m, layout l, float eps);
void gg_gateadd(device *, tensor y, tensor x, tensor gate, tensor d, layout l);
void gg_qknorm(device *, tensor y, tensor x, vec gain, rope pe, float eps);
void gg_layernorm(device *, tensor y, tensor x, vec gain, vec bias, float eps);
void gg_rmsnorm(device *, tensor y, tensor x, vec gain, float eps);
void gg_copy(device *, tensor y, tensor x);
void gg_add_to(device *, tensor y, tensor x);
void gg_gelu(device *, tensor y, tensor x);
void gg_quickgelu(device *, tensor y, tensor x);
void gg_silu(device *, tensor y, tensor x);
void gg_add(device *, tensor y, tensor a, tensor b);
void gg_mul(device *, tensor y, tensor a, tensor b);
void gg_scale(device *, tensor y, tensor x, float f);
void gg_gaussian(device *, tensor y, tensor x, tensor eps);
void gg_takerows(device *, tensor y, tensor x, const int32_t *ids);
void gg_groupstats(device *, tensor stats, tensor x, grid g, int groups, float eps);
void gg_groupnorm(device *, tensor y, tensor x, grid g, int groups, vec gain, vec bias, bool silu, tensor stats);
void gg_conv2d(device *, tensor y, tensor x, grid g, const weight *w, int stride);
void gg_conv(device *, tensor y, tensor x, grid g, const weight *w, reach r, tensor beside, act a);
void gg_instancenorm(device *, tensor y, tensor x, grid g, float eps, act a);
void gg_upsample2x(device *, tensor y, tensor x, grid g);
void gg_pack2x2(device *, tensor y, tensor x, grid g);
void gg_unpack2x2(device *, tensor y, tensor x, grid g);
gt  *gg_activation(state *s, gt *t, act a); /* t itself for ACT_NONE */
void gg_activate(device *, tensor y, tensor x, act a);
void gg_rowscale(device *, tensor y, tensor x, tensor factor);
void gg_crossattention(device *, tensor y, tensor q, tensor k, tensor v, int samples, int heads);
void gg_depthwise(device *, tensor y, tensor x, grid g, const weight *w, reach r);
void gg_maxpool(device *, tensor y, tensor x, grid g, reach r);
void gg_boxmean(device *, tensor y, tensor x, grid g, grid to);
void gg_resample(device *, tensor y, tensor x, grid g, grid to, resampling how);
void gg_windowattention(device *, tensor y, tensor qkv, grid g, swin m, vec fill, vec table);
#endif
