/* tape.c - recording ops, running blocks, and the way back.
 *
 * Where gradients live: those of a block's inner tensors in `work`, given back when the block's way back is done; those of
 * tensors that are older than the block (its inputs, the modulation vector that all blocks share) in `keep`.  A block's
 * outputs need theirs no more once its way back is done, so the next block takes the memory over: two gradients of the residual
 * stream are alive at a time, however deep the network. */
#include "nn/context.h"
#include <string.h>
#include "base/mem.h"

/* ---- slots and records ---- */

static int slot_add(nn *cx, tensor root)
{
    slot *slots = nn_grown(cx, cx->slots, cx->nslots + 1, &cx->slot_room, sizeof *slots);
    if (!slots) return 0;
    cx->slots = slots;
    slots[++cx->nslots] = (slot){ .root = root };
    return cx->nslots;
}

static record *record_add(nn *cx)
{
    record *tape = nn_grown(cx, cx->tape, cx->nrecords, &cx->record_room, sizeof *tape);
    if (!tape) return NULL;
    cx->tape = tape;
    return memset(&tape[cx->nrecords++], 0, sizeof *tape);
}

record *tape_add(nn *cx, back_fn back, bool trains, tensor *y, tensor a, tensor b, tensor c)
{
    if (!nn_ok(cx) || !(trains || a.slot || b.slot || c.slot)) return NULL;
    cx->touched = true;
    if (!cx->taping || !(y->slot = slot_add(cx, *y))) return NULL;
    record *r = record_add(cx);
    if (!r) return NULL;
    r->back = back;
    r->y = *y;
    r->in[0] = a;
    r->in[1] = b;
    r->in[2] = c;
    return r;
}

tensor tensor_leaf(nn *cx, tensor x)
{
    if (nn_require(cx, x.ld == x.cols, "a leaf of %d columns, %d apart, must be packed", x.cols, x.ld)) x.slot = slot_add(cx, x);
    return x;
}

static void turn_back(nn *cx, const record *r, tensor dy, const tensor *d)
{
    (void)dy;
    (void)d;
    if (!cx->be->dry) r->turn(r->turner, true);
}

void nn_turn(nn *cx, tensor x, nn_turn_fn fn, void *user)
{
    if (!nn_ok(cx)) return;
    if (!cx->be->dry) fn(user, false);
    record *r = cx->taping && x.slot ? record_add(cx) : NULL;
    if (r) *r = (record){ .back = turn_back, .y = x, .turn = fn, .turner = user };
}

/* ---- gradients ---- */

static tensor view_of_grad(const slot *s, tensor x)
{
    uintptr_t at = (uintptr_t)x.p - (uintptr_t)s->root.p; /* bytes; on integers, for a dry run's addresses are not real */
    return (tensor){ .p = (float *)((uintptr_t)s->grad.p + at), .rows = x.rows, .cols = x.cols, .ld = s->grad.ld };
}

/* Memory for the gradient of a tensor that is older than the block: a spent one of the same shape, or new. */
static tensor outer_grad(nn *cx, tensor root)
{
    for (int i = 0; i < cx->nspares; i++)
        if (cx->spare[i].rows == root.rows && cx->spare[i].cols == root.cols) {
            tensor g = cx->spare[i];
            cx->spare[i] = cx->spare[--cx->nspares];
            return g;
        }
    return keep_new(cx, root.rows, root.cols);
}

/* The gradient of x, made (zeroed) on first use; p NULL when none is wanted. */
static tensor grad_of(nn *cx, tensor x)
{
    if (!x.slot || !nn_ok(cx)) return (tensor){ 0 };
    slot *s = &cx->slots[x.slot];
    if (!s->grad.p) {
        s->kept = x.slot < cx->first_inner;
        s->grad = s->kept ? outer_grad(cx, s->root) : tensor_new(cx, s->root.rows, s->root.cols);
        if (!nn_ok(cx)) return (tensor){ 0 };
        cx->be->zero(cx->dev, s->grad);
    }
    return view_of_grad(s, x);
}

/* The block that made these slots is done with: nothing before it has heard of them. */
static void forget_grads(nn *cx, int first, int end)
{
    for (int i = first; i < end; i++) {
        slot *s = &cx->slots[i];
        if (s->grad.p && s->kept && cx->nspares < SPARES) cx->spare[cx->nspares++] = s->grad;
        s->grad = (tensor){ 0 };
    }
}

