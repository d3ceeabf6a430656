/* model.c - opening a model folder in the diffusers layout, its adapters, its numerics. */
#include "pipe/model.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/options.h"
#include "base/sha256.h"
#include "format/json.h"
#include "weights/config.h"
#include "weights/default_model.h"
#include "weights/fit.h"
#include "weights/kind.h"
#include "base/report.h"
#include "pipe/plan.h"
#include "weights/tables.h"
#include "weights/variant.h"

device *model_own_device(const dreamo_model *m) { return m->dev && m->dev->be->reserve ? m->dev : NULL; }

int model_cell(const dreamo_model *m) { return 2 * vae_factor(&m->vae->config); }

uint64_t model_weight_bytes(const dreamo_model *m)
{
    uint64_t n = 0;
    for (int i = 0; i < MODEL_PARTS; i++) n += bind_nbytes(&m->files[i]);
    return n;
}

dreamo_status model_check_files(const dreamo_model *m, dreamo_error *err)
{
    dreamo_status s = DREAMO_OK;
    for (int i = 0; i < MODEL_PARTS; i++)
        for (int k = 0; s == DREAMO_OK && k < m->files[i].set.nfiles; k++) {
            const st_file *f = &m->files[i].set.files[k];
            s = file_map_check(&f->map, f->path, err);
        }
    return s;
}

void dreamo_model_options_init_sized(dreamo_model_options *o, size_t nbytes)
{
    const dreamo_model_options usual = { .size = sizeof usual };
    options_give(o, nbytes, &usual, sizeof usual);
}

enum { FLUX_WIDTH = 3072, SCHNELL_TOKENS = 256 };

/* ---- defaults ---- */

static dreamo_status read_defaults(dreamo_model *m, dreamo_error *err)
{
    model_defaults *d = &m->defaults;
    bool flux = m->dit->config.heads * m->dit->config.head_dim == FLUX_WIDTH;
    *d = (model_defaults){ .known = flux, .width = 1024, .height = 1024, .steps = 12, .guidance = 4.5, .true_cfg = 1,
                           .ref_res = 512, .ref_res_face = 512, .ref_res_style = 512, .ref_res_several = 512, .ref_res_faces = 512 };
    char *path = mem_printf("%s/dreamo/defaults.json", m->dir);
    if (!path) return fail(err, DREAMO_MEMORY, "%s: no memory for a path", m->dir);
    json_t *o = NULL;
    dreamo_status s = DREAMO_OK;
    if (file_exists(path)) {
        int64_t width = 1024, height = 1024, steps = 12, res = 512, face = 0, style = 0, several = 0, faces = 0;
        s = json_read(path, 1 << 16, &o, err);
        if (s == DREAMO_OK) s = json_get_int(o, path, "width", 8, 4096, width, &width, err);
        if (s == DREAMO_OK) s = json_get_int(o, path, "height", 8, 4096, height, &height, err);
        if (s == DREAMO_OK) s = json_get_int(o, path, "steps", 1, 60, steps, &steps, err);
        if (s == DREAMO_OK) s = json_get_int(o, path, "ref_res", 8, 4096, res, &res, err);
        if (s == DREAMO_OK) s = json_get_int(o, path, "ref_res_face", 8, 4096, res, &face, err);
        if (s == DREAMO_OK) s = json_get_int(o, path, "ref_res_style", 8, 4096, res, &style, err);
        if (s == DREAMO_OK) s = json_get_int(o, path, "ref_res_several", 8, 4096, res, &several, err);
        if (s == DREAMO_OK) s = json_get_int(o, path, "ref_res_faces", 8, 4096, several, &faces, err);
        if (s == DREAMO_OK) s = json_get_number(o, path, "guidance", 0, 100, d->guidance, &d->guidance, err);
        if (s == DREAMO_OK) s = json_get_number(o, path, "true_cfg", 1, 100, d->true_cfg, &d->true_cfg, err);
        if (s == DREAMO_OK) s = json_get_number(o, path, "true_cfg_above", 0, 1, d->cfg_above, &d->cfg_above, err);
        *d = (model_defaults){ .width = (int)width, .height = (int)height, .steps = (int)steps, .ref_res = (int)res, .ref_res_face = (int)face, .ref_res_style = (int)style,
                               .ref_res_several = (int)several, .ref_res_faces = (int)faces, .guidance = d->guidance, .true_cfg = d->true_cfg, .cfg_above = d->cfg_above, .known = true };
        json_decref(o);
    }
    mem_free(path);
    return s;
}

