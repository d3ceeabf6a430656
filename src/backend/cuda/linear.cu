/* linear.cu - products, by cuBLAS, and rows of a table. */
#include "backend/cuda/parallel.h"

extern "C" {
#include "base/half.h"
}

/* n products at once, their matrices `step` numbers apart. */
static void gemm_batch(device *dev, int n, int m, int cols, int k, float alpha, const float *a, int lda, size_t step_a, bool ta, const float *b, int ldb,
                       size_t step_b, bool tb, float beta, float *c, int ldc, size_t step_c);

#ifndef DREAMO_CUDA_EMULATED
/* cuBLAS counts down columns: it sees each of our matrices turned over, and C^T = B^T A^T. */
void cuda_gemm(device *dev, int m, int n, int k, float alpha, const float *a, int lda, bool ta, const float *b, int ldb, bool tb, float beta,
               float *c, int ldc)
{
    if (m == 0 || n == 0 || dev->failed) return;
    cublasComputeType_t how = dev->bf16 ? CUBLAS_COMPUTE_32F_FAST_16BF : CUBLAS_COMPUTE_32F;
    cublasStatus_t s = cublasGemmEx(cuda_of(dev)->blas, tb ? CUBLAS_OP_T : CUBLAS_OP_N, ta ? CUBLAS_OP_T : CUBLAS_OP_N, n, m, k, &alpha, b,
                                    CUDA_R_32F, ldb, a, CUDA_R_32F, lda, &beta, c, CUDA_R_32F, ldc, how, CUBLAS_GEMM_DEFAULT);
    if (s != CUBLAS_STATUS_SUCCESS) cuda_ok(dev, cudaErrorUnknown, cublasGetStatusString(s));
}

static void gemm_batch(device *dev, int n, int m, int cols, int k, float alpha, const float *a, int lda, size_t step_a, bool ta, const float *b, int ldb,
                       size_t step_b, bool tb, float beta, float *c, int ldc, size_t step_c)
{
    if (dev->failed) return;
    cublasComputeType_t how = dev->bf16 ? CUBLAS_COMPUTE_32F_FAST_16BF : CUBLAS_COMPUTE_32F;
    cublasStatus_t s = cublasGemmStridedBatchedEx(cuda_of(dev)->blas, tb ? CUBLAS_OP_T : CUBLAS_OP_N, ta ? CUBLAS_OP_T : CUBLAS_OP_N, cols, m, k, &alpha, b,
                                                  CUDA_R_32F, ldb, (long long)step_b, a, CUDA_R_32F, lda, (long long)step_a, &beta, c, CUDA_R_32F, ldc,
                                                  (long long)step_c, n, how, CUBLAS_GEMM_DEFAULT);
    if (s != CUBLAS_STATUS_SUCCESS) cuda_ok(dev, cudaErrorUnknown, cublasGetStatusString(s));
}
#else
void cuda_gemm(device *dev, int m, int n, int k, float alpha, const float *a, int lda, bool ta, const float *b, int ldb, bool tb, float beta,
               float *c, int ldc)
{
    for (int i = 0; i < m; i++)
        for (int j = 0; j < n; j++) {
            double s = 0;
            for (int l = 0; l < k; l++) {
                float x = ta ? a[(size_t)l * (size_t)lda + (size_t)i] : a[(size_t)i * (size_t)lda + (size_t)l];
                float y = tb ? b[(size_t)j * (size_t)ldb + (size_t)l] : b[(size_t)l * (size_t)ldb + (size_t)j];
                s += dev->bf16 ? (double)round_bf16(x) * (double)round_bf16(y) : (double)x * (double)y;
            }
            float *to = &c[(size_t)i * (size_t)ldc + (size_t)j];
            *to = (float)(alpha * s + (beta != 0 ? beta * (double)*to : 0));
        }
}

static void gemm_batch(device *dev, int n, int m, int cols, int k, float alpha, const float *a, int lda, size_t step_a, bool ta, const float *b, int ldb,
                       size_t step_b, bool tb, float beta, float *c, int ldc, size_t step_c)
{
    for (int i = 0; i < n; i++) {
        size_t at = (size_t)i;
        cuda_gemm(dev, m, cols, k, alpha, a + at * step_a, lda, ta, b + at * step_b, ldb, tb, beta, c + at * step_c, ldc);
    }
}
#endif

static tensor columns(tensor x, int col0, int cols)
{
    x.p = x.p ? x.p + col0 : NULL;
    x.cols = cols;
    return x;
}

/* ---- linear ---- */

