/* config.c - reading config.json by a table of fields for each network. */
#include "weights/config.h"
#include <string.h>
#include "format/json.h"

#define MAX_CONFIG 1000000
#define NEEDED -1

/* One whole-number field: where it goes, its range, and its value when missing (NEEDED: it must be there). */
typedef struct int_field { const char *name; int *out; int64_t lo, hi, otherwise; } int_field;

static dreamo_status read_ints(const json_t *o, const char *path, const int_field *f, size_t n, dreamo_error *err)
{
    for (size_t i = 0; i < n; i++) {
        int64_t v;
        dreamo_status s = json_get_int(o, path, f[i].name, f[i].lo, f[i].hi, f[i].otherwise, &v, err);
        if (s) return s;
        *f[i].out = (int)v;
    }
    return DREAMO_OK;
}

static dreamo_status open_config(const char *path, json_t **o, dreamo_error *err)
{
    dreamo_status s = json_read(path, MAX_CONFIG, o, err);
    if (s) return s;
    if (json_is_object(*o)) return DREAMO_OK;
    json_decref(*o);
    return fail(err, DREAMO_FORMAT, "%s: is not a JSON object", path);
}

/* A string field that must, when present, have this value. */
static dreamo_status only(const json_t *o, const char *path, const char *field, const char *value, dreamo_error *err)
{
    const char *s;
    dreamo_status status = json_get_string(o, path, field, value, &s, err);
    if (!status && strcmp(s, value) != 0)
        status = fail(err, DREAMO_FORMAT, "%s: field \"%s\" is \"%.60s\", only \"%s\" is known", path, field, s, value);
    return status;
}

/* A list of strings, one a level, that must, when present, all have this value. */
static dreamo_status only_list(const json_t *o, const char *path, const char *field, const char *value, int levels,
                               dreamo_error *err)
{
    const json_t *list = json_object_get(o, field);
    if (!list || json_is_null(list)) return DREAMO_OK;
    if (!json_is_array(list) || json_array_size(list) != (size_t)levels)
        return fail(err, DREAMO_FORMAT, "%s: field \"%s\" is not a list of %d names, one a level", path, field, levels);
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *s = json_string_value(json_array_get(list, i));
        if (!s || strcmp(s, value) != 0)
            return fail(err, DREAMO_FORMAT, "%s: field \"%s\" has \"%.60s\", only \"%s\" is known", path, field, s ? s : "",
                        value);
    }
    return DREAMO_OK;
}

/* A field that must be null or absent. */
static dreamo_status absent(const json_t *o, const char *path, const char *field, dreamo_error *err)
{
    const json_t *v = json_object_get(o, field);
    return !v || json_is_null(v) ? DREAMO_OK : fail(err, DREAMO_FORMAT, "%s: field \"%s\" is not known here, only null", path,
                                                    field);
}

/* A whole-number list of exactly n (or at most n when count is given) values. */
static dreamo_status int_list(const json_t *o, const char *path, const char *field, int lo, int hi, int n, int *out, int *count,
                              dreamo_error *err)
{
    const json_t *list = json_object_get(o, field);
    size_t have = json_array_size(list);
    if (!json_is_array(list) || have == 0 || have > (size_t)n || (!count && have != (size_t)n))
        return fail(err, DREAMO_FORMAT, "%s: field \"%s\" is not a list of %s%d numbers", path, field, count ? "1 to " : "", n);
    for (size_t i = 0; i < have; i++) {
        const json_t *v = json_array_get(list, i);
        json_int_t x = json_integer_value(v);
        if (!json_is_integer(v) || x < lo || x > hi)
            return fail(err, DREAMO_FORMAT, "%s: field \"%s\": value %zu is not a whole number from %d to %d", path, field, i, lo,
                        hi);
        out[i] = (int)x;
    }
    if (count) *count = (int)have;
    return DREAMO_OK;
}

dreamo_status config_pipeline(const char *path, dreamo_error *err)
{
    json_t *o;
    dreamo_status s = open_config(path, &o, err);
    if (s) return s;
    s = only(o, path, "_class_name", "FluxPipeline", err);
    json_decref(o);
    return s;
}

