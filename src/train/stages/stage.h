/* stage.h - what a kind of training must be able to do; the loop around it is trainer.c.
 *
 * All randomness of sample number n comes from (seed, n): composing is a pure function, and a run can go on from any sample. */
#ifndef TRAIN_STAGE_H
#define TRAIN_STAGE_H
#include "data/sample.h"
#include "train/report/log.h"
#include "train/network.h"
#include "train/params.h"
#include "train/recipe.h"
#include "train/stages/sized.h"

typedef struct stage stage;

typedef struct stage_kind {
    const char *name;
    /* Open the networks, name, allocate, attach and begin the parameters. */
    dreamo_status (*open)(stage *s, dreamo_error *err);
    void (*close)(stage *s);
    /* Samples first .. first + micro - 1: compose, forward, backward; gradients are added, the losses' shares (1 / `of`) are
     * added to *out. */
    dreamo_status (*micro)(stage *s, int64_t first, int of, log_step *out, dreamo_error *err);
    /* The same on the dry backend, of the largest batch there can be; no data is read.  *tokens: rows or pixels in it. */
    dreamo_status (*plan)(stage *s, nn_counts *counts, int64_t *tokens, dreamo_error *err);
    /* Compute with s->p.value or s->p.ema from now on. */
    void (*use)(stage *s, const float *vector);
    /* Fixed held-out samples, fixed noise: numbers to the log. */
    dreamo_status (*validate)(stage *s, train_log *log, int64_t step, dreamo_error *err);
    /* Write the trained parts into a model folder. */
    dreamo_status (*export)(stage *s, const char *folder, dreamo_error *err);
    /* A contact sheet; `model` is an exported model folder. */
    dreamo_status (*sheet)(stage *s, const char *model, const char *path, dreamo_error *err);
} stage_kind;

struct stage {
    const stage_kind *kind;
    const recipe *r;
    const char *model;        /* folder */
    const char *file[PARTS];  /* parts that come from elsewhere; NULL: from the folder */
    data_set *data;           /* NULL while planning */
    const char *data_path;    /* what it was opened from */
    device *dev;
    const char *cache;        /* folder of what frozen encoders made; NULL: none */
    network n;
    params p;
    int64_t in_networks;      /* how many of p's numbers are the networks' own weights */
    sized tape, plain;        /* contexts with and without a tape */
    const char *begin_from;   /* an adapter file that the run goes on with; NULL: as the recipe says */
    char frozen_hash[65];     /* of the weights that the run began with */
    void *self;
};

extern const stage_kind stage_vae, stage_base, stage_adapter, stage_cfg, stage_sft, stage_dpo, stage_judge, stage_matting;

/* The recipe's kinds; where it leaves them to the stage, `otherwise` alone, or the given samples' own.  All of them must be there to train on. */
dreamo_status stage_kinds(const stage *s, data_kind otherwise, mixture *out, dreamo_error *err);
/* Every size and side that the recipe lists is a multiple of `cell` pixels. */
dreamo_status stage_check_sizes(const stage *s, int cell, dreamo_error *err);

/* The way back of a loss that has no op and is computed on the host: it begins with mean((x - (x - N/2 grad))^2) of N numbers, whose gradient is
 * `grad`.  values: x, read; grad is overwritten.  On the dry backend neither is looked at. */
void stage_backward(nn *cx, tensor x, const float *values, float *grad);

/* Numbers 0 .. n-1 as tasks of the pool; the error of the lowest number that failed is told. */
typedef dreamo_status (*each_fn)(void *arg, int i, dreamo_error *err);
dreamo_status stage_each(const stage *s, int n, each_fn fn, void *arg, dreamo_error *err);
dreamo_status stage_each_on(pool *threads, int n, each_fn fn, void *arg, dreamo_error *err); /* another pool than the device's */
#endif
