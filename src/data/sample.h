/* sample.h - what the trainer draws: references, target, masks and captions, composed on the fly from an asset folder, or read
 * from pictures that somebody has (a manifest, a folder, tar shards: docs/data.md).
 *
 * A sample is a pure function of (files, parameters, request): the same bytes on every machine and in every thread.
 * An open data_set is never written to, so threads may share it.
 *
 * The kinds are DreamO's tasks (paper 3.1) and the combinations that it is not trained on:
 *   t2i         no reference: subjects on a scene, people, garments, an empty scene, something on white, all in any style
 *   subject     one thing, seen again a little differently on a scene
 *   subjects    two or three things with their relation: side by side, one before the other, large and small
 *   id          one person: another expression, other clothes, the hair kept
 *   ids         two or three persons
 *   style       another concept in the style of a reference
 *   id-style    a person, drawn in the style of a second reference
 *   tryon       a person wearing one or two garments
 *   id-tryon, id-subject, subject-style   two references of different tasks
 *
 * The asset folder holds assets.safetensors and assets.json (assets.h); program-drawn scenes need no files. */
#ifndef DATA_SAMPLE_H
#define DATA_SAMPLE_H
#include <stdbool.h>
#include <stdint.h>
#include "format/image_file.h"

#define DATA_MAX_REFS 4

typedef enum data_kind {
    DATA_T2I, DATA_SUBJECT, DATA_SUBJECTS, DATA_ID, DATA_IDS, DATA_STYLE, DATA_ID_STYLE, DATA_TRYON,
    DATA_ID_TRYON, DATA_ID_SUBJECT, DATA_SUBJECT_STYLE, /* combinations: only to test that they emerge */
    DATA_KINDS,
    DATA_ANY = DATA_KINDS /* asked of given samples only: each of its own kind, which the sample tells */
} data_kind;
#define DATA_KIND_NAMES "t2i subject subjects id ids style id-style tryon id-tryon id-subject subject-style"
const char *data_kind_name(data_kind kind);             /* "id-style" */
bool        data_kind_find(const char *name, data_kind *kind);
/* Names apart by blanks or commas, each at most once and not "any"; their number in *n.  DREAMO_ARG: none, an unknown one, one twice. */
dreamo_status data_kind_list(const char *names, data_kind list[DATA_KINDS], int *n, dreamo_error *err);

typedef enum data_task { DATA_IP, DATA_FACE, DATA_LOOK, DATA_TASKS } data_task; /* ip, id, style: as `generate -r` calls them */
const char *data_task_name(data_task task);
bool        data_task_find(const char *name, data_task *task);

typedef enum data_split {
    DATA_TRAIN,
    DATA_VAL      /* things, persons, garments and styles that training never shows; T2I: training concepts in unseen compositions */
} data_split;

/* How hard the task is.  Lengths are shares of the picture's shorter side. */
typedef struct data_params {
    double scale_lo, scale_hi;  /* longest side of a subject in the target, 0.45 .. 0.8 */
    double ref_fill;            /* longest side in the reference, 0.85; T2I on white: at most this */
    double same;                /* probability that the target shows what references show in their size, upright, moved by whole
                                   tokens, 0.5.  That is what a small network learns to copy first; the other samples, moved, scaled
                                   and turned freely, keep it from learning nothing else */
    double grid;                /* side of a token in pixels, 16; in pictures of fewer than 7 tokens half of it, or a quarter */
    double turn;                /* flat subjects: largest turn in the plane between reference and target, degrees, 12 */
    int view_step;              /* solid subjects: most steps of yaw between the two views, 2 */
    double mirror;              /* probability that a flat subject is mirrored in the target, 0.1 */
    double shadow;              /* darkness of the shadow on the ground, 0.4; 0 = none */
    double light;               /* how strongly the scene's light and tint act on what stands in it, 1; 0 = pasted as it is, no weather */
    double solid_share;         /* probability of a solid (3D) subject where there are any, 0.3 */
    double words;               /* probability that a caption tells what a person looks like, 0.5 */
    double shuffle;             /* probability that references take other slots than 1, 2, ... in order, 0.25 */
} data_params;
void data_params_init(data_params *p);

typedef struct data_set data_set;

/* Opens and checks a folder made by `dreamo dataset build`, or pictures that somebody has: a manifest (x.jsonl), a folder of pictures
 * with captions beside them, a tar file, or 'x-*.tar'. */
dreamo_status data_open(const char *path, data_set **out, dreamo_error *err);
/* The same to ask a model with: given samples may lack a target. */
dreamo_status data_open_asks(const char *path, data_set **out, dreamo_error *err);
void          data_close(data_set *d); /* NULL is allowed */
/* Whether the samples are given and not composed.  Then each has a kind of its own, and whoever asks for DATA_ANY meets each training
 * sample once in an epoch: sample `index` is number index % n of a permutation that (seed, index / n) decides. */
