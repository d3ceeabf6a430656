/* attention.c - softmax attention within each sample.
 *
 * Plain attention over heads of the sizes that all backends take is one node, FLASH_ATTN_EXT, with k and v as f16.  With a bias (T5), causal (CLIP) or of
 * other head sizes it is products and a softmax, over so many rows of q at a time that their scores stay small. */
#include <math.h>
#include "backend/ggml/state.h"
#include "base/mem.h"
#include "nn/relbias.h"

/* A sample's rows of x as one run, [rows, cols]; where its spans lie apart they are copied together. */
static tensor gathered(state *s, tensor x, layout l, int first, int nspans, int rows, place *copy)
{
    int at = l.spans[first].start;
    bool joined = gg_aligned(s, (tensor){ .p = x.p + (size_t)at * (size_t)x.ld }) && (size_t)x.ld * sizeof(float) % s->border == 0;
    for (int i = 0; i < nspans; at += l.spans[first + i++].rows) joined = joined && l.spans[first + i].start == at;
    tensor run = x;
    run.rows = rows;
    run.p += (size_t)l.spans[first].start * (size_t)x.ld;
    *copy = (place){ 0 };
    if (joined) return run;
    *copy = gg_scratch(s, sizeof(float) * (size_t)rows * (size_t)x.cols);
    return (tensor){ .rows = rows, .cols = x.cols, .ld = x.cols };
}

/* [d, rows, heads] of the sample's rows: of x itself, or of the copy. */
static gt *tokens(state *s, tensor x, layout l, int first, int nspans, int rows, int dim)
{
    place copy;
    tensor run = gathered(s, x, l, first, nspans, rows, &copy);
    if (!copy.buffer) return gg_tokens(s, run, dim);
    size_t f = sizeof(float), ld = f * (size_t)x.cols, done = 0;
    for (int i = 0; i < nspans; i++) {
        span a = l.spans[first + i];
        if (!a.rows) continue;
        tensor part = x;
        part.p += (size_t)a.start * (size_t)x.ld;
        part.rows = a.rows;
        place to = { copy.buffer, copy.at + done * ld };
        size_t all = ld * (size_t)a.rows;
        gg_copy_node(s, gg_mat(s, part), gg_leaf(s, GGML_TYPE_F32, to, (int64_t[]){ x.cols, a.rows, 1, 1 }, (size_t[]){ f, ld, all, all }));
        done += (size_t)a.rows;
    }
    return gg_leaf(s, GGML_TYPE_F32, copy, (int64_t[]){ dim, rows, x.cols / dim, 1 }, (size_t[]){ f, ld, f * (size_t)dim, f * (size_t)dim * (size_t)(x.cols / dim) });
}

/* The result [d, heads, rows], packed, into the sample's rows of y. */
static void scatter(state *s, gt *t, tensor y, layout l, int first, int nspans)
{
    size_t f = sizeof(float), ld = f * (size_t)y.cols, done = 0;
    for (int i = 0; i < nspans; i++) {
        span a = l.spans[first + i];
        if (!a.rows) continue;
        gt *v = gg_viewed(s, ggml_view_2d(s->now->cx, t, y.cols, a.rows, ld, done * ld));
        tensor part = y;
        part.p += (size_t)a.start * (size_t)y.ld;
        part.rows = a.rows;
        gg_copy_node(s, v, gg_mat(s, part));
        done += (size_t)a.rows;
    }
}

static bool in_order(layout l, int first, int nspans)
{
    int at = l.spans[first].start;
    for (int i = 0; i < nspans; at += l.spans[first + i++].rows)
        if (l.spans[first + i].start != at) return false;
    return true;
}

/* k or v as f16, [d, rows, heads] packed. */
static gt *halved(state *s, gt *x)
{
    gt *to = ggml_new_tensor_3d(s->now->cx, GGML_TYPE_F16, x->ne[0], x->ne[1], x->ne[2]);
    place at = gg_scratch(s, ggml_nbytes(to));
    if (gg_ok(s)) ggml_backend_tensor_alloc(at.buffer, to, at.at);
    return gg_mid(s, ggml_cpy(s->now->cx, x, to));
}

