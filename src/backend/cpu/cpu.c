/* cpu.c - opening the fast CPU backend: which instruction set, how many threads, scratch memory.
 *
 * DREAMO_CPU=generic|avx2|avx512 overrides the choice (tests); a name that is unknown or that this machine cannot run
 * makes open fail. */
#include "backend/cpu/cpu.h"
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include "base/mem.h"

#if defined(__x86_64__)
static bool has_avx2(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}

static bool has_avx512(void)
{
    return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}
#endif

/* The best table this machine runs, or the one asked for; NULL: asked for something it lacks. */
static const backend *pick(const char *wanted)
{
    if (wanted && strcmp(wanted, "generic") == 0) return &backend_cpu;
#if defined(__x86_64__)
    bool any = !wanted || !*wanted;
    if ((any || strcmp(wanted, "avx512") == 0) && has_avx512()) return &cpu_avx512;
    if ((any || strcmp(wanted, "avx2") == 0) && has_avx2()) return &cpu_avx2;
    return any ? &backend_cpu : NULL;
#else
    return !wanted || !*wanted ? &backend_cpu : NULL;
#endif
}

device *cpu_open(int threads)
{
    const backend *be = pick(getenv("DREAMO_CPU"));
    if (!be) return NULL;
    device *dev = mem_calloc(1, sizeof *dev);
    cpu_state *st = mem_calloc(1, sizeof *st);
    pool *p = dev && st && threads != 1 ? pool_new(threads) : NULL;
    if (!dev || !st || (threads != 1 && !p)) {
        mem_free(dev);
        mem_free(st);
        return NULL;
    }
    st->threads = pool_threads(p);
    *dev = (device){.be = be, .threads = p, .state = st};
    return dev;
}

void cpu_close(device *dev)
{
    if (!dev) return;
    cpu_state *st = dev->state;
    for (int i = 0; i < CPU_SCRATCHES; i++) mem_free(st->s[i].p);
    pool_free(dev->threads);
    mem_free(st);
    mem_free(dev);
}

float *cpu_scratch(device *dev, int which, size_t nfloats)
{
    scratch *s = &((cpu_state *)dev->state)->s[which];
    if (nfloats <= s->nfloats) return s->p;
    size_t grown = nfloats + nfloats / 4;
    mem_free(s->p);
    s->p = mem_aligned(grown * sizeof(float));
    s->nfloats = s->p ? grown : 0;
    if (!s->p) {
        dev->failed = true;
        return NULL;
    }
#ifdef MADV_HUGEPAGE
    /* Big buffers are walked in strides of whole rows: huge pages spare the TLB.  Advice only. */
    const uintptr_t huge = (uintptr_t)2 << 20;
    uintptr_t from = ((uintptr_t)s->p + huge - 1) & ~(huge - 1), to = ((uintptr_t)s->p + grown * sizeof(float)) & ~(huge - 1);
    if (to > from) madvise((void *)from, to - from, MADV_HUGEPAGE);
#endif
    return s->p;
}
