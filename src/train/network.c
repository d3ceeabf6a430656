/* network.c - configs, weights and tokenizers of a model folder. */
#include "train/network.h"

#include <string.h>

#include "base/ends.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/sha256.h"
#include "weights/bind.h"
#include "weights/config.h"
#include "weights/default_model.h"
#include "weights/fit.h"
#include "weights/kind.h"
#include "weights/parts.h"

/* ---- what the parts have in common ---- */

static const struct { const char *folder, *stem; network_walk walk; const char *option; } parts_table[PARTS] = {
    [PART_DIT] = { "transformer", "diffusion_pytorch_model", bind_walk_dit, "--dit" },
    [PART_T5] = { "text_encoder_2", "model", bind_walk_t5, "--t5" },
    [PART_CLIP] = { "text_encoder", "model", bind_walk_clip, "--clip" },
    [PART_VAE] = { "vae", "diffusion_pytorch_model", bind_walk_vae, "--vae" },
    [PART_JUDGE] = { "judge", "model", bind_walk_judge, NULL },
    [PART_MATTING] = { "matting", "model", bind_walk_matting, NULL },
};

const char  *network_folder(network_part part) { return parts_table[part].folder; }
const char  *network_stem(network_part part) { return parts_table[part].stem; }
network_walk network_walker(network_part part) { return parts_table[part].walk; }

void *network_get(network *n, network_part part)
{
    void *const all[PARTS] = { [PART_DIT] = n->dit, [PART_T5] = n->t5, [PART_CLIP] = n->clip, [PART_VAE] = n->vae, [PART_JUDGE] = n->judge,
                                [PART_MATTING] = n->matting };
    return all[part];
}

/* ---- opening ---- */

/* `file`: where the weights are, when not in the config's folder: a transformer's sizes are those that it tells. */
static dreamo_status shape_part(network *n, network_part part, const char *config, const char *file, dreamo_error *err)
{
    union { dit_config dit; t5_config t5; clip_config clip; vae_config vae; judge_config judge; matting_config matting; } c;
    dreamo_status s = DREAMO_OK;
    switch (part) {
    case PART_DIT:
        s = config_dit(config, &c.dit, err);
        if (!s && file) s = fit_dit(file, &c.dit, err);
        if (!s) n->dit = dit_new(&c.dit);
        break;
    case PART_T5:
        if (!(s = config_t5(config, &c.t5, err))) n->t5 = t5_new(&c.t5);
        break;
    case PART_CLIP:
        if (!(s = config_clip(config, &c.clip, err))) n->clip = clip_new(&c.clip);
        break;
    case PART_JUDGE:
        if (!(s = config_judge(config, &c.judge, err))) n->judge = judge_new(&c.judge);
        break;
    case PART_MATTING:
        if (!(s = config_matting(config, &c.matting, err))) n->matting = matting_new(&c.matting);
        break;
    default:
        if (!(s = config_vae(config, &c.vae, err))) n->vae = vae_new(&c.vae);
        break;
    }
    return s || network_get(n, part) ? s : fail(err, DREAMO_MEMORY, "%s: no memory for the network", config);
}

static dreamo_status bind_part(network *n, network_part part, const char *path, dreamo_error *err)
{
    bound_files *files = &n->files[part];
    if (!(n->from[part] = mem_strdup(path))) return fail(err, DREAMO_MEMORY, "%s: no memory", path);
    switch (part) {
    case PART_DIT: return bind_dit(n->dit, path, files, err);
    case PART_T5: return bind_t5(n->t5, path, files, err);
    case PART_CLIP: return bind_clip(n->clip, path, files, err);
    case PART_JUDGE: return bind_judge(n->judge, path, files, err);
    case PART_MATTING: return bind_matting(n->matting, path, files, err);
    default: return bind_vae(n->vae, path, files, err);
    }
}

static bool has_weights(const char *folder, const char *stem)
{
    static const char *const ending[] = { "safetensors", "safetensors.index.json", "gguf" };
    bool there = false;
    for (size_t i = 0; i < sizeof ending / sizeof *ending && !there; i++) {
        char *file = mem_printf("%s/%s.%s", folder, stem, ending[i]);
        there = file && file_exists(file);
        mem_free(file);
    }
    return there;
}