static void flash(state *s, tensor y, gt *q, gt *k, gt *v, layout l, int first, int nspans, float scale)
{
    struct ggml_context *cx = s->now->cx;
    gt *t = ggml_flash_attn_ext(cx, q, halved(s, k), halved(s, v), NULL, scale, 0, 0);
    ggml_prec_set_acc(t, GGML_PREC_F32);
    if (!in_order(l, first, nspans) || !gg_aligned(s, (tensor){ .p = y.p + (size_t)l.spans[first].start * (size_t)y.ld })) {
        scatter(s, gg_mid(s, t), y, l, first, nspans);
        return;
    }
    tensor rows = y;
    rows.p += (size_t)l.spans[first].start * (size_t)y.ld;
    rows.rows = (int)q->ne[1];
    gg_out(s, t, rows);
}

enum { SCORES = 4 << 20 }; /* of the rows of q that are done at a time */

/* bias: [keys, queries, heads or 1] added to the scores, or NULL buffer. */
static void spelled_out(state *s, tensor y, gt *q, gt *k, gt *v, layout l, int first, int nspans, float scale, place bias, int bias_heads)
{
    struct ggml_context *cx = s->now->cx;
    int64_t n = q->ne[1], nkeys = k->ne[1], heads = q->ne[2], d = q->ne[0], each = SCORES / (nkeys * heads);
    size_t f = sizeof(float);
    if (each < 1) each = 1;
    if (each > n) each = n;
    gt *keys = gg_mid(s, ggml_cont(cx, k));
    gt *values = gg_mid(s, ggml_cont(cx, gg_viewed(s, ggml_permute(cx, v, 1, 0, 2, 3)))); /* [keys, d, heads] */
    size_t all = f * (size_t)(d * heads);
    gt *whole = gg_leaf(s, GGML_TYPE_F32, gg_scratch(s, all * (size_t)n), (int64_t[]){ d, heads, n, 1 }, (size_t[]){ f, f * (size_t)d, all, all * (size_t)n });
    size_t mark = s->taken;
    int chunk = s->chunk;
    for (int64_t from = 0; from < n; from += each) {
        int64_t rows = n - from < each ? n - from : each;
        s->taken = mark; /* the rows before are done with it */
        s->chunk = chunk;
        gt *part = gg_viewed(s, ggml_view_3d(cx, q, d, rows, heads, q->nb[1], q->nb[2], (size_t)from * q->nb[1]));
        gt *scores = gg_mid(s, ggml_mul_mat(cx, keys, gg_mid(s, ggml_cont(cx, part)))); /* [keys, rows, heads] */
        if (bias.buffer) {
            size_t plane = f * (size_t)(n * nkeys);
            place at = { bias.buffer, bias.at + f * (size_t)(from * nkeys) };
            gt *b = gg_leaf(s, GGML_TYPE_F32, at, (int64_t[]){ nkeys, rows, bias_heads, 1 }, (size_t[]){ f, f * (size_t)nkeys, plane, plane * (size_t)bias_heads });
            if (scale != 1) scores = gg_over(s, ggml_scale(cx, scores, scale), scores);
            scores = gg_over(s, ggml_add(cx, scores, b), scores);
        }
        gt *p = gg_over(s, ggml_soft_max_ext(cx, scores, NULL, bias.buffer ? 1 : scale, 0), scores);
        gt *out = gg_mid(s, ggml_mul_mat(cx, values, p)); /* [d, rows, heads] */
        gg_copy_node(s, out, gg_viewed(s, ggml_view_3d(cx, whole, d, rows, heads, all, f * (size_t)d, (size_t)from * all)));
    }
    scatter(s, whole, y, l, first, nspans);
}

/* What is added to the scores of n rows: [planes, query, key], a plane for each head, or one for all. */
typedef struct bias_how { const attention_opts *o; int planes, n; } bias_how;

