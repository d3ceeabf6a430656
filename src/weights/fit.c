/* fit.c - sizes from shapes.  Under which prefix and layout the tensors lie does not matter: their names end alike. */
#include "weights/fit.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "format/safetensors.h"
#include "weights/config.h"
#include "weights/kind.h"

/* One layer under its two names, as the files end them. */
typedef struct layer { const char *bfl, *diffusers; } layer;
static const layer text_in = { "txt_in.weight", "context_embedder.weight" };
static const layer image_in = { "img_in.weight", "x_embedder.weight" };
static const layer pooled_in = { "vector_in.in_layer.weight", "time_text_embed.text_embedder.linear_1.weight" };
static const layer guidance_in = { "guidance_in.in_layer.weight", "time_text_embed.guidance_embedder.linear_1.weight" };

/* Begins at a dot, or is all of the name. */
static bool ends(const char *s, const char *with)
{
    size_t n = strlen(s), k = strlen(with);
    return n >= k && strcmp(s + n - k, with) == 0 && (n == k || s[n - k - 1] == '.');
}

static const st_tensor *find(const st_set *s, layer l)
{
    for (int i = 0; i < s->nfiles; i++)
        for (int k = 0; k < s->files[i].ntensors; k++) {
            const st_tensor *t = &s->files[i].tensors[k];
            if (ends(t->name, l.bfl) || ends(t->name, l.diffusers)) return t;
        }
    return NULL;
}

/* A matrix's side; `otherwise` where there is none, or where it is packed. */
static int side(const st_tensor *t, int d, int otherwise)
{
    return t && t->rank == 2 && dtype_is_weight(t->type) && t->shape[d] > 0 && t->shape[d] <= 65536 ? (int)t->shape[d] : otherwise;
}

/* The number of a block: what follows "double_blocks." or "transformer_blocks."; -1: none. */
static long number_after(const char *name, const char *list)
{
    const char *at = strstr(name, list);
    if (!at || (at > name && at[-1] != '.')) return -1; /* "transformer_blocks." ends "single_transformer_blocks.", too */
    char *end;
    long n = strtol(at + strlen(list), &end, 10);
    return *end == '.' && n >= 0 && n < 1000 ? n : -1;
}

static void count_blocks(const st_set *s, dit_config *c)
{
    long doubles = -1, singles = -1, n;
    for (int i = 0; i < s->nfiles; i++)
        for (int k = 0; k < s->files[i].ntensors; k++) {
            const char *name = s->files[i].tensors[k].name;
            if ((n = number_after(name, "double_blocks.")) > doubles || (n = number_after(name, "transformer_blocks.")) > doubles) doubles = n;
            if ((n = number_after(name, "single_blocks.")) > singles || (n = number_after(name, "single_transformer_blocks.")) > singles) singles = n;
        }
    if (doubles < 0 && singles < 0) return;
    c->layers = (int)doubles + 1;
    c->single_layers = (int)singles + 1;
}

/* The gain of q's norm is as long as a head. */
static int head_dim(const st_set *s, int otherwise)
{
    for (int i = 0; i < s->nfiles; i++)
        for (int k = 0; k < s->files[i].ntensors; k++) {
            const st_tensor *t = &s->files[i].tensors[k];
            if (ends(t->name, "query_norm.scale") || ends(t->name, "attn.norm_q.weight")) return t->count > 0 && t->count <= 1024 ? (int)t->count : otherwise;
        }
    return otherwise;
}

static dreamo_status fit(const st_set *s, const char *path, dit_config *c, dreamo_error *err)
{
    static const int flux_axes[3] = { 16, 56, 56 };
    int dim = head_dim(s, c->head_dim), width = side(find(s, image_in), 0, c->heads * c->head_dim);
    if (!find(s, image_in) || !find(s, text_in)) return DREAMO_OK; /* no whole transformer: its tensors will be named */
    if (dim != c->head_dim && dim != flux_axes[0] + flux_axes[1] + flux_axes[2]) {
        fail(err, DREAMO_MISMATCH, "%s: its heads are %d wide, those of the configuration %d: which of them belong to which axis only its own configuration tells", path, dim,
             c->head_dim);
        return hint(err, "put it into a folder with model_index.json and transformer/config.json, or name such a folder: -m DIR --dit FILE");
    }
    count_blocks(s, c);
    c->guidance = find(s, guidance_in) != NULL;
    c->in_channels = c->out_channels = side(find(s, image_in), 1, c->in_channels);
    c->text_dim = side(find(s, text_in), 1, c->text_dim);
    c->pooled_dim = side(find(s, pooled_in), 1, c->pooled_dim);
    if (dim != c->head_dim) memcpy(c->rope_axes, flux_axes, sizeof flux_axes);
    c->head_dim = dim;
    if (width % dim == 0) c->heads = width / dim;
    return DREAMO_OK;
}

dreamo_status fit_dit(const char *path, dit_config *c, dreamo_error *err)
{
    st_set s;
    char *own = path_join(path, "config.json");
    if (!own) return fail(err, DREAMO_MEMORY, "%s: no memory for a path", path);
    bool configured = folder_exists(path) && file_exists(own);
    dreamo_status status = configured ? config_dit(own, c, err) : st_set_open(path, "diffusion_pytorch_model", &s, err);
    mem_free(own);
    if (configured || status) return status;
    status = kind_refuse(&s, path, HAS_DIT, err);
    if (!status) status = fit(&s, path, c, err);
    st_set_close(&s);
    return status;
}
