/* log.h - what a run says: table lines for a person (through the caller's progress callback), log.ndjson for programs, an event file for
 * TensorBoard. */
#ifndef TRAIN_LOG_H
#define TRAIN_LOG_H
#include "base/error.h"
#include "base/progress.h"

#define LOG_PARTS 6

/* A named number beside the loss: "diff", "route", "mse", "kl". */
typedef struct log_part { const char *name; double value; } log_part;

typedef struct log_step {
    int64_t step;
    double loss, lr, norm, samples; /* samples: in this step */
    int nparts;
    log_part part[LOG_PARTS];
    bool skipped;                   /* gradients were not finite */
} log_step;

typedef struct train_log {
    char *path;                     /* log.ndjson; NULL: nothing is written */
    char *events;                   /* the same numbers for TensorBoard; NULL: not, or not any more */
    int64_t every;                  /* steps between lines */
    progress clock;
    double smoothed;                /* loss; < 0: none yet */
    double samples, since;          /* since the last line */
    bool headed;                    /* the table's heading was printed */
    dreamo_progress call;
    void *user;
    bool stop;                      /* the callback asked for it */
} train_log;

/* done of total steps are behind us; out NULL: no file.  Lines of steps after `done` that an interrupted run left in the file are taken out,
 * and when it did not get to the end of that step (not `whole`) what it wrote after the step's line. */
dreamo_status log_open(train_log *l, const char *out, int64_t done, bool whole, int64_t total, int64_t every, dreamo_progress call,
                       void *user, dreamo_error *err);
void          log_close(train_log *l);
dreamo_status log_add_step(train_log *l, const log_step *s, dreamo_error *err);
/* Named numbers that belong to a step: {"step":..,"validation":{"right":..}}. */
dreamo_status log_numbers(train_log *l, int64_t step, const char *what, const log_part *part, int n, dreamo_error *err);
/* A picture that belongs to a step, a PNG file: for TensorBoard alone. */
void          log_picture(train_log *l, int64_t step, const char *png);
void          log_note(train_log *l, const char *format, ...) __attribute__((format(printf, 2, 3)));
void          log_warn(train_log *l, const char *format, ...) __attribute__((format(printf, 2, 3)));
#endif
