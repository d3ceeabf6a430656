/* bind.c - walk the parameters, find each tensor, collect what does not fit. */
#include "weights/bind.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include "base/ends.h"
#include "base/mem.h"
#include "format/sniff.h"
#include "model/clip.h"
#include "model/dit.h"
#include "model/judge.h"
#include "model/matting.h"
#include "model/t5.h"
#include "model/vae.h"
#include "weights/kind.h"
#include "weights/nf4.h"
#include "weights/tables.h"

enum { LISTED = 5, NAME_ROOM = 232 };

/* Tensors that have one fault in common: how many, and the first few by name. */
typedef struct faults { int n; char name[LISTED][NAME_ROOM]; } faults;

static void fault_add(faults *f, const char *name, const char *detail)
{
    if (f->n < LISTED) snprintf(f->name[f->n], NAME_ROOM, "%.100s%s", name, detail);
    f->n++;
}

typedef struct binding {
    bound_files *b;
    const void *network;
    const bind_names *names;
    file_layout layout;      /* the pair that counts */
    const char *prefix;
    int found;               /* parameters that it explains */
    faults missing, misshapen, mistyped, extra, zero;
    char found_prefix[128];
    dreamo_status status;    /* what stopped it, told in err when it is not DREAMO_MEMORY */
    dreamo_error *err;
} binding;

/* PREFIX + name + suffix, in the files. */
static st_tensor *named(const binding *x, const char *name, const char *suffix)
{
    char whole[320];
    snprintf(whole, sizeof whole, "%s%s%s", x->prefix, name, suffix);
    return st_set_find(&x->b->set, whole);
}

static st_tensor *find(const binding *x, const param *p, file_place *at) { return x->layout(x->network, p, at) ? named(x, at->name, "") : NULL; }

static void count_one(void *user, const param *p)
{
    binding *x = user;
    file_place at;
    x->found += find(x, p, &at) != NULL;
}

/* The first tensor that ends in the parameter's name: what stands before it is the file's prefix. */
static void find_prefix(void *user, const param *p)
{
    binding *x = user;
    file_place at;
    if (*x->found_prefix || !p->w || !x->layout(x->network, p, &at)) return;
    size_t k = strlen(at.name);
    for (int f = 0; f < x->b->set.nfiles; f++)
        for (int i = 0; i < x->b->set.files[f].ntensors; i++) {
            const char *name = x->b->set.files[f].tensors[i].name;
            size_t n = strlen(name);
            if (n <= k || n - k >= sizeof x->found_prefix || strcmp(name + n - k, at.name) != 0 || name[n - k - 1] != '.') continue;
            memcpy(x->found_prefix, name, n - k);
            x->found_prefix[n - k] = '\0';
            return;
        }
}

typedef struct choice { file_layout layout; char prefix[128]; int found; } choice;

static void try_pair(binding *x, void *network, bind_walk walk, file_layout layout, const char *prefix, choice *best)
{
    x->layout = layout;
    x->prefix = prefix;
    x->found = 0;
    walk(network, count_one, x);
    if (x->found <= best->found) return;
    *best = (choice){ .layout = layout, .found = x->found };
    snprintf(best->prefix, sizeof best->prefix, "%s", prefix);
}

/* Which layout and prefix this file has: the pair that finds most, the first of several.  Of prefixes nobody listed, the one that the file has. */
static void choose_layout(binding *x, void *network, bind_walk walk)
{
    choice best = { .layout = x->names->layouts[0] };
    for (const file_layout *l = x->names->layouts; *l; l++)
        for (const char *const *p = x->names->prefixes; *p; p++) try_pair(x, network, walk, *l, *p, &best);
    for (const file_layout *l = x->names->layouts; *l && !best.found; l++) {
        x->layout = *l;
        x->found_prefix[0] = '\0';
        walk(network, find_prefix, x);
        if (*x->found_prefix) try_pair(x, network, walk, *l, x->found_prefix, &best);
    }
    x->layout = best.layout;
    snprintf(x->found_prefix, sizeof x->found_prefix, "%s", best.prefix);
    x->prefix = x->found_prefix;
}