prep_sides model_ref_sides(const dreamo_model *m, const dreamo_reference *refs, int nrefs)
{
    const model_defaults *d = &m->defaults;
    int shown = 0;
    for (int i = 0; i < nrefs; i++) shown += refs[i].task != DREAMO_STYLE;
    return shown > 1 ? (prep_sides){ d->ref_res_several, d->ref_res_faces, d->ref_res_style } : (prep_sides){ d->ref_res, d->ref_res_face, d->ref_res_style };
}

/* FLUX.1-schnell's file under the shipped configurations, which are FLUX.1-dev's: a whole folder has its own. */
static bool is_schnell(const dreamo_model *m)
{
    return !m->dit->config.guidance && m->dit->config.heads * m->dit->config.head_dim == FLUX_WIDTH && m->schedule.dynamic;
}

/* As its own folder and code say: four steps, a schedule that does not depend on the size, 256 tokens of text. */
static void use_schnell(dreamo_model *m)
{
    m->schedule.dynamic = false;
    m->schedule.shift = 1;
    m->defaults.steps = 4;
    if (m->text_tokens > SCHNELL_TOKENS) m->text_tokens = SCHNELL_TOKENS;
}

/* ---- adapters ---- */

/* The T5 table's rows of [ref#1]..[res] come from the LoRA file: the one matrix becomes three (spec 2.5). */
static dreamo_status replace_token_rows(dreamo_model *m, dreamo_error *err)
{
    int first = unigram_first_added(m->t5_words);
    if (!m->tables.t5) return DREAMO_OK;
    if (first < 0) return fail(err, DREAMO_MISMATCH, "%s/tokenizer_2: has no place for the tokens [ref#1] to [res]", m->dir);
    if (t5_replace_rows(m->t5, first, DREAMO_T5_ROWS, m->tables.t5)) return DREAMO_OK;
    return fail(err, DREAMO_MISMATCH, "%s: the T5 table has %d rows, [ref#1] to [res] need rows %d to %d", m->dir, m->t5->embed.part[0].rows, first,
                first + DREAMO_T5_ROWS - 1);
}

static dreamo_status add_lora(dreamo_model *m, const char *path, float scale, const reporter *to, dreamo_error *err)
{
    lora_file *f = &m->loras[m->nloras];
    const lora_networks networks = { m->dit, m->clip, m->t5 };
    dreamo_status s = lora_open_all(path, scale, &networks, f, err);
    if (s != DREAMO_OK) return s;
    m->nloras++;
    if (f->warning) s = report_line(to, DREAMO_EVENT_WARNING, err, "%s", f->warning);
    if (s == DREAMO_OK && f->ranks_differ && m->official)
        s = report_line(to, DREAMO_EVENT_WARNING, err, "%s: its ranks differ and no alpha is given: each module's alpha is its rank; the official pipeline's diffusers (0.33.1) took the first one's for all", path);
    if (s != DREAMO_OK || scale == 0) return s; /* as if it were not there, tables included */
    bool processor = m->dev && !model_own_device(m); /* elsewhere, and where it is not chosen yet, memory may be scarcer than products */
    if (!m->official && processor) lora_merge_thick(f); /* official numerics round a pair's products apart */
    lora_attach(f);
    s = lora_merge(&m->merged, f, false, m->dev ? m->dev->threads : NULL, err);
    if (s == DREAMO_OK && f->tables.task && m->tables.task)
        s = report_line(to, DREAMO_EVENT_WARNING, err, "%s: its embedding tables replace those of an earlier LoRA", path);
    tables_replace(&m->tables, &f->tables);
    return s;
}

