/* runtime.h - CUDA's runtime and cuBLAS; or, with DREAMO_CUDA_EMULATED, the few calls of it that this backend makes, in the host's memory. */
#ifndef BACKEND_CUDA_RUNTIME_H
#define BACKEND_CUDA_RUNTIME_H
#ifndef DREAMO_CUDA_EMULATED
#include <cublas_v2.h>
#include <cuda_runtime.h>
#else
#include <cmath>
#include <cstring>
extern "C" {
#include "base/mem.h"
}
typedef struct float4 { float x, y, z, w; } float4;
typedef int cudaError_t, cudaStream_t;
enum { cudaSuccess = 0, cudaErrorMemoryAllocation = 2, cudaMemcpyHostToDevice, cudaMemcpyDeviceToHost, cudaMemcpyDeviceToDevice };
static inline cudaError_t cudaMalloc(void **p, size_t n) { return (*p = mem_alloc(n + 1)) ? cudaSuccess : cudaErrorMemoryAllocation; }
static inline cudaError_t cudaMallocHost(void **p, size_t n) { return cudaMalloc(p, n); }
static inline cudaError_t cudaFree(void *p) { return mem_free(p), cudaSuccess; }
static inline cudaError_t cudaFreeHost(void *p) { return cudaFree(p); }
static inline cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t n, int, cudaStream_t) { return std::memcpy(to, from, n), cudaSuccess; }
static inline cudaError_t cudaMemsetAsync(void *p, int x, size_t n, cudaStream_t) { return std::memset(p, x, n), cudaSuccess; }
static inline cudaError_t cudaMemset2DAsync(void *p, size_t pitch, int x, size_t width, size_t rows, cudaStream_t)
{
    for (size_t r = 0; r < rows; r++) std::memset((char *)p + r * pitch, x, width);
    return cudaSuccess;
}
static inline cudaError_t cudaMemcpy2DAsync(void *to, size_t tp, const void *from, size_t fp, size_t width, size_t rows, int, cudaStream_t)
{
    for (size_t r = 0; r < rows; r++) std::memcpy((char *)to + r * tp, (const char *)from + r * fp, width);
    return cudaSuccess;
}
static inline cudaError_t cudaHostRegister(void *, size_t, int) { return cudaSuccess; }
static inline cudaError_t cudaHostUnregister(void *) { return cudaSuccess; }
static inline cudaError_t cudaStreamCreate(cudaStream_t *s) { return *s = 0, cudaSuccess; }
static inline cudaError_t cudaStreamDestroy(cudaStream_t) { return cudaSuccess; }
static inline cudaError_t cudaStreamSynchronize(cudaStream_t) { return cudaSuccess; }
static inline cudaError_t cudaGetLastError(void) { return cudaSuccess; }
static inline const char *cudaGetErrorString(cudaError_t) { return "no memory"; }
static inline cudaError_t cudaMemGetInfo(size_t *left, size_t *all) { return *left = *all = (size_t)1 << 32, cudaSuccess; }
#endif
#endif
