/* threads.h - a pool of workers for loops whose iterations are independent. */
#ifndef BASE_THREADS_H
#define BASE_THREADS_H

typedef struct pool pool;

/* 0: one for each core this process may use.  Fewer when the system gives no more (pool_threads tells); NULL: no memory. */
pool *pool_new(int threads);
void  pool_free(pool *p);
int   pool_threads(const pool *p);    /* NULL counts as 1 */

/* Run fn(arg, task, worker) for task = 0..ntasks-1 and wait.  Tasks are handed out in order as workers come free;
 * worker is 0..threads-1 and the caller works as worker 0.  Results may not depend on which worker ran a
 * task: then the same thread count gives the same bytes.  p == NULL runs in the caller.  One caller at a time, and never
 * from within a task. */
typedef void (*pool_fn)(void *arg, int task, int worker);
void  pool_run(pool *p, int ntasks, pool_fn fn, void *arg);
#endif
