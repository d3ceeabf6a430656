/* layout.c - the tables of names. */
#include "pipe/layout.h"
#include <stdio.h>
#include <string.h>
#include "model/vae.h"

bool layout_own(const void *network, const param *p, file_place *out)
{
    (void)network;
    *out = (file_place){ 0 };
    snprintf(out->name, sizeof out->name, "%s", p->name);
    return true;
}

static bool starts(const char *s, const char *with) { return strncmp(s, with, strlen(with)) == 0; }

/* ---- transformer: BFL's names (spec 1.2) ---- */

typedef enum rows { WHOLE, Q3, K3, V3, Q7, K7, V7, MLP7, SWAPPED } rows; /* of 3: double blocks' qkv; of 7: single blocks' linear1 */

typedef struct row_of_names { const char *ours, *theirs; rows which; } row_of_names;

static const row_of_names outer_names[] = {
    { "x_embedder", "img_in", WHOLE },
    { "context_embedder", "txt_in", WHOLE },
    { "time_text_embed.timestep_embedder.linear_1", "time_in.in_layer", WHOLE },
    { "time_text_embed.timestep_embedder.linear_2", "time_in.out_layer", WHOLE },
    { "time_text_embed.guidance_embedder.linear_1", "guidance_in.in_layer", WHOLE },
    { "time_text_embed.guidance_embedder.linear_2", "guidance_in.out_layer", WHOLE },
    { "time_text_embed.text_embedder.linear_1", "vector_in.in_layer", WHOLE },
    { "time_text_embed.text_embedder.linear_2", "vector_in.out_layer", WHOLE },
    { "norm_out.linear", "final_layer.adaLN_modulation.1", SWAPPED }, /* shift, scale there; scale, shift here (spec 1.3) */
    { "proj_out", "final_layer.linear", WHOLE },
    { NULL, NULL, WHOLE },
};

static const row_of_names double_names[] = {
    { "norm1.linear", "img_mod.lin", WHOLE },             { "norm1_context.linear", "txt_mod.lin", WHOLE },
    { "attn.to_q", "img_attn.qkv", Q3 },                  { "attn.to_k", "img_attn.qkv", K3 },
    { "attn.to_v", "img_attn.qkv", V3 },                  { "attn.add_q_proj", "txt_attn.qkv", Q3 },
    { "attn.add_k_proj", "txt_attn.qkv", K3 },            { "attn.add_v_proj", "txt_attn.qkv", V3 },
    { "attn.to_out.0", "img_attn.proj", WHOLE },          { "attn.to_add_out", "txt_attn.proj", WHOLE },
    { "ff.net.0.proj", "img_mlp.0", WHOLE },              { "ff.net.2", "img_mlp.2", WHOLE },
    { "ff_context.net.0.proj", "txt_mlp.0", WHOLE },      { "ff_context.net.2", "txt_mlp.2", WHOLE },
    { "attn.norm_q", "img_attn.norm.query_norm", WHOLE }, { "attn.norm_k", "img_attn.norm.key_norm", WHOLE },
    { "attn.norm_added_q", "txt_attn.norm.query_norm", WHOLE }, { "attn.norm_added_k", "txt_attn.norm.key_norm", WHOLE },
    { NULL, NULL, WHOLE },
};

static const row_of_names single_names[] = {
    { "norm.linear", "modulation.lin", WHOLE },
    { "attn.to_q", "linear1", Q7 }, { "attn.to_k", "linear1", K7 }, { "attn.to_v", "linear1", V7 }, { "proj_mlp", "linear1", MLP7 },
    { "proj_out", "linear2", WHOLE },
    { "attn.norm_q", "norm.query_norm", WHOLE }, { "attn.norm_k", "norm.key_norm", WHOLE },
    { NULL, NULL, WHOLE },
};

/* n rows are one part of `all` equal ones; the mlp's are four of seven. */
static void set_rows(file_place *at, rows which, int64_t n)
{
    at->swapped = which == SWAPPED;
    if (which == MLP7) {
        at->row0 = n / 4 * 3;
        at->rows = n / 4 * 7;
    } else if (which != WHOLE && which != SWAPPED) {
        bool three = which <= V3;
        at->row0 = (int64_t)(which - (three ? Q3 : Q7)) * n;
        at->rows = (three ? 3 : 7) * n;
    }
}

/* "transformer_blocks.7.attn.to_q.weight" -> "double_blocks.7.img_attn.qkv.weight", rows 0..; a block's number may have six digits. */
bool layout_dit_bfl(const void *network, const param *p, file_place *out)
{
    int block = 0, used = 0;
    const row_of_names *table = outer_names;
    const char *owner = NULL, *rest = p->name, *dot = strrchr(p->name, '.');
    (void)network;
    if (sscanf(rest, "transformer_blocks.%6d.%n", &block, &used) == 1 && used) table = double_names, owner = "double_blocks";
    else if (sscanf(rest, "single_transformer_blocks.%6d.%n", &block, &used) == 1 && used) table = single_names, owner = "single_blocks";
    rest += used;
    if (!dot || dot < rest) return false;
    size_t n = (size_t)(dot - rest);
    for (; table->ours; table++) {
        if (strlen(table->ours) != n || strncmp(rest, table->ours, n) != 0) continue;
        bool norm = strstr(table->theirs, "_norm") != NULL;
        *out = (file_place){ 0 };
        if (owner) snprintf(out->name, sizeof out->name, "%s.%d.%s%s", owner, block, table->theirs, norm ? ".scale" : dot);
        else snprintf(out->name, sizeof out->name, "%s%s", table->theirs, dot);
        set_rows(out, table->which, p->shape[0]);
        return true;
    }
    return false;
}

/* ---- autoencoder (spec 4.7) ---- */

