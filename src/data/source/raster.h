/* raster.h - a software renderer: z-buffer, perspective, textures, two-sided Lambert shading, alpha out.
 *
 * The mesh is right-handed, y up, its front towards +z.  A view turns the mesh by `yaw` about y (positive: the side on the
 * viewer's left comes to the front), then tips it towards the viewer by `pitch` (positive: seen from above).  Angles are in turns. */
#ifndef DATA_RASTER_H
#define DATA_RASTER_H
#include "data/source/obj.h"

typedef struct view { double yaw, pitch; } view;

/* Draws n views of side x side pixels, straight-alpha RGBA, into out [n, side, side, 4].  One scale for all views, such that
 * the widest fills 0.96 of the side; each view is centred.  No antialiasing: draw large and shrink. */
dreamo_status raster_views(const obj_mesh *m, const view *views, int n, int side, unsigned char *out, dreamo_error *err);
/* Turn and stretch the vertices: v <- rotation v, then to a box of this size (0 = leave that side), centred at the origin. */
dreamo_status mesh_normalise(obj_mesh *m, const double rotation[9], const double box[3], const char *what, dreamo_error *err);
#endif