static bool arrived(const nn *cx, tensor x) { return x.slot && x.slot <= cx->nslots && cx->slots[x.slot].grad.p; }

tensor tensor_grad(nn *cx, tensor x) { return nn_ok(cx) && arrived(cx, x) ? view_of_grad(&cx->slots[x.slot], x) : (tensor){ 0 }; }

/* ---- blocks ---- */

static void block_add(nn *cx, const block *b)
{
    if (!nn_ok(cx)) return;
    block *blocks = nn_grown(cx, cx->blocks, cx->nblocks, &cx->block_room, sizeof *blocks);
    if (!blocks) return;
    cx->blocks = blocks;
    record *end = record_add(cx);
    if (!end) return;
    end->n = cx->nblocks;
    blocks[cx->nblocks++] = *b;
}

/* fn must give back what it got, shape by shape. */
static void run(nn *cx, const block *b, tensor *io)
{
    b->fn(cx, b->weights, io, b->n, b->env);
    for (int i = 0; i < b->n && nn_ok(cx); i++)
        nn_require(cx, io[i].rows == b->in[i].rows && io[i].cols == b->in[i].cols,
                   "a block made %d x %d of its tensor %d, which was %d x %d",
                   io[i].rows, io[i].cols, i, b->in[i].rows, b->in[i].cols);
}

/* Without a tape: outputs go to a place that the next block reuses (one inside another has places of its own), everything else is given back. */
static void run_plain(nn *cx, const block *b, tensor *io, bool inner)
{
    tensor place[BLOCK_IO];
    for (int i = 0; i < b->n; i++) {
        bool mine = !inner && io[i].p && io[i].p == cx->block_out[i].p && !io[i].slot;
        place[i] = mine ? io[i] : tensor_new(cx, io[i].rows, io[i].cols);
    }
    size_t mark = arena_mark(&cx->work);
    run(cx, b, io);
    for (int i = 0; i < b->n && nn_ok(cx); i++) {
        if (io[i].p != place[i].p) cx->be->copy(cx->dev, place[i], io[i]);
        io[i] = place[i];
        if (!inner) cx->block_out[i] = place[i];
    }
    arena_release(&cx->work, mark);
}

/* With a tape and all activations kept: the way back gives the inner gradients back block by block. */
static void run_taped(nn *cx, block *b, tensor *io)
{
    b->first_record = cx->nrecords;
    b->first_slot = cx->nslots + 1;
    run(cx, b, io);
    b->end_slot = cx->nslots + 1;
    block_add(cx, b);
}

/* With a tape and a checkpoint: keep the outputs, remember how to run again. */
static void run_checkpointed(nn *cx, block *b, tensor *io)
{
    size_t mark = arena_mark(&cx->work);
    b->checkpointed = true;
    cx->taping = cx->touched = false;
    run(cx, b, io);
    cx->taping = true;
    for (int i = 0; i < b->n && nn_ok(cx); i++) {
        b->out[i] = keep_new(cx, io[i].rows, io[i].cols);
        if (nn_ok(cx)) cx->be->copy(cx->dev, b->out[i], io[i]);
    }
    arena_release(&cx->work, mark);
    b->first_slot = cx->nslots + 1;
    for (int i = 0; i < b->n && nn_ok(cx); i++) {
        if (cx->touched) b->out[i].slot = slot_add(cx, b->out[i]);
        io[i] = b->out[i];
    }
    b->end_slot = cx->nslots + 1;
    if (cx->touched) block_add(cx, b);
}

void nn_block(nn *cx, nn_block_fn fn, const void *weights, tensor *io, int n, const void *env)
{
    if (!nn_require(cx, n >= 1 && n <= BLOCK_IO, "a block of %d tensors", n)) return;
    block b = { .n = n, .fn = fn, .weights = weights, .env = env };
    memcpy(b.in, io, (size_t)n * sizeof *io);
    if (cx->in_block) { /* the outer block's tape serves; what it runs again it may need whole */
        if (cx->taping || cx->checkpoint) run(cx, &b, io);
        else run_plain(cx, &b, io, true);
        return;
    }
    cx->in_block = true;
    if (!cx->taping) run_plain(cx, &b, io, false);
    else if (!cx->checkpoint) run_taped(cx, &b, io);
    else run_checkpointed(cx, &b, io);
    cx->in_block = false;
}

