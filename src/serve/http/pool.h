/* pool.h - threads for what takes longer than a glance: reading pictures, the job store. */
#ifndef SERVE_POOL_H
#define SERVE_POOL_H
#include <pthread.h>
#include <stdbool.h>

/* A piece of work lives in its owner and is in the pool at most once at a time. */
typedef struct pool_item { void (*run)(void *user); void *user; struct pool_item *next; } pool_item;

enum { POOL_THREADS_MAX = 64 };
typedef struct pool {
    pthread_mutex_t lock;
    pthread_cond_t some;
    pool_item *first, **last;
    bool stop;
    int n;
    pthread_t thread[POOL_THREADS_MAX];
} pool;

bool pool_start(pool *p, int threads);
void pool_put(pool *p, pool_item *item);
void pool_stop(pool *p); /* after what is in it */
#endif
