/* bind.c - walk the parameters, find each tensor, collect what does not fit. */
#include "pipe/bind.h"
#include <stdio.h>
#include <string.h>
#include "base/mem.h"
#include "model/clip.h"
#include "model/dit.h"
#include "model/t5.h"
#include "model/vae.h"

#define LISTED 5

/* Names that have one fault in common: the first few, and a count. */
typedef struct faults { int n; size_t used; char text[400]; } faults;

static void fault_add(faults *f, const char *name, const char *detail)
{
    if (f->n++ < LISTED && f->used < sizeof f->text)
        f->used += (size_t)snprintf(f->text + f->used, sizeof f->text - f->used, "%s%.100s%s", f->used ? ", " : "", name, detail);
}

typedef struct binding {
    bound_files *b;
    faults missing, misshapen, mistyped;
    dreamo_status status;    /* DREAMO_MEMORY */
} binding;

/* Older names of the autoencoder's attention (spec 4.7). */
static const char *const aliases[][2] = { { ".to_q.", ".query." }, { ".to_k.", ".key." }, { ".to_v.", ".value." }, { ".to_out.0.", ".proj_attn." } };

static st_tensor *find(const st_set *set, const char *name)
{
    st_tensor *t = st_set_find(set, name);
    for (size_t i = 0; !t && i < sizeof aliases / sizeof *aliases; i++) {
        char other[192];
        const char *at = strstr(name, aliases[i][0]);
        if (!at) continue;
        snprintf(other, sizeof other, "%.*s%s%s", (int)(at - name), name, aliases[i][1], at + strlen(aliases[i][0]));
        t = st_set_find(set, other);
    }
    return t;
}

