/* lora_names.c - what a LoRA file's keys mean.
 *
 * A stem is brought to one spelling (dots become underscores, known prefixes go), its block number is cut out, and the
 * rest is looked up in the transformer's table of names.  Our weights keep q, k, v (and a single block's mlp) fused, so a name means a
 * weight and a row range. */
#include "weights/lora_names.h"

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

lora_found lora_find(dit *m, const char *stem, lora_target *out)
{
    char spelled[256];
    size_t n = strlen(stem);
    if (n >= sizeof spelled) return LORA_UNKNOWN;
    for (size_t i = 0; i <= n; i++) spelled[i] = stem[i] == '.' ? '_' : stem[i];

    flux_scope where;
    long block;
    const char *rest = spelled;
    while (skip_prefix(&rest)) {}
    rest = split_block(rest, &where, &block);
    layer l;
    if (!find_layer(where, rest, m->config.heads * m->config.head_dim, &l)) return LORA_UNKNOWN;
    if (block >= (where == FLUX_DOUBLE ? m->config.layers : where == FLUX_SINGLE ? m->config.single_layers : 1)) return LORA_NO_BLOCK;

    char *owner = where == FLUX_DOUBLE ? (char *)&m->doubles[block] : where == FLUX_SINGLE ? (char *)&m->singles[block] : (char *)m;
    weight *w = (weight *)(void *)(owner + l.member);
    if (w->out == 0) return LORA_UNKNOWN; /* a model without the guidance embedder */
    *out = (lora_target){ .w = w, .row0 = l.row0, .rows = l.rows ? l.rows : w->out - l.row0, .swapped = l.swapped, .diffusers = l.diffusers };
    return LORA_FOUND;
}