/* The published set, with the settings that it was made for. */
static dreamo_status add_variant(dreamo_model *m, const dreamo_model_options *o, const reporter *to, dreamo_error *err)
{
    variant v;
    dreamo_status s = variant_for(o->variant, !o->no_turbo, o->variant_dir, m->home, &m->files[MODEL_DIT].set, &v, err);
    if (s != DREAMO_OK) return s;
    for (int i = 0; s == DREAMO_OK && i < v.n; i++) s = add_lora(m, v.lora[i].path, v.lora[i].scale, to, err);
    m->defaults.steps = v.steps;
    m->defaults.guidance = v.guidance;
    variant_free(&v);
    return s;
}

/* DIR/dreamo: DreamO's adapter and what the trainer puts on top of it (stage_after.c).  With `cfg` one pass says what the default true CFG says with two. */
static dreamo_status add_own(dreamo_model *m, const reporter *to, dreamo_error *err)
{
    dreamo_status s = DREAMO_OK;
    for (int i = 0; s == DREAMO_OK && i < LORA_OWN; i++) {
        char *path = mem_printf("%s/dreamo/%s.safetensors", m->home, lora_own[i]);
        if (!path) return fail(err, DREAMO_MEMORY, "%s: no memory for a path", m->dir);
        if (file_exists(path)) {
            s = add_lora(m, path, 1, to, err);
            if (strcmp(lora_own[i], "cfg") == 0) m->said_cfg = m->defaults.true_cfg;
        }
        mem_free(path);
    }
    return s;
}

/* The variant's, then the caller's list; without either the folder's own with scale 1, unless an adapter was fused into the transformer. */
static dreamo_status add_loras(dreamo_model *m, const dreamo_model_options *o, const reporter *to, dreamo_error *err)
{
    m->loras = mem_calloc((size_t)o->nloras + VARIANT_MOST, sizeof *m->loras);
    if (!m->loras) return fail(err, DREAMO_MEMORY, "no memory for %d LoRAs", o->nloras);
    m->said_cfg = 1;
    dreamo_status s = tables_read(&m->files[MODEL_DIT].set, m->dir, m->dit, m->t5->config.width, &m->own, err);
    tables_replace(&m->tables, &m->own);
    if (s == DREAMO_OK && o->variant) s = add_variant(m, o, to, err);
    for (int i = 0; s == DREAMO_OK && i < o->nloras; i++) s = add_lora(m, o->loras[i].path, o->loras[i].scale, to, err);
    if (s == DREAMO_OK && o->nloras == 0 && !o->variant && !o->no_default_lora && !m->own.task) s = add_own(m, to, err);
    const char *fused = variant_fused(&m->files[MODEL_DIT].set);
    if (fused && strstr(fused, "cfg.safetensors@")) m->said_cfg = m->defaults.true_cfg;
    return s == DREAMO_OK ? replace_token_rows(m, err) : s;
}

/* ---- what the model is ---- */

/* Official numerics copy the rounding of a pipeline that ran FLUX in bf16; other models were never run that way. */
static void choose_numerics(dreamo_model *m, dreamo_numerics asked)
{
    const dit *d = m->dit;
    bool flux = d->config.heads * d->config.head_dim == FLUX_WIDTH;
    m->official = asked == DREAMO_NUMERICS_OFFICIAL || (asked == DREAMO_NUMERICS_AUTO && flux);
}

/* sha256 over every file's header and size: it tells models apart by names, shapes and places without reading gigabytes. */
static void hash_headers(const bound_files *b, char out[65])
{
    sha256 h;
    sha256_init(&h);
    for (int i = 0; i < b->set.nfiles; i++) {
        const filemap *map = &b->set.files[i].map;
        uint64_t nbytes = map->nbytes, header = b->set.files[i].header_nbytes;
        sha256_add(&h, &nbytes, sizeof nbytes);
        sha256_add(&h, map->data, (size_t)header);
    }
    sha256_text(&h, out);
}

