/* checkpoint.h - everything that a run is, in a folder that is either whole or not there (robustness C6).
 *
 * ckpt-000250/ holds weights, optimizer moments, the running average, state.json, the recipe, and MANIFEST, written last: a
 * line a file with its sha256 and size.  It is written as ckpt-000250.tmp/, then renamed; `latest` names the newest. */
#ifndef TRAIN_CHECKPOINT_H
#define TRAIN_CHECKPOINT_H
#include "train/params.h"

/* state.json.  All random numbers of sample n come from (seed, n), so `samples` is both the data cursor and the generator's
 * state. */
typedef struct run_state {
    char stage[16];
    int64_t step;               /* steps done */
    int64_t samples;            /* samples seen */
    int64_t seed;
    int64_t skipped, in_a_row;  /* steps without finite gradients: all, and up to now without a good one between */
    double smoothed;            /* loss; < 0: none yet */
    double seconds;             /* of computing, over all its resumed runs */
    int threads;                /* the arithmetic's order depends on these two */
    char backend[16];
    char model[65], data[65];   /* hashes of what it was trained on and from */
} run_state;

/* Write checkpoint `s->step`, then remove all but the newest `keep`.  On failure earlier checkpoints are untouched. */
dreamo_status checkpoint_save(const char *out, const params *p, const run_state *s, const char *recipe_text, int keep,
                              dreamo_error *err);

/* What a save does after the checkpoint has its name: `latest` tells `step`, and all but the newest `keep` go.  For a run that goes on
 * after a kill in between; nothing happens where all is done. */
dreamo_status checkpoint_settle(const char *out, int64_t step, int keep, dreamo_error *err);
/* Remove what a killed run left half done in its folder: checkpoints, `latest`, the log, model/. */
dreamo_status checkpoint_sweep(const char *out, dreamo_error *err);

/* Called for each checkpoint that cannot be used, with the reason. */
typedef void (*checkpoint_note)(void *user, const char *line);

/* Fill p and *s from the newest whole checkpoint; broken ones are passed over with a note.  DREAMO_NOT_FOUND without any,
 * DREAMO_MISMATCH when it belongs to another network or stage, DREAMO_VERSION when a newer program wrote it. */
dreamo_status checkpoint_load(const char *out, params *p, run_state *s, checkpoint_note note, void *user, dreamo_error *err);

/* The same for one folder. */
dreamo_status checkpoint_read(const char *folder, params *p, run_state *s, dreamo_error *err);
/* MANIFEST names every file once, and each has the size and hash that it tells. */
dreamo_status checkpoint_verify(const char *folder, dreamo_error *err);
bool          checkpoint_any(const char *out);
#endif
