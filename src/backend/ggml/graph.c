/* graph.c - recording ops as nodes, finding what was recorded before, computing. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "backend/ggml/state.h"
#include "base/mem.h"

enum { NODES = 8192, TENSORS = 6 * NODES }; /* of one graph: nodes, and those with their operands */

/* ---- keys ---- */

uint64_t gg_mix(uint64_t key, uint64_t word)
{
    key = (key ^ word) * 0x9e3779b97f4a7c15u;
    return key ^ (key >> 29);
}

uint64_t gg_layout(layout l)
{
    uint64_t key = (uint64_t)l.samples;
    for (int i = 0; i < l.nspans; i++) {
        key = gg_mix(key, (uint64_t)l.spans[i].start << 32 | (uint32_t)l.spans[i].rows);
        key = gg_mix(key, (uint64_t)l.spans[i].sample);
    }
    return key;
}

uint64_t gg_float(float f)
{
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    return bits;
}

/* ---- graphs ---- */

static void graph_free(graph *g)
{
    if (g->cx) ggml_free(g->cx);
    mem_free(g->node);
    mem_free(g->op);
    *g = (graph){ 0 };
}

void gg_drop(state *s)
{
    for (int i = 0; i < GRAPHS; i++) graph_free(&s->graph[i]);
    s->now = NULL;
    s->at = 0;
}

static graph *graph_new(state *s)
{
    graph *g = NULL;
    for (int i = 0; i < GRAPHS && !g; i++)
        if (!s->graph[i].cx) g = &s->graph[i];
    if (!g) {
        gg_drop(s);
        g = &s->graph[0];
    }
    size_t room = TENSORS * ggml_tensor_overhead() + ggml_graph_overhead_custom(NODES, false);
    g->cx = ggml_init((struct ggml_init_params){ .mem_size = room, .no_alloc = true });
    g->nodes = g->cx ? ggml_new_graph_custom(g->cx, NODES, false) : NULL;
    if (!g->nodes) return graph_free(g), gg_fail(s, DREAMO_MEMORY, "no memory for a graph"), NULL;
    return g;
}

/* Only the first n ops stay. */
static void cut(state *s, graph *g, int n)
{
    int nodes = n < g->nops ? g->op[n].first : g->nnodes;
    g->nops = n;
    if (nodes == g->nnodes) return;
    ggml_graph_clear(g->nodes);
    g->nnodes = nodes;
    for (int i = 0; i < nodes; i++) ggml_build_forward_expand(g->nodes, g->node[i]);
    s->count.built++;
}

void gg_drop_others(state *s)
{
    for (int i = 0; i < GRAPHS; i++)
        if (&s->graph[i] != s->now) graph_free(&s->graph[i]);
    if (s->now && s->at < s->now->nops) cut(s, s->now, s->at);
}

/* ---- watching: each result looked at, so that a NaN gets the name of who made it ---- */

void gg_look(state *s)
{
    tensor x = s->last;
    s->last = (tensor){ 0 };
    size_t n = (size_t)x.rows * (size_t)x.cols;
    float *values = x.p && n ? mem_alloc(n * sizeof *values) : NULL;
    if (!values) return;
    gg_read(s->dev, values, x);
    for (size_t i = 0; i < n && gg_ok(s); i++)
        if (!isfinite(values[i])) {
            gg_fail(s, DREAMO_NUMERIC, "the first NaN or infinity is made by %s (row %zu, column %zu)", s->last_name, i / (size_t)x.cols, i % (size_t)x.cols);
            break;
        }
    mem_free(values);
}

bool gg_fresh(state *s, const char *op, const uint64_t *words, int n)
{
    if (s->dev->watch) gg_look(s);
    if (!gg_ok(s)) return false;
    if (s->broken) gg_drop(s);
    s->broken = false;
    s->op = op;
    s->chunk = 0;
    s->taken = 0;
    if (s->dev->watch) {
        s->last = (tensor){ .p = (float *)(uintptr_t)words[0], .rows = (int)words[1], .cols = (int)words[2], .ld = (int)words[3] };
        snprintf(s->last_name, sizeof s->last_name, "%s%s%s", op, s->weight ? " " : "", s->weight ? s->weight : "");
    }
    s->weight = NULL;
    uint64_t key = 0;
    for (const char *c = op; *c; c++) key = gg_mix(key, (unsigned char)*c);
    for (int i = 0; i < n; i++) key = gg_mix(key, words[i]);
    if (s->now && s->at == s->now->nops && (s->now->nnodes > NODES / 2 || ggml_used_mem(s->now->cx) > ggml_get_mem_size(s->now->cx) / 2) && !gg_flush(s, false))
        return false;
    for (int i = 0; i < GRAPHS && !s->now; i++)
        if (s->graph[i].nops && s->graph[i].op[0].key == key) s->now = &s->graph[i];
    if (!s->now && !(s->now = graph_new(s))) return false;
    graph *g = s->now;
    if (s->at < g->nops && g->op[s->at].key == key) {
        s->at++;
        return false;
    }
    if (s->at < g->nops) cut(s, g, s->at);
    if (s->at == 0) s->count.built++;
    recorded *ops = gg_grown(s, g->op, g->nops, &g->op_room, sizeof *ops);
    if (!ops) return false;
    g->op = ops;
    g->op[g->nops++] = (recorded){ key, g->nnodes };
    s->at++;
    return true;
}

