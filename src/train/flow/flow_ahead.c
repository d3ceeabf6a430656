/* flow_ahead.c - a thread that composes, with a pool of its own: the device's is its caller's meanwhile. */
#include "train/flow/flow_ahead.h"

#include <pthread.h>

#include "base/mem.h"

struct flow_ahead {
    const stage *s;
    pool *threads;
    int n;
    flow_item *item;          /* [n] */
    dreamo_error err;         /* of the lowest that failed */
    int64_t first;
    bool references, begun, composed;
    pthread_t thread;
};

dreamo_status flow_ahead_open(const stage *s, int n, flow_ahead **out, dreamo_error *err)
{
    *out = NULL;
    if (!s->dev->be->reserve) return DREAMO_OK;
    flow_ahead *a = *out = mem_calloc(1, sizeof *a);
    if (a)
        *a = (flow_ahead){ .s = s, .n = n, .threads = pool_new(pool_threads(s->dev->threads)), .item = mem_calloc((size_t)n, sizeof *a->item) };
    return a && a->threads && a->item ? DREAMO_OK : fail(err, DREAMO_MEMORY, "no memory for %d samples more", n);
}

static void drop(flow_ahead *a)
{
    for (int i = 0; a->composed && i < a->n; i++) flow_item_free(&a->item[i]);
    a->composed = false;
}

void flow_ahead_close(flow_ahead *a)
{
    if (!a) return;
    flow_ahead_wait(a);
    drop(a);
    pool_free(a->threads);
    mem_free(a->item);
    mem_free(a);
}

static dreamo_status compose_one(void *arg, int i, dreamo_error *err)
{
    flow_ahead *a = arg;
    return flow_item_compose(a->s, &a->item[i], a->references, err);
}

static void *compose_all(void *arg)
{
    flow_ahead *a = arg;
    a->err = (dreamo_error){ 0 };
    stage_each_on(a->threads, a->n, compose_one, a, &a->err);
    return NULL;
}

void flow_ahead_begin(flow_ahead *a, const mixture *kinds, int64_t first, bool references)
{
    if (!a) return;
    drop(a);
    a->first = first;
    a->references = references;
    for (int i = 0; i < a->n; i++) a->item[i] = flow_item_train(a->s, kinds, (uint64_t)(first + i));
    a->begun = pthread_create(&a->thread, NULL, compose_all, a) == 0; /* no thread: the samples are composed when they are wanted */
    a->composed = a->begun;
}

void flow_ahead_wait(flow_ahead *a)
{
    if (a && a->begun) pthread_join(a->thread, NULL);
    if (a) a->begun = false;
}

bool flow_ahead_take(flow_ahead *a, int64_t first, flow_item **item, dreamo_status *status, dreamo_error *err)
{
    if (!a || !a->composed || a->first != first) return false;
    flow_item *given = *item;
    *item = a->item;
    a->item = given;
    a->composed = false;
    if (a->err.status) *status = fail(err, a->err.status, "%s", a->err.message);
    return true;
}
