/* ops.c - the transformers' ops: each wrapper checks shapes, computes, counts and records; its way back stands above it. */
#include "nn/context.h"

static const tensor none;

/* ---- what the checks and counts share ---- */

static const char *name_of(const weight *w) { return w->name ? w->name : "(unnamed)"; }

static bool same_shape(tensor a, tensor b) { return a.rows == b.rows && a.cols == b.cols; }

static bool weight_trains(const weight *w)
{
    for (int i = 0; i < w->nparts; i++)
        if (w->part[i].grad || w->part[i].grad_bias) return true;
    for (const adapter *a = w->adapters; a; a = a->next)
        if (a->grad_A || a->grad_B) return true;
    return false;
}

static double weight_nbytes(const weight *w)
{
    double n = 0;
    for (int i = 0; i < w->nparts; i++) n += (double)w->part[i].rows * w->in * dtype_bits(w->part[i].type) / 8;
    for (const adapter *a = w->adapters; a; a = a->next) n += (double)a->rank * (w->in + a->rows) * sizeof(float);
    return n;
}

/* The spans cover `rows` rows and name samples that exist. */
static bool covers(nn *cx, layout l, int rows, const char *op)
{
    int64_t n = 0;
    for (int i = 0; i < l.nspans; i++) {
        span s = l.spans[i];
        bool inside = s.start >= 0 && s.rows >= 0 && (int64_t)s.start + s.rows <= rows && s.sample >= 0 && s.sample < l.samples;
        if (!nn_require(cx, inside, "%s: span %d is rows %d + %d of sample %d, x has %d rows and %d samples", op, i, s.start,
                        s.rows, s.sample, rows, l.samples)) return false;
        n += s.rows;
    }
    return nn_require(cx, n == rows, "%s: the layout covers %lld rows, x has %d", op, (long long)n, rows);
}

/* ---- linear ---- */

/* dx, and of each trainable matrix dW: each costs what forward did. */
static double linear_back_flops(const record *r)
{
    double n = 0, rows = r->y.rows, in = r->in[0].cols;
    int wants = r->in[0].slot ? 1 : 0;
    for (int i = 0; i < r->w->nparts; i++)
        n += 2 * rows * in * r->w->part[i].rows * (wants + (r->w->part[i].grad ? 1 : 0));
    for (const adapter *a = r->w->adapters; a; a = a->next)
        n += 2 * rows * a->rank * (a->rows + wants * in + (a->grad_A ? in : 0) + (a->grad_B ? a->rows : 0));
    return n;
}

static void linear_back(nn *cx, const record *r, tensor dy, const tensor *d)
{
    cx->be->linear_backward(cx->dev, d[0], dy, r->in[0], r->w, r->aux);
    nn_done(cx, linear_back_flops(r), 2 * tensor_nbytes(dy) + 2 * tensor_nbytes(r->in[0]) + weight_nbytes(r->w));
}

tensor op_linear(nn *cx, tensor x, const weight *w)
{
    if (!nn_require(cx, x.cols == w->in && w->kh * w->kw == 1, "linear %s: x has %d columns, the weight takes %d (%d x %d taps)",
                    name_of(w), x.cols, w->in, w->kh, w->kw)) return none;
    int ranks = 0;
    double flops = 2.0 * x.rows * w->in * w->out, beside = 0; /* what adapters add, each by itself: devices keep twice that free, for it and for the sum */
    for (const adapter *a = w->adapters; a; a = a->next) {
        if (!nn_require(cx, a->row0 >= 0 && a->rows >= 0 && a->row0 + a->rows <= w->out,
                        "linear %s: an adapter of rows %d + %d, the weight has %d", name_of(w), a->row0, a->rows, w->out))
            return none;
        beside += (double)sizeof(float) * x.rows * a->rows;
        ranks += a->rank;
        flops += 2.0 * x.rows * a->rank * (w->in + a->rows);
    }
    tensor y = tensor_new(cx, x.rows, w->out), low = ranks ? tensor_new(cx, x.rows, ranks) : none;
    if (!nn_ok(cx)) return none;
    cx->be->linear(cx->dev, y, x, w, low);
    if (beside > cx->counts.scores) cx->counts.scores = beside;
    nn_done(cx, flops, tensor_nbytes(x) + tensor_nbytes(y) + weight_nbytes(w));
    nn_reads(cx, w, 0);
    record *r = tape_add(cx, linear_back, weight_trains(w), &y, x, none, none);
    if (r) {
        r->w = w;
        r->aux = low;
    }
    return y;
}