/* Weights under another name, or of another kind, are not passed over in silence: whoever put them there wants to go on from them. */
static dreamo_status check_no_others(const char *folder, network_part part, dreamo_error *err)
{
    static const char *const ending[] = { ".safetensors", ".gguf", ".bin", ".pth", ".ckpt" };
    char **names = NULL;
    int n = 0;
    dreamo_status s = folder_list(folder, &names, &n, err);
    for (int i = 0; i < n && !s; i++)
        for (size_t k = 0; k < sizeof ending / sizeof *ending && !s; k++) {
            if (!ends_after(names[i], ending[k])) continue;
            s = fail(err, DREAMO_CONTENT, "%s: holds %s, and not %s.safetensors", folder, names[i], parts_table[part].stem);
            const char *option = parts_table[part].option;
            hint(err, "%s%s%swithout any weights the part begins anew", option ? "give it with " : "", option ? option : "", option ? " to go on from it; " : "");
        }
    folder_list_free(names, n);
    return s;
}

/* file NULL: in the model's folder. */
static dreamo_status open_part(network *n, network_part part, const char *file, bool may_lack, dreamo_error *err)
{
    char *folder = path_join(n->dir, parts_table[part].folder), *config = folder ? path_join(folder, "config.json") : NULL;
    dreamo_status s = config ? shape_part(n, part, config, file, err) : fail(err, DREAMO_MEMORY, "%s: no memory", n->dir);
    n->has[part] = !s;
    n->fresh[part] = !s && may_lack && !file && !has_weights(folder, parts_table[part].stem);
    if (!s && n->fresh[part]) s = check_no_others(folder, part, err);
    else if (!s) s = bind_part(n, part, file ? file : folder, err);
    mem_free(folder);
    mem_free(config);
    return s;
}

static dreamo_status open_words(network *n, unsigned parts, dreamo_error *err)
{
    char *t5 = path_join(n->dir, "tokenizer_2"), *clip = path_join(n->dir, "tokenizer");
    dreamo_status s = t5 && clip ? DREAMO_OK : fail(err, DREAMO_MEMORY, "%s: no memory", n->dir);
    if (!s && (parts & 1u << PART_T5)) s = unigram_open(t5, &n->t5_words, err);
    if (!s && (parts & 1u << PART_CLIP)) s = bpe_open(clip, &n->clip_words, err);
    mem_free(t5);
    mem_free(clip);
    return s;
}

static dreamo_status check_together(const network *n, dreamo_error *err)
{
    if (!n->dit) return DREAMO_OK;
    const dit_config *d = &n->dit->config;
    if (n->t5 && n->t5->config.width != d->text_dim)
        return fail(err, DREAMO_FORMAT, "%s: text_encoder_2 is %d wide, transformer's joint_attention_dim is %d", n->dir,
                    n->t5->config.width, d->text_dim);
    if (n->clip && n->clip->config.width != d->pooled_dim)
        return fail(err, DREAMO_FORMAT, "%s: text_encoder is %d wide, transformer's pooled_projection_dim is %d", n->dir,
                    n->clip->config.width, d->pooled_dim);
    if (n->clip && n->clip_words && bpe_max_length(n->clip_words) > n->clip->config.positions)
        return fail(err, DREAMO_FORMAT, "%s: tokenizer makes up to %d tokens, text_encoder takes %d", n->dir,
                    bpe_max_length(n->clip_words), n->clip->config.positions);
    if (n->vae && 4 * n->vae->config.latent_channels != d->in_channels)
        return fail(err, DREAMO_FORMAT, "%s: vae has %d latent channels, so transformer's in_channels must be %d, not %d", n->dir,
                    n->vae->config.latent_channels, 4 * n->vae->config.latent_channels, d->in_channels);
    return DREAMO_OK;
}

