/* lora_names.c - the table of LoRA names.
 *
 * A stem is brought to one spelling (dots become underscores, known prefixes go), its block number is cut out, and the
 * rest is looked up.  Our weights keep q, k, v (and a single block's mlp) fused, so a name means a weight and a row range. */
#include "pipe/lora_names.h"

#include <stdlib.h>
#include <string.h>

typedef enum scope { OUTER, DOUBLE, SINGLE } scope;
typedef enum part { ALL, Q, K, V, QKV, MLP, SWAP } part;

/* `free` names are DreamO's and xlabs': the name may stand anywhere in the rest of the stem (spec 2.8). */
typedef enum style { DIFFUSERS, BFL, FREE } style;

typedef struct rule { scope where; style how; const char *name; size_t member; part rows; } rule;

#define OUT(m) offsetof(dit, m)
#define DBL(m) offsetof(dit_double, m)
#define SGL(m) offsetof(dit_single, m)

static const rule rules[] = {
    { OUTER, DIFFUSERS, "x_embedder", OUT(x_in), ALL },
    { OUTER, DIFFUSERS, "context_embedder", OUT(text_in), ALL },
    { OUTER, DIFFUSERS, "time_text_embed_timestep_embedder_linear_1", OUT(time_in.in), ALL },
    { OUTER, DIFFUSERS, "time_text_embed_timestep_embedder_linear_2", OUT(time_in.out), ALL },
    { OUTER, DIFFUSERS, "time_text_embed_guidance_embedder_linear_1", OUT(guidance_in.in), ALL },
    { OUTER, DIFFUSERS, "time_text_embed_guidance_embedder_linear_2", OUT(guidance_in.out), ALL },
    { OUTER, DIFFUSERS, "time_text_embed_text_embedder_linear_1", OUT(pooled_in.in), ALL },
    { OUTER, DIFFUSERS, "time_text_embed_text_embedder_linear_2", OUT(pooled_in.out), ALL },
    { OUTER, DIFFUSERS, "norm_out_linear", OUT(norm_out), ALL },
    { OUTER, DIFFUSERS, "proj_out", OUT(proj_out), ALL },
    { OUTER, BFL, "img_in", OUT(x_in), ALL },
    { OUTER, BFL, "txt_in", OUT(text_in), ALL },
    { OUTER, BFL, "time_in_in_layer", OUT(time_in.in), ALL },
    { OUTER, BFL, "time_in_out_layer", OUT(time_in.out), ALL },
    { OUTER, BFL, "guidance_in_in_layer", OUT(guidance_in.in), ALL },
    { OUTER, BFL, "guidance_in_out_layer", OUT(guidance_in.out), ALL },
    { OUTER, BFL, "vector_in_in_layer", OUT(pooled_in.in), ALL },
    { OUTER, BFL, "vector_in_out_layer", OUT(pooled_in.out), ALL },
    { OUTER, BFL, "final_layer_adaLN_modulation_1", OUT(norm_out), SWAP },
    { OUTER, BFL, "final_layer_linear", OUT(proj_out), ALL },

    { DOUBLE, DIFFUSERS, "norm1_linear", DBL(img.mod), ALL },
    { DOUBLE, DIFFUSERS, "norm1_context_linear", DBL(txt.mod), ALL },
    { DOUBLE, DIFFUSERS, "attn_to_q", DBL(img.qkv), Q },
    { DOUBLE, DIFFUSERS, "attn_to_k", DBL(img.qkv), K },
    { DOUBLE, DIFFUSERS, "attn_to_v", DBL(img.qkv), V },
    { DOUBLE, DIFFUSERS, "attn_add_q_proj", DBL(txt.qkv), Q },
    { DOUBLE, DIFFUSERS, "attn_add_k_proj", DBL(txt.qkv), K },
    { DOUBLE, DIFFUSERS, "attn_add_v_proj", DBL(txt.qkv), V },
    { DOUBLE, DIFFUSERS, "attn_to_out_0", DBL(img.proj), ALL },
    { DOUBLE, DIFFUSERS, "attn_to_add_out", DBL(txt.proj), ALL },
    { DOUBLE, DIFFUSERS, "ff_net_0_proj", DBL(img.mlp_in), ALL },
    { DOUBLE, DIFFUSERS, "ff_net_2", DBL(img.mlp_out), ALL },
    { DOUBLE, DIFFUSERS, "ff_context_net_0_proj", DBL(txt.mlp_in), ALL },
    { DOUBLE, DIFFUSERS, "ff_context_net_2", DBL(txt.mlp_out), ALL },
    { DOUBLE, BFL, "img_mod_lin", DBL(img.mod), ALL },
    { DOUBLE, BFL, "txt_mod_lin", DBL(txt.mod), ALL },
    { DOUBLE, BFL, "img_attn_qkv", DBL(img.qkv), ALL },
    { DOUBLE, BFL, "txt_attn_qkv", DBL(txt.qkv), ALL },
    { DOUBLE, BFL, "img_attn_proj", DBL(img.proj), ALL },
    { DOUBLE, BFL, "txt_attn_proj", DBL(txt.proj), ALL },
    { DOUBLE, BFL, "img_mlp_0", DBL(img.mlp_in), ALL },
    { DOUBLE, BFL, "img_mlp_2", DBL(img.mlp_out), ALL },
    { DOUBLE, BFL, "txt_mlp_0", DBL(txt.mlp_in), ALL },
    { DOUBLE, BFL, "txt_mlp_2", DBL(txt.mlp_out), ALL },
    { DOUBLE, FREE, "qkv_lora1", DBL(img.qkv), ALL },
    { DOUBLE, FREE, "qkv_lora2", DBL(txt.qkv), ALL },
    { DOUBLE, FREE, "proj_lora1", DBL(img.proj), ALL },
    { DOUBLE, FREE, "proj_lora2", DBL(txt.proj), ALL },

    { SINGLE, DIFFUSERS, "norm_linear", SGL(mod), ALL },
    { SINGLE, DIFFUSERS, "attn_to_q", SGL(in), Q },
    { SINGLE, DIFFUSERS, "attn_to_k", SGL(in), K },
    { SINGLE, DIFFUSERS, "attn_to_v", SGL(in), V },
    { SINGLE, DIFFUSERS, "proj_mlp", SGL(in), MLP },
    { SINGLE, DIFFUSERS, "proj_out", SGL(out), ALL },
    { SINGLE, BFL, "modulation_lin", SGL(mod), ALL },
    { SINGLE, BFL, "linear1", SGL(in), ALL },
    { SINGLE, BFL, "linear2", SGL(out), ALL },
    { SINGLE, FREE, "qkv_lora", SGL(in), QKV },
    { SINGLE, FREE, "proj_lora", SGL(out), ALL },
};

