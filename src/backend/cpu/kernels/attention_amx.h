/* attention_amx.h - attention, forward and back, with its products on AMX: q (scaled), k, v, dy, the probabilities and the scores' gradients
 * are rounded to bf16, products are added in fp32, softmax and sums stay fp32.
 *
 * Scores lie transposed, [keys][32 queries], as in attention.h: what a key says to 16 queries is a vector, maximum and sum need nothing across
 * lanes, and two rows zipped are the pairs that the next product takes as its right side.  What a query sums up, the output and dq, is
 * therefore kept transposed, too: [dim][queries].
 *
 * Heads are multiples of 32 numbers, so that a step of k is a whole tile. */
#ifndef CPU_KERNELS_ATTENTION_AMX_H
#define CPU_KERNELS_ATTENTION_AMX_H
#include "backend/cpu/kernels/attention_job.h"
#include "backend/cpu/kernels/gemm.h"

enum { AMX_KEYS = 128 }; /* a block of them, a multiple of 32 */

/* One head's part of row i; zeros beyond n. */
INLINE vf amx_part(const att_job *j, tensor x, const int *rows, int i, int n, int head, int c)
{
    return i < n ? v_load(row(x, rows[i]) + head * j->dim + c) : v_zero();
}

/* n rows -> [n][dim/2] pairs along the head: left side of a product over the head. */
static void amx_rows(const att_job *j, float *dst, tensor x, const int *rows, int n, int head)
{
    for (int i = 0; i < n; i++, dst += j->dim / 2) {
        att_ahead(j, x, rows, i, n, head);
        for (int c = 0; c < j->dim; c += 2 * VL) v_store(dst + c / 2, pairs_of(amx_part(j, x, rows, i, n, head, c), amx_part(j, x, rows, i, n, head, c + VL)));
    }
}

/* ... times s -> panels [n/32][dim/2][32]: right side of the same, zeros beyond n */
static void amx_panels(const att_job *j, float *dst, tensor x, const int *rows, int n, int head, float s)
{
    vf vs = v_set(s);
    for (int i = 0; i < round_up(n, NR); i += VL) {
        float *panel = dst + i / NR * NR * (j->dim / 2) + i % NR;
        for (int c = 0; c < j->dim; c += 2 * VL) {
            vf r[VL];
            for (int e = 0; e < VL; e++)
                r[e] = pairs_of(amx_part(j, x, rows, i + e, n, head, c) * vs, amx_part(j, x, rows, i + e, n, head, c + VL) * vs);
            v_transpose(r);
            for (int e = 0; e < VL; e++) v_store(panel + (c / 2 + e) * NR, r[e]);
        }
    }
}

/* ... -> [dim][ld] pairs of rows, zeros beyond n up to a multiple of 32: left side of a product over the rows */
static void amx_turned(const att_job *j, float *dst, int ld, tensor x, const int *rows, int n, int head)
{
    for (int i = 0; i < n; i += 2 * VL)
        for (int c = 0; c < j->dim; c += VL) {
            vf r[VL];
            for (int e = 0; e < VL; e++) r[e] = zip(amx_part(j, x, rows, i + 2 * e, n, head, c), amx_part(j, x, rows, i + 2 * e + 1, n, head, c));
            v_transpose(r);
            for (int e = 0; e < VL; e++) v_store(dst + (c + e) * ld + i / 2, r[e]);
        }
}

/* ... times s -> [n/2][dim] pairs of rows, zeros likewise: right side of the same */
static void amx_zipped(const att_job *j, float *dst, tensor x, const int *rows, int n, int head, float s)
{
    vf vs = v_set(s);
    for (int i = 0; i < round_up(n, 2 * VL); i += 2, dst += j->dim)
        for (int c = 0; c < j->dim; c += VL)
            v_store(dst + c, zip(amx_part(j, x, rows, i, n, head, c) * vs, amx_part(j, x, rows, i + 1, n, head, c) * vs));
}

