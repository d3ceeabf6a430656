/* lora.c - reading a LoRA file (spec 2.8, 2.9).
 *
 * Keys are grouped by stem into modules {A, B, alpha}; each stem is looked up in the table of names.  Refused: A without B,
 * ranks that differ, rank 0, a scale that is not a number (DREAMO_FORMAT); shapes or blocks that this model does not have,
 * files in which no key fits (DREAMO_MISMATCH). */
#include "weights/lora.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/sha256.h"
#include "format/safetensors.h"
#include "weights/tables.h"

enum { RANK_MAX = 65536 };

/* One tensor of the file, with its key taken apart. */
typedef struct key { const st_tensor *t; size_t stem; lora_role role; } key;

/* All tensors of one stem. */
typedef struct group {
    const char *name;        /* begins with the stem */
    size_t stem;
    const st_tensor *a, *b, *alpha;
    lora_target target;
    float alpha_value;       /* NAN: none given */
} group;

typedef struct reader {
    const char *path;
    dit *m;
    st_file file;
    int nkeys, ngroups;
    key *keys;
    group *groups;
    bool dora;
    int nunmatched;
    char unmatched[400];     /* the first five */
} reader;

static int by_stem(const void *x, const void *y)
{
    const key *a = x, *b = y;
    int c = memcmp(a->t->name, b->t->name, a->stem < b->stem ? a->stem : b->stem);
    if (c) return c;
    if (a->stem != b->stem) return a->stem < b->stem ? -1 : 1;
    return a->role != b->role ? (a->role < b->role ? -1 : 1) : strcmp(a->t->name, b->t->name);
}

/* Groups in the order in which the file stores their B: the "first rank" rule counts on it. */
static int by_place(const void *x, const void *y)
{
    const char *a = ((const group *)x)->b->data, *b = ((const group *)y)->b->data;
    return a < b ? -1 : a > b;
}

static void note_unmatched(reader *r, const char *name)
{
    if (r->nunmatched++ >= 5) return;
    size_t n = strlen(r->unmatched);
    snprintf(r->unmatched + n, sizeof r->unmatched - n, "%s%.70s", n ? ", " : "", name);
}

static bool is_float(dtype t) { return t == DT_F32 || t == DT_BF16 || t == DT_F16 || t == DT_F64; }

static dreamo_status wrong_type(const reader *r, const st_tensor *t, dreamo_error *err)
{
    return fail(err, DREAMO_FORMAT, "%s: %s has type %s, allowed are F32, BF16, F16, F64", r->path, t->name, dtype_name(t->type));
}

static bool is_table(const char *name) { return strncmp(name, "dreamo_", 7) == 0 && strstr(name, "_embedding.weight") != NULL; }

/* ---- keys to groups ---- */

static dreamo_status split_keys(reader *r, dreamo_error *err)
{
    r->keys = mem_calloc((size_t)r->file.ntensors + 1, sizeof *r->keys);
    r->groups = mem_calloc((size_t)r->file.ntensors + 1, sizeof *r->groups);
    if (!r->keys || !r->groups) return fail(err, DREAMO_MEMORY, "%s: no memory for %d keys", r->path, r->file.ntensors);
    for (int i = 0; i < r->file.ntensors; i++) {
        const st_tensor *t = &r->file.tensors[i];
        if (is_table(t->name)) continue;
        key k = { .t = t };
        k.role = lora_split_key(t->name, &k.stem);
        if (k.role == LORA_OTHER) note_unmatched(r, t->name);
        else if (k.role == LORA_DORA) r->dora = true;
        else r->keys[r->nkeys++] = k;
    }
    qsort(r->keys, (size_t)r->nkeys, sizeof *r->keys, by_stem);
    return DREAMO_OK;
}

static bool same_stem(const key *a, const key *b) { return a->stem == b->stem && memcmp(a->t->name, b->t->name, a->stem) == 0; }

/* Keys [from, to) share a stem. */
static dreamo_status add_group(reader *r, int from, int to, dreamo_error *err)
{
    char stem[256];
    group g = { .name = r->keys[from].t->name, .stem = r->keys[from].stem, .alpha_value = NAN };
    if (g.stem < sizeof stem) {
        memcpy(stem, g.name, g.stem);
        stem[g.stem] = '\0';
    }
    lora_found found = g.stem < sizeof stem ? lora_find(r->m, stem, &g.target) : LORA_UNKNOWN;
    if (found == LORA_NO_BLOCK)
        return fail(err, DREAMO_MISMATCH, "%s: %s is for a larger model; this one has %d double and %d single blocks", r->path,
                    stem, r->m->config.layers, r->m->config.single_layers);
    for (int i = from; i < to; i++) {
        const key *k = &r->keys[i];
        if (found == LORA_UNKNOWN) {
            note_unmatched(r, k->t->name);
            continue;
        }
        const st_tensor **place = k->role == LORA_A ? &g.a : k->role == LORA_B ? &g.b : &g.alpha;
        if (*place) return fail(err, DREAMO_FORMAT, "%s: %s and %s say the same thing", r->path, (*place)->name, k->t->name);
        *place = k->t;
    }
    if (found == LORA_UNKNOWN) return DREAMO_OK;
    if (!g.a || !g.b) return fail(err, DREAMO_FORMAT, "%s: %s has no matrix %s", r->path, stem, g.a ? "B (up)" : "A (down)");
    r->groups[r->ngroups++] = g;
    return DREAMO_OK;
}

