/* rows.cu - rows chosen, rows weighed against each other, and routing maps. */
#include <math.h>
#include "backend/cuda/parallel.h"

extern "C" void cuda_softmax(device *dev, tensor y, tensor x, layout l)
{
    const span *spans = cuda_list(dev, l.spans, (size_t)l.nspans);
    if (dev->failed) return;
    each_of(dev, l.nspans, x.cols, [=] ON_DEVICE(int i, int c) {
        int row0 = spans[i].start, row1 = row0 + spans[i].rows;
        float most = -INFINITY, sum = 0;
        for (int r = row0; r < row1; r++) most = fmaxf(most, *at(x, r, c));
        for (int r = row0; r < row1; r++) sum += expf(*at(x, r, c) - most);
        for (int r = row0; r < row1; r++) *at(y, r, c) = expf(*at(x, r, c) - most) / sum;
    });
}

/* dx = y (dy - sum(y dy)) */
extern "C" void cuda_softmax_backward(device *dev, tensor dx, tensor dy, tensor y, layout l)
{
    const span *spans = cuda_list(dev, l.spans, (size_t)l.nspans);
    if (!dx.p || dev->failed) return;
    each_of(dev, l.nspans, y.cols, [=] ON_DEVICE(int i, int c) {
        int row0 = spans[i].start, row1 = row0 + spans[i].rows;
        float dot = 0;
        for (int r = row0; r < row1; r++) dot += *at(y, r, c) * *at(dy, r, c);
        for (int r = row0; r < row1; r++) *at(dx, r, c) += *at(y, r, c) * (*at(dy, r, c) - dot);
    });
}

extern "C" void cuda_takerows(device *dev, tensor y, tensor x, const int32_t *ids)
{
    const int32_t *id = cuda_list(dev, ids, (size_t)y.rows);
    if (dev->failed) return;
    each_of(dev, y.rows, y.cols, [=] ON_DEVICE(int r, int c) { *at(y, r, c) = *at(x, id[r], c); });
}

extern "C" void cuda_takerows_backward(device *dev, tensor dx, tensor dy, const int32_t *ids)
{
    grouping g = cuda_by_id(dev, ids, dy.rows);
    if (!dx.p || dev->failed) return;
    column_sums(dev, g, dy.cols, [=] ON_DEVICE(int r, int c) { return *at(dy, r, c); }, [=] ON_DEVICE(int id, int c, float sum) { *at(dx, id, c) += sum; });
}

/* ---- routing maps ---- */

/* pooled [n, cols]: the mean of each reference's queries.  The formula has no softmax, so it takes the place of them all. */
static float *pooled_queries(device *dev, tensor q, const route *r, int n)
{
    int cols = q.cols;
    float *pooled = cuda_scratch(dev, SCRATCH_ROWS, (size_t)n * (size_t)cols);
    if (!pooled || !r) return NULL;
    each_of(dev, n, cols, [=] ON_DEVICE(int i, int c) {
        float s = 0;
        for (int k = 0; k < r[i].nref; k++) s += *at(q, r[i].ref0 + k, c);
        pooled[(size_t)i * (size_t)cols + c] = s / (float)r[i].nref;
    });
    return pooled;
}

static float map_scale(tensor q, int heads) { return (float)(1 / sqrt((double)(q.cols / heads)) / heads); }

extern "C" void cuda_routemap(device *dev, tensor y, tensor q, tensor k, const route *routes, int heads)
{
    int n = y.rows, most = y.cols, cols = q.cols;
    const route *r = cuda_list(dev, routes, (size_t)n);
    const float *pooled = pooled_queries(dev, q, r, n);
    float scale = map_scale(q, heads);
    if (dev->failed) return;
    each_row(dev, (size_t)n * (size_t)most, [=] ON_DEVICE(int t, int lane) {
        int i = t / most, j = t % most;
        float s = 0;
        for (int c = lane; j < r[i].nimg && c < cols; c += LANES) s += pooled[(size_t)i * (size_t)cols + c] * *at(k, r[i].img0 + j, c);
        s = over_lanes(s);
        if (lane == 0) *at(y, i, j) = scale * s;
    });
}

/* Routes that share rows add to them one after the other: the round of each. */
static const int *rounds_of(device *dev, const route *r, int n, bool images, int *rounds)
{
    const table *t = cuda_table(dev, { r, (size_t)n, images ? TABLE_IMAGE_ROUNDS : TABLE_REF_ROUNDS }, [&] {
        std::vector<int> round((size_t)n);
        int most = 0;
        for (int i = 0; i < n; i++) {
            int a0 = images ? r[i].img0 : r[i].ref0, a1 = a0 + (images ? r[i].nimg : r[i].nref);
            for (int k = 0; k < i; k++) {
                int b0 = images ? r[k].img0 : r[k].ref0, b1 = b0 + (images ? r[k].nimg : r[k].nref);
                if (a0 < b1 && b0 < a1 && round[(size_t)k] >= round[(size_t)i]) round[(size_t)i] = round[(size_t)k] + 1;
            }
            most = round[(size_t)i] >= most ? round[(size_t)i] + 1 : most;
        }
        return table{ cuda_sent(dev, round), most, {} };
    });
    *rounds = t ? t->count : 0;
    return t ? (const int *)t->p : NULL;
}

extern "C" void cuda_routemap_backward(device *dev, tensor dq, tensor dk, tensor dy, tensor q, tensor k, const route *routes, int heads)
{
    int n = dy.rows, most = dy.cols, cols = q.cols, rounds;
    const route *r = cuda_list(dev, routes, (size_t)n);
    const float *pooled = pooled_queries(dev, q, r, n);
    float scale = map_scale(q, heads);
    const int *round = rounds_of(dev, routes, n, true, &rounds);
    if (dev->failed) return;
    for (int now = 0; dk.p && now < rounds; now++)
        each_of(dev, n * most, cols, [=] ON_DEVICE(int t, int c) {
            int i = t / most, j = t % most;
            if (j < r[i].nimg && round[i] == now) *at(dk, r[i].img0 + j, c) += scale * *at(dy, i, j) * pooled[(size_t)i * (size_t)cols + c];
        });
    round = rounds_of(dev, routes, n, false, &rounds);
    if (dev->failed) return;
    for (int now = 0; dq.p && now < rounds; now++)
        each_of(dev, n, cols, [=] ON_DEVICE(int i, int c) {
            if (round[i] != now) return;
            float s = 0;
            for (int j = 0; j < r[i].nimg; j++) s += *at(dy, i, j) * *at(k, r[i].img0 + j, c);
            for (int t = 0; t < r[i].nref; t++) *at(dq, r[i].ref0 + t, c) += scale * s / (float)r[i].nref;
        });
}
