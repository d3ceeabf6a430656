/* blocks_int8.h - ggml's quantised formats as the integers they store: a run of 32 numbers (blocks_decode.h) is q * scale + offset.
 *
 * What a run decodes to is this product and sum in fp32, bit for bit: the same integers, scales and offsets stand in both headers, and
 * test_int8 compares them.  For products in integers, which want them apart.
 * Q2_K is left out: its groups of 16 have offsets, too. */
#ifndef BASE_BLOCKS_INT8_H
#define BASE_BLOCKS_INT8_H
#include "base/blocks_decode.h"

/* How a run's 32 integers are scaled. */
typedef enum blocks_kind {
    BLOCKS_NOT_INT8, /* no blocks, or Q2_K */
    BLOCKS_SCALED,   /* one scale */
    BLOCKS_OFFSET,   /* one scale, one offset */
    BLOCKS_HALVES    /* a scale for each 16 */
} blocks_kind;

static inline blocks_kind blocks_int8_kind(dtype t)
{
    switch (t) {
    case DT_Q8_0: case DT_Q5_0: case DT_Q4_0: return BLOCKS_SCALED;
    case DT_Q5_1: case DT_Q4_1: case DT_Q5_K: case DT_Q4_K: return BLOCKS_OFFSET;
    case DT_Q6_K: case DT_Q3_K: return BLOCKS_HALVES;
    default: return BLOCKS_NOT_INT8;
    }
}

typedef struct blocks_ints {
    int8_t q[BLOCKS_RUN];
    float scale[2]; /* the second one for BLOCKS_HALVES */
    float offset;   /* 0 but for BLOCKS_OFFSET */
} blocks_ints;

/* 16 bytes of two numbers each, less `least` (at most 128 - 16); eight bytes at a time. */
static inline void blocks_int8_q4(const uint8_t *restrict nibbles, int least, int8_t *restrict q)
{
    const uint64_t each = 0x0101010101010101, low = 15 * each, sign = 128 * each, less = (uint64_t)least * each;
    for (int j = 0; j < 16; j += 8) {
        uint64_t eight, a, b;
        memcpy(&eight, nibbles + j, sizeof eight);
        a = (((eight & low) | sign) - less) ^ sign; /* the sign bit, set before and flipped after, keeps a borrow inside its byte */
        b = (((eight >> 4 & low) | sign) - less) ^ sign;
        memcpy(q + j, &a, sizeof a);
        memcpy(q + j + 16, &b, sizeof b);
    }
}

static inline void blocks_int8_q5(const uint8_t *restrict nibbles, uint32_t high, int least, int8_t *restrict q)
{
    for (int j = 0; j < 16; j++) {
        q[j] = (int8_t)(((nibbles[j] & 15) | blocks_fifth(high, j)) - least);
        q[j + 16] = (int8_t)(((nibbles[j] >> 4) | blocks_fifth(high, j + 16)) - least);
    }
}

/* Run `run` of a Q4_K or Q5_K block: its scale and offset; `low`: where its low four bits begin. */
static inline void blocks_int8_q45_k(const uint8_t *b, int run, const uint8_t *restrict low, blocks_ints *restrict out)
{
    int scale, offset, shift = run % 2 * 4;
    blocks_scale_q45(b + 4, run, &scale, &offset);
    out->scale[0] = blocks_half(b) * (float)scale;
    out->offset = -(blocks_half(b + 2) * (float)offset);
    for (int i = 0; i < 32; i++) out->q[i] = (int8_t)(low[run / 2 * 32 + i] >> shift & 15);
}

static inline void blocks_int8_q3_k(const uint8_t *restrict b, int run, blocks_ints *restrict out)
{
    const uint8_t *high = b, *q = b + 32 + run / 4 * 32, *scales = b + 96;
    float d = blocks_half(b + 108);
    int shift = run % 4 * 2;
    for (int half = 0; half < 2; half++) out->scale[half] = d * (float)blocks_scale_q3(scales, 2 * run + half);
    for (int i = 0; i < 32; i++) out->q[i] = (int8_t)(((q[i] >> shift & 3) | (high[i] >> run & 1) << 2) - 4);
}

static inline void blocks_int8_q6_k(const uint8_t *restrict b, int run, blocks_ints *restrict out)
{
    const uint8_t *low = b + run / 4 * 64 + run % 2 * 32, *high = b + 128 + run / 4 * 32, *scales = b + 192 + 2 * run;
    float d = blocks_half(b + 208);
    int low_shift = run % 4 / 2 * 4, high_shift = run % 4 * 2;
    for (int half = 0; half < 2; half++) out->scale[half] = d * (float)(int8_t)scales[half];
    for (int i = 0; i < 32; i++) out->q[i] = (int8_t)(((low[i] >> low_shift & 15) | (high[i] >> high_shift & 3) << 4) - 32);
}

/* Run `run` (numbers 32 run .. 32 run + 31) of a row of blocks of a type whose kind is not BLOCKS_NOT_INT8. */
static inline void blocks_int8(dtype t, const uint8_t *row, size_t run, blocks_ints *out)
{
    int r = (int)(run % 8); /* of a block of 256 */
    const uint8_t *b;
    out->offset = 0;
    switch (t) {
    case DT_Q3_K: blocks_int8_q3_k(row + run / 8 * 110, r, out); return;
    case DT_Q6_K: blocks_int8_q6_k(row + run / 8 * 210, r, out); return;
    case DT_Q4_K: b = row + run / 8 * 144, blocks_int8_q45_k(b, r, b + 16, out); return;
    case DT_Q5_K:
        b = row + run / 8 * 176, blocks_int8_q45_k(b, r, b + 48, out);
        for (int i = 0; i < 32; i++) out->q[i] = (int8_t)(out->q[i] | (b[16 + i] >> r & 1) << 4);
        return;
    case DT_Q4_0: b = row + run * 18, blocks_int8_q4(b + 2, 8, out->q); break;
    case DT_Q4_1: b = row + run * 20, blocks_int8_q4(b + 4, 0, out->q), out->offset = blocks_half(b + 2); break;
    case DT_Q5_0: b = row + run * 22, blocks_int8_q5(b + 6, blocks_word(b + 2), 16, out->q); break;
    case DT_Q5_1: b = row + run * 24, blocks_int8_q5(b + 8, blocks_word(b + 4), 0, out->q), out->offset = blocks_half(b + 2); break;
    default: b = row + run * 34, memcpy(out->q, b + 2, BLOCKS_RUN); break; /* Q8_0 */
    }
    out->scale[0] = blocks_half(b);
}
#endif
