/* build.h - giving weights their shapes and parameters their names; shared by the networks. */
#ifndef MODEL_BUILD_H
#define MODEL_BUILD_H
#include <stdbool.h>
#include "nn/param.h"

/* A weight of one part [out, in] or [out, in, k, k]; names are for messages and must live as long as the weight. */
void weight_shape(weight *w, const char *name, int in, int out, int k);
void weight_part_add(weight *w, int rows);                     /* fuse one more stored matrix below the others */
static inline void vec_shape(vec *v, int n) { *v = (vec){ .n = n }; }

/* Visit "PREFIX.weight" (part `part`) and, with bias, "PREFIX.bias".  A convolution's matrix has four dimensions in files, 1x1 or
 * not. */
typedef struct visitor { param_visitor visit; void *user; } visitor;
void visit_conv(const visitor *v, weight *w, const char *format, ...) __attribute__((format(printf, 3, 4)));
void visit_weight(const visitor *v, weight *w, int part, bool bias, const char *format, ...) __attribute__((format(printf, 5, 6)));
void visit_filter(const visitor *v, weight *w, const char *format, ...) __attribute__((format(printf, 3, 4)));   /* a convolution without bias */
void visit_matrix_named(const visitor *v, weight *w, const char *format, ...) __attribute__((format(printf, 3, 4))); /* the whole name, no bias */
void visit_vec(const visitor *v, vec *x, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* A convolution without bias and the BatchNorm after it, whose statistics are fixed: one convolution when they are folded.  s = gain / sqrt(var + eps)
 * becomes the factor of each row, bias - mean s the bias. */
typedef struct conv_bn { weight w; vec gain, bias, mean, var; float *fold; } conv_bn;
void conv_bn_shape(conv_bn *u, const char *name, int in, int out, int k);
/* CONV.weight, NORM.weight, NORM.bias, NORM.running_mean, NORM.running_var; both follow `at`. */
void conv_bn_visit(const visitor *v, conv_bn *u, const char *at, const char *conv, const char *norm);
bool conv_bn_fold(conv_bn *u);                                 /* once its parameters are there; false: no memory */
void conv_bn_free(conv_bn *u);
/* For networks that list their units once, each with its names: what is done to all of them. */
typedef void (*conv_bn_fn)(void *user, conv_bn *u, const char *at, const char *conv, const char *norm);
void conv_bn_visit_unit(void *visitor, conv_bn *u, const char *at, const char *conv, const char *norm);
void conv_bn_fold_unit(void *good, conv_bn *u, const char *at, const char *conv, const char *norm); /* bool *good: true so far */
void conv_bn_free_unit(void *nothing, conv_bn *u, const char *at, const char *conv, const char *norm);
#endif
