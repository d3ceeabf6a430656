/* half.h - floating point of 16 and 8 bits, as bit patterns. */
#ifndef BASE_HALF_H
#define BASE_HALF_H
#include <stdint.h>
#include <string.h>

static inline float bf16_to_f32(uint16_t h)
{
    uint32_t u = (uint32_t)h << 16;
    float f;
    memcpy(&f, &u, 4);
    return f;
}

/* Round to nearest, ties to even (spec 0); NaN stays NaN. */
static inline uint16_t f32_to_bf16(float f)
{
    uint32_t u;
    memcpy(&u, &f, 4);
    if ((u & 0x7FFFFFFFu) > 0x7F800000u) return (uint16_t)((u >> 16) | 0x40u);
    return (uint16_t)((u + 0x7FFFu + ((u >> 16) & 1u)) >> 16);
}

static inline float round_bf16(float f) { return bf16_to_f32(f32_to_bf16(f)); }

/* IEEE binary16, without branches, so that loops over it become vector code. */
static inline float f16_to_f32(uint16_t h)
{
    uint32_t magnitude = h & 0x7FFFu, sign = (uint32_t)(h & 0x8000u) << 16, tiny, u;
    float subnormal = (float)magnitude * 0x1p-24f; /* exact */
    memcpy(&tiny, &subnormal, 4);
    u = (magnitude << 13) + 0x38000000u;          /* the exponents' biases differ by 112 */
    u = magnitude >= 0x7C00u ? u + 0x38000000u : u; /* infinity and NaN: the highest exponent stays the highest */
    u = (magnitude < 0x400u ? tiny : u) | sign;
    float f;
    memcpy(&f, &u, 4);
    return f;
}

/* A float of 1 sign bit, 7 - fraction exponent bits and `fraction` fraction bits whose smallest subnormal is `least`; at `top` begin the
 * magnitudes that stand for infinity and NaN.  Masks instead of choices: compilers make vectors of a loop over it. */
static inline float f8_to_f32(uint8_t b, int fraction, float least, uint32_t bias, uint32_t top)
{
    uint32_t magnitude = b & 0x7Fu, normal = (magnitude << (23 - fraction)) + (bias << 23), u;
    float f, subnormal = (float)(int32_t)magnitude * least; /* exact */
    memcpy(&u, &subnormal, 4);
    uint32_t small = 0u - (uint32_t)(magnitude < 1u << fraction), special = 0u - (uint32_t)(magnitude >= top);
    u = (u & small) | (normal & ~small) | (special & 0x7F800000u) | (uint32_t)(b & 0x80u) << 24;
    memcpy(&f, &u, 4);
    return f;
}

/* 4 exponent bits (bias 7); no infinity, 0x7F is NaN. */
static inline float f8_e4m3_to_f32(uint8_t b) { return f8_to_f32(b, 3, 0x1p-9f, 120, 0x7F); }

/* 5 exponent bits (bias 15), infinity and NaN: the upper half of a binary16. */
static inline float f8_e5m2_to_f32(uint8_t b) { return f8_to_f32(b, 2, 0x1p-16f, 112, 0x7C); }

/* Round to nearest, ties to even; NaN stays NaN; too large becomes infinity. */
uint16_t f32_to_f16(float f);
#endif