/* ---- embed ---- */

static void embed_back(nn *cx, const record *r, tensor dy, const tensor *d)
{
    (void)d;
    cx->be->embed_backward(cx->dev, dy, r->ids, r->w);
    nn_done(cx, 0, 3 * tensor_nbytes(dy));
}

/* Whether a row that is looked up lies in a part that trains: a text without [ref#k] asks nothing of the encoder's way back.  A dry run may have
 * no ids yet. */
static bool table_trains(const int32_t *ids, int n, const weight *w)
{
    if (!ids) return weight_trains(w);
    for (int p = 0, first = 0; p < w->nparts; first += w->part[p++].rows)
        for (int i = 0; w->part[p].grad && i < n; i++)
            if (ids[i] >= first && ids[i] < first + w->part[p].rows) return true;
    return false;
}

tensor op_embed(nn *cx, const int32_t *ids, int n, const weight *w)
{
    if (!nn_require(cx, !w->adapters, "embed %s: a table takes no adapter", name_of(w))) return none;
    for (int i = 0; i < n && !cx->be->dry; i++) /* a dry run may have no ids yet */
        if (!nn_require(cx, ids[i] >= -1 && ids[i] < w->out, "embed %s: id %d, the table has %d rows",
                        name_of(w), ids[i], w->out)) return none;
    tensor y = tensor_new(cx, n, w->in);
    if (!nn_ok(cx)) return none;
    cx->be->embed(cx->dev, y, ids, w);
    nn_done(cx, 0, 2 * tensor_nbytes(y));
    if (n) nn_reads(cx, w, n);
    record *r = tape_add(cx, embed_back, table_trains(ids, n, w), &y, none, none, none);
    if (r) {
        r->ids = ids;
        r->w = w;
    }
    return y;
}

/* ---- modulation ---- */

#define ADALN_EPS 1e-6f
#define QKNORM_EPS 1e-6f

static void adaln_back(nn *cx, const record *r, tensor dy, const tensor *d)
{
    modulation m = { r->in[1], r->in[2], none }, dm = { d[1], d[2], none };
    cx->be->adaln_backward(cx->dev, d[0], dm, dy, r->in[0], m, r->l, ADALN_EPS);
    nn_done(cx, 0, 4 * tensor_nbytes(dy));
}

tensor op_adaln(nn *cx, tensor x, modulation m, layout l)
{
    if (!nn_require(cx, m.shift.cols == x.cols && same_shape(m.shift, m.scale) && m.shift.rows == l.samples,
                    "adaln: x has %d columns and %d samples, shift is " SHAPE ", scale " SHAPE,
                    x.cols, l.samples, DIMS(m.shift), DIMS(m.scale))
        || !covers(cx, l, x.rows, "adaln")) return none;
    tensor y = tensor_new(cx, x.rows, x.cols);
    if (!nn_ok(cx)) return none;
    cx->be->adaln(cx->dev, y, x, m, l, ADALN_EPS);
    nn_done(cx, 0, 2 * tensor_nbytes(x));
    record *r = tape_add(cx, adaln_back, false, &y, x, m.shift, m.scale);
    if (r) r->l = l;
    return y;
}

static void gateadd_back(nn *cx, const record *r, tensor dy, const tensor *d)
{
    cx->be->gateadd_backward(cx->dev, d[0], d[1], d[2], dy, r->in[1], r->in[2], r->l);
    nn_done(cx, 0, 6 * tensor_nbytes(dy));
}

tensor op_gateadd(nn *cx, tensor x, tensor gate, tensor d, layout l)
{
    if (!nn_require(cx, same_shape(x, d) && gate.cols == x.cols && gate.rows == l.samples,
                    "gateadd: x is " SHAPE " of %d samples, d " SHAPE ", gate " SHAPE, DIMS(x), l.samples, DIMS(d), DIMS(gate))
        || !covers(cx, l, x.rows, "gateadd")) return none;
    tensor y = tensor_new(cx, x.rows, x.cols);
    if (!nn_ok(cx)) return none;
    cx->be->gateadd(cx->dev, y, x, gate, d, l);
    nn_done(cx, 0, 3 * tensor_nbytes(x));
    record *r = tape_add(cx, gateadd_back, false, &y, x, gate, d);
    if (r) r->l = l;
    return y;
}

