/* attention.h - softmax attention without an L x L matrix, forward (Dao et al. 2022: running maximum and sum) and back
 * (probabilities made again from log-sum-exp).
 *
 * A sample's rows may lie anywhere: `order` lists them, and a task copies the rows of one head into its cache block by
 * block.  One task a (sample, head, block of queries) forward, a (sample, head) on the way back, so every gradient row
 * has one writer. */
#ifndef CPU_KERNELS_ATTENTION_H
#define CPU_KERNELS_ATTENTION_H
#include "backend/cpu/kernels/attention_bf16.h"
#include "backend/cpu/kernels/attention_softmax.h"

enum { ATT_KEYS = 256, ATT_BACK_KEYS = 128, ATT_BACK_QUERIES = 96 }; /* multiples of every NR; queries of every MR */

/* n rows of one head, times s -> dst [n][wide], zero beyond dim */
static void att_copy(const att_job *j, float *dst, tensor x, const int *rows, int n, int head, float s)
{
    vf vs = v_set(s);
    for (int i = 0; i < n; i++, dst += j->wide) {
        att_ahead(j, x, rows, i, n, head);
        const float *src = row(x, rows[i]) + head * j->dim;
        for (int c = 0; c < j->wide; c += VL) v_store(dst + c, v_loadn(src + c, imax(j->dim - c, 0)) * vs);
    }
}

/* ... -> panels [n/NR][dim][NR], zero beyond n: the right side of a product with the transpose */
static void att_pack(const att_job *j, float *dst, tensor x, const int *rows, int n, int head, float s)
{
    vf vs = v_set(s);
    for (int i = 0; i < n; i += VL) {
        float *panel = dst + (i / NR) * NR * j->dim + i % NR;
        for (int c = 0; c < j->dim; c += VL) {
            vf r[VL];
            for (int e = 0; e < VL && c == 0; e++) att_ahead(j, x, rows, i + e, n, head);
            for (int e = 0; e < VL; e++) r[e] = i + e < n ? v_loadn(row(x, rows[i + e]) + head * j->dim + c, j->dim - c) : v_zero();
            v_transpose(r);
            for (int e = 0; e < VL && c + e < j->dim; e++) v_store(panel + (c + e) * NR, r[e] * vs);
        }
    }
}

/* s [m][ld] = a [m][wide] times panels (n columns; whole vectors are written) */
static void att_scores(const att_job *j, float *s, ptrdiff_t ld, const float *a, const float *panels, int m, int n)
{
    for (int c = 0; c < n; c += NR) {
        tile t = {.a = a, .lda = j->wide, .b = panels + c * j->dim, .ldb = NR, .segments = 1, .k = j->dim, .c = s + c, .ldc = ld};
        micro_strip(t, m, n - c > VL ? NR : VL, false);
    }
}

/* c [m][wide] += p b, b [k][wide]; p [m][ld] or, with cols, [k][ld] */
static void att_combine(const att_job *j, float *c, const float *p, ptrdiff_t ld, const float *b, int m, int k, bool cols)
{
    for (int d = 0; d < j->dim; d += NR) {
        tile t = {.a = p, .lda = ld, .b = b + d, .ldb = j->wide, .segments = 1, .k = k, .c = c + d, .ldc = j->wide, .add = true};
        micro_strip(t, m, j->dim - d > VL ? NR : VL, cols);
    }
}

static void att_tile_forward(const att_job *j, const att_tile *t, const float *q, const float *k, const float *v)
{
    int lanes = t->m > VL ? NR : VL;
    if (j->pairs) {
        att_tile_bf16(j, t, q, k, v);
        return;
    }
    tile scores = {.a = k, .lda = j->wide, .b = q, .ldb = NR, .segments = 1, .k = j->dim, .c = t->st, .ldc = NR};
    micro_strip(scores, t->n, lanes, false);
    for (int i = 0; i < lanes; i += VL) att_softmax(j, t, i);
    att_combine(j, t->out, t->st, NR, v, t->m, t->n, true);
}

