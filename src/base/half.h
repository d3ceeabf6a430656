/* half.h - floating point of 16 and 8 bits, as bit patterns. */
#ifndef BASE_HALF_H
#define BASE_HALF_H
#include <math.h>
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

/* fp8: 1 sign, 4 exponent (bias 7), 3 fraction bits; no infinity, 0x7F is NaN.  As binary16 with one exponent bit less it is 2^-8 of its
 * value, except that the highest exponent is an ordinary one. */
static inline float f8_e4m3_to_f32(uint8_t b)
{
    float v = f16_to_f32((uint16_t)((b & 0x80) << 8 | (b & 0x7F) << 7)) * 256;
    return (b & 0x7F) == 0x7F ? NAN : v;
}

/* 5 exponent, 2 fraction bits: the upper half of a binary16. */
static inline float f8_e5m2_to_f32(uint8_t b) { return f16_to_f32((uint16_t)(b << 8)); }

/* Round to nearest, ties to even; NaN stays NaN; too large becomes infinity. */
uint16_t f32_to_f16(float f);
#endif
