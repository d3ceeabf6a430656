/* names.c - what a LoRA file's keys mean.
 *
 * A stem is brought to one spelling (dots become underscores, known prefixes go), its block number is cut out, and the
 * rest is looked up in the transformer's table of names.  Our weights keep q, k, v (and a single block's mlp) fused, so a name means a
 * weight and a row range. */
#include "weights/lora/names.h"
#include "base/ends.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "weights/flux_names.h"

/* DreamO's and xlabs' names: each may stand anywhere in the rest of the stem (spec 2.8). */
static const struct { flux_scope where; const char *name; size_t member; bool qkv; /* of q, k, v, mlp */ } free_names[] = {
    { FLUX_DOUBLE, "qkv_lora1", offsetof(dit_double, img.qkv), false },
    { FLUX_DOUBLE, "qkv_lora2", offsetof(dit_double, txt.qkv), false },
    { FLUX_DOUBLE, "proj_lora1", offsetof(dit_double, img.proj), false },
    { FLUX_DOUBLE, "proj_lora2", offsetof(dit_double, txt.proj), false },
    { FLUX_SINGLE, "qkv_lora", offsetof(dit_single, in), true },
    { FLUX_SINGLE, "proj_lora", offsetof(dit_single, out), false },
};

static const struct { const char *name; flux_scope where; } blocks[] = {
    { "transformer_blocks_", FLUX_DOUBLE }, { "double_blocks_", FLUX_DOUBLE },
    { "single_transformer_blocks_", FLUX_SINGLE }, { "single_blocks_", FLUX_SINGLE },
};

static const char *const prefixes[] = { "base_model_model_", "lora_unet_", "lora_transformer_", "lycoris_", "model_diffusion_model_",
                                        "diffusion_model_", "transformer_" };

static const struct { const char *suffix; lora_role role; } roles[] = {
    { ".lora_A.weight", LORA_A }, { ".lora_A.default.weight", LORA_A }, { ".lora_down.weight", LORA_A },
    { ".lora.down.weight", LORA_A }, { ".down.weight", LORA_A },
    { ".lora_B.weight", LORA_B }, { ".lora_B.default.weight", LORA_B }, { ".lora_up.weight", LORA_B },
    { ".lora.up.weight", LORA_B }, { ".up.weight", LORA_B }, { ".lora_B.bias", LORA_B_BIAS }, { ".lora_B.default.bias", LORA_B_BIAS },
    { ".alpha", LORA_ALPHA }, { ".lora_alpha", LORA_ALPHA }, { ".network_alpha", LORA_ALPHA },
    { ".dora_scale", LORA_MAGNITUDE }, { ".lora_magnitude_vector", LORA_MAGNITUDE }, { ".lora_magnitude_vector.weight", LORA_MAGNITUDE },
    { ".lora_magnitude_vector.default.weight", LORA_MAGNITUDE },
    { ".lokr_w1", LOKR_W1 }, { ".lokr_w1_a", LOKR_W1_A }, { ".lokr_w1_b", LOKR_W1_B },
    { ".lokr_w2", LOKR_W2 }, { ".lokr_w2_a", LOKR_W2_A }, { ".lokr_w2_b", LOKR_W2_B },
    { ".hada_w1_a", LOHA_W1_A }, { ".hada_w1_b", LOHA_W1_B }, { ".hada_w2_a", LOHA_W2_A }, { ".hada_w2_b", LOHA_W2_B },
    { ".oft_blocks", OFT_BLOCKS }, { ".rescale", OFT_RESCALE }, { ".oft_r", OFT_R }, { ".oft_s", OFT_S },
    { ".diff", LORA_DIFF }, { ".w_norm", LORA_DIFF }, { ".diff_b", LORA_DIFF_BIAS }, { ".b_norm", LORA_DIFF_BIAS },
};

/* Methods that people use, and that are refused by their names. */
static const struct { const char *suffix, *method; } foreign[] = {
    { ".lora_mid.weight", "LoCon with a Tucker core" }, { ".hada_t1", "LoHa with a Tucker core" }, { ".hada_t2", "LoHa with a Tucker core" },
    { ".lokr_t1", "LoKr with a Tucker core" }, { ".lokr_t2", "LoKr with a Tucker core" },
    { ".a1.weight", "GLoRA" }, { ".b1.weight", "GLoRA" }, { ".on_input", "(IA)3" }, { ".ia3_l", "(IA)3" },
    { ".vera_lambda_b", "VeRA" }, { ".vera_lambda_d", "VeRA" }, { ".lambda_layer", "T-LoRA" }, { ".boft_R", "BOFT" }, { ".hra_u", "HRA" },
    { ".lora_E", "AdaLoRA" }, { ".set_weight", "a patch that replaces weights" }, { ".reshape_weight", "a patch that widens layers" },
    { ".lora_embedding_A", "a LoRA of an embedding table" },
};

