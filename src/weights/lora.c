/* lora.c - from groups to what is applied: strength, modules, changes, vectors; and what of the file is left over.
 *
 * Refused beside what group.c refuses: a scale that is not a number, files in which no key fits, kinds of files that are no adapter. */
#include "weights/lora.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/sha256.h"
#include "weights/kind.h"
#include "weights/lora/group.h"

const char *const lora_own[LORA_OWN] = { "dreamo", "sft", "dpo", "cfg" };

/* ---- strength ---- */

/* The alpha that most modules have; the first of them in a tie. */
static float common_alpha(const lora_reader *r)
{
    float best = NAN;
    int most = 0;
    for (int i = 0; i < r->ngroups; i++) {
        int count = 0;
        if (!r->groups[i].target.diffusers || isnan(r->groups[i].alpha)) continue;
        for (int j = i; j < r->ngroups; j++) count += r->groups[j].target.diffusers && r->groups[j].alpha == r->groups[i].alpha;
        if (count > most) {
            most = count;
            best = r->groups[i].alpha;
        }
    }
    return best;
}

/* Alpha of modules that have none beside them: what the file says elsewhere; in diffusers' naming, whose library gives a whole file one
 * alpha, the most common (spec 2.9); else the module's own rank, so that the scale is 1. */
static void fill_alphas(lora_reader *r, bool *ranks_differ, bool *guessed)
{
    float common = common_alpha(r);
    int first = 0;
    *ranks_differ = *guessed = false;
    for (int i = 0; i < r->ngroups; i++) {
        lora_group *g = &r->groups[i];
        size_t n = g->stem < 255 ? g->stem : 255;
        char stem[256];
        memcpy(stem, g->name, n);
        stem[n] = '\0';
        if (g->method == LOKR && !g->rank) g->rank = lora_rank_of(&r->alphas, stem); /* LyCORIS takes no alpha here, PEFT does */
        if (!isnan(g->alpha) || !g->rank) continue;
        g->alpha = (float)lora_alpha_of(&r->alphas, stem, g->rank);
        if (isfinite(g->alpha)) continue;
        if (isinf(g->alpha) && !r->alphas.unknown) r->alphas.unknown = "lora_alpha";
        g->alpha = g->target.diffusers && !isnan(common) ? common : (float)g->rank;
        *guessed = true;
        if (!g->target.diffusers || !isnan(common)) continue;
        if (!first) first = g->rank;
        *ranks_differ = *ranks_differ || g->rank != first;
    }
}

static float scale_of(const lora_group *g) { return g->rank ? g->alpha / (float)g->rank : 1; }

/* ---- groups to modules, changes, vectors ---- */

/* Numbers that a group's tensors become. */
static bool count_values(const lora_group *g, size_t *total)
{
    bool fits = true;
    for (int i = 0; i < LORA_ROLES; i++)
        if (g->t[i] && i != LORA_ALPHA) fits = fits && add_nbytes(*total, g->t[i]->count, total);
    for (int i = LOKR_W1; i <= LOKR_W2; i += LOKR_W2 - LOKR_W1) { /* factors that are products are multiplied out */
        size_t product = 0;
        if (g->method != LOKR || g->t[i]) continue;
        fits = fits && mul_nbytes((size_t)g->t[i + 1]->shape[0], (size_t)g->t[i + 2]->shape[1], &product) && add_nbytes(*total, product, total);
    }
    return fits && add_nbytes(*total, g->t[LORA_MAGNITUDE] ? (size_t)g->target.w->in : 0, total); /* lengths of columns */
}

