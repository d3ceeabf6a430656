/* convert_job.c - opening what is to be converted; choosing types. */
#include "weights/convert_job.h"
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include "base/file.h"
#include "base/half.h"
#include "base/mem.h"
#include "base/options.h"
#include "weights/config.h"
#include "weights/default_model.h"
#include "weights/fit.h"
#include "weights/kind.h"
#include "weights/parts.h"
#include "weights/tables.h"
#include "weights/variant.h"

/* ---- what the caller wants ---- */

static const struct { const char *name; dtype type; } aliases[] = {
    { "fp8", DT_F8_E4M3 }, { "q8", DT_Q8_0 }, { "q6", DT_Q6_K }, { "q5", DT_Q5_K }, { "q4", DT_Q4_K },
};

static bool ends_with(const char *s, const char *end)
{
    size_t n = strlen(s), k = strlen(end);
    return n >= k && strcasecmp(s + n - k, end) == 0;
}

static dreamo_status choose_type(convert_job *j, dreamo_error *err)
{
    const char *out = j->o->out, *to = j->o->to;
    char upper[16] = "";
    int type = -1;
    j->gguf = ends_with(out, ".gguf");
    if (!j->gguf && !ends_with(out, ".safetensors"))
        return fail(err, DREAMO_ARG, "%s: the name of the output must end in .gguf or .safetensors", out);
    if (!to) to = j->gguf ? "q8" : "bf16";
    for (size_t i = 0; i < sizeof aliases / sizeof *aliases; i++)
        if (strcasecmp(aliases[i].name, to) == 0) type = aliases[i].type;
    for (size_t i = 0; type < 0 && i + 1 < sizeof upper && to[i]; i++)
        upper[i] = to[i] >= 'a' && to[i] <= 'z' ? (char)(to[i] - 'a' + 'A') : to[i];
    if (type < 0) type = dtype_from_name(upper);
    if (type < 0 || !dtype_is_encoded((dtype)type) || type == DT_F8_E5M2)
        return fail(err, DREAMO_ARG, "\"%.40s\" is none of f32, bf16, f16, fp8, q8, q6, q5, q4, q8_0, q6_k, q5_k, q5_1, q5_0, q4_k, q4_1, q4_0", to);
    j->to = (dtype)type;
    if (j->gguf && j->to == DT_F8_E4M3) return fail(err, DREAMO_ARG, "%s: GGUF has no fp8; name a .safetensors file", out);
    if (!j->gguf && dtype_block(j->to) > 1) return fail(err, DREAMO_ARG, "%s: safetensors has no %s; name a .gguf file", out, dtype_name(j->to));
    return DREAMO_OK;
}

/* ---- the source ---- */

/* A folder's network by its file's name, a file's by the names in it. */
static dreamo_status look(const char *path, bool *is_t5, dreamo_error *err)
{
    st_file f;
    char *file = path_join(path, "model.safetensors"), *index = path_join(path, "model.safetensors.index.json");
    bool folder = folder_exists(path), both = file && index;
    *is_t5 = both && folder && (file_exists(file) || file_exists(index));
    mem_free(file);
    mem_free(index);
    if (!both) return fail(err, DREAMO_MEMORY, "%s: no memory for a path", path);
    if (folder) return DREAMO_OK;
    dreamo_status s = st_open_any(path, &f, err);
    if (s) return s;
    weights_kind kind = kind_of_weights(&f);
    const st_set set = { .nfiles = 1, .files = &f, .name = f.path };
    *is_t5 = kind.holds & HAS_T5 && !(kind.holds & HAS_DIT);
    s = kind_refuse(&set, path, HAS_DIT | HAS_T5, err);
    st_close(&f);
    if (s || kind.holds & (HAS_DIT | HAS_T5)) return s;
    return fail(err, DREAMO_FORMAT, "%s: holds %s, not a FLUX transformer or T5 encoder", path, kind.words);
}

