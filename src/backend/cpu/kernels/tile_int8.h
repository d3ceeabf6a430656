/* tile_int8.h - the innermost part of products in integers: C[m, NR] = A W^T for a tile of at most MR8 rows and NR columns, A in 8 bits
 * (quantise.h), W the integers of ggml's blocks with their scales (gemm_int8.h packs them).
 *
 * A run of 32 numbers of k is one exact sum of products in int32; then, in fp32 and in the order of k,
 *     c = fma(sum, scale of W * scale of A, c), and with offsets c = fma(offset of W, sum of A's run, c).
 * With scales for each 16 numbers (`halves`) a run is two such sums.  One rounding each, the same everywhere: every instruction set
 * gives the same bits.
 *
 * A panel of W is, for each run or half run: int8 [quads][NR][4], int32 [NR] where the sums begin, float [NR] scales and, with
 * offsets, float [NR] offsets.  The sums begin at -shift * (sum of W's integers) because A is stored with `shift` added: VNNI
 * multiplies unsigned by signed bytes. */
#ifndef CPU_KERNELS_TILE_INT8_H
#define CPU_KERNELS_TILE_INT8_H
#include "backend/cpu/cpu.h"
#include "backend/cpu/kernels/micro.h"
#include "base/blocks_int8.h"

/* dot4(sum, a, w): to each of VL sums the products of four bytes of w with the four bytes a. */
#if defined(__AVX512F__)
#define MR8 6
typedef __m512i vi;
INLINE vi i_load(const void *p) { return _mm512_loadu_si512(p); }
INLINE vi i_set(int32_t x) { return _mm512_set1_epi32(x); }
INLINE vf i_float(vi x) { return _mm512_cvtepi32_ps(x); }
#ifdef __AVX512VNNI__
#define INT8_SHIFT 128
INLINE vi dot4(vi sum, vi a, vi w) { return _mm512_dpbusd_epi32(sum, a, w); }
#else
#define INT8_SHIFT 0
INLINE vi dot4(vi sum, vi a, vi w) /* the sign moves from w to a; 2 * 127 * 128 fits in the 16 bits of the pairs */
{
    vi moved = _mm512_mask_sub_epi8(a, _mm512_movepi8_mask(w), _mm512_setzero_si512(), a);
    vi pairs = _mm512_maddubs_epi16(_mm512_abs_epi8(w), moved);
    return _mm512_add_epi32(sum, _mm512_madd_epi16(pairs, _mm512_set1_epi16(1)));
}
#endif
#elif defined(__AVX2__)
#define MR8 3
#define INT8_SHIFT 0
typedef __m256i vi;
INLINE vi i_load(const void *p) { return _mm256_loadu_si256(p); }
INLINE vi i_set(int32_t x) { return _mm256_set1_epi32(x); }
INLINE vf i_float(vi x) { return _mm256_cvtepi32_ps(x); }
INLINE vi dot4(vi sum, vi a, vi w)
{
    vi pairs = _mm256_maddubs_epi16(_mm256_abs_epi8(w), _mm256_sign_epi8(a, w));
    return _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}
#else
#define MR8 2
#define INT8_SHIFT 0
typedef int32_t vi __attribute__((vector_size(16)));
INLINE vi i_load(const void *p)
{
    vi x;
    memcpy(&x, p, sizeof x);
    return x;
}
INLINE vi i_set(int32_t x) { return (vi){x, x, x, x}; }
INLINE vf i_float(vi x) { return (vf){(float)x[0], (float)x[1], (float)x[2], (float)x[3]}; }
INLINE vi dot4(vi sum, vi a, vi w)
{
    int8_t p[16], q[16];
    memcpy(p, &a, sizeof p);
    memcpy(q, &w, sizeof q);
    for (int i = 0; i < VL; i++) sum[i] += p[4 * i] * q[4 * i] + p[4 * i + 1] * q[4 * i + 1] + p[4 * i + 2] * q[4 * i + 2] + p[4 * i + 3] * q[4 * i + 3];
    return sum;
}
#endif