dreamo_status config_dit(const char *path, dit_config *c, dreamo_error *err)
{
    json_t *o;
    int patch = 1;
    dreamo_status s = open_config(path, &o, err);
    if (s) return s;
    *c = (dit_config){ 0 };
    const int_field fields[] = {
        { "num_layers", &c->layers, 0, 1000, NEEDED },
        { "num_single_layers", &c->single_layers, 0, 1000, NEEDED },
        { "num_attention_heads", &c->heads, 1, 1024, NEEDED },
        { "attention_head_dim", &c->head_dim, 2, 1024, NEEDED },
        { "in_channels", &c->in_channels, 1, 65536, NEEDED },
        { "joint_attention_dim", &c->text_dim, 1, 65536, NEEDED },
        { "pooled_projection_dim", &c->pooled_dim, 1, 65536, NEEDED },
        { "patch_size", &patch, 1, 1, 1 },
    };
    s = only(o, path, "_class_name", "FluxTransformer2DModel", err);
    if (!s) s = read_ints(o, path, fields, sizeof fields / sizeof *fields, err);
    int64_t out = 0;
    if (!s) s = json_get_int(o, path, "out_channels", 1, 65536, c->in_channels, &out, err);
    c->out_channels = (int)out;
    if (!s) s = json_get_bool(o, path, "guidance_embeds", false, &c->guidance, err);
    if (!s && json_object_get(o, "axes_dims_rope")) s = int_list(o, path, "axes_dims_rope", 0, 1024, 3, c->rope_axes, NULL, err);
    else if (!s) memcpy(c->rope_axes, (int[3]){ 16, 56, 56 }, sizeof c->rope_axes);
    if (!s && c->rope_axes[0] + c->rope_axes[1] + c->rope_axes[2] != c->head_dim)
        s = fail(err, DREAMO_FORMAT, "%s: field \"axes_dims_rope\" sums to %d, attention_head_dim is %d", path,
                 c->rope_axes[0] + c->rope_axes[1] + c->rope_axes[2], c->head_dim);
    for (int i = 0; !s && i < 3; i++)
        if (c->rope_axes[i] % 2)
            s = fail(err, DREAMO_FORMAT, "%s: field \"axes_dims_rope\": %d is not even", path, c->rope_axes[i]);
    if (!s && c->layers + c->single_layers == 0)
        s = fail(err, DREAMO_FORMAT, "%s: num_layers and num_single_layers are both 0", path);
    if (!s && c->out_channels != c->in_channels)
        s = fail(err, DREAMO_FORMAT, "%s: out_channels is %d, in_channels %d: they must be equal", path, c->out_channels,
                 c->in_channels);
    json_decref(o);
    return s;
}

dreamo_status config_vae(const char *path, vae_config *c, dreamo_error *err)
{
    json_t *o;
    bool quant = false, post = false;
    int out = 3;
    double scaling = 1, shift = 0;
    dreamo_status s = open_config(path, &o, err);
    if (s) return s;
    *c = (vae_config){ 0 };
    const int_field fields[] = {
        { "in_channels", &c->image_channels, 3, 3, 3 },
        { "out_channels", &out, 3, 3, 3 },
        { "latent_channels", &c->latent_channels, 1, 1024, NEEDED },
        { "layers_per_block", &c->layers, 1, 16, NEEDED },
        { "norm_num_groups", &c->groups, 1, 1024, NEEDED },
    };
    s = only(o, path, "_class_name", "AutoencoderKL", err);
    if (!s) s = read_ints(o, path, fields, sizeof fields / sizeof *fields, err);
    if (!s) s = int_list(o, path, "block_out_channels", 1, 8192, VAE_MAX_LEVELS, c->channels, &c->levels, err);
    for (int i = 0; !s && i < c->levels; i++)
        if (c->channels[i] % c->groups)
            s = fail(err, DREAMO_FORMAT, "%s: field \"block_out_channels\": %d is no multiple of norm_num_groups %d", path,
                     c->channels[i], c->groups);
    if (!s) s = only(o, path, "act_fn", "silu", err);
    if (!s) s = only_list(o, path, "down_block_types", "DownEncoderBlock2D", c->levels, err);
    if (!s) s = only_list(o, path, "up_block_types", "UpDecoderBlock2D", c->levels, err);
    if (!s) s = absent(o, path, "latents_mean", err);
    if (!s) s = absent(o, path, "latents_std", err);
    if (!s) s = json_get_bool(o, path, "mid_block_add_attention", true, &c->mid_attention, err);
    if (!s) s = json_get_bool(o, path, "use_quant_conv", true, &quant, err);
    if (!s) s = json_get_bool(o, path, "use_post_quant_conv", true, &post, err);
    if (!s && (quant || post))
        s = fail(err, DREAMO_FORMAT, "%s: use_quant_conv and use_post_quant_conv must be false: such autoencoders are not known",
                 path);
    if (!s) s = json_get_number(o, path, "scaling_factor", 1e-6, 1e6, -1, &scaling, err);
    if (!s) s = json_get_number(o, path, "shift_factor", -1e6, 1e6, 0, &shift, err);
    c->scaling = (float)scaling;
    c->shift = (float)shift;
    json_decref(o);
    return s;
}

