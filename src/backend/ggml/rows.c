/* rows.c - copies and element-wise ops. */
#include <string.h>
#include "backend/ggml/state.h"

void gg_copy(device *d, tensor y, tensor x)
{
    state *s = state_of(d);
    if (FRESH(s, "copy", T(y), T(x))) gg_copy_node(s, gg_mat(s, x), gg_mat(s, y));
}

void gg_add_to(device *d, tensor y, tensor x)
{
    state *s = state_of(d);
    if (FRESH(s, "add_to", T(y), T(x))) gg_out(s, ggml_add(s->now->cx, gg_mat(s, y), gg_mat(s, x)), y);
}

/* One node from packed to packed; into columns by a copy. */
static void unary(state *s, tensor y, tensor x, gt *(*op)(struct ggml_context *, gt *))
{
    gt *t = op(s->now->cx, gg_packed(s, x));
    if (y.ld == y.cols) gg_out(s, t, y);
    else gg_copy_node(s, gg_mid(s, t), gg_mat(s, y));
}

#define UNARY(name, op)                                             \
    void gg_##name(device *d, tensor y, tensor x)                   \
    {                                                               \
        state *s = state_of(d);                                     \
        if (FRESH(s, #name, T(y), T(x))) unary(s, y, x, op);        \
    }
UNARY(gelu, ggml_gelu)
UNARY(quickgelu, ggml_gelu_quick)
UNARY(silu, ggml_silu)

gt *gg_activation(state *s, gt *t, act a)
{
    struct ggml_context *cx = s->now->cx;
    switch (a) {
    case ACT_RELU: return ggml_relu(cx, t);
    case ACT_LEAKY: return ggml_leaky_relu(cx, t, 0.1f, false);
    case ACT_SIGMOID: return ggml_sigmoid(cx, t);
    case ACT_GELU_ERF: return ggml_gelu_erf(cx, t);
    default: return t;
    }
}

void gg_activate(device *d, tensor y, tensor x, act a)
{
    state *s = state_of(d);
    if (!FRESH(s, "activate", T(y), T(x), (uint64_t)a)) return;
    gt *t = a ? gg_activation(s, gg_packed(s, x), a) : gg_mat(s, x);
    if (a && y.ld == y.cols) gg_out(s, t, y);
    else gg_copy_node(s, a ? gg_mid(s, t) : t, gg_mat(s, y));
}

void gg_rowscale(device *d, tensor y, tensor x, tensor factor)
{
    state *s = state_of(d);
    if (FRESH(s, "rowscale", T(y), T(x), T(factor))) gg_out(s, ggml_mul(s->now->cx, gg_mat(s, x), gg_mat(s, factor)), y);
}

void gg_add(device *d, tensor y, tensor a, tensor b)
{
    state *s = state_of(d);
    if (FRESH(s, "add", T(y), T(a), T(b))) gg_out(s, ggml_add(s->now->cx, gg_mat(s, a), gg_mat(s, b)), y);
}

void gg_mul(device *d, tensor y, tensor a, tensor b)
{
    state *s = state_of(d);
    if (FRESH(s, "mul", T(y), T(a), T(b))) gg_out(s, ggml_mul(s->now->cx, gg_mat(s, a), gg_mat(s, b)), y);
}

void gg_scale(device *d, tensor y, tensor x, float f)
{
    state *s = state_of(d);
    if (!FRESH(s, "scale", T(y), T(x), gg_float(f))) return;
    gt *t = ggml_scale(s->now->cx, gg_packed(s, x), f);
    if (y.ld == y.cols) gg_out(s, t, y);
    else gg_copy_node(s, gg_mid(s, t), gg_mat(s, y));
}

void gg_gaussian(device *d, tensor y, tensor x, tensor eps)
{
    state *s = state_of(d);
    if (!FRESH(s, "gaussian", T(y), T(x), T(eps))) return;
    struct ggml_context *cx = s->now->cx;
    tensor mean = x, logvar = x;
    mean.cols = logvar.cols = y.cols;
    logvar.p += y.cols;
    gt *t = gg_mid(s, ggml_clamp(cx, gg_mid(s, ggml_cont(cx, gg_mat(s, logvar))), -30, 20)); /* clamp writes where it reads */
    t = gg_mid(s, ggml_exp(cx, gg_mid(s, ggml_scale(cx, t, 0.5f))));
    t = gg_mid(s, ggml_mul(cx, t, gg_mat(s, eps)));
    gg_out(s, ggml_add(cx, t, gg_mat(s, mean)), y);
}

void gg_takerows(device *d, tensor y, tensor x, const int32_t *ids)
{
    state *s = state_of(d);
    place at = gg_table(s, ids, sizeof *ids * (size_t)y.rows);
    if (!gg_ok(s) || !FRESH(s, "takerows", T(y), T(x), P(at.at))) return;
    size_t all = sizeof *ids * (size_t)y.rows;
    gt *index = gg_leaf(s, GGML_TYPE_I32, at, (int64_t[]){ y.rows, 1, 1, 1 }, (size_t[]){ sizeof *ids, all, all, all });
    gg_copy_node(s, gg_mid(s, ggml_get_rows(s->now->cx, gg_mat(s, x), index)), gg_mat(s, y));
}
