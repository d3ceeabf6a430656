/* moments8.c - the codes, and AdamW on them. */
#include "train/moments8.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { DECADES = 7, LEAST_COUNT = 4096 };

static int rising(const void *a, const void *b)
{
    return *(const float *)a < *(const float *)b ? -1 : *(const float *)a > *(const float *)b;
}

static float from_bits(unsigned bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static int nearest(const code8 *c, float x)
{
    int k = 0;
    while (k < 255 && x > c->middle[k]) k++;
    return k;
}

/* Decade d of 7 holds 2^d numbers (unsigned: twice as many), the middles of equal parts of [0.1, 1] times 10^(d - 6); then 0 and 1. */
void code8_make(code8 *c, bool is_signed)
{
    int n = 0;
    for (int d = 0; d < DECADES; d++) {
        int parts = (is_signed ? 1 : 2) << d;
        for (int i = 0; i < parts; i++) {
            double x = pow(10, d - (DECADES - 1)) * (0.1 + 0.9 * (i + 0.5) / parts);
            c->value[n++] = (float)x;
            if (is_signed) c->value[n++] = (float)-x;
        }
    }
    c->value[n++] = 0;
    c->value[n++] = 1;
    qsort(c->value, 256, sizeof *c->value, rising);
    for (int i = 0; i < 255; i++) c->middle[i] = (c->value[i] + c->value[i + 1]) / 2;
    c->middle[255] = INFINITY;
    c->least = is_signed ? 0 : 1;
    /* numbers with the same upper half are at most one middle apart: 2^-7 of their size is less than the narrowest step */
    for (unsigned half = 0; half < 1 << 16; half++) {
        float a = from_bits(half << 16), b = from_bits(half << 16 | 0xffff);
        c->start[half] = (unsigned char)(isnan(a) || isnan(b) ? 0 : nearest(c, a < b ? a : b));
    }
}

static unsigned char code_of(const code8 *c, float x)
{
    unsigned bits;
    memcpy(&bits, &x, sizeof bits);
    int k = c->start[bits >> 16];
    return (unsigned char)(k + (x > c->middle[k]));
}

float code8_put(const code8 *c, const float *x, size_t n, unsigned char *codes)
{
    float most = 0;
    for (size_t i = 0; i < n; i++) most = fmaxf(most, fabsf(x[i]));
    float by = most > 0 ? 1 / most : 0;
    if (!isfinite(by)) by = 0; /* denormal: nothing that a step would notice */
    for (size_t i = 0; i < n; i++) {
        int k = code_of(c, x[i] * by);
        codes[i] = (unsigned char)(k < c->least && x[i] > 0 ? c->least : k);
    }
    return by > 0 ? most : 0;
}

void code8_get(const code8 *c, const unsigned char *codes, float scale, size_t n, float *x)
{
    for (size_t i = 0; i < n; i++) x[i] = c->value[codes[i]] * scale;
}

bool moments8_take(const param_slot *s) { return s->decay && s->rank >= 2 && s->count >= LEAST_COUNT; }

void moments8_step(const adam_rates *r, float keep, size_t n, float *x, float *g, const code8 *mc, unsigned char *m, float *m_scale,
                   const code8 *vc, unsigned char *v, float *v_scale)
{
    float first[BLOCK8], second[BLOCK8], a1 = 1 - r->beta1, a2 = 1 - r->beta2;
    for (size_t at = 0; at < n; at += BLOCK8, m_scale++, v_scale++) {
        size_t count = n - at < BLOCK8 ? n - at : BLOCK8;
        code8_get(mc, m + at, *m_scale, count, first);
        code8_get(vc, v + at, *v_scale, count, second);
        for (size_t i = 0; i < count; i++) {
            float d = g[at + i] * r->scale;
            first[i] = r->beta1 * first[i] + a1 * d;
            second[i] = r->beta2 * second[i] + a2 * d * d;
            x[at + i] = x[at + i] * keep - r->rate * first[i] / (sqrtf(second[i]) * r->root + r->eps);
            g[at + i] = 0;
        }
        *m_scale = code8_put(mc, first, count, m + at);
        *v_scale = code8_put(vc, second, count, v + at);
    }
}
