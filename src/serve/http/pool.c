/* pool.c - a queue of work and the threads that do it. */
#include "serve/http/pool.h"

#include <signal.h>
#include <stddef.h>

static void *work(void *user)
{
    pool *p = user;
    pthread_mutex_lock(&p->lock);
    for (;;) {
        while (!p->first && !p->stop) pthread_cond_wait(&p->some, &p->lock);
        pool_item *item = p->first;
        if (!item) break;
        if (!(p->first = item->next)) p->last = &p->first;
        pthread_mutex_unlock(&p->lock);
        item->run(item->user); /* the item may be gone after this, or in the queue again */
        pthread_mutex_lock(&p->lock);
    }
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

bool pool_start(pool *p, int threads)
{
    sigset_t all, before;
    pthread_attr_t attr;
    *p = (pool){ 0 };
    p->last = &p->first;
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->some, NULL);
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, 1 << 20);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are the main thread's */
    while (p->n < threads && pthread_create(&p->thread[p->n], &attr, work, p) == 0) p->n++;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attr);
    return p->n > 0; /* fewer are slower, and enough */
}

void pool_put(pool *p, pool_item *item)
{
    pthread_mutex_lock(&p->lock);
    item->next = NULL;
    *p->last = item;
    p->last = &item->next;
    pthread_cond_signal(&p->some);
    pthread_mutex_unlock(&p->lock);
}

void pool_stop(pool *p)
{
    pthread_mutex_lock(&p->lock);
    p->stop = true;
    pthread_cond_broadcast(&p->some);
    pthread_mutex_unlock(&p->lock);
    for (int i = 0; i < p->n; i++) pthread_join(p->thread[i], NULL);
    pthread_mutex_destroy(&p->lock);
    pthread_cond_destroy(&p->some);
}
