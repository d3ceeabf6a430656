/* reduce.c - shares, buckets, and when a bucket is ready. */
#include "train/ranks/reduce.h"

#include <string.h>

#include "base/mem.h"

enum { BUCKET = 1 << 20 }; /* numbers: 4 MB hide a network's latency, and are a small part of a large model */

typedef struct bucket { int first, end, owner, left; bool begun; } bucket; /* slots; `left` of them are not ready */

struct reducer {
    ranks *r;
    params *p;
    int *share;                  /* rank k keeps slots [share[k], share[k + 1]) */
    int n;
    bucket *list;
    int *bucket_of, *planned, *left; /* a slot's bucket; how often its gradient is added to: in a pass, and still */
    int *order, nready, next;    /* buckets as they became ready; [0, next) have begun */
    bool ordered;                /* `order` is the one that all ranks keep */
    bool last, planning, walking; /* in the step's last micro-batch; in a dry run; on its way back */
    bool several;                /* a micro-batch has several ways back: nothing may begin early */
    bool late;                   /* a gradient was added to after its sum began */
    int early;
};

/* ---- cutting ---- */

/* Equal numbers of numbers, as far as whole slots allow. */
static void cut_shares(reducer *x)
{
    params *p = x->p;
    int n = ranks_count(x->r), slot = 0;
    for (int k = 0; k <= n; k++) {
        double want = (double)p->count * k / n;
        while (slot < p->n && (double)p->slot[slot].at + (double)p->slot[slot].count / 2 < want) slot++;
        x->share[k] = k == n ? p->n : slot;
    }
    p->first = x->share[ranks_number(x->r)];
    p->end = x->share[ranks_number(x->r) + 1];
}

static void cut_buckets(reducer *x)
{
    params *p = x->p;
    size_t most = p->count / 16 < BUCKET ? p->count / 16 + 1 : BUCKET;
    for (int k = 0; k < ranks_count(x->r); k++)
        for (int i = x->share[k], from = i; i < x->share[k + 1]; i++) {
            x->bucket_of[i] = x->n;
            size_t have = p->slot[i].at + p->slot[i].count - p->slot[from].at;
            if (have < most && i + 1 < x->share[k + 1]) continue;
            x->list[x->n++] = (bucket){ .first = from, .end = i + 1, .owner = k };
            from = i + 1;
        }
}

static float *data_of(const params *p, float *vector, const bucket *b, size_t *n)
{
    const param_slot *last = &p->slot[b->end - 1];
    *n = last->at + last->count - p->slot[b->first].at;
    return vector + p->slot[b->first].at;
}

/* ---- what the tape tells ---- */

static int slot_of(const params *p, const float *grad)
{
    if (grad < p->grad || grad >= p->grad + p->count) return -1;
    size_t at = (size_t)(grad - p->grad);
    int lo = 0, hi = p->n - 1;
    while (lo < hi) {
        int mid = (lo + hi + 1) / 2;
        if (p->slot[mid].at <= at) lo = mid;
        else hi = mid - 1;
    }
    return lo;
}

static void planned(void *user, const float *grad)
{
    reducer *x = user;
    int slot = slot_of(x->p, grad);
    if (x->walking) x->several = true;
    if (!x->planning) memset(x->planned, 0, (size_t)x->p->n * sizeof *x->planned);
    x->planning = true;
    if (slot >= 0) x->planned[slot]++;
}

static void begin_bucket(reducer *x, bucket *b)
{
    size_t n;
    float *grad = data_of(x->p, x->p->grad, b, &n);
    b->begun = true;
    ranks_reduce(x->r, grad, n, b->owner);
}

static void begin_pass(reducer *x)
{
    x->walking = true;
    memcpy(x->left, x->planned, (size_t)x->p->n * sizeof *x->left);
    for (int i = 0; i < x->n; i++) {
        bucket *b = &x->list[i];
        b->left = 0;
        for (int k = b->first; k < b->end; k++) b->left += x->left[k] > 0;
    }
}

static void arrived(void *user, const float *grad)
{
    reducer *x = user;
    int slot = slot_of(x->p, grad);
    x->planning = false;
    if (!x->last || slot < 0) return;
    if (!x->walking) begin_pass(x);
    bucket *b = &x->list[x->bucket_of[slot]];
    x->late |= b->begun;
    if (x->left[slot]-- == 1 && b->left-- == 1 && !x->ordered) x->order[x->nready++] = x->bucket_of[slot];
    while (x->ordered && !x->several && x->next < x->n && x->list[x->order[x->next]].left <= 0) {
        begin_bucket(x, &x->list[x->order[x->next++]]);
        x->early++;
    }
    ranks_poll(x->r);
}

