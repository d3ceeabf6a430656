/* onnx.h - the tensors of an ONNX file: its initializers; the graph itself is not read. */
#ifndef FORMAT_ONNX_H
#define FORMAT_ONNX_H
#include "format/safetensors.h"

bool onnx_is(const unsigned char *data, size_t nbytes);
/* f->path and f->map are there.  Weights keep the type that the file has, but those that onnxruntime quantised to 8 bits become f32; lists of whole
 * numbers that are not stored as raw bytes are left out. */
dreamo_status onnx_read(st_file *f, dreamo_error *err);
#endif
