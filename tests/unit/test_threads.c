/* test_threads.c - every task once, one at a time per worker, with any number of threads; sleeping and waking. */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/threads.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

enum { MOST = 3000, WORKERS = 8 };

typedef struct job {
    int done[MOST];
    atomic_int inside[WORKERS]; /* tasks that a worker is in: never two */
    atomic_int doubled, workers_seen;
    int threads;
} job;

static void task(void *arg, int number, int worker)
{
    job *j = arg;
    if (worker < 0 || worker >= j->threads || atomic_fetch_add(&j->inside[worker], 1) != 0) atomic_fetch_add(&j->doubled, 1);
    j->done[number]++; /* not atomic: two doing the same task would be a race, and pool_run's end makes it visible */
    atomic_fetch_or(&j->workers_seen, 1 << worker);
    atomic_fetch_sub(&j->inside[worker], 1);
}

static void every_task_runs_once(void **state)
{
    (void)state;
    job *j = mem_calloc(1, sizeof *j);
    for (int threads = 1; threads <= WORKERS; threads++) {
        pool *p = pool_new(threads);
        assert_non_null(p);
        j->threads = pool_threads(p);
        assert_int_equal(j->threads, threads);
        for (int round = 0; round < 300; round++) {
            int ntasks = round * 37 % (round % 50 ? 64 : MOST);
            memset(j->done, 0, sizeof j->done);
            pool_run(p, ntasks, task, j);
            for (int i = 0; i < MOST; i++) assert_int_equal(j->done[i], i < ntasks);
            assert_int_equal(j->doubled, 0);
            if (round % 100 == 0) nanosleep(&(struct timespec){ 0, 1000000 }, NULL); /* workers fall asleep, and must wake */
        }
        pool_free(p);
    }
    j->threads = 1;
    memset(j->done, 0, sizeof j->done);
    pool_run(NULL, 5, task, j);
    for (int i = 0; i < 5; i++) assert_int_equal(j->done[i], 1);
    assert_int_equal(pool_threads(NULL), 1);
    mem_free(j);
}

typedef struct meeting { atomic_int inside, workers_seen; } meeting;

/* Wait until four are here, at most ten seconds; then let the caller finish first, so that it has to sleep. */
static void meet(void *arg, int number, int worker)
{
    meeting *m = arg;
    (void)number;
    atomic_fetch_or(&m->workers_seen, 1 << worker);
    atomic_fetch_add(&m->inside, 1);
    for (double end = seconds_now() + 10; m->inside < 4 && seconds_now() < end;) nanosleep(&(struct timespec){ 0, 100000 }, NULL);
    if (worker) nanosleep(&(struct timespec){ 0, 3000000 }, NULL);
}

/* Sleeping workers are woken for four tasks that need one another, and the caller sleeps until the last one ends. */
static void workers_work_side_by_side(void **state)
{
    (void)state;
    pool *p = pool_new(4);
    for (int round = 0; round < 5; round++) {
        meeting m = { 0 };
        nanosleep(&(struct timespec){ 0, 3000000 }, NULL);
        pool_run(p, 4, meet, &m);
        assert_int_equal(m.workers_seen, 15);
    }
    pool_free(p);
}

/* Idle workers sleep: over 0.2 s, four of them use less processor time than one that spun would. */
static void idle_workers_burn_nothing(void **state)
{
    (void)state;
    pool *p = pool_new(5);
    nanosleep(&(struct timespec){ 0, 50000000 }, NULL);
    clock_t start = clock();
    nanosleep(&(struct timespec){ 0, 200000000 }, NULL);
    assert_true((double)(clock() - start) / CLOCKS_PER_SEC < 0.05);
    pool_free(p);
}

static void no_memory_no_pool(void **state)
{
    (void)state;
    size_t before = mem_live();
    for (int n = 1; n <= 2; n++) {
        mem_fail_at(n);
        assert_null(pool_new(3));
        mem_fail_at(0);
    }
    pool *p = pool_new(0);
    assert_true(pool_threads(p) >= 1);
    pool_free(p);
    pool_free(NULL);
    assert_int_equal(mem_live(), before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_task_runs_once), cmocka_unit_test(workers_work_side_by_side), cmocka_unit_test(idle_workers_burn_nothing),
        cmocka_unit_test(no_memory_no_pool),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
