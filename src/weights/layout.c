/* layout.c - the tables of names. */
#include "weights/layout.h"
#include <stdio.h>
#include <string.h>
#include "model/clip.h"
#include "model/vae.h"
#include "weights/flux_names.h"

bool layout_own(const void *network, const param *p, file_place *out)
{
    (void)network;
    *out = (file_place){ 0 };
    snprintf(out->name, sizeof out->name, "%s", p->name);
    return true;
}

static bool starts(const char *s, const char *with) { return strncmp(s, with, strlen(with)) == 0; }

/* ---- transformer: BFL's names (flux_names.h) ---- */

/* n rows are one part of `all` equal ones; the mlp's are four of seven. */
static void set_rows(file_place *at, flux_rows which, bool single, int64_t n)
{
    int64_t all = single ? 7 : 3;
    at->swapped = which == FLUX_SWAPPED;
    if (which == FLUX_MLP) {
        at->row0 = n / 4 * 3;
        at->rows = n / 4 * all;
    } else if (which == FLUX_Q || which == FLUX_K || which == FLUX_V) {
        at->row0 = (which == FLUX_Q ? 0 : which == FLUX_K ? 1 : 2) * n;
        at->rows = all * n;
    }
}

/* "transformer_blocks.7.attn.to_q.weight" -> "double_blocks.7.img_attn.qkv.weight", rows 0..; a block's number may have six digits. */
bool layout_dit_bfl(const void *network, const param *p, file_place *out)
{
    int block = 0, used = 0;
    flux_scope where = FLUX_OUTER;
    const char *rest = p->name, *dot = strrchr(p->name, '.');
    (void)network;
    if (sscanf(rest, "transformer_blocks.%6d.%n", &block, &used) == 1 && used) where = FLUX_DOUBLE;
    else if (sscanf(rest, "single_transformer_blocks.%6d.%n", &block, &used) == 1 && used) where = FLUX_SINGLE;
    rest += used;
    if (!dot || dot < rest) return false;
    size_t n = (size_t)(dot - rest);
    for (const flux_name *row = flux_names; row->ours; row++) {
        if (row->where != where || strlen(row->ours) != n || strncmp(rest, row->ours, n) != 0) continue;
        const char *end = row->member == FLUX_VECTOR ? ".scale" : dot;
        *out = (file_place){ 0 };
        if (where == FLUX_OUTER) snprintf(out->name, sizeof out->name, "%s%s", row->theirs, end);
        else snprintf(out->name, sizeof out->name, "%s.%d.%s%s", where == FLUX_DOUBLE ? "double_blocks" : "single_blocks", block, row->theirs, end);
        set_rows(out, row->rows, where == FLUX_SINGLE, p->shape[0]);
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

/* ---- CLIP (spec 5.2) ---- */

bool layout_clip_bare(const void *network, const param *p, file_place *out)
{
    static const char begin[] = "text_model.";
    layout_own(network, p, out);
    if (starts(p->name, begin)) snprintf(out->name, sizeof out->name, "%s", p->name + strlen(begin));
    return true;
}

/* OpenAI's own files keep q, k and v in one matrix, and have no ".weight" on tables. */
bool layout_clip_openai(const void *network, const param *p, file_place *out)
{
    static const pair outer[] = { { "text_model.embeddings.token_embedding.", "token_embedding." }, { "text_model.embeddings.position_embedding.weight", "positional_embedding" },
                                  { "text_model.final_layer_norm.", "ln_final." }, { NULL, NULL } };
    static const pair within[] = { { "self_attn.out_proj.", "attn.out_proj." }, { "layer_norm1.", "ln_1." }, { "layer_norm2.", "ln_2." },
                                   { "mlp.fc1.", "mlp.c_fc." }, { "mlp.fc2.", "mlp.c_proj." }, { NULL, NULL } };
    const clip *m = network;
    char rest[64], which;
    int block, used = 0;
    *out = (file_place){ 0 };
    if (sscanf(p->name, "text_model.encoder.layers.%6d.%n", &block, &used) != 1 || !used) return swap_beginning(outer, p->name, out->name, sizeof out->name);
    const char *inner = p->name + used;
    if (sscanf(inner, "self_attn.%c_proj.%63s", &which, rest) == 2 && strchr("qkv", which)) {
        snprintf(out->name, sizeof out->name, "transformer.resblocks.%d.attn.in_proj_%s", block, rest);
        out->row0 = (which == 'q' ? 0 : which == 'k' ? 1 : 2) * (int64_t)m->config.width;
        out->rows = 3 * (int64_t)m->config.width;
        return true;
    }
    if (!swap_beginning(within, inner, rest, sizeof rest)) return false;
    snprintf(out->name, sizeof out->name, "transformer.resblocks.%d.%s", block, rest);
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
