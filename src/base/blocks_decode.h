/* blocks_decode.h - ggml's quantised formats, one function a format, each decoding a run: 32 numbers of a row that start at a multiple
 * of 32.  A block of 32 is one run, a block of 256 eight.
 *
 * Functions in a header, because the CPU kernels compile them once more for their instruction set: loops of constant length without
 * branches, that compilers make vector code of.  Everyone else calls blocks_to_f32 (blocks.h). */
#ifndef BASE_BLOCKS_DECODE_H
#define BASE_BLOCKS_DECODE_H
#include <stdint.h>
#include <string.h>
#include "base/dtype.h"
#include "base/half.h"

enum { BLOCKS_RUN = 32 };
#define BLOCKS_NF4_VALUES                                                                                                         \
    -1.0f, -0.6961928009986877f, -0.5250730514526367f, -0.39491748809814453f, -0.28444138169288635f, -0.18477343022823334f,         \
    -0.09105003625154495f, 0.0f, 0.07958029955625534f, 0.16093020141124725f, 0.24611230194568634f, 0.33791524171829224f,            \
    0.44070982933044434f, 0.5626170039176941f, 0.7229568362236023f, 1.0f

static inline float blocks_half(const uint8_t *p)
{
    uint16_t h;
    memcpy(&h, p, sizeof h);
    return f16_to_f32(h);
}

static inline uint32_t blocks_word(const uint8_t *p)
{
    uint32_t w;
    memcpy(&w, p, sizeof w);
    return w;
}

/* ---- blocks of one run: value j and value j + 16 lie in the low and high half of byte j ---- */

/* scale, 16 bytes */
static inline void blocks_q4_0(const uint8_t *restrict b, int run, float *restrict y)
{
    float d = blocks_half(b);
    (void)run;
    for (int j = 0; j < 16; j++) y[j] = (float)((b[2 + j] & 15) - 8) * d;
    for (int j = 0; j < 16; j++) y[j + 16] = (float)((b[2 + j] >> 4) - 8) * d;
}

/* scale, offset, 16 bytes */
static inline void blocks_q4_1(const uint8_t *restrict b, int run, float *restrict y)
{
    float d = blocks_half(b), m = blocks_half(b + 2);
    (void)run;
    for (int j = 0; j < 16; j++) y[j] = (float)(b[4 + j] & 15) * d + m;
    for (int j = 0; j < 16; j++) y[j + 16] = (float)(b[4 + j] >> 4) * d + m;
}

/* NF4 of bitsandbytes (QLoRA, appendix E): quantiles of a normal distribution, times the largest magnitude of the block.  Files hold codes and
 * magnitudes apart (weights/nf4.c); here a fp32 magnitude stands before 16 bytes, the first number of each in its upper half. */
static inline void blocks_nf4(const uint8_t *restrict b, int run, float *restrict y)
{
    static const float values[16] = { BLOCKS_NF4_VALUES };
    float most;
    (void)run;
    memcpy(&most, b, sizeof most);
    for (int j = 0; j < 16; j++) {
        y[2 * j] = values[b[4 + j] >> 4] * most;
        y[2 * j + 1] = values[b[4 + j] & 15] * most;
    }
}

/* The fifth bits of all 32 numbers stand in one word. */
static inline int blocks_fifth(uint32_t high, int j) { return (int)(high >> j & 1) << 4; }

/* scale, fifth bits, 16 bytes */
static inline void blocks_q5_0(const uint8_t *restrict b, int run, float *restrict y)
{
    float d = blocks_half(b);
    uint32_t high = blocks_word(b + 2);
    (void)run;
    for (int j = 0; j < 16; j++) {
        y[j] = (float)(((b[6 + j] & 15) | blocks_fifth(high, j)) - 16) * d;
        y[j + 16] = (float)(((b[6 + j] >> 4) | blocks_fifth(high, j + 16)) - 16) * d;
    }
}

/* scale, offset, fifth bits, 16 bytes */
static inline void blocks_q5_1(const uint8_t *restrict b, int run, float *restrict y)
{
    float d = blocks_half(b), m = blocks_half(b + 2);
    uint32_t high = blocks_word(b + 4);
    (void)run;
    for (int j = 0; j < 16; j++) {
        y[j] = (float)((b[8 + j] & 15) | blocks_fifth(high, j)) * d + m;
        y[j + 16] = (float)((b[8 + j] >> 4) | blocks_fifth(high, j + 16)) * d + m;
    }
}

/* scale, 32 signed bytes */
static inline void blocks_q8_0(const uint8_t *restrict b, int run, float *restrict y)
{
    float d = blocks_half(b);
    (void)run;
    for (int j = 0; j < 32; j++) y[j] = (float)(int8_t)b[2 + j] * d;
}

/* ---- blocks of eight runs: groups of 16 or 32 with small integer scales under one or two fp16 ones ---- */

/* 16 bytes of scale (low half) and offset (high half) for groups of 16; 64 bytes of four numbers each; two fp16. */
static inline void blocks_q2_k(const uint8_t *restrict b, int run, float *restrict y)
{
    const uint8_t *scales = b + 2 * run, *q = b + 16 + run / 4 * 32;
    float d = blocks_half(b + 80), dmin = blocks_half(b + 82);
    int shift = run % 4 * 2;
    for (int group = 0; group < 2; group++) {
        float scale = d * (float)(scales[group] & 15), offset = dmin * (float)(scales[group] >> 4);
        for (int i = 16 * group; i < 16 * group + 16; i++) y[i] = scale * (float)(q[i] >> shift & 3) - offset;
    }
}

