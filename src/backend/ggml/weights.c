/* weights.c - weights on the device: those that stay, and those that pass through.
 *
 * A weight is sent over when an op first wants it and stays in a slab, as long as slabs, arenas and a margin for results in between fit the device's
 * limit.  The rest passes through two halves: while the device computes the graph that reads one, the host fills the other, so that a copy costs nothing
 * where it is shorter than the products.  In each step the same weights stay and the same pass, at the same addresses: graphs hold.
 * Nothing is looked at twice: a weight's bytes must not change while the device is open. */
#include <stdio.h>
#include <string.h>
#include "backend/ggml/matrix.h"
#include "base/mem.h"

typedef struct send_job { state *s; ggml_backend_t queue; place at; const void *from; size_t nbytes; } send_job;

static void send(void *user)
{
    const send_job *j = user;
    struct ggml_context *cx = ggml_init((struct ggml_init_params){ .mem_size = 2 * ggml_tensor_overhead(), .no_alloc = true });
    gt *t = cx ? ggml_new_tensor_1d(cx, GGML_TYPE_I8, (int64_t)j->nbytes) : NULL;
    if (t && ggml_backend_tensor_alloc(j->at.buffer, t, j->at.at) == GGML_STATUS_SUCCESS) {
        if (j->queue) ggml_backend_tensor_set_async(j->queue, t, j->from, 0, j->nbytes);
        else ggml_backend_tensor_set(t, j->from, 0, j->nbytes);
    }
    ggml_free(cx);
}

static bool sent(state *s, place at, const void *from, size_t nbytes, ggml_backend_t queue)
{
    char why[GUARD_TEXT];
    send_job j = { s, queue, at, from, nbytes };
    s->count.uploaded += (double)nbytes;
    if (guarded(send, &j, why)) return true;
    gg_fail(s, DREAMO_DEVICE, "the device was lost while weights were sent: %s", why);
    s->lost = true;
    return false;
}

/* ---- those that stay ---- */

static uint64_t how_of(const matrix *m)
{
    return gg_mix(gg_mix(gg_mix((uint64_t)(uintptr_t)m->row_scale, gg_float(m->factor)), (uint64_t)m->type << 8 | (uint64_t)m->biases << 7 | (uint64_t)(m->conv ? 1 + m->tap : 0)), (uint64_t)m->rows << 32 | (uint32_t)m->in);
}

static int bucket(const state *s, const void *key, uint64_t how)
{
    return (int)(gg_mix(gg_mix(0, (uint64_t)(uintptr_t)key), how) & (uint64_t)(s->index_room - 1));
}

static stored *find(state *s, const void *key, uint64_t how)
{
    if (!s->index_room) return NULL;
    for (int i = bucket(s, key, how); s->index[i] >= 0; i = (i + 1) & (s->index_room - 1)) {
        stored *w = &s->weights[s->index[i]];
        if (w->key == key && w->how == how) return w;
    }
    return NULL;
}

static bool reindex(state *s)
{
    int room = s->index_room ? s->index_room : 256;
    while (room < 2 * s->nweights + 2) room *= 2;
    int *index = mem_alloc((size_t)room * sizeof *index);
    if (!index) return gg_fail(s, DREAMO_MEMORY, "no memory for a list of weights");
    mem_free(s->index);
    s->index = index;
    s->index_room = room;
    for (int i = 0; i < room; i++) index[i] = -1;
    for (int i = 0; i < s->nweights; i++) {
        int at = bucket(s, s->weights[i].key, s->weights[i].how);
        while (index[at] >= 0) at = (at + 1) & (room - 1);
        index[at] = i;
    }
    return true;
}

static bool remember(state *s, stored w)
{
    stored *list = gg_grown(s, s->weights, s->nweights, &s->weight_room, sizeof *list);
    if (!list) return false;
    s->weights = list;
    s->weights[s->nweights++] = w;
    if (2 * s->nweights + 2 > s->index_room) return reindex(s);
    int at = bucket(s, w.key, w.how);
    while (s->index[at] >= 0) at = (at + 1) & (s->index_room - 1);
    s->index[at] = s->nweights - 1;
    return true;
}

