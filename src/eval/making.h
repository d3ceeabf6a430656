/* making.h - the pictures that are measured: made by the model, or found where an earlier run kept them. */
#ifndef EVAL_MAKING_H
#define EVAL_MAKING_H
#include "base/report.h"
#include "data/sample.h"

typedef struct pictures {
    const dreamo_eval_options *o;
    dreamo_model *m;
    int width, height;
    int ref_side, ref_side_face, ref_side_style, ref_side_several, ref_side_faces; /* as dreamo_model_about's ref_res */
    reporter to;
} pictures;

/* Opens the model; with o->keep, makes the folder and refuses one that holds another model's pictures, or made otherwise.  data_hash: what is asked. */
dreamo_status pictures_open(pictures *p, const dreamo_eval_options *o, const char *data_hash, dreamo_error *err);
/* Side of the references of a sample of this kind. */
int           pictures_ref_side(const pictures *p, data_kind kind);
void          pictures_close(pictures *p);
/* What is made of a sample's references and these words; `name` is the picture's in the folder. */
dreamo_status pictures_make(pictures *p, const data_sample *s, const char *words, const char *name, uint64_t seed, bitmap *out, dreamo_error *err);
/* What another model made of it, in o->against. */
dreamo_status pictures_other(const pictures *p, const char *name, bitmap *out, dreamo_error *err);
#endif