/* ---- leaves ---- */

/* After a failure leaves and nodes go on having shapes, but no place: whoever records an op need not look after each. */
gt *gg_leaf(state *s, enum ggml_type type, place at, const int64_t ne[4], const size_t nb[4])
{
    gt *t = ggml_new_tensor_4d(s->now->cx, type, ne[0], ne[1], ne[2], ne[3]);
    for (int i = 0; i < 4; i++) t->nb[i] = nb[i];
    if (gg_ok(s) && ggml_backend_tensor_alloc(at.buffer, t, at.at) != GGML_STATUS_SUCCESS) gg_fail(s, DREAMO_DEVICE, "%s: a tensor finds no place", s->op);
    return t;
}

gt *gg_mat(state *s, tensor x)
{
    size_t ld = sizeof(float) * (size_t)x.ld, all = ld * (size_t)x.rows;
    return gg_leaf(s, GGML_TYPE_F32, gg_place(s, x), (int64_t[]){ x.cols, x.rows, 1, 1 }, (size_t[]){ sizeof(float), ld, all, all });
}

gt *gg_row(state *s, place at, int n)
{
    size_t all = sizeof(float) * (size_t)n;
    return gg_leaf(s, GGML_TYPE_F32, at, (int64_t[]){ n, 1, 1, 1 }, (size_t[]){ sizeof(float), all, all, all });
}

gt *gg_heads(state *s, tensor x, int d)
{
    size_t ld = sizeof(float) * (size_t)x.ld, head = sizeof(float) * (size_t)d;
    return gg_leaf(s, GGML_TYPE_F32, gg_place(s, x), (int64_t[]){ d, x.cols / d, x.rows, 1 }, (size_t[]){ sizeof(float), head, ld, ld * (size_t)x.rows });
}

gt *gg_tokens(state *s, tensor x, int d)
{
    size_t ld = sizeof(float) * (size_t)x.ld, head = sizeof(float) * (size_t)d;
    return gg_leaf(s, GGML_TYPE_F32, gg_place(s, x), (int64_t[]){ d, x.rows, x.cols / d, 1 }, (size_t[]){ sizeof(float), ld, head, ld * (size_t)x.rows });
}

gt *gg_pixels(state *s, tensor x, int w, int h)
{
    size_t ld = sizeof(float) * (size_t)x.ld, row = ld * (size_t)w;
    return gg_leaf(s, GGML_TYPE_F32, gg_place(s, x), (int64_t[]){ x.cols, w, h, 1 }, (size_t[]){ sizeof(float), ld, row, row * (size_t)h });
}

/* ---- nodes ---- */

/* What Vulkan takes only from where its buffers may begin. */
static bool is_bordered(const gt *t) { return t->op == GGML_OP_MUL_MAT || t->op == GGML_OP_FLASH_ATTN_EXT || t->op == GGML_OP_LEAKY_RELU || t->op == GGML_OP_POOL_2D; }
static bool is_product(const gt *t) { return t->op == GGML_OP_MUL_MAT || t->op == GGML_OP_FLASH_ATTN_EXT; }

/* CUDA's copy takes such a source for a turned matrix: then it reads it packed, whatever lies behind its first side, and writes the target packed,
 * whatever its strides are. */
static bool is_turned(const gt *t, const gt *a)
{
    size_t each = ggml_element_size(a);
    return a->type == t->type && a->nb[1] == each && a->ne[3] == 1 && a->nb[2] == each * (size_t)(a->ne[0] * a->ne[1]) && !(ggml_is_contiguous(a) && ggml_is_contiguous(t));
}