bool gg_weights_shrink(state *s, size_t wanted)
{
    bool any = false;
    for (int i = 0; i < s->nslabs; i++) any = any || (s->slabs[i].buffer && s->slabs[i].phase != s->phase);
    if (any) {
        gg_wait(s);
        gg_drop_others(s);
    }
    for (int i = 0; i < s->nslabs; i++) {
        slab *b = &s->slabs[i];
        if (!b->buffer || b->phase == s->phase) continue;
        s->count.resident -= b->used;
        gg_buffer_free(s, b->buffer);
        *b = (slab){ 0 };
    }
    int kept = 0;
    for (int i = 0; i < s->nweights; i++)
        if (s->slabs[s->weights[i].slab].buffer) s->weights[kept++] = s->weights[i];
    s->nweights = kept;
    if (any) reindex(s);
    if (s->count.held + wanted > s->count.cap) gg_spares_free(s);
    return s->count.held + wanted <= s->count.cap;
}

static size_t slab_of(const state *s) { return s->count.cap / 64 < ((size_t)64 << 20) ? s->count.cap / 64 : (size_t)64 << 20; } /* where room is no question */

/* Of the margin for results between, what they have not taken yet. */
static size_t margin_left(const state *s)
{
    size_t taken = 0;
    for (int i = 0; i < SCRATCHES; i++) taken += s->scratch[i].nbytes;
    for (int i = 0; i < s->ntables; i++) taken += s->tables[i].nbytes;
    return s->margin > taken ? s->margin - taken : 0;
}

/* A place in a slab; buffer NULL: they would take more than may be, or it has failed.  small: it stays whatever happens. */
static place take(state *s, size_t nbytes, bool small, int *which)
{
    for (int i = 0; i < s->nslabs; i++) {
        slab *b = &s->slabs[i];
        if (!b->buffer || b->phase != s->phase || b->nbytes - b->used < nbytes) continue;
        place p = { b->buffer, (char *)ggml_backend_buffer_get_base(b->buffer) + b->used };
        b->used += nbytes;
        s->count.resident += nbytes;
        *which = i;
        return p;
    }
    size_t room = nbytes > slab_of(s) ? nbytes : slab_of(s);
    size_t halves = s->half[0].buffer ? 0 : 2 * s->half_nbytes, reserve = small ? 0 : margin_left(s) + halves;
    if (s->count.held + room + reserve > s->count.cap) gg_spares_free(s);
    if (s->count.held + room + reserve > s->count.cap) room = nbytes;
    if (s->count.held + room + reserve > s->count.cap && !gg_weights_shrink(s, room + reserve) && !small) return (place){ 0 };
    int at = 0;
    while (at < s->nslabs && s->slabs[at].buffer) at++;
    slab *list = gg_grown(s, s->slabs, at, &s->slab_room, sizeof *list);
    if (!list) return (place){ 0 };
    s->slabs = list;
    ggml_backend_buffer_t b = gg_buffer(s, room, "weights");
    if (!b) return (place){ 0 };
    ggml_backend_buffer_set_usage(b, GGML_BACKEND_BUFFER_USAGE_WEIGHTS);
    if (at == s->nslabs) s->nslabs++;
    s->slabs[at] = (slab){ b, room, nbytes, s->phase };
    s->count.resident += nbytes;
    *which = at;
    return (place){ b, ggml_backend_buffer_get_base(b) };
}

static bool deliver(state *s, const matrix *m, place at)
{
    for (int i = 0; m->whole && !m->biases && i < m->whole->nparts; i++) {
        matrix part = matrix_part(m->whole, i);
        if (!deliver(s, &part, at)) return false;
        at.at += matrix_nbytes(&part);
    }
    if (m->whole && !m->biases) return true;
    char *host = matrix_is_stored(m) ? NULL : mem_alloc(matrix_nbytes(m));
    if (!matrix_is_stored(m) && !host) return gg_fail(s, DREAMO_MEMORY, "no memory to convert a weight");
    bool well = (!host || matrix_convert(s, m, host)) && sent(s, at, host ? host : m->data, matrix_nbytes(m), NULL);
    mem_free(host);
    return well;
}