/* Equal but for trailing dimensions of 1: [C, C] and [C, C, 1, 1] hold the same matrix.  The file's tensor may have more rows. */
static bool same_shape(const param *p, const st_tensor *t, int64_t rows)
{
    int n = p->rank > t->rank ? p->rank : t->rank;
    for (int i = 0; i < n; i++)
        if ((i == 0 ? rows : i < p->rank ? p->shape[i] : 1) != (i < t->rank ? t->shape[i] : 1)) return false;
    return true;
}

/* Memory that lives as long as the binding. */
static void *copy_room(binding *x, size_t nbytes)
{
    bound_files *b = x->b;
    if (b->ncopies == b->room) {
        int room = b->room ? 2 * b->room : 64;
        void **more = mem_realloc(b->copies, (size_t)room * sizeof *more);
        if (!more) return NULL;
        b->copies = more;
        b->room = room;
    }
    void *p = mem_aligned(nbytes);
    if (p) b->copies[b->ncopies++] = p;
    return p;
}

static void shape_words(const st_tensor *t, const param *p, int64_t rows, char *out, size_t nbytes)
{
    size_t used = (size_t)snprintf(out, nbytes, " (is");
    for (int i = 0; i < t->rank && used < nbytes; i++)
        used += (size_t)snprintf(out + used, nbytes - used, " %lld", (long long)t->shape[i]);
    if (used < nbytes) used += (size_t)snprintf(out + used, nbytes - used, ", needs");
    for (int i = 0; i < p->rank && used < nbytes; i++)
        used += (size_t)snprintf(out + used, nbytes - used, " %lld", (long long)(i ? p->shape[i] : rows));
    if (used < nbytes) snprintf(out + used, nbytes - used, ")");
}

/* Kernels compute from every type of weight in `linear` and `embed` only. */
static bool wants_plain(const param *p)
{
    return p->w->kh * p->w->kw > 1 || strstr(p->name, "relative_attention_bias");
}

/* Rows come in two halves; exchange them. */
static void swap_halves(void *data, size_t nbytes)
{
    unsigned char *a = data, *b = a + nbytes / 2;
    for (size_t i = 0; i < nbytes / 2; i++) {
        unsigned char c = a[i];
        a[i] = b[i];
        b[i] = c;
    }
}

/* fp8 files may have one factor a tensor, or one a row, beside the weight.  True: *out is [rows of the parameter] or NULL. */
static bool find_scale(binding *x, const param *p, const file_place *at, int64_t rows, const float **out)
{
    static const char *const suffixes[] = { "scale_weight", "weight_scale", NULL };
    const char *dot = strrchr(at->name, '.');
    char stem[232];
    st_tensor *t = NULL;
    *out = NULL;
    if (!p->w || !dot) return true;
    snprintf(stem, sizeof stem, "%.*s", (int)(dot + 1 - at->name), at->name);
    for (const char *const *s = suffixes; !t && *s; s++) t = named(x, stem, *s);
    if (!t) return true;
    t->used = true;
    if (!dtype_is_weight(t->type) || dtype_block(t->type) > 1 || (t->count != 1 && t->count != (size_t)rows)) {
        fault_add(&x->misshapen, t->name, " (one factor a tensor or one a row)");
        return false;
    }
    float *scale = copy_room(x, (size_t)p->shape[0] * sizeof *scale);
    if (!scale) {
        x->status = DREAMO_MEMORY;
        return false;
    }
    for (int64_t r = 0; r < p->shape[0]; r++)
        dtype_to_f32(t->type, (const char *)t->data + (t->count == 1 ? 0 : (size_t)(at->row0 + r)) * dtype_nbytes(t->type), 1, &scale[r]);
    if (at->swapped) swap_halves(scale, (size_t)p->shape[0] * sizeof *scale);
    *out = scale;
    return true;
}