/* c[m][n] (+)= a[m][k pairs] b[k pairs][n], n a multiple of 32. */
INLINE void amx_times(float *c, int ldc, const float *a, int lda, const float *b, int ldb, int m, int n, int k, bool add)
{
    for (int i = 0; i < m; i += AMX_MR)
        for (int p = 0; p < n; p += NR) {
            tile t = {.a = a + i * lda, .lda = lda, .b = b + p, .ldb = ldb, .k = k, .c = c + i * ldc + p, .ldc = ldc, .add = add};
            amx_tile(&t, m - i > AMX_SIDE ? AMX_MR : AMX_SIDE, NR);
        }
}

/* x [dim][ld], columns 0..n, each times its factor (NULL: `s` for all) -> set as, or added to, rows. */
static void amx_give(const att_job *j, tensor x, const int *rows, int n, int head, const float *src, int ld, const float *divisor, float s, bool add)
{
    for (int i = 0; i < n; i += VL) {
        vf f = v_set(s);
        if (divisor) f /= v_load(divisor + i);
        for (int c = 0; c < j->dim; c += VL) {
            vf r[VL];
            for (int e = 0; e < VL; e++) r[e] = v_load(src + (c + e) * ld + i) * f;
            v_transpose(r);
            for (int e = 0; e < VL && i + e < n; e++) {
                float *to = row(x, rows[i + e]) + head * j->dim + c;
                if (add) r[e] += v_load(to);
                v_store(to, r[e]);
            }
        }
    }
}

/* Scores of n keys become e^(score - max) as pairs of keys; maximum, sum and what was summed so far move on.  16 queries. */
static void amx_softmax(const att_job *j, float *st, int n, float *max, float *sum, float *out, bool first)
{
    vf before = v_load(max), top = before, total = v_zero();
    for (int k = 0; k < n; k++) top = v_max(top, v_load(st + k * NR));
    for (int k = 0; k < round_up(n, 2 * AMX_PAIRS); k += 2) {
        vf even = k < n ? v_exp(v_load(st + k * NR) - top) : v_zero(), odd = k + 1 < n ? v_exp(v_load(st + (k + 1) * NR) - top) : v_zero();
        total += even + odd;
        v_store(st + k / 2 * NR, zip(even, odd));
    }
    vf shrink = v_exp(before - top);
    v_store(max, top);
    v_store(sum, v_fma(v_load(sum), shrink, total));
    for (int d = 0; d < j->dim && !first; d++) v_store(out + d * NR, v_load(out + d * NR) * shrink);
}

/* A (sample, head, block of queries). */
static void amx_task(void *arg, int task, int worker)
{
    const att_job *j = arg;
    int block = task % j->q_blocks, head = task / j->q_blocks % j->o.heads, dim = j->dim;
    att_sample sm = j->sample[task / j->q_blocks / j->o.heads];
    const int *rows = j->order + sm.first;
    int q0 = block * j->q_each, nq = imin(j->q_each, sm.rows - q0);
    if (nq <= 0) return;
    float *q = j->work + (size_t)worker * j->work_each, *out = q + j->q_each * dim / 2, *max = out + j->q_each * dim, *sum = max + j->q_each;
    float *k = sum + j->q_each, *v = k + AMX_KEYS * dim / 2, *st = v + AMX_KEYS * dim / 2;
    amx_begin();
    amx_panels(j, q, j->q, rows + q0, nq, head, j->scale);
    for (int i = 0; i < j->q_each; i++) max[i] = -INFINITY, sum[i] = 0;
    for (int k0 = 0; k0 < sm.rows; k0 += AMX_KEYS) {
        int n = imin(AMX_KEYS, sm.rows - k0);
        amx_rows(j, k, j->k, rows + k0, n, head);
        amx_turned(j, v, AMX_KEYS / 2, j->v, rows + k0, n, head);
        for (int i = 0; i < nq; i += NR) {
            float *of = out + i * dim; /* [dim][32] */
            amx_times(st, NR, k, dim / 2, q + i * (dim / 2), NR, n, NR, dim / 2, false);
            for (int c = 0; c < NR; c += VL) amx_softmax(j, st + c, n, max + i + c, sum + i + c, of + c, k0 == 0);
            amx_times(of, NR, v, AMX_KEYS / 2, st, NR, dim, NR, round_up(n, 2 * AMX_PAIRS) / 2, k0 > 0);
        }
    }
    amx_end();
    for (int i = 0; i < nq; i += NR) amx_give(j, j->y, rows + q0 + i, imin(NR, nq - i), head, out + i * dim, NR, sum + i, 1, false);
    for (int i = 0; j->lse.p && i < nq; i++) row(j->lse, rows[q0 + i])[head] = max[i] + logf(sum[i]);
}

