/* bind.c - walk the parameters, find each tensor, collect what does not fit. */
#include "pipe/bind.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include "base/mem.h"
#include "model/clip.h"
#include "model/dit.h"
#include "model/t5.h"
#include "model/vae.h"

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
    const bind_names *names;
    faults missing, misshapen, mistyped, extra;
    dreamo_status status;    /* DREAMO_MEMORY */
} binding;

/* Under its own name, else under another one. */
static st_tensor *find(const binding *x, const char *name)
{
    st_tensor *t = st_set_find(&x->b->set, name);
    for (const char *const (*other)[2] = x->names->other; !t && other && **other; other++) {
        char renamed[NAME_ROOM];
        const char *at = strstr(name, (*other)[0]);
        if (!at) continue;
        snprintf(renamed, sizeof renamed, "%.*s%s%s", (int)(at - name), name, (*other)[1], at + strlen((*other)[0]));
        t = st_set_find(&x->b->set, renamed);
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
    for (int i = 0; i < t->rank && used < nbytes; i++)
        used += (size_t)snprintf(out + used, nbytes - used, " %lld", (long long)t->shape[i]);
    if (used < nbytes) used += (size_t)snprintf(out + used, nbytes - used, ", needs");
    for (int i = 0; i < p->rank && used < nbytes; i++)
        used += (size_t)snprintf(out + used, nbytes - used, " %lld", (long long)p->shape[i]);
    if (used < nbytes) snprintf(out + used, nbytes - used, ")");
}

static void bind_one(void *user, const param *p)
{
    binding *x = user;
    char detail[128];
    st_tensor *t = find(x, p->name);
    if (x->status) return;
    if (!t) {
        fault_add(&x->missing, p->name, "");
        return;
    }
    t->used = true;
    if (!same_shape(p, t)) {
        shape_words(t, p, detail, sizeof detail);
        fault_add(&x->misshapen, p->name, detail);
        return;
    }
    if (t->type != DT_F32 && t->type != DT_BF16 && t->type != DT_F16) {
        snprintf(detail, sizeof detail, " (%s)", dtype_name(t->type));
        fault_add(&x->mistyped, p->name, detail);
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

static void find_extra(binding *x)
{
    for (int f = 0; f < x->b->set.nfiles; f++)
        for (int i = 0; i < x->b->set.files[f].ntensors; i++) {
            const st_tensor *t = &x->b->set.files[f].tensors[i];
            const char *const *unused = x->names->unused;
            while (unused && *unused && strcmp(*unused, t->name) != 0) unused++;
            if (!t->used && !(unused && *unused)) fault_add(&x->extra, t->name, "");
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
        { &x->mistyped, "tensor is of a type other than F32, BF16, F16", "tensors are of a type other than F32, BF16, F16" },
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

dreamo_status bind_network(void *network, bind_walk walk, const char *path, const bind_names *names, bound_files *out,
                           dreamo_error *err)
{
    binding x = { .b = out, .names = names };
    words w = { 0 };
    *out = (bound_files){ 0 };
    dreamo_status s = st_set_open(path, names->stem, &out->set, err);
    if (s) return s;
    walk(network, bind_one, &x);
    find_extra(&x);
    list_faults(&x, &w);
    if (x.status) s = fail(err, x.status, "%s: no memory for its vectors", path);
    else if (w.used) s = fail(err, DREAMO_FORMAT, "%.200s: %s", path, w.text);
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
    static const bind_names names = { .stem = "diffusion_pytorch_model" };
    return bind_network(m, walk_dit, path, &names, out, err);
}

dreamo_status bind_vae(struct vae *m, const char *path, bound_files *out, dreamo_error *err)
{
    static const char *const attention[][2] = { /* in files of before diffusers 0.18 (spec 4.7) */
        { ".to_q.", ".query." }, { ".to_k.", ".key." }, { ".to_v.", ".value." }, { ".to_out.0.", ".proj_attn." }, { NULL, NULL } };
    static const bind_names names = { .stem = "diffusion_pytorch_model", .other = attention };
    return bind_network(m, walk_vae, path, &names, out, err);
}

dreamo_status bind_t5(struct t5 *m, const char *path, bound_files *out, dreamo_error *err)
{
    static const char *const table[][2] = { { "shared.weight", "encoder.embed_tokens.weight" }, { NULL, NULL } };
    static const char *const second_copy[] = { "encoder.embed_tokens.weight", NULL }; /* beside shared.weight (spec 6.2) */
    static const bind_names names = { .stem = "model", .other = table, .unused = second_copy };
    return bind_network(m, walk_t5, path, &names, out, err);
}

dreamo_status bind_clip(struct clip *m, const char *path, bound_files *out, dreamo_error *err)
{
    static const char *const unused[] = { "text_projection.weight", "text_model.embeddings.position_ids", NULL }; /* spec 5.2 */
    static const bind_names names = { .stem = "model", .unused = unused };
    return bind_network(m, walk_clip, path, &names, out, err);
}
