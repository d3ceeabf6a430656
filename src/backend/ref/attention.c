/* attention.c - softmax attention inside each sample, and the routing map. */
#include <math.h>
#include "backend/ref/ref.h"

/* Spec 6.3: bucket of d = key - query.  Half of the buckets for each sign; exact up to max_exact, then logarithmic. */
static int bucket_of(int d, int buckets, int max_distance)
{
    int half = buckets / 2, base = d > 0 ? half : 0, a = d < 0 ? -d : d, exact = half / 2;
    if (a < exact) return base + a;
    int large = exact + (int)(logf((float)a / (float)exact) / logf((float)max_distance / (float)exact) * (float)(half - exact));
    return base + (large < half - 1 ? large : half - 1);
}

/* Row of the packed matrix that holds position i of the sample whose spans begin at l.spans[first]. */
static int row_of(layout l, int first, int i)
{
    while (i >= l.spans[first].rows) i -= l.spans[first++].rows;
    return l.spans[first].start + i;
}

/* Walk the samples: first span and length of the next one; false at the end. */
static bool next_sample(layout l, int *span, int *first, int *length)
{
    if (*span == l.nspans) return false;
    *first = *span;
    for (*length = 0; *span < l.nspans && l.spans[*span].sample == l.spans[*first].sample; ++*span) *length += l.spans[*span].rows;
    return true;
}

static double score(tensor q, tensor k, int qi, int kj, int i, int j, int head, int dim, attention_opts o)
{
    double s = 0, scale = o.scale != 0 ? o.scale : 1 / sqrt(dim);
    if (o.causal && j > i) return -INFINITY;
    for (int c = head * dim; c < (head + 1) * dim; c++) s += (double)*at(q, qi, c) * *at(k, kj, c);
    s *= scale;
    if (o.relbias) s += ref_weight(o.relbias, bucket_of(j - i, o.relbias->out, o.max_distance), head);
    return s;
}

void ref_attention(device *dev, tensor y, tensor q, tensor k, tensor v, layout l, attention_opts o, tensor lse)
{
    int dim = q.cols / o.heads;
    double out[dim];
    (void)dev;
    for (int span = 0, first, n; next_sample(l, &span, &first, &n);)
        for (int head = 0; head < o.heads; head++)
            for (int i = 0; i < n; i++) {
                int qi = row_of(l, first, i), c0 = head * dim;
                double top = -INFINITY, sum = 0;
                for (int j = 0; j < n; j++) top = fmax(top, score(q, k, qi, row_of(l, first, j), i, j, head, dim, o));
                for (int c = 0; c < dim; c++) out[c] = 0;
                for (int j = 0; j < n; j++) {
                    int kj = row_of(l, first, j);
                    double p = exp(score(q, k, qi, kj, i, j, head, dim, o) - top);
                    sum += p;
                    for (int c = 0; c < dim; c++) out[c] += p * *at(v, kj, c0 + c);
                }
                for (int c = 0; c < dim; c++) *at(y, qi, c0 + c) = (float)(out[c] / sum);
                if (lse.p) *at(lse, qi, head) = (float)(top + log(sum));
            }
}

/* P = exp(S - lse); dV += P^T dY; dP = dY V^T; dS = P (dP - sum_j P dP), where the sum is dY . Y;
 * dQ += scale dS K; dK += scale dS^T Q (FlashAttention, Dao et al. 2022, appendix B). */
void ref_attention_backward(device *dev, tensor dq, tensor dk, tensor dv, tensor dy, tensor y, tensor q, tensor k, tensor v,
                            layout l, attention_opts o, tensor lse)
{
    int dim = q.cols / o.heads;
    double scale = o.scale != 0 ? o.scale : 1 / sqrt(dim);
    (void)dev;
    for (int span = 0, first, n; next_sample(l, &span, &first, &n);)
        for (int head = 0; head < o.heads; head++)
            for (int i = 0; i < n; i++) {
                int qi = row_of(l, first, i), c0 = head * dim, c1 = c0 + dim;
                double delta = 0;
                for (int c = c0; c < c1; c++) delta += (double)*at(dy, qi, c) * *at(y, qi, c);
                for (int j = 0; j < n; j++) {
                    int kj = row_of(l, first, j);
                    double p = exp(score(q, k, qi, kj, i, j, head, dim, o) - *at(lse, qi, head)), dp = 0;
                    for (int c = c0; c < c1; c++) dp += (double)*at(dy, qi, c) * *at(v, kj, c);
                    double ds = p * (dp - delta);
                    for (int c = c0; c < c1; c++) {
                        if (dv.p) *at(dv, kj, c) += (float)(p * *at(dy, qi, c));
                        if (dq.p) *at(dq, qi, c) += (float)(scale * ds * *at(k, kj, c));
                        if (dk.p) *at(dk, kj, c) += (float)(scale * ds * *at(q, qi, c));
                    }
                    if (!o.relbias) continue;
                    float *g = ref_weight_grad(o.relbias, bucket_of(j - i, o.relbias->out, o.max_distance), head);
                    if (g) *g += (float)ds;
                }
            }
}

/* The formula has no softmax, so the mean over reference tokens moves into q: one pooled query, one product a token. */
static double pooled(tensor q, const route *r, int c)
{
    double s = 0;
    for (int i = 0; i < r->nref; i++) s += *at(q, r->ref0 + i, c);
    return s / r->nref;
}

void ref_routemap(device *dev, tensor y, tensor q, tensor k, const route *routes, int heads)
{
    double scale = 1 / sqrt(q.cols / heads) / heads;
    (void)dev;
    for (int i = 0; i < y.rows; i++)
        for (int j = 0; j < y.cols; j++) {
            const route *r = &routes[i];
            double s = 0;
            for (int c = 0; j < r->nimg && c < q.cols; c++) s += pooled(q, r, c) * *at(k, r->img0 + j, c);
            *at(y, i, j) = (float)(scale * s);
        }
}

void ref_routemap_backward(device *dev, tensor dq, tensor dk, tensor dy, tensor q, tensor k, const route *routes, int heads)
{
    double scale = 1 / sqrt(q.cols / heads) / heads;
    (void)dev;
    for (int i = 0; i < dy.rows; i++)
        for (int c = 0; c < q.cols; c++) {
            const route *r = &routes[i];
            double mean = pooled(q, r, c), s = 0;
            for (int j = 0; j < r->nimg; j++) {
                s += (double)*at(dy, i, j) * *at(k, r->img0 + j, c);
                if (dk.p) *at(dk, r->img0 + j, c) += (float)(scale * *at(dy, i, j) * mean);
            }
            for (int t = 0; dq.p && t < r->nref; t++) *at(dq, r->ref0 + t, c) += (float)(scale * s / r->nref);
        }
}
