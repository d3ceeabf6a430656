/* faces.h - what the two finders of faces share: a growing list, and of overlapping faces the best. */
#ifndef PREP_FACES_H
#define PREP_FACES_H
#include "prep/networks.h"

/* A finder; the two kinds are made by the functions below. */
struct face_net {
    const char *name;
    float threshold;
    void *state;
    void (*close)(void *state);
    dreamo_status (*find)(void *state, device *dev, const bitmap *rgb, float threshold, face_list *out, prep_progress tell, void *user, dreamo_error *err);
};
dreamo_status retinaface_finder(const char *path, face_net *out, dreamo_error *err);
dreamo_status faceapi_finder(const char *folder, face_net *out, dreamo_error *err);

bool faces_add(face_list *l, const face *f); /* false: no memory */
/* Best first; of those whose boxes cover each other by more than `most` (of what they cover together) only the best stays.  False: no memory. */
bool faces_settle(face_list *l, float most);
#endif