static const struct { const char *name; scope where; } blocks[] = {
    { "transformer_blocks_", DOUBLE }, { "double_blocks_", DOUBLE },
    { "single_transformer_blocks_", SINGLE }, { "single_blocks_", SINGLE },
};

static const char *const prefixes[] = { "base_model_model_", "lora_unet_", "lora_transformer_", "model_diffusion_model_",
                                        "diffusion_model_", "transformer_" };

static const struct { const char *suffix; lora_role role; } roles[] = {
    { ".lora_A.weight", LORA_A }, { ".lora_A.default.weight", LORA_A }, { ".lora_down.weight", LORA_A },
    { ".lora.down.weight", LORA_A }, { ".down.weight", LORA_A },
    { ".lora_B.weight", LORA_B }, { ".lora_B.default.weight", LORA_B }, { ".lora_up.weight", LORA_B },
    { ".lora.up.weight", LORA_B }, { ".up.weight", LORA_B },
    { ".alpha", LORA_ALPHA }, { ".lora_alpha", LORA_ALPHA }, { ".network_alpha", LORA_ALPHA },
    { ".dora_scale", LORA_DORA }, { ".lora_magnitude_vector", LORA_DORA }, { ".lora_magnitude_vector.weight", LORA_DORA },
    { ".lora_magnitude_vector.default.weight", LORA_DORA },
};

lora_role lora_split_key(const char *key, size_t *stem_nbytes)
{
    size_t n = strlen(key);
    for (size_t i = 0; i < sizeof roles / sizeof *roles; i++) {
        size_t k = strlen(roles[i].suffix);
        if (n > k && strcmp(key + n - k, roles[i].suffix) == 0) {
            *stem_nbytes = n - k;
            return roles[i].role;
        }
    }
    *stem_nbytes = n;
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

/* "double_blocks_7_img_mlp_0" -> DOUBLE, 7, "img_mlp_0"; anything else is an outer layer. */
static const char *split_block(const char *s, scope *where, long *block)
{
    *where = OUTER;
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

static const rule *find_rule(scope where, const char *rest)
{
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
        const rule *r = &rules[i];
        if (r->where == where && (r->how == FREE ? strstr(rest, r->name) != NULL : strcmp(rest, r->name) == 0)) return r;
    }
    return NULL;
}

static void row_range(const dit *m, part rows, lora_target *t)
{
    int width = m->config.heads * m->config.head_dim;
    t->row0 = 0;
    t->rows = t->w->out;
    if (rows == Q || rows == K || rows == V) {
        t->row0 = (rows == Q ? 0 : rows == K ? 1 : 2) * width;
        t->rows = width;
    } else if (rows == QKV) {
        t->rows = 3 * width;
    } else if (rows == MLP) {
        t->row0 = 3 * width;
        t->rows = t->w->out - 3 * width;
    }
}

lora_found lora_find(dit *m, const char *stem, lora_target *out)
{
    char spelled[256];
    size_t n = strlen(stem);
    if (n >= sizeof spelled) return LORA_UNKNOWN;
    for (size_t i = 0; i <= n; i++) spelled[i] = stem[i] == '.' ? '_' : stem[i];

    scope where;
    long block;
    const char *rest = spelled;
    while (skip_prefix(&rest)) {}
    rest = split_block(rest, &where, &block);
    const rule *r = find_rule(where, rest);
    if (!r) return LORA_UNKNOWN;
    if (block >= (where == DOUBLE ? m->config.layers : where == SINGLE ? m->config.single_layers : 1)) return LORA_NO_BLOCK;

    char *owner = where == DOUBLE ? (char *)&m->doubles[block] : where == SINGLE ? (char *)&m->singles[block] : (char *)m;
    out->w = (weight *)(void *)(owner + r->member);
    out->swapped = r->rows == SWAP;
    out->diffusers = r->how == DIFFUSERS;
    if (out->w->out == 0) return LORA_UNKNOWN; /* a model without the guidance embedder */
    row_range(m, r->rows, out);
    return LORA_FOUND;
}
