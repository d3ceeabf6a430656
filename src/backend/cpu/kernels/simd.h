/* simd.h - `vf`, a vector of VL floats, and the few things that operators cannot say.
 *
 * + - * / work on vf as on float (compiler vectors); everything else is here, once for each instruction set.  Functions with
 * a count n touch the first n elements only (n >= VL: all), the rest reads as zero, so that loops need no tail:
 *     for (int i = 0; i < n; i += VL) v_storen(y + i, f(v_loadn(x + i, n - i)), n - i); */
#ifndef CPU_KERNELS_SIMD_H
#define CPU_KERNELS_SIMD_H
#include <math.h>
#include <stdint.h>
#include <string.h>
#include "base/dtype.h"
#include "base/half.h"

#define INLINE static inline __attribute__((always_inline))

#if defined(__AVX512F__)
#include <immintrin.h>
#define VL 16
#define MR 12 /* the micro-kernel's tile: MR rows x NR columns of C in registers */
typedef __m512 vf;
INLINE __mmask16 v_mask(int n) { return (__mmask16)(n >= VL ? 0xFFFF : (1u << n) - 1); }
INLINE vf v_set(float x) { return _mm512_set1_ps(x); }
INLINE vf v_load(const float *p) { return _mm512_loadu_ps(p); }
/* Whole vectors without a mask: the processor forwards nothing of a masked store to the load that follows it, and sums in memory would wait. */
INLINE vf v_loadn(const float *p, int n) { return n >= VL ? _mm512_loadu_ps(p) : _mm512_maskz_loadu_ps(v_mask(n), p); }
INLINE void v_store(float *p, vf x) { _mm512_storeu_ps(p, x); }
INLINE void v_storen(float *p, vf x, int n)
{
    if (n >= VL) _mm512_storeu_ps(p, x);
    else _mm512_mask_storeu_ps(p, v_mask(n), x);
}
INLINE vf v_fma(vf a, vf b, vf c) { return _mm512_fmadd_ps(a, b, c); }
INLINE vf v_max(vf a, vf b) { return _mm512_max_ps(a, b); }
INLINE vf v_min(vf a, vf b) { return _mm512_min_ps(a, b); }
INLINE float v_sum(vf x) { return _mm512_reduce_add_ps(x); }
INLINE float v_hmax(vf x) { return _mm512_reduce_max_ps(x); }
INLINE vf v_keep(vf x, int n, float rest) { return _mm512_mask_mov_ps(_mm512_set1_ps(rest), v_mask(n), x); }
INLINE vf v_round(vf x) { return _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
INLINE vf v_ldexp(vf x, vf n) { return _mm512_scalef_ps(x, n); } /* x 2^n, n whole */
INLINE vf v_swap(vf x) { return _mm512_permute_ps(x, 0xB1); }    /* the two of each adjacent pair change places */
INLINE vf v_loaddup(const float *p, int n)                       /* p0 p0 p1 p1 ...; n counts the result */
{
    const __m512i twice = _mm512_set_epi32(7, 7, 6, 6, 5, 5, 4, 4, 3, 3, 2, 2, 1, 1, 0, 0);
    return _mm512_permutexvar_ps(twice, _mm512_maskz_loadu_ps(v_mask(n / 2) & 0xFF, p));
}
INLINE vf v_load_bf16(const uint16_t *p, int n)
{
    __m256i h = _mm256_maskz_loadu_epi16(v_mask(n), p);
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(h), 16));
}
INLINE vf v_load_f16(const uint16_t *p, int n) { return _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(v_mask(n), p)); }
INLINE void v_transpose(vf r[VL])
{
    vf t[VL];
    for (int i = 0; i < 16; i += 2) {
        t[i] = _mm512_unpacklo_ps(r[i], r[i + 1]);
        t[i + 1] = _mm512_unpackhi_ps(r[i], r[i + 1]);
    }
    for (int i = 0; i < 16; i += 4)
        for (int j = 0; j < 2; j++) {
            __m512d lo = _mm512_castps_pd(t[i + j]), hi = _mm512_castps_pd(t[i + j + 2]);
            r[i + 2 * j] = _mm512_castpd_ps(_mm512_unpacklo_pd(lo, hi));
            r[i + 2 * j + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(lo, hi));
        }
    for (int i = 0; i < 4; i++) {
        t[i] = _mm512_shuffle_f32x4(r[i], r[i + 4], 0x88);
        t[i + 4] = _mm512_shuffle_f32x4(r[i], r[i + 4], 0xDD);
        t[i + 8] = _mm512_shuffle_f32x4(r[i + 8], r[i + 12], 0x88);
        t[i + 12] = _mm512_shuffle_f32x4(r[i + 8], r[i + 12], 0xDD);
    }
    for (int i = 0; i < 8; i++) {
        r[i] = _mm512_shuffle_f32x4(t[i], t[i + 8], 0x88);
        r[i + 8] = _mm512_shuffle_f32x4(t[i], t[i + 8], 0xDD);
    }
}

