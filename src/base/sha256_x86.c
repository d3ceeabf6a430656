/* sha256_x86.c - the compression function of FIPS 180-4 (6.2.2) with x86's SHA instructions, two rounds each: more than ten times as
 * fast as plain C, which matters for model files of tens of gigabytes.  Called only where sha256_x86_found says so. */
#include "base/sha256_block.h"

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>

bool sha256_x86_found(void)
{
    unsigned a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_SSE4_1) || !(c & bit_SSSE3)) return false;
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & bit_SHA);
}

/* Four words of the schedule from the sixteen before them; w[g % 4] holds words 4g .. 4g + 3. */
__attribute__((target("sha,sse4.1,ssse3"))) static __m128i next_words(const __m128i w[4], int g)
{
    __m128i sum = _mm_sha256msg1_epu32(w[g % 4], w[(g + 1) % 4]);                               /* w[t-16] + s0(w[t-15]) */
    sum = _mm_add_epi32(sum, _mm_alignr_epi8(w[(g + 3) % 4], w[(g + 2) % 4], 4));               /* + w[t-7] */
    return _mm_sha256msg2_epu32(sum, w[(g + 3) % 4]);                                           /* + s1(w[t-2]) */
}

__attribute__((target("sha,sse4.1,ssse3"))) void sha256_x86(uint32_t h[8], const unsigned char *data, size_t nblocks)
{
    const __m128i big_endian = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
    /* The instructions want the state as (a, b, e, f) and (c, d, g, h), the first letter in the highest word. */
    __m128i dcba = _mm_loadu_si128((const __m128i *)(const void *)h), hgfe = _mm_loadu_si128((const __m128i *)(const void *)(h + 4));
    __m128i cdab = _mm_shuffle_epi32(dcba, 0xB1), efgh = _mm_shuffle_epi32(hgfe, 0x1B);
    __m128i abef = _mm_alignr_epi8(cdab, efgh, 8), cdgh = _mm_blend_epi16(efgh, cdab, 0xF0);
    for (; nblocks; nblocks--, data += 64) {
        __m128i w[4], abef_before = abef, cdgh_before = cdgh;
        for (int g = 0; g < 16; g++) {
            if (g < 4) w[g] = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)(const void *)(data + 16 * g)), big_endian);
            else w[g % 4] = next_words(w, g);
            __m128i wk = _mm_add_epi32(w[g % 4], _mm_loadu_si128((const __m128i *)(const void *)(sha256_constants + 4 * g)));
            cdgh = _mm_sha256rnds2_epu32(cdgh, abef, wk);
            abef = _mm_sha256rnds2_epu32(abef, cdgh, _mm_shuffle_epi32(wk, 0x0E));
        }
        abef = _mm_add_epi32(abef, abef_before);
        cdgh = _mm_add_epi32(cdgh, cdgh_before);
    }
    __m128i feba = _mm_shuffle_epi32(abef, 0x1B), dchg = _mm_shuffle_epi32(cdgh, 0xB1);
    _mm_storeu_si128((__m128i *)(void *)h, _mm_blend_epi16(feba, dchg, 0xF0));
    _mm_storeu_si128((__m128i *)(void *)(h + 4), _mm_alignr_epi8(dchg, feba, 8));
}

#else
bool sha256_x86_found(void) { return false; }

void sha256_x86(uint32_t h[8], const unsigned char *data, size_t nblocks) { (void)h, (void)data, (void)nblocks; }
#endif
