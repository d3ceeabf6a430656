/* attention.cu - softmax attention inside each sample, a query a thread; no L x L matrix in memory (Dao et al. 2022).
 * Threads side by side are queries of one sample and head, so that all read the same key at the same time. */
#include <math.h>
#include <stdio.h>
#include "backend/cuda/parallel.h"
#include "nn/relbias.h"

enum { WIDEST = 512 }; /* numbers of a head, at most */

/* Rows in the order of samples: row[i], and the sample that i belongs to is begin[i] .. end[i] - 1. */
typedef struct order { const int *row, *begin, *end; int n, longest; } order;

static order order_of(device *dev, layout l, int rows)
{
    const table *t = cuda_table(dev, { l.spans, (size_t)l.nspans, TABLE_ORDER }, [&] {
        std::vector<int> all(3 * (size_t)rows);
        int at = 0, longest = 0;
        for (int i = 0; i < l.nspans;) {
            int begin = at, sample = l.spans[i].sample;
            for (; i < l.nspans && l.spans[i].sample == sample; i++)
                for (int r = 0; r < l.spans[i].rows; r++) all[(size_t)at++] = l.spans[i].start + r;
            for (int k = begin; k < at; k++) {
                all[(size_t)(rows + k)] = begin;
                all[(size_t)(2 * rows + k)] = at;
            }
            longest = at - begin > longest ? at - begin : longest;
        }
        return table{ cuda_sent(dev, all), longest, {} };
    });
    if (!t) return order{};
    const int *p = (const int *)t->p;
    return { p, p + rows, p + 2 * rows, rows, t->count };
}

/* What is added to scores, and which are left out; `bucket` is of distance 0. */
typedef struct bias { const float *table; const int *bucket; int heads, buckets; bool causal; float scale; } bias;

static bias bias_of(device *dev, attention_opts o, int dim, int longest)
{
    bias b = { NULL, NULL, o.heads, 0, o.causal, o.scale != 0 ? o.scale : (float)(1 / sqrt((double)dim)) };
    if (!o.relbias) return b;
    b.table = cuda_part(dev, o.relbias, 0);
    b.buckets = o.relbias->out;
    const table *t = cuda_table(dev, { o.relbias, (size_t)longest, TABLE_BUCKETS }, [&] {
        std::vector<int> bucket;
        for (int d = -longest; d <= longest; d++) bucket.push_back(relbias_bucket(d, o.relbias->out, o.max_distance));
        return table{ cuda_sent(dev, bucket), longest, {} };
    });
    if (t) b.bucket = (const int *)t->p + longest;
    return b;
}

/* ---- pieces of a row: DIM numbers in registers, read four at a time; DIM 0: any number of them ---- */

template <int DIM> struct piece {
    float x[DIM ? DIM : WIDEST];

    /* f(column, the numbers at p) of one or four columns */
    template <class ONE, class FOUR> static ON_DEVICE void walk(const float *p, int dim, ONE one, FOUR four)
    {
        if constexpr (DIM > 0) {
#ifdef __CUDACC__
#pragma unroll
#endif
            for (int c = 0; c < DIM; c += 4) four(c, *(const float4 *)(p + c));
        } else {
            for (int c = 0; c < dim; c++) one(c, p[c]);
        }
    }
    ON_DEVICE void load(const float *p, int dim)
    {
        walk(p, dim, [&](int c, float k) { x[c] = k; }, [&](int c, float4 k) { x[c] = k.x, x[c + 1] = k.y, x[c + 2] = k.z, x[c + 3] = k.w; });
    }
    ON_DEVICE void clear(int dim)
    {
        for (int c = 0; c < (DIM ? DIM : dim); c++) x[c] = 0;
    }
    ON_DEVICE void times(float f, int dim)
    {
        for (int c = 0; c < (DIM ? DIM : dim); c++) x[c] *= f;
    }
    ON_DEVICE float dot(const float *p, int dim) const
    {
        float s = 0;
        walk(p, dim, [&](int c, float k) { s += x[c] * k; }, [&](int c, float4 k) { s += x[c] * k.x + x[c + 1] * k.y + x[c + 2] * k.z + x[c + 3] * k.w; });
        return s;
    }
    ON_DEVICE void add(float f, const float *p, int dim)
    {
        walk(p, dim, [&](int c, float k) { x[c] += f * k; },
             [&](int c, float4 k) { x[c] += f * k.x, x[c + 1] += f * k.y, x[c + 2] += f * k.z, x[c + 3] += f * k.w; });
    }
};