static dreamo_status check_parts_fit(const dreamo_model *m, dreamo_error *err)
{
    const dit_config *d = &m->dit->config;
    const struct { const char *what; int one, other; } pairs[] = {
        { "transformer joint_attention_dim and text_encoder_2 d_model", d->text_dim, m->t5->config.width },
        { "transformer pooled_projection_dim and text_encoder hidden_size", d->pooled_dim, m->clip->config.width },
        { "transformer in_channels and 4 x vae latent_channels", d->in_channels, 4 * m->vae->config.latent_channels },
        { "transformer out_channels and in_channels", d->out_channels, d->in_channels },
        { "vae in_channels and 3", m->vae->config.image_channels, 3 },
    };
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        if (pairs[i].one != pairs[i].other)
            return fail(err, DREAMO_MISMATCH, "%s: its parts do not fit: %s are %d and %d", m->dir, pairs[i].what, pairs[i].one,
                        pairs[i].other);
    if (bpe_max_length(m->clip_words) > m->clip->config.positions)
        return fail(err, DREAMO_MISMATCH, "%s: its parts do not fit: the CLIP tokenizer makes %d tokens, the encoder takes %d",
                    m->dir, bpe_max_length(m->clip_words), m->clip->config.positions);
    return DREAMO_OK;
}

/* ---- the folder ---- */

/* DIR/part/file, into `out`. */
static dreamo_status part_path(const dreamo_model *m, const char *part, const char *file, char out[PATH_MAX], dreamo_error *err)
{
    int n = snprintf(out, PATH_MAX, "%s/%s%s%s", m->dir, part, *file ? "/" : "", file);
    return n > 0 && n < PATH_MAX ? DREAMO_OK : fail(err, DREAMO_ARG, "%s: the path is too long", m->dir);
}

static dreamo_status no_memory(const char *part, dreamo_error *err)
{
    return fail(err, DREAMO_MEMORY, "no memory for the %s", part);
}

/* Only transformers come in sizes. */
#define fit_t5(path, config, err) DREAMO_OK
#define fit_clip(path, config, err) DREAMO_OK
#define fit_vae(path, config, err) DREAMO_OK

/* One network: its config, its struct, its weights from the folder or from a file given instead. */
#define OPEN_NETWORK(m, kind, folder, instead, index)                                                          \
    do {                                                                                                       \
        kind##_config config;                                                                                  \
        s = part_path(m, folder, "config.json", path, err);                                                    \
        if (s == DREAMO_OK) s = config_##kind(path, &config, err);                                             \
        if (s == DREAMO_OK && (instead)) s = fit_##kind((instead), &config, err);                              \
        if (s == DREAMO_OK) s = part_path(m, folder, "", path, err);                                           \
        if (s != DREAMO_OK) return s;                                                                          \
        (m)->kind = kind##_new(&config);                                                                       \
        if (!(m)->kind) return no_memory(folder, err);                                                         \
        s = bind_##kind((m)->kind, (instead) ? (instead) : path, &(m)->files[index], err);                     \
        if (s != DREAMO_OK) return s;                                                                          \
    } while (0)

static dreamo_status open_networks(dreamo_model *m, const dreamo_model_options *o, dreamo_error *err)
{
    char path[PATH_MAX];
    dreamo_status s = part_path(m, "model_index.json", "", path, err);
    if (s == DREAMO_OK) s = config_pipeline(path, err);
    if (s != DREAMO_OK) return s;
    OPEN_NETWORK(m, dit, "transformer", o->dit ? o->dit : m->parts.dit, MODEL_DIT);
    OPEN_NETWORK(m, t5, "text_encoder_2", o->t5 ? o->t5 : m->parts.t5, MODEL_T5);
    OPEN_NETWORK(m, clip, "text_encoder", o->clip ? o->clip : m->parts.clip, MODEL_CLIP);
    OPEN_NETWORK(m, vae, "vae", o->vae ? o->vae : m->parts.vae, MODEL_VAE);
    return DREAMO_OK;
}

