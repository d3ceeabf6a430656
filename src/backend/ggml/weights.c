/* weights.c - weights on the device: those that stay, and those that pass through.
 *
 * A weight is sent over when an op first wants it and stays in a slab, as long as slabs, arenas and a margin for results in between fit the device's
 * limit.  The rest passes through two halves: while the device computes the graph that reads one, the host fills the other, so that a copy costs nothing
 * where it is shorter than the products.  In each step the same weights stay and the same pass, at the same addresses: graphs hold.
 * Nothing is looked at twice: a weight's bytes must not change while the device is open. */
#include <stdio.h>
#include <string.h>
#include "backend/ggml/state.h"
#include "base/half.h"
#include "base/mem.h"

enum { ROWS_A_TASK = 16 };

/* A matrix of the host as it is to lie on the device. */
typedef struct matrix {
    const void *data;
    dtype from;
    int rows, in;
    const float *row_scale;
    float factor;
    const weight *conv;      /* not NULL: row `tap` of its taps in order of use */
    int tap;
    enum ggml_type type;
} matrix;

static enum ggml_type type_of(dtype t)
{
    switch (t) {
    case DT_F32: return GGML_TYPE_F32;
    case DT_Q8_0: return GGML_TYPE_Q8_0;
    case DT_Q6_K: return GGML_TYPE_Q6_K;
    case DT_Q5_K: return GGML_TYPE_Q5_K;
    case DT_Q5_1: return GGML_TYPE_Q5_1;
    case DT_Q5_0: return GGML_TYPE_Q5_0;
    case DT_Q4_K: return GGML_TYPE_Q4_K;
    case DT_Q4_1: return GGML_TYPE_Q4_1;
    case DT_Q4_0: return GGML_TYPE_Q4_0;
    case DT_Q3_K: return GGML_TYPE_Q3_K;
    case DT_Q2_K: return GGML_TYPE_Q2_K;
    default: return GGML_TYPE_BF16; /* f16 too: products with f16 round activations to f16, and those above 65,504 become infinite */
    }
}

static matrix part_matrix(const weight *w, int i)
{
    const weight_part *p = &w->part[i];
    enum ggml_type type = p->row_scale ? GGML_TYPE_BF16 : type_of(p->type);
    if (p->row_scale && p->type == DT_F32) type = GGML_TYPE_F32;
    return (matrix){ p->data, p->type, p->rows, w->in, p->row_scale, 1, NULL, 0, type };
}

/* As exact as the weight beside which it stands. */
static enum ggml_type adapter_type(const weight *w) { return w->part[0].type == DT_F32 ? GGML_TYPE_F32 : GGML_TYPE_BF16; }
static matrix down_matrix(const weight *w, const adapter *a) { return (matrix){ a->A, DT_F32, a->rank, w->in, NULL, 1, NULL, 0, adapter_type(w) }; }
static matrix up_matrix(const weight *w, const adapter *a) { return (matrix){ a->B, DT_F32, a->rows, a->rank, NULL, a->scale, NULL, 0, adapter_type(w) }; }

static matrix taps_matrix(const weight *w, int dy)
{
    const weight_part *p = &w->part[0];
    return (matrix){ p->data, p->type, p->rows, 3 * w->in, p->row_scale, 1, w, dy, p->type == DT_F32 ? GGML_TYPE_F32 : GGML_TYPE_BF16 };
}

static size_t nbytes_of(const matrix *m) { return ggml_row_size(m->type, m->in) * (size_t)m->rows; }

/* What it takes there: some devices want quantised rows to end on a border, and clear what is behind. */
static size_t room_of(const state *s, const matrix *m)
{
    struct ggml_context *cx = ggml_init((struct ggml_init_params){ .mem_size = 2 * ggml_tensor_overhead(), .no_alloc = true });
    gt *t = cx ? ggml_new_tensor_2d(cx, m->type, m->in, m->rows) : NULL;
    size_t n = t ? ggml_backend_buft_get_alloc_size(s->type, t) : nbytes_of(m);
    ggml_free(cx);
    return (n + s->align - 1) / s->align * s->align;
}

/* ---- from the host's form to the device's ---- */

typedef struct convert_job { const matrix *m; char *out; float *rows; size_t row_nbytes; } convert_job;