static void att_task(void *arg, int task, int worker)
{
    const att_job *j = arg;
    int block = task % j->q_blocks, head = task / j->q_blocks % j->o.heads;
    att_sample sm = j->sample[task / j->q_blocks / j->o.heads];
    att_sample keys_of = j->key_sample[task / j->q_blocks / j->o.heads];
    const int *rows = j->order + sm.first, *seen = j->key_order + keys_of.first;
    int q0 = block * j->q_each, nq = imin(j->q_each, sm.rows - q0), wide = j->wide;
    if (nq <= 0) return;
    float *q = j->work + (size_t)worker * j->work_each, *out = q + j->q_each * j->dim, *k = out + j->q_each * wide;
    float *v = k + ATT_KEYS * wide, *st = v + ATT_KEYS * wide, *max = st + NR * ATT_KEYS, *sum = max + j->q_each;
    if (j->pairs) att_pack_bf16(j, q, j->q, rows + q0, nq, head, j->scale);
    else att_pack(j, q, j->q, rows + q0, nq, head, j->scale);
    memset(out, 0, sizeof(float) * (size_t)(nq * wide));
    for (int i = 0; i < j->q_each; i++) max[i] = -INFINITY, sum[i] = 0;
    int keys = j->o.causal ? q0 + nq : keys_of.rows;
    for (int k0 = 0; k0 < keys; k0 += ATT_KEYS) {
        int nk = imin(ATT_KEYS, keys - k0);
        if (j->pairs) {
            att_copy_bf16(j, k, j->k, seen + k0, nk, head);
            att_pair_rows(j, v, j->v, seen + k0, nk, head);
        } else {
            att_copy(j, k, j->k, seen + k0, nk, head, 1);
            att_copy(j, v, j->v, seen + k0, nk, head, 1);
        }
        for (int i = 0; i < nq; i += NR) {
            att_tile t = {.st = st, .max = max + i, .sum = sum + i, .out = out + i * wide, .head = head, .query = q0 + i, .m = imin(NR, nq - i),
                          .key = k0, .n = nk};
            if (j->o.causal) t.n = imin(nk, t.query + t.m - k0); /* later keys are hidden from all of them */
            if (t.n > 0) att_tile_forward(j, &t, q + i * (j->pairs ? j->dim / 2 : j->dim), k, v);
        }
    }
    for (int i = 0; i < nq; i++) {
        float *y = row(j->y, rows[q0 + i]) + head * j->dim;
        vf inv = v_set(1.0f / sum[i]);
        for (int c = 0; c < j->dim; c += VL) v_storen(y + c, v_load(out + i * wide + c) * inv, j->dim - c);
        if (j->lse.p) row(j->lse, rows[q0 + i])[head] = max[i] + logf(sum[i]);
    }
}

static void att_forward(device *dev, att_job j)
{
    int wanted = cpu_threads(dev) == 1 ? 1 : 4 * cpu_threads(dev), blocks = ceil_div(wanted, j.samples * j.o.heads);
    j.q_each = imin(imax(ceil_div(j.longest, blocks), 96), 48 * 1024 / j.wide);
    j.q_each = round_up(imin(j.q_each, j.longest), NR);
    j.q_blocks = ceil_div(j.longest, j.q_each);
    j.work_each = (size_t)(2 * j.q_each * j.wide + 2 * ATT_KEYS * j.wide + NR * ATT_KEYS + 2 * j.q_each);
    j.work_each = (j.work_each + 15) / 16 * 16;
    j.work = cpu_scratch(dev, CPU_WORK, j.work_each * (size_t)cpu_threads(dev));
    if (j.work) pool_run(dev->threads, j.samples * j.o.heads * j.q_blocks, att_task, &j);
}

static void k_attention(device *dev, tensor y, tensor q, tensor k, tensor v, layout l, attention_opts o, tensor lse)
{
    att_job j = {.y = y, .q = q, .k = k, .v = v, .o = o, .lse = lse};
    if (!att_prepare(dev, &j, l, true, 0) || !j.longest) return;
    const cpu_bf16 *tiles = att_in_bf16(dev, &j);
    if (tiles) {
        tiles->attention(dev, &j);
        return;
    }
    if (att_takes_bf16(dev, &j)) j.pairs = ((const cpu_state *)dev->state)->bf16->tiles;
    att_forward(dev, j);
}

