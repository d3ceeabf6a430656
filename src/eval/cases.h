/* cases.h - the page: each kind's worst and median cases with references, words and picture. */
#ifndef EVAL_CASES_H
#define EVAL_CASES_H
#include "eval/measure.h"

/* What is kept of a sample's first picture. */
typedef struct kind_case {
    double margin;                  /* of its worst reference; without references the share of labels that are wrong, negative */
    bool first[DATA_MAX_REFS];
    char instead[DATA_MAX_REFS][64]; /* which candidate came before */
    int counted, right;             /* labels */
    bitmap picture;                 /* at most CASE_SIDE pixels a side */
} kind_case;
enum { CASE_SIDE = 256 };

dreamo_status case_fill(kind_case *c, const bitmap *picture, const answer *a, int counted, int right, const candidates *pool, const asked *about, dreamo_error *err);
/* A section of the page. */
dreamo_status cases_write(text *t, const evaluation *e, data_kind kind, const dreamo_eval_row *r, const kind_case *list, int n, dreamo_error *err);
/* The file around the sections. */
dreamo_status cases_page(const char *path, const text *sections, const dreamo_eval_options *o, const char *model, dreamo_error *err);
#endif