static bool is_tanh_gelu(const char *act) { return strcmp(act, "gelu_new") == 0 || strcmp(act, "gelu_pytorch_tanh") == 0; }

/* The feed-forward's kind as transformers settles it: feed_forward_proj names an activation, "gated-" before it or not, and
 * dense_act_fn and is_gated_act override that.  Known is the tanh GELU, by each of its names. */
static dreamo_status t5_feed_forward(const json_t *o, const char *path, t5_config *c, dreamo_error *err)
{
    const char *feed = NULL, *act = NULL;
    dreamo_status s = json_get_string(o, path, "feed_forward_proj", "relu", &feed, err);
    if (s) return s;
    c->gated = strcmp(feed, "gated-gelu") == 0;
    if (c->gated) feed = "gelu_new";
    s = json_get_string(o, path, "dense_act_fn", feed, &act, err);
    if (!s) s = json_get_bool(o, path, "is_gated_act", c->gated, &c->gated, err);
    if (!s && !is_tanh_gelu(act))
        s = fail(err, DREAMO_FORMAT,
                 "%s: field \"%s\" makes the activation \"%.60s\", \"gelu_new\" and \"gelu_pytorch_tanh\" are known", path,
                 act == feed ? "feed_forward_proj" : "dense_act_fn", act);
    return s;
}

dreamo_status config_t5(const char *path, t5_config *c, dreamo_error *err)
{
    json_t *o;
    double eps = 0;
    dreamo_status s = open_config(path, &o, err);
    if (s) return s;
    *c = (t5_config){ 0 };
    const int_field fields[] = {
        { "num_layers", &c->layers, 1, 1000, NEEDED },
        { "d_model", &c->width, 1, 65536, NEEDED },
        { "num_heads", &c->heads, 1, 1024, NEEDED },
        { "d_kv", &c->head_dim, 1, 1024, NEEDED },
        { "d_ff", &c->ff, 1, 262144, NEEDED },
        { "vocab_size", &c->vocab, 1, 10000000, NEEDED },
        { "relative_attention_num_buckets", &c->buckets, 4, 4096, 32 },
        { "relative_attention_max_distance", &c->max_distance, 2, 1000000, 128 },
    };
    s = only(o, path, "model_type", "t5", err); /* umT5 has a bias table in every block */
    if (!s) s = read_ints(o, path, fields, sizeof fields / sizeof *fields, err);
    if (!s && c->max_distance <= c->buckets / 4) /* the distances that have buckets of their own */
        s = fail(err, DREAMO_FORMAT, "%s: relative_attention_max_distance %d must be greater than a quarter of the %d buckets",
                 path, c->max_distance, c->buckets);
    if (!s) s = json_get_number(o, path, "layer_norm_epsilon", 0, 1, 1e-6, &eps, err);
    c->eps = (float)eps;
    if (!s) s = t5_feed_forward(o, path, c, err);
    json_decref(o);
    return s;
}

dreamo_status config_clip(const char *path, clip_config *c, dreamo_error *err)
{
    json_t *o;
    double eps = 0;
    const char *act = NULL;
    dreamo_status s = open_config(path, &o, err);
    if (s) return s;
    *c = (clip_config){ 0 };
    const int_field fields[] = {
        { "num_hidden_layers", &c->layers, 1, 1000, NEEDED },
        { "hidden_size", &c->width, 1, 65536, NEEDED },
        { "num_attention_heads", &c->heads, 1, 1024, NEEDED },
        { "intermediate_size", &c->ff, 1, 262144, NEEDED },
        { "vocab_size", &c->vocab, 1, 10000000, NEEDED },
        { "max_position_embeddings", &c->positions, 1, 65536, NEEDED },
    };
    s = only(o, path, "model_type", "clip_text_model", err);
    if (!s) s = read_ints(o, path, fields, sizeof fields / sizeof *fields, err);
    if (!s && c->width % c->heads)
        s = fail(err, DREAMO_FORMAT, "%s: hidden_size %d is no multiple of num_attention_heads %d", path, c->width, c->heads);
    if (!s) s = json_get_number(o, path, "layer_norm_eps", 0, 1, 1e-5, &eps, err);
    c->eps = (float)eps;
    if (!s) s = json_get_string(o, path, "hidden_act", "quick_gelu", &act, err);
    if (!s) {
        c->quick_gelu = strcmp(act, "quick_gelu") == 0;
        if (!c->quick_gelu && !is_tanh_gelu(act))
            s = fail(err, DREAMO_FORMAT,
                     "%s: field \"hidden_act\" is \"%.60s\", \"quick_gelu\", \"gelu_new\" and \"gelu_pytorch_tanh\" are known", path, act);
    }
    json_decref(o);
    return s;
}

