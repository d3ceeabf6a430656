/* dit.h - the FLUX.1 diffusion transformer with DreamO's reference tokens (spec 1, 2). */
#ifndef MODEL_DIT_H
#define MODEL_DIT_H
#include "nn/nn.h"
#include "nn/param.h"

typedef struct dit_config {
    int layers, single_layers;            /* double and single blocks */
    int heads, head_dim;                  /* width D = heads * head_dim */
    int in_channels, out_channels;        /* per token */
    int text_dim, pooled_dim;
    int rope_axes[3];                     /* sum = head_dim */
    bool guidance;                        /* has the guidance embedder */
} dit_config;

typedef struct dit_stream { weight mod, qkv, proj, mlp_in, mlp_out; vec qnorm, knorm; } dit_stream;
typedef struct dit_double { dit_stream img, txt; } dit_double;
/* in: rows q, k, v, mlp; out: columns attention, mlp */
typedef struct dit_single { weight mod, in, out; vec qnorm, knorm; } dit_single;
typedef struct mlp_embedder { weight in, out; } mlp_embedder;

typedef struct dit {
    dit_config config;
    weight x_in, text_in;                 /* x_embedder, context_embedder */
    mlp_embedder time_in, guidance_in, pooled_in;
    dit_double *doubles;
    dit_single *singles;
    weight norm_out, proj_out;            /* norm_out rows: scale, then shift (diffusers' order, spec 1.3) */
} dit;

dit *dit_new(const dit_config *c);        /* shapes only, no data; NULL: no memory */
void dit_free(dit *m);
void dit_visit(dit *m, param_visitor visit, void *user);

/* Single blocks first .. end - 1 see only some rows of the joined sequence, the others pass by (token dropping while training).  Maps are
 * not made there. */
typedef struct dit_short {
    int first, end;
    int nrows;
    const int32_t *rows;                  /* [nrows] of the joined sequence, ascending */
    const int32_t *back;                  /* [joined rows]: each row's place in [all rows before; the few after] */
    layout joint;                         /* of the few */
    rope pe;
} dit_short;

/* A packed batch; it and all it points to must stay until the step's nn_backward.  Image rows of one sample: noise tokens, then its
 * references in order.  The joined sequence is all text rows, then all image rows; `joint` lists a sample's text span, then its
 * image span. */
typedef struct dit_batch {
    tensor tokens;                        /* [image rows, in_channels] */
    tensor text;                          /* [text rows, text_dim] */
    tensor pooled;                        /* [samples, pooled_dim] */
    tensor time, guidance;                /* [samples, 256] sinusoids (spec 1.5); guidance unused without its embedder */
    tensor cond;                          /* [image rows, D], added after x_in (spec 2.2); p NULL: none */
    tensor mods;                          /* [samples, dit_mod_cols]: what dit_modulations made of these times; p NULL: make them now */
    layout img, txt, joint;
    rope pe;                              /* rows of the joined sequence */
    const route *routes;                  /* rows counted in the joined sequence; NULL: no maps */
    int nroutes;
    tensor *maps;                         /* [layers + single_layers] of [nroutes, nimg], filled when routes are given */
    const route *matches;                 /* the same for single rows: which reference means which word; NULL: none */
    int nmatches;
    tensor *matched;                      /* [layers + single_layers] of [nmatches, 1], filled when matches are given */
    const dit_short *cut;                 /* single blocks that see fewer rows; NULL: all see all */
    void (*probe)(void *user, nn *cx, const char *name, tensor x); /* "temb", "double.0.txt", "single.3"; NULL: none */
    void *user;
} dit_batch;

/* -> velocity [image rows, out_channels]; the caller keeps the noise rows (spec 1.11). */
tensor dit_forward(nn *cx, const dit *m, const dit_batch *b);

dtype dit_type(const dit *m); /* as which most of its weights are stored */

/* Modulations depend on time, guidance and pooled text only, and their layers are a quarter of FLUX's weights (spec 1.1): a sampler makes those of
 * all its steps before the first.  b: time, guidance and pooled are used, a sample a step.  table [samples, dit_mod_cols] in host memory. */
int  dit_mod_cols(const dit_config *c);
void dit_modulations(nn *cx, const dit *m, const dit_batch *b, float *table);

/* Sinusoid of s, 256 values, cosines first (spec 1.5.3), not rounded. */
void dit_sinusoid(float s, float out[256]);
/* Rotary tables for n positions (axis0, axis1, axis2), in double, stored as fp32 (spec 1.6); cos and sin [n, head_dim/2]. */
void dit_rope(const dit_config *c, const int32_t (*pos)[3], int n, float *cos, float *sin);
#endif
