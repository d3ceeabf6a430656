/* threads.c - a pool whose workers spin a little and then sleep.
 *
 * Kernels start thousands of times a second, so a start must cost microseconds: the caller publishes a job by bumping a generation
 * number, workers that still spin see it at once, the others are woken.  Tasks are handed out by an atomic counter. */
#include "base/threads.h"
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>
#include <unistd.h>
#include "base/mem.h"

#define SPIN_NANOSECONDS 50000

struct pool {
    int threads;
    pthread_t *workers;        /* threads - 1 */
    pthread_mutex_t lock;
    pthread_cond_t wake, finished;
    atomic_uint generation;    /* a new job, or the end */
    atomic_int next, busy;     /* next task; workers still inside the job */
    int ntasks, asleep;
    pool_fn fn;
    void *arg;
    bool stop;
};

typedef struct start { pool *p; int worker; } start;

static int64_t nanoseconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void pause_briefly(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#else
    sched_yield();
#endif
}

static void work(pool *p, int worker)
{
    int task;
    while ((task = atomic_fetch_add_explicit(&p->next, 1, memory_order_relaxed)) < p->ntasks) p->fn(p->arg, task, worker);
}

/* Wait until the generation differs from `seen`: spin first, then sleep. */
static unsigned wait_for_job(pool *p, unsigned seen)
{
    unsigned now;
    int64_t until = nanoseconds() + SPIN_NANOSECONDS;
    for (int i = 0; (now = atomic_load_explicit(&p->generation, memory_order_acquire)) == seen; i++) {
        pause_briefly();
        if (i % 64 == 63 && nanoseconds() > until) {
            pthread_mutex_lock(&p->lock);
            p->asleep++;
            while ((now = atomic_load_explicit(&p->generation, memory_order_acquire)) == seen) pthread_cond_wait(&p->wake, &p->lock);
            p->asleep--;
            pthread_mutex_unlock(&p->lock);
            break;
        }
    }
    return now;
}

static void *worker_main(void *arg)
{
    start s = *(start *)arg;
    unsigned seen = 0;
    mem_free(arg);
    for (;;) {
        seen = wait_for_job(s.p, seen);
        if (s.p->stop) return NULL;
        work(s.p, s.worker);
        if (atomic_fetch_sub_explicit(&s.p->busy, 1, memory_order_acq_rel) == 1) {
            pthread_mutex_lock(&s.p->lock);
            pthread_cond_signal(&s.p->finished);
            pthread_mutex_unlock(&s.p->lock);
        }
    }
}

/* Publish what the caller has set up, and wake sleepers. */
static void announce(pool *p)
{
    pthread_mutex_lock(&p->lock);
    atomic_fetch_add_explicit(&p->generation, 1, memory_order_release);
    if (p->asleep) pthread_cond_broadcast(&p->wake);
    pthread_mutex_unlock(&p->lock);
}

pool *pool_new(int threads)
{
    if (threads <= 0) threads = (int)sysconf(_SC_NPROCESSORS_ONLN);
    if (threads < 1) threads = 1;
    pool *p = mem_calloc(1, sizeof *p);
    if (!p) return NULL;
    p->workers = mem_calloc((size_t)threads, sizeof *p->workers);
    if (!p->workers) {
        mem_free(p);
        return NULL;
    }
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->wake, NULL);
    pthread_cond_init(&p->finished, NULL);
    p->threads = 1;
    while (p->threads < threads) {
        start *s = mem_alloc(sizeof *s);
        if (s) *s = (start){ p, p->threads };
        if (!s || pthread_create(&p->workers[p->threads - 1], NULL, worker_main, s)) {
            mem_free(s);
            pool_free(p);
            return NULL;
        }
        p->threads++;
    }
    return p;
}

void pool_free(pool *p)
{
    if (!p) return;
    p->stop = true;
    announce(p);
    for (int i = 0; i + 1 < p->threads; i++) pthread_join(p->workers[i], NULL);
    pthread_cond_destroy(&p->finished);
    pthread_cond_destroy(&p->wake);
    pthread_mutex_destroy(&p->lock);
    mem_free(p->workers);
    mem_free(p);
}

int pool_threads(const pool *p) { return p ? p->threads : 1; }

void pool_run(pool *p, int ntasks, pool_fn fn, void *arg)
{
    if (!p || p->threads == 1 || ntasks <= 1) {
        for (int i = 0; i < ntasks; i++) fn(arg, i, 0);
        return;
    }
    p->fn = fn;
    p->arg = arg;
    p->ntasks = ntasks;
    atomic_store_explicit(&p->next, 0, memory_order_relaxed);
    atomic_store_explicit(&p->busy, p->threads - 1, memory_order_relaxed);
    announce(p);
    work(p, 0);
    int64_t until = nanoseconds() + SPIN_NANOSECONDS;
    for (int i = 0; atomic_load_explicit(&p->busy, memory_order_acquire); i++) {
        pause_briefly();
        if (i % 64 == 63 && nanoseconds() > until) {
            pthread_mutex_lock(&p->lock);
            while (atomic_load_explicit(&p->busy, memory_order_acquire)) pthread_cond_wait(&p->finished, &p->lock);
            pthread_mutex_unlock(&p->lock);
            break;
        }
    }
}
