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
#endif
