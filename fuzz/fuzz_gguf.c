/* fuzz_gguf.c - GGUF files: what opens can be read to the last number. */
#include "format/gguf.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t nbytes) { return gguf_is(data, nbytes) ? fuzz_weights("w.gguf", data, nbytes) : 0; }
