/* isnet.h - ISNet (Qin et al. 2022), as its ONNX export has it: nested U-shapes; norms are folded (spec 6.1).
 *
 * Weights of 8 bits are decoded and what they meet stays fp32.  onnxruntime rounds that to 8 bits, too, whole maps by one scale, and some pictures' masks
 * come out as noise: of DreamO's dog1.png it agrees with the unrounded network by an IoU of 0.75, this by 0.999. */
#ifndef MODEL_ISNET_H
#define MODEL_ISNET_H
#include "nn/nn.h"
#include "nn/param.h"

enum { ISNET_SIDE = 1024, ISNET_CONVS = 112 };
typedef struct isnet { weight first, conv[ISNET_CONVS], side; } isnet; /* conv: in the order in which they run */

isnet *isnet_new(void); /* NULL: no memory */
void   isnet_free(isnet *m);
void   isnet_visit(isnet *m, param_visitor visit, void *user);
/* x [h*w, 3] in -0.5..0.5 -> mask [h*w, 1] in 0..1.  Sides even. */
tensor isnet_mask(nn *cx, const isnet *m, tensor x, grid g);
#endif