bool          data_given(const data_set *d);
int           data_count(const data_set *d, data_kind kind, data_split split); /* given samples: how many; composed: 0, there is no end of them */
void          data_preferences(const data_set *d, int *samples, int *with); /* given samples: how many, and how many of them have a rejected picture */
const char   *data_hash(const data_set *d);                              /* 64 hex digits: other data have another hash */
int           data_most_refs(const data_set *d, data_kind kind);         /* of a sample of this kind */
int           data_concepts(const data_set *d, data_split split);        /* assets: how many; sorted by name */
const char   *data_concept(const data_set *d, data_split split, int i);  /* "hot dog" */
int           data_subjects(const data_set *d, data_split split);        /* drawings and models of these concepts */
/* Whether there is what a kind is made of (people, garments, drawings in several styles; given samples: some of the kind, where T2I is the
 * target and caption of any). */
bool          data_can(const data_set *d, data_kind kind, data_split split);

typedef struct data_request {
    data_kind kind;
    data_split split;
    uint64_t seed, index;
    int width, height;          /* of the target, 16 .. 1024.  height 0: free shapes, see below */
    int ref_side;               /* references are squares of this side; 0: the target's shorter side */
} data_request;
/* Free shapes (height 0): the target comes in its bucket for the area of side x side pixels, each reference in its own for the area of
 * ref_side x ref_side.  side is width, or where that is 0, too, ref_side, or where all three are 0, what the picture has (at most 1024);
 * ref_side 0 is side.  Composed samples have no shape of their own: side x side.
 *
 * The bucket of a picture: the size in multiples of 16, at most side x side pixels, no side more than three times the other, whose
 * proportions are the nearest to the picture's. */
void data_bucket(int width, int height, int side, int *bucket_width, int *bucket_height);

enum { DATA_CAPTION = 2048 };   /* bytes of a caption, with its NUL */

typedef struct data_ref {
    bitmap picture;             /* [h, w, 3]; ip and id that are made square: on white */
    unsigned char *mask;        /* [height, width] of the target: coverage 0..255 of what the reference shows; NULL: a style, or not given */
    data_task task;
    int slot;                   /* 1..9, the row of the index embedding; all different */
    char name[64];              /* what it shows: equal names are the same thing: "hot dog", "avataaars 0123", "noto" */
    uint64_t identity;          /* the very asset shown, for retrieval: equal numbers are the same thing in the same drawing */
} data_ref;

typedef struct data_sample {
    data_kind kind;
    int width, height;
    bitmap target;                          /* [height, width, 3] */
    bool bare;                              /* asked without one: `target` is only what stands in for it */
    bitmap rejected;                        /* given samples: what was liked less, [height, width, 3]; data NULL: there is none */
    int nrefs;
    data_ref ref[DATA_MAX_REFS];
    unsigned char *subject_mask;            /* T2I: coverage of what stands on the scene; NULL: empty scene, or references have their own */
    char caption[DATA_CAPTION];             /* "a hot dog to the left of a red car, on a beach by the sea" */
    char placed[DATA_CAPTION];              /* the same with placeholders, "[ref#1] to the left of [ref#2], on ..."; empty: has none */
    char subject[128];                       /* of the first reference, or the T2I subject; empty for an empty scene */
    char scene[128];                        /* "on a beach by the sea" */
} data_sample;

/* In the VAL split, index i takes the i-th held-out concept (person, garment; modulo their number), so the first twelve samples show the
 * first twelve names.  In TRAIN every subject is as likely as its kind allows.  params NULL = the defaults; given samples have none.
 * DREAMO_CONTENT: there is nothing to make this kind of (data_can). */
dreamo_status data_sample_make(const data_set *d, const data_params *params, const data_request *q, data_sample *out, dreamo_error *err);
void          data_sample_free(data_sample *s); /* a zeroed sample is allowed */

/* The caption alone, without drawing.  The kind must be one that can be made (data_can). */
dreamo_status data_sample_words(const data_set *d, const data_request *q, char *out, size_t nbytes, dreamo_error *err);

/* A contact sheet: `count` samples in `columns`, each references | target | masks over the target, sizes magnified `zoom` times;
 * given samples each in the middle of the largest one's place, and no masks where none has any;
 * captions in order into *captions (one a line, mem_free), when it is not NULL. */
dreamo_status data_sheet(const data_set *d, const data_params *params, const data_request *first, int count, int columns, int zoom,
                         bitmap *sheet, char **captions, dreamo_error *err);
#endif
