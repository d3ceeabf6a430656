/* judging.h - a judge that is open, and pictures that it looks at. */
#ifndef EVAL_JUDGING_H
#define EVAL_JUDGING_H
#include "eval/phrases.h"
#include "eval/windows.h"
#include "format/image_file.h"
#include "model/judge.h"
#include "weights/bind.h"

typedef struct judging {
    judge *net;
    bound_files files;
    phrases words;
    windows all, whole;        /* where a thing may be; the whole picture alone, where a style is */
    window everywhere;         /* whole.list */
    device *dev;
    nn *cx;
    float *pixels;             /* one picture's */
} judging;

/* folder: config.json and model.safetensors.  On failure *j is closed. */
dreamo_status judging_open(judging *j, const char *folder, const char *backend, int threads, dreamo_error *err);
void          judging_close(judging *j); /* a zeroed one is allowed */

/* Numbers of a picture's cells; those of one cell. */
size_t judging_numbers(const judging *j);
int    judging_stride(const judging *j);
/* RGB of any size -> cells [judging_numbers]. */
dreamo_status judging_look(judging *j, const bitmap *picture, float *cells, dreamo_error *err);

/* The vector by which a reference is known: [embed]. */
void judging_wanted(const judging *j, int head, const float *cells, float *vector);
/* Where a head looks, and how many windows that are at most. */
const windows *judging_where(const judging *j, int head);
/* Vectors of these windows: [n, embed]. */
void judging_seen(const judging *j, int head, const float *cells, float *vectors);
/* said [groups] -> how many of the labels said, and how many of them the picture has, too. */
void judging_labels(const judging *j, const float *cells, const int *said, int *counted, int *right, bool *agrees);
#endif
