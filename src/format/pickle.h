/* pickle.h - Python's pickles, as far as files of tensors need them: values are built, nothing is ever called.
 *
 * Taken: protocol 2's marks, tuples, lists, dictionaries, numbers, strings and memo, and five callables by name: OrderedDict, the two that
 * put a tensor or parameter together, and the types of storages.  Every other opcode and every other callable is refused by its name.  Budgets
 * bound what a file can make of few bytes. */
#ifndef FORMAT_PICKLE_H
#define FORMAT_PICKLE_H
#include <stdint.h>
#include "base/dtype.h"
#include "base/error.h"

#define PICKLE_MAX_RANK 8

typedef enum pickle_kind { PK_NONE, PK_BOOL, PK_INT, PK_BIG, PK_FLOAT, PK_STRING, PK_MARK, PK_TUPLE, PK_LIST, PK_DICT, PK_GLOBAL, PK_STORAGE, PK_TENSOR } pickle_kind;

/* A value, named by its index.  Lists and tuples: cells of one value each; dictionaries: of key and value in turn. */
typedef struct pickle_value {
    pickle_kind kind;
    union {
        int64_t number;                                      /* INT, BOOL */
        double real;
        struct { const char *p; uint32_t n; } string;        /* STRING; BIG: little-endian bytes.  Into the file */
        struct { uint32_t first, last, count; } cells;       /* 0: none */
        uint32_t index;                                      /* GLOBAL, STORAGE, TENSOR: of the tables */
    };
} pickle_value;
typedef struct pickle_cell { uint32_t value, next; } pickle_cell;

/* Numbers that lie elsewhere in the file, found by their key. */
typedef struct pickle_storage { const char *key; uint32_t key_n; dtype type; int64_t count; const unsigned char *data; } pickle_storage;
typedef struct pickle_tensor { uint32_t storage; int64_t offset, shape[PICKLE_MAX_RANK], stride[PICKLE_MAX_RANK]; int rank; } pickle_tensor;

typedef struct pickle {
    const char *what;                                        /* for messages */
    pickle_value *values;
    pickle_cell *cells;
    pickle_storage *storages;
    pickle_tensor *tensors;
    uint32_t nvalues, ncells, nstorages, ntensors;
    uint32_t value_room, cell_room, storage_room, tensor_room;
    uint32_t *stack, *memo;
    uint32_t nstack, stack_room, memo_room;
} pickle;

/* One pickle from data on: its value is *root, its length *used.  May be called again for the next one; the tables go on growing. */
dreamo_status pickle_read(pickle *p, const unsigned char *data, size_t nbytes, uint32_t *root, size_t *used, dreamo_error *err);
void          pickle_free(pickle *p);
#endif
