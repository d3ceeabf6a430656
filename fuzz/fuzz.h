/* fuzz.h - what the targets share: files made of an input, in a folder of the process' own.
 *
 * A target is one file, fuzz_X.c: it gives the bytes to one reader, uses what comes out, and frees it.  Whatever the bytes are, the
 * reader answers; sanitizers and the checks here judge.  Inputs that stand for several files have them in a fixed order with the byte
 * 0x1E between them. */
#ifndef FUZZ_H
#define FUZZ_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "base/error.h"
#include "base/mem.h"
#include "format/safetensors.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t nbytes);

/* Write a file in the current folder, which is an empty one at the start; *name may hold slashes. */
void fuzz_put(const char *name, const void *data, size_t nbytes);
/* The next of the files that an input stands for; false: there are no more.  A missing one is written empty. */
typedef struct fuzz_parts { const uint8_t *at, *end; bool over; } fuzz_parts;
bool fuzz_next(fuzz_parts *p, const uint8_t **data, size_t *nbytes);
bool fuzz_put_next(fuzz_parts *p, const char *name);

/* A weight file that was opened: each tensor is found by its name and can be read to its last number; then it is named. */
void fuzz_walk(const st_file *f);
/* All of a target for one weight file: opened by what it holds, walked over, closed; or refused with a message. */
int  fuzz_weights(const char *name, const void *data, size_t nbytes);
/* The same from where it was opened; s is the answer. */
int  fuzz_opened(dreamo_status s, const dreamo_error *err, st_file *f);

/* After the target: nothing that was taken through mem.h is left, and a failure has a message. */
void fuzz_must(bool holds, const char *what);
void fuzz_told(dreamo_status s, const dreamo_error *err);
#endif
