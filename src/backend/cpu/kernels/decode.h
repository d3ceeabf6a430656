/* decode.h - a piece of a stored row of any weight type to fp32, compiled for this instruction set.
 *
 * Blocks and fp8 go through the plain loops of base/, which compilers make vectors of; multiplying and adding may be fused here, so
 * a number of a type with offsets may differ from dtype_to_f32's in its last bit. */
#ifndef CPU_KERNELS_DECODE_H
#define CPU_KERNELS_DECODE_H
#include "backend/cpu/kernels/simd.h"
#include "base/blocks_decode.h"

/* A piece of a row begins and ends at a multiple of this. */
INLINE int decode_unit(dtype t) { return dtype_block(t) > 1 ? BLOCKS_RUN : 1; }

INLINE void decode_as(dtype t, const void *row, int from, int n, float *dst)
{
    for (int i = 0; i < n; i += VL) v_storen(dst + i, v_load_as(t, row, (size_t)(from + i), n - i), n - i);
}

/* dst[n] = numbers from .. from + n of a row, times the row's scale (NULL: 1). */
static void decode_row(dtype t, const void *row, int from, int n, const float *scale, float *dst)
{
    const uint8_t *bytes = (const uint8_t *)row + from; /* of fp8 */
    switch (t) {
    case DT_F32: decode_as(DT_F32, row, from, n, dst); break;
    case DT_BF16: decode_as(DT_BF16, row, from, n, dst); break;
    case DT_F16: decode_as(DT_F16, row, from, n, dst); break;
    case DT_F8_E4M3: for (int i = 0; i < n; i++) dst[i] = f8_e4m3_to_f32(bytes[i]); break;
    case DT_F8_E5M2: for (int i = 0; i < n; i++) dst[i] = f8_e5m2_to_f32(bytes[i]); break;
    default: blocks_decode(t, row, (size_t)from, (size_t)n, dst); break;
    }
    if (!scale) return;
    vf s = v_set(*scale);
    for (int i = 0; i < n; i += VL) v_storen(dst + i, v_loadn(dst + i, n - i) * s, n - i);
}
#endif
