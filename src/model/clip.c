/* clip.c - the CLIP text encoder: pre-norm layers, causal attention; the first end token's row is the result (spec 5.3). */
#include "model/clip.h"
#include "base/mem.h"
#include "model/build.h"

typedef struct block_env { const clip *m; layout l; } block_env;

/* io: h [rows, width] */
static void layer(nn *cx, const void *weights, tensor *io, int n, const void *environment)
{
    const clip_layer *w = weights;
    const block_env *env = environment;
    const clip_config *c = &env->m->config;
    (void)n;

    tensor u = op_layernorm(cx, io[0], w->norm1_gain, w->norm1_bias, c->eps);
    tensor a = op_attention(cx, op_linear(cx, u, &w->q), op_linear(cx, u, &w->k), op_linear(cx, u, &w->v), env->l,
                            (attention_opts){ .heads = c->heads, .causal = true });
    tensor h = op_add(cx, io[0], op_linear(cx, a, &w->o));

    u = op_linear(cx, op_layernorm(cx, h, w->norm2_gain, w->norm2_bias, c->eps), &w->fc1);
    u = c->quick_gelu ? op_quickgelu(cx, u) : op_gelu(cx, u);
    io[0] = op_add(cx, h, op_linear(cx, u, &w->fc2));
}

/* A token's place in its sample: the row of the position table. */
static const int32_t *places(nn *cx, const clip *m, layout l, int rows)
{
    int32_t *at = nn_keep(cx, NULL, (size_t)rows * sizeof *at);
    for (int i = 0; i < l.nspans && nn_ok(cx); i++) {
        nn_require(cx, l.spans[i].rows <= m->config.positions, "clip: a sample of %d tokens, at most %d positions",
                   l.spans[i].rows, m->config.positions);
        for (int t = 0; t < l.spans[i].rows && nn_ok(cx); t++) at[l.spans[i].start + t] = t;
    }
    return at;
}

tensor clip_encode(nn *cx, const clip *m, const int32_t *ids, layout l, const int *end)
{
    const block_env *env = nn_keep(cx, &(block_env){ m, l }, sizeof *env);
    int rows = 0;
    for (int i = 0; i < l.nspans; i++) rows += l.spans[i].rows;
    tensor h = op_add(cx, op_embed(cx, ids, rows, &m->embed), op_embed(cx, places(cx, m, l, rows), rows, &m->position));
    for (int i = 0; i < m->config.layers; i++) nn_block(cx, layer, &m->layers[i], &h, 1, env);
    h = op_layernorm(cx, h, m->norm_gain, m->norm_bias, m->config.eps);
    tensor pooled = tensor_rows(h, end[0], 1);
    for (int s = 1; s < l.samples; s++) pooled = op_catrows(cx, pooled, tensor_rows(h, end[s], 1));
    return pooled;
}

/* ---- shapes and names (spec 5.2) ---- */

clip *clip_new(const clip_config *c)
{
    int d = c->width;
    clip *m = mem_calloc(1, sizeof *m);
    if (!m) return NULL;
    m->config = *c;
    m->layers = mem_calloc((size_t)c->layers, sizeof *m->layers);
    if (!m->layers) {
        clip_free(m);
        return NULL;
    }
    weight_shape(&m->embed, "token_embedding", d, c->vocab, 1);
    weight_shape(&m->position, "position_embedding", d, c->positions, 1);
    vec_shape(&m->norm_gain, d);
    vec_shape(&m->norm_bias, d);
    for (int i = 0; i < c->layers; i++) {
        clip_layer *w = &m->layers[i];
        weight_shape(&w->q, "self_attn.q_proj", d, d, 1);
        weight_shape(&w->k, "self_attn.k_proj", d, d, 1);
        weight_shape(&w->v, "self_attn.v_proj", d, d, 1);
        weight_shape(&w->o, "self_attn.out_proj", d, d, 1);
        weight_shape(&w->fc1, "mlp.fc1", d, c->ff, 1);
        weight_shape(&w->fc2, "mlp.fc2", c->ff, d, 1);
        vec_shape(&w->norm1_gain, d);
        vec_shape(&w->norm1_bias, d);
        vec_shape(&w->norm2_gain, d);
        vec_shape(&w->norm2_bias, d);
    }
    return m;
}

void clip_free(clip *m)
{
    if (!m) return;
    mem_free(m->layers);
    mem_free(m);
}

void clip_visit(clip *m, param_visitor visit, void *user)
{
    visitor v = { visit, user };
    visit_weight(&v, &m->embed, 0, false, "text_model.embeddings.token_embedding");
    visit_weight(&v, &m->position, 0, false, "text_model.embeddings.position_embedding");
    for (int i = 0; i < m->config.layers; i++) {
        clip_layer *w = &m->layers[i];
        visit_vec(&v, &w->norm1_gain, "text_model.encoder.layers.%d.layer_norm1.weight", i);
        visit_vec(&v, &w->norm1_bias, "text_model.encoder.layers.%d.layer_norm1.bias", i);
        visit_weight(&v, &w->q, 0, true, "text_model.encoder.layers.%d.self_attn.q_proj", i);
        visit_weight(&v, &w->k, 0, true, "text_model.encoder.layers.%d.self_attn.k_proj", i);
        visit_weight(&v, &w->v, 0, true, "text_model.encoder.layers.%d.self_attn.v_proj", i);
        visit_weight(&v, &w->o, 0, true, "text_model.encoder.layers.%d.self_attn.out_proj", i);
        visit_vec(&v, &w->norm2_gain, "text_model.encoder.layers.%d.layer_norm2.weight", i);
        visit_vec(&v, &w->norm2_bias, "text_model.encoder.layers.%d.layer_norm2.bias", i);
        visit_weight(&v, &w->fc1, 0, true, "text_model.encoder.layers.%d.mlp.fc1", i);
        visit_weight(&v, &w->fc2, 0, true, "text_model.encoder.layers.%d.mlp.fc2", i);
    }
    visit_vec(&v, &m->norm_gain, "text_model.final_layer_norm.weight");
    visit_vec(&v, &m->norm_bias, "text_model.final_layer_norm.bias");
}