#elif defined(__AVX2__)
#include <immintrin.h>
#define VL 8
#define MR 6
typedef __m256 vf;
INLINE __m256i v_mask(int n)
{
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(n), _mm256_set_epi32(7, 6, 5, 4, 3, 2, 1, 0));
}
INLINE vf v_set(float x) { return _mm256_set1_ps(x); }
INLINE vf v_load(const float *p) { return _mm256_loadu_ps(p); }
INLINE vf v_loadn(const float *p, int n) { return n >= VL ? _mm256_loadu_ps(p) : _mm256_maskload_ps(p, v_mask(n)); }
INLINE void v_store(float *p, vf x) { _mm256_storeu_ps(p, x); }
INLINE void v_storen(float *p, vf x, int n)
{
    if (n >= VL) _mm256_storeu_ps(p, x);
    else _mm256_maskstore_ps(p, v_mask(n), x);
}
INLINE vf v_fma(vf a, vf b, vf c) { return _mm256_fmadd_ps(a, b, c); }
INLINE vf v_max(vf a, vf b) { return _mm256_max_ps(a, b); }
INLINE vf v_min(vf a, vf b) { return _mm256_min_ps(a, b); }
INLINE float v_sum(vf x)
{
    __m128 h = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    h = _mm_add_ps(h, _mm_movehl_ps(h, h));
    return _mm_cvtss_f32(_mm_add_ss(h, _mm_movehdup_ps(h)));
}
INLINE float v_hmax(vf x)
{
    __m128 h = _mm_max_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    h = _mm_max_ps(h, _mm_movehl_ps(h, h));
    return _mm_cvtss_f32(_mm_max_ss(h, _mm_movehdup_ps(h)));
}
INLINE vf v_keep(vf x, int n, float rest)
{
    return _mm256_blendv_ps(_mm256_set1_ps(rest), x, _mm256_castsi256_ps(v_mask(n)));
}
INLINE vf v_round(vf x) { return _mm256_round_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
INLINE vf v_pow2(__m256i n) { return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(n, _mm256_set1_epi32(127)), 23)); }
INLINE vf v_ldexp(vf x, vf n) /* in two steps, so that results near the ends of the range are right */
{
    __m256i all = _mm256_cvtps_epi32(n), half = _mm256_srai_epi32(all, 1);
    return x * v_pow2(half) * v_pow2(_mm256_sub_epi32(all, half));
}
INLINE vf v_swap(vf x) { return _mm256_permute_ps(x, 0xB1); }
INLINE vf v_loaddup(const float *p, int n)
{
    float half[4] = {0};
    memcpy(half, p, sizeof(float) * (size_t)(n >= VL ? 4 : n / 2));
    __m128 h = _mm_loadu_ps(half);
    return _mm256_set_m128(_mm_unpackhi_ps(h, h), _mm_unpacklo_ps(h, h));
}
INLINE __m128i v_load_u16(const uint16_t *p, int n)
{
    if (n >= VL) return _mm_loadu_si128((const __m128i *)p);
    uint16_t part[VL] = {0};
    memcpy(part, p, sizeof *p * (size_t)n);
    return _mm_loadu_si128((const __m128i *)part);
}
INLINE vf v_load_bf16(const uint16_t *p, int n)
{
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(v_load_u16(p, n)), 16));
}
INLINE vf v_load_f16(const uint16_t *p, int n) { return _mm256_cvtph_ps(v_load_u16(p, n)); }
INLINE void v_transpose(vf r[VL])
{
    vf t[VL];
    for (int i = 0; i < 8; i += 2) {
        t[i] = _mm256_unpacklo_ps(r[i], r[i + 1]);
        t[i + 1] = _mm256_unpackhi_ps(r[i], r[i + 1]);
    }
    for (int i = 0; i < 8; i += 4)
        for (int j = 0; j < 2; j++) {
            r[i + 2 * j] = _mm256_shuffle_ps(t[i + j], t[i + j + 2], 0x44);
            r[i + 2 * j + 1] = _mm256_shuffle_ps(t[i + j], t[i + j + 2], 0xEE);
        }
    for (int i = 0; i < 4; i++) {
        t[i] = _mm256_permute2f128_ps(r[i], r[i + 4], 0x20);
        t[i + 4] = _mm256_permute2f128_ps(r[i], r[i + 4], 0x31);
    }
    memcpy(r, t, sizeof t);
}

