/* ben2.h - BEN2's base network (spec 2): a picture seen whole and in quarters, and how much each pixel belongs to the subject. */
#ifndef MODEL_BEN2_H
#define MODEL_BEN2_H
#include "model/swin.h"

enum { BEN2_SIDE = 1024, BEN2_WIDTH = 128, BEN2_LEVELS = 5, BEN2_VIEWS = 5 };

typedef struct ben2_attention { weight in, out; vec in_bias; } ben2_attention; /* q, k and v one below the other */
typedef struct ben2_tokens {                                                   /* what MCLM and MCRM have in common */
    ben2_attention attention[5];
    vec norm1_gain, norm1_bias, norm2_gain, norm2_bias;
    weight linear1, linear2, linear3, linear4;                                 /* the first two in MCLM only */
    weight sal;                                                                /* in MCRM only */
} ben2_tokens;

typedef struct ben2 {
    swin_net backbone;
    weight side[BEN2_LEVELS];      /* output1 .. output5 */
    ben2_tokens mclm, mcrm[4];     /* multifieldcrossatt; dec_blk1 .. dec_blk4 */
    weight conv[4];                /* conv1 .. conv4 */
    weight head[3];                /* insmask_head.0, .3, .6 */
    weight shallow, upsample1, upsample2, output;
} ben2;

ben2 *ben2_new(void); /* NULL: no memory */
void  ben2_free(ben2 *m);
void  ben2_visit(ben2 *m, param_visitor visit, void *user);
/* x [side * side, 3], normalised as ImageNet's pictures are -> mask [side * side, 1] in 0..1.  side: BEN2_SIDE. */
tensor ben2_mask(nn *cx, const ben2 *m, tensor x);
#endif
