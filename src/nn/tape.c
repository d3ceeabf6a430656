/* tape.c - recording ops, running blocks, and the way back.
 *
 * Where gradients live: those of a block's inner tensors in `work`, released when the block's way back is done; those of tensors
 * that are older than the block (its inputs, the modulation vector that all blocks share) in `keep`. */
#include "nn/context.h"
#include <string.h>
#include "base/mem.h"

/* ---- slots and records ---- */

static void *grown(void *list, int *room, size_t each)
{
    int more = *room ? 2 * *room : 256;
    void *p = mem_realloc(list, (size_t)more * each);
    if (p) *room = more;
    return p;
}

static int slot_add(nn *cx, tensor root)
{
    if (cx->nslots + 1 >= cx->slot_room) {
        slot *more = grown(cx->slots, &cx->slot_room, sizeof *more);
        if (!more) {
            nn_fail(cx, DREAMO_MEMORY, "no memory for the tape");
            return 0;
        }
        cx->slots = more;
    }
    cx->slots[++cx->nslots] = (slot){ .root = root };
    return cx->nslots;
}

static record *record_add(nn *cx)
{
    if (cx->nrecords == cx->record_room) {
        record *more = grown(cx->tape, &cx->record_room, sizeof *more);
        if (!more) {
            nn_fail(cx, DREAMO_MEMORY, "no memory for the tape");
            return NULL;
        }
        cx->tape = more;
    }
    record *r = &cx->tape[cx->nrecords++];
    memset(r, 0, sizeof *r);
    return r;
}

record *tape_add(nn *cx, bool needs, back_fn back, tensor *y)
{
    if (!cx->taping || !needs || !nn_ok(cx)) return NULL;
    y->slot = slot_add(cx, *y);
    record *r = nn_ok(cx) ? record_add(cx) : NULL;
    if (!r) return NULL;
    r->back = back;
    r->y = *y;
    return r;
}

tensor tensor_leaf(nn *cx, tensor x)
{
    if (nn_require(cx, x.ld == x.cols, "a leaf must be packed")) x.slot = slot_add(cx, x);
    return x;
}

/* ---- gradients ---- */

static tensor view_of_grad(const slot *s, tensor x)
{
    ptrdiff_t at = ((intptr_t)x.p - (intptr_t)s->root.p) / (ptrdiff_t)sizeof(float);
    float *p = (float *)((intptr_t)s->grad.p + at * (ptrdiff_t)sizeof(float));
    return (tensor){ .p = p, .rows = x.rows, .cols = x.cols, .ld = s->grad.ld };
}

tensor grad_of(nn *cx, tensor x)
{
    if (!x.slot || !nn_ok(cx)) return (tensor){ 0 };
    slot *s = &cx->slots[x.slot];
    if (!s->grad.p) {
        bool outer = x.slot < cx->first_inner;
        s->grad = outer ? keep_new(cx, s->root.rows, s->root.cols) : tensor_new(cx, s->root.rows, s->root.cols);
        if (!nn_ok(cx)) return (tensor){ 0 };
        cx->be->zero(cx->dev, s->grad);
    }
    return view_of_grad(s, x);
}

tensor tensor_grad(nn *cx, tensor x)
{
    if (!x.slot || !cx->slots[x.slot].grad.p) return (tensor){ 0 };
    return view_of_grad(&cx->slots[x.slot], x);
}

/* ---- blocks ---- */

static void block_back(nn *cx, const record *r);
static void block_end_back(nn *cx, const record *r);

/* Without a tape: outputs go to a place that the next block reuses, everything else is given back. */
static void block_plain(nn *cx, nn_block_fn fn, const void *weights, tensor *io, int n, const void *env)
{
    tensor place[BLOCK_IO];
    for (int i = 0; i < n; i++) {
        bool mine = io[i].p && io[i].p == cx->block_out[i].p;
        place[i] = mine ? io[i] : tensor_new(cx, io[i].rows, io[i].cols);
    }
    size_t mark = arena_mark(&cx->work);
    fn(cx, weights, io, n, env);
    for (int i = 0; i < n && nn_ok(cx); i++) {
        if (io[i].p != place[i].p) cx->be->copy(cx->dev, place[i], io[i]);
        io[i] = cx->block_out[i] = place[i];
    }
    arena_release(&cx->work, mark);
}

/* With a tape and all activations kept: two marks, so that the way back can give inner gradients back. */
static void block_taped(nn *cx, nn_block_fn fn, const void *weights, tensor *io, int n, const void *env)
{
    int first_slot = cx->nslots + 1;
    record *begin = record_add(cx), *end;
    if (!begin) return;
    fn(cx, weights, io, n, env);
    if (nn_ok(cx) && (end = record_add(cx)) != NULL) {
        end->back = block_end_back;
        end->first_slot = first_slot;
    }
}

