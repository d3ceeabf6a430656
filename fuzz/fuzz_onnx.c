/* fuzz_onnx.c - the tensors of ONNX files: what opens can be read to the last number. */
#include "format/onnx.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t nbytes) { return onnx_is(data, nbytes) ? fuzz_weights("w.onnx", data, nbytes) : 0; }
