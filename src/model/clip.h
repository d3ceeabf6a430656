/* clip.h - the CLIP text encoder, for its pooled vector (spec 5). */
#ifndef MODEL_CLIP_H
#define MODEL_CLIP_H
#include "nn/nn.h"
#include "nn/param.h"

typedef struct clip_config {
    int layers, width, heads, ff;
    int vocab, positions;
    float eps;
    bool quick_gelu;                         /* hidden_act; false: gelu (tanh form) */
} clip_config;
typedef struct clip_layer { vec norm1_gain, norm1_bias, norm2_gain, norm2_bias; weight q, k, v, o, fc1, fc2; } clip_layer;
typedef struct clip { clip_config config; weight embed, position; clip_layer *layers; vec norm_gain, norm_bias; } clip;

clip *clip_new(const clip_config *c);
void  clip_free(clip *m);
void  clip_visit(clip *m, param_visitor visit, void *user);
/* ids packed as the layout says, each sample at most `positions` long; end[s] = row of sample s's first end token
 * -> [samples, width]. */
tensor clip_encode(nn *cx, const clip *m, const int32_t *ids, layout l, const int *end);
#endif