#else
#define VL 4
#define MR 4
typedef float vf __attribute__((vector_size(16)));
INLINE vf v_set(float x) { return (vf){x, x, x, x}; }
INLINE vf v_load(const float *p)
{
    vf x;
    memcpy(&x, p, sizeof x);
    return x;
}
INLINE vf v_loadn(const float *p, int n)
{
    if (n >= VL) return v_load(p);
    vf x = {0};
    for (int i = 0; i < n; i++) x[i] = p[i];
    return x;
}
INLINE void v_store(float *p, vf x) { memcpy(p, &x, sizeof x); }
INLINE void v_storen(float *p, vf x, int n)
{
    if (n >= VL) v_store(p, x);
    else for (int i = 0; i < n; i++) p[i] = x[i];
}
INLINE vf v_fma(vf a, vf b, vf c) { return a * b + c; }
INLINE vf v_max(vf a, vf b)
{
    for (int i = 0; i < VL; i++) a[i] = a[i] > b[i] ? a[i] : b[i];
    return a;
}
INLINE vf v_min(vf a, vf b)
{
    for (int i = 0; i < VL; i++) a[i] = a[i] < b[i] ? a[i] : b[i];
    return a;
}
INLINE float v_sum(vf x) { return (x[0] + x[2]) + (x[1] + x[3]); }
INLINE float v_hmax(vf x)
{
    float a = x[0] > x[1] ? x[0] : x[1], b = x[2] > x[3] ? x[2] : x[3];
    return a > b ? a : b;
}
INLINE vf v_keep(vf x, int n, float rest)
{
    for (int i = n; i < VL; i++) x[i] = rest;
    return x;
}
INLINE vf v_round(vf x) /* |x| < 2^22 */
{
    const float big = 12582912.0f; /* 1.5 x 2^23: adding it leaves no bits for a fraction */
    return (x + big) - big;
}
INLINE vf v_ldexp(vf x, vf n)
{
    for (int i = 0; i < VL; i++) {
        int all = (int)n[i], half = all >> 1;
        uint32_t a = (uint32_t)(half + 127) << 23, b = (uint32_t)(all - half + 127) << 23;
        float fa, fb;
        memcpy(&fa, &a, 4);
        memcpy(&fb, &b, 4);
        x[i] = x[i] * fa * fb;
    }
    return x;
}
INLINE vf v_swap(vf x) { return (vf){x[1], x[0], x[3], x[2]}; }
INLINE vf v_loaddup(const float *p, int n) { return n >= 4 ? (vf){p[0], p[0], p[1], p[1]} : (vf){p[0], p[0], 0, 0}; }
INLINE vf v_load_bf16(const uint16_t *p, int n)
{
    vf x = {0};
    for (int i = 0; i < VL && i < n; i++) x[i] = bf16_to_f32(p[i]);
    return x;
}
INLINE vf v_load_f16(const uint16_t *p, int n)
{
    vf x = {0};
    for (int i = 0; i < VL && i < n; i++) x[i] = f16_to_f32(p[i]);
    return x;
}
INLINE void v_transpose(vf r[VL])
{
    vf t[VL];
    for (int i = 0; i < VL; i++) t[i] = (vf){r[0][i], r[1][i], r[2][i], r[3][i]};
    memcpy(r, t, sizeof t);
}
#endif

#define NR (2 * VL)
_Static_assert(MR <= VL, "a row of a packed panel is one vector store");

INLINE int imin(int a, int b) { return a < b ? a : b; }
INLINE int imax(int a, int b) { return a > b ? a : b; }
INLINE int ceil_div(int a, int b) { return (a + b - 1) / b; }
INLINE int round_up(int a, int b) { return ceil_div(a, b) * b; }

INLINE vf v_zero(void) { return v_set(0.0f); }

/* n elements from element i of an array of type t (a constant at every call). */
INLINE vf v_load_as(dtype t, const void *p, size_t i, int n)
{
    if (t == DT_F32) return v_loadn((const float *)p + i, n);
    if (t == DT_BF16) return v_load_bf16((const uint16_t *)p + i, n);
    return v_load_f16((const uint16_t *)p + i, n);
}

INLINE float load_as(dtype t, const void *p, size_t i)
{
    if (t == DT_F32) return ((const float *)p)[i];
    if (t == DT_BF16) return bf16_to_f32(((const uint16_t *)p)[i]);
    return f16_to_f32(((const uint16_t *)p)[i]);
}

/* e^x to about 2 ulp; 0 below -104, infinity above 89.  x = n ln 2 + f, |f| <= ln(2)/2, ln 2 in two parts (Cody and
 * Waite); the polynomial is the Taylor-like minimax fit of (e^f - 1 - f)/f^2 known from the Cephes library. */
INLINE vf v_exp(vf x)
{
    x = v_min(v_set(90.0f), v_max(v_set(-110.0f), x)); /* in this order NaN stays NaN */
    vf n = v_round(x * v_set(1.44269504f));
    vf f = v_fma(n, v_set(-0.693359375f), x);
    f = v_fma(n, v_set(2.12194440e-4f), f);
    vf p = v_set(1.9875691500e-4f);
    p = v_fma(p, f, v_set(1.3981999507e-3f));
    p = v_fma(p, f, v_set(8.3334519073e-3f));
    p = v_fma(p, f, v_set(4.1665795894e-2f));
    p = v_fma(p, f, v_set(1.6666665459e-1f));
    p = v_fma(p, f, v_set(5.0000001201e-1f));
    p = v_fma(f * f, p, f) + v_set(1.0f);
    return v_ldexp(p, n);
}

INLINE vf v_sigmoid(vf x) { return v_set(1.0f) / (v_set(1.0f) + v_exp(v_zero() - x)); }
#endif