/* ---- attention ---- */

static void qknorm_back(nn *cx, const record *r, tensor dy, const tensor *d)
{
    cx->be->qknorm_backward(cx->dev, d[0], dy, r->in[0], r->gain, r->pe, QKNORM_EPS);
    nn_done(cx, 0, 4 * tensor_nbytes(dy));
}

tensor op_qknorm(nn *cx, tensor x, vec gain, rope pe)
{
    if (!nn_require(cx, gain.n > 0 && x.cols % gain.n == 0 && (!pe.cos || (2 * pe.dim == gain.n && pe.sin)),
                    "qknorm: %d columns in heads of %d, rotary tables of %d pairs", x.cols, gain.n, pe.dim)) return none;
    tensor y = tensor_new(cx, x.rows, x.cols);
    if (!nn_ok(cx)) return none;
    cx->be->qknorm(cx->dev, y, x, gain, pe, QKNORM_EPS);
    nn_done(cx, 0, 2 * tensor_nbytes(x));
    record *r = tape_add(cx, qknorm_back, gain.grad != NULL, &y, x, none, none);
    if (r) {
        r->gain = gain;
        r->pe = pe;
    }
    return y;
}

/* Pairs of query and key over all samples. */
static double pairs(layout l)
{
    double n = 0, rows = 0;
    for (int i = 0; i < l.nspans; i++) {
        rows += l.spans[i].rows;
        if (i + 1 == l.nspans || l.spans[i + 1].sample != l.spans[i].sample) {
            n += rows * rows;
            rows = 0;
        }
    }
    return n;
}

static void attention_back(nn *cx, const record *r, tensor dy, const tensor *d)
{
    cx->be->attention_backward(cx->dev, d[0], d[1], d[2], dy, r->y, r->in[0], r->in[1], r->in[2], r->l, r->attn, r->aux);
    nn_done(cx, 10 * pairs(r->l) * dy.cols, 8 * tensor_nbytes(dy)); /* five products: scores again, dP, dQ, dK, dV */
}

tensor op_attention(nn *cx, tensor q, tensor k, tensor v, layout l, attention_opts o)
{
    if (!nn_require(cx, same_shape(q, k) && same_shape(q, v) && o.heads > 0 && q.cols % o.heads == 0,
                    "attention: q " SHAPE ", k " SHAPE ", v " SHAPE ", %d heads", DIMS(q), DIMS(k), DIMS(v), o.heads)
        || !nn_require(cx, !o.relbias || (o.relbias->in == o.heads && o.relbias->out >= 4 && o.max_distance > o.relbias->out / 4),
                       "attention: a bias table of %d buckets for %d heads and distances up to %d, there are %d heads",
                       o.relbias ? o.relbias->out : 0, o.relbias ? o.relbias->in : 0, o.max_distance, o.heads)
        || !covers(cx, l, q.rows, "attention")) return none;
    bool trains = o.relbias && weight_trains(o.relbias), wants = trains || q.slot || k.slot || v.slot;
    tensor y = tensor_new(cx, q.rows, v.cols), lse = cx->taping && wants ? tensor_new(cx, q.rows, o.heads) : none;
    if (!nn_ok(cx)) return none;
    cx->be->attention(cx->dev, y, q, k, v, l, o, lse);
    nn_done(cx, 4 * pairs(l) * q.cols, 4 * tensor_nbytes(q));
    if (o.relbias || o.causal) {
        double scores = pairs(l) * o.heads * (double)sizeof(float);
        if (scores > cx->counts.scores) cx->counts.scores = scores;
    }
    record *r = tape_add(cx, attention_back, trains, &y, q, k, v);
    if (r) {
        r->l = l;
        r->attn = o;
        r->aux = lse;
    }
    return y;
}

static void routemap_back(nn *cx, const record *r, tensor dy, const tensor *d)
{
    cx->be->routemap_backward(cx->dev, d[0], d[1], dy, r->in[0], r->in[1], r->routes, r->attn.heads);
    nn_done(cx, 4 * (double)dy.rows * dy.cols * r->in[0].cols, 2 * tensor_nbytes(r->in[1]));
}