static dreamo_status open_dit(convert_job *j, const char *path, const char *config, dreamo_error *err)
{
    dit_config c;
    dreamo_status s = config_dit(config, &c, err);
    if (!s && !folder_exists(path)) s = fit_dit(path, &c, err);
    if (!s && !(j->dit = dit_new(&c))) s = fail(err, DREAMO_MEMORY, "%s: no memory for the transformer", path);
    if (!s) s = bind_dit(j->dit, path, &j->files, err);
    if (!s) s = tables_read(&j->files.set, path, j->dit, c.text_dim, &j->own, err);
    tables_replace(&j->tables, &j->own);
    return s;
}

static dreamo_status open_t5(convert_job *j, const char *path, const char *config, dreamo_error *err)
{
    t5_config c;
    if (j->o->nfuse || j->o->variant) return fail(err, DREAMO_ARG, "%s: is a T5 encoder; a LoRA is fused into a transformer", path);
    dreamo_status s = config_t5(config, &c, err);
    if (!s && !(j->t5 = t5_new(&c))) s = fail(err, DREAMO_MEMORY, "%s: no memory for the T5 encoder", path);
    return s ? s : bind_t5(j->t5, path, &j->files, err);
}

/* Of a folder its own, of a file that of o->model; NULL: no memory. */
static char *config_path(const convert_job *j, const char *path, bool t5)
{
    if (folder_exists(path)) return path_join(path, "config.json");
    char *model = model_folder(j->o->model ? j->o->model : "flux-dev");
    char *config = model ? mem_printf("%s/%s/config.json", model, t5 ? "text_encoder_2" : "transformer") : NULL;
    mem_free(model);
    return config;
}

/* What to open: IN/transformer where IN is a whole model folder, the transformer among the single files of a folder, else IN itself. */
static dreamo_status find_source(const char *in, char **path, dreamo_error *err)
{
    char *inner = path_join(in, "transformer"), *config = path_join(in, "config.json");
    dreamo_status s = inner && config ? DREAMO_OK : fail(err, DREAMO_MEMORY, "%s: no memory for a path", in);
    *path = NULL;
    if (!s && folder_exists(inner)) {
        *path = inner;
        inner = NULL;
    } else if (!s && folder_exists(in) && !file_exists(config)) {
        parts found;
        s = parts_find(in, 0, &found, err);
        *path = found.dit;
        found.dit = NULL;
        parts_free(&found);
        if (!s && !*path) s = fail(err, DREAMO_NOT_FOUND, "%s: holds neither a transformer nor config.json", in);
    } else if (!s && !(*path = mem_strdup(in))) {
        s = fail(err, DREAMO_MEMORY, "%s: no memory for a path", in);
    }
    mem_free(config);
    mem_free(inner);
    return s;
}

static dreamo_status open_source(convert_job *j, dreamo_error *err)
{
    char *path, *config = NULL;
    bool t5 = false;
    dreamo_status s = find_source(j->o->in, &path, err);
    if (!s) s = look(path, &t5, err);
    if (!s && !(config = config_path(j, path, t5))) s = fail(err, DREAMO_MEMORY, "%s: no memory for a path", path);
    if (!s) s = t5 ? open_t5(j, path, config, err) : open_dit(j, path, config, err);
    mem_free(config);
    mem_free(path);
    return s;
}

