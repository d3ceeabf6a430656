/* memory.c - device memory: what is asked for, within the limit; addresses and what lies behind them; bytes to and fro. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include "backend/ggml/state.h"
#include "base/mem.h"

bool gg_ok(const state *s) { return !s->dev->failed && !s->lost; }

bool gg_fail(state *s, dreamo_status status, const char *format, ...)
{
    if (s->dev->failed) return false;
    va_list ap;
    va_start(ap, format);
    int n = snprintf(s->dev->why, sizeof s->dev->why, "%s: ", s->name);
    vsnprintf(s->dev->why + n, sizeof s->dev->why - (size_t)n, format, ap);
    va_end(ap);
    s->dev->status = status;
    s->dev->failed = s->broken = true;
    return false;
}

void *gg_grown(state *s, void *list, int n, int *room, size_t each)
{
    if (n < *room) return list;
    int more = *room ? 2 * *room : 64;
    list = mem_realloc(list, (size_t)more * each);
    if (list) *room = more;
    else gg_fail(s, DREAMO_MEMORY, "no memory for a list");
    return list;
}

/* ---- buffers ---- */

typedef struct buffer_job { ggml_backend_buffer_type_t type; size_t nbytes; ggml_backend_buffer_t buffer; } buffer_job;

static void make_buffer(void *user)
{
    buffer_job *j = user;
    j->buffer = ggml_backend_buft_alloc_buffer(j->type, j->nbytes);
}

static double mb(size_t nbytes) { return (double)nbytes / 1e6; }

/* The smallest spare that holds need bytes without wasting as many again.  Spares are not only quicker: Vulkan's descriptors go on naming buffers that the
 * next program does not use, and Mesa's software driver follows them all the same. */
static ggml_backend_buffer_t take_spare(state *s, size_t need)
{
    int best = -1;
    size_t least = SIZE_MAX;
    for (int i = 0; i < s->nspares; i++) {
        size_t n = ggml_backend_buffer_get_size(s->spare[i]);
        if (n >= need && n <= 2 * need + 65536 && n < least) best = i, least = n;
    }
    if (best < 0) return NULL;
    ggml_backend_buffer_t b = s->spare[best];
    s->spare[best] = s->spare[--s->nspares];
    return b;
}

static void free_buffer(void *user) { ggml_backend_buffer_free(user); }

static void free_now(state *s, ggml_backend_buffer_t b)
{
    char why[GUARD_TEXT];
    s->count.held -= ggml_backend_buffer_get_size(b);
    guarded(free_buffer, b, why);
}

bool gg_spares_free(state *s)
{
    bool any = s->nspares > 0;
    while (s->nspares) free_now(s, s->spare[--s->nspares]);
    return any;
}

void gg_buffer_free(state *s, ggml_backend_buffer_t b)
{
    if (!b) return;
    if (s->nspares == SPARES_MOST) free_now(s, b);
    else s->spare[s->nspares++] = b;
}

static bool room_for(state *s, size_t need)
{
    if (s->count.held + need <= s->count.cap) return true;
    return gg_spares_free(s) && s->count.held + need <= s->count.cap;
}

ggml_backend_buffer_t gg_buffer(state *s, size_t nbytes, const char *what)
{
    char why[GUARD_TEXT];
    size_t need = (nbytes + s->align - 1) / s->align * s->align;
    if (!gg_ok(s)) return NULL;
    if (need == 0) need = s->align;
    if (need > s->largest)
        return gg_fail(s, DREAMO_LIMIT, "%s of %.1f MB are more than its largest buffer, %.1f MB; a smaller picture needs less", what, mb(need), mb(s->largest)), NULL;
    buffer_job j = { .type = s->type, .nbytes = need, .buffer = take_spare(s, need) };
    if (j.buffer) return j.buffer;
    if (!room_for(s, need) && !gg_weights_shrink(s, need))
        return gg_fail(s, DREAMO_MEMORY, "no memory for %s of %.1f MB: %.1f of %.1f MB are in use; a smaller picture needs less, --memory allows more", what, mb(need),
                       mb(s->count.held), mb(s->count.cap)), NULL;
    bool made = guarded(make_buffer, &j, why) && j.buffer;
    if (!made) gg_spares_free(s), gg_weights_shrink(s, need);
    if (!made && (!guarded(make_buffer, &j, why) || !j.buffer))
        return gg_fail(s, DREAMO_MEMORY, "the driver gives no memory for %s of %.1f MB; %.1f MB are in use", what, mb(need), mb(s->count.held)), NULL;
    s->count.held += need;
    if (s->count.held > s->count.peak) s->count.peak = s->count.held;
    return j.buffer;
}

/* ---- addresses ---- */

