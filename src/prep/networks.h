/* networks.h - the networks that prepare references, behind three faces: cut out, find faces, parse a face.
 *
 * A file says by what it holds which network it is: BEN2 (.safetensors, .pth), ISNet (.onnx), dreamo's own matting network; RetinaFace (.safetensors,
 * .pth), face-api's detector and landmarks (a folder); BiSeNet (.safetensors, .pth).  Each keeps its own rule of what pixels become.
 * All compute on the device that a call names, which keeps their weights: it has to forget them before others are opened in
 * their place; one call at a time.  Pictures are RGB of 8 bits, three channels;
 * points and boxes are in their pixels, x to the right and y down, from the corner of the first pixel on as the official code counts. */
#ifndef PREP_NETWORKS_H
#define PREP_NETWORKS_H
#include <stdbool.h>
#include "format/image_file.h"
#include "nn/backend.h"

/* Share of the work that is done, 0 to 1; false: stop (DREAMO_CANCELLED).  NULL: nobody listens. */
typedef bool (*prep_progress)(void *user, double share);

/* ---- cutting out ---- */
typedef struct cut_net cut_net;
/* A file, or a folder with one (model.safetensors).  DREAMO_FORMAT: holds another network, or one that is cut short. */
dreamo_status cut_net_open(const char *path, cut_net **out, dreamo_error *err);
void          cut_net_close(cut_net *n);          /* NULL is allowed */
const char   *cut_net_name(const cut_net *n);     /* "BEN2", "ISNet", ... */
/* mask[height * width]: how much each pixel belongs to the subject, 0 to 1, at the picture's own size, before any stretch (spec 2.8, step 1). */
dreamo_status cut_net_mask(cut_net *n, device *dev, const bitmap *rgb, float *mask, prep_progress tell, void *user, dreamo_error *err);

/* ---- finding faces ---- */
typedef struct face {
    float box[4];                                 /* x1, y1, x2, y2 */
    float score;                                  /* 0 to 1 */
    float landmark[5][2];                         /* image-left eye, image-right eye, nose, image-left and image-right corner of the mouth */
} face;

typedef struct face_list {
    face *faces;                                  /* by score, the best first; overlapping ones are gone */
    int   n;
    float best;                                   /* the best score there was, below the threshold too; 0: none */
    float threshold;
} face_list;

typedef struct face_net face_net;
/* RetinaFace's file, or the folder with face-api's models. */
dreamo_status face_net_open(const char *path, face_net **out, dreamo_error *err);
void          face_net_close(face_net *n);        /* NULL is allowed */
const char   *face_net_name(const face_net *n);   /* "RetinaFace", "face-api" */
/* threshold 0: the network's own (0.97 and 0.5), strictly above which a face is one.  No face is no error: n is 0.
 * The picture is taken at its own size; the official code limits its long edge to 1024 before (spec 1.2). */
dreamo_status face_net_find(face_net *n, device *dev, const bitmap *rgb, float threshold, face_list *out, prep_progress tell, void *user, dreamo_error *err);
void          face_list_free(face_list *l);       /* a zeroed one is allowed */

/* ---- parsing a face ---- */
enum { PARSE_SIDE = 512, PARSE_CLASSES = 19 };    /* the classes in their order: spec 3.6 */
typedef struct parse_net parse_net;
dreamo_status parse_net_open(const char *path, parse_net **out, dreamo_error *err);
void          parse_net_close(parse_net *n);      /* NULL is allowed */
const char   *parse_net_name(const parse_net *n); /* "BiSeNet" */
/* rgb: PARSE_SIDE x PARSE_SIDE, an aligned face; labels[PARSE_SIDE * PARSE_SIDE], 0 to 18. */
dreamo_status parse_net_labels(parse_net *n, device *dev, const bitmap *rgb, unsigned char *labels, prep_progress tell, void *user, dreamo_error *err);
#endif
