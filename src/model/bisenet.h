/* bisenet.h - BiSeNet's face parser (spec 3.6): 19 classes on an eighth of the sides of an aligned face. */
#ifndef MODEL_BISENET_H
#define MODEL_BISENET_H
#include "model/build.h"
#include "nn/nn.h"

enum { BISENET_CLASSES = 19, BISENET_STAGES = 4 };
typedef struct basic_block { conv_bn conv[2], shortcut; /* shortcut.w.out 0: identity */ } basic_block;
typedef struct bisenet_arm { conv_bn conv, gate; } bisenet_arm; /* conv_atten has its norm, bn_atten, too */

typedef struct bisenet {
    conv_bn stem;
    basic_block stage[BISENET_STAGES][2];
    bisenet_arm arm16, arm32;
    conv_bn head16, head32, average, fuse, last; /* cp.conv_head16, cp.conv_head32, cp.conv_avg, ffm.convblk, conv_out.conv */
    weight squeeze, spread, classes;             /* ffm.conv1, ffm.conv2, conv_out.conv_out */
} bisenet;

bisenet *bisenet_new(void); /* NULL: no memory */
void     bisenet_free(bisenet *m);
void     bisenet_visit(bisenet *m, param_visitor visit, void *user);
bool     bisenet_fold(bisenet *m); /* once bound; false: no memory */
/* x [h*w, 3], normalised as ImageNet's pictures are, sides multiples of 32 -> logits [h/8 * w/8, 19]; the picture's own have the corners where these have
 * theirs (SAMPLE_CORNERS). */
tensor   bisenet_logits(nn *cx, const bisenet *m, tensor x, grid g);
#endif
