/* ops.c - the transformers' ops: each wrapper checks shapes, computes, counts and records; its way back stands above it. */
#include "nn/context.h"

static const tensor none;

static bool wants(tensor x) { return x.slot != 0; }
static bool trains(vec v) { return v.grad != NULL; }
static double values(tensor x) { return (double)x.rows * x.cols; }

static bool weight_trains(const weight *w)
{
    for (int i = 0; i < w->nparts; i++)
        if (w->part[i].grad || w->part[i].grad_bias) return true;
    for (const adapter *a = w->adapters; a; a = a->next)
        if (a->grad_A || a->grad_B) return true;
    return false;
}

static double adapter_values(const weight *w)
{
    double n = 0;
    for (const adapter *a = w->adapters; a; a = a->next) n += (double)a->rank * (w->in + a->rows);
    return n;
}

/* ---- linear ---- */

/* dx, and of each trainable matrix dW: each costs what forward did. */
static double linear_back_flops(const record *r)
{
    double n = 0, rows = r->y.rows, in = r->a.cols;
    for (int i = 0; i < r->w->nparts; i++)
        n += 2 * rows * in * r->w->part[i].rows * ((wants(r->a) ? 1 : 0) + (r->w->part[i].grad ? 1 : 0));
    for (const adapter *a = r->w->adapters; a; a = a->next)
        n += 2 * rows * a->rank * (a->rows + (wants(r->a) ? in : 0) + (a->grad_A ? in : 0) + (a->grad_B ? a->rows : 0));
    return n;
}

static void linear_back(nn *cx, const record *r)
{
    tensor dx = grad_of(cx, r->a), dy = grad_of(cx, r->y);
    if (!nn_ok(cx)) return;
    cx->be->linear_backward(cx->dev, dx, dy, r->a, r->w, r->aux);
    nn_done(cx, linear_back_flops(r), 2 * values(r->y) + 2 * values(r->a));
}

tensor op_linear(nn *cx, tensor x, const weight *w)
{
    if (!nn_require(cx, x.cols == w->in && w->kh * w->kw == 1, "linear %s: x has %d columns, the weight takes %d", w->name, x.cols, w->in)) return none;
    int ranks = 0;
    for (const adapter *a = w->adapters; a; a = a->next) ranks += a->rank;
    tensor y = tensor_new(cx, x.rows, w->out), low = ranks ? tensor_new(cx, x.rows, ranks) : none;
    if (!nn_ok(cx)) return none;
    cx->be->linear(cx->dev, y, x, w, low);
    nn_done(cx, 2.0 * x.rows * ((double)w->in * w->out + adapter_values(w)), values(x) + values(y) + (double)w->in * w->out);
    record *r = tape_add(cx, wants(x) || weight_trains(w), linear_back, &y);
    if (r) {
        r->a = x;
        r->w = w;
        r->aux = low;
    }
    return y;
}

/* ---- embed ---- */

static void embed_back(nn *cx, const record *r)
{
    cx->be->embed_backward(cx->dev, grad_of(cx, r->y), r->ids, r->w);
    nn_done(cx, 0, 2 * values(r->y));
}

tensor op_embed(nn *cx, const int32_t *ids, int n, const weight *w)
{
    tensor y = tensor_new(cx, n, w->in);
    if (!nn_ok(cx)) return none;
    if (!cx->be->dry)
        for (int i = 0; i < n; i++)
            if (!nn_require(cx, ids[i] >= -1 && ids[i] < w->out, "embed %s: id %d, the table has %d rows", w->name, ids[i], w->out)) return none;
    cx->be->embed(cx->dev, y, ids, w);
    nn_done(cx, 0, 2 * values(y));
    record *r = tape_add(cx, weight_trains(w), embed_back, &y);
    if (r) {
        r->ids = ids;
        r->w = w;
    }
    return y;
}

/* ---- modulation ---- */

static void adaln_back(nn *cx, const record *r)
{
    modulation dm = { grad_of(cx, r->m.shift), grad_of(cx, r->m.scale), none };
    tensor dx = grad_of(cx, r->a), dy = grad_of(cx, r->y);
    if (!nn_ok(cx)) return;
    cx->be->adaln_backward(cx->dev, dx, dm, dy, r->a, r->m, r->l, r->f);
    nn_done(cx, 0, 4 * values(r->a));
}