/* It stays from now on; false: there is no room for it, or it has failed. */
static bool settle(state *s, const matrix *m, bool small, stored *out)
{
    stored w = { .key = m->data, .how = how_of(m), .type = m->type };
    w.where = take(s, matrix_room(s, m), small, &w.slab);
    if (!w.where.buffer) return false;
    *out = w;
    return deliver(s, m, w.where) && remember(s, w);
}

/* ---- those that pass through ---- */

static stored *passing(half *h, const void *key, uint64_t how)
{
    for (int i = 0; i < h->n; i++)
        if (h->passing[i].key == key && h->passing[i].how == how) return &h->passing[i];
    return NULL;
}

static void halves_free(state *s)
{
    for (int i = 0; i < 2; i++) {
        half *h = &s->half[i];
        gg_buffer_free(s, h->buffer);
        if (h->pinned) ggml_backend_buffer_free(h->pinned);
        else mem_free(h->stage);
        if (h->filled) ggml_backend_event_free(h->filled);
        if (h->spent) ggml_backend_event_free(h->spent);
        mem_free(h->passing);
        *h = (half){ 0 };
    }
}

static bool halves_new(state *s, size_t nbytes)
{
    halves_free(s);
    s->half_nbytes = nbytes;
    ggml_backend_buffer_type_t pinned = ggml_backend_dev_host_buffer_type(s->id);
    for (int i = 0; i < 2; i++) {
        half *h = &s->half[i];
        h->buffer = gg_buffer(s, nbytes, "weights on their way");
        if (!h->buffer) return false;
        h->pinned = pinned ? ggml_backend_buft_alloc_buffer(pinned, nbytes) : NULL;
        h->stage = h->pinned ? ggml_backend_buffer_get_base(h->pinned) : mem_alloc(nbytes);
        if (!h->stage) return gg_fail(s, DREAMO_MEMORY, "no memory for weights on their way");
        h->filled = s->copier ? ggml_backend_event_new(s->id) : NULL;
        h->spent = s->copier ? ggml_backend_event_new(s->id) : NULL;
    }
    return true;
}

typedef struct event_job { state *s; half *h; } event_job;

static void wait_spent(void *user)
{
    const event_job *j = user;
    if (j->h->spent) ggml_backend_event_synchronize(j->h->spent);
    else ggml_backend_synchronize(j->s->be);
}

static void tell_filled(void *user)
{
    const event_job *j = user;
    ggml_backend_event_record(j->h->filled, j->s->copier);
    ggml_backend_event_wait(j->s->be, j->h->filled);
}

static void tell_spent(void *user)
{
    const event_job *j = user;
    ggml_backend_event_record(j->h->spent, j->s->be);
}

static bool with_half(state *s, half *h, void (*fn)(void *))
{
    char why[GUARD_TEXT];
    event_job j = { s, h };
    if (guarded(fn, &j, why)) return true;
    gg_fail(s, DREAMO_DEVICE, "the device was lost in mid-run: %s", why);
    s->lost = true;
    return false;
}

bool gg_filled(state *s)
{
    for (int i = 0; i < 2; i++)
        if (s->half[i].touched && s->half[i].filled && !with_half(s, &s->half[i], tell_filled)) return false;
    return true;
}

void gg_sent(state *s)
{
    for (int i = 0; i < 2; i++) {
        half *h = &s->half[i];
        if (!h->touched) continue;
        h->touched = false;
        h->busy = true;
        if (h->spent) with_half(s, h, tell_spent);
    }
}