const char *lora_foreign_key(const char *key)
{
    for (size_t i = 0; i < sizeof foreign / sizeof *foreign; i++)
        if (ends_after(key, foreign[i].suffix)) return foreign[i].method;
    return NULL;
}

lora_role lora_split_key(const char *key, size_t *stem_nbytes)
{
    *stem_nbytes = strlen(key);
    for (size_t i = 0; i < sizeof roles / sizeof *roles; i++) {
        if (!ends_after(key, roles[i].suffix)) continue;
        *stem_nbytes -= strlen(roles[i].suffix);
        return roles[i].role;
    }
    return LORA_OTHER;
}

static bool starts(const char *s, const char *with) { return strncmp(s, with, strlen(with)) == 0; }

/* "transformer_blocks_0" begins with a block, not with the prefix "transformer_". */
static bool skip_prefix(const char **s)
{
    if (starts(*s, "transformer_blocks_")) return false;
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++)
        if (starts(*s, prefixes[i])) {
            *s += strlen(prefixes[i]);
            return true;
        }
    return false;
}

/* "double_blocks_7_img_mlp_0" -> FLUX_DOUBLE, 7, "img_mlp_0"; anything else is an outer layer. */
static const char *split_block(const char *s, flux_scope *where, long *block)
{
    *where = FLUX_OUTER;
    *block = 0;
    for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++) {
        if (!starts(s, blocks[i].name)) continue;
        const char *digits = s + strlen(blocks[i].name);
        size_t n = strspn(digits, "0123456789");
        if (n < 1 || n > 6 || digits[n] != '_') return s;
        *where = blocks[i].where;
        *block = strtol(digits, NULL, 10);
        return digits + n + 1;
    }
    return s;
}

/* "ff.net.0.proj" as it is spelled here, "ff_net_0_proj". */
static bool spelled_as(const char *s, const char *name)
{
    for (; *s && *name && (*s == *name || (*s == '_' && *name == '.')); s++, name++) {}
    return !*s && !*name;
}

/* The layer that the rest of a stem names: its member's offset, the rows of it. */
typedef struct layer { size_t member; int row0, rows; bool swapped, diffusers; } layer;

/* rows 0: all of them */
static layer layer_of(const flux_name *n, bool diffusers, int width)
{
    layer l = { .member = n->member, .diffusers = diffusers, .swapped = !diffusers && n->rows == FLUX_SWAPPED };
    if (!diffusers) return l; /* BFL's name means all of the fused weight */
    if (n->rows == FLUX_Q || n->rows == FLUX_K || n->rows == FLUX_V) {
        l.row0 = (n->rows == FLUX_Q ? 0 : n->rows == FLUX_K ? 1 : 2) * width;
        l.rows = width;
    } else if (n->rows == FLUX_MLP) {
        l.row0 = 3 * width;
    }
    return l;
}

static bool find_layer(flux_scope where, const char *rest, int width, layer *out)
{
    for (const flux_name *n = flux_names; n->ours; n++) {
        bool ours = spelled_as(rest, n->ours);
        if (n->where != where || n->member == FLUX_VECTOR || !(ours || spelled_as(rest, n->theirs))) continue;
        *out = layer_of(n, ours, width);
        return true;
    }
    for (size_t i = 0; i < sizeof free_names / sizeof *free_names; i++) {
        if (free_names[i].where != where || !strstr(rest, free_names[i].name)) continue;
        *out = (layer){ .member = free_names[i].member, .rows = free_names[i].qkv ? 3 * width : 0 };
        return true;
    }
    return false;
}

/* A stem as it is compared: '_' for '.'.  False: it is too long to mean anything. */
static bool spell(const char *stem, char out[256])
{
    size_t n = strlen(stem);
    if (n >= 256) return false;
    for (size_t i = 0; i <= n; i++) out[i] = stem[i] == '.' ? '_' : stem[i];
    return true;
}

/* ---- parameters by their own names: vectors, and all of the text encoders ---- */

typedef struct search { const char *spelled; lora_target *out; bool found; } search;

