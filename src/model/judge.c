/* judge.c - trunk and heads.  Norms are a cell's own: what stands beside a thing may not change what it is taken for by more than the
 * convolutions reach. */
#include "model/judge.h"
#include "base/mem.h"
#include "model/build.h"

#define EPS 1e-5f

const char *const judge_head_names[JUDGE_HEADS] = { "thing", "person", "style", "garment" };

static tensor conv(nn *cx, const judge_conv *w, tensor x, grid g, int stride)
{
    if (w->gain.n) x = op_silu(cx, op_layernorm(cx, x, w->gain, w->bias, EPS));
    return op_conv2d(cx, x, g, &w->conv, stride);
}

tensor judge_cells(nn *cx, const judge *m, tensor x, grid g)
{
    const judge_config *c = &m->config;
    for (int i = 0; i < c->levels; i++) {
        const judge_level *l = &m->level[i];
        x = conv(cx, &l->down, x, g, 2);
        g = (grid){ g.n, g.h / 2, g.w / 2 };
        for (int k = 0; k < c->blocks[i]; k++) x = op_add(cx, x, conv(cx, &l->block[k], x, g, 1));
    }
    x = op_silu(cx, op_layernorm(cx, x, m->gain, m->bias, EPS));
    x = op_silu(cx, op_linear(cx, x, &m->hidden));
    return op_catcols(cx, op_linear(cx, x, &m->heads), op_linear(cx, x, &m->labels));
}

int judge_cell(const judge_config *c) { return 1 << c->levels; }
int judge_columns(const judge_config *c) { return JUDGE_HEADS * c->embed + c->labels; }

static void conv_shape(judge_conv *w, const char *name, int in, int out, bool norm)
{
    if (norm) {
        vec_shape(&w->gain, in);
        vec_shape(&w->bias, in);
    }
    weight_shape(&w->conv, name, in, out, 3);
}

judge *judge_new(const judge_config *c)
{
    judge *m = mem_calloc(1, sizeof *m);
    if (!m) return NULL;
    m->config = *c;
    int in = 3;
    for (int i = 0; i < c->levels; i++) {
        judge_level *l = &m->level[i];
        conv_shape(&l->down, "judge down", in, c->channels[i], i > 0);
        in = c->channels[i];
        for (int k = 0; k < c->blocks[i]; k++) conv_shape(&l->block[k], "judge block", in, in, true);
    }
    vec_shape(&m->gain, in);
    vec_shape(&m->bias, in);
    weight_shape(&m->hidden, "judge hidden", in, c->hidden, 1);
    weight_shape(&m->heads, "judge heads", c->hidden, c->embed, 1);
    for (int k = 1; k < JUDGE_HEADS; k++) weight_part_add(&m->heads, c->embed);
    weight_shape(&m->labels, "judge labels", c->hidden, c->labels, 1);
    return m;
}

void judge_free(judge *m) { mem_free(m); }

static void visit_norm_conv(const visitor *v, judge_conv *w, int level, const char *what, int k)
{
    if (w->gain.n) {
        visit_vec(v, &w->gain, "levels.%d.%s.%d.norm.weight", level, what, k);
        visit_vec(v, &w->bias, "levels.%d.%s.%d.norm.bias", level, what, k);
    }
    visit_conv(v, &w->conv, "levels.%d.%s.%d.conv", level, what, k);
}

void judge_visit(judge *m, param_visitor visit, void *user)
{
    visitor v = { visit, user };
    for (int i = 0; i < m->config.levels; i++) {
        visit_norm_conv(&v, &m->level[i].down, i, "down", 0);
        for (int k = 0; k < m->config.blocks[i]; k++) visit_norm_conv(&v, &m->level[i].block[k], i, "block", k);
    }
    visit_vec(&v, &m->gain, "norm.weight");
    visit_vec(&v, &m->bias, "norm.bias");
    visit_weight(&v, &m->hidden, 0, true, "hidden");
    for (int k = 0; k < JUDGE_HEADS; k++) visit_weight(&v, &m->heads, k, true, "heads.%s", judge_head_names[k]);
    visit_weight(&v, &m->labels, 0, true, "labels");
}