/* Row `out` of a row of taps: [out, 3 in] from [out, in, 3, 3]. */
static void taps_row(const matrix *m, int out, float *values, float *row)
{
    const weight *w = m->conv;
    size_t n = (size_t)w->in * 9;
    dtype_to_f32(m->from, (const char *)m->data + (size_t)out * dtype_nbytes_of(m->from, n), n, row);
    for (int dx = 0; dx < 3; dx++)
        for (int c = 0; c < w->in; c++) values[dx * w->in + c] = row[c * 9 + m->tap * 3 + dx] * (m->row_scale ? m->row_scale[out] : 1);
}

static void convert_rows(void *user, int task, int worker)
{
    const convert_job *j = user;
    const matrix *m = j->m;
    size_t in = (size_t)m->in, stride = dtype_nbytes_of(m->from, in);
    float *values = j->rows + (size_t)worker * 4 * in;
    int end = (task + 1) * ROWS_A_TASK < m->rows ? (task + 1) * ROWS_A_TASK : m->rows;
    for (int r = task * ROWS_A_TASK; r < end; r++) {
        if (m->conv) taps_row(m, r, values, values + in);
        else {
            float scale = m->factor * (m->row_scale ? m->row_scale[r] : 1);
            dtype_to_f32(m->from, (const char *)m->data + (size_t)r * stride, in, values);
            for (size_t i = 0; scale != 1 && i < in; i++) values[i] *= scale;
        }
        char *to = j->out + (size_t)r * j->row_nbytes;
        if (m->type == GGML_TYPE_F32) memcpy(to, values, in * sizeof *values);
        else dtype_from_f32(DT_BF16, values, in, to);
    }
}

static bool as_stored(const matrix *m)
{
    enum ggml_type same = m->from == DT_BF16 ? GGML_TYPE_BF16 : m->from == DT_F16 ? GGML_TYPE_COUNT : type_of(m->from);
    bool kept = m->from != DT_F8_E4M3 && m->from != DT_F8_E5M2 && m->from != DT_NF4 && same == m->type;
    return kept && !m->conv && !m->row_scale && m->factor == 1;
}

static bool convert(state *s, const matrix *m, char *out)
{
    if (as_stored(m)) return memcpy(out, m->data, nbytes_of(m)), true;
    int workers = pool_threads(s->dev->threads);
    float *rows = mem_alloc((size_t)workers * 4 * (size_t)m->in * sizeof *rows);
    if (!rows) return gg_fail(s, DREAMO_MEMORY, "no memory to convert a weight");
    convert_job j = { m, out, rows, ggml_row_size(m->type, m->in) };
    pool_run(s->dev->threads, (m->rows + ROWS_A_TASK - 1) / ROWS_A_TASK, convert_rows, &j);
    mem_free(rows);
    return true;
}

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
    return gg_mix(gg_mix(gg_mix((uint64_t)(uintptr_t)m->row_scale, gg_float(m->factor)), (uint64_t)m->type << 8 | (uint64_t)(m->conv ? 1 + m->tap : 0)), (uint64_t)m->rows << 32 | (uint32_t)m->in);
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
    if (s->nweights == s->weight_room) {
        int more = s->weight_room ? 2 * s->weight_room : 256;
        stored *grown = mem_realloc(s->weights, (size_t)more * sizeof *grown);
        if (!grown) return gg_fail(s, DREAMO_MEMORY, "no memory for a list of weights");
        s->weights = grown;
        s->weight_room = more;
    }
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
    size_t usual = s->count.cap / 64 < ((size_t)64 << 20) ? s->count.cap / 64 : (size_t)64 << 20, room = nbytes > usual ? nbytes : usual;
    size_t halves = s->half[0].buffer ? 0 : 2 * s->half_nbytes, reserve = small ? 0 : s->margin + halves;
    if (s->count.held + room + reserve > s->count.cap) gg_spares_free(s);
    if (s->count.held + room + reserve > s->count.cap) room = nbytes;
    if (s->count.held + room + reserve > s->count.cap && !gg_weights_shrink(s, room + reserve) && !small) return (place){ 0 };
    int at = 0;
    while (at < s->nslabs && s->slabs[at].buffer) at++;
    if (at == s->slab_room) {
        int more = s->slab_room ? 2 * s->slab_room : 32;
        slab *grown = mem_realloc(s->slabs, (size_t)more * sizeof *grown);
        if (!grown) return gg_fail(s, DREAMO_MEMORY, "no memory for a list of weights"), (place){ 0 };
        s->slabs = grown;
        s->slab_room = more;
    }
    ggml_backend_buffer_t b = gg_buffer(s, room, "weights");
    if (!b) return (place){ 0 };
    ggml_backend_buffer_set_usage(b, GGML_BACKEND_BUFFER_USAGE_WEIGHTS);
    if (at == s->nslabs) s->nslabs++;
    s->slabs[at] = (slab){ b, room, nbytes, s->phase };
    s->count.resident += nbytes;
    *which = at;
    return (place){ b, ggml_backend_buffer_get_base(b) };
}

