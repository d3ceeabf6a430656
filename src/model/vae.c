/* vae.c - AutoencoderKL: resnets and one attention between a small latent and a picture (spec 4).
 *
 * Pictures are channels-last [n*h*w, channels]; 1x1 convolutions are linears, and nothing is ever transposed. */
#include "model/vae.h"
#include <stdio.h>
#include "base/mem.h"
#include "model/build.h"

#define EPS 1e-6f

/* Where a block reads from and, without a tape, where its middle and its result go: x on its grid, two places. */
typedef struct block_env { tensor x; grid g; int groups; tensor middle, result; } block_env;

static group_norm norm(const block_env *e, vec gain, vec bias) { return (group_norm){ e->groups, EPS, gain, bias }; }

/* out = shortcut(x) + conv2(silu(gn2(conv1(silu(gn1(x)))))) (spec 4.2). */
static void resnet(nn *cx, const void *weights, tensor *io, int n, const void *environment)
{
    const vae_resnet *w = weights;
    const block_env *e = environment;
    (void)n;
    tensor h = op_conv_step(cx, e->x, e->g, (conv_step){ .w = &w->conv1, .stride = 1, .norm = norm(e, w->norm1_gain, w->norm1_bias),
                                                         .into = e->middle });
    io[0] = op_conv_step(cx, h, e->g, (conv_step){ .w = &w->conv2, .stride = 1, .norm = norm(e, w->norm2_gain, w->norm2_bias), .beside = e->x,
                                                   .shortcut = w->shortcut.out ? &w->shortcut : NULL, .into = e->result });
}

/* Half the size: zeros on the right and at the bottom only (spec 4.4). */
static void downsample(nn *cx, const void *weights, tensor *io, int n, const void *environment)
{
    const block_env *e = environment;
    (void)n;
    io[0] = op_conv_step(cx, e->x, e->g, (conv_step){ .w = weights, .stride = 2, .into = e->result });
}

/* Twice the size: nearest neighbour, then a convolution. */
static void upsample(nn *cx, const void *weights, tensor *io, int n, const void *environment)
{
    const block_env *e = environment;
    (void)n;
    io[0] = op_conv_step(cx, e->x, e->g, (conv_step){ .w = weights, .stride = 1, .twice = true, .into = e->result });
}

/* Without a tape two places hold all that is as large as the picture.  x lies in one of them; a resnet's middle goes to the other, its
 * result to where x was; what has another size goes to the other place, and they change roles.  A level's pictures have `ld` channels
 * between pixels, enough for its widest.  With a tape every result is kept: there are no places. */
typedef struct rooms { tensor place[2]; int at, ld; } rooms;

static tensor room(const rooms *r, int which, int rows, int cols, int ld)
{
    return r->place[0].p ? (tensor){ .p = r->place[which].p, .rows = rows, .cols = cols, .ld = ld } : (tensor){ 0 };
}

/* Run one of the three as a block, so that with a tape only its result, `channels` wide on the grid `to`, keeps memory.  A result of
 * another shape than x has a place that nothing reads; x itself comes through the environment. */
static tensor run(nn *cx, nn_block_fn fn, const void *weights, block_env e, grid to, int channels)
{
    int rows = to.n * to.h * to.w;
    tensor y = rows == e.x.rows && channels == e.x.cols ? e.x : (tensor){ .rows = rows, .cols = channels, .ld = channels };
    if (e.result.p) fn(cx, weights, &y, 1, &e);
    else nn_block(cx, fn, weights, &y, 1, nn_keep(cx, &e, sizeof e));
    return y;
}

static tensor run_resnet(nn *cx, rooms *r, const vae_resnet *w, tensor x, grid g, int groups)
{
    int channels = w->conv2.out;
    return run(cx, resnet, w, (block_env){ x, g, groups, room(r, !r->at, x.rows, channels, channels), room(r, r->at, x.rows, channels, r->ld) },
               g, channels);
}

/* One head over all positions of a picture (spec 4.3). */
static void attention(nn *cx, const void *weights, tensor *io, int n, const void *environment)
{
    const vae_attention *w = weights;
    const block_env *e = environment;
    tensor h = op_groupnorm(cx, e->x, e->g, e->groups, w->norm_gain, w->norm_bias, EPS, false);
    span *pictures = nn_keep(cx, NULL, (size_t)e->g.n * sizeof *pictures);
    for (int i = 0; nn_ok(cx) && i < e->g.n; i++) pictures[i] = (span){ i * e->g.h * e->g.w, e->g.h * e->g.w, i };
    layout l = { e->g.n, e->g.n, pictures };
    (void)n;
    tensor a = op_attention(cx, op_linear(cx, h, &w->q), op_linear(cx, h, &w->k), op_linear(cx, h, &w->v), l,
                            (attention_opts){ .heads = 1 });
    io[0] = op_add(cx, e->x, op_linear(cx, a, &w->out));
}
static tensor middle(nn *cx, rooms *r, const vae_coder *w, const vae_config *c, tensor x, grid g)
{
    x = run_resnet(cx, r, &w->mid[0], x, g, c->groups);
    if (c->mid_attention)
        nn_block(cx, attention, &w->attention, &x, 1, nn_keep(cx, &(block_env){ .x = x, .g = g, .groups = c->groups }, sizeof(block_env)));
    return run_resnet(cx, r, &w->mid[1], x, g, c->groups);
}

