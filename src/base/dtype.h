/* dtype.h - how numbers are stored in files and weights. */
#ifndef BASE_DTYPE_H
#define BASE_DTYPE_H
#include <stdbool.h>
#include <stddef.h>
typedef enum dtype {
    DT_F32, DT_BF16, DT_F16, DT_F8_E4M3, DT_F8_E5M2,                               /* a number at a time: `linear` and `embed` compute from these */
    DT_Q8_0, DT_Q6_K, DT_Q5_K, DT_Q5_1, DT_Q5_0, DT_Q4_K, DT_Q4_1, DT_Q4_0, DT_Q3_K, DT_Q2_K, /* ggml's blocks (blocks.h): and from these */
    DT_NF4,                                                                        /* bitsandbytes' (blocks_decode.h), its scales among its codes: and this */
    DT_F64, DT_I64, DT_I32, DT_I16, DT_I8, DT_U64, DT_U32, DT_U16, DT_U8, DT_BOOL, /* read, converted or refused by name */
    DT_COUNT
} dtype;
const char *dtype_name(dtype t);                    /* safetensors' spelling: "F32", "BF16"; ggml's for blocks: "Q8_0" */
int         dtype_from_name(const char *s);         /* -1: unknown */
size_t      dtype_block(dtype t);                   /* numbers in a block: 32, 256, or 1 for a type without blocks */
bool        dtype_is_weight(dtype t);               /* one of the first three rows above */
size_t      dtype_nbytes(dtype t);                  /* bytes an element; 0 for a type with blocks */
size_t      dtype_nbytes_of(dtype t, size_t n);     /* bytes of n numbers, n a multiple of the block; no check for overflow */
double      dtype_bits(dtype t);                    /* a number, scales included: 4.5 for Q4_0 */
/* n values of any type to fp32, rounded to nearest where fp32 has fewer bits.  src need not be aligned; n is a multiple of the block. */
void        dtype_to_f32(dtype t, const void *src, size_t n, float *dst);
/* The reverse for a type that dtype_is_encoded: to nearest, ties to even; blocks as blocks.h says.  Too large becomes infinity, in
 * F8_E4M3, which has none, NaN. */
void        dtype_from_f32(dtype t, const float *src, size_t n, void *dst);
bool        dtype_is_encoded(dtype t);              /* weight types but the 2-bit and 3-bit blocks and NF4 */
#endif