static dreamo_status open_words(dreamo_model *m, dreamo_error *err)
{
    char path[PATH_MAX];
    dreamo_status s = part_path(m, "tokenizer_2", "", path, err);
    if (s == DREAMO_OK) s = unigram_open(path, &m->t5_words, err);
    if (s == DREAMO_OK) m->text_tokens = unigram_max_length(m->t5_words);
    if (s == DREAMO_OK) s = part_path(m, "tokenizer", "", path, err);
    if (s == DREAMO_OK) s = bpe_open(path, &m->clip_words, err);
    if (s == DREAMO_OK) s = part_path(m, "scheduler", "scheduler_config.json", path, err);
    if (s == DREAMO_OK) s = schedule_read(path, &m->schedule, err);
    return s;
}

static bool is_auto(const dreamo_model_options *o) { return o->backend && strcmp(o->backend, "auto") == 0; }

/* What `auto` chooses among: "cpu" and the GPUs. */
enum { DEVICES_MOST = 32 };
static int candidates(char names[DEVICES_MOST][64])
{
    int n = devices_here(names, DEVICES_MOST), kept = 1;
    for (int i = 1; i < n; i++)
        if (device_is_gpu(names[i])) memmove(names[kept++], names[i], sizeof *names);
    return kept;
}

/* Where there is no GPU, `auto` is "cpu" from the beginning; else it is known later what for (choose_device). */
static dreamo_status open_device(dreamo_model *m, const dreamo_model_options *o, dreamo_error *err)
{
    char names[DEVICES_MOST][64];
    if (o->threads < 0 || o->threads > 1024) return fail(err, DREAMO_ARG, "threads %d: allowed is 0 to 1024", o->threads);
    if (o->fast && o->exact) return fail(err, DREAMO_ARG, "fast and exact contradict each other");
    m->memory = o->memory;
    if (is_auto(o) && candidates(names) > 1) return DREAMO_OK;
    m->dev = device_open(is_auto(o) ? "cpu" : o->backend, o->threads, is_auto(o) ? 0 : o->memory, err);
    if (!m->dev) return err && err->status ? err->status : DREAMO_DEVICE;
    m->backend = m->dev->be;
    return DREAMO_OK;
}

static dreamo_status choose_device(dreamo_model *m, const dreamo_model_options *o, const reporter *to, dreamo_error *err)
{
    char names[DEVICES_MOST][64];
    dreamo_status s = plan_choose(m, names, candidates(names), o->threads, to, err);
    if (s == DREAMO_OK && !m->dev && !(m->dev = device_open("cpu", o->threads, 0, err))) s = DREAMO_MEMORY;
    if (s == DREAMO_OK) m->backend = m->dev->be;
    return s;
}

/* "PATH: is a LoRA, not a model; ..." */
static dreamo_status refuse_file(const char *path, dreamo_error *err)
{
    st_set set;
    dreamo_status s = st_set_open(path, NULL, &set, err);
    if (s) return s;
    s = kind_refuse(&set, path, HAS_ANY, err);
    st_set_close(&set);
    return s;
}

/* A folder without model_index.json may hold FLUX's weights as single files, and a file several networks: then configurations and vocabularies are
 * the shipped ones. */
static dreamo_status find_parts(dreamo_model *m, const dreamo_model_options *o, dreamo_error *err)
{
    int given = (o->dit ? HAS_DIT : 0) | (o->t5 ? HAS_T5 : 0) | (o->clip ? HAS_CLIP : 0) | (o->vae ? HAS_VAE : 0);
    dreamo_status s = parts_find(m->source, given, &m->parts, err);
    bool file = !folder_exists(m->source);
    if (s == DREAMO_OK && !file && !given && !parts_holds(&m->parts) && !m->parts.passed) {
        fail(err, DREAMO_NOT_FOUND, "%s: holds no model: neither model_index.json nor weight files", m->source);
        return hint(err, "name a folder in the diffusers layout, or one with a transformer, T5, CLIP and an autoencoder in it");
    }
    if (s == DREAMO_OK && file && !parts_holds(&m->parts)) s = refuse_file(m->source, err);
    if (s == DREAMO_OK) s = parts_check(&m->parts, m->source, given, err);
    return s;
}

