/* fuzz_safetensors.c - weight files, safetensors and (by their first bytes) GGUF: what opens can be read to the last number. */
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t nbytes) { return fuzz_weights("w.safetensors", data, nbytes); }
