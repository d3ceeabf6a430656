/* bind_prep.h - files of the networks that prepare references (spec 5, 6.1): bind_network with the names that each kind of file has, and BatchNorms
 * folded. */
#ifndef WEIGHTS_PREP_BIND_PREP_H
#define WEIGHTS_PREP_BIND_PREP_H
#include "weights/bind.h"

struct ben2;
struct retinaface;
struct bisenet;
struct isnet;
dreamo_status bind_ben2(struct ben2 *m, const char *path, bound_files *out, dreamo_error *err);
dreamo_status bind_retinaface(struct retinaface *m, const char *path, bound_files *out, dreamo_error *err);
dreamo_status bind_bisenet(struct bisenet *m, const char *path, bound_files *out, dreamo_error *err);
dreamo_status bind_isnet(struct isnet *m, const char *path, bound_files *out, dreamo_error *err);
void bind_walk_ben2(void *network, param_visitor visit, void *user);
void bind_walk_retinaface(void *network, param_visitor visit, void *user);
void bind_walk_bisenet(void *network, param_visitor visit, void *user);
void bind_walk_isnet(void *network, param_visitor visit, void *user);

/* One of them, whichever it is. */
typedef struct prep_network {
    const char *name;
    int holds;                                /* HAS_... of kind.h */
    void *(*make)(void);                      /* NULL: no memory */
    void (*unmake)(void *network);
    bind_walk walk;
    dreamo_status (*bind)(void *network, const char *path, bound_files *files, dreamo_error *err);
} prep_network;
const prep_network *prep_network_of(int holds); /* the first that is among them, or NULL */
#endif