/* "groups": [{"name": ..., "labels": [{"name": ..., ...}, ...]}, ...] */
static dreamo_status count_labels(const json_t *o, const char *path, int *labels, dreamo_error *err)
{
    const json_t *groups = json_object_get(o, "groups");
    *labels = 0;
    if (!json_is_array(groups)) return fail(err, DREAMO_FORMAT, "%s: field \"groups\" is not a list", path);
    for (size_t i = 0; i < json_array_size(groups); i++) *labels += (int)json_array_size(json_object_get(json_array_get(groups, i), "labels"));
    return *labels > 0 && *labels <= 4096 ? DREAMO_OK : fail(err, DREAMO_FORMAT, "%s: field \"groups\" lists %d labels, allowed are 1 to 4096", path, *labels);
}

dreamo_status config_judge(const char *path, judge_config *c, dreamo_error *err)
{
    json_t *o;
    int levels = 0;
    dreamo_status s = open_config(path, &o, err);
    if (s) return s;
    *c = (judge_config){ 0 };
    const int_field fields[] = { { "side", &c->side, 16, 1024, NEEDED }, { "hidden", &c->hidden, 1, 8192, NEEDED }, { "embed", &c->embed, 2, 1024, NEEDED } };
    s = json_object_get(o, "model_type") ? only(o, path, "model_type", "dreamo-judge", err)
                                         : fail(err, DREAMO_FORMAT, "%s: is no judge's: field \"model_type\" is missing", path);
    if (!s) s = read_ints(o, path, fields, sizeof fields / sizeof *fields, err);
    if (!s) s = int_list(o, path, "channels", 1, 2048, JUDGE_MAX_LEVELS, c->channels, &c->levels, err);
    if (!s) s = int_list(o, path, "blocks", 0, JUDGE_MAX_BLOCKS, JUDGE_MAX_LEVELS, c->blocks, &levels, err);
    if (!s && levels != c->levels)
        s = fail(err, DREAMO_FORMAT, "%s: field \"blocks\" has %d numbers, \"channels\" %d", path, levels, c->levels);
    int cell = 1 << c->levels;
    if (!s && (c->side % cell || c->side / cell < 2 || c->side / cell > 32))
        s = fail(err, DREAMO_FORMAT, "%s: field \"side\" is %d: a multiple of %d from %d to %d is taken, 2 to 32 cells", path, c->side, cell, 2 * cell, 32 * cell);
    if (!s) s = count_labels(o, path, &c->labels, err);
    json_decref(o);
    return s;
}

dreamo_status config_matting(const char *path, matting_config *c, dreamo_error *err)
{
    json_t *o;
    int levels = 0, up = 0;
    dreamo_status s = open_config(path, &o, err);
    if (s) return s;
    *c = (matting_config){ 0 };
    const int_field fields[] = { { "side", &c->side, 16, 1024, NEEDED }, { "groups", &c->groups, 1, 256, NEEDED }, { "heads", &c->heads, 1, 256, NEEDED } };
    s = json_object_get(o, "model_type") ? only(o, path, "model_type", "dreamo-matting", err)
                                         : fail(err, DREAMO_FORMAT, "%s: is no matting network's: field \"model_type\" is missing", path);
    if (!s) s = read_ints(o, path, fields, sizeof fields / sizeof *fields, err);
    if (!s) s = int_list(o, path, "channels", 1, 2048, MATTING_MAX_LEVELS, c->channels, &c->levels, err);
    if (!s) s = int_list(o, path, "blocks", 0, MATTING_MAX_BLOCKS, MATTING_MAX_LEVELS, c->blocks, &levels, err);
    if (!s) s = int_list(o, path, "up_blocks", 0, MATTING_MAX_BLOCKS, MATTING_MAX_LEVELS, c->up_blocks, &up, err);
    if (!s && (levels != c->levels || up != c->levels))
        s = fail(err, DREAMO_FORMAT, "%s: fields \"channels\", \"blocks\" and \"up_blocks\" have %d, %d and %d numbers: as many of each are needed", path, c->levels, levels, up);
    for (int i = 0; i < c->levels && !s; i++)
        if (c->channels[i] % c->groups) s = fail(err, DREAMO_FORMAT, "%s: field \"channels\": %d is no multiple of groups %d", path, c->channels[i], c->groups);
    if (!s && c->channels[c->levels - 1] % (2 * c->heads))
        s = fail(err, DREAMO_FORMAT, "%s: the last of field \"channels\" is %d: a multiple of twice heads %d is needed", path, c->channels[c->levels - 1], c->heads);
    if (!s && c->side % (1 << c->levels)) s = fail(err, DREAMO_FORMAT, "%s: field \"side\" is %d: a multiple of %d is needed", path, c->side, 1 << c->levels);
    json_decref(o);
    return s;
}
