/* flow_maps.h - does a reference look where its subject stands?
 *
 * The probability that a target token of the subject stands higher in the reference's routing map than one beside it (the area under the ROC
 * curve): 1/2 for a map that knows nothing, 1 for one that the mask could be cut from.  It knows no scale, so layers, losses and models compare. */
#ifndef TRAIN_FLOW_MAPS_H
#define TRAIN_FLOW_MAPS_H
#include <stdbool.h>

typedef struct flow_token { float value; bool inside; } flow_token;

/* map, mask [n]; a token belongs to the subject from coverage 1/2 on.  spare [n].  NAN: all of them do, or none. */
double flow_map_inside(const float *map, const float *mask, int n, flow_token *spare);
#endif
