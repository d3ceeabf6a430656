/* dtype.c - names, sizes and values of stored numbers. */
#include "base/dtype.h"
#include <math.h>
#include <stdint.h>
#include <string.h>
#include "base/blocks.h"
#include "base/half.h"

static const struct { const char *name; size_t block, nbytes; } types[DT_COUNT] = { /* bytes of a block */
    [DT_F32] = { "F32", 1, 4 },      [DT_BF16] = { "BF16", 1, 2 },    [DT_F16] = { "F16", 1, 2 },
    [DT_F8_E4M3] = { "F8_E4M3", 1, 1 }, [DT_F8_E5M2] = { "F8_E5M2", 1, 1 },
    [DT_Q8_0] = { "Q8_0", 32, 34 },  [DT_Q5_1] = { "Q5_1", 32, 24 },  [DT_Q5_0] = { "Q5_0", 32, 22 },
    [DT_Q4_1] = { "Q4_1", 32, 20 },  [DT_Q4_0] = { "Q4_0", 32, 18 },
    [DT_Q6_K] = { "Q6_K", 256, 210 }, [DT_Q5_K] = { "Q5_K", 256, 176 }, [DT_Q4_K] = { "Q4_K", 256, 144 },
    [DT_Q3_K] = { "Q3_K", 256, 110 }, [DT_Q2_K] = { "Q2_K", 256, 84 },  [DT_NF4] = { "NF4", 32, 20 },
    [DT_F64] = { "F64", 1, 8 },      [DT_I64] = { "I64", 1, 8 },      [DT_I32] = { "I32", 1, 4 },   [DT_I16] = { "I16", 1, 2 },
    [DT_I8] = { "I8", 1, 1 },        [DT_U64] = { "U64", 1, 8 },      [DT_U32] = { "U32", 1, 4 },   [DT_U16] = { "U16", 1, 2 },
    [DT_U8] = { "U8", 1, 1 },        [DT_BOOL] = { "BOOL", 1, 1 },
};

const char *dtype_name(dtype t) { return types[t].name; }
size_t      dtype_block(dtype t) { return types[t].block; }
bool        dtype_is_weight(dtype t) { return t < DT_F64; }
size_t      dtype_nbytes(dtype t) { return types[t].block == 1 ? types[t].nbytes : 0; }
size_t      dtype_nbytes_of(dtype t, size_t n) { return n / types[t].block * types[t].nbytes; }
double      dtype_bits(dtype t) { return 8.0 * (double)types[t].nbytes / (double)types[t].block; }

int dtype_from_name(const char *s)
{
    for (int t = 0; t < DT_COUNT; t++)
        if (strcmp(types[t].name, s) == 0) return t;
    return -1;
}

void dtype_to_f32(dtype t, const void *src, size_t n, float *dst)
{
#define CONVERT(type, expression)                                       \
    for (size_t i = 0; i < n; i++) {                                    \
        type v;                                                         \
        memcpy(&v, (const char *)src + i * sizeof v, sizeof v);         \
        dst[i] = expression;                                            \
    }                                                                   \
    break
    switch (t) {
    case DT_F32: memcpy(dst, src, n * sizeof *dst); break;
    case DT_BF16: CONVERT(uint16_t, bf16_to_f32(v));
    case DT_F16: CONVERT(uint16_t, f16_to_f32(v));
    case DT_F64: CONVERT(double, (float)v);
    case DT_I64: CONVERT(int64_t, (float)v);
    case DT_I32: CONVERT(int32_t, (float)v);
    case DT_I16: CONVERT(int16_t, (float)v);
    case DT_I8: CONVERT(int8_t, (float)v);
    case DT_U64: CONVERT(uint64_t, (float)v);
    case DT_U32: CONVERT(uint32_t, (float)v);
    case DT_U16: CONVERT(uint16_t, (float)v);
    case DT_U8: case DT_BOOL: CONVERT(uint8_t, (float)v);
    case DT_F8_E4M3: CONVERT(uint8_t, f8_e4m3_to_f32(v));
    case DT_F8_E5M2: CONVERT(uint8_t, f8_e5m2_to_f32(v));
    case DT_Q8_0: case DT_Q6_K: case DT_Q5_K: case DT_Q5_1: case DT_Q5_0: case DT_Q4_K: case DT_Q4_1: case DT_Q4_0: case DT_Q3_K:
    case DT_Q2_K: case DT_NF4: blocks_to_f32(t, src, n, dst); break;
    case DT_COUNT: break;
    }
#undef CONVERT
}

bool dtype_is_encoded(dtype t) { return dtype_is_weight(t) && t != DT_Q2_K && t != DT_Q3_K && t != DT_NF4; }

/* Round to a float of 8 bits with `fraction` fraction bits whose smallest normal number is 2^least; `top` is infinity or NaN. */
static uint8_t f32_to_f8(float f, int fraction, int least, uint8_t top)
{
    uint32_t u, sum;
    memcpy(&u, &f, 4);
    uint32_t sign = u >> 24 & 0x80u, magnitude = u & 0x7FFFFFFFu, normal = (uint32_t)(127 + least) << 23;
    int shift = 23 - fraction;
    if (magnitude > 0x7F800000u) return (uint8_t)(sign | 0x7Fu);
    if (magnitude < normal) { /* subnormal: adding 2^k puts the last kept bit at fp32's last bit, so the addition rounds to even */
        float positive, large = ldexpf(1, least - fraction + 23);
        memcpy(&positive, &magnitude, 4);
        positive += large;
        memcpy(&sum, &positive, 4);
        memcpy(&u, &large, 4);
        return (uint8_t)(sign | (sum - u));
    }
    uint32_t rebased = magnitude - normal + (1u << 23);
    uint32_t rounded = (rebased + (1u << (shift - 1)) - 1 + (rebased >> shift & 1)) >> shift;
    return (uint8_t)(sign | (rounded > top ? top : rounded));
}

void dtype_from_f32(dtype t, const float *src, size_t n, void *dst)
{
    uint16_t *half = dst;
    uint8_t *byte = dst;
    switch (t) {
    case DT_F32: memcpy(dst, src, n * sizeof *src); break;
    case DT_BF16: for (size_t i = 0; i < n; i++) half[i] = f32_to_bf16(src[i]); break;
    case DT_F16: for (size_t i = 0; i < n; i++) half[i] = f32_to_f16(src[i]); break;
    case DT_F8_E4M3: for (size_t i = 0; i < n; i++) byte[i] = f32_to_f8(src[i], 3, -6, 0x7F); break;
    case DT_F8_E5M2: for (size_t i = 0; i < n; i++) byte[i] = f32_to_f8(src[i], 2, -14, 0x7C); break;
    default: blocks_from_f32(t, src, n, dst); break;
    }
}
