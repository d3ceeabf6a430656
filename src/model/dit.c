/* dit.c - the FLUX.1 diffusion transformer: two kinds of block.
 *
 * Shapes are [tokens, channels]; D is the width.  Nothing here knows where it runs, how weights are stored, whether a LoRA
 * is applied, or whether it is being differentiated. */
#include "model/dit.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

/* What every block sees beside its own weights and the tokens. */
typedef struct block_env {
    const dit *m;
    const dit_batch *b;
    tensor vec;             /* silu(temb) [samples, D] (spec 1.5) */
    int heads;
} block_env;

/* A modulation layer's output: computed, or read from the table, where it begins at column `at` (in widths). */
static tensor modulate(nn *cx, const block_env *env, const weight *mod, int at)
{
    return env->b->mods.p ? tensor_cols(env->b->mods, at * env->vec.cols, mod->out) : op_linear(cx, env->vec, mod);
}

/* The table's order: each double block's text and image, the single blocks, the last norm. */
static int double_at(const dit *m, const dit_double *w, int s) { return (int)(w - m->doubles) * 12 + 6 * s; }
static int single_at(const dit *m, const dit_single *w) { return m->config.layers * 12 + (int)(w - m->singles) * 3; }
static int norm_out_at(const dit *m) { return m->config.layers * 12 + m->config.single_layers * 3; }

/* n triples of shift, scale, gate (spec 1.3). */
static void triples(tensor o, modulation *m, int n)
{
    int d = o.cols / (3 * n);
    for (int i = 0; i < n; i++)
        m[i] = (modulation){ .shift = tensor_cols(o, (3 * i) * d, d),
                             .scale = tensor_cols(o, (3 * i + 1) * d, d),
                             .gate = tensor_cols(o, (3 * i + 2) * d, d) };
}

/* Rows of the rotary tables from `row` on. */
static rope rope_from(rope pe, int row)
{
    pe.cos += (size_t)row * (size_t)pe.dim;
    pe.sin += (size_t)row * (size_t)pe.dim;
    if (pe.pos) pe.pos += row;
    return pe;
}

/* What the losses look at in a layer, from io[first] on: the routing maps, then the logits of reference and word. */
static void look(nn *cx, const block_env *env, tensor q, tensor k, tensor *io, int first)
{
    const dit_batch *b = env->b;
    if (b->routes) io[first++] = op_routemap(cx, q, k, b->routes, b->nroutes, env->heads);
    if (b->matches) io[first] = op_routemap(cx, q, k, b->matches, b->nmatches, env->heads);
}

/* Double-stream block (spec 1.9): text and image keep weights of their own and meet in one attention over the joined
 * sequence [text; image].  io: text, image and what `look` adds. */
static void double_block(nn *cx, const void *weights, tensor *io, int n, const void *environment)
{
    const dit_double *w = weights;
    const block_env *env = environment;
    const dit_stream *stream[2] = { &w->txt, &w->img };
    layout rows[2] = { env->b->txt, env->b->img };
    modulation m[2][2];
    tensor q[2], k[2], v[2];
    int d = io[0].cols, first[2] = { 0, io[0].rows };

    for (int s = 0; s < 2; s++) {
        rope pe = rope_from(env->b->pe, first[s]);
        triples(modulate(cx, env, &stream[s]->mod, double_at(env->m, w, s)), m[s], 2);
        tensor qkv = op_linear(cx, op_adaln(cx, io[s], m[s][0], rows[s]), &stream[s]->qkv);
        q[s] = op_qknorm(cx, tensor_cols(qkv, 0, d), stream[s]->qnorm, pe);
        k[s] = op_qknorm(cx, tensor_cols(qkv, d, d), stream[s]->knorm, pe);
        v[s] = tensor_cols(qkv, 2 * d, d);
    }
    tensor Q = op_catrows(cx, q[0], q[1]), K = op_catrows(cx, k[0], k[1]), V = op_catrows(cx, v[0], v[1]);
    tensor a = op_attention(cx, Q, K, V, env->b->joint, (attention_opts){ .heads = env->heads });
    if (n > 2) look(cx, env, Q, K, io, 2);

    for (int s = 0; s < 2; s++) {
        tensor o = op_linear(cx, tensor_rows(a, first[s], io[s].rows), &stream[s]->proj);
        tensor x = op_gateadd(cx, io[s], m[s][0].gate, o, rows[s]);
        tensor h = op_gelu(cx, op_linear(cx, op_adaln(cx, x, m[s][1], rows[s]), &stream[s]->mlp_in));
        io[s] = op_gateadd(cx, x, m[s][1].gate, op_linear(cx, h, &stream[s]->mlp_out), rows[s]);
    }
}

