/* gguf_write.h - writing GGUF version 3, little endian, the container of ggml's quantised types. */
#ifndef FORMAT_GGUF_WRITE_H
#define FORMAT_GGUF_WRITE_H
#include "format/safetensors.h"

/* One line of metadata: text, or a number where text is NULL. */
typedef struct gguf_meta { const char *key, *text; uint32_t number; } gguf_meta;

enum { GGUF_MAX_NAME = 63, GGUF_ALIGNMENT = 32 }; /* bytes */

/* Write tensors (name, type, rank, shape given; shape with the slowest dimension first as in safetensors, turned round in the file)
 * atomically, in the order given, each filled by `fill`.  A name over GGUF_MAX_NAME, a type that ggml does not have, a shape whose
 * rows are not whole blocks is DREAMO_BUG: the caller chooses all of them. */
dreamo_status gguf_write(const char *path, bool clobber, const gguf_meta *meta, int nmeta, const st_tensor *tensors, int ntensors,
                         st_fill fill, void *user, dreamo_error *err);
#endif
