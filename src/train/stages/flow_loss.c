/* flow_loss.c - both losses. */
#include "train/stages/flow_loss.h"

/* task row for every token, plus the slot's row for references (spec 2.2). */
static tensor condition(nn *cx, const flow_model *m, const flow_batch *b)
{
    return op_add(cx, op_embed(cx, b->task, b->image_rows, m->task), op_embed(cx, b->slot, b->image_rows, m->idx));
}

static tensor routing_loss(nn *cx, const flow_batch *b, const flow_out *out)
{
    tensor masks = tensor_from(cx, b->nroutes, b->widest, b->mask), sum = { 0 };
    for (int i = 0; i < out->nmaps; i++) {
        tensor one = op_mse(cx, out->maps[i], masks, b->route_weight);
        sum = i ? op_add(cx, sum, one) : one;
    }
    return op_scale(cx, sum, 1.0f / (float)out->nmaps);
}

void flow_forward(nn *cx, const flow_model *m, const flow_batch *b, bool routes, flow_out *out)
{
    const dit_config *c = &m->dit->config;
    *out = (flow_out){ .nmaps = c->layers + c->single_layers };
    routes = routes && b->nroutes > 0;
    if (!nn_require(cx, out->nmaps <= FLOW_MAX_LAYERS, "%d blocks, at most %d", out->nmaps, FLOW_MAX_LAYERS)) return;
    out->text = t5_encode(cx, m->t5, b->t5_ids, b->text_layout);
    out->pooled = clip_encode(cx, m->clip, b->clip_ids, b->clip_layout, b->clip_end);
    dit_batch in = {
        .tokens = tensor_from(cx, b->image_rows, b->channels, b->shown),
        .text = out->text, .pooled = out->pooled,
        .time = tensor_from(cx, b->samples, 256, b->time_table),
        .guidance = c->guidance ? tensor_from(cx, b->samples, 256, b->guidance_table) : (tensor){ 0 },
        .cond = m->task ? condition(cx, m, b) : (tensor){ 0 },
        .img = b->image_layout, .txt = b->text_layout, .joint = b->joint_layout,
        .pe = { b->cos, b->sin, c->head_dim / 2 },
        .routes = routes ? b->routes : NULL, .nroutes = routes ? b->nroutes : 0, .maps = out->maps,
    };
    const dit_batch *kept = nn_keep(cx, &in, sizeof in);
    if (!nn_ok(cx)) return;
    out->velocity = dit_forward(cx, m->dit, kept);
    out->diff = op_mse(cx, out->velocity, tensor_from(cx, b->image_rows, b->channels, b->target), b->row_weight);
    if (routes) out->route = routing_loss(cx, b, out);
}
