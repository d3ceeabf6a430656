/* context.c - the op context: arenas, sticky error, counting, tensors. */
#include "nn/context.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include "base/mem.h"

#define HOST_NBYTES ((size_t)4 << 20) /* blocks' environments: a few hundred bytes each, touched lazily */

/* Why the device failed, once. */
dreamo_status nn_device_status(device *dev, dreamo_error *err)
{
    if (!dev->failed) return DREAMO_OK;
    dreamo_status s = dev->status ? dev->status : DREAMO_MEMORY;
    dev->failed = false;
    dev->status = DREAMO_OK;
    if (*dev->why) fail(err, s, "%s", dev->why);
    else fail(err, s, "no memory for the %s backend's scratch", dev->be->name);
    *dev->why = '\0';
    return s;
}

static bool arena_open(nn *cx, arena *a, size_t nbytes, dreamo_error *err)
{
    if (!cx->be->reserve) return arena_init(a, nbytes);
    void *base = cx->be->reserve(cx->dev, nbytes);
    if (base) arena_lend(a, base, nbytes ? nbytes : ARENA_ALIGN);
    else nn_device_status(cx->dev, err);
    return base != NULL;
}

static void arena_shut(nn *cx, arena *a)
{
    if (a->lent) cx->be->release(cx->dev, a->base);
    arena_free(a);
}

/* The device's failure becomes the context's. */
void nn_look(nn *cx)
{
    dreamo_error why = { 0 };
    dreamo_status s = nn_device_status(cx->dev, &why);
    if (s) nn_fail(cx, s, "%s", why.message);
}

nn *nn_new(const nn_options *o, dreamo_error *err)
{
    nn *cx = mem_calloc(1, sizeof *cx);
    if (!cx) {
        fail(err, DREAMO_MEMORY, "no memory for the op context");
        return NULL;
    }
    *cx = (nn){ .dev = o->dev, .be = o->dev->be, .taping = o->taping, .checkpoint = o->checkpoint };
    if (!arena_init(&cx->host, HOST_NBYTES)) {
        nn_free(cx);
        fail(err, DREAMO_MEMORY, "no memory for the op context");
        return NULL;
    }
    if (cx->be->dry) {
        arena_measure(&cx->work);
        arena_measure(&cx->keep);
    } else if (!arena_open(cx, &cx->work, o->work_nbytes, err) || !arena_open(cx, &cx->keep, o->keep_nbytes, err)) {
        nn_free(cx);
        fail(err, DREAMO_MEMORY, "no memory for %zu bytes of tensors", o->work_nbytes + o->keep_nbytes);
        return NULL;
    }
    if (cx->be->expect) cx->be->expect(cx->dev, o->load);
    return cx;
}

void nn_free(nn *cx)
{
    if (!cx) return;
    arena_shut(cx, &cx->work);
    arena_shut(cx, &cx->keep);
    arena_free(&cx->host);
    mem_free(cx->tape);
    mem_free(cx->blocks);
    mem_free(cx->slots);
    mem_free(cx->seen);
    mem_free(cx);
}

void nn_reset(nn *cx)
{
    arena_release(&cx->work, 0);
    arena_release(&cx->keep, 0);
    arena_release(&cx->host, 0);
    cx->work.peak = cx->keep.peak = 0;
    cx->work.full = cx->keep.full = false;
    cx->nrecords = cx->nblocks = cx->nslots = cx->nspares = cx->first_inner = 0;
    cx->nseen = 0;
    cx->in_block = cx->touched = cx->walked = false;
    memset(cx->block_out, 0, sizeof cx->block_out);
    cx->counts = (nn_counts){ 0 };
    cx->error = (dreamo_error){ 0 };
}

/* ---- the sticky error ---- */

bool    nn_ok(const nn *cx) { return cx->error.status == DREAMO_OK; }
device *nn_device(const nn *cx) { return cx->dev; }
void    nn_set_taping(nn *cx, bool on) { cx->taping = on; }
bool    nn_taping(const nn *cx) { return cx->taping; }

dreamo_status nn_status(nn *cx, dreamo_error *err)
{
    if (nn_ok(cx)) return DREAMO_OK;
    fail(err, cx->error.status, "%s", cx->error.message);
    return cx->error.status;
}

static void set_error(nn *cx, dreamo_status s, const char *format, va_list ap)
{
    if (!nn_ok(cx)) return;
    vsnprintf(cx->error.message, sizeof cx->error.message, format, ap);
    cx->error.status = s;
}

void nn_fail(nn *cx, dreamo_status s, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    set_error(cx, s, format, ap);
    va_end(ap);
}

bool nn_require(nn *cx, bool ok, const char *format, ...)
{
    if (!ok) {
        va_list ap;
        va_start(ap, format);
        set_error(cx, DREAMO_BUG, format, ap);
        va_end(ap);
    }
    return nn_ok(cx);
}

