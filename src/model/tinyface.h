/* tinyface.h - face-api's two small networks (spec 6.2): where faces are, and 68 points of one. */
#ifndef MODEL_TINYFACE_H
#define MODEL_TINYFACE_H
#include "nn/nn.h"
#include "nn/param.h"

enum { TINYFACE_SIDE = 416, TINYFACE_CELLS = 13, TINYFACE_ANCHORS = 5, TINYFACE_COLUMNS = 5 * TINYFACE_ANCHORS, TINYFACE_LAYERS = 5 };
enum { LANDMARKS_SIDE = 112, LANDMARKS = 68, LANDMARKS_BLOCKS = 4, LANDMARKS_CONVS = 4 };

typedef struct separable { weight depth, point; } separable; /* the first without bias */
typedef struct tinyface { weight first, last; separable layer[TINYFACE_LAYERS]; } tinyface;
typedef struct landmarks { weight first; separable conv[LANDMARKS_BLOCKS][LANDMARKS_CONVS]; weight fc; } landmarks; /* conv[0][0] is `first` */

/* Names as in face-api's manifests; shapes are this program's: [out, in, height, width]. */
void tinyface_shape(tinyface *m);
void tinyface_visit(tinyface *m, param_visitor visit, void *user);
void landmarks_shape(landmarks *m);
void landmarks_visit(landmarks *m, param_visitor visit, void *user);
/* x [416 * 416, 3] -> [13 * 13, 25]: an anchor's x, y, width, height, objectness, before what is done to them. */
tensor tinyface_cells(nn *cx, const tinyface *m, tensor x);
/* x [112 * 112, 3] -> [1, 136]: x and y of each point, 0 to 1 of the square. */
tensor landmarks_points(nn *cx, const landmarks *m, tensor x);
#endif