static dreamo_status allot(lora_reader *r, lora_file *out, dreamo_error *err)
{
    size_t values = 0, names = 1, count = (size_t)r->ngroups + 1;
    bool fits = true;
    for (int i = 0; i < r->ngroups; i++) {
        const lora_group *g = &r->groups[i];
        fits = fits && count_values(g, &values);
        for (int k = LORA_A; k <= LORA_B; k++) names += g->t[k] ? strlen(g->t[k]->name) + 1 : 0;
        names += g->stem + 1;
    }
    fits = fits && mul_nbytes(values, sizeof(float), &values);
    out->modules = mem_calloc(count, sizeof *out->modules);
    out->changes = mem_calloc(count, sizeof *out->changes);
    out->vectors = mem_calloc(count, 2 * WEIGHT_PARTS * sizeof *out->vectors);
    out->values = fits ? mem_alloc(values) : NULL;
    out->names = mem_alloc(names);
    r->values = out->values;
    if (out->modules && out->changes && out->vectors && out->values && out->names) return DREAMO_OK;
    return fail(err, DREAMO_MEMORY, "%s: no memory for %zu bytes of LoRA", r->path, values);
}

static float *take(lora_reader *r, size_t n)
{
    float *v = r->values;
    r->values += n;
    return v;
}

static float *numbers(lora_reader *r, const st_tensor *t)
{
    if (!t) return NULL;
    float *v = take(r, t->count);
    dtype_to_f32(t->type, t->data, t->count, v);
    return v;
}

/* [2h, cols]: the upper h rows change places with the lower. */
static void swap_halves(float *B, int rows, int cols)
{
    size_t half = (size_t)(rows / 2) * (size_t)cols;
    for (size_t i = 0; i < half; i++) {
        float t = B[i];
        B[i] = B[half + i];
        B[half + i] = t;
    }
}

static const char *keep(char **p, const char *s, size_t n)
{
    char *kept = *p;
    memcpy(kept, s, n);
    kept[n] = '\0';
    *p += n + 1;
    return kept;
}

static bool all_zero(const float *v, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (v[i] != 0) return false;
    return true;
}

static void add_module(lora_reader *r, const lora_group *g, lora_file *out, char **names)
{
    lora_module *m = &out->modules[out->nmodules++];
    const st_tensor *a = g->t[LORA_A], *b = g->t[LORA_B];
    float *A = numbers(r, a), *B = numbers(r, b);
    if (g->target.swapped) swap_halves(B, g->target.rows, g->rank);
    r->zeros += all_zero(A, a->count); /* training begins with B = 0, never with A */
    m->w = g->target.w;
    m->stem = (char *)(uintptr_t)keep(names, g->name, g->stem);
    m->suffix_A = keep(names, a->name + g->stem, strlen(a->name + g->stem));
    m->suffix_B = keep(names, b->name + g->stem, strlen(b->name + g->stem));
    m->a = (adapter){ .row0 = g->target.row0, .rows = g->target.rows, .rank = g->rank, .A = A, .B = B, .scale = out->scale * scale_of(g) };
}

/* A factor of a LoKr, multiplied out. */
static const float *kronecker_factor(lora_reader *r, const lora_group *g, lora_role whole, int *rows, int *cols)
{
    const st_tensor *t = g->t[whole], *a = g->t[whole + 1], *b = g->t[whole + 2];
    *rows = (int)(t ? t : a)->shape[0];
    *cols = (int)(t ? t : b)->shape[1];
    if (t) return numbers(r, t);
    float *A = numbers(r, a), *B = numbers(r, b), *v = take(r, (size_t)*rows * (size_t)*cols);
    int rank = (int)b->shape[0];
    memset(v, 0, (size_t)*rows * (size_t)*cols * sizeof *v);
    for (int i = 0; i < *rows; i++)
        for (int k = 0; k < rank; k++)
            for (int j = 0; j < *cols; j++) v[(size_t)i * (size_t)*cols + (size_t)j] += A[i * rank + k] * B[(size_t)k * (size_t)*cols + (size_t)j];
    return v;
}

