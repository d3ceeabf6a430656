/* params.c - the flat vectors and how networks are pointed at them. */
#include "train/params.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"

enum { CHUNK = 1 << 15, LINE = 16 /* floats in 64 bytes */ };

dreamo_status params_add(params *p, const char *name, int rank, const int64_t *shape, dreamo_error *err)
{
    if (p->n == p->room) {
        int room = p->room ? 2 * p->room : 256;
        param_slot *more = mem_realloc(p->slot, (size_t)room * sizeof *more);
        if (!more) return fail(err, DREAMO_MEMORY, "no memory for the list of %d parameters", room);
        p->slot = more;
        p->room = room;
    }
    param_slot *s = &p->slot[p->n];
    *s = (param_slot){ .rank = rank, .at = p->count, .count = 1, .decay = rank >= 2 };
    if (snprintf(s->name, sizeof s->name, "%s", name) >= (int)sizeof s->name)
        return fail(err, DREAMO_BUG, "the parameter name %s is too long", name);
    for (int i = 0; i < rank; i++) {
        s->shape[i] = shape[i];
        s->count *= (size_t)shape[i];
    }
    p->count += (s->count + LINE - 1) / LINE * LINE;
    p->n++;
    return DREAMO_OK;
}

typedef struct adding { params *p; const char *prefix; dreamo_status status; dreamo_error *err; } adding;

static void add_one(void *user, const param *q)
{
    adding *a = user;
    char name[192];
    if (a->status) return;
    snprintf(name, sizeof name, "%s%s", a->prefix, q->name);
    a->status = params_add(a->p, name, q->rank, q->shape, a->err);
}

dreamo_status params_add_network(params *p, const char *prefix, void *network, network_walk walk, dreamo_error *err)
{
    adding a = { p, prefix, DREAMO_OK, err };
    walk(network, add_one, &a);
    return a.status;
}

static dreamo_status cut_chunks(params *p, dreamo_error *err)
{
    size_t n = 0;
    for (int i = 0; i < p->n; i++) n += (p->slot[i].count + CHUNK - 1) / CHUNK;
    p->chunk = mem_calloc(n + 1, sizeof *p->chunk);
    if (!p->chunk) return fail(err, DREAMO_MEMORY, "no memory for the parameters' chunks");
    for (int i = 0; i < p->n; i++) {
        const param_slot *s = &p->slot[i];
        for (size_t at = 0; at < s->count; at += CHUNK)
            p->chunk[p->nchunks++] = (param_chunk){ s->at + at, s->count - at < CHUNK ? s->count - at : CHUNK, i };
    }
    return DREAMO_OK;
}

dreamo_status params_allocate(params *p, bool ema, dreamo_error *err)
{
    size_t nbytes = p->count * sizeof(float);
    float **vectors[] = { &p->value, &p->grad, &p->ema };
    p->end = p->n;
    for (int i = 0; i < (ema ? 3 : 2); i++) {
        *vectors[i] = mem_aligned(nbytes ? nbytes : 64);
        if (!*vectors[i])
            return fail(err, DREAMO_MEMORY, "no memory for %zu trained numbers (%zu bytes, %d times)", p->count, nbytes,
                        ema ? 3 : 2);
        memset(*vectors[i], 0, nbytes);
    }
    return cut_chunks(p, err);
}

void params_free(params *p)
{
    mem_free(p->value);
    mem_free(p->grad);
    mem_free(p->ema);
    for (int i = 0; i < p->nstates; i++) mem_free(p->state[i].data);
    mem_free(p->state);
    mem_free(p->slot);
    mem_free(p->chunk);
    *p = (params){ 0 };
}

void *params_remember(params *p, const char *prefix, int slot, dtype type, size_t count)
{
    size_t nbytes = count * dtype_nbytes(type);
    if (p->nstates == p->state_room) {
        int room = p->state_room ? 2 * p->state_room : 256;
        param_state *more = mem_realloc(p->state, (size_t)room * sizeof *more);
        if (!more) return NULL;
        p->state = more;
        p->state_room = room;
    }
    void *data = mem_aligned(nbytes ? nbytes : 64);
    if (!data) return NULL;
    p->state[p->nstates++] = (param_state){ prefix, slot, type, count, data };
    return memset(data, 0, nbytes);
}

size_t params_nbytes(const params *p)
{
    size_t n = p->count * sizeof(float) * (p->ema ? 3 : 2);
    for (int i = 0; i < p->nstates; i++) n += p->state[i].count * dtype_nbytes(p->state[i].type);
    return n;
}

/* ---- networks ---- */

typedef struct attaching { params *p; int next; const float *vector; bool copy; } attaching;

static void attach_one(void *user, const param *q)
{
    attaching *a = user;
    const param_slot *s = &a->p->slot[a->next++];
    float *value = a->p->value + s->at;
    weight_part *part = q->w ? &q->w->part[q->part] : NULL;
    if (a->copy) {
        if (part && part->data) dtype_to_f32(part->type, part->data, s->count, value);
        else if (!part && *q->fp32) memcpy(value, *q->fp32, s->count * sizeof(float));
        *q->grad = a->p->grad + s->at;
    }
    if (part) {
        part->data = a->vector + s->at;
        part->type = DT_F32;
    } else {
        *q->fp32 = a->vector + s->at;
    }
}

void params_attach(params *p, int first, void *network, network_walk walk)
{
    attaching a = { p, first, p->value, true };
    walk(network, attach_one, &a);
}

void params_use(params *p, const float *vector, int first, void *network, network_walk walk)
{
    attaching a = { p, first, vector, false };
    walk(network, attach_one, &a);
}

int params_find(const params *p, const char *name)
{
    for (int i = 0; i < p->n; i++)
        if (strcmp(p->slot[i].name, name) == 0) return i;
    return -1;
}

int64_t params_total(const params *p)
{
    int64_t n = 0;
    for (int i = 0; i < p->n; i++) n += (int64_t)p->slot[i].count;
    return n;
}

/* ---- loops ---- */

typedef struct running { const params *p; chunk_fn fn; void *arg; } running;

static void run_chunk(void *arg, int task, int worker)
{
    running *r = arg;
    (void)worker;
    r->fn(r->arg, &r->p->chunk[task], task);
}

void params_run(const params *p, pool *threads, chunk_fn fn, void *arg)
{
    running r = { p, fn, arg };
    pool_run(threads, p->nchunks, run_chunk, &r);
}

static void zero_chunk(void *arg, const param_chunk *c, int number)
{
    (void)number;
    memset((float *)arg + c->at, 0, c->count * sizeof(float));
}

void params_zero_grad(params *p, pool *threads) { params_run(p, threads, zero_chunk, p->grad); }
