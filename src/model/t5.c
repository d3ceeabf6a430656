/* t5.c - the T5 v1.1 encoder: RMSNorm, attention with a relative bias and no scaling, gated GELU (spec 6.3). */
#include "model/t5.h"
#include "base/mem.h"
#include "model/build.h"

typedef struct block_env { const t5 *m; layout l; } block_env;

/* io: x [rows, width] */
static void block(nn *cx, const void *weights, tensor *io, int n, const void *environment)
{
    const t5_block *w = weights;
    const block_env *env = environment;
    const t5_config *c = &env->m->config;
    attention_opts o = { .heads = c->heads, .scale = 1, .relbias = &env->m->relbias, .max_distance = c->max_distance };
    (void)n;

    tensor h = op_rmsnorm(cx, io[0], w->norm1, c->eps);
    tensor a = op_attention(cx, op_linear(cx, h, &w->q), op_linear(cx, h, &w->k), op_linear(cx, h, &w->v), env->l, o);
    tensor x = op_add(cx, io[0], op_linear(cx, a, &w->o));

    h = op_rmsnorm(cx, x, w->norm2, c->eps);
    tensor u = op_gelu(cx, op_linear(cx, h, &w->wi0));
    if (c->gated) u = op_mul(cx, u, op_linear(cx, h, &w->wi1));
    io[0] = op_add(cx, x, op_linear(cx, u, &w->wo));
}

tensor t5_encode(nn *cx, const t5 *m, const int32_t *ids, layout l)
{
    const block_env *env = nn_keep(cx, &(block_env){ m, l }, sizeof *env);
    int rows = 0;
    for (int i = 0; i < l.nspans; i++) rows += l.spans[i].rows;
    tensor x = op_embed(cx, ids, rows, &m->embed);
    for (int i = 0; i < m->config.layers; i++) nn_block(cx, block, &m->blocks[i], &x, 1, env);
    return op_rmsnorm(cx, x, m->norm, m->config.eps);
}

/* ---- shapes and names (spec 6.2) ---- */

t5 *t5_new(const t5_config *c)
{
    int inner = c->heads * c->head_dim;
    t5 *m = mem_calloc(1, sizeof *m);
    if (!m) return NULL;
    m->config = *c;
    m->blocks = mem_calloc((size_t)c->layers, sizeof *m->blocks);
    if (!m->blocks) {
        t5_free(m);
        return NULL;
    }
    weight_shape(&m->embed, "shared", c->width, c->vocab, 1);
    weight_shape(&m->relbias, "relative_attention_bias", c->heads, c->buckets, 1);
    vec_shape(&m->norm, c->width);
    for (int i = 0; i < c->layers; i++) {
        t5_block *b = &m->blocks[i];
        weight_shape(&b->q, "SelfAttention.q", c->width, inner, 1);
        weight_shape(&b->k, "SelfAttention.k", c->width, inner, 1);
        weight_shape(&b->v, "SelfAttention.v", c->width, inner, 1);
        weight_shape(&b->o, "SelfAttention.o", inner, c->width, 1);
        weight_shape(&b->wi0, "DenseReluDense.wi_0", c->width, c->ff, 1);
        if (c->gated) weight_shape(&b->wi1, "DenseReluDense.wi_1", c->width, c->ff, 1);
        weight_shape(&b->wo, "DenseReluDense.wo", c->ff, c->width, 1);
        vec_shape(&b->norm1, c->width);
        vec_shape(&b->norm2, c->width);
    }
    return m;
}

void t5_free(t5 *m)
{
    if (!m) return;
    mem_free(m->blocks);
    mem_free(m);
}

bool t5_replace_rows(t5 *m, int first, int n, const float *rows)
{
    weight *w = &m->embed;
    const weight_part whole = w->part[0];
    int after = first + n;
    if (w->nparts != 1 || first < 0 || after > whole.rows) return false;
    w->nparts = 2 + (after < whole.rows);
    w->part[0].rows = first;
    w->part[1] = (weight_part){ .rows = n, .type = DT_F32, .data = rows, .held = true };
    w->part[2] = whole;
    w->part[2].rows = whole.rows - after;
    if (whole.data) w->part[2].data = (const char *)whole.data + dtype_nbytes_of(whole.type, (size_t)after * (size_t)w->in);
    if (whole.row_scale) w->part[2].row_scale = whole.row_scale + after;
    return true;
}

void t5_visit(t5 *m, param_visitor visit, void *user)
{
    visitor v = { visit, user };
    visit_weight(&v, &m->embed, 0, false, "shared");
    visit_weight(&v, &m->relbias, 0, false, "encoder.block.0.layer.0.SelfAttention.relative_attention_bias");
    for (int i = 0; i < m->config.layers; i++) {
        t5_block *b = &m->blocks[i];
        visit_vec(&v, &b->norm1, "encoder.block.%d.layer.0.layer_norm.weight", i);
        visit_weight(&v, &b->q, 0, false, "encoder.block.%d.layer.0.SelfAttention.q", i);
        visit_weight(&v, &b->k, 0, false, "encoder.block.%d.layer.0.SelfAttention.k", i);
        visit_weight(&v, &b->v, 0, false, "encoder.block.%d.layer.0.SelfAttention.v", i);
        visit_weight(&v, &b->o, 0, false, "encoder.block.%d.layer.0.SelfAttention.o", i);
        visit_vec(&v, &b->norm2, "encoder.block.%d.layer.1.layer_norm.weight", i);
        visit_weight(&v, &b->wi0, 0, false,
                     m->config.gated ? "encoder.block.%d.layer.1.DenseReluDense.wi_0" : "encoder.block.%d.layer.1.DenseReluDense.wi", i);
        if (m->config.gated) visit_weight(&v, &b->wi1, 0, false, "encoder.block.%d.layer.1.DenseReluDense.wi_1", i);
        visit_weight(&v, &b->wo, 0, false, "encoder.block.%d.layer.1.DenseReluDense.wo", i);
    }
    visit_vec(&v, &m->norm, "encoder.final_layer_norm.weight");
}