/* It stays from now on; false: there is no room for it, or it has failed. */
static bool settle(state *s, const matrix *m, bool small, stored *out)
{
    stored w = { .key = m->data, .how = how_of(m), .type = m->type };
    w.where = take(s, room_of(s, m), small, &w.slab);
    if (!w.where.buffer) return false;
    char *host = as_stored(m) ? NULL : mem_alloc(nbytes_of(m));
    if (!as_stored(m) && !host) return gg_fail(s, DREAMO_MEMORY, "no memory to convert a weight");
    bool well = (!host || convert(s, m, host)) && sent(s, w.where, host ? host : m->data, nbytes_of(m), NULL) && remember(s, w);
    mem_free(host);
    *out = w;
    return well;
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
    size_t nbytes = nbytes_of(m), room = room_of(s, m);
    if (!h->buffer || h->used + room > s->half_nbytes) return gg_fail(s, DREAMO_BUG, "a weight that passes through was not gathered");
    if (h->n == h->room) {
        int more = h->room ? 2 * h->room : 32;
        stored *grown = mem_realloc(h->passing, (size_t)more * sizeof *grown);
        if (!grown) return gg_fail(s, DREAMO_MEMORY, "no memory for a list of weights");
        h->passing = grown;
        h->room = more;
    }
    *out = (stored){ .key = m->data, .how = how_of(m), .type = m->type, .where = { h->buffer, (char *)ggml_backend_buffer_get_base(h->buffer) + h->used } };
    char *stage = h->stage + h->used;
    s->count.streamed += nbytes;
    if (!convert(s, m, stage) || !sent(s, out->where, stage, nbytes, s->copier)) return false;
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
    return settle(s, m, false, &w) || !gg_ok(s) ? 0 : room_of(s, m);
}

bool gg_gather(state *s, const weight *w)
{
    if (!gg_ok(s)) return false;
    s->weight = w->name;
    for (int again = 0; again < 2; again++) { /* after a turn nothing of it lies in the half */
        size_t sum = 0;
        for (int dy = 0; w->kh * w->kw == 9 && dy < 3; dy++) sum += to_pass(s, (matrix[]){ taps_matrix(w, dy) });
        for (int i = 0; w->kh * w->kw == 1 && i < w->nparts; i++) sum += to_pass(s, (matrix[]){ part_matrix(w, i) });
        for (const adapter *a = w->adapters; a; a = a->next) {
            sum += to_pass(s, (matrix[]){ down_matrix(w, a) });
            sum += to_pass(s, (matrix[]){ up_matrix(w, a) });
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

on_device gg_part(state *s, const weight *w, int part) { return get(s, (matrix[]){ part_matrix(w, part) }); }
on_device gg_down(state *s, const weight *w, const adapter *a) { return get(s, (matrix[]){ down_matrix(w, a) }); }
on_device gg_up(state *s, const weight *w, const adapter *a) { return get(s, (matrix[]){ up_matrix(w, a) }); }
on_device gg_taps(state *s, const weight *w, int dy) { return get(s, (matrix[]){ taps_matrix(w, dy) }); }

place gg_vector(state *s, const float *p, int n)
{
    matrix m = { p, DT_F32, 1, n, NULL, 1, NULL, 0, GGML_TYPE_F32 };
    stored w, *known = find(s, p, how_of(&m));
    if (known) return s->slabs[known->slab].phase = s->phase, known->where;
    return gg_ok(s) && settle(s, &m, true, &w) ? w.where : (place){ 0 };
}

void gg_expect(device *d, double weights)
{
    state *s = d->state;
    size_t work = 0, usual = s->count.cap / 8 < ((size_t)256 << 20) ? s->count.cap / 8 : (size_t)256 << 20;
    for (int i = 0; i < RANGES; i++) work += s->range[i].nbytes;
    s->phase++;
    s->margin = work / 2 + usual;
    (void)weights;
    if (!s->half[0].buffer) s->half_nbytes = s->count.cap / 32 < ((size_t)256 << 20) ? s->count.cap / 32 : (size_t)256 << 20;
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