/* ---- the way back ---- */

static void block_back(nn *cx, const block *b, int end);

void nn_watch(nn *cx, nn_watch_fn fn, void *user)
{
    cx->watch = fn;
    cx->watcher = user;
}

static void tell(const nn *cx, const float *grad)
{
    if (grad) cx->watch(cx->watcher, grad);
}

static void tell_weight(const nn *cx, const weight *w)
{
    for (int i = 0; w && i < w->nparts; i++) {
        tell(cx, w->part[i].grad);
        tell(cx, w->part[i].grad_bias);
    }
    for (const adapter *a = w ? w->adapters : NULL; a; a = a->next) {
        tell(cx, a->grad_A);
        tell(cx, a->grad_B);
    }
}

static void op_back(nn *cx, const record *r)
{
    tensor d[OP_INPUTS], dy = grad_of(cx, r->y);
    for (int i = 0; i < OP_INPUTS; i++) d[i] = grad_of(cx, r->in[i]);
    if (nn_ok(cx)) r->back(cx, r, dy, d);
    if (!cx->watch || !nn_ok(cx)) return;
    tell_weight(cx, r->w);
    tell_weight(cx, r->attn.relbias);
    tell(cx, r->gain.grad);
    tell(cx, r->bias.grad);
}

/* Records [first, end), last one first. */
static void walk(nn *cx, int first, int end)
{
    for (int i = end - 1; i >= first && nn_ok(cx); i--) {
        const record *r = &cx->tape[i];
        if (!r->back) {
            block b = cx->blocks[r->n]; /* a copy: the tape and its lists grow when a block runs again */
            block_back(cx, &b, i);
            if (!b.checkpointed) i = b.first_record;
        } else if (arrived(cx, r->y)) {
            op_back(cx, r);
        }
    }
}

/* Run it again with the tape on, and hand the gradients of the kept outputs to those of this run. */
static void run_again(nn *cx, const block *b)
{
    tensor io[BLOCK_IO];
    bool taping = cx->taping;
    memcpy(io, b->in, sizeof io);
    cx->taping = cx->in_block = true;
    run(cx, b, io);
    cx->taping = taping;
    cx->in_block = false;
    for (int i = 0; i < b->n; i++) {
        if (!nn_ok(cx) || !arrived(cx, b->out[i])) continue;
        tensor into = grad_of(cx, io[i]);
        if (into.p) cx->be->add_to(cx->dev, into, view_of_grad(&cx->slots[b->out[i].slot], b->out[i]));
    }
}

/* `end` is the block's place on the tape. */
static void block_back(nn *cx, const block *b, int end)
{
    int nrecords = cx->nrecords, nslots = cx->nslots, outer = cx->first_inner;
    size_t mark = arena_mark(&cx->work);
    bool wanted = false;
    for (int i = b->first_slot; i < b->end_slot; i++) wanted |= cx->slots[i].grad.p != NULL;
    if (!wanted) return;
    if (b->checkpointed) {
        cx->first_inner = nslots + 1;
        run_again(cx, b);
        walk(cx, nrecords, cx->nrecords);
        cx->nrecords = nrecords;
        cx->nslots = nslots;
    } else {
        cx->first_inner = b->first_slot;
        walk(cx, b->first_record, end);
    }
    cx->first_inner = outer;
    forget_grads(cx, b->first_slot, b->end_slot);
    arena_release(&cx->work, mark);
}

void nn_backward(nn *cx, tensor loss)
{
    static const float one = 1;
    if (!nn_require(cx, loss.rows == 1 && loss.cols == 1, "backward from a tensor of %d x %d", loss.rows, loss.cols)) return;
    if (!nn_require(cx, !cx->walked, "backward twice in one step")) return;
    cx->walked = true;
    tensor seed = grad_of(cx, loss);
    if (!seed.p) return; /* nothing trainable took part */
    cx->be->write(cx->dev, seed, &one);
    walk(cx, 0, cx->nrecords);
    if (cx->be->settle && nn_ok(cx)) cx->be->settle(cx->dev);
    nn_look(cx);
}