static void amx_attention(device *dev, att_job *j)
{
    int wanted = cpu_threads(dev) == 1 ? 1 : 4 * cpu_threads(dev), blocks = ceil_div(wanted, j->samples * j->o.heads);
    j->q_each = round_up(imin(imin(imax(ceil_div(j->longest, blocks), 96), 64 * 1024 / j->dim), j->longest), NR);
    j->q_blocks = ceil_div(j->longest, j->q_each);
    j->work_each = (size_t)j->q_each * (size_t)(j->dim + j->dim / 2 + 2) + (size_t)AMX_KEYS * (size_t)(j->dim + NR);
    j->work_each = (j->work_each + 15) / 16 * 16;
    j->work = cpu_scratch(dev, CPU_WORK, j->work_each * (size_t)cpu_threads(dev));
    if (j->work) pool_run(dev->threads, j->samples * j->o.heads * j->q_blocks, amx_task, j);
}

/* From two keys' scores and the gradients of their probabilities, 32 queries: probabilities and the scores' gradients as pairs of queries (a row
 * of 16 pairs a key), the latter as pairs of keys, too. */
INLINE void amx_pair_back(const float *st, const float *dpt, bool two, const float *lse, const float *dot, float *p, float *ds, float *ds_keys)
{
    vf pr[2][2], dr[2][2];
    for (int e = 0; e < 2; e++)
        for (int c = 0; c < 2; c++) {
            pr[e][c] = dr[e][c] = v_zero();
            if (e == 1 && !two) continue;
            pr[e][c] = v_exp(v_load(st + e * NR + c * VL) - v_load(lse + c * VL));
            dr[e][c] = pr[e][c] * (v_load(dpt + e * NR + c * VL) - v_load(dot + c * VL));
        }
    for (int e = 0; e < 2; e++) {
        v_store(p + e * AMX_PAIRS, pairs_of(pr[e][0], pr[e][1]));
        v_store(ds + e * AMX_PAIRS, pairs_of(dr[e][0], dr[e][1]));
    }
    for (int c = 0; c < 2; c++) v_store(ds_keys + c * VL, zip(dr[0][c], dr[1][c]));
}

