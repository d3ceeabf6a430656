/* retinaface.h - RetinaFace with a ResNet-50 (spec 3.1): for each of two anchors in every cell of three levels, is it a face, its box, five points. */
#ifndef MODEL_RETINAFACE_H
#define MODEL_RETINAFACE_H
#include "model/build.h"
#include "nn/nn.h"

enum { RETINA_LEVELS = 3, RETINA_ANCHORS = 2, RETINA_COLUMNS = 16 * RETINA_ANCHORS, RETINA_STAGES = 4, RETINA_DEEPEST = 6 };

typedef struct bottleneck { conv_bn conv[3], shortcut; /* shortcut.w.out 0: identity */ } bottleneck;
typedef struct ssh { conv_bn near, middle, far, farther, farthest; } ssh; /* conv3X3, conv5X5_1, conv5X5_2, conv7X7_2, conv7x7_3 */

typedef struct retinaface {
    conv_bn stem;
    bottleneck stage[RETINA_STAGES][RETINA_DEEPEST];
    conv_bn lateral[RETINA_LEVELS], merge[2];      /* fpn.output1..3, fpn.merge1..2 */
    ssh context[RETINA_LEVELS];
    weight score[RETINA_LEVELS], box[RETINA_LEVELS], points[RETINA_LEVELS];
} retinaface;

retinaface *retinaface_new(void); /* NULL: no memory */
void        retinaface_free(retinaface *m);
void        retinaface_visit(retinaface *m, param_visitor visit, void *user);
bool        retinaface_fold(retinaface *m); /* once bound; false: no memory */
/* x [h*w, 3]: blue, green, red of 0..255 less (104, 117, 123).  out[i] for level i, whose grid is to[i] (spec 3.1: sides are ceil(side / 8, 16, 32)):
 * [cells, 4 + 8 + 20] = per anchor two scores before softmax; per anchor four of the box; per anchor ten of the points. */
void        retinaface_run(nn *cx, const retinaface *m, tensor x, grid g, tensor out[RETINA_LEVELS], grid to[RETINA_LEVELS]);
#endif