void gg_spent(state *s)
{
    for (int i = 0; i < 2; i++) {
        half *h = &s->half[i];
        h->touched = h->busy = false;
        h->used = 0;
        h->n = 0;
    }
    s->turn = 0; /* each step begins alike: its graphs hold */
}

/* Room for nbytes more in the half whose turn it is. */
static bool make_way(state *s, size_t nbytes)
{
    half *h = &s->half[s->turn];
    if (!h->buffer || nbytes > s->half_nbytes) {
        size_t size = nbytes > s->half_nbytes ? nbytes : s->half_nbytes;
        if (!gg_flush(s, true)) return false;
        gg_drop(s);
        return halves_new(s, size);
    }
    if (h->used + nbytes <= s->half_nbytes) return true;
    if (!gg_flush(s, false)) return false;
    s->turn ^= 1;
    h = &s->half[s->turn];
    if (h->busy && !with_half(s, h, wait_spent)) return false;
    h->busy = false;
    h->used = 0;
    h->n = 0;
    return true;
}

static bool pass(state *s, const matrix *m, stored *out)
{
    half *h = &s->half[s->turn];
    size_t nbytes = matrix_nbytes(m), room = matrix_room(s, m);
    if (!h->buffer || h->used + room > s->half_nbytes) return gg_fail(s, DREAMO_BUG, "a weight that passes through was not gathered");
    stored *list = gg_grown(s, h->passing, h->n, &h->room, sizeof *list);
    if (!list) return false;
    h->passing = list;
    *out = (stored){ .key = m->data, .how = how_of(m), .type = m->type, .where = { h->buffer, (char *)ggml_backend_buffer_get_base(h->buffer) + h->used } };
    char *stage = h->stage + h->used;
    s->count.streamed += nbytes;
    if (!matrix_convert(s, m, stage) || !sent(s, out->where, stage, nbytes, s->copier)) return false;
    h->passing[h->n++] = *out;
    h->used += room;
    return true;
}

/* ---- what ops ask for ---- */

/* Bytes that it needs in a half: none if it stays, or lies there. */
static size_t to_pass(state *s, const matrix *m)
{
    stored w, *known = find(s, m->data, how_of(m));
    if (known) s->slabs[known->slab].phase = s->phase;
    if (known || passing(&s->half[s->turn], m->data, how_of(m))) return 0;
    return settle(s, m, false, &w) || !gg_ok(s) ? 0 : matrix_room(s, m);
}

bool gg_is_whole(const state *s, const weight *w)
{
    matrix m = matrix_whole(w);
    bool alike = w->kh * w->kw == 1 && matrix_nbytes(&m) <= s->largest;
    for (int i = 1; i < w->nparts; i++) alike = alike && weight_sent_type(w, i) == weight_sent_type(w, 0);
    return alike;
}

bool gg_gather(state *s, const weight *w)
{
    if (!gg_ok(s)) return false;
    s->weight = w->name;
    for (int again = 0; again < 2; again++) { /* after a turn nothing of it lies in the half */
        size_t sum = 0;
        for (int dy = 0; w->kh * w->kw > 1 && dy < w->kh; dy++) sum += to_pass(s, (matrix[]){ matrix_taps(w, dy) });
        if (gg_is_whole(s, w)) sum += to_pass(s, (matrix[]){ matrix_whole(w) });
        else for (int i = 0; w->kh * w->kw == 1 && i < w->nparts; i++) sum += to_pass(s, (matrix[]){ matrix_part(w, i) });
        for (const adapter *a = w->adapters; a; a = a->next) {
            sum += to_pass(s, (matrix[]){ matrix_down(w, a) });
            sum += to_pass(s, (matrix[]){ matrix_up(w, a) });
        }
        if (!gg_ok(s)) return false;
        if (!sum) break;
        if (!make_way(s, sum)) return false;
    }
    return true;
}