static dreamo_status group_keys(reader *r, dreamo_error *err)
{
    for (int from = 0, to; from < r->nkeys; from = to) {
        for (to = from + 1; to < r->nkeys && same_stem(&r->keys[from], &r->keys[to]); to++) {}
        dreamo_status s = add_group(r, from, to, err);
        if (s != DREAMO_OK) return s;
    }
    qsort(r->groups, (size_t)r->ngroups, sizeof *r->groups, by_place);
    return DREAMO_OK;
}

/* ---- checks and scales ---- */

static bool matrix(const st_tensor *t, int64_t *rows, int64_t *cols)
{
    for (int i = 2; i < t->rank; i++)
        if (t->shape[i] != 1) return false; /* 1x1 convolutions are matrices */
    if (t->rank < 2) return false;
    *rows = t->shape[0];
    *cols = t->shape[1];
    return true;
}

static dreamo_status check_group(const reader *r, group *g, dreamo_error *err)
{
    const lora_target *t = &g->target;
    int64_t rank = 0, in = 0, out = 0, rank_b = 0;
    int n = (int)g->stem;
    if (!is_float(g->a->type)) return wrong_type(r, g->a, err);
    if (!is_float(g->b->type)) return wrong_type(r, g->b, err);
    if (!matrix(g->a, &rank, &in) || !matrix(g->b, &out, &rank_b))
        return fail(err, DREAMO_FORMAT, "%s: %.*s: A and B must be matrices", r->path, n, g->name);
    if (rank != rank_b)
        return fail(err, DREAMO_FORMAT, "%s: %.*s: A has rank %lld, B has rank %lld", r->path, n, g->name, (long long)rank,
                    (long long)rank_b);
    if (rank < 1 || rank > RANK_MAX)
        return fail(err, DREAMO_FORMAT, "%s: %.*s has rank %lld, allowed is 1 to %d", r->path, n, g->name, (long long)rank, RANK_MAX);
    if (in != t->w->in || out != t->rows)
        return fail(err, DREAMO_MISMATCH, "%s: %.*s adapts a layer of %lld x %lld, this model's is %d x %d", r->path, n, g->name,
                    (long long)out, (long long)in, t->rows, t->w->in);
    if (!g->alpha) return DREAMO_OK;
    if (!is_float(g->alpha->type)) return wrong_type(r, g->alpha, err);
    if (g->alpha->count != 1) return fail(err, DREAMO_FORMAT, "%s: %s must be one number", r->path, g->alpha->name);
    dtype_to_f32(g->alpha->type, g->alpha->data, 1, &g->alpha_value);
    if (isfinite(g->alpha_value)) return DREAMO_OK;
    return fail(err, DREAMO_FORMAT, "%s: %s is %f, it must be a finite number", r->path, g->alpha->name, (double)g->alpha_value);
}

static int rank_of(const group *g) { return (int)g->a->shape[0]; }

/* The alpha that most modules have; the first of them in a tie. */
static float common_alpha(const reader *r)
{
    float best = NAN;
    int most = 0;
    for (int i = 0; i < r->ngroups; i++) {
        int count = 0;
        if (!r->groups[i].target.diffusers || isnan(r->groups[i].alpha_value)) continue;
        for (int j = i; j < r->ngroups; j++)
            count += r->groups[j].target.diffusers && r->groups[j].alpha_value == r->groups[i].alpha_value;
        if (count > most) {
            most = count;
            best = r->groups[i].alpha_value;
        }
    }
    return best;
}

/* Alpha of modules that have none.  In kohya's, BFL's and xlabs' naming: the rank, so that the scale is 1.  In diffusers' naming
 * the library gives the whole file one alpha: the most common, or without any alpha the rank of the first module, also to
 * modules of another rank (spec 2.9). */
static void fill_alphas(reader *r)
{
    float common = common_alpha(r);
    const group *first = NULL;
    for (int i = 0; i < r->ngroups && !first; i++)
        if (r->groups[i].target.diffusers) first = &r->groups[i];
    for (int i = 0; i < r->ngroups; i++) {
        group *g = &r->groups[i];
        if (!isnan(g->alpha_value)) continue;
        g->alpha_value = !g->target.diffusers ? (float)rank_of(g) : !isnan(common) ? common : (float)rank_of(first);
    }
}

/* ---- groups to modules ---- */