typedef struct pair { const char *ours, *theirs; } pair;

/* The first pair whose left side begins s: its right side and what follows, into out. */
static bool swap_beginning(const pair *pairs, const char *s, char *out, size_t room)
{
    for (; pairs->ours; pairs++) {
        if (!starts(s, pairs->ours)) continue;
        snprintf(out, room, "%s%s", pairs->theirs, s + strlen(pairs->ours));
        return true;
    }
    return false;
}

static void within_resnet(const char *rest, char *out, size_t room)
{
    static const pair shortcut[] = { { "conv_shortcut.", "nin_shortcut." }, { NULL, NULL } };
    if (!swap_beginning(shortcut, rest, out, room)) snprintf(out, room, "%s", rest);
}

/* The part of a name after "encoder." or "decoder.".  The decoder's levels are numbered from the other end. */
static void coder_bfl(const vae *m, const char *s, char *out, size_t room)
{
    static const pair fixed[] = {
        { "conv_norm_out.", "norm_out." },
        { "mid_block.attentions.0.group_norm.", "mid.attn_1.norm." },
        { "mid_block.attentions.0.to_q.", "mid.attn_1.q." },
        { "mid_block.attentions.0.to_k.", "mid.attn_1.k." },
        { "mid_block.attentions.0.to_v.", "mid.attn_1.v." },
        { "mid_block.attentions.0.to_out.0.", "mid.attn_1.proj_out." },
        { NULL, NULL },
    };
    char rest[64];
    int level, j, used = 0, last = m->config.levels - 1;
    if (swap_beginning(fixed, s, out, room)) return;
    if (sscanf(s, "mid_block.resnets.%2d.%n", &j, &used) == 1 && used) {
        within_resnet(s + used, rest, sizeof rest);
        snprintf(out, room, "mid.block_%d.%s", j + 1, rest);
    } else if (sscanf(s, "down_blocks.%2d.resnets.%2d.%n", &level, &j, &used) == 2 && used) {
        within_resnet(s + used, rest, sizeof rest);
        snprintf(out, room, "down.%d.block.%d.%s", level, j, rest);
    } else if (sscanf(s, "up_blocks.%2d.resnets.%2d.%n", &level, &j, &used) == 2 && used) {
        within_resnet(s + used, rest, sizeof rest);
        snprintf(out, room, "up.%d.block.%d.%s", last - level, j, rest);
    } else if (sscanf(s, "down_blocks.%2d.downsamplers.0.%n", &level, &used) == 1 && used) {
        snprintf(out, room, "down.%d.downsample.%s", level, s + used);
    } else if (sscanf(s, "up_blocks.%2d.upsamplers.0.%n", &level, &used) == 1 && used) {
        snprintf(out, room, "up.%d.upsample.%s", last - level, s + used);
    } else {
        snprintf(out, room, "%s", s);
    }
}

bool layout_vae_bfl(const void *network, const param *p, file_place *out)
{
    const char *dot = strchr(p->name, '.');
    char rest[128];
    if (!dot) return false;
    coder_bfl(network, dot + 1, rest, sizeof rest);
    *out = (file_place){ 0 };
    snprintf(out->name, sizeof out->name, "%.*s%s", (int)(dot + 1 - p->name), p->name, rest);
    return true;
}

bool layout_vae_old(const void *network, const param *p, file_place *out)
{
    static const pair attention[] = { { ".to_q.", ".query." }, { ".to_k.", ".key." }, { ".to_v.", ".value." }, { ".to_out.0.", ".proj_attn." }, { NULL, NULL } };
    layout_own(network, p, out);
    for (const pair *a = attention; a->ours; a++) {
        const char *at = strstr(p->name, a->ours);
        if (at) snprintf(out->name, sizeof out->name, "%.*s%s%s", (int)(at - p->name), p->name, a->theirs, at + strlen(a->ours));
    }
    return true;
}

/* ---- T5 (spec 6.2) ---- */

bool layout_t5_twin(const void *network, const param *p, file_place *out)
{
    layout_own(network, p, out);
    if (strcmp(p->name, "shared.weight") == 0) snprintf(out->name, sizeof out->name, "encoder.embed_tokens.weight");
    return true;
}

bool layout_t5_gguf(const void *network, const param *p, file_place *out)
{
    static const pair within[] = {
        { "layer.0.SelfAttention.q.", "attn_q." },      { "layer.0.SelfAttention.k.", "attn_k." },
        { "layer.0.SelfAttention.v.", "attn_v." },      { "layer.0.SelfAttention.o.", "attn_o." },
        { "layer.0.SelfAttention.relative_attention_bias.", "attn_rel_b." },
        { "layer.0.layer_norm.", "attn_norm." },        { "layer.1.layer_norm.", "ffn_norm." },
        { "layer.1.DenseReluDense.wi_0.", "ffn_gate." }, { "layer.1.DenseReluDense.wi_1.", "ffn_up." },
        { "layer.1.DenseReluDense.wi.", "ffn_up." },    { "layer.1.DenseReluDense.wo.", "ffn_down." },
        { NULL, NULL },
    };
    static const pair outer[] = { { "shared.", "token_embd." }, { "encoder.final_layer_norm.", "enc.output_norm." }, { NULL, NULL } };
    char rest[64];
    int block, used = 0;
    (void)network;
    *out = (file_place){ 0 };
    if (sscanf(p->name, "encoder.block.%6d.%n", &block, &used) != 1 || !used) return swap_beginning(outer, p->name, out->name, sizeof out->name);
    if (!swap_beginning(within, p->name + used, rest, sizeof rest)) return false;
    snprintf(out->name, sizeof out->name, "enc.blk.%d.%s", block, rest);
    return true;
}
