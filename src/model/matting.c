/* matting.c - down, around, up.  GroupNorm sees the whole picture, so a pixel's channels are measured against all others. */
#include "model/matting.h"
#include "base/mem.h"
#include "model/build.h"

#define EPS 1e-5f

static group_norm norm(const matting *m, vec gain, vec bias) { return (group_norm){ m->config.groups, EPS, gain, bias }; }

static tensor conv(nn *cx, const matting *m, const matting_conv *w, tensor x, grid g, int stride)
{
    return op_conv_step(cx, x, g, (conv_step){ .w = &w->conv, .stride = stride, .norm = w->gain.n ? norm(m, w->gain, w->bias) : (group_norm){ 0 } });
}

static tensor residual(nn *cx, const matting *m, const matting_conv *w, tensor x, grid g)
{
    return op_conv_step(cx, x, g, (conv_step){ .w = &w->conv, .stride = 1, .norm = norm(m, w->gain, w->bias), .beside = x });
}

/* Each cell of a picture looks at all others, then thinks about what it saw. */
static tensor look_around(nn *cx, const matting *m, tensor x, grid g)
{
    int c = x.cols, cells = g.h * g.w;
    span *pictures = nn_keep(cx, NULL, (size_t)g.n * sizeof *pictures);
    for (int i = 0; nn_ok(cx) && i < g.n; i++) pictures[i] = (span){ i * cells, cells, i };
    tensor h = op_linear(cx, op_groupnorm(cx, x, g, m->config.groups, m->look_gain, m->look_bias, EPS, false), &m->qkv);
    h = op_attention(cx, tensor_cols(h, 0, c), tensor_cols(h, c, c), tensor_cols(h, 2 * c, c), (layout){ g.n, g.n, pictures },
                     (attention_opts){ .heads = m->config.heads });
    x = op_add(cx, x, op_linear(cx, h, &m->look));
    h = op_linear(cx, op_groupnorm(cx, x, g, m->config.groups, m->mlp_gain, m->mlp_bias, EPS, false), &m->mlp_in);
    return op_add(cx, x, op_linear(cx, op_silu(cx, h), &m->mlp_out));
}

tensor matting_logits(nn *cx, const matting *m, tensor x, grid g)
{
    const matting_config *c = &m->config;
    tensor seen[MATTING_MAX_LEVELS];
    x = op_pack2x2(cx, x, g);
    g = (grid){ g.n, g.h / 2, g.w / 2 };
    for (int i = 0; i < c->levels; i++) {
        x = conv(cx, m, &m->level[i].down, x, g, i ? 2 : 1);
        if (i) g = (grid){ g.n, g.h / 2, g.w / 2 };
        for (int k = 0; k < c->blocks[i]; k++) x = residual(cx, m, &m->level[i].block[k], x, g);
        seen[i] = x;
    }
    x = look_around(cx, m, x, g);
    for (int i = c->levels - 2; i >= 0; i--) {
        x = op_upsample2x(cx, op_linear(cx, x, &m->level[i].up), g);
        g = (grid){ g.n, 2 * g.h, 2 * g.w };
        x = op_add(cx, x, seen[i]);
        for (int k = 0; k < c->up_blocks[i]; k++) x = residual(cx, m, &m->level[i].up_block[k], x, g);
    }
    x = op_linear(cx, op_groupnorm(cx, x, g, c->groups, m->gain, m->bias, EPS, true), &m->head);
    return op_unpack2x2(cx, x, (grid){ g.n, 2 * g.h, 2 * g.w });
}

int matting_cell(const matting_config *c) { return 1 << c->levels; }

static void norm_shape(vec *gain, vec *bias, int n)
{
    vec_shape(gain, n);
    vec_shape(bias, n);
}

static void conv_shape(matting_conv *w, const char *name, int in, int out, bool with_norm)
{
    if (with_norm) norm_shape(&w->gain, &w->bias, in);
    weight_shape(&w->conv, name, in, out, 3);
}

matting *matting_new(const matting_config *c)
{
    matting *m = mem_calloc(1, sizeof *m);
    if (!m) return NULL;
    m->config = *c;
    int in = 12;
    for (int i = 0; i < c->levels; i++) {
        matting_level *l = &m->level[i];
        conv_shape(&l->down, "matting down", in, c->channels[i], i > 0);
        in = c->channels[i];
        for (int k = 0; k < c->blocks[i]; k++) conv_shape(&l->block[k], "matting block", in, in, true);
        if (i == c->levels - 1) break;
        weight_shape(&l->up, "matting up", c->channels[i + 1], in, 1);
        for (int k = 0; k < c->up_blocks[i]; k++) conv_shape(&l->up_block[k], "matting up block", in, in, true);
    }
    norm_shape(&m->look_gain, &m->look_bias, in);
    weight_shape(&m->qkv, "matting qkv", in, 3 * in, 1);
    weight_shape(&m->look, "matting look", in, in, 1);
    norm_shape(&m->mlp_gain, &m->mlp_bias, in);
    weight_shape(&m->mlp_in, "matting mlp in", in, 2 * in, 1);
    weight_shape(&m->mlp_out, "matting mlp out", 2 * in, in, 1);
    norm_shape(&m->gain, &m->bias, c->channels[0]);
    weight_shape(&m->head, "matting head", c->channels[0], 4, 1);
    return m;
}

void matting_free(matting *m) { mem_free(m); }

static void visit_norm_conv(const visitor *v, matting_conv *w, int level, const char *what, int k)
{
    if (w->gain.n) {
        visit_vec(v, &w->gain, "levels.%d.%s.%d.norm.weight", level, what, k);
        visit_vec(v, &w->bias, "levels.%d.%s.%d.norm.bias", level, what, k);
    }
    visit_conv(v, &w->conv, "levels.%d.%s.%d.conv", level, what, k);
}

static void visit_norm(const visitor *v, vec *gain, vec *bias, const char *name)
{
    visit_vec(v, gain, "%s.weight", name);
    visit_vec(v, bias, "%s.bias", name);
}

void matting_visit(matting *m, param_visitor visit, void *user)
{
    const matting_config *c = &m->config;
    visitor v = { visit, user };
    for (int i = 0; i < c->levels; i++) {
        visit_norm_conv(&v, &m->level[i].down, i, "down", 0);
        for (int k = 0; k < c->blocks[i]; k++) visit_norm_conv(&v, &m->level[i].block[k], i, "block", k);
        if (i == c->levels - 1) break;
        visit_weight(&v, &m->level[i].up, 0, true, "levels.%d.up", i);
        for (int k = 0; k < c->up_blocks[i]; k++) visit_norm_conv(&v, &m->level[i].up_block[k], i, "up_block", k);
    }
    visit_norm(&v, &m->look_gain, &m->look_bias, "attention.norm");
    visit_weight(&v, &m->qkv, 0, true, "attention.qkv");
    visit_weight(&v, &m->look, 0, true, "attention.out");
    visit_norm(&v, &m->mlp_gain, &m->mlp_bias, "mlp.norm");
    visit_weight(&v, &m->mlp_in, 0, true, "mlp.in");
    visit_weight(&v, &m->mlp_out, 0, true, "mlp.out");
    visit_norm(&v, &m->gain, &m->bias, "norm");
    visit_weight(&v, &m->head, 0, true, "head");
}
