/* flux_names.c - the table. */
#include "weights/flux_names.h"
#include "model/dit.h"

#define ROW(scope, type, ours, theirs, m, rows) { scope, ours, theirs, offsetof(type, m), rows }
#define OUTER(ours, theirs, m, rows) ROW(FLUX_OUTER, dit, ours, theirs, m, rows)
#define DOUBLE(ours, theirs, m, rows) ROW(FLUX_DOUBLE, dit_double, ours, theirs, m, rows)
#define SINGLE(ours, theirs, m, rows) ROW(FLUX_SINGLE, dit_single, ours, theirs, m, rows)
#define VECTOR(scope, ours, theirs) { scope, ours, theirs, FLUX_VECTOR, FLUX_WHOLE }

const flux_name flux_names[] = {
    OUTER("x_embedder", "img_in", x_in, FLUX_WHOLE),
    OUTER("context_embedder", "txt_in", text_in, FLUX_WHOLE),
    OUTER("time_text_embed.timestep_embedder.linear_1", "time_in.in_layer", time_in.in, FLUX_WHOLE),
    OUTER("time_text_embed.timestep_embedder.linear_2", "time_in.out_layer", time_in.out, FLUX_WHOLE),
    OUTER("time_text_embed.guidance_embedder.linear_1", "guidance_in.in_layer", guidance_in.in, FLUX_WHOLE),
    OUTER("time_text_embed.guidance_embedder.linear_2", "guidance_in.out_layer", guidance_in.out, FLUX_WHOLE),
    OUTER("time_text_embed.text_embedder.linear_1", "vector_in.in_layer", pooled_in.in, FLUX_WHOLE),
    OUTER("time_text_embed.text_embedder.linear_2", "vector_in.out_layer", pooled_in.out, FLUX_WHOLE),
    OUTER("norm_out.linear", "final_layer.adaLN_modulation.1", norm_out, FLUX_SWAPPED),
    OUTER("proj_out", "final_layer.linear", proj_out, FLUX_WHOLE),

    DOUBLE("norm1.linear", "img_mod.lin", img.mod, FLUX_WHOLE),
    DOUBLE("norm1_context.linear", "txt_mod.lin", txt.mod, FLUX_WHOLE),
    DOUBLE("attn.to_q", "img_attn.qkv", img.qkv, FLUX_Q),
    DOUBLE("attn.to_k", "img_attn.qkv", img.qkv, FLUX_K),
    DOUBLE("attn.to_v", "img_attn.qkv", img.qkv, FLUX_V),
    DOUBLE("attn.add_q_proj", "txt_attn.qkv", txt.qkv, FLUX_Q),
    DOUBLE("attn.add_k_proj", "txt_attn.qkv", txt.qkv, FLUX_K),
    DOUBLE("attn.add_v_proj", "txt_attn.qkv", txt.qkv, FLUX_V),
    DOUBLE("attn.to_out.0", "img_attn.proj", img.proj, FLUX_WHOLE),
    DOUBLE("attn.to_add_out", "txt_attn.proj", txt.proj, FLUX_WHOLE),
    DOUBLE("ff.net.0.proj", "img_mlp.0", img.mlp_in, FLUX_WHOLE),
    DOUBLE("ff.net.2", "img_mlp.2", img.mlp_out, FLUX_WHOLE),
    DOUBLE("ff_context.net.0.proj", "txt_mlp.0", txt.mlp_in, FLUX_WHOLE),
    DOUBLE("ff_context.net.2", "txt_mlp.2", txt.mlp_out, FLUX_WHOLE),
    VECTOR(FLUX_DOUBLE, "attn.norm_q", "img_attn.norm.query_norm"),
    VECTOR(FLUX_DOUBLE, "attn.norm_k", "img_attn.norm.key_norm"),
    VECTOR(FLUX_DOUBLE, "attn.norm_added_q", "txt_attn.norm.query_norm"),
    VECTOR(FLUX_DOUBLE, "attn.norm_added_k", "txt_attn.norm.key_norm"),

    SINGLE("norm.linear", "modulation.lin", mod, FLUX_WHOLE),
    SINGLE("attn.to_q", "linear1", in, FLUX_Q),
    SINGLE("attn.to_k", "linear1", in, FLUX_K),
    SINGLE("attn.to_v", "linear1", in, FLUX_V),
    SINGLE("proj_mlp", "linear1", in, FLUX_MLP),
    SINGLE("proj_out", "linear2", out, FLUX_WHOLE),
    VECTOR(FLUX_SINGLE, "attn.norm_q", "norm.query_norm"),
    VECTOR(FLUX_SINGLE, "attn.norm_k", "norm.key_norm"),
    { .ours = NULL },
};
