/* blocks_encode.c - one function a format, each encoding one block (blocks.c has the layouts). */
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include "base/blocks.h"
#include "base/half.h"

enum { SMALL = 32, LARGE = 256 };

static void half_put(uint8_t *p, float v)
{
    uint16_t h = f32_to_f16(v);
    memcpy(p, &h, sizeof h);
}

static float inverse(float d) { return d != 0 ? 1 / d : 0; }

/* ---- 32 numbers.  The rounding is ggml's: scale from the extreme value, its inverse, product and sum in fp32, each rounded ---- */

/* The number of largest magnitude, with its sign; the first of several. */
static float extreme(const float *x)
{
    float best = 0;
    for (int j = 0; j < SMALL; j++)
        if (fabsf(x[j]) > fabsf(best)) best = x[j];
    return best;
}

static void range(const float *x, int n, float *lo, float *hi)
{
    *lo = *hi = x[0];
    for (int j = 1; j < n; j++) {
        if (x[j] < *lo) *lo = x[j];
        if (x[j] > *hi) *hi = x[j];
    }
}

/* trunc(v), at most `most`; v >= 0 up to rounding */
static uint8_t level(float v, int most)
{
    int q = (int)v;
    return (uint8_t)(q > most ? most : q < 0 ? 0 : q);
}

/* Low four bits of 32 levels into 16 bytes, fifth bits into `high` (5-bit formats only). */
static void pack(const uint8_t *q, uint8_t *low, uint8_t *high)
{
    uint32_t fifth = 0;
    for (int j = 0; j < 16; j++) low[j] = (uint8_t)((q[j] & 15) | (q[j + 16] & 15) << 4);
    if (!high) return;
    for (int j = 0; j < SMALL; j++) fifth |= (uint32_t)(q[j] >> 4) << j;
    memcpy(high, &fifth, sizeof fifth);
}

/* Symmetric: the extreme value gets level 0, zero gets `middle`. */
static void symmetric(const float *x, int middle, uint8_t *scale, uint8_t *low, uint8_t *high)
{
    uint8_t q[SMALL];
    float d = extreme(x) / (float)-middle, id = inverse(d);
    for (int j = 0; j < SMALL; j++) q[j] = level(x[j] * id + ((float)middle + 0.5f), 2 * middle - 1);
    half_put(scale, d);
    pack(q, low, high);
}

/* With offset: the least value gets level 0, the largest gets `top`. */
static void offset(const float *x, int top, uint8_t *scale, uint8_t *low, uint8_t *high)
{
    uint8_t q[SMALL];
    float lo, hi;
    range(x, SMALL, &lo, &hi);
    float d = (hi - lo) / (float)top, id = inverse(d);
    for (int j = 0; j < SMALL; j++) q[j] = level((x[j] - lo) * id + 0.5f, top);
    half_put(scale, d);
    half_put(scale + 2, lo);
    pack(q, low, high);
}

static void q4_0(const float *x, uint8_t *b) { symmetric(x, 8, b, b + 2, NULL); }
static void q4_1(const float *x, uint8_t *b) { offset(x, 15, b, b + 4, NULL); }
static void q5_0(const float *x, uint8_t *b) { symmetric(x, 16, b, b + 6, b + 2); }
static void q5_1(const float *x, uint8_t *b) { offset(x, 31, b, b + 8, b + 4); }

static void q8_0(const float *x, uint8_t *b)
{
    float d = fabsf(extreme(x)) / 127, id = inverse(d);
    half_put(b, d);
    for (int j = 0; j < SMALL; j++) b[2 + j] = (uint8_t)(int8_t)roundf(x[j] * id);
}

/* ---- 256 numbers: scales by least squares ---- */

/* A group of 32 as step * level - least, step and least >= 0. */
typedef struct affine { float step, least; } affine;

enum { LANES = 8 }; /* sums in eight parts, in a fixed order, so that the compiler may use vectors */

static float total(const float *lane)
{
    return ((lane[0] + lane[1]) + (lane[2] + lane[3])) + ((lane[4] + lane[5]) + (lane[6] + lane[7]));
}

/* x[32] -> nearest levels 0..top, whole numbers; returns the squared error. */
static float levels(const float *x, affine a, float top, float *restrict q)
{
    float inv = inverse(a.step), error[LANES] = { 0 };
    for (int j = 0; j < SMALL; j += LANES)
        for (int k = 0; k < LANES; k++) {
            float v = (x[j + k] + a.least) * inv + 0.5f;
            v = v > 0 ? v : 0;
            v = v < top ? v : top;
            float l = (float)(int)v, e = a.step * l - a.least - x[j + k];
            q[j + k] = l;
            error[k] += e * e;
        }
    return total(error);
}