/* Equal but for trailing dimensions of 1: [C, C] and [C, C, 1, 1] hold the same matrix. */
static bool same_shape(const param *p, const st_tensor *t)
{
    int n = p->rank > t->rank ? p->rank : t->rank;
    for (int i = 0; i < n; i++)
        if ((i < p->rank ? p->shape[i] : 1) != (i < t->rank ? t->shape[i] : 1)) return false;
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

static void shape_words(const st_tensor *t, const param *p, char *out, size_t nbytes)
{
    size_t used = (size_t)snprintf(out, nbytes, " (is");
    for (int i = 0; i < t->rank && used < nbytes; i++) used += (size_t)snprintf(out + used, nbytes - used, " %lld", (long long)t->shape[i]);
    if (used < nbytes) used += (size_t)snprintf(out + used, nbytes - used, ", needs");
    for (int i = 0; i < p->rank && used < nbytes; i++) used += (size_t)snprintf(out + used, nbytes - used, " %lld", (long long)p->shape[i]);
    if (used < nbytes) snprintf(out + used, nbytes - used, ")");
}

static void bind_one(void *user, const param *p)
{
    binding *x = user;
    char words[128];
    st_tensor *t = find(&x->b->set, p->name);
    if (x->status) return;
    if (!t) {
        fault_add(&x->missing, p->name, "");
        return;
    }
    t->used = true;
    if (!same_shape(p, t)) {
        shape_words(t, p, words, sizeof words);
        fault_add(&x->misshapen, p->name, words);
        return;
    }
    if (t->type != DT_F32 && t->type != DT_BF16 && t->type != DT_F16) {
        snprintf(words, sizeof words, " (%s)", dtype_name(t->type));
        fault_add(&x->mistyped, p->name, words);
        return;
    }
    bool aligned = (uintptr_t)t->data % dtype_nbytes(t->type) == 0;
    if (p->w && aligned) {
        p->w->part[p->part].type = t->type;
        p->w->part[p->part].data = t->data;
        return;
    }
    float *copy = copy_room(x, t->count * sizeof *copy);
    if (!copy) {
        x->status = DREAMO_MEMORY;
        return;
    }
    dtype_to_f32(t->type, t->data, t->count, copy);
    if (p->w) {
        p->w->part[p->part].type = DT_F32;
        p->w->part[p->part].data = copy;
    } else {
        *p->fp32 = copy;
    }
}

static bool is_ignored(const char *const *ignored, const char *name)
{
    for (; ignored && *ignored; ignored++)
        if (strcmp(*ignored, name) == 0) return true;
    return false;
}

static dreamo_status report(const char *where, const faults *f, const char *what, dreamo_error *err)
{
    char more[40] = "";
    if (f->n == 0) return DREAMO_OK;
    if (f->n > LISTED) snprintf(more, sizeof more, " and %d more", f->n - LISTED);
    return fail(err, DREAMO_FORMAT, "%.200s: %d %s: %s%s", where, f->n, what, f->text, more);
}

dreamo_status bind_network(void *network, bind_walk walk, const char *path, const char *stem, const char *const *ignored,
                           bound_files *out, dreamo_error *err)
{
    faults extra = { 0 };
    binding x = { .b = out };
    *out = (bound_files){ 0 };
    dreamo_status s = st_set_open(path, stem, &out->set, err);
    if (s) return s;
    walk(network, bind_one, &x);
    for (int f = 0; f < out->set.nfiles; f++)
        for (int i = 0; i < out->set.files[f].ntensors; i++) {
            const st_tensor *t = &out->set.files[f].tensors[i];
            if (!t->used && !is_ignored(ignored, t->name)) fault_add(&extra, t->name, "");
        }
    if (x.status) s = fail(err, x.status, "%s: no memory for its vectors", path);
    if (!s) s = report(path, &x.missing, x.missing.n == 1 ? "tensor is missing" : "tensors are missing", err);
    if (!s) s = report(path, &x.misshapen, x.misshapen.n == 1 ? "tensor has another shape" : "tensors have another shape", err);
    if (!s) s = report(path, &x.mistyped, "tensor(s) of a type that is not F32, BF16 or F16", err);
    if (!s) s = report(path, &extra, extra.n == 1 ? "tensor belongs to no part of the model" : "tensors belong to no part of the model", err);
    if (s) bind_close(out);
    return s;
}

void bind_close(bound_files *b)
{
    for (int i = 0; i < b->ncopies; i++) mem_free(b->copies[i]);
    mem_free(b->copies);
    st_set_close(&b->set);
    *b = (bound_files){ 0 };
}

uint64_t bind_nbytes(const bound_files *b)
{
    uint64_t n = 0;
    for (int i = 0; i < b->set.nfiles; i++) n += b->set.files[i].map.nbytes;
    return n;
}

/* ---- the four files ---- */

static void walk_dit(void *m, param_visitor visit, void *user) { dit_visit(m, visit, user); }
static void walk_vae(void *m, param_visitor visit, void *user) { vae_visit(m, visit, user); }
static void walk_t5(void *m, param_visitor visit, void *user) { t5_visit(m, visit, user); }
static void walk_clip(void *m, param_visitor visit, void *user) { clip_visit(m, visit, user); }

dreamo_status bind_dit(struct dit *m, const char *path, bound_files *out, dreamo_error *err)
{
    return bind_network(m, walk_dit, path, "diffusion_pytorch_model", NULL, out, err);
}

dreamo_status bind_vae(struct vae *m, const char *path, bound_files *out, dreamo_error *err)
{
    return bind_network(m, walk_vae, path, "diffusion_pytorch_model", NULL, out, err);
}

dreamo_status bind_t5(struct t5 *m, const char *path, bound_files *out, dreamo_error *err)
{
    static const char *const ignored[] = { "encoder.embed_tokens.weight", NULL }; /* a second copy of shared.weight */
    return bind_network(m, walk_t5, path, "model", ignored, out, err);
}

dreamo_status bind_clip(struct clip *m, const char *path, bound_files *out, dreamo_error *err)
{
    static const char *const ignored[] = { "text_projection.weight", "text_model.embeddings.position_ids", NULL }; /* spec 5.2 */
    return bind_network(m, walk_clip, path, "model", ignored, out, err);
}