static range *range_of(state *s, const void *p)
{
    for (int i = 0; i < RANGES; i++)
        if (s->range[i].base && (const char *)p >= s->range[i].base && (const char *)p < s->range[i].base + s->range[i].nbytes) return &s->range[i];
    return NULL;
}

place gg_place(state *s, tensor x)
{
    const range *r = range_of(s, x.p);
    if (!r) return gg_fail(s, DREAMO_BUG, "%s: a tensor at an address that is not the device's", s->op), (place){ 0 };
    return (place){ r->buffer, (char *)ggml_backend_buffer_get_base(r->buffer) + ((const char *)x.p - r->base) };
}

/* Without one nothing is being computed. */
static bool has_arenas(const state *s)
{
    for (int i = 0; i < RANGES; i++)
        if (s->range[i].base) return true;
    return false;
}

void *gg_reserve(device *d, size_t nbytes)
{
    state *s = d->state;
    range *r = NULL;
    for (int i = 0; i < RANGES && !r; i++)
        if (!s->range[i].base) r = &s->range[i];
    if (!has_arenas(s)) s->phase++; /* weights of before may leave, if this arena needs their room */
    if (!r) return gg_fail(s, DREAMO_BUG, "more than %d arenas", RANGES), NULL;
    if (s->lost) return gg_fail(s, DREAMO_DEVICE, "the device was lost; open the model again"), NULL;
    nbytes = nbytes ? nbytes : 64;
    ggml_backend_buffer_t b = gg_buffer(s, nbytes, "tensors");
    void *base = b ? mem_addresses(nbytes) : NULL;
    if (b && !base) gg_buffer_free(s, b), gg_fail(s, DREAMO_MEMORY, "no addresses for %zu bytes of tensors", nbytes);
    if (base) *r = (range){ base, nbytes, b };
    return base;
}

void gg_release(device *d, void *base)
{
    state *s = d->state;
    range *r = range_of(s, base);
    if (!r) return;
    gg_flush(s, true);
    gg_drop(s);
    gg_buffer_free(s, r->buffer);
    mem_unmap(r->base, r->nbytes);
    *r = (range){ 0 };
    if (has_arenas(s)) return;
    gg_tables_free(s); /* nobody is left who would look at them */
    for (int i = 0; i < SCRATCHES; i++) {
        gg_buffer_free(s, s->scratch[i].buffer);
        s->scratch[i].buffer = NULL;
        s->scratch[i].nbytes = 0;
    }
}

place gg_scratch(state *s, size_t nbytes)
{
    nbytes = (nbytes + s->align - 1) / s->align * s->align;
    for (; s->chunk < SCRATCHES; s->chunk++, s->taken = 0) {
        size_t room = s->scratch[s->chunk].nbytes;
        if (!room) {
            size_t before = s->chunk ? s->scratch[s->chunk - 1].nbytes : 0, least = s->count.cap / 64 < ((size_t)16 << 20) ? s->count.cap / 64 : (size_t)16 << 20;
            room = nbytes > before + before / 2 ? nbytes : before + before / 2;
            if (room < least) room = least;
            if (room > s->largest) room = nbytes;
            if (s->count.held + room > s->count.cap) room = nbytes; /* no more than is needed where there is little */
            s->scratch[s->chunk].buffer = gg_buffer(s, room, "results between");
            if (!s->scratch[s->chunk].buffer) return (place){ 0 };
            s->scratch[s->chunk].nbytes = room;
        }
        if (room - s->taken >= nbytes) {
            place p = { s->scratch[s->chunk].buffer, (char *)ggml_backend_buffer_get_base(s->scratch[s->chunk].buffer) + s->taken };
            s->taken += nbytes;
            return p;
        }
    }
    return gg_fail(s, DREAMO_BUG, "%s: more than %d chunks of results between", s->op, SCRATCHES), (place){ 0 };
}

/* ---- bytes ---- */

typedef struct bytes_job { state *s; place at; char *host; size_t row, rows, device_step; bool set; } bytes_job;

/* A run of rows between the host, where they are packed, and the device. */
static void move_bytes(void *user)
{
    const bytes_job *j = user;
    struct ggml_context *cx = ggml_init((struct ggml_init_params){ .mem_size = 2 * ggml_tensor_overhead(), .no_alloc = true });
    bool packed = j->device_step == j->row;
    size_t each = packed ? j->row * j->rows : j->row, n = packed ? 1 : j->rows;
    gt *t = cx ? ggml_new_tensor_1d(cx, GGML_TYPE_I8, (int64_t)(packed ? each : (j->rows - 1) * j->device_step + j->row)) : NULL;
    if (t && ggml_backend_tensor_alloc(j->at.buffer, t, j->at.at) == GGML_STATUS_SUCCESS) {
        for (size_t i = 0; i < n; i++)
            if (j->set) ggml_backend_tensor_set(t, j->host + i * each, i * j->device_step, each);
            else ggml_backend_tensor_get(t, j->host + i * each, i * j->device_step, each);
    }
    ggml_free(cx);
}