/* With a tape and a checkpoint: keep the outputs, remember how to run again. */
static void block_checkpointed(nn *cx, nn_block_fn fn, const void *weights, tensor *io, int n, const void *env)
{
    tensor in[BLOCK_IO];
    size_t mark = arena_mark(&cx->work);
    memcpy(in, io, (size_t)n * sizeof *io);
    cx->taping = false;
    fn(cx, weights, io, n, env);
    cx->taping = true;
    for (int i = 0; i < n && nn_ok(cx); i++) {
        tensor out = keep_new(cx, io[i].rows, io[i].cols);
        if (nn_ok(cx)) cx->be->copy(cx->dev, out, io[i]);
        io[i] = out;
    }
    arena_release(&cx->work, mark);
    record *r = nn_ok(cx) ? record_add(cx) : NULL;
    if (!r) return;
    *r = (record){ .back = block_back, .fn = fn, .weights = weights, .env = env, .n = n };
    for (int i = 0; i < n; i++) {
        io[i].slot = slot_add(cx, io[i]);
        r->in[i] = in[i];
        r->out[i] = io[i];
    }
}

void nn_block(nn *cx, nn_block_fn fn, const void *weights, tensor *io, int n, const void *env)
{
    if (!nn_ok(cx) || !nn_require(cx, n >= 1 && n <= BLOCK_IO, "a block of %d tensors", n)) return;
    bool outermost = !cx->in_block;
    cx->in_block = true;
    if (!outermost) fn(cx, weights, io, n, env);
    else if (!cx->taping) block_plain(cx, fn, weights, io, n, env);
    else if (!cx->checkpoint) block_taped(cx, fn, weights, io, n, env);
    else block_checkpointed(cx, fn, weights, io, n, env);
    if (outermost) cx->in_block = false;
}

/* ---- the way back ---- */

static void walk(nn *cx, int first, int last)
{
    for (int i = last; i-- > first && nn_ok(cx);) {
        /* a copy: a checkpointed block grows the tape while it runs again */
        record r = cx->tape[i];
        if (r.back == block_end_back) {
            r.first_record = i;
            block_end_back(cx, &r);
            while (i > first && cx->tape[i].back) i--; /* on to the mark of the block's beginning */
        } else if (r.back == block_back || (r.back && cx->slots[r.y.slot].grad.p)) {
            r.back(cx, &r);
        }
    }
}

/* r is the block's last record; its inner records lie between the beginning's mark and it. */
static void block_end_back(nn *cx, const record *r)
{
    int begin = r->first_record;
    while (cx->tape[begin].back) begin--;
    int outer = cx->first_inner;
    size_t mark = arena_mark(&cx->work);
    cx->first_inner = r->first_slot;
    walk(cx, begin + 1, r->first_record);
    cx->first_inner = outer;
    arena_release(&cx->work, mark);
}

static void block_back(nn *cx, const record *r)
{
    tensor io[BLOCK_IO];
    int nrecords = cx->nrecords, nslots = cx->nslots, outer = cx->first_inner;
    bool taping = cx->taping, any = false;
    size_t mark = arena_mark(&cx->work);
    for (int i = 0; i < r->n; i++) any |= cx->slots[r->out[i].slot].grad.p != NULL;
    if (!any) return;
    memcpy(io, r->in, sizeof io);
    cx->first_inner = nslots + 1;
    cx->taping = cx->in_block = true;
    r->fn(cx, r->weights, io, r->n, r->env);
    cx->taping = taping;
    cx->in_block = false;
    for (int i = 0; i < r->n && nn_ok(cx); i++) {
        tensor dy = cx->slots[r->out[i].slot].grad, into = grad_of(cx, io[i]);
        if (dy.p && into.p && nn_ok(cx)) cx->be->add_to(cx->dev, into, dy);
    }
    walk(cx, nrecords, cx->nrecords);
    cx->nrecords = nrecords;
    cx->nslots = nslots;
    cx->first_inner = outer;
    arena_release(&cx->work, mark);
}

void nn_backward(nn *cx, tensor loss)
{
    static const float one = 1;
    if (!nn_require(cx, loss.rows == 1 && loss.cols == 1, "backward from a tensor of %d x %d", loss.rows, loss.cols)) return;
    tensor seed = grad_of(cx, loss);
    if (!seed.p) return; /* nothing trainable took part */
    cx->be->write(cx->dev, seed, &one);
    walk(cx, 0, cx->nrecords);
}