static dreamo_status find_folder(dreamo_model *m, const dreamo_model_options *o, dreamo_error *err)
{
    const char *dir = o->dir;
    if (!dir) dir = dreamo_default_model();
    if (!dir) {
        fail(err, DREAMO_NOT_FOUND, "no model is given, and the shipped model is not found");
        hint(err, "name a model folder, or set DREAMO_MODEL");
        return DREAMO_NOT_FOUND;
    }
    m->source = model_folder(dir);
    if (!m->source) return no_memory("model's name", err);
    size_t n = strlen(m->source);
    while (n > 1 && m->source[n - 1] == '/') m->source[--n] = '\0';
    bool file = !folder_exists(m->source) && file_exists(m->source);
    if (!file && !folder_exists(m->source)) return fail(err, DREAMO_NOT_FOUND, "%s: no such folder", m->source);
    const char *slash = file ? strrchr(m->source, '/') : NULL;
    m->home = !file ? mem_strdup(m->source) : slash ? mem_printf("%.*s", (int)(slash - m->source) + (slash == m->source), m->source) : mem_strdup(".");
    char *index = m->home ? path_join(m->home, "model_index.json") : NULL;
    if (!index) return no_memory("model's name", err);
    bool configured = file_exists(index);
    mem_free(index);
    m->dir = configured ? mem_strdup(m->home) : model_folder("flux-dev");
    if (!m->dir) return no_memory("model's name", err);
    return configured && !file ? DREAMO_OK : find_parts(m, o, err);
}

dtype model_weights_type(const dreamo_model *m)
{
    return dit_type(m->dit);
}

/* Where weights were rounded to blocks, by half a percent to seven, the 0.2 % that rounding activations adds to a velocity is no question of quality
 * (SPEED.md): it is taken where it saves time. */
static void choose_speed(dreamo_model *m, const dreamo_model_options *o)
{
    bool flux = m->dit->config.heads * m->dit->config.head_dim == FLUX_WIDTH;
    dtype t = model_weights_type(m);
    bool blocks = dtype_block(t) > 1 && t != DT_Q2_K && t != DT_NF4;
    m->fast = o->fast || (!o->exact && o->numerics != DREAMO_NUMERICS_EXACT && flux && blocks && m->dev->gains_by_fast);
}

static dreamo_status introduce(const dreamo_model *m, const reporter *to, dreamo_error *err)
{
    const dit_config *d = &m->dit->config;
    const char *slash = strrchr(m->source, '/');
    int threads = pool_threads(m->dev->threads);
    return report_line(to, DREAMO_EVENT_OPEN, err, "%s, %d + %d blocks of %d, %s, %d LoRA%s, %s on %d thread%s, %s numerics%s",
                       slash && slash[1] ? slash + 1 : m->source, d->layers, d->single_layers, d->heads * d->head_dim,
                       dtype_name(m->stored), m->nloras, m->nloras == 1 ? "" : "s", device_name(m->dev), threads,
                       threads == 1 ? "" : "s", m->official ? "official" : "exact", m->fast ? ", fast" : "");
}