/* Blocks become rotations.  factor: of M - M^T; `most`: the length that LyCORIS and kohya let all of M - M^T have, 0: any. */
static dreamo_status rotations(lora_reader *r, const lora_group *g, const st_tensor *t, double factor, double most, lora_change *c, dreamo_error *err)
{
    int b = (int)t->shape[1];
    size_t each = (size_t)b * (size_t)b, n = (size_t)t->shape[0];
    float *m = numbers(r, t);
    double squares = 0, *room = mem_alloc(2 * each * sizeof *room);
    if (!room) return fail(err, DREAMO_MEMORY, "%s: no memory for a rotation of %d x %d", r->path, b, b);
    for (size_t k = 0; most > 0 && k < n; k++)
        for (int i = 0; i < b; i++)
            for (int j = 0; j < b; j++) {
                double q = (double)m[k * each + (size_t)(i * b + j)] - (double)m[k * each + (size_t)(j * b + i)];
                squares += q * q;
            }
    double length = sqrt(squares) + 1e-8;
    if (most > 0 && length > most) factor *= most / length;
    bool ok = true;
    for (size_t k = 0; ok && k < n; k++) ok = change_cayley(m + k * each, b, factor, room);
    mem_free(room);
    if (!ok) return fail(err, DREAMO_NUMERIC, "%s: %.*s holds a number that is not finite", r->path, (int)g->stem, g->name);
    c->f[0] = m;
    c->n[0] = b;
    c->n[1] = n == 1;
    return DREAMO_OK;
}

static dreamo_status add_change(lora_reader *r, const lora_group *g, lora_file *out, dreamo_error *err)
{
    lora_change *c = &out->changes[out->nchanges++];
    dreamo_status s = DREAMO_OK;
    *c = (lora_change){ .w = g->target.w, .row0 = g->target.row0, .rows = g->target.rows, .swapped = g->target.swapped, .strength = out->scale,
                        .scale = scale_of(g) };
    switch (g->method) {
    case LORA:
        c->kind = CHANGE_PRODUCT;
        c->f[0] = numbers(r, g->t[LORA_B]);
        c->f[1] = numbers(r, g->t[LORA_A]);
        c->n[0] = g->rank;
        break;
    case LOKR:
        c->kind = CHANGE_KRONECKER;
        c->f[0] = kronecker_factor(r, g, LOKR_W1, &c->n[0], &c->n[1]);
        c->f[1] = kronecker_factor(r, g, LOKR_W2, &c->n[2], &c->n[3]);
        break;
    case LOHA:
        c->kind = CHANGE_HADAMARD;
        for (int i = 0; i < 4; i++) c->f[i] = numbers(r, g->t[LOHA_W1_A + i]);
        c->n[0] = (int)g->t[LOHA_W1_B]->shape[0];
        c->n[1] = (int)g->t[LOHA_W2_B]->shape[0];
        break;
    case OFT: /* its alpha is a bound */
        c->kind = CHANGE_ROTATED_ROWS;
        c->f[1] = numbers(r, g->t[OFT_RESCALE]);
        s = rotations(r, g, g->t[OFT_BLOCKS], 1, isnan(g->alpha) ? 0 : (double)g->alpha * c->rows, c, err);
        break;
    case PEFT_OFT:
        c->kind = CHANGE_ROTATED_COLUMNS;
        c->f[1] = numbers(r, g->t[OFT_S]);
        s = rotations(r, g, g->t[OFT_R], -0.5, 0, c, err);
        break;
    case DIFFERENCE: c->kind = CHANGE_FULL, c->f[0] = numbers(r, g->t[LORA_DIFF]); break;
    case BIAS_ONLY: case METHODS: out->nchanges--; break;
    }
    const st_tensor *length = g->t[LORA_MAGNITUDE];
    c->magnitude = numbers(r, length);
    c->by_column = length && length->rank == 2 && length->shape[0] == 1 && length->shape[1] == c->w->in; /* [1, in], not [rows, 1] */
    c->norms = c->by_column ? take(r, (size_t)c->w->in) : NULL;
    return s;
}