static bool transfer(state *s, place at, void *host, size_t row, size_t rows, size_t step, bool set)
{
    char why[GUARD_TEXT];
    bytes_job j = { s, at, host, row, rows, step, set };
    if (!gg_ok(s) || !row || !rows) return gg_ok(s);
    if (set) s->count.uploaded += (double)(row * rows);
    if (guarded(move_bytes, &j, why)) return true;
    s->lost = true;
    return gg_fail(s, DREAMO_DEVICE, "the device was lost while bytes were moved: %s", why);
}

void gg_write(device *d, tensor y, const float *src)
{
    state *s = d->state;
    if (!gg_flush(s, true)) return; /* what is recorded may still read there */
    transfer(s, gg_place(s, y), (void *)(uintptr_t)src, sizeof(float) * (size_t)y.cols, (size_t)y.rows, sizeof(float) * (size_t)y.ld, true);
}

void gg_read(device *d, float *dst, tensor x)
{
    state *s = d->state;
    if (d->watch) gg_look(s);
    if (gg_flush(s, true)) transfer(s, gg_place(s, x), dst, sizeof(float) * (size_t)x.cols, (size_t)x.rows, sizeof(float) * (size_t)x.ld, false);
}

void gg_zero(device *d, tensor y)
{
    state *s = d->state;
    float *zeros = mem_calloc((size_t)y.rows * (size_t)y.cols + 1, sizeof *zeros);
    if (zeros) gg_write(d, y, zeros);
    else gg_fail(s, DREAMO_MEMORY, "no memory for zeros");
    mem_free(zeros);
}

/* ---- tables of the host ---- */

void gg_tables_free(state *s)
{
    for (int i = 0; i < s->ntables; i++) {
        gg_buffer_free(s, s->tables[i].buffer);
        mem_free(s->tables[i].copy);
    }
    for (int i = 0; i < s->nmade; i++) mem_free(s->made[i].data);
    mem_free(s->made);
    mem_free(s->tables);
    s->made = NULL;
    s->tables = NULL;
    s->nmade = s->made_room = s->ntables = s->table_room = 0;
}

static table *new_table(state *s, const void *p, size_t nbytes)
{
    table *list = gg_grown(s, s->tables, s->ntables, &s->table_room, sizeof *list);
    if (!list) return NULL;
    s->tables = list;
    table t = { .from = p, .nbytes = nbytes, .copy = mem_alloc(nbytes), .buffer = gg_buffer(s, nbytes, "a table") };
    if (!t.copy || !t.buffer) {
        mem_free(t.copy);
        gg_buffer_free(s, t.buffer);
        return gg_fail(s, DREAMO_MEMORY, "no memory for a table of %zu bytes", nbytes), NULL;
    }
    s->tables[s->ntables] = t;
    return &s->tables[s->ntables++];
}

place gg_table(state *s, const void *p, size_t nbytes)
{
    table *t = NULL;
    for (int i = 0; i < s->ntables && !t; i++)
        if (s->tables[i].from == p && s->tables[i].nbytes == nbytes) t = &s->tables[i];
    bool known = t != NULL;
    if (known && t->seen != s->segment && memcmp(t->copy, p, nbytes) != 0) gg_wait(s);
    if (!t && !(t = new_table(s, p, nbytes))) return (place){ 0 };
    place at = { t->buffer, ggml_backend_buffer_get_base(t->buffer) };
    if (known && t->seen == s->segment) return at;
    if (!known || memcmp(t->copy, p, nbytes) != 0) { /* nothing that is recorded reads it yet */
        memcpy(t->copy, p, nbytes);
        if (!transfer(s, at, t->copy, nbytes, 1, nbytes, true)) return (place){ 0 };
    }
    t->seen = s->segment;
    return at;
}

place gg_made(state *s, uint64_t key, size_t nbytes, bool (*fill)(void *data, const void *how), const void *how)
{
    for (int i = 0; i < s->nmade; i++)
        if (s->made[i].key == key) return gg_table(s, s->made[i].data, nbytes);
    made *list = gg_ok(s) ? gg_grown(s, s->made, s->nmade, &s->made_room, sizeof *list) : NULL;
    if (!list) return (place){ 0 };
    s->made = list;
    void *data = mem_calloc(1, nbytes);
    if (!data || !fill(data, how)) { /* what is not filled is not kept */
        mem_free(data);
        return gg_fail(s, DREAMO_MEMORY, "no memory for a table of %zu bytes", nbytes), (place){ 0 };
    }
    s->made[s->nmade++] = (made){ key, data };
    return gg_table(s, data, nbytes);
}
