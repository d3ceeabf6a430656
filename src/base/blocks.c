/* blocks.c - the formats of blocks_decode.h for everyone. */
#include "base/blocks.h"
#include "base/blocks_decode.h"

void blocks_to_f32(dtype t, const void *src, size_t n, float *dst) { blocks_decode(t, src, 0, n, dst); }