/* A module's bias goes to as many parts of the weight as its rows lie in. */
static dreamo_status add_bias(lora_reader *r, const lora_group *g, const st_tensor *t, float factor, lora_file *out, dreamo_error *err)
{
    const lora_target *to = &g->target;
    if (!t) return DREAMO_OK;
    float *v = numbers(r, t);
    if (to->swapped) swap_halves(v, to->rows, 1);
    for (int k = 0, start = 0; k < to->w->nparts; start += to->w->part[k++].rows) {
        weight_part *p = &to->w->part[k];
        int first = to->row0 > start ? to->row0 : start, end = to->row0 + to->rows < start + p->rows ? to->row0 + to->rows : start + p->rows;
        if (first >= end) continue;
        if (first != start || end != start + p->rows || !p->bias)
            return fail(err, DREAMO_MISMATCH, "%s: %s: this model's layer has no such bias", r->path, t->name);
        out->vectors[out->nvectors++] = (lora_vector){ &p->bias, p->rows, v + (first - to->row0), factor };
    }
    return DREAMO_OK;
}

static dreamo_status fill(lora_reader *r, lora_file *out, dreamo_error *err)
{
    char *names = out->names;
    dreamo_status s = DREAMO_OK;
    for (int i = 0; s == DREAMO_OK && i < r->ngroups; i++) {
        const lora_group *g = &r->groups[i];
        if (!g->target.w) {
            out->vectors[out->nvectors++] = (lora_vector){ g->target.vector, g->target.n, numbers(r, g->t[LORA_DIFF]), out->scale };
            continue;
        }
        if (g->method == LORA && !g->t[LORA_MAGNITUDE]) add_module(r, g, out, &names);
        else if (g->method != BIAS_ONLY) s = add_change(r, g, out, err);
        if (s == DREAMO_OK) s = add_bias(r, g, g->t[LORA_B_BIAS], out->scale * scale_of(g), out, err);
        if (s == DREAMO_OK) s = add_bias(r, g, g->t[LORA_DIFF_BIAS], out->scale, out, err);
    }
    return s;
}

/* ---- what is left ---- */

static char *told(const lora_leftover *l, const char *what)
{
    if (!l->n) return mem_strdup("");
    char more[40] = "";
    if (l->n > 5) snprintf(more, sizeof more, " and %d more", l->n - 5);
    return mem_printf("; %d tensor%s %s: %s%s", l->n, l->n == 1 ? "" : "s", what, l->names, more);
}

static dreamo_status finish(lora_reader *r, lora_file *out, bool guessed, dreamo_error *err)
{
    if (r->ngroups == 0 && !out->tables.task && !out->tables.t5)
        return fail(err, DREAMO_MISMATCH, "%s: none of its %d tensors belongs to this model (%s%s)", r->path, r->file.ntensors,
                    r->unmatched.n ? r->unmatched.names : r->text.names, r->unmatched.n + r->text.n > 5 ? ", ..." : "");
    char *one = told(&r->unmatched, "of no layer of this model, not used"), *two = told(&r->text, "of text encoders, which are not adapted here");
    char *three = r->zeros ? mem_printf("; %d of %d modules are all zeros: was it cut short?", r->zeros, out->nmodules) : mem_strdup("");
    char *four = guessed && r->alphas.unknown ? mem_printf("; its metadata says \"%.60s\", which is not understood: each module's alpha is its rank", r->alphas.unknown)
                                              : mem_strdup("");
    bool all = one && two && three && four;
    char *words = all ? mem_printf("%s%s%s%s", one, two, three, four) : NULL;
    if (words && *words) out->warning = mem_printf("%s: %s", r->path, words + 2);
    bool ok = words && (!*words || out->warning);
    mem_free(one);
    mem_free(two);
    mem_free(three);
    mem_free(four);
    mem_free(words);
    return ok ? DREAMO_OK : fail(err, DREAMO_MEMORY, "%s: no memory for a warning", r->path);
}

