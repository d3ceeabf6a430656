/* assets.h - the asset folder: every subject drawn once, ready to be pasted.
 *
 * assets.safetensors holds U8 tensors; assets.json says what they are:
 * { "format": "dreamo-assets", "version": 2, "sources": [ { "set", "package", "version", "licence", "author" } ],
 *   "held_out_styles": [ set, ... ],
 *   "subjects": [ { "tensor", "concept", "phrase", "set", "group", "file", "author", "licence", "yaws", "pitches", "mean": [r, g, b],
 *                   "held_out", "sha256" } ],
 *   "people":   [ { "tensor", "matte", "system", "twin", "noun", "words", "licence", "held_out", "sha256",
 *                   "variants": [ { "expression", "clothes" } ] } ],
 *   "garments": [ { "tensor", "name", "part", "held_out", "sha256" } ] }
 *
 * - A subject: [views, height, width, 4] straight-alpha RGBA cropped to it.  Views of a solid subject are ordered pitch by pitch, each
 *   from the leftmost to the rightmost yaw; a drawing has one.
 * - A person: [variants, height, width, 4], a bust of the same identity with other expressions and clothes in one frame, not cropped
 *   apart; its matte [variants, height, width] is 255 where clothes are seen.  "system" is the way of drawing ("avataaars"); persons of
 *   different systems with the same "twin" (not empty) have the same attributes.  "noun" is what captions call the person when attributes
 *   are left out ("a man", "a person"), "words" when they are told ("a man with curly red hair, a beard and glasses").  "expression" is
 *   a phrase or empty ("smiling"), "clothes" likewise ("a blue hoodie").
 * - Garments: [count, 28, 28], brightness of one garment each on black (0 = nothing there); "part" is "top", "bottom" or "whole".
 *
 * All lists but "subjects" may be missing or empty (version 1 has only that one).  Both files are untrusted: everything is checked when
 * opened, except the hashes (data_check reads every byte). */
#ifndef DATA_ASSETS_H
#define DATA_ASSETS_H
#include "data/canvas.h"
#include "data/sample.h"
#include "format/json.h"
#include "format/safetensors.h"

#define ASSETS_MAX_SIDE 512
#define ASSETS_MAX_VIEWS 256
#define GARMENT_SIDE 28

typedef struct subject {
    const char *concept, *phrase, *set, *group, *sha256; /* borrowed from the manifest */
    const unsigned char *rgba;      /* [pitches, yaws, height, width, 4] */
    int width, height, yaws, pitches;
    bool held_out, odd_style;       /* the set is one of the styles that are never trained on */
    float mean[3];                  /* mean colour of what is opaque */
} subject;

typedef struct concept { const char *name; int first, count; } concept; /* a run of subjects */

typedef struct variant { const char *expression, *clothes; } variant;

typedef struct person {
    const char *system, *twin, *noun, *words, *sha256;
    const unsigned char *rgba;      /* [nvariants, height, width, 4] */
    const unsigned char *matte;     /* [nvariants, height, width]: clothes */
    int width, height, nvariants;
    const variant *variants;
    bool held_out, odd_style;
} person;

typedef struct garment {
    const char *name, *sha256;      /* "t-shirt" */
    enum { GARMENT_TOP, GARMENT_BOTTOM, GARMENT_WHOLE } part;
    const unsigned char *grey;      /* [count, 28, 28] */
    int count;
    bool held_out;
} garment;

struct data_set {
    st_file file;
    json_t *manifest;
    int nsubjects, npeople, ngarments;
    subject *subjects;              /* sorted by concept, then set */
    person *people;                 /* sorted by system, then twin, then tensor */
    variant *variants;
    garment *garments;
    int nconcepts[2];
    concept *concepts[2];           /* [split], sorted by name */
    /* Lists of rows by split: flat and solid subjects, people, garments.  What is drawn in a style that is never trained on is in
     * none of them, but in odd (subjects) and odd_faces (people). */
    int nflat[2], nsolid[2], nfaces[2], nworn[2], nodd, nodd_faces;
    int *flat[2], *solid[2], *faces[2], *worn[2], *odd, *odd_faces;
};

/* The bust of one variant, cropped to what is seen; the head alone is its part without the matte, cropped to that when `head`. */
tile person_tile(const person *p, int variant, bool head);
/* One view.  The views of a solid subject share a frame; each is cropped to what is seen of it there. */
tile subject_tile(const subject *s, int yaw, int pitch);
#endif
