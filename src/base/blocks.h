/* blocks.h - the quantised formats of ggml: blocks of 32 or 256 numbers that share scales.
 *
 * Decoding gives the values that ggml gives, bit for bit: same operations, same order, fp32.  A block is bytes without alignment.
 * Encoding: the formats of 32 have one rounding rule, ggml's, and give its bytes; those of 256 leave the choice of scales open: ours
 * searches for the least squared error. */
#ifndef BASE_BLOCKS_H
#define BASE_BLOCKS_H
#include <stddef.h>
#include "base/dtype.h"

/* n numbers, a multiple of dtype_block(t), of a type with blocks. */
void blocks_to_f32(dtype t, const void *src, size_t n, float *dst);
/* The reverse, for a type that dtype_is_encoded; numbers must be finite. */
void blocks_from_f32(dtype t, const float *src, size_t n, void *dst);
#endif