/* a b + c with one rounding, also where the machine has no such instruction. */
INLINE vf v_fma1(vf a, vf b, vf c)
{
#if VL == 4
    for (int i = 0; i < VL; i++) c[i] = fmaf(a[i], b[i], c[i]);
    return c;
#else
    return v_fma(a, b, c);
#endif
}

INLINE vi load_quad(const uint8_t *p)
{
    int32_t four;
    memcpy(&four, p, sizeof four);
    return i_set(four);
}

INLINE void int8_body(const int8_tile *t, const int m, const int quads, const bool offsets)
{
    vf acc[MR8][2];
    UNROLL
    for (int i = 0; i < m; i++)
        UNROLL
        for (int j = 0; j < 2; j++) acc[i][j] = v_load(t->bias + j * VL);
    const uint8_t *a = t->a, *a3 = a + 3 * t->lda;
    const float *scale = t->scale, *sums = t->sum;
    const char *w = t->panel;
    for (int step = 0; step < t->runs * (8 / quads); step++) {
        vi sum[MR8][2];
        const char *begin = w + quads * NR * 4;
        UNROLL
        for (int i = 0; i < m; i++)
            UNROLL
            for (int j = 0; j < 2; j++) sum[i][j] = i_load(begin + j * VL * 4);
        UNROLL
        for (int q = 0; q < quads; q++) {
            vi w0 = i_load(w + q * NR * 4), w1 = i_load(w + q * NR * 4 + VL * 4);
            UNROLL
            for (int i = 0; i < m; i++) {
                vi x = load_quad((i < 3 ? a + i * t->lda : a3 + (i - 3) * t->lda) + 4 * q);
                sum[i][0] = dot4(sum[i][0], x, w0);
                sum[i][1] = dot4(sum[i][1], x, w1);
            }
        }
        const float *ws = (const float *)(begin + NR * 4);
        UNROLL
        for (int j = 0; j < 2; j++) {
            vf s = v_load(ws + j * VL);
            UNROLL
            for (int i = 0; i < m; i++) acc[i][j] = v_fma1(i_float(sum[i][j]), s * v_set(scale[i * t->lds]), acc[i][j]);
            if (!offsets) continue;
            vf o = v_load(ws + NR + j * VL);
            UNROLL
            for (int i = 0; i < m; i++) acc[i][j] = v_fma1(o, v_set(sums[i * t->lds]), acc[i][j]);
        }
        w = (const char *)(ws + (offsets ? 2 : 1) * NR);
        a += 4 * quads, a3 += 4 * quads;
        if (quads == 8 || step % 2) scale++, sums++;
    }
    UNROLL
    for (int i = 0; i < m; i++)
        UNROLL
        for (int j = 0; j < 2; j++) v_store(t->c + i * t->ldc + j * VL, acc[i][j]);
}

#define INT8(m)                                                                            \
    static void int8_scaled_##m(const int8_tile *t) { int8_body(t, m, 8, false); }         \
    static void int8_offset_##m(const int8_tile *t) { int8_body(t, m, 8, true); }          \
    static void int8_halves_##m(const int8_tile *t) { int8_body(t, m, 4, false); }
#define INT8_ROW(m) {[BLOCKS_SCALED] = int8_scaled_##m, [BLOCKS_OFFSET] = int8_offset_##m, [BLOCKS_HALVES] = int8_halves_##m}
INT8(1) INT8(2)
#if MR8 > 2
INT8(3)
#endif
#if MR8 > 3
INT8(4) INT8(5) INT8(6)
#endif

#ifndef INT8_TABLE
#define INT8_TABLE int8_tiles
static
#endif
const int8_micro INT8_TABLE = {
    .shift = INT8_SHIFT,
    .tile = {
        INT8_ROW(1), INT8_ROW(2),
#if MR8 > 2
        INT8_ROW(3),
#endif
#if MR8 > 3
        INT8_ROW(4), INT8_ROW(5), INT8_ROW(6),
#endif
    },
};
#endif