/* Stricter than any one backend: what passes here on ggml's CPU also holds for CUDA, whose list is in docs/gpu.md. */
static const char *refused(const state *s, const gt *t)
{
    const gt *a = t->src[0], *b = t->src[1];
    for (int i = -1; is_bordered(t) && i < 3; i++) {
        const gt *x = i < 0 ? t : t->src[i];
        if (x && (uintptr_t)x->data % s->border) return "an operand off the border";
    }
    switch (t->op) {
    case GGML_OP_MUL_MAT:
        if (!ggml_is_contiguous(t)) return "a product into columns";
        if (!ggml_is_contiguous(a) || !ggml_is_contiguous(b)) return "a product of columns";
        if (b->type != GGML_TYPE_F32) return "a product with activations that are not fp32";
        return NULL;
    case GGML_OP_NORM: case GGML_OP_RMS_NORM: case GGML_OP_SOFT_MAX: case GGML_OP_SUM_ROWS: case GGML_OP_MEAN: case GGML_OP_PAD: case GGML_OP_FLASH_ATTN_EXT:
    case GGML_OP_POOL_2D: case GGML_OP_GET_ROWS:
        if (!ggml_is_contiguous(t)) return "a result in columns";
        if ((t->op == GGML_OP_SOFT_MAX || t->op == GGML_OP_POOL_2D) && !ggml_is_contiguous(a)) return "columns as operand";
        return NULL;
    case GGML_OP_CPY: case GGML_OP_CONT:
        if (!is_turned(t, a)) return NULL;
        if (!ggml_is_contiguous(t)) return "a turned matrix into columns";
        return a->ne[0] == 1 || a->nb[0] == ggml_element_size(a) * (size_t)a->ne[1] ? NULL : "a turned matrix of columns";
    case GGML_OP_UNARY: case GGML_OP_LEAKY_RELU: case GGML_OP_SCALE: case GGML_OP_SQR: case GGML_OP_SQRT: case GGML_OP_CLAMP:
        return ggml_is_contiguous(t) && ggml_is_contiguous(a) ? NULL : "columns as operand or result";
    default: return NULL;
    }
}

static double node_nbytes(const gt *t)
{
    double n = (double)ggml_nelements(t) * (double)ggml_type_size(t->type) / (double)ggml_blck_size(t->type);
    for (int i = 0; i < GGML_MAX_SRC && t->src[i]; i++)
        if (i == 0 || t->op != GGML_OP_CPY) n += (double)ggml_nelements(t->src[i]) * (double)ggml_type_size(t->src[i]->type) / (double)ggml_blck_size(t->src[i]->type);
    return n;
}

/* Every node passes here. */
static gt *node(state *s, gt *t, place at)
{
    graph *g = s->now;
    if (!gg_ok(s)) return t;
    enum ggml_status placed = t->view_src ? ggml_backend_view_init(t) : ggml_backend_tensor_alloc(at.buffer, t, at.at);
    if (placed != GGML_STATUS_SUCCESS) gg_fail(s, DREAMO_DEVICE, "%s: a result finds no place", s->op);
    for (int i = -1; i < GGML_MAX_SRC; i++) {
        const gt *operand = i < 0 ? t : t->src[i];
        if (operand && ggml_nbytes(operand) > s->largest)
            gg_fail(s, DREAMO_LIMIT, "%s: %s has an operand of %.1f MB, the device's largest buffer is %.1f MB", s->op, ggml_op_desc(t), (double)ggml_nbytes(operand) / 1e6,
                    (double)s->largest / 1e6);
    }
    const char *why = refused(s, t);
    const gt *a = t->src[0];
    if (why) gg_fail(s, DREAMO_BUG, "%s: %s in %s", s->op, why, ggml_op_desc(t));
    if (gg_ok(s) && !ggml_backend_supports_op(s->be, t))
        gg_fail(s, DREAMO_DEVICE, "%s: the device does not do %s of %s [%lld x %lld x %lld]", s->op, ggml_op_desc(t), ggml_type_name(a->type), (long long)a->ne[0],
                (long long)a->ne[1], (long long)a->ne[2]);
    if (g->nnodes == NODES) gg_fail(s, DREAMO_LIMIT, "%s needs more than %d nodes; a smaller picture needs fewer", s->op, NODES / 2);
    gt **nodes = gg_ok(s) ? gg_grown(s, g->node, g->nnodes, &g->node_room, sizeof *nodes) : NULL;
    if (!nodes) return t;
    g->node = nodes;
    g->node[g->nnodes++] = t;
    ggml_build_forward_expand(g->nodes, t);
    return t;
}

gt *gg_mid(state *s, gt *t)
{
    place at = t->view_src ? (place){ 0 } : gg_scratch(s, ggml_backend_buft_get_alloc_size(s->type, t));
    return node(s, t, at);
}

gt *gg_viewed(state *s, gt *t)
{
    if (gg_ok(s)) ggml_backend_view_init(t);
    return t;
}

gt *gg_over(state *s, gt *t, const gt *old) { return node(s, t, (place){ old->buffer, old->data }); }

gt *gg_into(state *s, gt *t, tensor y) { return node(s, t, gg_place(s, y)); }

void gg_out(state *s, gt *t, tensor y)
{
    if (t->ne[0] == y.cols && t->ne[1] == y.rows && t->ne[2] == 1) {
        t->nb[1] = sizeof(float) * (size_t)y.ld;
        t->nb[2] = t->nb[3] = t->nb[1] * (size_t)y.rows;
    } else if (y.ld != y.cols) {
        gg_fail(s, DREAMO_BUG, "%s: a result of three sides in columns", s->op);
    }
    ggml_set_output(t);
    node(s, t, gg_place(s, y));
}

