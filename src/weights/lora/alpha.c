/* alpha.c - metadata and adapter_config.json. */
#include "weights/lora/alpha.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/file.h"
#include "base/mem.h"
#include "format/json.h"

/* A single number for the whole file, in the order of trust. */
static const char *const numbers[] = { "lora_alpha", "network_alpha", "ss_network_alpha", "alpha", NULL };

static double number(const char *text)
{
    char *end;
    double v = text && *text ? strtod(text, &end) : NAN;
    return text && *text && *end == '\0' && v > 0 && v < 1e30 ? v : NAN;
}

/* kohya's trainer writes None where each alpha is its rank. */
static bool understood(const char *value) { return !isnan(number(value)) || strcmp(value, "None") == 0; }

static bool is_number_field(const char *key)
{
    const char *const *n = numbers;
    while (*n && strcmp(*n, key) != 0) n++;
    return *n;
}

/* PEFT's own file, which lies beside adapter_model.safetensors. */
static dreamo_status read_beside(const st_file *f, lora_alphas *out, dreamo_error *err)
{
    const char *slash = strrchr(f->path, '/'), *name = slash ? slash + 1 : f->path;
    if (strcmp(name, "adapter_model.safetensors") != 0) return DREAMO_OK;
    char *path = mem_printf("%.*sadapter_config.json", (int)(name - f->path), f->path);
    if (!path) return fail(err, DREAMO_MEMORY, "%s: no memory for a path", f->path);
    dreamo_status s = file_exists(path) ? json_read(path, 1 << 20, &out->config, err) : DREAMO_OK;
    mem_free(path);
    return s;
}

dreamo_status lora_alphas_read(const st_file *f, lora_alphas *out, dreamo_error *err)
{
    const char *text = st_meta(f, "lora_adapter_metadata");
    *out = (lora_alphas){ .number = NAN };
    if (text && json_parse(text, strlen(text), f->path, &out->config, NULL)) out->unknown = "lora_adapter_metadata";
    dreamo_status s = text ? DREAMO_OK : read_beside(f, out, err);
    for (const char *const *n = numbers; *n && isnan(out->number); n++) out->number = number(st_meta(f, *n));
    for (int i = 0; i < f->nmeta; i++)
        if (strcasestr(f->meta_key[i], "alpha") && !(is_number_field(f->meta_key[i]) && understood(f->meta_value[i]))) out->unknown = f->meta_key[i];
    if (s) lora_alphas_free(out);
    return s;
}

void lora_alphas_free(lora_alphas *a)
{
    json_decref(a->config);
    *a = (lora_alphas){ .number = NAN };
}

/* ---- PEFT's configuration ---- */

static bool starts(const char *s, const char *with) { return strncmp(s, with, strlen(with)) == 0; }

/* "transformer" + "." + name, or the name alone. */
static const json_t *field(const lora_alphas *a, const char *network, const char *name)
{
    char key[80];
    snprintf(key, sizeof key, "%s.%s", network, name);
    const json_t *v = json_object_get(a->config, key);
    return v ? v : json_object_get(a->config, name);
}

/* PEFT matches a pattern's key as a regular expression against the end of a module's name, after a dot or from its beginning: keys
 * are names in practice, with "^" before those that mean the whole name. */
static bool matches(const char *key, const char *module)
{
    bool whole = *key == '^';
    key += whole;
    size_t n = strlen(module), k = strlen(key) - (*key && key[strlen(key) - 1] == '$');
    if (k > n || strncmp(module + n - k, key, k) != 0) return false;
    return n == k || (!whole && module[n - k - 1] == '.');
}

static double pattern(const json_t *table, const char *module)
{
    const char *key;
    json_t *v;
    json_object_foreach((json_t *)(uintptr_t)table, key, v)
        if (json_is_number(v) && matches(key, module)) return json_number_value(v);
    return NAN;
}

/* "transformer.single_transformer_blocks.0.attn.to_k": the network's name, and the module's in it. */
static const char *split(const char *stem, const char **network)
{
    if (starts(stem, "base_model.model.")) stem += strlen("base_model.model.");
    *network = "transformer";
    if (starts(stem, "text_encoder_2.")) *network = "text_encoder_2";
    else if (starts(stem, "text_encoder.")) *network = "text_encoder";
    else if (!starts(stem, "transformer.")) return stem;
    return stem + strlen(*network) + 1;
}

double lora_alpha_of(const lora_alphas *a, const char *stem, int rank)
{
    const char *network, *module = split(stem, &network);
    double alpha = pattern(field(a, network, "alpha_pattern"), module);
    const json_t *all = field(a, network, "lora_alpha");
    if (!json_is_number(all)) all = field(a, network, "alpha"); /* LoHa's and LoKr's name for it */
    if (isnan(alpha) && json_is_number(all)) alpha = json_number_value(all);
    if (isnan(alpha)) return a->number;
    return json_is_true(field(a, network, "use_rslora")) ? alpha * sqrt((double)rank) : alpha;
}

int lora_rank_of(const lora_alphas *a, const char *stem)
{
    const char *network, *module = split(stem, &network);
    double rank = pattern(field(a, network, "rank_pattern"), module);
    if (isnan(rank)) rank = json_number_value(field(a, network, "r")); /* 0: none */
    return rank >= 1 && rank <= 65536 ? (int)rank : 0;
}