static bool fill_planes(void *data, const void *how)
{
    const bias_how *is = how;
    const attention_opts *o = is->o;
    float *b = data;
    int planes = is->planes, n = is->n;
    const weight *w = o->relbias;
    float *table = w ? mem_alloc(sizeof *table * (size_t)w->out * (size_t)w->in) : NULL;
    if (w && !table) return false;
    for (int p = 0, row = 0; w && p < w->nparts; row += w->part[p++].rows)
        dtype_to_f32(w->part[p].type, w->part[p].data, (size_t)w->part[p].rows * (size_t)w->in, table + (size_t)row * (size_t)w->in);
    for (int h = 0; h < planes; h++)
        for (int i = 0; i < n; i++)
            for (int j = 0; j < n; j++, b++) {
                *b = table ? table[relbias_bucket(j - i, w->out, o->max_distance) * w->in + h] : 0;
                if (o->causal && j > i) *b = -INFINITY;
            }
    mem_free(table);
    return true;
}

/* They are made once for all layers, and stay as long as tables do. */
static place bias_of(state *s, int n, const attention_opts *o)
{
    int planes = o->relbias ? o->heads : 1;
    size_t nbytes = sizeof(float) * (size_t)planes * (size_t)n * (size_t)n;
    uint64_t key = gg_mix(gg_mix(gg_mix(gg_mix(1, P(o->relbias)), (uint64_t)n), (uint64_t)o->heads), o->causal);
    return gg_made(s, key, nbytes, fill_planes, &(bias_how){ o, planes, n });
}

/* Head sizes that FLASH_ATTN_EXT takes on CPU, CUDA, Vulkan and Metal alike. */
static bool flashes(int dim) { return dim == 64 || dim == 80 || dim == 96 || dim == 112 || dim == 128 || dim == 256; }

void gg_attention(device *d, tensor y, tensor q, tensor k, tensor v, layout l, attention_opts o, tensor lse)
{
    state *s = state_of(d);
    int dim = q.cols / o.heads;
    float scale = o.scale != 0 ? o.scale : 1 / sqrtf((float)dim);
    bool biased = o.causal || o.relbias;
    (void)lse; /* for the way back */
    for (int i = 0, next; i < l.nspans; i = next) {
        int rows = 0;
        for (next = i; next < l.nspans && l.spans[next].sample == l.spans[i].sample; next++) rows += l.spans[next].rows;
        if (!rows) continue;
        place bias = biased ? bias_of(s, rows, &o) : (place){ 0 };
        if (!gg_ok(s)) return;
        layout mine = { 1, next - i, l.spans + i };
        if (!FRESH(s, "attention", T(y), T(q), T(k), T(v), gg_layout(mine), (uint64_t)o.heads, gg_float(scale), P(bias.at))) continue;
        gt *Q = tokens(s, q, l, i, next - i, rows, dim), *K = tokens(s, k, l, i, next - i, rows, dim), *V = tokens(s, v, l, i, next - i, rows, dim);
        if (!biased && flashes(dim)) flash(s, y, Q, K, V, l, i, next - i, scale);
        else spelled_out(s, y, Q, K, V, l, i, next - i, scale, bias, o.relbias ? o.heads : 1);
    }
}

void gg_crossattention(device *d, tensor y, tensor q, tensor k, tensor v, int samples, int heads)
{
    state *s = state_of(d);
    int nq = q.rows / samples, nk = k.rows / samples, dim = q.cols / heads;
    float scale = 1 / sqrtf((float)dim);
    for (int i = 0; i < samples; i++) {
        span asks = { i * nq, nq, 0 }, answers = { i * nk, nk, 0 };
        layout lq = { 1, 1, &asks }, lk = { 1, 1, &answers };
        if (!FRESH(s, "crossattention", T(y), T(q), T(k), T(v), gg_layout(lq), gg_layout(lk), (uint64_t)heads)) continue;
        gt *Q = tokens(s, q, lq, 0, 1, nq, dim), *K = tokens(s, k, lk, 0, 1, nk, dim), *V = tokens(s, v, lk, 0, 1, nk, dim);
        if (flashes(dim)) flash(s, y, Q, K, V, lq, 0, 1, scale);
        else spelled_out(s, y, Q, K, V, lq, 0, 1, scale, (place){ 0 }, 1);
    }
}