static dreamo_status open_all(dreamo_model *m, const dreamo_model_options *o, dreamo_error *err)
{
    const reporter to = { o->progress, o->user };
    dreamo_status s = find_folder(m, o, err);
    if (s == DREAMO_OK) s = open_device(m, o, err);
    if (s == DREAMO_OK) s = open_networks(m, o, err);
    if (s == DREAMO_OK) s = open_words(m, err);
    if (s == DREAMO_OK) s = check_parts_fit(m, err);
    if (s == DREAMO_OK) s = read_defaults(m, err);
    if (s == DREAMO_OK && is_schnell(m)) use_schnell(m);
    if (s == DREAMO_OK) choose_numerics(m, o->numerics);
    for (int i = 0; s == DREAMO_OK && i < MODEL_PARTS; i++)
        if (m->files[i].warning) s = report_line(&to, DREAMO_EVENT_WARNING, err, "%s", m->files[i].warning);
    if (s == DREAMO_OK) m->stored = model_weights_type(m);
    if (s == DREAMO_OK) s = add_loras(m, o, &to, err);
    for (int i = 0; i < MODEL_PARTS; i++) bind_forget(&m->files[i]); /* what merging read: a layer with copies of its own is not read again */
    if (s == DREAMO_OK && !m->dev) s = choose_device(m, o, &to, err);
    if (s != DREAMO_OK) return s;
    choose_speed(m, o);
    if (o->cache && !(m->cache = mem_strdup(o->cache))) return no_memory("cache's name", err);
    if (o->cache && (s = folder_make(o->cache, err)) != DREAMO_OK) return s; /* before the work, not after */
    hash_headers(&m->files[MODEL_DIT], m->hash);
    return introduce(m, &to, err);
}

/* A thread that holds the lock and asks for it is told so (dreamo_generate). */
static bool make_lock(pthread_mutex_t *lock)
{
    pthread_mutexattr_t kind;
    if (pthread_mutexattr_init(&kind)) return false;
    bool made = !pthread_mutexattr_settype(&kind, PTHREAD_MUTEX_ERRORCHECK) && !pthread_mutex_init(lock, &kind);
    pthread_mutexattr_destroy(&kind);
    return made;
}

dreamo_status dreamo_open(const dreamo_model_options *given, dreamo_model **model, dreamo_error *err)
{
    dreamo_model_options own, *o = &own;
    dreamo_model_options_init(o);
    if (!model) return fail(err, DREAMO_ARG, "the place for the model is missing");
    *model = NULL;
    dreamo_status s = options_take(o, sizeof own, given, err);
    if (s) return s;
    if (o->nloras < 0 || (o->nloras > 0 && !o->loras)) return fail(err, DREAMO_ARG, "%d LoRAs, but no list of them", o->nloras);
    for (int i = 0; i < o->nloras; i++)
        if (!o->loras[i].path) return fail(err, DREAMO_ARG, "LoRA %d has no file", i + 1);
    dreamo_model *m = mem_calloc(1, sizeof *m);
    if (!m) return no_memory("model", err);
    if (!make_lock(&m->busy)) {
        mem_free(m);
        return no_memory("model's lock", err);
    }
    const prep_choice how = { .networks = o->networks, .cutter = o->cutter, .cache = o->ref_cache, .threads = o->threads };
    s = prep_open(&how, &m->prep, err);
    if (s == DREAMO_OK) s = open_all(m, o, err);
    if (s == DREAMO_OK) *model = m;
    else dreamo_close(m);
    return s;
}

void dreamo_close(dreamo_model *m)
{
    if (!m) return;
    lora_unmerge(&m->merged);
    for (int i = 0; i < m->nloras; i++) {
        lora_detach(&m->loras[i]);
        lora_close(&m->loras[i]);
    }
    mem_free(m->loras);
    tables_free(&m->own);
    if (m->dit) dit_free(m->dit);
    if (m->t5) t5_free(m->t5);
    if (m->clip) clip_free(m->clip);
    if (m->vae) vae_free(m->vae);
    for (int i = 0; i < MODEL_PARTS; i++) bind_close(&m->files[i]);
    if (m->t5_words) unigram_close(m->t5_words);
    if (m->clip_words) bpe_close(m->clip_words);
    if (m->dev) m->backend->close(m->dev);
    prep_close(m->prep);
    mem_free(m->cache);
    mem_free(m->source);
    mem_free(m->dir);
    mem_free(m->home);
    parts_free(&m->parts);
    pthread_mutex_destroy(&m->busy);
    mem_free(m);
}
