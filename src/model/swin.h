/* swin.h - Swin transformer, the backbone of BEN2 (spec 2.3): attention within windows that move every other block. */
#ifndef MODEL_SWIN_H
#define MODEL_SWIN_H
#include "nn/nn.h"
#include "nn/param.h"

enum { SWIN_STAGES = 4, SWIN_BLOCKS = 18, SWIN_FEATURES = SWIN_STAGES + 1 };
typedef struct swin_config { int embed, depths[SWIN_STAGES], heads[SWIN_STAGES], window; } swin_config;

typedef struct swin_block { vec norm1_gain, norm1_bias, norm2_gain, norm2_bias, table; weight qkv, proj, fc1, fc2; } swin_block;
typedef struct swin_stage {
    swin_block block[SWIN_BLOCKS];
    vec gain, bias;                   /* of the feature that leaves the stage */
    vec merge_gain, merge_bias;       /* to the next stage; not after the last */
    weight merge;
} swin_stage;
typedef struct swin_net { swin_config config; weight patch; vec patch_gain, patch_bias; swin_stage stage[SWIN_STAGES]; } swin_net;

void swin_shape(swin_net *m, const swin_config *c);
void swin_visit(swin_net *m, param_visitor visit, void *user, const char *at);
/* x: patches [n*h*w, embed], g their grid -> features: the embedded patches after their norm, then each stage's: embed 2^i channels on a grid
 * 2^i times smaller.  They live as long as what was there before. */
void swin_run(nn *cx, const swin_net *m, tensor x, grid g, tensor out[SWIN_FEATURES]);
#endif