/* The parameter's numbers as fp32, in memory of their own. */
static float *decoded(binding *x, const param *p, const file_place *at, dtype type, const void *data, const float *scale)
{
    size_t n = (size_t)param_count(p), each = n / (size_t)(p->shape[0] ? p->shape[0] : 1);
    float *copy = copy_room(x, n * sizeof *copy);
    if (!copy) {
        x->status = DREAMO_MEMORY;
        return NULL;
    }
    dtype_to_f32(type, data, n, copy);
    if (at->swapped) swap_halves(copy, n * sizeof *copy);
    for (size_t i = 0; scale && i < n; i++) copy[i] *= scale[i / each];
    return copy;
}

/* The parameter's numbers in the file's type: the map itself, unless their order must change. */
static const void *in_place(binding *x, const param *p, const file_place *at, dtype type, const void *data)
{
    if (!at->swapped) return data;
    size_t nbytes = dtype_nbytes_of(type, (size_t)param_count(p));
    void *copy = copy_room(x, nbytes);
    if (!copy) {
        x->status = DREAMO_MEMORY;
        return NULL;
    }
    memcpy(copy, data, nbytes);
    swap_halves(copy, nbytes);
    return copy;
}

/* held: data is a copy. */
static void give(const param *p, dtype type, const void *data, const float *scale, bool held)
{
    if (p->w) {
        weight_part *part = &p->w->part[p->part];
        part->type = type;
        part->data = data;
        part->row_scale = scale;
        part->held = held;
    } else {
        *p->fp32 = data;
    }
}

/* Four bits by bitsandbytes: blocks with their scales among them, in memory of ours, where rows are whole blocks; else fp32. */
static void bind_packed(binding *x, const param *p, const file_place *at, const st_tensor *t, const nf4 *q)
{
    size_t n = (size_t)param_count(p), each = n / (size_t)(p->shape[0] ? p->shape[0] : 1), from = (size_t)at->row0 * each;
    int64_t rows = at->rows ? at->rows : p->shape[0];
    if ((size_t)rows * each > q->count || (size_t)rows * each + 1 < q->count) {
        fault_add(&x->misshapen, t->name, " (another number of 4-bit numbers)");
        return;
    }
    bool blocks = p->w && q->common && !at->swapped && !wants_plain(p) && each % 32 == 0;
    void *copy = copy_room(x, blocks ? dtype_nbytes_of(DT_NF4, n) : n * sizeof(float));
    if (!copy) {
        x->status = DREAMO_MEMORY;
        return;
    }
    if (blocks) {
        nf4_blocks(q, from, n, copy);
    } else {
        nf4_values(q, from, n, copy);
        if (at->swapped) swap_halves(copy, n * sizeof(float));
    }
    give(p, blocks ? DT_NF4 : DT_F32, copy, NULL, true);
}

/* A matrix of zeros only is no training's work.  Of any other, the first bytes tell. */
static void look_for_zeros(binding *x, const param *p, const st_tensor *t, const char *data, size_t nbytes)
{
    if (!p->w || nbytes < 64 || data[0] || memcmp(data, data + 1, nbytes - 1) != 0) return;
    fault_add(&x->zero, t->name, "");
}

