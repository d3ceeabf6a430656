/* weights.cu - copies of weights on the device, and gradients on their way home. */
#include <string.h>
#include "backend/cuda/parallel.h"

extern "C" {
#include "base/dtype.h"
#include "base/mem.h"
}

/* The copy of what lies at `host`, with room for n numbers; *ready: it is up to date. */
static float *place(device *dev, const void *host, size_t n, bool trained, bool *ready)
{
    copied &c = cuda_of(dev)->weights[host];
    *ready = c.p && c.count == n && (c.fresh || !trained);
    if (c.p && c.count != n) {
        cudaFree(c.p);
        c.p = NULL;
    }
    void *p = c.p;
    if (!p && !cuda_ok(dev, cudaMalloc(&p, n * sizeof(float) + 16), "memory for weights")) return NULL;
    c = { (float *)p, n, trained, true };
    return c.p;
}

/* Memory that is not pinned has been read when the call returns. */
static void fill(device *dev, float *p, const float *from, size_t n)
{
    cuda_ok(dev, cudaMemcpyAsync(p, from, n * sizeof(float), cudaMemcpyHostToDevice, cuda_of(dev)->stream), "sending weights");
}

const float *cuda_numbers(device *dev, const float *host, size_t n, bool trained)
{
    bool ready;
    if (!host || dev->failed) return NULL;
    float *p = place(dev, host, n, trained, &ready);
    if (p && !ready) fill(dev, p, host, n);
    return p;
}

const float *cuda_part(device *dev, const weight *w, int part)
{
    const weight_part *q = &w->part[part];
    size_t cols = (size_t)w->in * (size_t)(w->kh * w->kw), n = (size_t)q->rows * cols;
    bool ready;
    if (q->type == DT_F32 && !q->row_scale) return cuda_numbers(dev, (const float *)q->data, n, q->grad != NULL);
    if (!q->data || dev->failed) return NULL;
    float *p = place(dev, q->data, n, q->grad != NULL, &ready), *values = p && !ready ? (float *)mem_alloc(n * sizeof(float)) : NULL;
    if (p && !ready && !values) {
        dev->failed = true;
        return NULL;
    }
    if (!values) return p;
    dtype_to_f32(q->type, q->data, n, values);
    for (size_t i = 0; q->row_scale && i < n; i++) values[i] *= q->row_scale[i / cols];
    fill(dev, p, values, n);
    mem_free(values);
    return p;
}

/* ---- gradients ---- */

static const size_t BLOCK = 8 << 20; /* floats */

float *cuda_gradient(device *dev, float *home, size_t n)
{
    cuda_state *s = cuda_of(dev);
    if (!home || dev->failed) return NULL;
    auto found = s->gradients.find(home);
    if (found != s->gradients.end() && found->second.count == n) return s->blocks[(size_t)found->second.block].p + found->second.at;
    size_t need = (n + 15) / 16 * 16;
    int b = 0;
    while (b < (int)s->blocks.size() && s->blocks[(size_t)b].size - s->blocks[(size_t)b].used < need) b++;
    if (b == (int)s->blocks.size()) {
        gradient_block k = { NULL, NULL, need > BLOCK ? need : BLOCK, 0 };
        void *p = NULL, *landed = NULL;
        if (!cuda_ok(dev, cudaMalloc(&p, k.size * sizeof(float)), "memory for gradients")) return NULL;
        if (!cuda_ok(dev, cudaMallocHost(&landed, k.size * sizeof(float)), "pinned memory for gradients")) return cudaFree(p), nullptr;
        k.p = (float *)p;
        k.landed = (float *)landed;
        cuda_ok(dev, cudaMemsetAsync(p, 0, k.size * sizeof(float), s->stream), "memory for gradients");
        s->blocks.push_back(k);
    }
    gradient_block &k = s->blocks[(size_t)b];
    s->gradients[home] = { b, k.used, n };
    k.used += need;
    return k.p + s->gradients[home].at;
}

typedef struct home_job { float *home; const float *landed; size_t n; } home_job;

static void add_home(void *arg, int task, int)
{
    const home_job *j = (const home_job *)arg + task;
    for (size_t i = 0; i < j->n; i++) j->home[i] += j->landed[i];
}

extern "C" void cuda_settle(device *dev)
{
    cuda_state *s = cuda_of(dev);
    for (gradient_block &b : s->blocks) {
        cuda_ok(dev, cudaMemcpyAsync(b.landed, b.p, b.used * sizeof(float), cudaMemcpyDeviceToHost, s->stream), "fetching gradients");
        cuda_ok(dev, cudaMemsetAsync(b.p, 0, b.used * sizeof(float), s->stream), "zeroing gradients");
    }
    cuda_ok(dev, cudaStreamSynchronize(s->stream), "computing gradients");
    cuda_ok(dev, cudaGetLastError(), "computing gradients");
    std::vector<home_job> jobs;
    for (auto &g : s->gradients) jobs.push_back({ g.first, s->blocks[(size_t)g.second.block].landed + g.second.at, g.second.count });
    if (!dev->failed) pool_run(dev->threads, (int)jobs.size(), add_home, jobs.data());
    for (auto &w : s->weights)
        if (w.second.trained) w.second.fresh = false;
    cuda_forget_tables(dev);
}

/* Copies from pinned memory neither wait nor go through other memory; where it cannot be pinned they do, and that is all. */
extern "C" void cuda_pin(device *, void *p, size_t nbytes, bool on)
{
    if (nbytes && p) on ? cudaHostRegister(p, nbytes, 0) : cudaHostUnregister(p);
    cudaGetLastError();
}

extern "C" void cuda_forget(device *dev)
{
    cuda_state *s = cuda_of(dev);
    if (s->stream || !dev->failed) cudaStreamSynchronize(s->stream);
    for (auto &w : s->weights) cudaFree(w.second.p);
    for (gradient_block &b : s->blocks) cudaFree(b.p), cudaFreeHost(b.landed);
    s->weights.clear();
    s->gradients.clear();
    s->blocks.clear();
    cuda_forget_tables(dev);
}