static on_device get(state *s, const matrix *m)
{
    stored w, *known = find(s, m->data, how_of(m));
    if (known) s->slabs[known->slab].phase = s->phase;
    half *h = &s->half[s->turn];
    if (!known && (known = passing(h, m->data, how_of(m)))) h->touched = true;
    if (known) return (on_device){ known->where, known->type };
    if (!gg_ok(s) || !pass(s, m, &w)) return (on_device){ .type = m->type };
    h->touched = true;
    return (on_device){ w.where, w.type };
}

on_device gg_part(state *s, const weight *w, int part) { return get(s, (matrix[]){ matrix_part(w, part) }); }
on_device gg_whole(state *s, const weight *w) { return get(s, (matrix[]){ matrix_whole(w) }); }
on_device gg_down(state *s, const weight *w, const adapter *a) { return get(s, (matrix[]){ matrix_down(w, a) }); }
on_device gg_up(state *s, const weight *w, const adapter *a) { return get(s, (matrix[]){ matrix_up(w, a) }); }
on_device gg_taps(state *s, const weight *w, int dy) { return get(s, (matrix[]){ matrix_taps(w, dy) }); }

static place small(state *s, const matrix *m)
{
    stored w, *known = find(s, m->data, how_of(m));
    if (known) return s->slabs[known->slab].phase = s->phase, known->where;
    return gg_ok(s) && settle(s, m, true, &w) ? w.where : (place){ 0 };
}

place gg_vector(state *s, const float *p, int n)
{
    return small(s, &(matrix){ .data = p, .from = DT_F32, .rows = 1, .in = n, .factor = 1, .type = GGML_TYPE_F32 });
}

place gg_by_tap(state *s, const weight *w) { return small(s, (matrix[]){ matrix_by_tap(w) }); }

place gg_biases(state *s, const weight *w)
{
    matrix m = matrix_biases(w);
    for (int i = 0; i < w->nparts && !m.data; i++) m.data = w->part[i].bias;
    return m.data ? small(s, &m) : (place){ 0 };
}

/* ---- what a context will take ---- */

static size_t share(const state *s, size_t part) { return s->count.cap / part < ((size_t)256 << 20) ? s->count.cap / part : (size_t)256 << 20; }

/* For results between; scores of attention with a bias, and the bias. */
static size_t margin_of(const state *s, size_t arenas, double scores) { return arenas / 2 + share(s, 8) + 2 * (size_t)scores; }
/* Room for what one op reads: it passes through as a whole. */
static size_t half_of(const state *s, double largest)
{
    size_t least = ((size_t)largest + 2 * WEIGHT_PARTS * s->align) / s->align * s->align; /* each part ends on a border */
    return least > share(s, 32) ? least : share(s, 32);
}

void gg_expect(device *d, device_load l)
{
    state *s = d->state;
    size_t work = 0;
    for (int i = 0; i < RANGES; i++) work += s->range[i].nbytes;
    s->phase++;
    s->margin = margin_of(s, work, l.scores);
    if (!s->half[0].buffer) s->half_nbytes = half_of(s, l.largest);
}

device_need gg_foresee(const device *d, device_load l)
{
    const state *s = d->state;
    double margin = (double)margin_of(s, (size_t)l.arenas, l.scores), room = (double)s->count.cap - l.arenas - margin;
    if (l.sent <= room) return (device_need){ l.sent, 0, l.sent + (double)slab_of(s), l.arenas + margin, l.largest <= (double)s->largest };
    double half = (double)half_of(s, l.largest), stay = room > 2 * half ? room - 2 * half : 0; /* the rest passes through two of these */
    return (device_need){ stay, l.sent - stay, stay, l.arenas + margin + 2 * half, room >= 2 * half && half <= (double)s->largest };
}

void gg_weights_free(state *s)
{
    halves_free(s);
    for (int i = 0; i < s->nslabs; i++) gg_buffer_free(s, s->slabs[i].buffer);
    mem_free(s->slabs);
    mem_free(s->weights);
    mem_free(s->index);
    s->slabs = NULL;
    s->weights = NULL;
    s->index = NULL;
    s->nslabs = s->slab_room = s->nweights = s->weight_room = s->index_room = 0;
}
