/* named_weights.h - weights and inputs made from their names: no file could hold those of FLUX.1-dev here.
 *
 * Value i of NAME: FNV-1a of the name + i, through splitmix64, to u in [-1, 1).  tests/oracle/flux_train.py makes the same. */
#ifndef TESTS_NAMED_WEIGHTS_H
#define TESTS_NAMED_WEIGHTS_H
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "base/rng.h"
#include "base/threads.h"
#include "format/safetensors.h"
#include "nn/nn.h"
#include "nn/param.h"

typedef struct filling { float *to; uint64_t first; double factor, offset; size_t n; } filling;

enum { FILL_PIECE = 1 << 16 };

static void fill_piece(void *arg, int task, int worker)
{
    const filling *f = arg;
    size_t from = (size_t)task * FILL_PIECE, to = from + FILL_PIECE < f->n ? from + FILL_PIECE : f->n;
    (void)worker;
    for (size_t i = from; i < to; i++) {
        uint64_t z = f->first + i + 0x9E3779B97F4A7C15u;
        z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
        z = (z ^ z >> 27) * 0x94D049BB133111EBu;
        z ^= z >> 31;
        f->to[i] = (float)(f->offset + f->factor * (2 * (double)(z >> 11) * 0x1p-53 - 1));
    }
}

/* offset + factor u. */
static void fill(pool *threads, float *to, size_t n, const char *name, double factor, double offset)
{
    filling f = { to, hash_fnv1a(name, strlen(name)), factor, offset, n };
    pool_run(threads, (int)((n + FILL_PIECE - 1) / FILL_PIECE), fill_piece, &f);
}

/* As an initialised network has them: matrices of variance 1 / fan-in, small biases, gains about 1. */
static void fill_param(pool *threads, float *to, const param *p)
{
    /* T5's table has two names in the official code, and this one is the last to be filled */
    const char *name = strcmp(p->name, "shared.weight") ? p->name : "encoder.embed_tokens.weight";
    size_t n = (size_t)param_count(p), length = strlen(name);
    double head = strstr(name, "Head.") ? 0.005 : 1; /* RetinaFace's: else its boxes would be anywhere */
    if (p->rank >= 2) fill(threads, to, n, name, head * sqrt(3.0 * (double)p->shape[0] / (double)n), 0);
    else if (length > 12 && strcmp(name + length - 12, "running_mean") == 0) fill(threads, to, n, name, 0.1, 0);
    else if (length > 11 && strcmp(name + length - 11, "running_var") == 0) fill(threads, to, n, name, 0.5, 1);
    else if (length > 4 && strcmp(name + length - 4, "bias") == 0) fill(threads, to, n, name, 0.1, 0);
    else fill(threads, to, n, name, 0.2, 1);
}

/* ---- what the official modules make of them ---- */

static device *dev;
static st_file want;

/* 0: both are there. */
static int numbers_open(const char *path)
{
    dreamo_error err = { 0 };
    dev = backend_cpu.open(0);
    if (st_open(path, &want, &err)) fprintf(stderr, "%s\n", err.message);
    return dev && want.ntensors ? 0 : -1;
}

static int numbers_close(void **state)
{
    (void)state;
    st_close(&want);
    backend_cpu.close(dev);
    return 0;
}
#endif