extern "C" void cuda_linear(device *dev, tensor y, tensor x, const weight *w, tensor low)
{
    for (int i = 0, row0 = 0; i < w->nparts; row0 += w->part[i++].rows) {
        const weight_part *p = &w->part[i];
        const float *W = cuda_part(dev, w, i), *bias = cuda_numbers(dev, p->bias, (size_t)p->rows, p->grad_bias != NULL);
        tensor to = columns(y, row0, p->rows);
        if (dev->failed) return;
        if (bias) each_of(dev, to.rows, to.cols, [=] ON_DEVICE(int r, int c) { *at(to, r, c) = bias[c]; });
        cuda_gemm(dev, y.rows, p->rows, w->in, 1, x.p, x.ld, false, W, w->in, true, bias ? 1.0f : 0.0f, to.p, to.ld);
    }
    int column = 0;
    for (const adapter *a = w->adapters; a; column += a->rank, a = a->next) {
        const float *A = cuda_numbers(dev, a->A, (size_t)a->rank * (size_t)w->in, a->grad_A != NULL);
        const float *B = cuda_numbers(dev, a->B, (size_t)a->rows * (size_t)a->rank, a->grad_B != NULL);
        if (dev->failed) return;
        cuda_gemm(dev, x.rows, a->rank, w->in, 1, x.p, x.ld, false, A, w->in, true, 0, low.p + column, low.ld);
        cuda_gemm(dev, x.rows, a->rows, a->rank, a->scale, low.p + column, low.ld, false, B, a->rank, true, 1, y.p + a->row0, y.ld);
    }
}

/* dlow = scale dy B; dx += dlow A; dA += dlow^T x; dB += scale dy^T low. */
static void adapter_backward(device *dev, tensor dx, tensor dy, tensor x, const adapter *a, const float *low, int ldl, int in)
{
    const float *A = cuda_numbers(dev, a->A, (size_t)a->rank * (size_t)in, a->grad_A != NULL);
    const float *B = cuda_numbers(dev, a->B, (size_t)a->rows * (size_t)a->rank, a->grad_B != NULL);
    float *dA = cuda_gradient(dev, a->grad_A, (size_t)a->rank * (size_t)in), *dB = cuda_gradient(dev, a->grad_B, (size_t)a->rows * (size_t)a->rank);
    float *dlow = cuda_scratch(dev, SCRATCH_LOW, (size_t)x.rows * (size_t)a->rank);
    if (dev->failed) return;
    cuda_gemm(dev, x.rows, a->rank, a->rows, a->scale, dy.p + a->row0, dy.ld, false, B, a->rank, false, 0, dlow, a->rank);
    if (dx.p) cuda_gemm(dev, x.rows, in, a->rank, 1, dlow, a->rank, false, A, in, false, 1, dx.p, dx.ld);
    if (dA) cuda_gemm(dev, a->rank, in, x.rows, 1, dlow, a->rank, true, x.p, x.ld, false, 1, dA, in);
    if (dB) cuda_gemm(dev, a->rows, a->rank, x.rows, a->scale, dy.p + a->row0, dy.ld, true, low, ldl, false, 1, dB, a->rank);
}

extern "C" void cuda_linear_backward(device *dev, tensor dx, tensor dy, tensor x, const weight *w, tensor low)
{
    for (int i = 0, row0 = 0; i < w->nparts; row0 += w->part[i++].rows) {
        const weight_part *p = &w->part[i];
        tensor d = columns(dy, row0, p->rows);
        const float *W = dx.p ? cuda_part(dev, w, i) : NULL;
        float *dW = cuda_gradient(dev, p->grad, (size_t)p->rows * (size_t)w->in), *db = cuda_gradient(dev, p->grad_bias, (size_t)p->rows);
        if (dev->failed) return;
        if (dx.p) cuda_gemm(dev, x.rows, w->in, p->rows, 1, d.p, d.ld, false, W, w->in, false, 1, dx.p, dx.ld);
        if (dW) cuda_gemm(dev, p->rows, w->in, x.rows, 1, d.p, d.ld, true, x.p, x.ld, false, 1, dW, w->in);
        if (db)
            column_sums(dev, cuda_in_runs(dev, 1, x.rows), p->rows, [=] ON_DEVICE(int r, int c) { return *at(d, r, c); },
                        [=] ON_DEVICE(int, int c, float sum) { db[c] += sum; });
    }
    int column = 0;
    for (const adapter *a = w->adapters; a; column += a->rank, a = a->next) adapter_backward(dev, dx, dy, x, a, low.p + column, low.ld, w->in);
}

