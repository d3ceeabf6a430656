/* blocks.c - one function a format, each decoding one block. */
#include "base/blocks.h"
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include "base/half.h"

enum { SMALL = 32, LARGE = 256 };

static float half_at(const uint8_t *p)
{
    uint16_t h;
    memcpy(&h, p, sizeof h);
    return f16_to_f32(h);
}

/* ---- 32 numbers: value j and value j + 16 lie in the low and high half of byte j ---- */

/* scale, 16 bytes */
static void q4_0(const uint8_t *b, float *y)
{
    float d = half_at(b);
    for (int j = 0; j < 16; j++) {
        y[j] = (float)((b[2 + j] & 15) - 8) * d;
        y[j + 16] = (float)((b[2 + j] >> 4) - 8) * d;
    }
}

/* scale, offset, 16 bytes */
static void q4_1(const uint8_t *b, float *y)
{
    float d = half_at(b), m = half_at(b + 2);
    for (int j = 0; j < 16; j++) {
        y[j] = (float)(b[4 + j] & 15) * d + m;
        y[j + 16] = (float)(b[4 + j] >> 4) * d + m;
    }
}

/* The fifth bits of all 32 numbers stand in one word. */
static int fifth(uint32_t high, int j) { return (int)(high >> j & 1) << 4; }

/* scale, fifth bits, 16 bytes */
static void q5_0(const uint8_t *b, float *y)
{
    float d = half_at(b);
    uint32_t high;
    memcpy(&high, b + 2, sizeof high);
    for (int j = 0; j < 16; j++) {
        y[j] = (float)(((b[6 + j] & 15) | fifth(high, j)) - 16) * d;
        y[j + 16] = (float)(((b[6 + j] >> 4) | fifth(high, j + 16)) - 16) * d;
    }
}

/* scale, offset, fifth bits, 16 bytes */
static void q5_1(const uint8_t *b, float *y)
{
    float d = half_at(b), m = half_at(b + 2);
    uint32_t high;
    memcpy(&high, b + 4, sizeof high);
    for (int j = 0; j < 16; j++) {
        y[j] = (float)((b[8 + j] & 15) | fifth(high, j)) * d + m;
        y[j + 16] = (float)((b[8 + j] >> 4) | fifth(high, j + 16)) * d + m;
    }
}

/* scale, 32 signed bytes */
static void q8_0(const uint8_t *b, float *y)
{
    float d = half_at(b);
    for (int j = 0; j < 32; j++) y[j] = (float)(int8_t)b[2 + j] * d;
}

/* ---- 256 numbers: groups with small integer scales under one or two fp16 ones ---- */

/* 16 bytes of scale (low half) and offset (high half) for groups of 16; 64 bytes of four numbers each; two fp16. */
static void q2_k(const uint8_t *b, float *y)
{
    const uint8_t *scales = b, *q = b + 16;
    float d = half_at(b + 80), dmin = half_at(b + 82);
    for (int i = 0; i < LARGE; i++) {
        int group = i / 16, shift = i / 32 % 4 * 2;
        float scale = d * (float)(scales[group] & 15), offset = dmin * (float)(scales[group] >> 4);
        y[i] = scale * (float)(q[i / 128 * 32 + i % 32] >> shift & 3) - offset;
    }
}

/* The 6-bit scale of group g (0..15) of q3_k: low halves in bytes 0..7, two high bits in bytes 8..11. */
static int scale_q3(const uint8_t *s, int g)
{
    int low = g < 8 ? s[g] & 15 : s[g - 8] >> 4;
    return (low | (s[8 + g % 4] >> (g / 4 * 2) & 3) << 4) - 32;
}

/* 32 bytes of third bits, 64 bytes of two low bits, 12 bytes of scales, one fp16. */
static void q3_k(const uint8_t *b, float *y)
{
    const uint8_t *high = b, *q = b + 32, *scales = b + 96;
    float d = half_at(b + 108);
    for (int i = 0; i < LARGE; i++) {
        int shift = i / 32 % 4 * 2, bit = i / 32;
        int v = (q[i / 128 * 32 + i % 32] >> shift & 3) - (high[i % 32] >> bit & 1 ? 0 : 4);
        y[i] = d * (float)scale_q3(scales, i / 16) * (float)v;
    }
}

/* The 6-bit scale and offset of group g (0..7) of q4_k and q5_k. */
static void scale_q45(const uint8_t *s, int g, int *scale, int *offset)
{
    if (g < 4) {
        *scale = s[g] & 63;
        *offset = s[g + 4] & 63;
    } else {
        *scale = (s[g + 4] & 15) | s[g - 4] >> 6 << 4;
        *offset = s[g + 4] >> 4 | s[g] >> 6 << 4;
    }
}

/* Two fp16, 12 bytes of scales for groups of 32, then (q5_k) 32 bytes of fifth bits, then 128 bytes: groups 2k and 2k + 1 in the low
 * and high halves of the same 32 bytes. */
static void q45_k(const uint8_t *b, bool five, float *y)
{
    const uint8_t *scales = b + 4, *high = b + 16, *q = b + (five ? 48 : 16);
    float d = half_at(b), dmin = half_at(b + 2);
    for (int g = 0; g < 8; g++) {
        int scale, offset;
        scale_q45(scales, g, &scale, &offset);
        float step = d * (float)scale, least = dmin * (float)offset;
        for (int i = 0; i < 32; i++) {
            int v = g % 2 ? q[g / 2 * 32 + i] >> 4 : q[g / 2 * 32 + i] & 15;
            if (five) v |= (high[i] >> g & 1) << 4;
            y[g * 32 + i] = step * (float)v - least;
        }
    }
}

static void q4_k(const uint8_t *b, float *y) { q45_k(b, false, y); }
static void q5_k(const uint8_t *b, float *y) { q45_k(b, true, y); }

/* 128 bytes of four low bits, 64 bytes of two high bits, 16 signed scales for groups of 16, one fp16. */
static void q6_k(const uint8_t *b, float *y)
{
    const uint8_t *low = b, *high = b + 128, *scales = b + 192;
    float d = half_at(b + 208);
    for (int i = 0; i < LARGE; i++) {
        int half = i / 128, quarter = i / 32 % 4, at = i % 32;
        int l = low[half * 64 + quarter % 2 * 32 + at] >> (quarter / 2 * 4) & 15;
        int v = (l | (high[half * 32 + at] >> (quarter * 2) & 3) << 4) - 32;
        y[i] = d * (float)(int8_t)scales[i / 16] * (float)v;
    }
}

void blocks_to_f32(dtype t, const void *src, size_t n, float *dst)
{
    static void (*const decode[DT_COUNT])(const uint8_t *, float *) = {
        [DT_Q4_0] = q4_0, [DT_Q4_1] = q4_1, [DT_Q5_0] = q5_0, [DT_Q5_1] = q5_1, [DT_Q8_0] = q8_0,
        [DT_Q2_K] = q2_k, [DT_Q3_K] = q3_k, [DT_Q4_K] = q4_k, [DT_Q5_K] = q5_k, [DT_Q6_K] = q6_k,
    };
    const uint8_t *b = src;
    size_t block = dtype_block(t), nbytes = dtype_nbytes_of(t, block);
    for (size_t i = 0; i < n; i += block, b += nbytes) decode[t](b, dst + i);
}
