/* convert.h - inside dreamo_convert: the tensors of the output and where their numbers come from.
 *
 * Names and shapes are those of the files that other programs load, too (weights/layout.h): a transformer's are BFL's, where q, k, v and a
 * single block's mlp are one matrix and the last layer's modulation holds shift before scale (spec 1.2, 1.3). */
#ifndef WEIGHTS_CONVERT_H
#define WEIGHTS_CONVERT_H
#include "base/threads.h"
#include "format/safetensors.h"
#include "weights/bind.h"
#include "weights/lora/change.h"
#include "weights/tables.h"

enum { CONVERT_PIECES = WEIGHT_PARTS };

typedef struct convert_tensor {
    char name[128];
    const weight *w;      /* a matrix: all its parts, adapters added; NULL: the pieces */
    const lora_change *changes; /* to be added to the matrix, beside its adapters */
    int npieces;          /* vectors, one below the other */
    struct { int64_t row0, rows; const float *values; } piece[CONVERT_PIECES];
    int64_t rows, cols;
    int rank;             /* in the file: 2, or 1 with cols = 1, or 0 */
    bool swapped;         /* output row r is source row r +- rows / 2 */
    bool sensitive;       /* keeps 16 bits at least */
    dtype type;           /* in the file */
    float scale;          /* stored = value / scale */
} convert_tensor;

typedef struct convert_list { int n, room; convert_tensor *tensors; bool failed; /* no memory */ } convert_list;

/* Every parameter of the network, where `layout` puts it; of those whose names begin with one of `sensitive` (ends with NULL) the
 * matrices keep 16 bits.  convert_list_free frees what was listed. */
void convert_list_network(convert_list *l, void *network, bind_walk walk, file_layout layout, const char *const *sensitive);
/* One more tensor of numbers in memory, which stay the caller's. */
void convert_list_values(convert_list *l, int rank, int64_t rows, int64_t cols, const float *values, const char *format, ...)
    __attribute__((format(printf, 6, 7)));
void convert_list_free(convert_list *l);

/* The type that `t` gets when `to` is asked for: vectors stay fp32 (in a file of 16-bit numbers they are 16-bit, too), sensitive
 * matrices keep 16 bits, rows that are not whole blocks get the nearest type whose blocks fit. */
dtype convert_type(const convert_tensor *t, dtype to);

/* Rows [row0, row0 + n) of the output tensor in fp32, before division by its scale.  `official` copies the roundings of the official
 * fusion (spec 2.10) where the stored matrix is bf16. */
void convert_rows(const convert_tensor *t, int64_t row0, int n, bool official, float *dst);

/* A walk over the rows of a tensor by many threads: `take` gets n rows at a time, in fp32, in any order, and returns false when it
 * does not like them.  Writes nothing itself. */
enum { CONVERT_ROWS = 16 };  /* rows a call of take, at most */
typedef bool (*convert_take)(void *user, int64_t row0, int n, float *rows, int worker);
dreamo_status convert_walk(const convert_tensor *t, bool official, int64_t row0, int64_t rows, pool *threads, convert_take take,
                           void *user, dreamo_error *err);
#endif
