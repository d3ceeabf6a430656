/* lists.cu - what stands beside tensors, on the device: lists, and rows in groups. */
#include <string.h>
#include "backend/cuda/parallel.h"

static const size_t SLAB = 4 << 20, ALIGN = 256;

const void *cuda_send(device *dev, const void *host, size_t nbytes)
{
    cuda_state *s = cuda_of(dev);
    size_t need = (nbytes + ALIGN) / ALIGN * ALIGN;
    slab *at = NULL;
    for (slab &b : s->slabs)
        if (!at && b.size - b.used >= need) at = &b;
    if (!at) {
        slab b = { NULL, NULL, need > SLAB ? need : SLAB, 0 };
        void *p = NULL, *pinned = NULL;
        if (!cuda_ok(dev, cudaMalloc(&p, b.size), "memory for lists")) return NULL;
        if (!cuda_ok(dev, cudaMallocHost(&pinned, b.size), "pinned memory for lists")) return cudaFree(p), nullptr;
        b.p = (char *)p;
        b.pinned = (char *)pinned;
        s->slabs.push_back(b);
        at = &s->slabs.back();
    }
    char *to = at->p + at->used, *through = at->pinned + at->used;
    at->used += need;
    memcpy(through, host, nbytes);
    return cuda_ok(dev, cudaMemcpyAsync(to, through, nbytes, cudaMemcpyHostToDevice, s->stream), "sending a list") ? to : NULL;
}

void cuda_forget_tables(device *dev)
{
    cuda_state *s = cuda_of(dev);
    s->tables.clear();
    for (slab &b : s->slabs) b.used = 0;
}

/* The rows of group i are row[begin[i]] .. row[begin[i + 1] - 1]; `row` empty: those numbers themselves. */
static grouping cut(device *dev, const std::vector<int> &row, const std::vector<int> &begin, const std::vector<int> &name)
{
    std::vector<int> first, piece;
    int n = (int)name.size();
    for (int i = 0; i < n; i++) {
        int rows = begin[(size_t)i + 1] - begin[(size_t)i], size = rows / PIECE < PIECE ? PIECE : rows / PIECE; /* the second sums are not longer than the first */
        piece.push_back((int)first.size());
        for (int at = begin[(size_t)i]; at < begin[(size_t)i + 1]; at += size) first.push_back(at);
    }
    piece.push_back((int)first.size());
    grouping g = { n, (int)first.size(), NULL, NULL, NULL, NULL };
    first.push_back(begin.back());
    if (!row.empty()) g.row = cuda_sent(dev, row);
    g.first = cuda_sent(dev, first);
    g.piece = cuda_sent(dev, piece);
    g.name = cuda_sent(dev, name);
    return g;
}

grouping cuda_by_sample(device *dev, layout l)
{
    const table *t = cuda_table(dev, { l.spans, (size_t)l.nspans, TABLE_BY_SAMPLE }, [&] {
        std::vector<int> row, begin = { 0 }, name;
        for (int i = 0; i < l.nspans; i++) {
            for (int r = 0; r < l.spans[i].rows; r++) row.push_back(l.spans[i].start + r);
            if (i + 1 < l.nspans && l.spans[i + 1].sample == l.spans[i].sample) continue;
            begin.push_back((int)row.size());
            name.push_back(l.spans[i].sample);
        }
        return table{ NULL, 0, cut(dev, row, begin, name) };
    });
    return t ? t->g : grouping{};
}

grouping cuda_by_id(device *dev, const int32_t *ids, int n)
{
    const table *t = cuda_table(dev, { ids, (size_t)n, TABLE_BY_ID }, [&] {
        std::map<int, std::vector<int>> rows;
        for (int i = 0; i < n; i++)
            if (ids[i] >= 0) rows[ids[i]].push_back(i);
        std::vector<int> row, begin = { 0 }, name;
        for (auto &of : rows) {
            row.insert(row.end(), of.second.begin(), of.second.end());
            begin.push_back((int)row.size());
            name.push_back(of.first);
        }
        return table{ NULL, 0, cut(dev, row, begin, name) };
    });
    return t ? t->g : grouping{};
}

grouping cuda_in_runs(device *dev, int groups, int rows)
{
    const table *t = cuda_table(dev, { (const char *)NULL + rows, (size_t)groups, TABLE_RUNS }, [&] {
        std::vector<int> begin = { 0 }, name;
        for (int i = 0; i < groups; i++) {
            name.push_back(i);
            begin.push_back((i + 1) * rows);
        }
        return table{ NULL, 0, cut(dev, {}, begin, name) };
    });
    return t ? t->g : grouping{};
}

const int *cuda_sample_of(device *dev, layout l, int rows)
{
    const table *t = cuda_table(dev, { l.spans, (size_t)l.nspans, TABLE_SAMPLE_OF }, [&] {
        std::vector<int> sample((size_t)rows);
        for (int i = 0; i < l.nspans; i++)
            for (int r = 0; r < l.spans[i].rows; r++) sample[(size_t)(l.spans[i].start + r)] = l.spans[i].sample;
        return table{ cuda_sent(dev, sample), rows, {} };
    });
    return t ? (const int *)t->p : NULL;
}
