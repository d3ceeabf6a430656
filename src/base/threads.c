/* threads.c - a pool whose workers spin a little and then sleep.
 *
 * Kernels start thousands of times a second, so a start must cost microseconds.  One number, the ticket, says which job runs and
 * how many of its tasks nobody has taken: whoever lowers it has a task.  The caller waits for tasks that were taken, never for
 * workers: one that wakes late, or that the system does not let run, costs nothing but its help. */
#include "base/threads.h"
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>
#include <unistd.h>
#include "base/mem.h"

#define SPIN_NANOSECONDS 50000
#define MAX_THREADS 1024

typedef struct worker {
    pool *p;
    int number; /* 1 .. threads - 1 */
    pthread_t thread;
} worker;

struct pool {
    int threads;
    worker *workers;
    _Atomic uint64_t ticket;   /* job number << 32 | tasks nobody has taken */
    atomic_int unfinished;     /* tasks of the job that have not ended */
    _Atomic pool_fn fn;        /* the job: written while the ticket says "no tasks" */
    _Atomic(void *) arg;
    atomic_int ntasks;
    pthread_mutex_t lock;      /* for going to sleep and for waking */
    pthread_cond_t wake, finished;
    atomic_int asleep;         /* workers */
    atomic_bool caller_asleep, stop;
};

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

static bool has_tasks(pool *p) { return (uint32_t)atomic_load(&p->ticket) != 0; }
static bool has_work(pool *p) { return has_tasks(p) || atomic_load(&p->stop); }
static bool is_finished(pool *p) { return atomic_load(&p->unfinished) == 0; }

/* True as soon as `ready`; false when it was not for SPIN_NANOSECONDS. */
static bool spin(pool *p, bool (*ready)(pool *p))
{
    int64_t until = nanoseconds() + SPIN_NANOSECONDS;
    for (int i = 1; !ready(p); i++) {
        pause_briefly();
        if (i % 64 == 0 && nanoseconds() > until) return false;
    }
    return true;
}

/* Take and do tasks until none is left to take.
 * What is read of the job before the exchange belongs to the ticket's job: as long as it has untaken tasks the caller changes nothing, and
 * after it the ticket differs. */
static void work(pool *p, int number)
{
    uint64_t ticket = atomic_load(&p->ticket);
    while ((uint32_t)ticket != 0) {
        pool_fn fn = atomic_load_explicit(&p->fn, memory_order_relaxed);
        void *arg = atomic_load_explicit(&p->arg, memory_order_relaxed);
        int ntasks = atomic_load_explicit(&p->ntasks, memory_order_relaxed);
        if (!atomic_compare_exchange_weak(&p->ticket, &ticket, ticket - 1)) continue;
        fn(arg, ntasks - (int)(uint32_t)ticket, number);
        if (atomic_fetch_sub(&p->unfinished, 1) == 1 && atomic_load(&p->caller_asleep)) {
            pthread_mutex_lock(&p->lock);
            pthread_cond_signal(&p->finished);
            pthread_mutex_unlock(&p->lock);
        }
        ticket = atomic_load(&p->ticket);
    }
}

static void *worker_main(void *arg)
{
    worker *w = arg;
    pool *p = w->p;
    while (!atomic_load(&p->stop)) {
        if (!spin(p, has_work)) {
            pthread_mutex_lock(&p->lock);
            atomic_fetch_add(&p->asleep, 1);
            while (!has_work(p)) pthread_cond_wait(&p->wake, &p->lock);
            atomic_fetch_sub(&p->asleep, 1);
            pthread_mutex_unlock(&p->lock);
        }
        work(p, w->number);
    }
    return NULL;
}

/* After a change that workers wait for: wake up to n that sleep.  A worker counts itself asleep before it looks a last time, so either it sees
 * the change or we see it. */
static void wake_workers(pool *p, int n)
{
    if (atomic_load(&p->asleep) == 0) return;
    pthread_mutex_lock(&p->lock);
    if (n >= atomic_load(&p->asleep)) pthread_cond_broadcast(&p->wake);
    else while (n-- > 0) pthread_cond_signal(&p->wake);
    pthread_mutex_unlock(&p->lock);
}

static int usable_cores(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0) return CPU_COUNT(&set);
    return (int)sysconf(_SC_NPROCESSORS_ONLN);
}

/* Signals are for the program's own threads: workers are born with all of them blocked. */
static void start_workers(pool *p, int threads)
{
    sigset_t all, before;
    sigfillset(&all);
    sigdelset(&all, SIGBUS); /* its handler can run only in the thread that read what is not there */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    for (; p->threads < threads; p->threads++) {
        worker *w = &p->workers[p->threads - 1];
        *w = (worker){ .p = p, .number = p->threads };
        if (pthread_create(&w->thread, NULL, worker_main, w) != 0) break;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

pool *pool_new(int threads)
{
    if (threads <= 0) threads = usable_cores();
    if (threads < 1) threads = 1;
    if (threads > MAX_THREADS) threads = MAX_THREADS;
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
    start_workers(p, threads);
    return p;
}

void pool_free(pool *p)
{
    if (!p) return;
    atomic_store(&p->stop, true);
    wake_workers(p, p->threads);
    for (int i = 0; i + 1 < p->threads; i++) pthread_join(p->workers[i].thread, NULL);
    pthread_cond_destroy(&p->finished);
    pthread_cond_destroy(&p->wake);
    pthread_mutex_destroy(&p->lock);
    mem_free(p->workers);
    mem_free(p);
}

int pool_threads(const pool *p) { return p ? p->threads : 1; }

static void wait_until_finished(pool *p)
{
    if (spin(p, is_finished)) return;
    pthread_mutex_lock(&p->lock);
    atomic_store(&p->caller_asleep, true);
    while (!is_finished(p)) pthread_cond_wait(&p->finished, &p->lock);
    atomic_store(&p->caller_asleep, false);
    pthread_mutex_unlock(&p->lock);
}

void pool_run(pool *p, int ntasks, pool_fn fn, void *arg)
{
    if (!p || p->threads == 1 || ntasks <= 1) {
        for (int i = 0; i < ntasks; i++) fn(arg, i, 0);
        return;
    }
    atomic_store_explicit(&p->fn, fn, memory_order_relaxed);
    atomic_store_explicit(&p->arg, arg, memory_order_relaxed);
    atomic_store_explicit(&p->ntasks, ntasks, memory_order_relaxed);
    atomic_store_explicit(&p->unfinished, ntasks, memory_order_relaxed);
    uint64_t job = (atomic_load(&p->ticket) >> 32) + 1;
    atomic_store(&p->ticket, job << 32 | (uint32_t)ntasks);
    wake_workers(p, ntasks - 1);
    work(p, 0);
    wait_until_finished(p);
}