/* The most channels that a picture of the level has between its resnets, and inside them. */
static int level_width(const vae_level *l) { return l->resnets[0].conv1.in > l->resnets[0].conv1.out ? l->resnets[0].conv1.in : l->resnets[0].conv1.out; }
static int level_inside(const vae_level *l) { return l->resnets[0].conv1.out; }

static grid scaled(grid g, bool up) { return up ? (grid){ g.n, 2 * g.h, 2 * g.w } : (grid){ g.n, g.h / 2, g.w / 2 }; }

/* Each place as large as its largest guest. */
static rooms rooms_new(nn *cx, const vae_coder *w, const vae_config *c, grid g, bool up)
{
    rooms r = { .ld = level_width(&w->level[0]) };
    int most[2][2] = { { 0 } };
    for (int i = 0; i < c->levels; i++, g = scaled(g, up))
        for (int k = 0; k < 2; k++) {
            int rows = g.n * g.h * g.w, cols = k ? level_inside(&w->level[i]) : level_width(&w->level[i]), *m = most[(i + k) % 2];
            if ((int64_t)rows * cols > (int64_t)m[0] * m[1]) m[0] = rows, m[1] = cols;
        }
    for (int k = 0; k < 2 && !nn_taping(cx); k++) r.place[k] = tensor_new(cx, most[k][0], most[k][1]);
    return r;
}

/* All levels, with half or twice the size between them. */
static tensor levels(nn *cx, rooms *r, const vae_coder *w, const vae_config *c, tensor x, grid *g, bool up)
{
    for (int i = 0; i < c->levels; i++) {
        const vae_level *l = &w->level[i];
        for (int j = 0; j < l->nresnets; j++) x = run_resnet(cx, r, &l->resnets[j], x, *g, c->groups);
        if (!l->sample.out) continue;
        grid to = scaled(*g, up);
        r->at = !r->at;
        r->ld = level_width(&w->level[i + 1]);
        block_env e = { .x = x, .g = *g, .groups = c->groups, .result = room(r, r->at, to.n * to.h * to.w, x.cols, r->ld) };
        x = run(cx, up ? upsample : downsample, &l->sample, e, to, x.cols);
        *g = to;
    }
    return x;
}

static tensor tail(nn *cx, rooms *r, const vae_coder *w, tensor x, grid g)
{
    int channels = w->conv_in.out;
    return op_conv_step(cx, x, g, (conv_step){ .w = &w->conv_in, .stride = 1, .into = room(r, 0, x.rows, channels, r->ld) });
}

static tensor head(nn *cx, const vae_coder *w, const vae_config *c, tensor x, grid g)
{
    group_norm last = { c->groups, EPS, w->norm_gain, w->norm_bias };
    return op_conv_step(cx, x, g, (conv_step){ .w = &w->conv_out, .stride = 1, .norm = last });
}

tensor vae_encode(nn *cx, const vae *m, tensor x, grid g)
{
    const vae_config *c = &m->config;
    const vae_coder *w = &m->encoder;
    rooms r = rooms_new(cx, w, c, g, false);
    x = levels(cx, &r, w, c, tail(cx, &r, w, x, g), &g, false);
    return head(cx, w, c, middle(cx, &r, w, c, x, g), g);
}

tensor vae_decode(nn *cx, const vae *m, tensor z, grid g)
{
    const vae_config *c = &m->config;
    const vae_coder *w = &m->decoder;
    rooms r = rooms_new(cx, w, c, g, true);
    tensor x = middle(cx, &r, w, c, tail(cx, &r, w, z, g), g);
    x = levels(cx, &r, w, c, x, &g, true);
    return head(cx, w, c, x, g);
}

int vae_factor(const vae_config *c) { return 1 << (c->levels - 1); }

/* ---- shapes ---- */

static void resnet_shape(vae_resnet *w, int in, int out)
{
    vec_shape(&w->norm1_gain, in);
    vec_shape(&w->norm1_bias, in);
    weight_shape(&w->conv1, "resnet conv1", in, out, 3);
    vec_shape(&w->norm2_gain, out);
    vec_shape(&w->norm2_bias, out);
    weight_shape(&w->conv2, "resnet conv2", out, out, 3);
    if (in != out) weight_shape(&w->shortcut, "resnet conv_shortcut", in, out, 1);
}

static void middle_shape(vae_coder *w, int d)
{
    resnet_shape(&w->mid[0], d, d);
    resnet_shape(&w->mid[1], d, d);
    vec_shape(&w->attention.norm_gain, d);
    vec_shape(&w->attention.norm_bias, d);
    weight_shape(&w->attention.q, "mid attention to_q", d, d, 1);
    weight_shape(&w->attention.k, "mid attention to_k", d, d, 1);
    weight_shape(&w->attention.v, "mid attention to_v", d, d, 1);
    weight_shape(&w->attention.out, "mid attention to_out", d, d, 1);
}

