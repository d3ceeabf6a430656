/* flow_ahead.c - a thread that composes, with a pool of its own: the device's is its caller's meanwhile. */
#include "train/flow/flow_ahead.h"

#include <pthread.h>

#include "base/mem.h"

struct flow_ahead {
    const stage *s;
    pool *threads;
    int n;
    flow_item *item;          /* [n] */
    dreamo_error *errors;     /* [n] */
    const mixture *kinds;
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
        *a = (flow_ahead){ .s = s, .n = n, .threads = pool_new(pool_threads(s->dev->threads)), .item = mem_calloc((size_t)n, sizeof *a->item),
                           .errors = mem_calloc((size_t)n, sizeof *a->errors) };
    return a && a->threads && a->item && a->errors ? DREAMO_OK : fail(err, DREAMO_MEMORY, "no memory for %d samples more", n);
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
    mem_free(a->errors);
    mem_free(a);
}

static void compose_one(void *arg, int i, int worker)
{
    flow_ahead *a = arg;
    (void)worker;
    a->errors[i] = (dreamo_error){ 0 };
    a->item[i] = flow_item_train(a->s, a->kinds, (uint64_t)(a->first + i));
    a->errors[i].status = flow_item_compose(a->s, &a->item[i], a->references, &a->errors[i]);
}

static void *compose_all(void *arg)
{
    flow_ahead *a = arg;
    pool_run(a->threads, a->n, compose_one, a);
    return NULL;
}

void flow_ahead_begin(flow_ahead *a, const mixture *kinds, int64_t first, bool references)
{
    if (!a) return;
    drop(a);
    a->kinds = kinds;
    a->first = first;
    a->references = references;
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
    for (int i = 0; i < a->n && !*status; i++)
        if (a->errors[i].status) *status = fail(err, a->errors[i].status, "%s", a->errors[i].message);
    return true;
}
