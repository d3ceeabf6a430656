/* swin.c - blocks, merging, features. */
#include "model/swin.h"
#include <stdio.h>
#include "model/build.h"

#define EPS 1e-5f

typedef struct block_env { grid g; swin m; } block_env;

/* x += proj(attention(LN(x))), each window for itself.  What fills windows up is zero after the norm: its q, k and v are the bias (spec 2.3). */
static void attention(nn *cx, const void *weights, tensor *io, int n, const void *environment)
{
    const swin_block *w = weights;
    const block_env *e = environment;
    (void)n;
    tensor qkv = op_linear(cx, op_layernorm(cx, io[0], w->norm1_gain, w->norm1_bias, EPS), &w->qkv);
    vec fill = { .n = w->qkv.out, .p = w->qkv.part[0].bias };
    io[0] = op_add(cx, io[0], op_linear(cx, op_windowattention(cx, qkv, e->g, e->m, fill, w->table), &w->proj));
}

static void mlp(nn *cx, const void *weights, tensor *io, int n, const void *environment)
{
    const swin_block *w = weights;
    (void)n, (void)environment;
    tensor h = op_linear(cx, op_layernorm(cx, io[0], w->norm2_gain, w->norm2_bias, EPS), &w->fc1);
    io[0] = op_add(cx, io[0], op_linear(cx, op_activate(cx, h, ACT_GELU_ERF), &w->fc2));
}

/* Each 2 x 2 cell becomes one pixel: (even row, even column), (odd, even), (even, odd), (odd, odd), side by side. */
static tensor cells(nn *cx, tensor x, grid g)
{
    int h = g.h / 2, w = g.w / 2, cells_n = g.n * h * w;
    tensor part[4];
    for (int k = 0; k < 4; k++) {
        int32_t *ids = nn_keep(cx, NULL, (size_t)cells_n * sizeof *ids);
        if (!ids) return (tensor){ 0 };
        for (int i = 0; i < cells_n; i++) ids[i] = (i / (h * w) * g.h + 2 * (i / w % h) + k % 2) * g.w + 2 * (i % w) + k / 2;
        part[k] = op_takerows(cx, x, ids, cells_n);
    }
    return op_catcols(cx, op_catcols(cx, part[0], part[1]), op_catcols(cx, part[2], part[3]));
}

typedef struct merge_env { tensor x; grid g; } merge_env;

static void merge(nn *cx, const void *weights, tensor *io, int n, const void *environment)
{
    const swin_stage *w = weights;
    const merge_env *e = environment;
    (void)n;
    io[0] = op_linear(cx, op_layernorm(cx, cells(cx, e->x, e->g), w->merge_gain, w->merge_bias, EPS), &w->merge);
}

void swin_run(nn *cx, const swin_net *m, tensor x, grid g, tensor out[SWIN_FEATURES])
{
    const swin_config *c = &m->config;
    out[0] = x = op_layernorm(cx, x, m->patch_gain, m->patch_bias, EPS);
    for (int i = 0; i < SWIN_STAGES; i++) {
        const swin_stage *s = &m->stage[i];
        for (int d = 0; d < c->depths[i]; d++) {
            block_env e = { g, { c->window, d % 2 ? c->window / 2 : 0, c->heads[i] } };
            nn_block(cx, attention, &s->block[d], &x, 1, &e);
            nn_block(cx, mlp, &s->block[d], &x, 1, &e);
        }
        out[i + 1] = op_layernorm(cx, x, s->gain, s->bias, EPS);
        if (i + 1 == SWIN_STAGES) break;
        merge_env e = { x, g };
        tensor y = { .rows = x.rows / 4, .cols = s->merge.out, .ld = s->merge.out };
        nn_block(cx, merge, s, &y, 1, &e);
        x = y;
        g = (grid){ g.n, g.h / 2, g.w / 2 };
    }
}

void swin_shape(swin_net *m, const swin_config *c)
{
    int span = 2 * c->window - 1;
    m->config = *c;
    weight_shape(&m->patch, "swin patch_embed", 3, c->embed, 4);
    vec_shape(&m->patch_gain, c->embed);
    vec_shape(&m->patch_bias, c->embed);
    for (int i = 0; i < SWIN_STAGES; i++) {
        swin_stage *s = &m->stage[i];
        int d = c->embed << i;
        for (int k = 0; k < c->depths[i]; k++) {
            swin_block *b = &s->block[k];
            vec *vecs[] = { &b->norm1_gain, &b->norm1_bias, &b->norm2_gain, &b->norm2_bias };
            for (int v = 0; v < 4; v++) vec_shape(vecs[v], d);
            vec_shape(&b->table, span * span * c->heads[i]);
            weight_shape(&b->qkv, "swin qkv", d, 3 * d, 1);
            weight_shape(&b->proj, "swin proj", d, d, 1);
            weight_shape(&b->fc1, "swin fc1", d, 4 * d, 1);
            weight_shape(&b->fc2, "swin fc2", 4 * d, d, 1);
        }
        vec_shape(&s->gain, d);
        vec_shape(&s->bias, d);
        if (i + 1 == SWIN_STAGES) continue;
        vec_shape(&s->merge_gain, 4 * d);
        vec_shape(&s->merge_bias, 4 * d);
        weight_shape(&s->merge, "swin downsample", 4 * d, 2 * d, 1);
    }
}

static void visit_norm(const visitor *v, vec *gain, vec *bias, const char *at, const char *name)
{
    visit_vec(v, gain, "%s%s.weight", at, name);
    visit_vec(v, bias, "%s%s.bias", at, name);
}

static void visit_block(const visitor *v, swin_block *b, const char *at, int heads)
{
    param table = { .rank = 2, .shape = { b->table.n / heads, heads }, .fp32 = &b->table.p, .grad = &b->table.grad };
    snprintf(table.name, sizeof table.name, "%sattn.relative_position_bias_table", at);
    visit_norm(v, &b->norm1_gain, &b->norm1_bias, at, "norm1");
    v->visit(v->user, &table);
    visit_weight(v, &b->qkv, 0, true, "%sattn.qkv", at);
    visit_weight(v, &b->proj, 0, true, "%sattn.proj", at);
    visit_norm(v, &b->norm2_gain, &b->norm2_bias, at, "norm2");
    visit_weight(v, &b->fc1, 0, true, "%smlp.fc1", at);
    visit_weight(v, &b->fc2, 0, true, "%smlp.fc2", at);
}

void swin_visit(swin_net *m, param_visitor visit, void *user, const char *at)
{
    visitor v = { visit, user };
    char name[96];
    visit_conv(&v, &m->patch, "%spatch_embed.proj", at);
    visit_norm(&v, &m->patch_gain, &m->patch_bias, at, "patch_embed.norm");
    for (int i = 0; i < SWIN_STAGES; i++) {
        swin_stage *s = &m->stage[i];
        for (int d = 0; d < m->config.depths[i]; d++) {
            snprintf(name, sizeof name, "%slayers.%d.blocks.%d.", at, i, d);
            visit_block(&v, &s->block[d], name, m->config.heads[i]);
        }
        if (s->merge.out) {
            snprintf(name, sizeof name, "%slayers.%d.downsample.", at, i);
            visit_weight(&v, &s->merge, 0, false, "%sreduction", name);
            visit_norm(&v, &s->merge_gain, &s->merge_bias, name, "norm");
        }
        snprintf(name, sizeof name, "norm%d", i);
        visit_norm(&v, &s->gain, &s->bias, at, name);
    }
}
