/* flow_batch.h - several samples of the transformer's task in one packed layout, on the host.
 *
 * First the shape is laid out (flow_batch_shape: which rows belong to what), then the arrays are filled by the caller, then
 * flow_batch_mix makes what the network is shown.  Image rows of a sample: noise tokens, then its references in order. */
#ifndef TRAIN_FLOW_BATCH_H
#define TRAIN_FLOW_BATCH_H
#include "pipe/condition.h"

/* Rows of one sample's text. */
typedef struct flow_text { int nt5, nclip; /* clip rows end with the first end token: later ones change nothing */ } flow_text;

/* Row, within the sample's text, of the placeholder that means reference k; has: all of its references have one. */
typedef struct flow_words { bool has; int row[CONDITION_REFS]; } flow_words;

/* Tokens of reference k that are shown, ascending; n 0: all of them. */
typedef struct flow_few { int n[CONDITION_REFS]; const int32_t *token[CONDITION_REFS]; } flow_few;

/* Text that need not be encoded in this step: known numbers of most samples; T5 reads the captions of the live ones.  Their rows follow the
 * known ones, `take` puts all in order. */
typedef struct flow_kept {
    bool here;
    float *text, *pooled;          /* [text_rows, width], [samples, width] */
    bool *live;                    /* [samples] */
    int nlive, live_rows;
    int32_t *live_ids, *take;      /* [live_rows], [text_rows] */
    span *live_spans;
    layout live_layout;
    int width, pooled_width;
    size_t room;                   /* text rows */
} flow_kept;

typedef struct flow_batch {
    int samples, room;             /* now; at most */
    int channels;                  /* of a token */
    condition_sample *sample;      /* [samples], given */
    flow_text *text;               /* [samples], given */
    unsigned *masked;              /* [samples], given: bit k: reference k has a mask, so its routing is looked at */
    flow_words *words;             /* [samples], given: where its references are named */
    flow_few *few;                 /* [samples], given: references that are not shown whole */
    /* laid out */
    int text_rows, clip_rows, image_rows, noise_total;
    int *text0, *clip0, *image0;   /* [samples] first rows */
    span *text_spans, *clip_spans, *image_spans, *joint_spans;
    layout text_layout, clip_layout, image_layout, joint_layout;
    int32_t *task, *slot;          /* [image_rows] rows of the two tables; slot -1: none (noise tokens) */
    float *row_weight;             /* [image_rows] makes op_mse the mean over noise rows of a sample, then over samples */
    float *cos, *sin;              /* [text_rows + image_rows, head_dim/2] */
    int nroutes, widest;           /* one route a masked reference; the largest target of them */
    route *routes;
    float *route_weight;           /* [nroutes], the same for op_mse over maps of different sizes */
    int nmatches;                  /* each reference with each placeholder of its sample */
    route *matches;
    float *match, *match_weight;   /* [nmatches] 1: this placeholder means this reference; a sample's matrix counts as one */
    layout match_layout;           /* a span a reference */
    span *match_spans;
    /* to be filled */
    int32_t *t5_ids, *clip_ids;    /* [text_rows], [clip_rows] */
    int *clip_end;                 /* [samples] rows of the first end tokens */
    float *sigma, *guidance;       /* [samples] */
    float *clean;                  /* [image_rows, channels] x_0, and the references' latents in their rows */
    float *noise;                  /* [image_rows, channels], noise rows only */
    float *mask;                   /* [nroutes, widest] 0..1, zero after a smaller target's end */
    /* made by flow_batch_mix */
    float *shown, *target;         /* [image_rows, channels] */
    float *time_table, *guidance_table; /* [samples, 256] */
    flow_kept kept;                /* not here: both encoders read everything */
    struct { size_t text, clip, image, routes, mask, matches; } rows_room;
    struct rope_memo *memo;
} flow_batch;

dreamo_status flow_batch_new(flow_batch *b, const dit_config *c, int samples, dreamo_error *err); /* at most so many */
void          flow_batch_free(flow_batch *b);
/* Image rows of a sample, and of one of its references. */
int           flow_batch_rows(const flow_batch *b, int sample);
int           flow_batch_ref_rows(const flow_batch *b, int sample, int ref);
/* After what is given of `samples` samples is set; room grows to what they need. */
dreamo_status flow_batch_shape(flow_batch *b, const dit_config *c, int samples, dreamo_error *err);
void          flow_batch_mix(flow_batch *b);
/* After the shape is laid out: room for kept text; then, with `live` set and the ids filled, how the live rows lie. */
dreamo_status flow_batch_keep(flow_batch *b, int width, int pooled_width, dreamo_error *err);
void          flow_batch_lay_live(flow_batch *b);
#endif
