/* norm.c - norms over the channels of a row or head, modulation, rotary positions. */
#include "backend/ggml/state.h"

static gt *sample_row(state *s, tensor m, int sample) { return gg_mat(s, rows_of(m, sample, 1)); }

/* y is packed, and the norm, its factor and its shift are made one after the other where it lies. */
void gg_adaln(device *d, tensor y, tensor x, modulation m, layout l, float eps)
{
    state *s = state_of(d);
    if (!FRESH(s, "adaln", T(y), T(x), T(m.shift), T(m.scale), gg_layout(l), gg_float(eps))) return;
    struct ggml_context *cx = s->now->cx;
    gt *factor[64] = { 0 };
    for (int i = 0; i < l.nspans; i++) {
        span a = l.spans[i];
        if (!a.rows) continue;
        tensor out = rows_of(y, a.start, a.rows);
        int kept = a.sample < 64 ? a.sample : -1;
        gt *one = kept >= 0 ? factor[kept] : NULL;
        if (!one) one = gg_mid(s, ggml_scale_bias(cx, sample_row(s, m.scale, a.sample), 1, 1));
        if (kept >= 0) factor[kept] = one;
        gt *t = gg_into(s, ggml_norm(cx, gg_mat(s, rows_of(x, a.start, a.rows)), eps), out);
        t = gg_into(s, ggml_mul(cx, t, one), out);
        gg_out(s, ggml_add(cx, t, sample_row(s, m.shift, a.sample)), out);
    }
}

void gg_gateadd(device *d, tensor y, tensor x, tensor gate, tensor z, layout l)
{
    state *s = state_of(d);
    if (!FRESH(s, "gateadd", T(y), T(x), T(gate), T(z), gg_layout(l))) return;
    struct ggml_context *cx = s->now->cx;
    for (int i = 0; i < l.nspans; i++) {
        span a = l.spans[i];
        if (!a.rows) continue;
        tensor out = rows_of(y, a.start, a.rows);
        gt *t = gg_into(s, ggml_mul(cx, gg_mat(s, rows_of(z, a.start, a.rows)), sample_row(s, gate, a.sample)), out);
        gg_out(s, ggml_add(cx, t, gg_mat(s, rows_of(x, a.start, a.rows))), out);
    }
}

void gg_layernorm(device *d, tensor y, tensor x, vec gain, vec bias, float eps)
{
    state *s = state_of(d);
    place g = gg_vector(s, gain.p, gain.n), b = gg_vector(s, bias.p, bias.n);
    if (!FRESH(s, "layernorm", T(y), T(x), P(g.at), P(b.at), gg_float(eps))) return;
    struct ggml_context *cx = s->now->cx;
    gt *t = gg_into(s, ggml_norm(cx, gg_mat(s, x), eps), y);
    t = gg_into(s, ggml_mul(cx, t, gg_row(s, g, gain.n)), y);
    gg_out(s, ggml_add(cx, t, gg_row(s, b, bias.n)), y);
}

void gg_rmsnorm(device *d, tensor y, tensor x, vec gain, float eps)
{
    state *s = state_of(d);
    place g = gg_vector(s, gain.p, gain.n);
    if (!FRESH(s, "rmsnorm", T(y), T(x), P(g.at), gg_float(eps))) return;
    gt *t = gg_into(s, ggml_rms_norm(s->now->cx, gg_mat(s, x), eps), y);
    gg_out(s, ggml_mul(s->now->cx, t, gg_row(s, g, gain.n)), y);
}

/* ---- rotary positions ---- */

/* By positions: one node for each axis that is not 0 everywhere turns its own columns of each head where they lie. */
static void turn_by_positions(state *s, tensor y, int dim, const place *at, const rope *pe)
{
    size_t ld = sizeof(float) * (size_t)y.ld;
    int heads = y.cols / dim;
    for (int axis = 0, first = 0; axis < 3; first += pe->axes[axis++]) {
        if (!at[axis].buffer) continue;
        size_t all = sizeof(int32_t) * (size_t)y.rows;
        gt *pos = gg_leaf(s, GGML_TYPE_I32, at[axis], (int64_t[]){ y.rows, 1, 1, 1 }, (size_t[]){ sizeof(int32_t), all, all, all });
        tensor from = y;
        from.p += first;
        gt *v = gg_leaf(s, GGML_TYPE_F32, gg_place(s, from), (int64_t[]){ pe->axes[axis], heads, y.rows, 1 },
                        (size_t[]){ sizeof(float), sizeof(float) * (size_t)dim, ld, ld * (size_t)y.rows });
        gt *t = ggml_rope_ext_inplace(s->now->cx, v, pos, NULL, pe->axes[axis], GGML_ROPE_TYPE_NORMAL, 0, 10000, 1, 0, 1, 0, 0);
        ggml_set_output(t);
        gg_mid(s, t);
    }
}