/* Levels in running order; the encoder goes up the list of channels, the decoder down. */
static bool coder_shape(vae_coder *w, const vae_config *c, bool encoder)
{
    int first = c->channels[encoder ? 0 : c->levels - 1], last = c->channels[encoder ? c->levels - 1 : 0];
    int deepest = c->channels[c->levels - 1], in = first, n = c->layers + (encoder ? 0 : 1);
    weight_shape(&w->conv_in, "conv_in", encoder ? c->image_channels : c->latent_channels, first, 3);
    for (int i = 0; i < c->levels; i++) {
        vae_level *l = &w->level[i];
        int out = c->channels[encoder ? i : c->levels - 1 - i];
        l->nresnets = n;
        l->resnets = mem_calloc((size_t)n, sizeof *l->resnets);
        if (!l->resnets) return false;
        for (int j = 0; j < n; j++) resnet_shape(&l->resnets[j], j ? out : in, out);
        if (i + 1 < c->levels) weight_shape(&l->sample, encoder ? "downsample conv" : "upsample conv", out, out, 3);
        in = out;
    }
    middle_shape(w, deepest);
    vec_shape(&w->norm_gain, last);
    vec_shape(&w->norm_bias, last);
    weight_shape(&w->conv_out, "conv_out", last, encoder ? 2 * c->latent_channels : c->image_channels, 3);
    return true;
}

vae *vae_new(const vae_config *c)
{
    vae *m = mem_calloc(1, sizeof *m);
    if (!m) return NULL;
    m->config = *c;
    if (!coder_shape(&m->encoder, c, true) || !coder_shape(&m->decoder, c, false)) {
        vae_free(m);
        return NULL;
    }
    return m;
}

void vae_free(vae *m)
{
    if (!m) return;
    for (int i = 0; i < VAE_MAX_LEVELS; i++) {
        mem_free(m->encoder.level[i].resnets);
        mem_free(m->decoder.level[i].resnets);
    }
    mem_free(m);
}

/* ---- names (diffusers layout, spec 4.7) ---- */

static void visit_resnet(const visitor *v, vae_resnet *w, const char *at)
{
    visit_vec(v, &w->norm1_gain, "%s.norm1.weight", at);
    visit_vec(v, &w->norm1_bias, "%s.norm1.bias", at);
    visit_conv(v, &w->conv1, "%s.conv1", at);
    visit_vec(v, &w->norm2_gain, "%s.norm2.weight", at);
    visit_vec(v, &w->norm2_bias, "%s.norm2.bias", at);
    visit_conv(v, &w->conv2, "%s.conv2", at);
    if (w->shortcut.out) visit_conv(v, &w->shortcut, "%s.conv_shortcut", at);
}

static void visit_coder(const visitor *v, vae_coder *w, const vae_config *c, const char *part, const char *blocks,
                        const char *sampler)
{
    char at[96];
    visit_conv(v, &w->conv_in, "%s.conv_in", part);
    for (int i = 0; i < c->levels; i++) {
        for (int j = 0; j < w->level[i].nresnets; j++) {
            snprintf(at, sizeof at, "%s.%s.%d.resnets.%d", part, blocks, i, j);
            visit_resnet(v, &w->level[i].resnets[j], at);
        }
        if (w->level[i].sample.out) visit_conv(v, &w->level[i].sample, "%s.%s.%d.%s.0.conv", part, blocks, i, sampler);
    }
    for (int j = 0; j < 2; j++) {
        snprintf(at, sizeof at, "%s.mid_block.resnets.%d", part, j);
        visit_resnet(v, &w->mid[j], at);
    }
    if (c->mid_attention) {
        vae_attention *a = &w->attention;
        visit_vec(v, &a->norm_gain, "%s.mid_block.attentions.0.group_norm.weight", part);
        visit_vec(v, &a->norm_bias, "%s.mid_block.attentions.0.group_norm.bias", part);
        visit_weight(v, &a->q, 0, true, "%s.mid_block.attentions.0.to_q", part);
        visit_weight(v, &a->k, 0, true, "%s.mid_block.attentions.0.to_k", part);
        visit_weight(v, &a->v, 0, true, "%s.mid_block.attentions.0.to_v", part);
        visit_weight(v, &a->out, 0, true, "%s.mid_block.attentions.0.to_out.0", part);
    }
    visit_vec(v, &w->norm_gain, "%s.conv_norm_out.weight", part);
    visit_vec(v, &w->norm_bias, "%s.conv_norm_out.bias", part);
    visit_conv(v, &w->conv_out, "%s.conv_out", part);
}

void vae_visit(vae *m, param_visitor visit, void *user)
{
    visitor v = { visit, user };
    visit_coder(&v, &m->encoder, &m->config, "encoder", "down_blocks", "downsamplers");
    visit_coder(&v, &m->decoder, &m->config, "decoder", "up_blocks", "upsamplers");
}
