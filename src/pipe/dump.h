/* dump.h - every stage of a request as one safetensors file, for comparison with the official pipeline. */
#ifndef PIPE_DUMP_H
#define PIPE_DUMP_H
#include <stdint.h>
#include "format/safetensors.h"

/* Collects copies; a NULL dump ignores everything.  Lack of memory is remembered and told by dump_write. */
typedef struct dump dump;

dump         *dump_new(void);          /* NULL: no memory */
void          dump_free(dump *d);
dreamo_status dump_write(dump *d, const char *folder, dreamo_error *err); /* folder/stages.safetensors; the folder is there */

/* `name` is a printf format; the shape is a list of sizes that ends with 0. */
typedef struct dump_shape { int64_t n[4]; } dump_shape;
void dump_tensor(dump *d, dtype type, dump_shape shape, const void *data, const char *name, ...)
    __attribute__((format(printf, 5, 6)));
#define SHAPE(...) ((dump_shape){ { __VA_ARGS__ } })
#endif
