/* state.h - a CUDA device: its stream, scratch memory, and what of the host's it holds copies of. */
#ifndef BACKEND_CUDA_STATE_H
#define BACKEND_CUDA_STATE_H
#include <map>
#include <unordered_map>
#include <vector>
#include "backend/cuda/runtime.h"
extern "C" {
#include "backend/cuda/ops.h"
}

/* Grow-only memory that one kernel's parts hand each other. */
enum { SCRATCH_SUMS, SCRATCH_ROWS, SCRATCH_LOW, SCRATCH_COLUMNS, SCRATCHES };

/* Numbers of a weight in fp32.  Those that are trained are copied anew after each step. */
typedef struct copied { float *p; size_t count; bool trained, fresh; } copied;

/* Gradients of weights, until `settle` brings them home: blocks of device memory, filled from the front, and pinned memory in which they land. */
typedef struct gradient_block { float *p, *landed; size_t size, used; } gradient_block;
typedef struct gradient { int block; size_t at, count; } gradient;

/* Rows put into groups, and each group's rows cut into pieces of at most PIECE, for `column_sums`; the lists are the device's. */
enum { PIECE = 64 };
typedef struct grouping {
    int n, pieces;
    const int *row;   /* [rows], group by group; NULL: row k is k */
    const int *first; /* [pieces + 1]: where a piece begins in `row` */
    const int *piece; /* [n + 1]: where a group's pieces begin */
    const int *name;  /* [n]: what the group is of */
} grouping;

/* Tables are what stands beside tensors, like ids and spans, and what is made of it: good until the next read. */
enum { TABLE_BYTES, TABLE_SAMPLE_OF, TABLE_BY_SAMPLE, TABLE_BY_ID, TABLE_RUNS, TABLE_ORDER, TABLE_BUCKETS, TABLE_REF_ROUNDS, TABLE_IMAGE_ROUNDS };
typedef struct table_key {
    const void *host;
    size_t n;
    int what;
    bool operator<(const table_key &o) const { return host != o.host ? host < o.host : n != o.n ? n < o.n : what < o.what; }
} table_key;
typedef struct table { const void *p; int count; grouping g; } table;

/* Device memory for tables, filled from the front; each place has its like in pinned memory, through which the copy goes. */
typedef struct slab { char *p, *pinned; size_t size, used; } slab;

typedef struct cuda_state {
    cudaStream_t stream;
#ifndef DREAMO_CUDA_EMULATED
    cublasHandle_t blas;
#endif
    float *scratch[SCRATCHES];
    size_t room[SCRATCHES];
    std::unordered_map<const void *, copied> weights;
    std::unordered_map<float *, gradient> gradients; /* by where their home is */
    std::vector<gradient_block> blocks;
    std::map<table_key, table> tables;
    std::vector<slab> slabs;
} cuda_state;

static inline cuda_state *cuda_of(const device *dev) { return (cuda_state *)dev->state; }

/* True, or the device has failed, in one line. */
bool cuda_ok(device *dev, cudaError_t e, const char *doing);

float *cuda_scratch(device *dev, int which, size_t nfloats); /* undefined contents; NULL: no memory, and the device has failed */

/* The table of this key; made by `make` when it is not there.  NULL: no memory, and the device has failed. */
template <class M> const table *cuda_table(device *dev, table_key key, M make)
{
    auto &all = cuda_of(dev)->tables;
    auto found = all.find(key);
    if (found == all.end()) {
        table t = make();
        if (dev->failed) return nullptr; /* what could not be made is not kept */
        found = all.emplace(key, t).first;
    }
    return dev->failed ? nullptr : &found->second;
}

/* A copy of n bytes of the host's until the next read; NULL: no memory, and the device has failed. */
const void *cuda_send(device *dev, const void *host, size_t nbytes);
template <class T> const T *cuda_sent(device *dev, const std::vector<T> &v) { return (const T *)cuda_send(dev, v.data(), v.size() * sizeof(T)); }

/* The same, sent once; NULL stays NULL. */
template <class T> const T *cuda_list(device *dev, const T *host, size_t n)
{
    if (!host) return nullptr;
    const table *t = cuda_table(dev, { host, n * sizeof(T), TABLE_BYTES }, [&] { return table{ cuda_send(dev, host, n * sizeof(T)), (int)n, {} }; });
    return t ? (const T *)t->p : nullptr;
}

void cuda_forget_tables(device *dev);

/* Device copies of weights, in fp32, and where their gradients go; NULL stays NULL. */
const float *cuda_part(device *dev, const weight *w, int part); /* [rows, in kh kw] */
const float *cuda_numbers(device *dev, const float *host, size_t n, bool trained);
float *cuda_gradient(device *dev, float *home, size_t n);

/* C [m, n] = alpha A B + beta C, all row by row; `ta`, `tb`: A is stored [k, m], B [n, k]. */
void cuda_gemm(device *dev, int m, int n, int k, float alpha, const float *a, int lda, bool ta, const float *b, int ldb, bool tb, float beta,
               float *c, int ldc);
#endif