static ON_DEVICE inline float score(float dot, bias b, int i, int j, int head)
{
    return dot * b.scale + (b.table ? b.table[b.bucket[j - i] * b.heads + head] : 0);
}

template <int DIM> static void forward(device *dev, tensor y, tensor q, tensor k, tensor v, order o, bias b, int dim, tensor lse)
{
    unsigned rows = (unsigned)o.n;
    each(dev, (size_t)o.n * (size_t)b.heads, [=] ON_DEVICE(unsigned t) {
        int head = (int)(t / rows), i = (int)(t % rows), r = o.row[i], c0 = head * dim, end = b.causal ? i + 1 : o.end[i];
        piece<DIM> mine, out;
        mine.load(at(q, r, c0), dim);
        out.clear(dim);
        float top = -INFINITY, sum = 0;
        for (int j = o.begin[i]; j < end; j++) {
            float s = score(mine.dot(at(k, o.row[j], c0), dim), b, i, j, head);
            if (s > top) { /* what was summed up so far was relative to another */
                float f = expf(top - s);
                sum *= f;
                out.times(f, dim);
                top = s;
            }
            float p = expf(s - top);
            sum += p;
            out.add(p, at(v, o.row[j], c0), dim);
        }
        for (int c = 0; c < (DIM ? DIM : dim); c++) *at(y, r, c0 + c) = out.x[c] / sum;
        if (lse.p) *at(lse, r, head) = top + logf(sum);
    });
}

typedef struct back { tensor dq, dk, dv, dy, y, q, k, v, lse; float *delta, *db; } back;

/* P = exp(S - lse); dP = dY V^T; dS = P (dP - delta), delta = dY . Y; dQ += scale dS K. */
template <int DIM> static void queries_back(device *dev, back z, order o, bias b, int dim)
{
    unsigned rows = (unsigned)o.n;
    each(dev, (size_t)o.n * (size_t)b.heads, [=] ON_DEVICE(unsigned t) {
        int head = (int)(t / rows), i = (int)(t % rows), r = o.row[i], c0 = head * dim, end = b.causal ? i + 1 : o.end[i];
        piece<DIM> q, dy, dq;
        q.load(at(z.q, r, c0), dim);
        dy.load(at(z.dy, r, c0), dim);
        dq.clear(dim);
        float delta = dy.dot(at(z.y, r, c0), dim), lse = *at(z.lse, r, head);
        z.delta[(size_t)r * (size_t)b.heads + head] = delta;
        if (!z.dq.p && !z.db) return;
        for (int j = o.begin[i]; j < end; j++) {
            const float *k = at(z.k, o.row[j], c0);
            float p = expf(score(q.dot(k, dim), b, i, j, head) - lse), ds = p * (dy.dot(at(z.v, o.row[j], c0), dim) - delta);
            dq.add(ds, k, dim);
            if (z.db) z.db[((size_t)i * (size_t)b.buckets + b.bucket[j - i]) * (size_t)b.heads + head] += ds;
        }
        for (int c = 0; z.dq.p && c < (DIM ? DIM : dim); c++) *at(z.dq, r, c0 + c) += b.scale * dq.x[c];
    });
}

/* dV += P^T dY; dK += scale dS^T Q. */
template <int DIM> static void keys_back(device *dev, back z, order o, bias b, int dim)
{
    unsigned rows = (unsigned)o.n;
    each(dev, (size_t)o.n * (size_t)b.heads, [=] ON_DEVICE(unsigned t) {
        int head = (int)(t / rows), j = (int)(t % rows), r = o.row[j], c0 = head * dim;
        piece<DIM> k, v, dk, dv;
        k.load(at(z.k, r, c0), dim);
        v.load(at(z.v, r, c0), dim);
        dk.clear(dim);
        dv.clear(dim);
        for (int i = b.causal ? j : o.begin[j]; i < o.end[j]; i++) {
            int from = o.row[i];
            const float *q = at(z.q, from, c0), *dy = at(z.dy, from, c0);
            float p = expf(score(k.dot(q, dim), b, i, j, head) - *at(z.lse, from, head));
            float ds = p * (v.dot(dy, dim) - z.delta[(size_t)from * (size_t)b.heads + head]);
            dv.add(p, dy, dim);
            dk.add(ds, q, dim);
        }
        for (int c = 0; c < (DIM ? DIM : dim); c++) {
            if (z.dv.p) *at(z.dv, r, c0 + c) += dv.x[c];
            if (z.dk.p) *at(z.dk, r, c0 + c) += b.scale * dk.x[c];
        }
    });
}