static dreamo_status allot(reader *r, lora_file *out, dreamo_error *err)
{
    size_t values = 0, names = 0;
    bool fits = true;
    for (int i = 0; i < r->ngroups; i++) {
        const group *g = &r->groups[i];
        fits = fits && add_nbytes(values, g->a->count, &values) && add_nbytes(values, g->b->count, &values);
        names += strlen(g->a->name) + strlen(g->b->name) + g->stem + 3;
    }
    fits = fits && mul_nbytes(values, sizeof(float), &values);
    out->modules = mem_calloc((size_t)r->ngroups + 1, sizeof *out->modules);
    out->values = fits ? mem_alloc(values) : NULL;
    out->names = mem_alloc(names);
    if (out->modules && out->values && out->names) return DREAMO_OK;
    return fail(err, DREAMO_MEMORY, "%s: no memory for %zu bytes of LoRA", r->path, values);
}

/* [2h, rank]: the upper h rows change places with the lower. */
static void swap_halves(float *B, int rows, int rank)
{
    size_t half = (size_t)(rows / 2) * (size_t)rank;
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

static void fill_modules(const reader *r, lora_file *out)
{
    float *v = out->values;
    char *names = out->names;
    for (int i = 0; i < r->ngroups; i++) {
        const group *g = &r->groups[i];
        lora_module *m = &out->modules[i];
        float *A = v, *B = v + g->a->count;
        v = B + g->b->count;
        dtype_to_f32(g->a->type, g->a->data, g->a->count, A);
        dtype_to_f32(g->b->type, g->b->data, g->b->count, B);
        if (g->target.swapped) swap_halves(B, g->target.rows, rank_of(g));
        m->w = g->target.w;
        m->stem = (char *)keep(&names, g->name, g->stem);
        m->suffix_A = keep(&names, g->a->name + g->stem, strlen(g->a->name + g->stem));
        m->suffix_B = keep(&names, g->b->name + g->stem, strlen(g->b->name + g->stem));
        m->a = (adapter){ .row0 = g->target.row0, .rows = g->target.rows, .rank = rank_of(g), .A = A, .B = B,
                          .scale = out->scale * g->alpha_value / (float)rank_of(g) };
    }
    out->nmodules = r->ngroups;
}

static dreamo_status finish(reader *r, lora_file *out, dreamo_error *err)
{
    if (r->ngroups == 0 && !out->tables.task && !out->tables.t5)
        return fail(err, DREAMO_MISMATCH, "%s: none of its %d tensors belongs to this model (%s%s)", r->path, r->file.ntensors,
                    r->unmatched, r->nunmatched > 5 ? ", ..." : "");
    char leftover[480] = "", more[40] = "";
    if (r->nunmatched > 5) snprintf(more, sizeof more, " and %d more", r->nunmatched - 5);
    if (r->nunmatched)
        snprintf(leftover, sizeof leftover, "%d tensors match nothing in this model and are not used: %s%s%s", r->nunmatched, r->unmatched,
                 more, r->dora ? "; " : "");
    if (!r->nunmatched && !r->dora) return DREAMO_OK;
    out->warning = mem_printf("%s: %s%s", r->path, leftover, r->dora ? "DoRA vectors are dropped, the rest is used as a plain LoRA" : "");
    return out->warning ? DREAMO_OK : fail(err, DREAMO_MEMORY, "%s: no memory for a warning", r->path);
}

static dreamo_status read_all(reader *r, int text_width, lora_file *out, dreamo_error *err)
{
    const st_set set = { .nfiles = 1, .files = &r->file };
    dreamo_status s = tables_read(&set, r->path, r->m, text_width, &out->tables, err);
    if (s == DREAMO_OK) s = split_keys(r, err);
    if (s == DREAMO_OK) s = group_keys(r, err);
    for (int i = 0; s == DREAMO_OK && i < r->ngroups; i++) s = check_group(r, &r->groups[i], err);
    if (s == DREAMO_OK) fill_alphas(r);
    if (s == DREAMO_OK) s = allot(r, out, err);
    if (s == DREAMO_OK) fill_modules(r, out);
    if (s == DREAMO_OK) s = finish(r, out, err);
    return s;
}

dreamo_status lora_open(const char *path, float scale, dit *m, int text_width, lora_file *out, dreamo_error *err)
{
    *out = (lora_file){ .scale = scale };
    if (!isfinite(scale)) return fail(err, DREAMO_ARG, "%s: scale %f is not a finite number", path, (double)scale);
    reader r = { .path = path, .m = m };
    dreamo_status s = st_open(path, &r.file, err);
    if (s == DREAMO_OK) {
        out->path = mem_strdup(path);
        if (!out->path) s = fail(err, DREAMO_MEMORY, "%s: no memory for its name", path);
    }
    if (s == DREAMO_OK) s = read_all(&r, text_width, out, err);
    if (s == DREAMO_OK) sha256_hex(r.file.map.data, r.file.map.nbytes, out->sha256);
    mem_free(r.keys);
    mem_free(r.groups);
    st_close(&r.file);
    if (s != DREAMO_OK) lora_close(out);
    return s;
}

void lora_close(lora_file *f)
{
    mem_free(f->path);
    mem_free(f->modules);
    mem_free(f->values);
    mem_free(f->names);
    tables_free(&f->tables);
    mem_free(f->warning);
    *f = (lora_file){ 0 };
}

/* ---- weights' lists ---- */

void lora_attach(lora_file *f)
{
    for (int i = 0; i < f->nmodules; i++) {
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
