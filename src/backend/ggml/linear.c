/* linear.c - products with stored weights, parts and adapters; rows of tables. */
#include <string.h>
#include "backend/ggml/state.h"
#include "base/mem.h"

static gt *leaf_weight(state *s, const on_device *m, int in, int rows, size_t offset)
{
    size_t row = ggml_row_size(m->type, in), all = row * (size_t)rows;
    place at = { m->at.buffer, m->at.at + offset };
    return gg_leaf(s, m->type, at, (int64_t[]){ in, rows, 1, 1 }, (size_t[]){ ggml_type_size(m->type), row, all, all });
}

/* Into y when it is packed and on the border; else in between, to be put there. */
void gg_matmul(state *s, tensor y, gt *x, const on_device *m, int in, int out, place bias)
{
    struct ggml_context *cx = s->now->cx;
    gt *t = ggml_mul_mat(cx, leaf_weight(s, m, in, out, 0), x);
    bool bordered = gg_aligned(s, y), direct = y.ld == y.cols && bordered;
    if (bias.buffer) t = ggml_add(cx, direct ? gg_into(s, t, y) : gg_mid(s, t), gg_row(s, bias, out));
    if (direct || (bias.buffer && bordered)) gg_out(s, t, y); /* a sum may go into columns; Vulkan does it together with the product, off the border it cannot */
    else gg_copy_node(s, gg_mid(s, t), gg_mat(s, y));
}

void gg_linear(device *d, tensor y, tensor x, const weight *w, tensor low)
{
    enum { ADAPTERS = 16 };
    state *s = state_of(d);
    on_device part[WEIGHT_PARTS], down[ADAPTERS], up[ADAPTERS];
    place bias[WEIGHT_PARTS];
    int n = 0;
    (void)low; /* for the way back */
    bool whole = gg_is_whole(s, w);
    int nparts = whole ? 1 : w->nparts;
    if (whole) bias[0] = gg_biases(s, w);
    else for (int i = 0; i < nparts; i++) bias[i] = w->part[i].bias ? gg_vector(s, w->part[i].bias, w->part[i].rows) : (place){ 0 };
    if (!gg_gather(s, w)) return;
    uint64_t key = 0;
    for (int i = 0; i < nparts; i++) {
        part[i] = whole ? gg_whole(s, w) : gg_part(s, w, i);
        key = gg_mix(gg_mix(key, P(part[i].at.at)), P(bias[i].at));
    }
    for (const adapter *a = w->adapters; a; a = a->next, n++) {
        if (n == ADAPTERS) {
            gg_fail(s, DREAMO_LIMIT, "%s has more than %d adapters; fuse some into the weights (dreamo convert)", w->name ? w->name : "a weight", ADAPTERS);
            return;
        }
        down[n] = gg_down(s, w, a);
        up[n] = gg_up(s, w, a);
        key = gg_mix(gg_mix(key, P(down[n].at.at)), P(up[n].at.at));
    }
    s->weight = w->name;
    if (!FRESH(s, "linear", T(y), T(x), P(w), key)) return;
    struct ggml_context *cx = s->now->cx;
    gt *in = gg_packed(s, x);
    for (int i = 0, first = 0, rows; i < nparts; i++, first += rows) {
        rows = whole ? w->out : w->part[i].rows;
        gg_matmul(s, columns_of(y, first, rows), in, &part[i], w->in, rows, bias[i]);
    }
    const adapter *a = w->adapters;
    for (int i = 0; i < n; i++, a = a->next) {
        gt *narrow = gg_mid(s, ggml_mul_mat(cx, leaf_weight(s, &down[i], w->in, a->rank, 0), in));
        gt *wide = gg_mid(s, ggml_mul_mat(cx, leaf_weight(s, &up[i], a->rank, a->rows, 0), narrow));
        tensor rows = columns_of(y, a->row0, a->rows);
        gg_out(s, ggml_add(cx, gg_mat(s, rows), wide), rows);
    }
}

/* Few rows of a large table: the host looks them up. */
void gg_embed(device *d, tensor y, const int32_t *ids, const weight *w)
{
    state *s = state_of(d);
    size_t in = (size_t)w->in;
    float *rows = mem_calloc((size_t)y.rows * in + 1, sizeof *rows);
    if (!rows) {
        gg_fail(s, DREAMO_MEMORY, "no memory for rows of a table");
        return;
    }
    for (int i = 0; i < y.rows; i++) {
        const weight_part *p = w->part;
        int row = ids[i];
        if (row < 0) continue;
        while (row >= p->rows) row -= p++->rows;
        float *to = rows + (size_t)i * in;
        dtype_to_f32(p->type, (const char *)p->data + (size_t)row * dtype_nbytes_of(p->type, in), in, to);
        for (size_t k = 0; p->row_scale && k < in; k++) to[k] *= p->row_scale[row];
    }
    gg_write(d, y, rows);
    mem_free(rows);
}