/* Whether rows begin where four numbers can be read at once. */
static bool aligned(tensor x) { return (uintptr_t)x.p % 16 == 0 && x.ld % 4 == 0; }

static bool too_wide(device *dev, int dim)
{
    if (dim <= WIDEST) return false;
    dev->failed = true;
    dev->status = DREAMO_DEVICE;
    snprintf(dev->why, sizeof dev->why, "the cuda backend takes heads of at most %d numbers, not %d", WIDEST, dim);
    return true;
}

extern "C" void cuda_attention(device *dev, tensor y, tensor q, tensor k, tensor v, layout l, attention_opts opts, tensor lse)
{
    int dim = q.cols / opts.heads;
    if (too_wide(dev, dim)) return;
    order o = order_of(dev, l, q.rows);
    bias b = bias_of(dev, opts, dim, o.longest);
    if (dev->failed) return;
    bool four = aligned(q) && aligned(k) && aligned(v);
    if (four && dim == 32) forward<32>(dev, y, q, k, v, o, b, dim, lse);
    else if (four && dim == 96) forward<96>(dev, y, q, k, v, o, b, dim, lse); /* dreamo-mini's autoencoder */
    else if (four && dim == 64) forward<64>(dev, y, q, k, v, o, b, dim, lse);
    else if (four && dim == 128) forward<128>(dev, y, q, k, v, o, b, dim, lse);
    else forward<0>(dev, y, q, k, v, o, b, dim, lse);
}

template <int DIM> static void both_back(device *dev, back z, order o, bias b, int dim)
{
    queries_back<DIM>(dev, z, o, b, dim);
    if (z.dk.p || z.dv.p) keys_back<DIM>(dev, z, o, b, dim);
}

extern "C" void cuda_attention_backward(device *dev, tensor dq, tensor dk, tensor dv, tensor dy, tensor y, tensor q, tensor k, tensor v,
                                        layout l, attention_opts opts, tensor lse)
{
    int dim = q.cols / opts.heads, heads = opts.heads;
    order o = order_of(dev, l, q.rows);
    bias b = bias_of(dev, opts, dim, o.longest);
    back z = { dq, dk, dv, dy, y, q, k, v, lse, cuda_scratch(dev, SCRATCH_ROWS, (size_t)q.rows * (size_t)heads), NULL };
    const weight_part *part = opts.relbias ? &opts.relbias->part[0] : NULL;
    size_t numbers = (size_t)b.buckets * (size_t)heads;
    float *grad = part ? cuda_gradient(dev, part->grad, numbers) : NULL;
    if (grad) z.db = cuda_scratch(dev, SCRATCH_COLUMNS, (size_t)q.rows * numbers);
    if (dev->failed) return;
    if (z.db) cuda_ok(dev, cudaMemsetAsync(z.db, 0, (size_t)q.rows * numbers * sizeof(float), cuda_of(dev)->stream), "zeroing scratch memory");
    bool four = aligned(q) && aligned(k) && aligned(v) && aligned(dy) && aligned(y);
    if (four && dim == 32) both_back<32>(dev, z, o, b, dim);
    else if (four && dim == 64) both_back<64>(dev, z, o, b, dim);
    else if (four && dim == 128) both_back<128>(dev, z, o, b, dim);
    else both_back<0>(dev, z, o, b, dim);
    const float *db = z.db;
    if (grad)
        column_sums(dev, cuda_in_runs(dev, 1, q.rows), (int)numbers, [=] ON_DEVICE(int r, int c) { return db[(size_t)r * numbers + (size_t)c]; },
                    [=] ON_DEVICE(int, int c, float sum) { grad[c] += sum; });
}
