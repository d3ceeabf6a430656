/* sample.h - what the trainer draws: reference, target, mask and caption, made on the fly from an asset folder.
 *
 * A sample is a pure function of (assets, parameters, kind, split, seed, index, size): the same bytes on every machine
 * and in every thread.  An open data_set is never written to, so threads may share it.
 *
 * The asset folder holds assets.safetensors and assets.json (docs: assets.h); program-drawn scenes need no files. */
#ifndef DATA_SAMPLE_H
#define DATA_SAMPLE_H
#include <stdbool.h>
#include <stdint.h>
#include "format/image_file.h"

#define DATA_MAX_REFS 2

typedef enum data_kind {
    DATA_T2I,     /* no reference: a subject on a scene, an empty scene, or a subject on white */
    DATA_SUBJECT  /* one reference: the subject on white; target: the same subject, seen a little differently, on a scene */
} data_kind;

typedef enum data_split {
    DATA_TRAIN,
    DATA_VAL      /* SUBJECT: concepts that training never shows in any style; T2I: training concepts in unseen compositions */
} data_split;

/* How hard the task is.  Lengths are shares of the picture's side. */
typedef struct data_params {
    double scale_lo, scale_hi;  /* longest side of the subject in the target, 0.6 .. 0.76 */
    double ref_fill;            /* longest side in the reference, 0.8; T2I on white: at most this */
    double same;                /* SUBJECT: probability that the target shows the subject in the reference's size, upright, moved
                                   by whole steps of `grid`, 0.75.  Its reference then fills scale_lo .. ref_fill. */
    double grid;                /* 1/8: a token of the small model.  Copying by whole tokens is what a small network learns first;
                                   the other samples, moved, scaled and turned freely, keep it from learning nothing else */
    double turn;                /* flat subjects: largest turn in the plane between reference and target, degrees, 5 */
    int view_step;              /* solid subjects: most steps of yaw between the two views, 1 */
    double mirror;              /* probability that a flat subject is mirrored in the target, 0 */
    double shadow;              /* darkness of the contact shadow, 0.4; 0 = none */
    double solid_share;         /* probability of a solid (3D) subject where there are any, 0.35 */
    double empty, white;        /* T2I: probability of an empty scene, 0.06, and of a subject on white, 0.12 */
} data_params;
void data_params_init(data_params *p);

typedef struct data_set data_set;

/* Opens and checks a folder made by `dreamo dataset build`. */
dreamo_status data_open(const char *folder, data_set **out, dreamo_error *err);
void          data_close(data_set *d); /* NULL is allowed */
int           data_concepts(const data_set *d, data_split split);        /* how many; sorted by name */
const char   *data_concept(const data_set *d, data_split split, int i);  /* "hot dog" */
int           data_subjects(const data_set *d, data_split split);        /* drawings and models of these concepts */

typedef struct data_sample {
    int size;
    bitmap target;                          /* [size, size, 3] */
    int nrefs;
    bitmap ref[DATA_MAX_REFS];              /* [size, size, 3], on white */
    unsigned char *mask[DATA_MAX_REFS];     /* [size, size] coverage 0..255 of that reference's subject in the target */
    unsigned char *subject_mask;            /* the same for T2I (mask[0] then belongs to no reference); NULL: empty scene */
    char caption[256];                      /* "a hot dog on a beach by the sea" */
    char subject[64];                       /* "hot dog"; empty for an empty scene */
    char scene[96];                         /* "on a beach by the sea" */
} data_sample;

/* In the VAL split, index i takes the i-th held-out concept (modulo their number), so the first twelve samples show the
 * first twelve names.  In TRAIN every subject is as likely as its kind allows.  params NULL = the defaults. */
dreamo_status data_sample_make(const data_set *d, const data_params *params, data_kind kind, data_split split, uint64_t seed,
                               uint64_t index, int size, data_sample *out, dreamo_error *err);
void          data_sample_free(data_sample *s); /* a zeroed sample is allowed */

/* A contact sheet: `count` samples in `columns`, each reference | target | mask, sizes magnified `zoom` times; captions in
 * order into *captions (one a line, mem_free), when it is not NULL. */
dreamo_status data_sheet(const data_set *d, const data_params *params, data_kind kind, data_split split, uint64_t seed,
                         int count, int columns, int size, int zoom, bitmap *sheet, char **captions, dreamo_error *err);
#endif
