/* noise.c - mt19937 and torch's normal kernels, bit by bit (spec 7). */
#include "pipe/noise.h"

#include <math.h>
#include <string.h>

#include "base/half.h"

#define TWO_PI 6.283185307179586476925286766559
enum { STATE = 624, MIDDLE = 397, BLOCK = 16 };

/* ---- the engine: Matsumoto and Nishimura, mt19937 ---- */

void noise_seed(noise_generator *g, uint64_t seed)
{
    g->state[0] = (uint32_t)(seed & 0xFFFFFFFFu);
    for (uint32_t j = 1; j < STATE; j++) g->state[j] = 1812433253u * (g->state[j - 1] ^ (g->state[j - 1] >> 30)) + j;
    g->next = STATE; /* regenerate before the first output */
    g->has_spare = false;
    g->spare = 0;
}

static void regenerate(noise_generator *g)
{
    uint32_t *s = g->state;
    for (int j = 0; j < STATE; j++) {
        uint32_t y = (s[j] & 0x80000000u) | (s[(j + 1) % STATE] & 0x7FFFFFFFu);
        s[j] = s[(j + MIDDLE) % STATE] ^ (y >> 1) ^ ((y & 1u) ? 0x9908B0DFu : 0u);
    }
    g->next = 0;
}

uint32_t noise_u32(noise_generator *g)
{
    if (g->next >= STATE) regenerate(g);
    uint32_t y = g->state[g->next++];
    y ^= y >> 11;
    y ^= (y << 7) & 0x9D2C5680u;
    y ^= (y << 15) & 0xEFC60000u;
    return y ^ (y >> 18);
}

/* [0, 1) with 53 bits, the first output being the high word. */
static double uniform53(noise_generator *g)
{
    uint64_t high = noise_u32(g);
    uint64_t bits = high << 32 | noise_u32(g);
    return (double)(bits & ((UINT64_C(1) << 53) - 1)) * 0x1p-53;
}

/* ---- blocks of sixteen: uniforms 0..7 give radii, 8..15 angles; cosines go to the first half, sines to the second ---- */

/* All 256 possible radii, cosines and sines of the bf16 kernel, every intermediate rounded to bf16 as torch does. */
typedef struct bf16_tables { float radius[256], cosine[256], sine[256]; } bf16_tables;

static void make_bf16_tables(bf16_tables *t)
{
    for (int k = 0; k < 256; k++) {
        float log_u = round_bf16((float)log((256 - k) / 256.0));
        t->radius[k] = round_bf16((float)sqrt(round_bf16(-2.0f * log_u)));
        float angle = round_bf16((float)(TWO_PI * k / 256.0));
        t->cosine[k] = round_bf16((float)cos(angle));
        t->sine[k] = round_bf16((float)sin(angle));
    }
}

static void block_bf16(const bf16_tables *t, const uint32_t draws[BLOCK], float *out)
{
    for (int j = 0; j < BLOCK / 2; j++) {
        unsigned a = draws[j] & 0xFF, b = draws[j + BLOCK / 2] & 0xFF;
        out[j] = round_bf16(t->radius[a] * t->cosine[b]) + 0.0f;             /* adding the mean turns -0 into +0 */
        out[j + BLOCK / 2] = round_bf16(t->radius[a] * t->sine[b]) + 0.0f;
    }
}

/* torch's own logarithm and sines are fp32 polynomials; double precision agrees with them to 1e-6. */
static void block_fp32(const uint32_t draws[BLOCK], float *out)
{
    for (int j = 0; j < BLOCK / 2; j++) {
        double u = (draws[j] & 0xFFFFFF) * 0x1p-24, angle = TWO_PI * ((draws[j + BLOCK / 2] & 0xFFFFFF) * 0x1p-24);
        double radius = sqrt(-2.0 * log(1.0 - u));
        out[j] = (float)(radius * cos(angle));
        out[j + BLOCK / 2] = (float)(radius * sin(angle));
    }
}

static void blocks(noise_generator *g, const bf16_tables *t, float *out, size_t n)
{
    uint32_t draws[BLOCK];
    for (size_t i = 0; i < n; i += BLOCK) {
        /* A ragged end: its uniforms are drawn and dropped, then the last sixteen values are made afresh (spec 7.3.3). */
        size_t rest = n - i < BLOCK ? n - i : BLOCK;
        for (size_t j = 0; j < rest; j++) draws[j] = noise_u32(g);
        if (rest < BLOCK) {
            for (int j = 0; j < BLOCK; j++) draws[j] = noise_u32(g);
            i = n - BLOCK;
        }
        if (t) block_bf16(t, draws, out + i);
        else block_fp32(draws, out + i);
    }
}

/* Fewer than sixteen values: Box-Muller in double, one value at a time (spec 7.5). */
static double one_normal(noise_generator *g)
{
    if (g->has_spare) {
        g->has_spare = false;
        return g->spare;
    }
    double angle = TWO_PI * uniform53(g), radius = sqrt(-2.0 * log1p(-uniform53(g)));
    g->spare = radius * sin(angle);
    g->has_spare = true;
    return radius * cos(angle);
}

void noise_normal(noise_generator *g, noise_kernel kernel, float *out, size_t n)
{
    if (n < BLOCK) {
        for (size_t i = 0; i < n; i++) out[i] = (float)one_normal(g);
    } else if (kernel == NOISE_BF16) {
        bf16_tables t;
        make_bf16_tables(&t);
        blocks(g, &t, out, n);
    } else {
        blocks(g, NULL, out, n);
    }
    if (kernel != NOISE_FP32)
        for (size_t i = 0; i < n; i++) out[i] = round_bf16(out[i]);
}

static const char *const names[] = { [NOISE_BF16] = "bf16", [NOISE_FP32] = "fp32", [NOISE_FP32_ROUNDED] = "fp32-rounded" };

int noise_kernel_from_name(const char *name)
{
    for (int k = NOISE_BF16; k <= NOISE_FP32_ROUNDED; k++)
        if (strcmp(name, names[k]) == 0) return k;
    return -1;
}

const char *noise_kernel_name(noise_kernel kernel) { return names[kernel]; }