static dreamo_status read_all(lora_reader *r, int text_width, lora_file *out, dreamo_error *err)
{
    const st_set set = { .nfiles = 1, .files = &r->file };
    bool guessed = false;
    dreamo_status s = kind_refuse_adapter(&r->file, err);
    if (s == DREAMO_OK) s = tables_read(&set, r->path, r->to.dit, text_width, &out->tables, err);
    if (s == DREAMO_OK) s = lora_alphas_read(&r->file, &r->alphas, err);
    if (s == DREAMO_OK) s = lora_group_keys(r, err);
    if (s == DREAMO_OK) fill_alphas(r, &out->ranks_differ, &guessed);
    if (s == DREAMO_OK) s = allot(r, out, err);
    if (s == DREAMO_OK) s = fill(r, out, err);
    for (int i = 0; s == DREAMO_OK && i < out->nchanges; i++) change_prepare(&out->changes[i], out->changes[i].w);
    if (s == DREAMO_OK) s = finish(r, out, guessed, err);
    return s;
}

static dreamo_status open_for(const char *path, float scale, const lora_networks *n, int text_width, lora_file *out, dreamo_error *err)
{
    *out = (lora_file){ .scale = scale };
    if (!isfinite(scale)) return fail(err, DREAMO_ARG, "%s: scale %f is not a finite number", path, (double)scale);
    lora_reader r = { .path = path, .to = *n };
    dreamo_status s = st_open(path, &r.file, err);
    if (s == DREAMO_OK) {
        out->path = mem_strdup(path);
        if (!out->path) s = fail(err, DREAMO_MEMORY, "%s: no memory for its name", path);
    }
    if (s == DREAMO_OK) s = read_all(&r, text_width, out, err);
    if (s == DREAMO_OK) sha256_hex(r.file.map.data, r.file.map.nbytes, out->sha256);
    mem_free(r.keys);
    mem_free(r.groups);
    lora_alphas_free(&r.alphas);
    st_close(&r.file);
    if (s != DREAMO_OK) lora_close(out);
    return s;
}

dreamo_status lora_open_all(const char *path, float scale, const lora_networks *n, lora_file *out, dreamo_error *err)
{
    return open_for(path, scale, n, n->t5 ? n->t5->config.width : n->dit->config.text_dim, out, err);
}

dreamo_status lora_open(const char *path, float scale, dit *m, int text_width, lora_file *out, dreamo_error *err)
{
    return open_for(path, scale, &(lora_networks){ .dit = m }, text_width, out, err);
}

void lora_close(lora_file *f)
{
    mem_free(f->path);
    mem_free(f->modules);
    mem_free(f->changes);
    mem_free(f->vectors);
    mem_free(f->values);
    mem_free(f->names);
    tables_free(&f->tables);
    mem_free(f->warning);
    *f = (lora_file){ 0 };
}

/* ---- weights' lists ---- */

void lora_merge_thick(lora_file *f)
{
    const int64_t most = 1 << 22; /* numbers of a layer: its copy is fp32, and a large model's would not fit in memory */
    for (int i = 0; i < f->nmodules; i++) {
        const adapter *a = &f->modules[i].a;
        const weight *w = f->modules[i].w;
        int64_t in = w->in, rows = a->rows;
        f->modules[i].merge = w->kh == 1 && w->kw == 1 && in * w->out <= most && 4 * a->rank * (in + rows) >= in * rows;
    }
}

void lora_attach(lora_file *f)
{
    for (int i = 0; i < f->nmodules; i++) {
        if (f->modules[i].merge) continue;
        adapter **end = &f->modules[i].w->adapters;
        while (*end) end = &(*end)->next;
        *end = &f->modules[i].a;
    }
}

void lora_detach(lora_file *f)
{
    for (int i = 0; i < f->nmodules; i++)
        for (adapter **p = &f->modules[i].w->adapters; *p;)
            if (*p == &f->modules[i].a) *p = (*p)->next;
            else p = &(*p)->next;
}