/* "double_blocks.0.img_attn.norm.query_norm", with or without what files put after it. */
static bool names_param(const char *spelled, const char *name)
{
    char stem[160];
    size_t n = strlen(name) - (ends_after(name, ".weight") ? strlen(".weight") : 0);
    snprintf(stem, sizeof stem, "%.*s", (int)n, name);
    return spelled_as(spelled, stem) || spelled_as(spelled, name);
}

static void match_param(void *user, const param *p)
{
    search *s = user;
    if (s->found || !ends_after(p->name, ".weight") || strstr(p->name, "embed") || strstr(p->name, "shared") || strstr(p->name, "relative_attention_bias") ||
        !names_param(s->spelled, p->name)) return; /* tables take no adapter */
    s->found = true;
    *s->out = p->w ? (lora_target){ .w = p->w, .rows = p->w->out } : (lora_target){ .vector = p->fp32, .n = (int)p->shape[0] };
}

static const char *const text_prefixes[] = { "base_model_model_", "lora_te1_", "lora_te2_", "lora_te3_", "lora_te_", "text_encoders_", "text_encoder_2_",
                                             "text_encoder_", "clip_l_", "t5xxl_", "transformer_" };

static const char *skip_text_prefixes(const char *s)
{
    for (size_t i = 0; i < sizeof text_prefixes / sizeof *text_prefixes; i++)
        if (starts(s, text_prefixes[i])) s += strlen(text_prefixes[i]), i = (size_t)-1;
    return s;
}

bool lora_is_text(const char *stem)
{
    char spelled[256];
    const char *s = spelled;
    if (!spell(stem, spelled)) return false;
    if (starts(s, "base_model_model_")) s += strlen("base_model_model_");
    return starts(s, "lora_te") || starts(s, "text_encoder") || starts(s, "text_model_") || starts(s, "encoder_block_") || starts(s, "clip_l_") || starts(s, "t5xxl_");
}

lora_found lora_find_text(clip *c, t5 *t, const char *stem, lora_target *out)
{
    char spelled[256];
    if (!spell(stem, spelled)) return LORA_UNKNOWN;
    search s = { skip_text_prefixes(spelled), out, false };
    if (c) clip_visit(c, match_param, &s);
    if (t && !s.found) t5_visit(t, match_param, &s);
    if (!s.found) return LORA_UNKNOWN;
    out->diffusers = !starts(spelled, "lora_te");
    return LORA_FOUND;
}

/* A norm's gain, under either of its names; rest: without the block. */
static lora_found find_vector(dit *m, const char *spelled, flux_scope where, long block, const char *rest, lora_target *out)
{
    char ours[256];
    search s = { spelled, out, false };
    for (const flux_name *n = flux_names; n->ours; n++) {
        char theirs[80];
        if (n->where != where || n->member != FLUX_VECTOR) continue;
        snprintf(theirs, sizeof theirs, "%s.scale", n->theirs);
        if (!spelled_as(rest, n->theirs) && !spelled_as(rest, theirs)) continue;
        snprintf(ours, sizeof ours, "%s_%ld_%s", where == FLUX_DOUBLE ? "transformer_blocks" : "single_transformer_blocks", block, n->ours);
        for (char *p = ours; *p; p++) *p = *p == '.' ? '_' : *p;
        s.spelled = ours;
        break;
    }
    dit_visit(m, match_param, &s);
    return s.found && out->vector ? LORA_FOUND : LORA_UNKNOWN;
}

lora_found lora_find(dit *m, const char *stem, lora_target *out)
{
    char spelled[256];
    if (!spell(stem, spelled)) return LORA_UNKNOWN;

    flux_scope where;
    long block;
    const char *rest = spelled;
    while (skip_prefix(&rest)) {}
    const char *whole = rest;
    rest = split_block(rest, &where, &block);
    layer l;
    if (!find_layer(where, rest, m->config.heads * m->config.head_dim, &l)) return find_vector(m, whole, where, block, rest, out);
    if (block >= (where == FLUX_DOUBLE ? m->config.layers : where == FLUX_SINGLE ? m->config.single_layers : 1)) return LORA_NO_BLOCK;

    char *owner = where == FLUX_DOUBLE ? (char *)&m->doubles[block] : where == FLUX_SINGLE ? (char *)&m->singles[block] : (char *)m;
    weight *w = (weight *)(void *)(owner + l.member);
    if (w->out == 0) return LORA_UNKNOWN; /* a model without the guidance embedder */
    *out = (lora_target){ .w = w, .row0 = l.row0, .rows = l.rows ? l.rows : w->out - l.row0, .swapped = l.swapped, .diffusers = l.diffusers };
    return LORA_FOUND;
}