static void bind_one(void *user, const param *p)
{
    binding *x = user;
    char detail[128];
    file_place at;
    nf4 packed;
    bool is_packed;
    if (x->status) return;
    st_tensor *t = find(x, p, &at);
    if (!t) {
        fault_add(&x->missing, p->name, "");
        return;
    }
    int64_t rows = at.rows ? at.rows : p->shape[0];
    t->used = true;
    x->status = nf4_find(&x->b->set, t, &is_packed, &packed, x->err);
    if (x->status) return;
    if (is_packed) {
        bind_packed(x, p, &at, t, &packed);
        return;
    }
    if (!same_shape(p, t, rows)) {
        shape_words(t, p, rows, detail, sizeof detail);
        fault_add(&x->misshapen, t->name, detail);
        return;
    }
    size_t each = (size_t)param_count(p) / (size_t)(p->shape[0] ? p->shape[0] : 1), block = dtype_block(t->type);
    if (!dtype_is_weight(t->type) || (block > 1 && each % block)) {
        snprintf(detail, sizeof detail, " (%s)", dtype_name(t->type));
        fault_add(&x->mistyped, t->name, detail);
        return;
    }
    const void *data = (const char *)t->data + dtype_nbytes_of(t->type, (size_t)at.row0 * each);
    const float *scale;
    if (!find_scale(x, p, &at, rows, &scale)) return;
    look_for_zeros(x, p, t, data, dtype_nbytes_of(t->type, (size_t)param_count(p)));
    bool plain = t->type == DT_F32 || t->type == DT_BF16 || t->type == DT_F16;
    bool aligned = !plain || (uintptr_t)data % dtype_nbytes(t->type) == 0;
    if (p->w && aligned && !(wants_plain(p) && (!plain || scale))) give(p, t->type, in_place(x, p, &at, t->type, data), scale, at.swapped);
    else give(p, DT_F32, decoded(x, p, &at, t->type, data, scale), NULL, true);
}

static bool listed(const char *const *list, const char *name)
{
    for (; list && *list; list++) {
        size_t n = strlen(*list);
        if (**list == '*' ? ends(name, *list + 1) : (*list)[n - 1] == '*' ? strncmp(name, *list, n - 1) == 0 : strcmp(name, *list) == 0) return true;
    }
    return false;
}

/* ComfyUI's tag beside a scaled matrix: {"format": "float8_e4m3fn"} says what its type does; of any other format the numbers mean something else. */
static bool is_plain_fp8(const st_tensor *t)
{
    static const char *const known[] = { "\"float8_e4m3fn\"", "\"float8_e5m2\"" };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (memmem(t->data, t->nbytes, known[i], strlen(known[i]))) return true;
    return false;
}

/* Beside the list: what fp8 files say about activations, which are not quantised here. */
static bool may_be_unused(const binding *x, const st_tensor *t, const char *name)
{
    if (ends(name, ".comfy_quant")) return is_plain_fp8(t);
    return listed(x->names->unused, name) || strcmp(name, "scaled_fp8") == 0 || ends(name, ".scale_input") || ends(name, ".input_scale");
}

/* Under a prefix, only what has it is this network's. */
static void find_extra(binding *x)
{
    size_t n = strlen(x->prefix);
    for (int f = 0; f < x->b->set.nfiles; f++)
        for (int i = 0; i < x->b->set.files[f].ntensors; i++) {
            const st_tensor *t = &x->b->set.files[f].tensors[i];
            if (!t->used && strncmp(t->name, x->prefix, n) == 0 && !may_be_unused(x, t, t->name + n)) fault_add(&x->extra, t->name, "");
        }
}

typedef struct words { size_t used; char text[400]; } words;

