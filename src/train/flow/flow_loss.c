/* flow_loss.c - both losses. */
#include "train/flow/flow_loss.h"

/* task row for every token, plus the slot's row for references (spec 2.2). */
static tensor condition(nn *cx, const flow_model *m, const flow_batch *b)
{
    return op_add(cx, op_embed(cx, b->task, b->image_rows, m->task), op_embed(cx, b->slot, b->image_rows, m->idx));
}

/* The mean over the layers that were looked at, of what `one` makes of each. */
static tensor over_layers(nn *cx, const flow_batch *b, const tensor *looks, int n, tensor (*one)(nn *, const flow_batch *, tensor))
{
    tensor sum = { 0 };
    int count = 0;
    for (int i = 0; i < n; i++) {
        if (!looks[i].p) continue;
        tensor x = one(cx, b, looks[i]);
        sum = count++ ? op_add(cx, sum, x) : x;
    }
    return count ? op_scale(cx, sum, 1.0f / (float)count) : sum;
}

static tensor routing_loss(nn *cx, const flow_batch *b, tensor map)
{
    return op_mse(cx, map, tensor_from(cx, b->nroutes, b->widest, b->mask), b->route_weight);
}

static tensor placeholder_loss(nn *cx, const flow_batch *b, tensor logits)
{
    return op_mse(cx, op_softmax(cx, logits, b->match_layout), tensor_from(cx, b->nmatches, 1, b->match), b->match_weight);
}

static tensor text_of(nn *cx, const flow_model *m, const flow_batch *b)
{
    const flow_kept *k = &b->kept;
    if (!k->here) return t5_encode(cx, m->t5, b->t5_ids, b->text_layout);
    tensor known = tensor_from(cx, b->text_rows, k->width, k->text);
    if (!k->nlive) return known;
    return op_takerows(cx, op_catrows(cx, known, t5_encode(cx, m->t5, k->live_ids, k->live_layout)), k->take, b->text_rows);
}

static tensor pooled_of(nn *cx, const flow_model *m, const flow_batch *b)
{
    return b->kept.here ? tensor_from(cx, b->samples, b->kept.pooled_width, b->kept.pooled)
                        : clip_encode(cx, m->clip, b->clip_ids, b->clip_layout, b->clip_end);
}

void flow_forward(nn *cx, const flow_model *m, const flow_batch *b, flow_wishes w, flow_out *out)
{
    const dit_config *c = &m->dit->config;
    *out = (flow_out){ .nmaps = c->layers + c->single_layers };
    bool routes = w.routes && b->nroutes > 0, holders = w.holders && b->nmatches > 0;
    if (!nn_require(cx, out->nmaps <= FLOW_MAX_LAYERS, "%d blocks, at most %d", out->nmaps, FLOW_MAX_LAYERS)) return;
    out->text = text_of(cx, m, b);
    out->pooled = pooled_of(cx, m, b);
    if (m->turn) nn_turn(cx, out->text, m->turn, m->turner);
    dit_batch in = {
        .tokens = tensor_from(cx, b->image_rows, b->channels, b->shown),
        .text = out->text, .pooled = out->pooled,
        .time = tensor_from(cx, b->samples, 256, b->time_table),
        .guidance = c->guidance ? tensor_from(cx, b->samples, 256, b->guidance_table) : (tensor){ 0 },
        .cond = m->task ? condition(cx, m, b) : (tensor){ 0 },
        .img = b->image_layout, .txt = b->text_layout, .joint = b->joint_layout,
        .pe = { .cos = b->cos, .sin = b->sin, .dim = c->head_dim / 2 },
        .routes = routes ? b->routes : NULL, .nroutes = routes ? b->nroutes : 0, .maps = out->maps,
        .matches = holders ? b->matches : NULL, .nmatches = holders ? b->nmatches : 0, .matched = out->matched,
        .cut = w.cut,
    };
    const dit_batch *kept = nn_keep(cx, &in, sizeof in);
    if (!nn_ok(cx)) return;
    out->velocity = dit_forward(cx, m->dit, kept);
    out->diff = op_mse(cx, out->velocity, tensor_from(cx, b->image_rows, b->channels, b->target), b->row_weight);
    if (routes) out->route = over_layers(cx, b, out->maps, out->nmaps, routing_loss);
    if (holders) out->holder = over_layers(cx, b, out->matched, out->nmaps, placeholder_loss);
}
