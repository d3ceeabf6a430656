/* assets.h - the asset folder: every subject drawn once, ready to be pasted.
 *
 * assets.safetensors: one U8 tensor a subject, [views, height, width, 4], straight-alpha RGBA cropped to the subject.
 * assets.json: { "format": "dreamo-assets", "version": 1, "sources": [ ... ], "subjects": [ { "tensor", "concept", "phrase",
 *   "set", "group", "file", "author", "licence", "yaws", "pitches", "mean": [r, g, b], "held_out", "sha256" } ] }
 * Views of a solid subject are ordered pitch by pitch, each from the leftmost to the rightmost yaw; a drawing has one.
 *
 * Both files are untrusted: everything is checked when opened, except the hashes (data_check reads every byte). */
#ifndef DATA_ASSETS_H
#define DATA_ASSETS_H
#include "data/canvas.h"
#include "data/sample.h"
#include "format/json.h"
#include "format/safetensors.h"

#define ASSETS_MAX_SIDE 512
#define ASSETS_MAX_VIEWS 256

typedef struct subject {
    const char *concept, *phrase, *set, *group, *sha256; /* borrowed from the manifest */
    const unsigned char *rgba;      /* [pitches, yaws, height, width, 4] */
    int width, height, yaws, pitches;
    bool held_out;
    float mean[3];                  /* mean colour of what is opaque */
} subject;

typedef struct concept { const char *name; int first, count; } concept; /* a run of subjects */

struct data_set {
    st_file file;
    json_t *manifest;
    int nsubjects;
    subject *subjects;              /* sorted by concept, then set */
    int nconcepts[2];
    concept *concepts[2];           /* [split], sorted by name */
    int nflat[2], nsolid[2];
    int *flat[2], *solid[2];        /* [split] -> subjects */
};

/* One view.  The views of a solid subject share a frame; each is cropped to what is seen of it there. */
tile subject_tile(const subject *s, int yaw, int pitch);
#endif
