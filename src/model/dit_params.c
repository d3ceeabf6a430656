/* dit_params.c - the transformer's shapes and its file names (diffusers layout, spec 1.2). */
#include "base/mem.h"
#include "model/build.h"
#include "model/dit.h"

#define MLP_RATIO 4

static void stream_shape(dit_stream *s, int d, int head_dim)
{
    weight_shape(&s->mod, "norm1.linear", d, 6 * d, 1);
    weight_shape(&s->qkv, "attention q, k, v", d, d, 1);
    weight_part_add(&s->qkv, d);
    weight_part_add(&s->qkv, d);
    weight_shape(&s->proj, "attention out", d, d, 1);
    weight_shape(&s->mlp_in, "ff.net.0.proj", d, MLP_RATIO * d, 1);
    weight_shape(&s->mlp_out, "ff.net.2", MLP_RATIO * d, d, 1);
    vec_shape(&s->qnorm, head_dim);
    vec_shape(&s->knorm, head_dim);
}

static void single_shape(dit_single *s, int d, int head_dim)
{
    weight_shape(&s->mod, "norm.linear", d, 3 * d, 1);
    weight_shape(&s->in, "q, k, v, mlp", d, d, 1);
    weight_part_add(&s->in, d);
    weight_part_add(&s->in, d);
    weight_part_add(&s->in, MLP_RATIO * d);
    weight_shape(&s->out, "proj_out", (1 + MLP_RATIO) * d, d, 1);
    vec_shape(&s->qnorm, head_dim);
    vec_shape(&s->knorm, head_dim);
}

static void embedder_shape(mlp_embedder *e, const char *name, int in, int d)
{
    weight_shape(&e->in, name, in, d, 1);
    weight_shape(&e->out, name, d, d, 1);
}

dit *dit_new(const dit_config *c)
{
    int d = c->heads * c->head_dim;
    dit *m = mem_calloc(1, sizeof *m);
    if (!m) return NULL;
    m->config = *c;
    m->doubles = mem_calloc((size_t)c->layers, sizeof *m->doubles);
    m->singles = mem_calloc((size_t)c->single_layers, sizeof *m->singles);
    if (!m->doubles || !m->singles) {
        dit_free(m);
        return NULL;
    }
    weight_shape(&m->x_in, "x_embedder", c->in_channels, d, 1);
    weight_shape(&m->text_in, "context_embedder", c->text_dim, d, 1);
    embedder_shape(&m->time_in, "timestep_embedder", 256, d);
    if (c->guidance) embedder_shape(&m->guidance_in, "guidance_embedder", 256, d);
    embedder_shape(&m->pooled_in, "text_embedder", c->pooled_dim, d);
    for (int i = 0; i < c->layers; i++) {
        stream_shape(&m->doubles[i].img, d, c->head_dim);
        stream_shape(&m->doubles[i].txt, d, c->head_dim);
    }
    for (int i = 0; i < c->single_layers; i++) single_shape(&m->singles[i], d, c->head_dim);
    weight_shape(&m->norm_out, "norm_out.linear", d, 2 * d, 1);
    weight_shape(&m->proj_out, "proj_out", d, c->out_channels, 1);
    return m;
}

void dit_free(dit *m)
{
    if (!m) return;
    mem_free(m->doubles);
    mem_free(m->singles);
    mem_free(m);
}

dtype dit_type(const dit *m)
{
    const dit_config *c = &m->config;
    return c->single_layers ? m->singles[0].out.part[0].type : c->layers ? m->doubles[0].img.proj.part[0].type : m->x_in.part[0].type;
}

static void visit_embedder(const visitor *v, mlp_embedder *e, const char *name)
{
    visit_weight(v, &e->in, 0, true, "time_text_embed.%s.linear_1", name);
    visit_weight(v, &e->out, 0, true, "time_text_embed.%s.linear_2", name);
}

/* The two streams differ in names only. */
static void visit_stream(const visitor *v, dit_stream *s, int i, bool txt)
{
    static const char *const qkv[2][3] = { { "to_q", "to_k", "to_v" }, { "add_q_proj", "add_k_proj", "add_v_proj" } };
    visit_weight(v, &s->mod, 0, true, "transformer_blocks.%d.%s.linear", i, txt ? "norm1_context" : "norm1");
    for (int part = 0; part < 3; part++) visit_weight(v, &s->qkv, part, true, "transformer_blocks.%d.attn.%s", i, qkv[txt][part]);
    visit_vec(v, &s->qnorm, "transformer_blocks.%d.attn.%s.weight", i, txt ? "norm_added_q" : "norm_q");
    visit_vec(v, &s->knorm, "transformer_blocks.%d.attn.%s.weight", i, txt ? "norm_added_k" : "norm_k");
    visit_weight(v, &s->proj, 0, true, "transformer_blocks.%d.attn.%s", i, txt ? "to_add_out" : "to_out.0");
    visit_weight(v, &s->mlp_in, 0, true, "transformer_blocks.%d.%s.net.0.proj", i, txt ? "ff_context" : "ff");
    visit_weight(v, &s->mlp_out, 0, true, "transformer_blocks.%d.%s.net.2", i, txt ? "ff_context" : "ff");
}

static void visit_single(const visitor *v, dit_single *s, int i)
{
    static const char *const in[4] = { "attn.to_q", "attn.to_k", "attn.to_v", "proj_mlp" };
    visit_weight(v, &s->mod, 0, true, "single_transformer_blocks.%d.norm.linear", i);
    for (int part = 0; part < 4; part++) visit_weight(v, &s->in, part, true, "single_transformer_blocks.%d.%s", i, in[part]);
    visit_vec(v, &s->qnorm, "single_transformer_blocks.%d.attn.norm_q.weight", i);
    visit_vec(v, &s->knorm, "single_transformer_blocks.%d.attn.norm_k.weight", i);
    visit_weight(v, &s->out, 0, true, "single_transformer_blocks.%d.proj_out", i);
}

void dit_visit(dit *m, param_visitor visit, void *user)
{
    visitor v = { visit, user };
    visit_weight(&v, &m->x_in, 0, true, "x_embedder");
    visit_weight(&v, &m->text_in, 0, true, "context_embedder");
    visit_embedder(&v, &m->time_in, "timestep_embedder");
    if (m->config.guidance) visit_embedder(&v, &m->guidance_in, "guidance_embedder");
    visit_embedder(&v, &m->pooled_in, "text_embedder");
    for (int i = 0; i < m->config.layers; i++) {
        visit_stream(&v, &m->doubles[i].img, i, false);
        visit_stream(&v, &m->doubles[i].txt, i, true);
    }
    for (int i = 0; i < m->config.single_layers; i++) visit_single(&v, &m->singles[i], i);
    visit_weight(&v, &m->norm_out, 0, true, "norm_out.linear");
    visit_weight(&v, &m->proj_out, 0, true, "proj_out");
}