/* Step and least that fit x best for given levels. */
static affine fit(const float *x, const float *q)
{
    float lane[4][LANES] = { 0 }, n = SMALL;
    for (int j = 0; j < SMALL; j += LANES)
        for (int k = 0; k < LANES; k++) {
            float l = q[j + k], v = x[j + k];
            lane[0][k] += l;
            lane[1][k] += l * l;
            lane[2][k] += v;
            lane[3][k] += v * l;
        }
    float sq = total(lane[0]), sqq = total(lane[1]), sx = total(lane[2]), sxq = total(lane[3]), det = n * sqq - sq * sq;
    affine a = { .step = det > 0 ? (n * sxq - sq * sx) / det : 0 };
    a.least = (a.step * sq - sx) / n;
    if (a.least < 0) a = (affine){ .step = sqq > 0 ? sxq / sqq : 0 }; /* least cannot be negative: fit without it */
    if (a.step < 0) a.step = 0;
    return a;
}

/* Start from ranges a little narrower and wider than the group's own, fit, keep the best. */
static affine search(const float *x, float top)
{
    float q[SMALL], lo, hi, best_error;
    range(x, SMALL, &lo, &hi);
    if (lo > 0) lo = 0;
    affine best = { 0, -lo };
    if (hi <= lo) return best;
    best.step = (hi - lo) / top;
    best_error = levels(x, best, top, q);
    for (int i = -5; i <= 3; i++) {
        affine a = { (hi - lo) / (top + 0.2f * (float)i), -lo };
        levels(x, a, top, q);
        a = fit(x, q);
        float error = levels(x, a, top, q);
        if (error >= best_error) continue;
        best_error = error;
        best = a;
    }
    return best;
}

static void put_scale_q45(uint8_t *s, int g, int scale, int least)
{
    if (g < 4) {
        s[g] = (uint8_t)((s[g] & 0xC0) | scale);
        s[g + 4] = (uint8_t)((s[g + 4] & 0xC0) | least);
    } else {
        s[g + 4] = (uint8_t)((scale & 15) | (least & 15) << 4);
        s[g - 4] = (uint8_t)((s[g - 4] & 63) | scale >> 4 << 6);
        s[g] = (uint8_t)((s[g] & 63) | least >> 4 << 6);
    }
}

static int six_bits(float v) { return v < 0 ? 0 : v > 63 ? 63 : (int)(v + 0.5f); }

static float stored_half(uint8_t *p, float v)
{
    half_put(p, v);
    uint16_t h;
    memcpy(&h, p, sizeof h);
    return f16_to_f32(h);
}

/* The best 6-bit scale and offset of one group near the ideal ones, and its levels with them. */
static void settle(const float *x, affine ideal, float d, float dmin, float top, int *scale, int *least, uint8_t *q)
{
    float tried[SMALL];
    int s0 = six_bits(ideal.step * inverse(d)), m0 = six_bits(ideal.least * inverse(dmin));
    float best = INFINITY;
    for (int s = s0 - 1; s <= s0 + 1; s++)
        for (int m = m0 - 1; m <= m0 + 1; m++) {
            if (s < 0 || s > 63 || m < 0 || m > 63) continue;
            float error = levels(x, (affine){ d * (float)s, dmin * (float)m }, top, tried);
            if (error >= best) continue;
            best = error;
            *scale = s;
            *least = m;
            for (int j = 0; j < SMALL; j++) q[j] = (uint8_t)tried[j];
        }
}

static void q45_k(const float *x, bool five, uint8_t *b)
{
    uint8_t *scales = b + 4, *high = b + 16, *low = b + (five ? 48 : 16), q[2][SMALL];
    affine group[8];
    float top = five ? 31 : 15, step = 0, most = 0;
    memset(b, 0, dtype_nbytes_of(five ? DT_Q5_K : DT_Q4_K, LARGE));
    for (int g = 0; g < 8; g++) {
        group[g] = search(x + g * SMALL, top);
        step = fmaxf(step, group[g].step);
        most = fmaxf(most, group[g].least);
    }
    float d = stored_half(b, step / 63), dmin = stored_half(b + 2, most / 63);
    for (int g = 0; g < 8; g++) {
        int scale = 0, least = 0;
        uint8_t *l = q[g % 2];
        settle(x + g * SMALL, group[g], d, dmin, top, &scale, &least, l);
        put_scale_q45(scales, g, scale, least);
        for (int i = 0; five && i < SMALL; i++) high[i] |= (uint8_t)(l[i] >> 4 << g);
        for (int i = 0; g % 2 && i < SMALL; i++) low[g / 2 * 32 + i] = (uint8_t)((q[0][i] & 15) | (q[1][i] & 15) << 4);
    }
}