/* A folder without model_index.json that holds a transformer: its single files, under the shipped configurations of FLUX.1-dev. */
static dreamo_status find_single_files(network *n, const char *file[PARTS], parts *found, dreamo_error *err)
{
    static const int holds[PARTS] = { [PART_DIT] = HAS_DIT, [PART_T5] = HAS_T5, [PART_CLIP] = HAS_CLIP, [PART_VAE] = HAS_VAE };
    char *index = path_join(n->dir, "model_index.json"), *config = path_join(n->dir, "vae/config.json");
    dreamo_status s = index && config ? DREAMO_OK : fail(err, DREAMO_MEMORY, "%s: no memory", n->dir);
    bool layout = !s && (file_exists(index) || file_exists(config));
    int given = 0;
    mem_free(index);
    mem_free(config);
    if (s || layout) return s;
    for (int i = 0; i < PARTS; i++) given |= file[i] ? holds[i] : 0;
    s = parts_find(n->dir, given, found, err);
    if (!s) s = parts_check(found, n->dir, given, err);
    if (s) return s;
    char *const all[PARTS] = { [PART_DIT] = found->dit, [PART_T5] = found->t5, [PART_CLIP] = found->clip, [PART_VAE] = found->vae };
    for (int i = 0; i < PARTS; i++)
        if (!file[i]) file[i] = all[i];
    mem_free(n->dir);
    n->dir = model_folder("flux-dev");
    return n->dir ? DREAMO_OK : fail(err, DREAMO_MEMORY, "no memory for the model's name");
}

dreamo_status network_open(network *n, const char *dir, const char *const file[PARTS], unsigned parts_wanted, unsigned may_lack, dreamo_error *err)
{
    const char *from[PARTS] = { NULL };
    parts found = { 0 };
    *n = (network){ .dir = model_folder(dir) };
    for (int part = 0; file && part < PARTS; part++) from[part] = file[part];
    dreamo_status s = n->dir ? DREAMO_OK : fail(err, DREAMO_MEMORY, "%s: no memory", dir);
    if (!s && !folder_exists(n->dir)) s = fail(err, DREAMO_NOT_FOUND, "%s: no such folder", dir);
    if (!s && parts_wanted & PARTS_OF_A_MODEL) s = find_single_files(n, from, &found, err);
    for (int part = 0; !s && part < PARTS; part++)
        if (parts_wanted & 1u << part) s = open_part(n, (network_part)part, from[part], (may_lack & 1u << part) != 0, err);
    parts_free(&found);
    if (!s) s = open_words(n, parts_wanted, err);
    if (!s) s = check_together(n, err);
    if (s) network_close(n);
    return s;
}

void network_close(network *n)
{
    for (int part = 0; part < PARTS; part++) {
        bind_close(&n->files[part]);
        mem_free(n->from[part]);
    }
    dit_free(n->dit);
    t5_free(n->t5);
    clip_free(n->clip);
    vae_free(n->vae);
    judge_free(n->judge);
    matting_free(n->matting);
    if (n->t5_words) unigram_close(n->t5_words);
    if (n->clip_words) bpe_close(n->clip_words);
    mem_free(n->dir);
    *n = (network){ 0 };
}

static void count_one(void *user, const param *p) { *(int64_t *)user += param_count(p); }

int64_t network_count(network *n)
{
    int64_t count = 0;
    for (int part = 0; part < PARTS; part++)
        if (n->has[part]) parts_table[part].walk(network_get(n, (network_part)part), count_one, &count);
    return count;
}

uint64_t network_nbytes(const network *n)
{
    uint64_t nbytes = 0;
    for (int part = 0; part < PARTS; part++) nbytes += bind_nbytes(&n->files[part]);
    return nbytes;
}

static void hash_parts(const network *n, int first, int end, char hex[65])
{
    sha256 h;
    bool any = false;
    sha256_init(&h);
    for (int part = first; part < end; part++)
        for (int f = 0; f < n->files[part].set.nfiles; f++) {
            const filemap *m = &n->files[part].set.files[f].map;
            sha256_add(&h, m->data, m->nbytes);
            file_map_forget(m); /* gigabytes that are not needed all at once */
            any = true;
        }
    sha256_text(&h, hex);
    if (!any) memset(hex, '0', 64);
}

void network_hash(const network *n, char hex[65]) { hash_parts(n, 0, PARTS, hex); }

void network_part_hash(const network *n, network_part part, char hex[65]) { hash_parts(n, part, part + 1, hex); }