/* A (sample, head): every gradient row has one writer. */
static void amx_backward_task(void *arg, int task, int worker)
{
    const att_job *j = arg;
    int head = task % j->o.heads, dim = j->dim, n = j->sample[task / j->o.heads].rows, most = round_up(j->longest, NR);
    const int *rows = j->order + j->sample[task / j->o.heads].first;
    size_t half = (size_t)most * (size_t)dim / 2, block = (size_t)AMX_KEYS * (size_t)dim / 2;
    float *q = j->work + (size_t)worker * j->work_each, *dy = q + half, *qz = dy + half, *dyz = qz + half, *dq = dyz + half, *lse = dq + 2 * half, *dot = lse + most;
    float *k = dot + most, *v = k + block, *kt = v + block, *dk = kt + block, *dv = dk + 2 * block;
    float *st = dv + 2 * block, *dpt = st + AMX_KEYS * NR, *p = dpt + AMX_KEYS * NR, *ds = p + AMX_KEYS * AMX_PAIRS, *ds_keys = ds + AMX_KEYS * AMX_PAIRS;
    amx_begin();
    amx_panels(j, q, j->q, rows, n, head, j->scale);
    amx_panels(j, dy, j->dy, rows, n, head, 1);
    amx_zipped(j, qz, j->q, rows, n, head, j->scale);
    amx_zipped(j, dyz, j->dy, rows, n, head, 1);
    for (int i = 0; i < most; i++) {
        vf s = v_zero();
        for (int c = 0; c < dim; c += VL) s = v_fma(amx_part(j, j->dy, rows, i, n, head, c), amx_part(j, j->y, rows, i, n, head, c), s);
        dot[i] = v_sum(s);
        lse[i] = i < n ? row(j->lse, rows[i])[head] : INFINITY; /* no probability */
    }
    for (int k0 = 0; k0 < n; k0 += AMX_KEYS) {
        int nk = imin(AMX_KEYS, n - k0);
        amx_rows(j, k, j->k, rows + k0, nk, head);
        amx_rows(j, v, j->v, rows + k0, nk, head);
        amx_turned(j, kt, AMX_KEYS / 2, j->k, rows + k0, nk, head);
        for (int i = 0; i < n; i += NR) {
            amx_times(st, NR, k, dim / 2, q + i * (dim / 2), NR, nk, NR, dim / 2, false);
            amx_times(dpt, NR, v, dim / 2, dy + i * (dim / 2), NR, nk, NR, dim / 2, false);
            for (int e = 0; e < round_up(nk, 2 * AMX_PAIRS); e += 2)
                if (e < nk) amx_pair_back(st + e * NR, dpt + e * NR, e + 1 < nk, lse + i, dot + i, p + e * AMX_PAIRS, ds + e * AMX_PAIRS, ds_keys + e / 2 * NR);
                else for (int c = 0; c < NR; c += VL) v_store(ds_keys + e / 2 * NR + c, v_zero());
            amx_times(dv, dim, p, AMX_PAIRS, dyz + i / 2 * dim, dim, nk, dim, AMX_PAIRS, i > 0);
            amx_times(dk, dim, ds, AMX_PAIRS, qz + i / 2 * dim, dim, nk, dim, AMX_PAIRS, i > 0); /* q was taken scaled */
            amx_times(dq + i, most, kt, AMX_KEYS / 2, ds_keys, NR, dim, NR, round_up(nk, 2 * AMX_PAIRS) / 2, k0 > 0);
        }
        for (int i = 0; i < nk; i++)
            for (int c = 0; c < dim; c += VL) {
                float *to_k = row(j->dk, rows[k0 + i]) + head * dim + c, *to_v = row(j->dv, rows[k0 + i]) + head * dim + c;
                if (j->dk.p) v_store(to_k, v_load(to_k) + v_load(dk + i * dim + c));
                if (j->dv.p) v_store(to_v, v_load(to_v) + v_load(dv + i * dim + c));
            }
    }
    amx_end();
    if (j->dq.p) amx_give(j, j->dq, rows, n, head, dq, most, NULL, j->scale, true);
}

static void amx_attention_backward(device *dev, att_job *j)
{
    size_t most = (size_t)round_up(j->longest, NR), dim = (size_t)j->dim;
    j->work_each = 3 * most * dim + 2 * most + (size_t)AMX_KEYS * (3 * dim / 2 + 2 * dim + 2 * NR + 2 * AMX_PAIRS + NR / 2);
    j->work_each = (j->work_each + 15) / 16 * 16;
    j->work = cpu_scratch(dev, CPU_WORK, j->work_each * (size_t)cpu_threads(dev));
    if (j->work) pool_run(dev->threads, j->samples * j->o.heads, amx_backward_task, j);
}
#endif
