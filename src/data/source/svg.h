/* svg.h - SVG to pixels, by running rsvg-convert (Debian: librsvg2-bin). */
#ifndef DATA_SVG_H
#define DATA_SVG_H
#include "format/image_file.h"

/* The drawing, fitted into side x side pixels, RGBA, or RGB when it covers all of them.  DREAMO_NOT_FOUND: rsvg-convert is not installed;
 * DREAMO_FORMAT: it refused the text.  `what` names the drawing in messages. */
dreamo_status svg_render(const char *text, size_t nbytes, int side, const char *what, bitmap *out, dreamo_error *err);
#endif