tensor op_routemap(nn *cx, tensor q, tensor k, const route *routes, int n, int heads)
{
    int widest = 0;
    if (!nn_require(cx, same_shape(q, k) && heads > 0 && q.cols % heads == 0, "routemap: q is " SHAPE ", k " SHAPE ", %d heads",
                    DIMS(q), DIMS(k), heads)) return none;
    for (int i = 0; i < n; i++) {
        route r = routes[i];
        bool inside = r.nref > 0 && r.ref0 >= 0 && r.ref0 + r.nref <= q.rows && r.nimg >= 0 && r.img0 >= 0 && r.img0 + r.nimg <= k.rows;
        if (!nn_require(cx, inside, "routemap: route %d takes rows %d + %d and %d + %d of %d", i, r.ref0, r.nref, r.img0, r.nimg,
                        q.rows)) return none;
        widest = r.nimg > widest ? r.nimg : widest;
    }
    tensor y = tensor_new(cx, n, widest);
    if (!nn_ok(cx)) return none;
    cx->be->routemap(cx->dev, y, q, k, routes, heads);
    nn_done(cx, 2 * (double)n * widest * q.cols, tensor_nbytes(k));
    record *r = tape_add(cx, routemap_back, false, &y, q, k, none);
    if (r) {
        r->routes = routes;
        r->n = n;
        r->attn.heads = heads;
    }
    return y;
}

/* ---- element-wise ---- */

#define UNARY(f)                                                        \
    static void f##_back(nn *cx, const record *r, tensor dy, const tensor *d) \
    {                                                                   \
        cx->be->f##_backward(cx->dev, d[0], dy, r->in[0]);              \
        nn_done(cx, 0, 4 * tensor_nbytes(dy));                          \
    }                                                                   \
    tensor op_##f(nn *cx, tensor x) { return unary(cx, x, cx->be->f, f##_back); }

static tensor unary(nn *cx, tensor x, void (*forward)(device *, tensor, tensor), back_fn back)
{
    tensor y = tensor_new(cx, x.rows, x.cols);
    if (!nn_ok(cx)) return none;
    forward(cx->dev, y, x);
    nn_done(cx, 0, 2 * tensor_nbytes(x));
    tape_add(cx, back, false, &y, x, none, none);
    return y;
}

UNARY(gelu)
UNARY(quickgelu)
UNARY(silu)

static void scale_back(nn *cx, const record *r, tensor dy, const tensor *d)
{
    cx->be->scale_backward(cx->dev, d[0], dy, r->f);
    nn_done(cx, 0, 3 * tensor_nbytes(dy));
}

tensor op_scale(nn *cx, tensor x, float s)
{
    tensor y = tensor_new(cx, x.rows, x.cols);
    if (!nn_ok(cx)) return none;
    cx->be->scale(cx->dev, y, x, s);
    nn_done(cx, 0, 2 * tensor_nbytes(x));
    record *r = tape_add(cx, scale_back, false, &y, x, none, none);
    if (r) r->f = s;
    return y;
}

/* The gradient of one summand, or of one half of a concatenation. */
static void pass_on(nn *cx, tensor dx, tensor dy)
{
    if (dx.p) cx->be->add_to(cx->dev, dx, dy);
}

static void add_back(nn *cx, const record *r, tensor dy, const tensor *d)
{
    (void)r;
    pass_on(cx, d[0], dy);
    pass_on(cx, d[1], dy);
    nn_done(cx, 0, 6 * tensor_nbytes(dy));
}

static void mul_back(nn *cx, const record *r, tensor dy, const tensor *d)
{
    cx->be->mul_backward(cx->dev, d[0], d[1], dy, r->in[0], r->in[1]);
    nn_done(cx, 0, 7 * tensor_nbytes(dy));
}

static tensor binary(nn *cx, tensor a, tensor b, void (*forward)(device *, tensor, tensor, tensor), back_fn back, const char *name)
{
    if (!nn_require(cx, same_shape(a, b), "%s: " SHAPE " and " SHAPE, name, DIMS(a), DIMS(b))) return none;
    tensor y = tensor_new(cx, a.rows, a.cols);
    if (!nn_ok(cx)) return none;
    forward(cx->dev, y, a, b);
    nn_done(cx, 0, 3 * tensor_nbytes(y));
    tape_add(cx, back, false, &y, a, b, none);
    return y;
}