/* The 6-bit scale of group g (0..15) of q3_k: low halves in bytes 0..7, two high bits in bytes 8..11. */
static inline int blocks_scale_q3(const uint8_t *s, int g)
{
    int low = g < 8 ? s[g] & 15 : s[g - 8] >> 4;
    return (low | (s[8 + g % 4] >> (g / 4 * 2) & 3) << 4) - 32;
}

/* 32 bytes of third bits, 64 bytes of two low bits, 12 bytes of scales, one fp16. */
static inline void blocks_q3_k(const uint8_t *restrict b, int run, float *restrict y)
{
    const uint8_t *high = b, *q = b + 32 + run / 4 * 32, *scales = b + 96;
    float d = blocks_half(b + 108);
    int shift = run % 4 * 2;
    for (int group = 0; group < 2; group++) {
        float scale = d * (float)blocks_scale_q3(scales, 2 * run + group);
        for (int i = 16 * group; i < 16 * group + 16; i++)
            y[i] = scale * (float)(((q[i] >> shift & 3) | (high[i] >> run & 1) << 2) - 4);
    }
}

/* The 6-bit scale and offset of group g (0..7) of q4_k and q5_k. */
static inline void blocks_scale_q45(const uint8_t *s, int g, int *scale, int *offset)
{
    if (g < 4) {
        *scale = s[g] & 63;
        *offset = s[g + 4] & 63;
    } else {
        *scale = (s[g + 4] & 15) | s[g - 4] >> 6 << 4;
        *offset = s[g + 4] >> 4 | s[g] >> 6 << 4;
    }
}

/* Two fp16, 12 bytes of scales for groups of 32, then 128 bytes: runs 2k and 2k + 1 in the low and high halves of the same 32 bytes. */
static inline void blocks_q4_k(const uint8_t *restrict b, int run, float *restrict y)
{
    const uint8_t *q = b + 16 + run / 2 * 32;
    int scale, offset, shift = run % 2 * 4;
    blocks_scale_q45(b + 4, run, &scale, &offset);
    float step = blocks_half(b) * (float)scale, least = blocks_half(b + 2) * (float)offset;
    for (int i = 0; i < 32; i++) y[i] = step * (float)(q[i] >> shift & 15) - least;
}

/* The same with 32 bytes of fifth bits before the 128: bit r of byte i belongs to number i of run r. */
static inline void blocks_q5_k(const uint8_t *restrict b, int run, float *restrict y)
{
    const uint8_t *high = b + 16, *q = b + 48 + run / 2 * 32;
    int scale, offset, shift = run % 2 * 4;
    blocks_scale_q45(b + 4, run, &scale, &offset);
    float step = blocks_half(b) * (float)scale, least = blocks_half(b + 2) * (float)offset;
    for (int i = 0; i < 32; i++) y[i] = step * (float)((q[i] >> shift & 15) | (high[i] >> run & 1) << 4) - least;
}

/* 128 bytes of four low bits, 64 bytes of two high bits, 16 signed scales for groups of 16, one fp16. */
static inline void blocks_q6_k(const uint8_t *restrict b, int run, float *restrict y)
{
    const uint8_t *low = b + run / 4 * 64 + run % 2 * 32, *high = b + 128 + run / 4 * 32, *scales = b + 192 + 2 * run;
    float d = blocks_half(b + 208);
    int low_shift = run % 4 / 2 * 4, high_shift = run % 4 * 2;
    for (int group = 0; group < 2; group++) {
        float scale = d * (float)(int8_t)scales[group];
        for (int i = 16 * group; i < 16 * group + 16; i++)
            y[i] = scale * (float)(((low[i] >> low_shift & 15) | (high[i] >> high_shift & 3) << 4) - 32);
    }
}

/* Numbers from .. from + n of a row of blocks, both multiples of BLOCKS_RUN. */
static inline void blocks_decode(dtype t, const uint8_t *row, size_t from, size_t n, float *dst)
{
#define RUNS(format, runs, nbytes)                                                                                                  \
    for (size_t i = 0, r = from / BLOCKS_RUN; i < n; i += BLOCKS_RUN, r++)                                                          \
        blocks_##format(row + r / (runs) * (nbytes), (int)(r % (runs)), dst + i);                                                   \
    break
    switch (t) {
    case DT_Q4_0: RUNS(q4_0, 1, 18);
    case DT_Q4_1: RUNS(q4_1, 1, 20);
    case DT_Q5_0: RUNS(q5_0, 1, 22);
    case DT_Q5_1: RUNS(q5_1, 1, 24);
    case DT_Q8_0: RUNS(q8_0, 1, 34);
    case DT_Q2_K: RUNS(q2_k, 8, 84);
    case DT_Q3_K: RUNS(q3_k, 8, 110);
    case DT_Q4_K: RUNS(q4_k, 8, 144);
    case DT_Q5_K: RUNS(q5_k, 8, 176);
    case DT_Q6_K: RUNS(q6_k, 8, 210);
    case DT_NF4: RUNS(nf4, 1, 20);
    default: break;
    }
#undef RUNS
}
#endif