bool gg_aligned(state *s, tensor x) { return (uintptr_t)gg_place(s, x).at % s->border == 0; }

gt *gg_packed(state *s, tensor x)
{
    gt *t = gg_mat(s, x);
    return (x.ld == x.cols || x.rows == 1) && gg_aligned(s, x) ? t : gg_mid(s, ggml_cont(s->now->cx, t));
}

/* t without first sides of 1.  CUDA takes a source of single numbers whose second side lies packed for a turned matrix, and its copy for packed. */
static gt *squeezed(state *s, gt *t)
{
    int64_t ne[4] = { t->ne[0], t->ne[1], t->ne[2], t->ne[3] };
    size_t nb[4] = { t->nb[0], t->nb[1], t->nb[2], t->nb[3] };
    for (int i = 0; i < 3 && ne[0] == 1; i++) {
        memmove(ne, ne + 1, 3 * sizeof *ne);
        memmove(nb, nb + 1, 3 * sizeof *nb);
        ne[3] = 1;
        nb[3] = nb[2] * (size_t)ne[2];
    }
    return gg_leaf(s, t->type, (place){ t->view_src ? t->view_src->buffer : t->buffer, t->data }, ne, nb);
}

void gg_copy_node(state *s, gt *from, gt *to)
{
    if (from->ne[0] == 1 && gg_ok(s)) from = squeezed(s, from), to = squeezed(s, to);
    gt *t = ggml_cpy(s->now->cx, from, to);
    ggml_set_output(t);
    node(s, t, (place){ 0 });
}

/* ---- computing ---- */

typedef struct run_job { state *s; struct ggml_cgraph *nodes; enum ggml_status status; bool wait; } run_job;

static void run(void *user)
{
    run_job *j = user;
    int fault = j->nodes ? guard_fault_now() : 0;
    if (fault == 1) GGML_ABORT("a test loses the device");
    if (j->nodes) j->status = fault == 2 ? GGML_STATUS_ALLOC_FAILED : ggml_backend_graph_compute_async(j->s->be, j->nodes);
    if (j->wait) ggml_backend_synchronize(j->s->be);
}

static void count(state *s, const graph *g)
{
    s->count.graphs++;
    s->count.nodes += g->nnodes;
    for (int i = 0; i < g->nnodes; i++) {
        double n = node_nbytes(g->node[i]);
        s->count.bytes += n;
        if (!is_product(g->node[i])) s->count.rest += n;
    }
    for (int i = 0; i + 1 < g->nnodes; i++) { /* what backends fuse today: norm and mul, mul and add, product and add of few rows */
        const gt *a = g->node[i], *b = g->node[i + 1];
        bool follows = b->src[0] == a && !(a->flags & GGML_TENSOR_FLAG_OUTPUT);
        s->count.fused += follows && ((a->op == GGML_OP_RMS_NORM && b->op == GGML_OP_MUL) || (a->op == GGML_OP_MUL && b->op == GGML_OP_ADD) ||
                                      (a->op == GGML_OP_MUL_MAT && b->op == GGML_OP_ADD && a->ne[1] <= 8));
    }
}

bool gg_flush(state *s, bool wait)
{
    char why[GUARD_TEXT];
    if (s->broken) gg_drop(s);
    s->broken = false;
    if (!gg_ok(s)) return false;
    graph *g = s->now;
    if (g && s->at < g->nops) cut(s, g, s->at);
    s->now = NULL;
    s->at = 0;
    run_job j = { .s = s, .nodes = g && g->nnodes ? g->nodes : NULL, .wait = wait };
    if (j.nodes && !gg_filled(s)) return false;
    if (!guarded(run, &j, why)) {
        gg_fail(s, DREAMO_DEVICE, "the device was lost in mid-run: %s", why);
        s->lost = true;
        return false;
    }
    if (j.status == GGML_STATUS_ALLOC_FAILED) return gg_fail(s, DREAMO_MEMORY, "the device ran out of memory in mid-run");
    if (j.status != GGML_STATUS_SUCCESS) return gg_fail(s, DREAMO_DEVICE, "the device could not compute (%s)", ggml_status_to_string(j.status));
    if (j.nodes) {
        count(s, g);
        s->segment++;
        gg_sent(s);
    }
    if (wait) gg_spent(s);
    return true;
}

void gg_wait(state *s)
{
    char why[GUARD_TEXT];
    run_job j = { .s = s, .wait = true };
    if (s->lost || guarded(run, &j, why)) return;
    gg_fail(s, DREAMO_DEVICE, "the device was lost in mid-run: %s", why);
    s->lost = true;
}