/* Samples of one length each, of queries and of keys. */
static void k_crossattention(device *dev, tensor y, tensor q, tensor k, tensor v, int samples, int heads)
{
    att_job j = {.y = y, .q = q, .k = k, .v = v, .o = {.heads = heads}, .samples = samples, .dim = q.cols / heads, .longest = q.rows / samples};
    int most = imax(q.rows, k.rows);
    if (!j.longest) return;
    float *memory = cpu_scratch(dev, CPU_TEMP, (size_t)most + 4 * (size_t)samples);
    if (!memory) return;
    att_sample *sample = (att_sample *)memory, *key_sample = sample + samples;
    int *order = (int *)(key_sample + samples);
    for (int i = 0; i < most; i++) order[i] = i;
    for (int i = 0; i < samples; i++) {
        sample[i] = (att_sample){i * j.longest, j.longest};
        key_sample[i] = (att_sample){i * (k.rows / samples), k.rows / samples};
    }
    j.order = j.key_order = order;
    j.sample = sample;
    j.key_sample = key_sample;
    j.wide = round_up(j.dim, NR);
    j.scale = 1.0f / sqrtf((float)j.dim);
    att_forward(dev, j);
}

/* How many of the n keys from k0 on query i may see; its bias for them. */
INLINE int att_seen(const att_job *j, int i, int k0, int n) { return j->o.causal ? imax(0, imin(n, i + 1 - k0)) : n; }

INLINE const float *att_bias(const att_job *j, int head, int i, int k0)
{
    return j->bias ? j->bias + (size_t)head * (size_t)(2 * j->longest - 1) + (k0 - i + j->longest - 1) : NULL;
}

/* p [m][ld]: scores become probabilities; dp: becomes the scores' gradient p (dp - sum(dy y)). */
static void att_probabilities(const att_job *j, float *p, float *dp, int m, int i0, int k0, int n, int head, const float *lse, const float *dot)
{
    for (int i = 0; i < m; i++, p += ATT_BACK_KEYS, dp += ATT_BACK_KEYS) {
        int seen = att_seen(j, i0 + i, k0, n);
        const float *bias = att_bias(j, head, i0 + i, k0);
        vf vl = v_set(lse[i]), vd = v_set(dot[i]);
        for (int c = 0; c < n; c += VL) {
            vf s = v_load(p + c);
            if (bias) s += v_loadn(bias + c, n - c);
            vf e = v_keep(v_exp(s - vl), imax(seen - c, 0), 0.0f);
            v_store(p + c, e);
            v_store(dp + c, v_keep(e * (v_load(dp + c) - vd), imax(seen - c, 0), 0.0f));
        }
    }
}

static void att_add_rows(const att_job *j, tensor x, const int *rows, int n, int head, const float *src, float s)
{
    vf vs = v_set(s);
    for (int i = 0; x.p && i < n; i++) {
        att_ahead(j, x, rows, i, n, head);
        float *dst = row(x, rows[i]) + head * j->dim;
        for (int c = 0; c < j->dim; c += VL) v_storen(dst + c, v_fma(v_load(src + i * j->wide + c), vs, v_loadn(dst + c, j->dim - c)), j->dim - c);
    }
}