void reducer_last(reducer *x)
{
    if (!x) return;
    x->last = true;
    x->walking = false;
    x->early = 0;
}

/* ---- the sums ---- */

/* Rank 0's order for all, with the buckets that were never ready behind it. */
static dreamo_status learn_order(reducer *x, dreamo_error *err)
{
    for (int i = 0; i < x->n; i++) {
        bool in = false;
        for (int k = 0; k < x->nready && !in; k++) in = x->order[k] == i;
        if (!in) x->order[x->nready++] = i;
    }
    ranks_copy(x->r, x->order, (size_t)x->n * sizeof *x->order, 0);
    x->ordered = true;
    return ranks_finish(x->r, err);
}

dreamo_status reducer_sum(reducer *x, dreamo_error *err)
{
    if (!x) return DREAMO_OK;
    dreamo_status s = x->ordered ? DREAMO_OK : learn_order(x, err);
    while (x->next < x->n) begin_bucket(x, &x->list[x->order[x->next++]]);
    if (!s) s = ranks_finish(x->r, err);
    if (!s && x->late) s = fail(err, DREAMO_BUG, "a gradient was added to after its sum began");
    for (int i = 0; i < x->n; i++) {
        bucket *b = &x->list[i];
        size_t n;
        float *grad = data_of(x->p, x->p->grad, b, &n);
        if (!s && b->owner != ranks_number(x->r)) memset(grad, 0, n * sizeof *grad);
        b->begun = false;
    }
    x->last = x->walking = false;
    x->next = 0;
    return s;
}

dreamo_status reducer_spread(reducer *x, dreamo_error *err)
{
    if (!x) return DREAMO_OK;
    for (int i = 0; i < x->n; i++) {
        size_t n;
        float *value = data_of(x->p, x->p->value, &x->list[i], &n);
        ranks_copy(x->r, value, n * sizeof *value, x->list[i].owner);
    }
    return ranks_finish(x->r, err);
}

/* ---- the state ---- */

dreamo_status reducer_gather(reducer *x, dreamo_error *err)
{
    if (!x) return DREAMO_OK;
    params *p = x->p;
    dreamo_status s = DREAMO_OK;
    for (int i = 0; i < p->nstates && !s && ranks_number(x->r) == 0; i++) {
        param_state *a = &p->state[i];
        if (!a->data && !(a->data = mem_aligned(a->count * dtype_nbytes(a->type)))) s = fail(err, DREAMO_MEMORY, "no memory for the state of all ranks");
    }
    s = ranks_agree(x->r, s, err);
    for (int i = 0; i < p->nstates && !s; i++)
        ranks_send(x->r, p->state[i].data, p->state[i].count * dtype_nbytes(p->state[i].type), x->list[x->bucket_of[p->state[i].slot]].owner, 0);
    return s ? s : ranks_finish(x->r, err);
}

void reducer_forget(reducer *x)
{
    for (int i = 0; x && i < x->p->nstates; i++) {
        param_state *a = &x->p->state[i];
        if (a->slot >= x->p->first && a->slot < x->p->end) continue;
        mem_free(a->data);
        a->data = NULL;
    }
}

/* ---- opening ---- */

dreamo_status reducer_open(reducer **out, ranks *r, params *p, sized *tape, dreamo_error *err)
{
    *out = NULL;
    if (ranks_count(r) == 1) return DREAMO_OK;
    reducer *x = *out = mem_calloc(1, sizeof *x);
    if (!x) return fail(err, DREAMO_MEMORY, "no memory for sums over processes");
    size_t n = (size_t)p->n + 1;
    *x = (reducer){ .r = r, .p = p, .share = mem_calloc((size_t)ranks_count(r) + 1, sizeof(int)), .list = mem_calloc(n, sizeof *x->list),
                    .bucket_of = mem_calloc(n, sizeof(int)), .planned = mem_calloc(n, sizeof(int)), .left = mem_calloc(n, sizeof(int)),
                    .order = mem_calloc(n, sizeof(int)) };
    if (!x->share || !x->list || !x->bucket_of || !x->planned || !x->left || !x->order)
        return fail(err, DREAMO_MEMORY, "no memory for sums over processes");
    cut_shares(x);
    cut_buckets(x);
    tape->planned = planned;
    tape->arrived = arrived;
    tape->watcher = x;
    return DREAMO_OK;
}

void reducer_close(reducer *x)
{
    if (!x) return;
    mem_free(x->share);
    mem_free(x->list);
    mem_free(x->bucket_of);
    mem_free(x->planned);
    mem_free(x->left);
    mem_free(x->order);
    mem_free(x);
}

void reducer_counts(const reducer *x, int *sums, int *early)
{
    *sums = x ? x->n : 0;
    *early = x ? x->early : 0;
}