/* The official fusion holds A and B in the base layer's type (spec 2.10). */
static void round_factors(const lora_file *f)
{
    for (int i = 0; i < f->nmodules; i++) {
        const lora_module *m = &f->modules[i];
        if (m->w->part[0].type != DT_BF16) continue;
        size_t first = (size_t)(m->a.A - f->values), n = (size_t)m->a.rank * (size_t)(m->w->in + m->a.rows); /* B follows A */
        for (size_t k = first; k < first + n; k++) f->values[k] = round_bf16(f->values[k]);
    }
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static dreamo_status add_lora(convert_job *j, const dreamo_lora *l, dreamo_error *err)
{
    lora_file *f = &j->loras[j->nloras];
    dreamo_status s = lora_open(l->path, l->scale, j->dit, j->dit->config.text_dim, f, err);
    if (s) return s;
    j->nloras++;
    if (f->warning) s = report_line(&j->to_caller, DREAMO_EVENT_WARNING, err, "%s", f->warning);
    if (s || l->scale == 0) return s; /* as if it were not there, tables included */
    if (j->o->official) round_factors(f);
    lora_attach(f);
    s = lora_merge(&j->merged, f, true, NULL, err); /* matrices are changed row by row */
    if (s) return s;
    char *fused = j->fused ? mem_printf("%s, %s@%g", j->fused, base_name(l->path), (double)l->scale)
                           : mem_printf("%s@%g", base_name(l->path), (double)l->scale);
    mem_free(j->fused);
    j->fused = fused;
    if (!fused) return fail(err, DREAMO_MEMORY, "%s: no memory for its name", l->path);
    tables_replace(&j->tables, &f->tables);
    return s;
}

static dreamo_status add_variant(convert_job *j, dreamo_error *err)
{
    variant v;
    dreamo_status s = variant_for(j->o->variant, !j->o->no_turbo, j->o->variant_dir, j->o->in, &j->files.set, &v, err);
    if (s) return s;
    for (int i = 0; !s && i < v.n; i++) s = add_lora(j, &v.lora[i], err);
    variant_free(&v);
    return s;
}

static dreamo_status add_loras(convert_job *j, dreamo_error *err)
{
    j->loras = mem_calloc((size_t)j->o->nfuse + VARIANT_MOST, sizeof *j->loras);
    const char *before = variant_fused(&j->files.set); /* stays true of what comes out */
    if (before) j->fused = mem_strdup(before);
    if (!j->loras || (before && !j->fused)) return fail(err, DREAMO_MEMORY, "no memory for %d LoRAs", j->o->nfuse);
    dreamo_status s = j->o->variant ? add_variant(j, err) : DREAMO_OK;
    for (int i = 0; !s && i < j->o->nfuse; i++) s = add_lora(j, &j->o->fuse[i], err);
    return s;
}

/* ---- the output ---- */

/* "X.weight" stored as fp8 goes with "X.scale_weight", and one mark says that the file is of this kind. */
static void list_scales(convert_job *j)
{
    static const float zeros[2];
    int n = j->list.n;
    for (int i = 0; i < n; i++) {
        const convert_tensor *t = &j->list.tensors[i];
        char name[sizeof t->name];
        if (t->type != DT_F8_E4M3) continue;
        snprintf(name, sizeof name, "%s", t->name);
        convert_list_values(&j->list, 0, 1, 1, &j->scales[i], "%.*s.scale_weight", (int)(strlen(name) - strlen(".weight")), name);
    }
    if (j->list.n == n) return;
    convert_list_values(&j->list, 1, 2, 1, zeros, "scaled_fp8");
    if (!j->list.failed) j->list.tensors[j->list.n - 1].type = DT_F8_E4M3;
}

static st_tensor described(const convert_tensor *t)
{
    st_tensor d = { .name = t->name, .type = t->type, .rank = t->rank, .shape = { t->rows, t->cols } };
    d.count = (size_t)(t->rows * t->cols);
    d.nbytes = dtype_nbytes_of(t->type, d.count);
    return d;
}

/* The first and the last layers and the embedders of time, guidance and pooled text are half a percent of FLUX's numbers, and what
 * they get wrong reaches every token in every block.  T5's table of positions is a few kilobytes. */
static void list_networks(convert_job *j)
{
    static const char *const dit_ends[] = { "x_embedder.", "context_embedder.", "time_text_embed.", "norm_out.", "proj_out.", NULL };
    static const char *const positions[] = { "encoder.block.0.layer.0.SelfAttention.relative_attention_bias.", NULL };
    const dreamo_tables *t = &j->tables;
    if (j->t5) convert_list_network(&j->list, j->t5, bind_walk_t5, j->gguf ? layout_t5_gguf : layout_own, positions);
    if (!j->dit) return;
    convert_list_network(&j->list, j->dit, bind_walk_dit, layout_dit_bfl, dit_ends);
    if (t->task) convert_list_values(&j->list, 2, 2, t->width, t->task, "%s", tables_names[0]);
    if (t->idx) convert_list_values(&j->list, 2, t->nslots, t->width, t->idx, "%s", tables_names[1]);
    if (t->t5) convert_list_values(&j->list, 2, DREAMO_T5_ROWS, t->text_width, t->t5, "%s", tables_names[2]);
}

/* Each change goes to the tensor of its layer. */
static void list_changes(convert_job *j)
{
    for (int f = 0; f < j->nloras; f++)
        for (int k = 0; k < j->loras[f].nchanges; k++) {
            lora_change *c = &j->loras[f].changes[k];
            int i = 0;
            while (i < j->list.n && j->list.tensors[i].w != c->w) i++;
            if (i == j->list.n) continue;
            c->next = (lora_change *)(uintptr_t)j->list.tensors[i].changes;
            j->list.tensors[i].changes = c;
        }
}

static dreamo_status list_output(convert_job *j, dreamo_error *err)
{
    list_networks(j);
    list_changes(j);
    for (int i = 0; i < j->list.n; i++) j->list.tensors[i].type = convert_type(&j->list.tensors[i], j->to);
    j->scales = mem_calloc((size_t)j->list.n + 1, sizeof *j->scales);
    if (j->scales) list_scales(j);
    j->out = mem_calloc((size_t)j->list.n + 1, sizeof *j->out);
    if (j->list.failed || !j->scales || !j->out) return fail(err, DREAMO_MEMORY, "%s: no memory for its list of tensors", j->o->out);
    for (int i = 0; i < j->list.n; i++) j->out[i] = described(&j->list.tensors[i]);
    return DREAMO_OK;
}

dreamo_status convert_job_open(convert_job *j, const dreamo_convert_options *given, dreamo_error *err)
{
    const dreamo_convert_options *o = &j->options;
    *j = (convert_job){ .o = o };
    dreamo_convert_options_init(&j->options);
    dreamo_status s = options_take(&j->options, sizeof j->options, given, err);
    if (s) return s;
    if (o->threads < 0 || o->threads > 1024) return fail(err, DREAMO_ARG, "threads %d: allowed is 0 to 1024", o->threads);
    if (o->nfuse < 0 || (o->nfuse > 0 && !o->fuse)) return fail(err, DREAMO_ARG, "%d LoRAs, but no list of them", o->nfuse);
    for (int i = 0; i < o->nfuse; i++)
        if (!o->fuse[i].path) return fail(err, DREAMO_ARG, "LoRA %d has no file", i + 1);
    j->to_caller = (reporter){ o->progress, o->user };
    if (!o->in || !o->out) return fail(err, DREAMO_ARG, "the %s is missing", o->in ? "name of the output" : "file to convert");
    s = choose_type(j, err);
    if (!s) s = open_source(j, err);
    if (!s) s = add_loras(j, err);
    if (!s) s = list_output(j, err);
    if (!s && !(j->threads = pool_new(o->threads))) s = fail(err, DREAMO_MEMORY, "no memory for threads");
    return s;
}

void convert_job_close(convert_job *j)
{
    pool_free(j->threads);
    mem_free(j->out);
    mem_free(j->scales);
    mem_free(j->fused);
    convert_list_free(&j->list);
    lora_unmerge(&j->merged);
    for (int i = 0; i < j->nloras; i++) {
        lora_detach(&j->loras[i]);
        lora_close(&j->loras[i]);
    }
    mem_free(j->loras);
    tables_free(&j->own);
    bind_close(&j->files);
    dit_free(j->dit);
    t5_free(j->t5);
    *j = (convert_job){ 0 };
}

dreamo_status convert_job_advance(convert_job *j, int64_t n, dreamo_error *err)
{
    j->done += (double)n;
    int64_t percent = (int64_t)(100 * j->done / j->total);
    double now = seconds_now();
    if (percent == j->progress.done) return DREAMO_OK;
    progress_step(&j->progress, percent);
    if (percent < 100 && j->told > 0 && now - j->told < 1) return DREAMO_OK;
    j->told = now;
    return report_step(&j->to_caller, &j->progress, err);
}