/* Single-stream block (spec 1.10): attention and MLP side by side from one projection in to one projection out. */
static void single_block(nn *cx, const void *weights, tensor *io, int n, const void *environment)
{
    const dit_single *w = weights;
    const block_env *env = environment;
    tensor x = io[0];
    int d = x.cols;
    modulation m;

    triples(modulate(cx, env, &w->mod, single_at(env->m, w)), &m, 1);
    tensor u = op_linear(cx, op_adaln(cx, x, m, env->b->joint), &w->in);
    tensor q = op_qknorm(cx, tensor_cols(u, 0, d), w->qnorm, env->b->pe);
    tensor k = op_qknorm(cx, tensor_cols(u, d, d), w->knorm, env->b->pe);
    tensor a = op_attention(cx, q, k, tensor_cols(u, 2 * d, d), env->b->joint, (attention_opts){ .heads = env->heads });
    tensor h = op_gelu(cx, tensor_cols(u, 3 * d, u.cols - 3 * d));
    io[0] = op_gateadd(cx, x, m.gate, op_linear(cx, op_catcols(cx, a, h), &w->out), env->b->joint);
    if (n > 1) look(cx, env, q, k, io, 1);
}

static tensor embedder(nn *cx, const mlp_embedder *w, tensor x)
{
    return op_linear(cx, op_silu(cx, op_linear(cx, x, &w->in)), &w->out);
}

static void probe(const dit_batch *b, nn *cx, tensor x, const char *format, int i)
{
    char name[32];
    if (!b->probe || !nn_ok(cx)) return;
    snprintf(name, sizeof name, format, i);
    b->probe(b->user, cx, name, x);
}

/* temb [samples, D] (spec 1.5): time, guidance and pooled text, summed. */
static tensor embed_time(nn *cx, const dit *m, const dit_batch *b)
{
    tensor temb = embedder(cx, &m->time_in, b->time);
    if (m->config.guidance) temb = op_add(cx, temb, embedder(cx, &m->guidance_in, b->guidance));
    return op_add(cx, temb, embedder(cx, &m->pooled_in, b->pooled));
}

/* Places for what `look` makes, from io[first] on; how many. */
static int places(nn *cx, const dit_batch *b, tensor *io, int first)
{
    int widest = 0, n = 0;
    for (int i = 0; b->routes && i < b->nroutes; i++) widest = b->routes[i].nimg > widest ? b->routes[i].nimg : widest;
    if (b->routes) io[first + n++] = tensor_from(cx, b->nroutes, widest, NULL);
    if (b->matches) io[first + n++] = tensor_from(cx, b->nmatches, 1, NULL);
    return n;
}

/* What `look` made of layer `layer`. */
static void keep_looks(const dit_batch *b, int layer, const tensor *io)
{
    if (b->routes) b->maps[layer] = *io++;
    if (b->matches) b->matched[layer] = *io;
}

/* The single blocks from `first` on, on all rows. */
static void run_singles(nn *cx, const dit *m, const block_env *kept, tensor *io, int first, int end)
{
    const dit_batch *b = kept->b;
    for (int i = first; i < end; i++) {
        int looks = places(cx, b, io, 1);
        nn_block(cx, single_block, &m->singles[i], io, 1 + looks, kept);
        keep_looks(b, m->config.layers + i, io + 1);
        probe(b, cx, io[0], "single.%d", i);
    }
}

/* The single blocks that b->cut names, on its rows; the other rows come out as they went in. */
static void run_short(nn *cx, const dit *m, const block_env *env, tensor *io)
{
    const dit_short *cut = env->b->cut;
    /* without a tape a block may write where its elders' outputs lie, and `all` is one of them */
    if (!nn_require(cx, nn_taping(cx), "rows pass blocks by while training only")) return;
    dit_batch few = *env->b;
    few.joint = cut->joint;
    few.pe = cut->pe;
    few.routes = few.matches = NULL;
    few.probe = NULL;
    block_env inner = *env;
    if (!(inner.b = nn_keep(cx, &few, sizeof few))) return;
    const block_env *kept = nn_keep(cx, &inner, sizeof inner);
    tensor all = io[0], some[3] = { op_takerows(cx, all, cut->rows, cut->nrows) };
    for (int i = cut->first; i < cut->end; i++) nn_block(cx, single_block, &m->singles[i], some, 1, kept);
    io[0] = op_takerows(cx, op_catrows(cx, all, some[0]), cut->back, all.rows);
}