/* By tables: the even and the odd members of the pairs apart, [d/2, heads, rows] each, and together again. */
static void turn_by_tables(state *s, tensor y, gt *n, int dim, place cosines, place sines)
{
    struct ggml_context *cx = s->now->cx;
    size_t f = sizeof(float), ld = f * (size_t)y.ld, head = f * (size_t)dim, half = head / 2, all = half * (size_t)y.rows;
    int heads = y.cols / dim;
    gt *part[2], *table[2];
    place at[2] = { cosines, sines };
    for (int i = 0; i < 2; i++) {
        gt *v = ggml_view_4d(cx, n, 1, dim / 2, heads, y.rows, 2 * f, head, f * (size_t)y.cols, (size_t)i * f);
        if (gg_ok(s)) ggml_backend_view_init(v);
        part[i] = gg_mid(s, ggml_cont_3d(cx, v, dim / 2, heads, y.rows));
        table[i] = gg_leaf(s, GGML_TYPE_F32, at[i], (int64_t[]){ dim / 2, 1, y.rows, 1 }, (size_t[]){ f, half, half, all });
    }
    gt *re = gg_mid(s, ggml_sub(cx, gg_mid(s, ggml_mul(cx, part[0], table[0])), gg_mid(s, ggml_mul(cx, part[1], table[1]))));
    gt *im = gg_mid(s, ggml_add(cx, gg_mid(s, ggml_mul(cx, part[1], table[0])), gg_mid(s, ggml_mul(cx, part[0], table[1]))));
    for (int i = 0; i < 2; i++) {
        tensor from = y;
        from.p += i;
        gg_copy_node(s, i ? im : re, gg_leaf(s, GGML_TYPE_F32, gg_place(s, from), (int64_t[]){ 1, dim / 2, heads, y.rows }, (size_t[]){ f, 2 * f, head, ld }));
    }
}

static bool all_zero(const int32_t *p, int n)
{
    for (int i = 0; i < n; i++)
        if (p[i]) return false;
    return true;
}

void gg_qknorm(device *d, tensor y, tensor x, vec gain, rope pe, float eps)
{
    state *s = state_of(d);
    int dim = gain.n;
    place g = gg_vector(s, gain.p, dim), at[3] = { { 0 } };
    bool positions = pe.pos != NULL, tables = pe.cos && !positions;
    size_t nbytes = sizeof(float) * (size_t)pe.dim * (size_t)y.rows;
    for (int axis = 0; positions && axis < 3; axis++)
        if (!all_zero(pe.pos + (size_t)axis * (size_t)pe.step, y.rows)) at[axis] = gg_table(s, pe.pos + (size_t)axis * (size_t)pe.step, sizeof(int32_t) * (size_t)y.rows);
    if (tables) at[0] = gg_table(s, pe.cos, nbytes), at[1] = gg_table(s, pe.sin, nbytes);
    if (!gg_ok(s) || !FRESH(s, "qknorm", T(y), T(x), P(g.at), gg_float(eps), (uint64_t)tables, P(at[0].at), P(at[1].at), P(at[2].at), (uint64_t)dim)) return;
    struct ggml_context *cx = s->now->cx;
    gt *n = ggml_rms_norm(cx, gg_heads(s, x, dim), eps);
    n = gg_into(s, n, y);
    n = ggml_mul(cx, n, gg_row(s, g, dim));
    if (tables && dim > 1) {
        turn_by_tables(s, y, gg_mid(s, n), dim, at[0], at[1]);
        return;
    }
    ggml_set_output(n);
    gg_into(s, n, y);
    if (positions) turn_by_positions(s, y, dim, at, &pe);
}
