/* ops_rows.c - ops that choose rows or weigh them against each other. */
#include "nn/context.h"

static const tensor none = { 0 };

static bool spans_fit(layout l, int rows)
{
    int covered = 0;
    for (int i = 0; i < l.nspans; i++) {
        if (l.spans[i].start < 0 || l.spans[i].rows < 1 || l.spans[i].start + l.spans[i].rows > rows) return false;
        covered += l.spans[i].rows;
    }
    return covered == rows;
}

static void softmax_back(nn *cx, const record *r, tensor dy, const tensor *d)
{
    cx->be->softmax_backward(cx->dev, d[0], dy, r->y, r->l);
    nn_done(cx, 0, 4 * tensor_nbytes(dy));
}

tensor op_softmax(nn *cx, tensor x, layout l)
{
    if (!nn_require(cx, spans_fit(l, x.rows), "softmax: %d spans do not cover %d rows once", l.nspans, x.rows)) return none;
    tensor y = tensor_new(cx, x.rows, x.cols);
    if (!nn_ok(cx)) return none;
    cx->be->softmax(cx->dev, y, x, l);
    nn_done(cx, 0, 2 * tensor_nbytes(x));
    record *r = tape_add(cx, softmax_back, false, &y, x, none, none);
    if (r) r->l = l;
    return y;
}

static void takerows_back(nn *cx, const record *r, tensor dy, const tensor *d)
{
    cx->be->takerows_backward(cx->dev, d[0], dy, r->ids);
    nn_done(cx, 0, 3 * tensor_nbytes(dy));
}

tensor op_takerows(nn *cx, tensor x, const int32_t *ids, int n)
{
    for (int i = 0; i < n; i++)
        if (!nn_require(cx, ids[i] >= 0 && ids[i] < x.rows, "takerows: row %d of %d", (int)ids[i], x.rows)) return none;
    tensor y = tensor_new(cx, n, x.cols);
    if (!nn_ok(cx)) return none;
    cx->be->takerows(cx->dev, y, x, ids);
    nn_done(cx, 0, 2 * tensor_nbytes(y));
    record *r = tape_add(cx, takerows_back, false, &y, x, none, none);
    if (r) r->ids = ids;
    return y;
}