static void say(words *w, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void say(words *w, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    int n = vsnprintf(w->text + w->used, sizeof w->text - w->used, format, ap);
    va_end(ap);
    w->used = n < 0 || w->used + (size_t)n >= sizeof w->text ? sizeof w->text - 1 : w->used + (size_t)n;
}

/* "2 tensors are missing: a, b; 7 tensors belong to no part of the model: c, d and 5 more".  Fewer of each when there are several
 * kinds of fault. */
static void list_faults(const binding *x, words *w)
{
    const struct { const faults *f; const char *one, *many; } kinds[] = {
        { &x->missing, "tensor is missing", "tensors are missing" },
        { &x->misshapen, "tensor has another shape", "tensors have another shape" },
        { &x->mistyped, "tensor is of a type that its place cannot have", "tensors are of a type that their places cannot have" },
        { &x->extra, "tensor belongs to no part of the model", "tensors belong to no part of the model" },
    };
    int together = 0;
    for (int k = 0; k < 4; k++) together += kinds[k].f->n > 0;
    for (int k = 0; k < 4; k++) {
        const faults *f = kinds[k].f;
        int most = together > 1 ? LISTED / together : LISTED, shown = f->n < most ? f->n : most;
        if (f->n == 0) continue;
        say(w, "%s%d %s:", w->used ? "; " : "", f->n, f->n == 1 ? kinds[k].one : kinds[k].many);
        for (int i = 0; i < shown; i++) say(w, "%s %s", i ? "," : "", f->name[i]);
        if (shown < f->n) say(w, " and %d more", f->n - shown);
    }
}

/* "a, b and 3 more"; the file's last page tells of a tensor that stopped in its midst. */
static bool warn_of_zeros(binding *x, const char *path)
{
    const faults *f = &x->zero;
    words w = { 0 };
    bool tail = false;
    for (int i = 0; i < x->b->set.nfiles; i++) tail = tail || sniff_ends_in_zeros(x->b->set.files[i].map.data, x->b->set.files[i].map.nbytes);
    if (f->n) {
        for (int i = 0; i < f->n && i < LISTED; i++) say(&w, "%s%s", i ? ", " : "", f->name[i]);
        if (f->n > LISTED) say(&w, " and %d more", f->n - LISTED);
        x->b->warning = mem_printf("%s: %d %s zeros only: %s; was it fetched whole?", path, f->n, f->n == 1 ? "matrix holds" : "matrices hold", w.text);
    } else if (tail) {
        x->b->warning = mem_printf("%s: ends in zeros; was it fetched whole?", path);
    }
    return x->b->warning || !(f->n || tail);
}

dreamo_status bind_network(void *network, bind_walk walk, const char *path, const bind_names *names, bound_files *out,
                           dreamo_error *err)
{
    binding x = { .b = out, .network = network, .names = names, .err = err };
    words w = { 0 };
    *out = (bound_files){ 0 };
    dreamo_status s = st_set_open(path, names->stem, &out->set, err);
    if (s) return s;
    choose_layout(&x, network, walk);
    walk(network, bind_one, &x);
    find_extra(&x);
    list_faults(&x, &w);
    if (!x.status && !w.used && !warn_of_zeros(&x, path)) x.status = DREAMO_MEMORY;
    if (x.status == DREAMO_MEMORY) s = fail(err, x.status, "%s: no memory for its vectors", path);
    else if (x.status) s = x.status;
    else if (w.used && (s = kind_refuse(&out->set, path, names->holds, err)) == DREAMO_OK) s = fail(err, DREAMO_FORMAT, "%.200s: %s", path, w.text);
    if (s) bind_close(out);
    return s;
}

void bind_close(bound_files *b)
{
    for (int i = 0; i < b->ncopies; i++) mem_free(b->copies[i]);
    mem_free(b->copies);
    mem_free(b->warning);
    st_set_close(&b->set);
    *b = (bound_files){ 0 };
}

void bind_forget(const bound_files *b)
{
    for (int i = 0; i < b->set.nfiles; i++) file_map_forget(&b->set.files[i].map);
}

uint64_t bind_nbytes(const bound_files *b)
{
    uint64_t n = 0;
    for (int i = 0; i < b->set.nfiles; i++) n += b->set.files[i].map.nbytes;
    return n;
}

/* ---- the five files ---- */

void bind_walk_dit(void *m, param_visitor visit, void *user) { dit_visit(m, visit, user); }
void bind_walk_vae(void *m, param_visitor visit, void *user) { vae_visit(m, visit, user); }
void bind_walk_t5(void *m, param_visitor visit, void *user) { t5_visit(m, visit, user); }
void bind_walk_clip(void *m, param_visitor visit, void *user) { clip_visit(m, visit, user); }
void bind_walk_judge(void *m, param_visitor visit, void *user) { judge_visit(m, visit, user); }
void bind_walk_matting(void *m, param_visitor visit, void *user) { matting_visit(m, visit, user); }

dreamo_status bind_dit(struct dit *m, const char *path, bound_files *out, dreamo_error *err)
{
    static const file_layout layouts[] = { layout_own, layout_dit_bfl, NULL };
    static const char *const prefixes[] = { "", "model.diffusion_model.", "diffusion_model.", "transformer.", NULL };
    static const bind_names names = { .stem = "diffusion_pytorch_model", .layouts = layouts, .prefixes = prefixes, .unused = tables_names, .holds = HAS_DIT };
    return bind_network(m, bind_walk_dit, path, &names, out, err);
}

dreamo_status bind_vae(struct vae *m, const char *path, bound_files *out, dreamo_error *err)
{
    static const file_layout layouts[] = { layout_own, layout_vae_bfl, layout_vae_old, NULL };
    static const char *const prefixes[] = { "", "vae.", "first_stage_model.", NULL };
    static const char *const unused[] = { "model_ema.decay", "model_ema.num_updates", "loss.*", NULL };
    static const bind_names names = { .stem = "diffusion_pytorch_model", .layouts = layouts, .prefixes = prefixes, .unused = unused, .holds = HAS_VAE };
    return bind_network(m, bind_walk_vae, path, &names, out, err);
}

dreamo_status bind_t5(struct t5 *m, const char *path, bound_files *out, dreamo_error *err)
{
    static const file_layout layouts[] = { layout_own, layout_t5_twin, layout_t5_gguf, NULL };
    static const char *const prefixes[] = { "", "text_encoders.t5xxl.transformer.", "text_encoders.t5xxl.", NULL };
    /* the first beside shared.weight (spec 6.2); a whole T5's other half */
    static const char *const unused[] = { "encoder.embed_tokens.weight", "logit_scale", "spiece_model", "decoder.*", "dec.*", "lm_head.weight", "output.weight", NULL };
    static const bind_names names = { .stem = "model", .layouts = layouts, .prefixes = prefixes, .unused = unused, .holds = HAS_T5 };
    return bind_network(m, bind_walk_t5, path, &names, out, err);
}

dreamo_status bind_clip(struct clip *m, const char *path, bound_files *out, dreamo_error *err)
{
    static const file_layout layouts[] = { layout_own, layout_clip_bare, layout_clip_openai, NULL };
    static const char *const prefixes[] = { "", "text_encoders.clip_l.transformer.", "text_encoders.clip_l.", NULL };
    /* spec 5.2; a whole CLIP's other half, under its two names */
    static const char *const unused[] = { "text_projection", "text_projection.weight", "text_model.embeddings.position_ids", "embeddings.position_ids", "logit_scale", "vision_model.*",
                                          "visual_projection.weight", "visual.*", "input_resolution", "context_length", "vocab_size", NULL };
    static const bind_names names = { .stem = "model", .layouts = layouts, .prefixes = prefixes, .unused = unused, .holds = HAS_CLIP };
    return bind_network(m, bind_walk_clip, path, &names, out, err);
}

dreamo_status bind_judge(struct judge *m, const char *path, bound_files *out, dreamo_error *err)
{
    static const file_layout layouts[] = { layout_own, NULL };
    static const char *const prefixes[] = { "", NULL };
    static const bind_names names = { .stem = "model", .layouts = layouts, .prefixes = prefixes, .holds = HAS_JUDGE };
    return bind_network(m, bind_walk_judge, path, &names, out, err);
}

dreamo_status bind_matting(struct matting *m, const char *path, bound_files *out, dreamo_error *err)
{
    static const file_layout layouts[] = { layout_own, NULL };
    static const char *const prefixes[] = { "", NULL };
    static const bind_names names = { .stem = "model", .layouts = layouts, .prefixes = prefixes, .holds = HAS_MATTING };
    return bind_network(m, bind_walk_matting, path, &names, out, err);
}