extern "C" void cuda_symmetric(device *dev, tensor y, tensor x, tensor w)
{
    cuda_gemm(dev, y.rows, y.cols, x.cols, 1, x.p, x.ld, false, w.p, w.ld, true, 0, y.p, y.ld);
}

/* ---- Muon's products: matrices of one size together ---- */

enum { TOGETHER = 1 << 24 }; /* numbers */

static void orthogonal(device *dev, const host_matrix *x, int n, int rounds, float a, float b, float c)
{
    int rows = x->rows, cols = x->cols;
    size_t count = (size_t)rows * (size_t)cols, square = (size_t)rows * (size_t)rows, all = count * (size_t)n, squares = square * (size_t)n;
    float *now = cuda_scratch(dev, SCRATCH_COLUMNS, 2 * all + 2 * squares), *next = now + all, *s = now + 2 * all, *t = s + squares;
    if (!now) return;
    for (int i = 0; i < n; i++)
        cuda_ok(dev, cudaMemcpyAsync(now + (size_t)i * count, x[i].p, count * sizeof(float), cudaMemcpyHostToDevice, cuda_of(dev)->stream), "sending a matrix");
    for (int round = 0; round < rounds; round++) {
        gemm_batch(dev, n, rows, rows, cols, 1, now, cols, count, false, now, cols, count, true, 0, s, rows, square);
        each(dev, squares, [=] ON_DEVICE(unsigned i) { t[i] = s[i]; });
        gemm_batch(dev, n, rows, rows, rows, c, s, rows, square, false, s, rows, square, false, b, t, rows, square); /* b s + c s^2 */
        each(dev, all, [=] ON_DEVICE(unsigned i) { next[i] = now[i]; });
        gemm_batch(dev, n, rows, cols, rows, 1, t, rows, square, false, now, cols, count, false, a, next, cols, count);
        float *before = now;
        now = next;
        next = before;
    }
    for (int i = 0; i < n; i++)
        cuda_ok(dev, cudaMemcpyAsync(x[i].p, now + (size_t)i * count, count * sizeof(float), cudaMemcpyDeviceToHost, cuda_of(dev)->stream), "fetching a matrix");
}

extern "C" void cuda_newton_schulz(device *dev, const host_matrix *x, int n, int rounds, float a, float b, float c)
{
    for (int i = 0, k; i < n && !dev->failed; i = k) {
        size_t numbers = (size_t)x[i].rows * (size_t)x[i].cols;
        for (k = i + 1; k < n && x[k].rows == x[i].rows && x[k].cols == x[i].cols && numbers * (size_t)(k - i + 1) <= TOGETHER; k++) continue;
        orthogonal(dev, x + i, k - i, rounds, a, b, c);
    }
    cuda_ok(dev, cudaStreamSynchronize(cuda_of(dev)->stream), "orthogonalising matrices");
}

/* ---- embed ---- */

/* A table's parts, one below the other. */
typedef struct rows_of { float *p[WEIGHT_PARTS]; int rows[WEIGHT_PARTS]; int width; } rows_of;

static ON_DEVICE inline float *find_row(const rows_of &t, int id)
{
    int i = 0;
    while (id >= t.rows[i]) id -= t.rows[i++];
    return t.p[i] ? t.p[i] + (size_t)id * (size_t)t.width : nullptr;
}

extern "C" void cuda_embed(device *dev, tensor y, const int32_t *ids, const weight *w)
{
    rows_of t = {};
    t.width = w->in;
    for (int i = 0; i < w->nparts; i++) {
        t.p[i] = (float *)cuda_part(dev, w, i);
        t.rows[i] = w->part[i].rows;
    }
    const int32_t *id = cuda_list(dev, ids, (size_t)y.rows);
    if (dev->failed) return;
    each_of(dev, y.rows, y.cols, [=] ON_DEVICE(int r, int c) { *at(y, r, c) = id[r] < 0 ? 0 : find_row(t, id[r])[c]; });
}

extern "C" void cuda_embed_backward(device *dev, tensor dy, const int32_t *ids, const weight *w)
{
    rows_of t = {};
    t.width = w->in;
    for (int i = 0; i < w->nparts; i++) {
        t.p[i] = cuda_gradient(dev, w->part[i].grad, (size_t)w->part[i].rows * (size_t)w->in);
        t.rows[i] = w->part[i].rows;
    }
    grouping g = cuda_by_id(dev, ids, dy.rows);
    if (dev->failed) return;
    column_sums(dev, g, dy.cols, [=] ON_DEVICE(int r, int c) { return *at(dy, r, c); },
                [=] ON_DEVICE(int id, int c, float sum) {
                    float *to = find_row(t, id);
                    if (to) to[c] += sum;
                });
}
