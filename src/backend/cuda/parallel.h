/* parallel.h - loops that run on the device.
 *
 * A kernel is a loop's body, written where the loop would stand: `each` over elements, `each_row` over rows with the lanes of a warp side by
 * side, `column_sums` down the rows of groups.  nvcc makes kernels of them.  Without nvcc (DREAMO_CUDA_EMULATED, for tests on machines
 * without a card) they are the loops that they look like, a warp one lane wide. */
#ifndef BACKEND_CUDA_PARALLEL_H
#define BACKEND_CUDA_PARALLEL_H
#include "backend/cuda/state.h"

#ifdef __CUDACC__
#define ON_DEVICE __device__
enum { LANES = 32, THREADS = 256 };

template <class F> __global__ void run_each(unsigned n, F f)
{
    unsigned i = blockIdx.x * (unsigned)THREADS + threadIdx.x;
    if (i < n) f(i);
}

template <class F> __global__ void run_rows(unsigned rows, F f)
{
    unsigned row = (blockIdx.x * (unsigned)THREADS + threadIdx.x) / LANES;
    if (row < rows) f((int)row, (int)(threadIdx.x % LANES));
}

/* The sum over the lanes of a row, in every lane. */
static __device__ inline float over_lanes(float x)
{
    for (int o = LANES / 2; o; o /= 2) x += __shfl_xor_sync(~0u, x, o);
    return x;
}

/* f(i) for i = 0..n-1 */
template <class F> void each(device *dev, size_t n, F f)
{
    if (n) run_each<<<(unsigned)((n + THREADS - 1) / THREADS), THREADS, 0, cuda_of(dev)->stream>>>((unsigned)n, f);
}

/* f(row, lane) */
template <class F> void each_row(device *dev, size_t rows, F f)
{
    if (rows) run_rows<<<(unsigned)((rows * LANES + THREADS - 1) / THREADS), THREADS, 0, cuda_of(dev)->stream>>>((unsigned)rows, f);
}
#else
#define ON_DEVICE
enum { LANES = 1 };
static inline float over_lanes(float x) { return x; }

template <class F> void each(device *, size_t n, F f)
{
    for (size_t i = 0; i < n; i++) f((unsigned)i);
}

template <class F> void each_row(device *, size_t rows, F f)
{
    for (size_t i = 0; i < rows; i++) f((int)i, 0);
}
#endif

static ON_DEVICE inline float *at(tensor x, int row, int col) { return x.p + (size_t)row * (size_t)x.ld + col; }

/* f(row, column) for every element of a matrix. */
template <class F> void each_of(device *dev, int rows, int cols, F f)
{
    unsigned width = (unsigned)cols;
    each(dev, (size_t)rows * (size_t)cols, [=] ON_DEVICE(unsigned i) { f((int)(i / width), (int)(i % width)); });
}

/* ---- sums down columns: always in one order, so that the same input gives the same bytes ---- */

grouping cuda_by_sample(device *dev, layout l);              /* named by sample */
grouping cuda_by_id(device *dev, const int32_t *ids, int n); /* rows whose ids are the same, named by id; -1 belongs to none */
grouping cuda_in_runs(device *dev, int groups, int rows);    /* `rows` rows each, one group after the other, named by number */
const int *cuda_sample_of(device *dev, layout l, int rows);  /* [rows]: whose each row is */

/* to(name, column, sum of f(row, column) over the rows of the group) */
template <class F, class T> void column_sums(device *dev, grouping g, int cols, F f, T to)
{
    float *part = cuda_scratch(dev, SCRATCH_SUMS, (size_t)g.pieces * (size_t)cols);
    if (!part) return;
    each_of(dev, g.pieces, cols, [=] ON_DEVICE(int p, int c) {
        float s = 0;
        for (int k = g.first[p]; k < g.first[p + 1]; k++) s += f(g.row ? g.row[k] : k, c);
        part[(size_t)p * (size_t)cols + c] = s;
    });
    each_of(dev, g.n, cols, [=] ON_DEVICE(int i, int c) {
        float s = 0;
        for (int p = g.piece[i]; p < g.piece[i + 1]; p++) s += part[(size_t)p * (size_t)cols + c];
        to(g.name[i], c, s);
    });
}
#endif
