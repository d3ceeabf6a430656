/* cpu.c - opening the fast CPU backend: which instruction set, how many threads, scratch memory.
 *
 * DREAMO_CPU=generic|avx2|avx512|avx512vnni|avx512bf16|amx overrides the choice (tests); a name that is unknown or that this machine cannot
 * run makes open fail. */
#include "backend/cpu/cpu.h"
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#if defined(__x86_64__) && defined(__linux__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif
#include "base/mem.h"

static bool always(void) { return true; }
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

static bool has_vnni(void) { return has_avx512() && __builtin_cpu_supports("avx512vnni"); }
static bool has_bf16(void) { return has_vnni() && __builtin_cpu_supports("avx512bf16"); }

/* AMX-BF16 and AMX-TILE, and the system's leave to use the registers, which it gives a process that asks (Linux: XTILEDATA is feature 18). */
static bool has_amx(void)
{
#if defined(__linux__) && defined(SYS_arch_prctl)
    unsigned a, b, c, d = 0;
    if (!has_bf16() || !__get_cpuid_count(7, 0, &a, &b, &c, &d) || (d >> 22 & 1) == 0 || (d >> 24 & 1) == 0) return false;
    return syscall(SYS_arch_prctl, 0x1023 /* ARCH_REQ_XCOMP_PERM */, 18) == 0;
#else
    return false;
#endif
}
#endif

/* Best first.  VNNI, BF16 and AMX matter to devices that may round only. */
static const struct choice {
    const char *name;
    bool (*runs)(void);
    const cpu_isa *isa;
    const int8_micro *int8; /* NULL: isa's */
    const cpu_bf16 *bf16;
} choices[] = {
#if defined(__x86_64__)
    {"amx", has_amx, &cpu_isa_avx512, &cpu_int8_avx512vnni, &cpu_bf16_amx},
    {"avx512bf16", has_bf16, &cpu_isa_avx512, &cpu_int8_avx512vnni, &cpu_bf16_avx512},
    {"avx512vnni", has_vnni, &cpu_isa_avx512, &cpu_int8_avx512vnni, NULL},
    {"avx512", has_avx512, &cpu_isa_avx512, NULL, NULL},
    {"avx2", has_avx2, &cpu_isa_avx2, NULL, NULL},
#endif
    {"generic", always, &cpu_isa_generic, NULL, NULL},
};

/* The best that this machine runs, or the one asked for; NULL: asked for something it lacks. */
static const struct choice *pick(const char *wanted)
{
    for (size_t i = 0; i < sizeof choices / sizeof *choices; i++)
        if ((!wanted || !*wanted || strcmp(wanted, choices[i].name) == 0) && choices[i].runs()) return &choices[i];
    return NULL;
}

device *cpu_open(int threads)
{
    const struct choice *best = pick(getenv("DREAMO_CPU"));
    if (!best) return NULL;
    device *dev = mem_calloc(1, sizeof *dev);
    cpu_state *st = mem_calloc(1, sizeof *st);
    pool *p = dev && st && threads != 1 ? pool_new(threads) : NULL;
    if (!dev || !st || (threads != 1 && !p)) {
        mem_free(dev);
        mem_free(st);
        return NULL;
    }
    st->isa = best->isa;
    st->int8 = best->int8 ? best->int8 : best->isa->int8;
    st->bf16 = best->bf16;
    st->threads = pool_threads(p);
    *dev = (device){.be = best->isa->table, .threads = p, .state = st, .gains_by_fast = best->int8 != NULL, .gains_by_bf16 = best->bf16 != NULL};
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

typedef struct burn_job { const cpu_isa *isa; double *rate; } burn_job;

static void burn_task(void *arg, int task, int worker)
{
    const burn_job *j = arg;
    (void)worker;
    struct timespec before, after; /* processor time: being interrupted does not make the machine slower */
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &before);
    double flops = j->isa->burn(40000);
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &after);
    j->rate[task] = flops / ((double)(after.tv_sec - before.tv_sec) + 1e-9 * (double)(after.tv_nsec - before.tv_nsec));
}

double cpu_peak(device *dev)
{
    const cpu_state *st = dev->state;
    double sum = 0, *rate = mem_calloc((size_t)st->threads, sizeof *rate);
    if (!rate) return 0;
    burn_job j = {st->isa, rate};
    pool_run(dev->threads, st->threads, burn_task, &j);
    for (int i = 0; i < st->threads; i++) sum += rate[i];
    mem_free(rate);
    return sum;
}