tensor dit_forward(nn *cx, const dit *m, const dit_batch *b)
{
    const dit_config *c = &m->config;
    tensor temb = embed_time(cx, m, b);
    probe(b, cx, temb, "temb", 0);
    block_env env = { m, b, op_silu(cx, temb), c->heads };
    const block_env *kept = nn_keep(cx, &env, sizeof env); /* blocks may run again on the way back */
    if (!kept) return temb;

    tensor io[4] = { op_linear(cx, b->text, &m->text_in), op_linear(cx, b->tokens, &m->x_in) };
    if (b->cond.p) io[1] = op_add(cx, io[1], b->cond);
    for (int i = 0; i < c->layers; i++) {
        int looks = places(cx, b, io, 2);
        nn_block(cx, double_block, &m->doubles[i], io, 2 + looks, kept);
        keep_looks(b, i, io + 2);
        probe(b, cx, io[0], "double.%d.txt", i);
        probe(b, cx, io[1], "double.%d.img", i);
    }
    int ntext = io[0].rows, nimage = io[1].rows, first = b->cut ? b->cut->first : c->single_layers;
    io[0] = op_catrows(cx, io[0], io[1]);
    run_singles(cx, m, kept, io, 0, first);
    if (b->cut) {
        run_short(cx, m, kept, io);
        run_singles(cx, m, kept, io, b->cut->end, c->single_layers);
    }
    tensor e = modulate(cx, &env, &m->norm_out, norm_out_at(m));           /* scale, then shift (spec 1.3) */
    int d = e.cols / 2;
    modulation out = { .scale = tensor_cols(e, 0, d), .shift = tensor_cols(e, d, d) };
    return op_linear(cx, op_adaln(cx, tensor_rows(io[0], ntext, nimage), out, b->img), &m->proj_out);
}

/* ---- tables ---- */

int dit_mod_cols(const dit_config *c) { return (c->layers * 12 + c->single_layers * 3 + 2) * c->heads * c->head_dim; }

/* One layer's modulations into every row of the table. */
static void tabulate(nn *cx, const weight *mod, tensor vec, int at, int cols, float *table)
{
    tensor o = op_linear(cx, vec, mod);
    for (int r = 0; r < o.rows && nn_ok(cx); r++) tensor_read(cx, tensor_rows(o, r, 1), table + (size_t)r * (size_t)cols + (size_t)(at * vec.cols));
}

void dit_modulations(nn *cx, const dit *m, const dit_batch *b, float *table)
{
    int cols = dit_mod_cols(&m->config);
    tensor vec = op_silu(cx, embed_time(cx, m, b));
    for (int i = 0; i < m->config.layers; i++) {
        const dit_double *w = &m->doubles[i];
        tabulate(cx, &w->txt.mod, vec, double_at(m, w, 0), cols, table);
        tabulate(cx, &w->img.mod, vec, double_at(m, w, 1), cols, table);
    }
    for (int i = 0; i < m->config.single_layers; i++) tabulate(cx, &m->singles[i].mod, vec, single_at(m, &m->singles[i]), cols, table);
    tabulate(cx, &m->norm_out, vec, norm_out_at(m), cols, table);
}

void dit_sinusoid(float s, float out[256])
{
    for (int k = 0; k < 128; k++) {
        float f = expf(-9.210340371976184f * (float)k / 128.0f); /* ln(10000) */
        out[k] = cosf(s * f);
        out[128 + k] = sinf(s * f);
    }
}

void dit_rope(const dit_config *c, const int32_t (*pos)[3], int n, float *cos_table, float *sin_table)
{
    for (int t = 0; t < n; t++)
        for (int axis = 0; axis < 3; axis++)
            for (int j = 0; j < c->rope_axes[axis] / 2; j++) {
                double angle = pos[t][axis] * pow(10000.0, -2.0 * j / c->rope_axes[axis]);
                *cos_table++ = (float)cos(angle);
                *sin_table++ = (float)sin(angle);
            }
}
