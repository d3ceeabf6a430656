/* fuzz_pth.c - torch.save's files, both containers: what opens can be read to the last number, and nothing in it runs. */
#include "format/pth.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t nbytes) { return pth_is(data, nbytes) ? fuzz_weights("w.pth", data, nbytes) : 0; }
