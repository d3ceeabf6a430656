/* tfjs.h - weights as TensorFlow.js keeps them: a manifest in JSON, and bytes beside it that stand for numbers. */
#ifndef FORMAT_TFJS_H
#define FORMAT_TFJS_H
#include "format/safetensors.h"

/* path: of a ..-weights_manifest.json with one file of weights, quantised to 8 bits.  All tensors are F32 in memory of the file's own, in the shapes that the
 * manifest has (filters: height, width, in, out).  st_close frees it. */
dreamo_status tfjs_open(const char *path, st_file *out, dreamo_error *err);
#endif