tensor op_adaln(nn *cx, tensor x, modulation m, layout l)
{
    if (!nn_require(cx, m.shift.cols == x.cols && m.scale.cols == x.cols && m.shift.rows == l.samples && m.scale.rows == l.samples,
                    "adaln: x has %d columns and %d samples, shift is %d x %d", x.cols, l.samples, m.shift.rows, m.shift.cols)) return none;
    tensor y = tensor_new(cx, x.rows, x.cols);
    if (!nn_ok(cx)) return none;
    float eps = 1e-6f;
    cx->be->adaln(cx->dev, y, x, m, l, eps);
    nn_done(cx, 0, 2 * values(x));
    record *r = tape_add(cx, wants(x) || wants(m.shift) || wants(m.scale), adaln_back, &y);
    if (r) {
        r->a = x;
        r->m = m;
        r->l = l;
        r->f = eps;
    }
    return y;
}

static void gateadd_back(nn *cx, const record *r)
{
    tensor dx = grad_of(cx, r->a), dgate = grad_of(cx, r->b), dd = grad_of(cx, r->c), dy = grad_of(cx, r->y);
    if (!nn_ok(cx)) return;
    cx->be->gateadd_backward(cx->dev, dx, dgate, dd, dy, r->b, r->c, r->l);
    nn_done(cx, 0, 5 * values(r->y));
}

tensor op_gateadd(nn *cx, tensor x, tensor gate, tensor d, layout l)
{
    if (!nn_require(cx, x.rows == d.rows && x.cols == d.cols && gate.cols == x.cols && gate.rows == l.samples,
                    "gateadd: x is %d x %d, d %d x %d, gate %d x %d", x.rows, x.cols, d.rows, d.cols, gate.rows, gate.cols)) return none;
    tensor y = tensor_new(cx, x.rows, x.cols);
    if (!nn_ok(cx)) return none;
    cx->be->gateadd(cx->dev, y, x, gate, d, l);
    nn_done(cx, 0, 3 * values(x));
    record *r = tape_add(cx, wants(x) || wants(gate) || wants(d), gateadd_back, &y);
    if (r) {
        r->a = x;
        r->b = gate;
        r->c = d;
        r->l = l;
    }
    return y;
}

/* ---- attention ---- */

static void qknorm_back(nn *cx, const record *r)
{
    tensor dx = grad_of(cx, r->a), dy = grad_of(cx, r->y);
    if (!nn_ok(cx)) return;
    cx->be->qknorm_backward(cx->dev, dx, dy, r->a, r->gain, r->pe, r->f);
    nn_done(cx, 0, 3 * values(r->y));
}