static void att_backward_task(void *arg, int task, int worker)
{
    const att_job *j = arg;
    int head = task % j->o.heads, wide = j->wide, n = j->sample[task / j->o.heads].rows;
    const int *rows = j->order + j->sample[task / j->o.heads].first;
    size_t whole = (size_t)(j->longest + MR) * (size_t)wide, block = (size_t)ATT_BACK_KEYS * (size_t)wide;
    float *q = j->work + (size_t)worker * j->work_each, *dy = q + whole, *dq = dy + whole, *lse = dq + whole, *dot = lse + j->longest;
    float *k = dot + j->longest + NR - 2 * j->longest % NR, *kp = k + block, *vp = kp + block, *dk = vp + block, *dv = dk + block;
    float *p = dv + block, *dp = p + ATT_BACK_QUERIES * ATT_BACK_KEYS, *dbias = dp + ATT_BACK_QUERIES * ATT_BACK_KEYS;
    att_copy(j, q, j->q, rows, n, head, j->scale);
    att_copy(j, dy, j->dy, rows, n, head, 1);
    memset(dq, 0, sizeof(float) * (size_t)n * (size_t)wide);
    if (j->bias) memset(dbias, 0, sizeof(float) * (size_t)(2 * j->longest));
    for (int i = 0; i < n; i++) {
        att_ahead(j, j->y, rows, i, n, head);
        const float *y = row(j->y, rows[i]) + head * j->dim;
        vf s = v_zero();
        for (int c = 0; c < j->dim; c += VL) s = v_fma(v_load(dy + i * wide + c), v_loadn(y + c, j->dim - c), s);
        dot[i] = v_sum(s);
        lse[i] = row(j->lse, rows[i])[head];
    }
    for (int k0 = 0; k0 < n; k0 += ATT_BACK_KEYS) {
        int nk = imin(ATT_BACK_KEYS, n - k0);
        att_copy(j, k, j->k, rows + k0, nk, head, 1);
        att_pack(j, kp, j->k, rows + k0, nk, head, 1);
        att_pack(j, vp, j->v, rows + k0, nk, head, 1);
        memset(dk, 0, sizeof(float) * block);
        memset(dv, 0, sizeof(float) * block);
        for (int i = j->o.causal ? k0 / MR * MR : 0; i < n; i += ATT_BACK_QUERIES) {
            int m = imin(ATT_BACK_QUERIES, n - i);
            att_scores(j, p, ATT_BACK_KEYS, q + i * wide, kp, m, nk);
            att_scores(j, dp, ATT_BACK_KEYS, dy + i * wide, vp, m, nk);
            att_probabilities(j, p, dp, m, i, k0, nk, head, lse + i, dot + i);
            att_combine(j, dv, p, ATT_BACK_KEYS, dy + i * wide, nk, m, true);
            att_combine(j, dk, dp, ATT_BACK_KEYS, q + i * wide, nk, m, true);
            att_combine(j, dq + i * wide, dp, ATT_BACK_KEYS, k, m, nk, false);
            for (int r = 0; j->bias && r < m; r++) add_row(dbias + (k0 - i - r + j->longest - 1), dp + r * ATT_BACK_KEYS, nk);
        }
        att_add_rows(j, j->dk, rows + k0, nk, head, dk, 1); /* q was copied scaled */
        att_add_rows(j, j->dv, rows + k0, nk, head, dv, 1);
    }
    att_add_rows(j, j->dq, rows, n, head, dq, j->scale);
    if (!j->bias) return;
    int buckets = j->o.relbias->out;
    float *sum = j->dbias + (size_t)task * (size_t)buckets;
    memset(sum, 0, sizeof(float) * (size_t)buckets);
    for (int d = 1 - n; d < n; d++) sum[t5_bucket(d, buckets, j->o.max_distance)] += dbias[d + j->longest - 1];
}

static void k_attention_backward(device *dev, tensor dq, tensor dk, tensor dv, tensor dy, tensor y, tensor q, tensor k, tensor v,
                                 layout l, attention_opts o, tensor lse)
{
    att_job j = {.y = y, .q = q, .k = k, .v = v, .o = o, .lse = lse, .dq = dq, .dk = dk, .dv = dv, .dy = dy};
    size_t tasks = (size_t)l.samples * (size_t)o.heads;
    if (!att_prepare(dev, &j, l, false, o.relbias ? tasks * (size_t)o.relbias->out : 0) || !j.longest) return;
    const cpu_bf16 *tiles = dev->bf16 ? att_in_bf16(dev, &j) : NULL;
    if (tiles) {
        tiles->attention_backward(dev, &j);
        return;
    }
    j.work_each = 3 * (size_t)(j.longest + MR) * (size_t)j.wide + 4 * (size_t)j.longest + 2 * NR + 5 * (size_t)ATT_BACK_KEYS * (size_t)j.wide +
                  2 * (size_t)ATT_BACK_QUERIES * ATT_BACK_KEYS + NR;
    j.work_each = (j.work_each + 15) / 16 * 16;
    j.work = cpu_scratch(dev, CPU_WORK, j.work_each * (size_t)cpu_threads(dev));
    if (!j.work) return;
    pool_run(dev->threads, (int)tasks, att_backward_task, &j);
    for (int t = 0; j.bias && t < (int)tasks; t++)
        for (int b = 0; b < o.relbias->out; b++) {
            int bucket = b;
            const weight_part *p = part_of(o.relbias, &bucket);
            if (p->grad) p->grad[(size_t)bucket * (size_t)o.relbias->in + (size_t)(t % o.heads)] += j.dbias[(size_t)t * (size_t)o.relbias->out + (size_t)b];
        }
}
#endif
