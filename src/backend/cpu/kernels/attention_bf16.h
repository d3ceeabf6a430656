/* attention_bf16.h - attention forward with both products in bf16, for a device that may round: q (scaled), k, v and the probabilities
 * are rounded to bf16, to nearest; products are added in fp32, the softmax and its sums stay fp32.
 *
 * Numbers lie as pairs (micro.h), each in the place of a float: k as rows of pairs along the head, q as panels of them, v and the
 * probabilities as pairs of keys. */
#ifndef CPU_KERNELS_ATTENTION_BF16_H
#define CPU_KERNELS_ATTENTION_BF16_H
#include "backend/cpu/kernels/attention_softmax.h"

/* Plain attention over whole panels. */
static bool att_is_plain(const att_job *j) { return j->dim % NR == 0 && !j->bias && !j->o.causal; }

/* What this covers: where it is long and without log-sum-exp, on a machine that has the instructions. */
static bool att_takes_bf16(const device *dev, const att_job *j)
{
    return dev->fast && ((const cpu_state *)dev->state)->bf16 && j->longest >= FAST_LENGTH && att_is_plain(j) && !j->lse.p;
}

/* What AMX takes: plain attention of a device that is asked for products in bf16, and what is above; NULL: not this. */
static const cpu_bf16 *att_in_bf16(const device *dev, const att_job *j)
{
    const cpu_bf16 *bf16 = ((const cpu_state *)dev->state)->bf16;
    return bf16 && bf16->attention && att_is_plain(j) && (dev->bf16 || att_takes_bf16(dev, j)) ? bf16 : NULL;
}

INLINE void bf16_store(float *to, float low, float high)
{
    uint32_t pair = f32_to_bf16(low) | (uint32_t)f32_to_bf16(high) << 16;
    memcpy(to, &pair, sizeof pair);
}

/* n numbers of a row times s -> n/2 pairs. */
INLINE void bf16_row(float *restrict to, const float *restrict x, int n, float s)
{
    for (int i = 0; i < n / 2; i++) bf16_store(to + i, x[2 * i] * s, x[2 * i + 1] * s);
}

/* Two rows of n numbers -> n pairs; b NULL: zeros. */
INLINE void bf16_rows(float *restrict to, const float *restrict a, const float *restrict b, int n)
{
    for (int i = 0; b && i < n; i++) bf16_store(to + i, a[i], b[i]);
    for (int i = 0; !b && i < n; i++) bf16_store(to + i, a[i], 0);
}

/* n rows of one head -> [n][dim/2][2] */
static void att_copy_bf16(const att_job *j, float *dst, tensor x, const int *rows, int n, int head)
{
    for (int i = 0; i < n; i++, dst += j->dim / 2) {
        att_ahead(j, x, rows, i, n, head);
        bf16_row(dst, row(x, rows[i]) + head * j->dim, j->dim, 1);
    }
}

/* ... -> [n/2][dim][2], pairs of rows; zeros after an odd last one */
static void att_pair_rows(const att_job *j, float *dst, tensor x, const int *rows, int n, int head)
{
    for (int i = 0; i < n; i += 2, dst += j->dim) {
        att_ahead(j, x, rows, i, n, head);
        att_ahead(j, x, rows, i + 1, n, head);
        bf16_rows(dst, row(x, rows[i]) + head * j->dim, i + 1 < n ? row(x, rows[i + 1]) + head * j->dim : NULL, j->dim);
    }
}

/* ... times s -> panels [n/NR][dim/2][NR][2], zeros beyond n: rows of pairs, transposed */
static void att_pack_bf16(const att_job *j, float *dst, tensor x, const int *rows, int n, int head, float s)
{
    for (int i = 0; i < round_up(n, NR); i += VL) {
        float *panel = dst + i / NR * NR * (j->dim / 2) + i % NR;
        for (int c = 0; c < j->dim; c += 2 * VL) {
            vf r[VL];
            for (int e = 0; e < VL; e++) {
                float pairs[VL] = {0};
                if (i + e < n) bf16_row(pairs, row(x, rows[i + e]) + head * j->dim + c, 2 * VL, s);
                r[e] = v_load(pairs);
            }
            v_transpose(r);
            for (int e = 0; e < VL; e++) v_store(panel + (c / 2 + e) * NR, r[e]);
        }
    }
}

/* micro_strip for pairs, whole panels. */
static void att_strip_bf16(const att_job *j, tile t, int m, bool cols)
{
    for (int i = 0; i < m; i += MR) {
        tile u = t;
        u.a = t.a + (cols ? i : i * t.lda);
        u.c = t.c + i * t.ldc;
        (*j->pairs)[imin(MR, m - i) - 1][cols][1](&u);
    }
}

/* att_tile_forward for pairs. */
static void att_tile_bf16(const att_job *j, const att_tile *t, const float *q, const float *k, const float *v)
{
    tile scores = {.a = k, .lda = j->dim / 2, .b = q, .ldb = NR, .segments = 1, .k = j->dim / 2, .c = t->st, .ldc = NR};
    att_strip_bf16(j, scores, t->n, false);
    for (int i = 0; i < NR; i += VL) att_softmax(j, t, i);
    for (int i = 0; i < t->n; i += 2) {
        float both[2 * NR];
        memcpy(both, t->st + i * NR, sizeof both);
        bf16_rows(t->st + i / 2 * NR, both, i + 1 < t->n ? both + NR : NULL, NR);
    }
    for (int d = 0; d < j->dim; d += NR) {
        tile sum = {.a = t->st, .lda = NR, .b = v + d, .ldb = j->dim, .segments = 1, .k = ceil_div(t->n, 2), .c = t->out + d, .ldc = j->wide, .add = true};
        att_strip_bf16(j, sum, t->m, true);
    }
}
#endif