tensor op_add(nn *cx, tensor a, tensor b) { return binary(cx, a, b, cx->be->add, add_back, "add"); }
tensor op_mul(nn *cx, tensor a, tensor b) { return binary(cx, a, b, cx->be->mul, mul_back, "mul"); }

/* ---- norms ---- */

static void layernorm_back(nn *cx, const record *r, tensor dy, const tensor *d)
{
    cx->be->layernorm_backward(cx->dev, d[0], dy, r->in[0], r->gain, r->bias, r->f);
    nn_done(cx, 0, 4 * tensor_nbytes(dy));
}

tensor op_layernorm(nn *cx, tensor x, vec gain, vec bias, float eps)
{
    if (!nn_require(cx, gain.n == x.cols && bias.n == x.cols, "layernorm: %d columns, gain of %d, bias of %d",
                    x.cols, gain.n, bias.n)) return none;
    tensor y = tensor_new(cx, x.rows, x.cols);
    if (!nn_ok(cx)) return none;
    cx->be->layernorm(cx->dev, y, x, gain, bias, eps);
    nn_done(cx, 0, 2 * tensor_nbytes(x));
    record *r = tape_add(cx, layernorm_back, gain.grad || bias.grad, &y, x, none, none);
    if (r) {
        r->gain = gain;
        r->bias = bias;
        r->f = eps;
    }
    return y;
}

static void rmsnorm_back(nn *cx, const record *r, tensor dy, const tensor *d)
{
    cx->be->rmsnorm_backward(cx->dev, d[0], dy, r->in[0], r->gain, r->f);
    nn_done(cx, 0, 4 * tensor_nbytes(dy));
}

tensor op_rmsnorm(nn *cx, tensor x, vec gain, float eps)
{
    if (!nn_require(cx, gain.n == x.cols, "rmsnorm: %d columns, gain of %d", x.cols, gain.n)) return none;
    tensor y = tensor_new(cx, x.rows, x.cols);
    if (!nn_ok(cx)) return none;
    cx->be->rmsnorm(cx->dev, y, x, gain, eps);
    nn_done(cx, 0, 2 * tensor_nbytes(x));
    record *r = tape_add(cx, rmsnorm_back, gain.grad != NULL, &y, x, none, none);
    if (r) {
        r->gain = gain;
        r->f = eps;
    }
    return y;
}

/* ---- joining (cutting is a view: nn.h) ---- */

static void catrows_back(nn *cx, const record *r, tensor dy, const tensor *d)
{
    pass_on(cx, d[0], tensor_rows(dy, 0, r->in[0].rows));
    pass_on(cx, d[1], tensor_rows(dy, r->in[0].rows, r->in[1].rows));
    nn_done(cx, 0, 3 * tensor_nbytes(dy));
}

static void catcols_back(nn *cx, const record *r, tensor dy, const tensor *d)
{
    pass_on(cx, d[0], tensor_cols(dy, 0, r->in[0].cols));
    pass_on(cx, d[1], tensor_cols(dy, r->in[0].cols, r->in[1].cols));
    nn_done(cx, 0, 3 * tensor_nbytes(dy));
}

/* y, of which `first` and `second` are the two halves. */
static tensor joined(nn *cx, tensor a, tensor b, tensor y, tensor first, tensor second, back_fn back)
{
    if (!nn_ok(cx)) return none;
    cx->be->copy(cx->dev, first, a);
    cx->be->copy(cx->dev, second, b);
    nn_done(cx, 0, 2 * tensor_nbytes(y));
    tape_add(cx, back, false, &y, a, b, none);
    return y;
}

tensor op_catrows(nn *cx, tensor a, tensor b)
{
    if (!nn_require(cx, a.cols == b.cols, "catrows: %d and %d columns", a.cols, b.cols)) return none;
    tensor y = tensor_new(cx, a.rows + b.rows, a.cols);
    return joined(cx, a, b, y, tensor_rows(y, 0, a.rows), tensor_rows(y, a.rows, b.rows), catrows_back);
}

tensor op_catcols(nn *cx, tensor a, tensor b)
{
    if (!nn_require(cx, a.rows == b.rows, "catcols: %d and %d rows", a.rows, b.rows)) return none;
    tensor y = tensor_new(cx, a.rows, a.cols + b.cols);
    return joined(cx, a, b, y, tensor_cols(y, 0, a.cols), tensor_cols(y, a.cols, b.cols), catcols_back);
}
