/* page.h - report.html: a run in one file that needs no other: curves, samples, data, recipe, hours.  Rewritten while the run goes on. */
#ifndef TRAIN_PAGE_H
#define TRAIN_PAGE_H
#include <stdint.h>
#include "base/error.h"

typedef struct page {
    const char *out;                    /* run folder: log.ndjson and samples/ are read, report.html is written */
    const char *stage, *model, *data;   /* folders as they were given */
    const char *recipe;                 /* text */
    const char *computer;               /* "cpu, 2 threads" */
    const char *optimizer;
    int64_t step, steps, samples, batch, skipped, parameters;
    int64_t concepts[2], subjects[2];   /* trained, held out */
    int processes;
    double seconds;                     /* of computing */
} page;

dreamo_status page_write(const page *p, dreamo_error *err);
/* The step after which the page in a run folder was written; -1: none.  It is the last thing that is due at a step. */
int64_t page_step(const char *out);
#endif