/* ---- counting ---- */

void *nn_grown(nn *cx, void *list, int n, int *room, size_t each)
{
    if (n < *room) return list;
    int more = *room ? 2 * *room : 256;
    list = mem_realloc(list, (size_t)more * each);
    if (list) *room = more;
    else nn_fail(cx, DREAMO_MEMORY, "no memory for a list of %d entries", more);
    return list;
}

void nn_done(nn *cx, double flops, double nbytes)
{
    cx->counts.ops++;
    cx->counts.flops += flops;
    cx->counts.bytes += nbytes;
    nn_look(cx);
    if (cx->listen && nn_ok(cx) && !cx->listen(cx->listener, cx->counts.flops)) nn_fail(cx, DREAMO_CANCELLED, "stopped on request");
}

void nn_listen(nn *cx, nn_listen_fn fn, void *user)
{
    cx->listen = fn;
    cx->listener = user;
}

/* Bytes of some rows that come from files: a part of it is read in this proportion. */
static double stored_nbytes(const weight *w, int rows)
{
    double n = 0;
    for (int i = 0; i < w->nparts; i++)
        if (!w->part[i].held) n += (double)w->part[i].rows * w->in * w->kh * w->kw * dtype_bits(w->part[i].type) / 8;
    return w->out ? n * rows / w->out : 0;
}

double nn_sent_nbytes(const weight *w)
{
    double n = 0;
    for (int i = 0; i < w->nparts; i++) {
        const weight_part *p = &w->part[i];
        n += (double)p->rows * w->in * w->kh * w->kw * dtype_bits(weight_sent_type(w, i)) / 8 + (p->bias ? (double)p->rows * sizeof(float) : 0);
    }
    for (const adapter *a = w->adapters; a; a = a->next) n += (double)a->rank * (a->rows + w->in) * dtype_bits(weight_sent_type_beside(w)) / 8;
    return n;
}

void nn_reads(nn *cx, const weight *w, int rows)
{
    if (!cx->be->dry || !nn_ok(cx)) return;
    for (int i = cx->nseen; i-- > 0;) /* the last first: a band reads what the band before did */
        if (cx->seen[i] == w) return;
    const weight **more = nn_grown(cx, cx->seen, cx->nseen, &cx->seen_room, sizeof *more);
    if (!more) return;
    cx->seen = more;
    cx->seen[cx->nseen++] = w;
    cx->counts.weights += stored_nbytes(w, rows && rows < w->out ? rows : w->out);
    double sent = rows ? 0 : nn_sent_nbytes(w);
    cx->counts.sent += sent;
    if (sent > cx->counts.largest) cx->counts.largest = sent;
}

nn_counts nn_count(const nn *cx)
{
    nn_counts c = cx->counts;
    c.work_peak = cx->work.peak;
    c.keep_peak = cx->keep.peak;
    return c;
}

/* ---- tensors ---- */

static tensor take(nn *cx, arena *from, int rows, int cols)
{
    if (!nn_ok(cx)) return (tensor){ 0 };
    if (!nn_require(cx, rows >= 0 && cols >= 0, "a tensor of %d x %d", rows, cols)) return (tensor){ 0 };
    float *p = arena_get(from, (size_t)rows * (size_t)cols * sizeof(float));
    if (!p) {
        nn_fail(cx, DREAMO_MEMORY, "the arena of %zu bytes is full (a tensor of %d x %d does not fit)", from->cap, rows, cols);
        return (tensor){ 0 };
    }
    return (tensor){ .p = p, .rows = rows, .cols = cols, .ld = cols };
}

tensor tensor_new(nn *cx, int rows, int cols) { return take(cx, &cx->work, rows, cols); }
tensor keep_new(nn *cx, int rows, int cols) { return take(cx, &cx->keep, rows, cols); }

void *nn_keep(nn *cx, const void *data, size_t nbytes)
{
    void *p = nn_ok(cx) ? arena_get(&cx->host, nbytes) : NULL;
    if (p) return data ? memcpy(p, data, nbytes) : p;
    nn_fail(cx, DREAMO_MEMORY, "no memory for a block's environment");
    return NULL;
}

tensor tensor_from(nn *cx, int rows, int cols, const float *packed)
{
    tensor x = tensor_new(cx, rows, cols);
    if (!nn_ok(cx)) return x;
    if (packed) cx->be->write(cx->dev, x, packed);
    else cx->be->zero(cx->dev, x);
    nn_look(cx);
    return x;
}

void tensor_read(nn *cx, tensor x, float *packed)
{
    if (nn_ok(cx) && x.p) cx->be->read(cx->dev, packed, x);
    nn_look(cx);
}