static void q4_k(const float *x, uint8_t *b) { q45_k(x, false, b); }
static void q5_k(const float *x, uint8_t *b) { q45_k(x, true, b); }

enum { GROUP = 16 };

/* x[16] -> nearest levels -32..31, whole numbers; returns the squared error. */
static float levels_q6(const float *x, float step, float *restrict q)
{
    float inv = inverse(step), error[LANES] = { 0 };
    for (int j = 0; j < GROUP; j += LANES)
        for (int k = 0; k < LANES; k++) {
            float v = x[j + k] * inv + 32.5f;
            v = v > 0 ? v : 0;
            v = v < 63 ? v : 63;
            float l = (float)((int)v - 32), e = step * l - x[j + k];
            q[j + k] = l;
            error[k] += e * e;
        }
    return total(error);
}

/* The step, of either sign (level -32 has no positive twin), with the least squared error. */
static float search_q6(const float *x)
{
    float q[GROUP], peak = 0, best = 0, best_error = INFINITY;
    for (int j = 0; j < GROUP; j++)
        if (fabsf(x[j]) > fabsf(peak)) peak = x[j];
    for (int i = -4; peak != 0 && i <= 4; i++) {
        float lane[2][LANES] = { 0 };
        levels_q6(x, peak / (-32 + 0.2f * (float)i), q);
        for (int j = 0; j < GROUP; j += LANES)
            for (int k = 0; k < LANES; k++) {
                lane[0][k] += x[j + k] * q[j + k];
                lane[1][k] += q[j + k] * q[j + k];
            }
        float sxq = total(lane[0]), sqq = total(lane[1]), step = sqq > 0 ? sxq / sqq : 0;
        float error = levels_q6(x, step, q);
        if (error >= best_error) continue;
        best_error = error;
        best = step;
    }
    return best;
}

static void q6_k(const float *x, uint8_t *b)
{
    uint8_t *low = b, *high = b + 128, *scales = b + 192;
    float step[LARGE / GROUP], peak = 0;
    memset(b, 0, dtype_nbytes_of(DT_Q6_K, LARGE));
    for (int g = 0; g < LARGE / GROUP; g++) {
        step[g] = search_q6(x + g * GROUP);
        if (fabsf(step[g]) > fabsf(peak)) peak = step[g];
    }
    float d = stored_half(b + 208, peak / -128), id = inverse(d);
    for (int g = 0; g < LARGE / GROUP; g++) {
        int s0 = (int)lrintf(fmaxf(-128, fminf(127, step[g] * id)));
        float q[GROUP] = { 0 }, tried[GROUP], best = INFINITY;
        for (int s = s0 - 1; s <= s0 + 1; s++) {
            if (s < -128 || s > 127) continue;
            float error = levels_q6(x + g * GROUP, d * (float)s, tried);
            if (error >= best) continue;
            best = error;
            scales[g] = (uint8_t)(int8_t)s;
            memcpy(q, tried, sizeof q);
        }
        for (int j = 0; j < GROUP; j++) {
            int i = g * GROUP + j, half = i / 128, quarter = i / 32 % 4, at = i % 32, l = (int)q[j] + 32;
            low[half * 64 + quarter % 2 * 32 + at] |= (uint8_t)((l & 15) << (quarter / 2 * 4));
            high[half * 32 + at] |= (uint8_t)((l >> 4) << (quarter * 2));
        }
    }
}

static void (*const encode[DT_COUNT])(const float *, uint8_t *) = {
    [DT_Q4_0] = q4_0, [DT_Q4_1] = q4_1, [DT_Q5_0] = q5_0, [DT_Q5_1] = q5_1, [DT_Q8_0] = q8_0,
    [DT_Q4_K] = q4_k, [DT_Q5_K] = q5_k, [DT_Q6_K] = q6_k,
};

void blocks_from_f32(dtype t, const float *src, size_t n, void *dst)
{
    uint8_t *b = dst;
    size_t block = dtype_block(t), nbytes = dtype_nbytes_of(t, block);
    for (size_t i = 0; i < n; i += block, b += nbytes) encode[t](src + i, b);
}
