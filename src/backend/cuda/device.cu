/* device.cu - opening and closing, tensors' memory, scratch. */
#include <stdio.h>
#include <new>
#include "backend/cuda/parallel.h"

extern "C" {
#include "base/mem.h"
extern const backend backend_cuda;
}

bool cuda_ok(device *dev, cudaError_t e, const char *doing)
{
    if (e == cudaSuccess) return !dev->failed;
    if (!dev->failed) {
        dev->failed = true;
        dev->status = e == cudaErrorMemoryAllocation ? DREAMO_MEMORY : DREAMO_DEVICE;
        snprintf(dev->why, sizeof dev->why, "cuda, %s: %s", doing, cudaGetErrorString(e));
    }
    return false;
}

extern "C" device *cuda_open(int threads)
{
    device *dev = (device *)mem_calloc(1, sizeof *dev);
    cuda_state *s = new (std::nothrow) cuda_state();
    pool *p = dev && s ? pool_new(threads) : NULL;
    if (!p) {
        delete s;
        mem_free(dev);
        return NULL;
    }
    dev->be = &backend_cuda;
    dev->threads = p;
    dev->state = s;
    dev->gains_by_bf16 = true;
    if (!cuda_ok(dev, cudaStreamCreate(&s->stream), "opening a device")) return dev;
#ifndef DREAMO_CUDA_EMULATED
    if (cublasCreate(&s->blas) != CUBLAS_STATUS_SUCCESS) cuda_ok(dev, cudaErrorInitializationError, "opening cuBLAS");
    else cublasSetStream(s->blas, s->stream);
#endif
    return dev;
}

extern "C" void cuda_close(device *dev)
{
    if (!dev) return;
    cuda_state *s = cuda_of(dev);
    cuda_forget(dev);
    for (int i = 0; i < SCRATCHES; i++) cudaFree(s->scratch[i]);
    for (slab &b : s->slabs) cudaFree(b.p), cudaFreeHost(b.pinned);
#ifndef DREAMO_CUDA_EMULATED
    if (s->blas) cublasDestroy(s->blas);
#endif
    if (s->stream) cudaStreamDestroy(s->stream);
    pool_free(dev->threads);
    delete s;
    mem_free(dev);
}

/* ---- memory ---- */

extern "C" void *cuda_reserve(device *dev, size_t nbytes)
{
    void *p = NULL;
    return !dev->failed && cuda_ok(dev, cudaMalloc(&p, nbytes ? nbytes : 256), "memory for tensors") ? p : NULL;
}

extern "C" void cuda_release(device *, void *base) { cudaFree(base); }

extern "C" double cuda_memory(const device *)
{
    size_t left = 0, all = 0;
    return cudaMemGetInfo(&left, &all) == cudaSuccess ? (double)left : 0;
}

float *cuda_scratch(device *dev, int which, size_t nfloats)
{
    cuda_state *s = cuda_of(dev);
    if (nfloats <= s->room[which] && s->scratch[which]) return s->scratch[which];
    void *p = NULL;
    size_t grown = nfloats + nfloats / 4 + 64;
    cudaFree(s->scratch[which]); /* waits for who still uses it */
    s->scratch[which] = NULL;
    if (!cuda_ok(dev, cudaMalloc(&p, grown * sizeof(float)), "scratch memory")) return NULL;
    s->room[which] = grown;
    return s->scratch[which] = (float *)p;
}

static size_t pitch(tensor x) { return (size_t)x.ld * sizeof(float); }
static size_t width(tensor x) { return (size_t)x.cols * sizeof(float); }

extern "C" void cuda_write(device *dev, tensor y, const float *src)
{
    if (y.rows && y.cols) cuda_ok(dev, cudaMemcpy2DAsync(y.p, pitch(y), src, width(y), width(y), (size_t)y.rows, cudaMemcpyHostToDevice, cuda_of(dev)->stream), "writing a tensor");
}

extern "C" void cuda_read(device *dev, float *dst, tensor x)
{
    cudaStream_t stream = cuda_of(dev)->stream;
    if (x.rows && x.cols) cuda_ok(dev, cudaMemcpy2DAsync(dst, width(x), x.p, pitch(x), width(x), (size_t)x.rows, cudaMemcpyDeviceToHost, stream), "reading a tensor");
    cuda_ok(dev, cudaStreamSynchronize(stream), "computing");
    cuda_ok(dev, cudaGetLastError(), "computing");
    cuda_forget_tables(dev);
}

extern "C" void cuda_zero(device *dev, tensor y)
{
    if (y.rows && y.cols) cuda_ok(dev, cudaMemset2DAsync(y.p, pitch(y), 0, width(y), (size_t)y.rows, cuda_of(dev)->stream), "zeroing a tensor");
}

extern "C" void cuda_copy(device *dev, tensor y, tensor x)
{
    if (y.rows && y.cols) cuda_ok(dev, cudaMemcpy2DAsync(y.p, pitch(y), x.p, pitch(x), width(y), (size_t)y.rows, cudaMemcpyDeviceToDevice, cuda_of(dev)->stream), "copying a tensor");
}