tensor op_qknorm(nn *cx, tensor x, vec gain, rope pe)
{
    if (!nn_require(cx, gain.n > 0 && x.cols % gain.n == 0 && (!pe.cos || 2 * pe.dim == gain.n),
                    "qknorm: %d columns, heads of %d, rotary tables of %d", x.cols, gain.n, pe.dim)) return none;
    tensor y = tensor_new(cx, x.rows, x.cols);
    if (!nn_ok(cx)) return none;
    float eps = 1e-6f;
    cx->be->qknorm(cx->dev, y, x, gain, pe, eps);
    nn_done(cx, 0, 2 * values(x));
    record *r = tape_add(cx, wants(x) || trains(gain), qknorm_back, &y);
    if (r) {
        r->a = x;
        r->gain = gain;
        r->pe = pe;
        r->f = eps;
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

static void attention_back(nn *cx, const record *r)
{
    tensor dq = grad_of(cx, r->a), dk = grad_of(cx, r->b), dv = grad_of(cx, r->c), dy = grad_of(cx, r->y);
    if (!nn_ok(cx)) return;
    cx->be->attention_backward(cx->dev, dq, dk, dv, dy, r->y, r->a, r->b, r->c, r->l, r->attn, r->aux);
    nn_done(cx, 10 * pairs(r->l) * r->a.cols, 8 * values(r->a)); /* five products: scores again, dP, dQ, dK, dV */
}

tensor op_attention(nn *cx, tensor q, tensor k, tensor v, layout l, attention_opts o)
{
    if (!nn_require(cx, q.rows == k.rows && q.rows == v.rows && q.cols == k.cols && q.cols == v.cols && o.heads > 0 && q.cols % o.heads == 0,
                    "attention: q %d x %d, k %d x %d, v %d x %d, %d heads", q.rows, q.cols, k.rows, k.cols, v.rows, v.cols, o.heads)) return none;
    bool needs = wants(q) || wants(k) || wants(v) || (o.relbias && weight_trains(o.relbias));
    tensor y = tensor_new(cx, q.rows, v.cols), lse = cx->taping && needs ? tensor_new(cx, q.rows, o.heads) : none;
    if (!nn_ok(cx)) return none;
    cx->be->attention(cx->dev, y, q, k, v, l, o, lse);
    nn_done(cx, 4 * pairs(l) * q.cols, 4 * values(q));
    record *r = tape_add(cx, needs, attention_back, &y);
    if (r) {
        r->a = q;
        r->b = k;
        r->c = v;
        r->l = l;
        r->attn = o;
        r->aux = lse;
    }
    return y;
}

static void routemap_back(nn *cx, const record *r)
{
    tensor dq = grad_of(cx, r->a), dk = grad_of(cx, r->b), dy = grad_of(cx, r->y);
    for (int i = 0; i < r->n && nn_ok(cx); i++)
        cx->be->routemap_backward(cx->dev, dq, dk, tensor_cols(tensor_rows(dy, i, 1), 0, r->routes[i].nimg), r->a, r->b, &r->routes[i], r->attn.heads);
    nn_done(cx, 4.0 * values(r->y) * r->a.cols, values(r->y));
}

tensor op_routemap(nn *cx, tensor q, tensor k, const route *routes, int n, int heads)
{
    int widest = 0;
    for (int i = 0; i < n; i++) widest = routes[i].nimg > widest ? routes[i].nimg : widest;
    tensor y = tensor_from(cx, n, widest, NULL);
    for (int i = 0; i < n && nn_ok(cx); i++)
        cx->be->routemap(cx->dev, tensor_cols(tensor_rows(y, i, 1), 0, routes[i].nimg), q, k, &routes[i], heads);
    nn_done(cx, 2.0 * values(y) * q.cols, values(y));
    record *r = tape_add(cx, wants(q) || wants(k), routemap_back, &y);
    if (r) {
        r->a = q;
        r->b = k;
        r->routes = routes;
        r->n = n;
        r->attn.heads = heads;
    }
    return y;
}

/* ---- element-wise ---- */

typedef void (*unary_fn)(device *, tensor, tensor);

static void gelu_back(nn *cx, const record *r)
{
    cx->be->gelu_backward(cx->dev, grad_of(cx, r->a), grad_of(cx, r->y), r->a);
    nn_done(cx, 0, 3 * values(r->y));
}

static void quickgelu_back(nn *cx, const record *r)
{
    cx->be->quickgelu_backward(cx->dev, grad_of(cx, r->a), grad_of(cx, r->y), r->a);
    nn_done(cx, 0, 3 * values(r->y));
}

static void silu_back(nn *cx, const record *r)
{
    cx->be->silu_backward(cx->dev, grad_of(cx, r->a), grad_of(cx, r->y), r->a);
    nn_done(cx, 0, 3 * values(r->y));
}

static tensor unary(nn *cx, tensor x, unary_fn forward, back_fn back)
{
    tensor y = tensor_new(cx, x.rows, x.cols);
    if (!nn_ok(cx)) return none;
    forward(cx->dev, y, x);
    nn_done(cx, 0, 2 * values(x));
    record *r = tape_add(cx, wants(x), back, &y);
    if (r) r->a = x;
    return y;
}

tensor op_gelu(nn *cx, tensor x) { return unary(cx, x, cx->be->gelu, gelu_back); }
tensor op_quickgelu(nn *cx, tensor x) { return unary(cx, x, cx->be->quickgelu, quickgelu_back); }
tensor op_silu(nn *cx, tensor x) { return unary(cx, x, cx->be->silu, silu_back); }

static void scale_back(nn *cx, const record *r)
{
    cx->be->scale_backward(cx->dev, grad_of(cx, r->a), grad_of(cx, r->y), r->f);
    nn_done(cx, 0, 3 * values(r->y));
}

tensor op_scale(nn *cx, tensor x, float s)
{
    tensor y = tensor_new(cx, x.rows, x.cols);
    if (!nn_ok(cx)) return none;
    cx->be->scale(cx->dev, y, x, s);
    nn_done(cx, 0, 2 * values(x));
    record *r = tape_add(cx, wants(x), scale_back, &y);
    if (r) {
        r->a = x;
        r->f = s;
    }
    return y;
}

/* The gradient of a sum, or of one half of a concatenation. */
static void pass_on(nn *cx, tensor x, tensor dy)
{
    tensor dx = grad_of(cx, x);
    if (dx.p && nn_ok(cx)) cx->be->add_to(cx->dev, dx, dy);
}

static void add_back(nn *cx, const record *r)
{
    tensor dy = grad_of(cx, r->y);
    pass_on(cx, r->a, dy);
    pass_on(cx, r->b, dy);
    nn_done(cx, 0, 4 * values(r->y));
}

static void mul_back(nn *cx, const record *r)
{
    tensor da = grad_of(cx, r->a), db = grad_of(cx, r->b), dy = grad_of(cx, r->y);
    if (!nn_ok(cx)) return;
    cx->be->mul_backward(cx->dev, da, db, dy, r->a, r->b);
    nn_done(cx, 0, 5 * values(r->y));
}

static tensor binary(nn *cx, tensor a, tensor b, void (*forward)(device *, tensor, tensor, tensor), back_fn back, const char *name)
{
    if (!nn_require(cx, a.rows == b.rows && a.cols == b.cols, "%s: %d x %d and %d x %d", name, a.rows, a.cols, b.rows, b.cols)) return none;
    tensor y = tensor_new(cx, a.rows, a.cols);
    if (!nn_ok(cx)) return none;
    forward(cx->dev, y, a, b);
    nn_done(cx, 0, 3 * values(y));
    record *r = tape_add(cx, wants(a) || wants(b), back, &y);
    if (r) {
        r->a = a;
        r->b = b;
    }
    return y;
}

tensor op_add(nn *cx, tensor a, tensor b) { return binary(cx, a, b, cx->be->add, add_back, "add"); }
tensor op_mul(nn *cx, tensor a, tensor b) { return binary(cx, a, b, cx->be->mul, mul_back, "mul"); }

/* ---- norms ---- */

static void layernorm_back(nn *cx, const record *r)
{
    tensor dx = grad_of(cx, r->a), dy = grad_of(cx, r->y);
    if (!nn_ok(cx)) return;
    cx->be->layernorm_backward(cx->dev, dx, dy, r->a, r->gain, r->bias, r->f);
    nn_done(cx, 0, 3 * values(r->y));
}

tensor op_layernorm(nn *cx, tensor x, vec gain, vec bias, float eps)
{
    if (!nn_require(cx, gain.n == x.cols && bias.n == x.cols, "layernorm: %d columns, gain of %d", x.cols, gain.n)) return none;
    tensor y = tensor_new(cx, x.rows, x.cols);
    if (!nn_ok(cx)) return none;
    cx->be->layernorm(cx->dev, y, x, gain, bias, eps);
    nn_done(cx, 0, 2 * values(x));
    record *r = tape_add(cx, wants(x) || trains(gain) || trains(bias), layernorm_back, &y);
    if (r) {
        r->a = x;
        r->gain = gain;
        r->bias = bias;
        r->f = eps;
    }
    return y;
}

static void rmsnorm_back(nn *cx, const record *r)
{
    tensor dx = grad_of(cx, r->a), dy = grad_of(cx, r->y);
    if (!nn_ok(cx)) return;
    cx->be->rmsnorm_backward(cx->dev, dx, dy, r->a, r->gain, r->f);
    nn_done(cx, 0, 3 * values(r->y));
}

tensor op_rmsnorm(nn *cx, tensor x, vec gain, float eps)
{
    if (!nn_require(cx, gain.n == x.cols, "rmsnorm: %d columns, gain of %d", x.cols, gain.n)) return none;
    tensor y = tensor_new(cx, x.rows, x.cols);
    if (!nn_ok(cx)) return none;
    cx->be->rmsnorm(cx->dev, y, x, gain, eps);
    nn_done(cx, 0, 2 * values(x));
    record *r = tape_add(cx, wants(x) || trains(gain), rmsnorm_back, &y);
    if (r) {
        r->a = x;
        r->gain = gain;
        r->f = eps;
    }
    return y;
}

/* ---- joining (cutting is a view: nn.h) ---- */

static void catrows_back(nn *cx, const record *r)
{
    tensor dy = grad_of(cx, r->y);
    pass_on(cx, r->a, tensor_rows(dy, 0, r->a.rows));
    pass_on(cx, r->b, tensor_rows(dy, r->a.rows, r->b.rows));
    nn_done(cx, 0, 3 * values(r->y));
}

static void catcols_back(nn *cx, const record *r)
{
    tensor dy = grad_of(cx, r->y);
    pass_on(cx, r->a, tensor_cols(dy, 0, r->a.cols));
    pass_on(cx, r->b, tensor_cols(dy, r->a.cols, r->b.cols));
    nn_done(cx, 0, 3 * values(r->y));
}

static tensor joined(nn *cx, tensor a, tensor b, tensor y, tensor first, tensor second, back_fn back)
{
    if (!nn_ok(cx)) return none;
    cx->be->copy(cx->dev, first, a);
    cx->be->copy(cx->dev, second, b);
    nn_done(cx, 0, 2 * values(y));
    record *r = tape_add(cx, wants(a) || wants(b), back, &y);
    if (r) {
        r->a = a;
        r->b = b;
    }
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
