/* half.c - IEEE binary16, bit by bit: no hardware needed. */
#include "base/half.h"

uint16_t f32_to_f16(float f)
{
    uint32_t u;
    memcpy(&u, &f, 4);
    uint32_t sign = (u >> 16) & 0x8000u, magnitude = u & 0x7FFFFFFFu;
    if (magnitude > 0x7F800000u) return (uint16_t)(sign | 0x7E00u);            /* NaN */
    if (magnitude >= 0x477FF000u) return (uint16_t)(sign | 0x7C00u);           /* rounds to infinity */
    if (magnitude >= 0x38800000u) {                                            /* normal */
        uint32_t rebased = magnitude - 0x38000000u;
        return (uint16_t)(sign | (rebased + 0xFFFu + ((rebased >> 13) & 1u)) >> 13);
    }
    /* Subnormal: adding 0.5 puts the last kept bit at fp32's last bit, so the addition rounds to even. */
    float positive;
    uint32_t sum;
    memcpy(&positive, &magnitude, 4);
    positive += 0.5f;
    memcpy(&sum, &positive, 4);
    return (uint16_t)(sign | (sum - 0x3F000000u));
}
