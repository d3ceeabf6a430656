/* write.c - the layers of a naming, and what of a LoRA falls into each. */
#include "weights/lora/write.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "format/safetensors.h"
#include "weights/flux_names.h"

/* DreamO's names; rows 3: q, k, v of a single block's four. */
static const struct { flux_scope where; const char *name; size_t member; int thirds; } dreamo_names[] = {
    { FLUX_DOUBLE, "processor_qkv_lora1", offsetof(dit_double, img.qkv), 0 },
    { FLUX_DOUBLE, "processor_proj_lora1", offsetof(dit_double, img.proj), 0 },
    { FLUX_DOUBLE, "processor_qkv_lora2", offsetof(dit_double, txt.qkv), 0 },
    { FLUX_DOUBLE, "processor_proj_lora2", offsetof(dit_double, txt.proj), 0 },
    { FLUX_SINGLE, "processor_qkv_lora", offsetof(dit_single, in), 3 },
    { FLUX_SINGLE, "processor_proj_lora", offsetof(dit_single, out), 0 },
};
enum { DREAMO_NAMES = sizeof dreamo_names / sizeof *dreamo_names };

static const struct { const char *word, *down, *up, *alpha; } namings[] = {
    [NAMING_DREAMO] = { "dreamo", ".down.weight", ".up.weight", NULL },
    [NAMING_DIFFUSERS] = { "diffusers", ".lora_A.weight", ".lora_B.weight", ".alpha" },
    [NAMING_KOHYA] = { "kohya", ".lora_down.weight", ".lora_up.weight", ".alpha" },
    [NAMING_EMBEDDING] = { "embedding", "", "", NULL },
};

int lora_naming_from(const char *word)
{
    for (int i = 0; i < (int)(sizeof namings / sizeof *namings); i++)
        if (strcmp(namings[i].word, word) == 0) return i;
    return -1;
}

/* ---- layers ---- */

/* What a name of the file adapts. */
typedef struct layer { weight *w; int row0, rows; bool swapped; char stem[128]; } layer;

typedef struct layers { layer *list; int n, room; } layers;

static bool add_layer(layers *l, const layer *one)
{
    if (l->n == l->room) {
        int room = l->room ? 2 * l->room : 256;
        layer *more = mem_realloc(l->list, (size_t)room * sizeof *more);
        if (!more) return false;
        l->list = more;
        l->room = room;
    }
    l->list[l->n++] = *one;
    return true;
}

static weight *member_of(dit *m, flux_scope where, int block, size_t member)
{
    char *owner = where == FLUX_DOUBLE ? (char *)&m->doubles[block] : where == FLUX_SINGLE ? (char *)&m->singles[block] : (char *)m;
    return (weight *)(void *)(owner + member);
}

static int blocks_of(const dit *m, flux_scope where)
{
    return where == FLUX_DOUBLE ? m->config.layers : where == FLUX_SINGLE ? m->config.single_layers : 1;
}

static void underscores(char *s)
{
    for (; *s; s++)
        if (*s == '.') *s = '_';
}

static bool add_dreamo(layers *l, dit *m, flux_scope where, int block)
{
    bool ok = true;
    for (int i = 0; i < DREAMO_NAMES && ok; i++) {
        if (dreamo_names[i].where != where) continue;
        layer one = { .w = member_of(m, where, block, dreamo_names[i].member) };
        one.rows = dreamo_names[i].thirds ? dreamo_names[i].thirds * m->config.heads * m->config.head_dim : one.w->out;
        snprintf(one.stem, sizeof one.stem, "%s_blocks_%d_%s", where == FLUX_DOUBLE ? "double" : "single", block, dreamo_names[i].name);
        ok = add_layer(l, &one);
    }
    return ok;
}

static bool add_diffusers(layers *l, dit *m, flux_scope where, int block)
{
    static const char *const scopes[] = { "", "transformer_blocks.%d.", "single_transformer_blocks.%d." };
    int width = m->config.heads * m->config.head_dim;
    bool ok = true;
    for (const flux_name *n = flux_names; n->ours && ok; n++) {
        char scope[64] = "";
        if (n->where != where || n->member == FLUX_VECTOR) continue;
        layer one = { .w = member_of(m, where, block, n->member) };
        bool third = n->rows == FLUX_Q || n->rows == FLUX_K || n->rows == FLUX_V;
        one.row0 = n->rows == FLUX_K ? width : n->rows == FLUX_V ? 2 * width : n->rows == FLUX_MLP ? 3 * width : 0;
        one.rows = third ? width : one.w->out - one.row0;
        if (where != FLUX_OUTER) snprintf(scope, sizeof scope, scopes[where], block);
        snprintf(one.stem, sizeof one.stem, "transformer.%s%s", scope, n->ours);
        ok = add_layer(l, &one);
    }
    return ok;
}

static bool add_kohya(layers *l, dit *m, flux_scope where, int block)
{
    static const char *const scopes[] = { "", "double_blocks_%d_", "single_blocks_%d_" };
    bool ok = true;
    for (const flux_name *n = flux_names; n->ours && ok; n++) {
        char scope[64] = "";
        bool first = n->rows == FLUX_WHOLE || n->rows == FLUX_SWAPPED || n->rows == FLUX_Q; /* of those that are one layer there */
        if (n->where != where || n->member == FLUX_VECTOR || !first) continue;
        layer one = { .w = member_of(m, where, block, n->member), .swapped = n->rows == FLUX_SWAPPED };
        one.rows = one.w->out;
        if (where != FLUX_OUTER) snprintf(scope, sizeof scope, scopes[where], block);
        snprintf(one.stem, sizeof one.stem, "lora_unet_%s%s", scope, n->theirs);
        underscores(one.stem);
        ok = add_layer(l, &one);
    }
    return ok;
}

static bool list_layers(layers *l, dit *m, lora_naming naming)
{
    bool ok = true;
    for (int where = FLUX_OUTER; where <= FLUX_SINGLE && ok; where++)
        for (int block = 0; block < blocks_of(m, (flux_scope)where) && ok; block++)
            ok = naming == NAMING_DREAMO      ? add_dreamo(l, m, (flux_scope)where, block)
                 : naming == NAMING_DIFFUSERS ? add_diffusers(l, m, (flux_scope)where, block)
                                              : add_kohya(l, m, (flux_scope)where, block);
    return ok;
}

/* ---- what falls into a layer ---- */

static bool zero(const float *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (x[i] != 0) return false;
    return true;
}

/* The module's rows [from, to) that lie in the layer and are not all zero; false: none. */
static bool falls(const lora_module *m, const layer *l, int *from, int *to)
{
    if (m->w != l->w) return false;
    *from = l->row0 > m->a.row0 ? l->row0 : m->a.row0;
    *to = l->row0 + l->rows < m->a.row0 + m->a.rows ? l->row0 + l->rows : m->a.row0 + m->a.rows;
    if (*from >= *to) return false;
    return !zero(m->a.B + (size_t)(*from - m->a.row0) * (size_t)m->a.rank, (size_t)(*to - *from) * (size_t)m->a.rank);
}

static bool same_A(const lora_module *a, const lora_module *b)
{
    return a->a.rank == b->a.rank && a->w == b->w &&
           memcmp(a->a.A, b->a.A, (size_t)a->a.rank * (size_t)a->w->in * sizeof(float)) == 0;
}

/* Every row that the LoRA changes has a name. */
static dreamo_status check_named(const lora_file *f, const layers *l, lora_naming naming, dreamo_error *err)
{
    for (int i = 0; i < f->nmodules; i++) {
        const lora_module *m = &f->modules[i];
        for (int r = 0; r < m->a.rows; r++) {
            bool named = zero(m->a.B + (size_t)r * (size_t)m->a.rank, (size_t)m->a.rank);
            for (int k = 0; k < l->n && !named; k++) {
                const layer *one = &l->list[k];
                named = one->w == m->w && r + m->a.row0 >= one->row0 && r + m->a.row0 < one->row0 + one->rows;
                if (named && one->row0 + one->rows - m->a.row0 - 1 > r) r = one->row0 + one->rows - m->a.row0 - 1; /* so have these */
            }
            if (!named)
                return fail(err, DREAMO_MISMATCH, "%s: %s adapts a layer that the %s naming has no name for", f->path, m->stem, namings[naming].word);
        }
    }
    return DREAMO_OK;
}

/* ---- building ---- */

typedef struct output {
    st_tensor *t;
    char (*names)[192];
    int n, room;
    float **made;          /* what was made for it; freed at the end */
    int nmade;
} output;

static void add_tensor(output *o, const char *stem, const char *suffix, int rank, int64_t rows, int64_t cols, const float *data)
{
    snprintf(o->names[o->n], sizeof *o->names, "%s%s", stem, suffix);
    o->t[o->n] = (st_tensor){ .name = o->names[o->n], .type = DT_F32, .rank = rank, .shape = { rows, cols },
                              .count = (size_t)(rank ? rows * cols : 1), .data = data };
    o->n++;
}

static float *make(output *o, size_t n)
{
    float *x = mem_calloc(n, sizeof *x);
    if (x) o->made[o->nmade++] = x;
    return x;
}

/* Halves of the rows change places: BFL's order of norm_out (spec 1.3). */
static void swap_halves(float *B, int rows, int rank)
{
    size_t half = (size_t)(rows / 2) * (size_t)rank;
    for (size_t i = 0; i < half; i++) {
        float t = B[i];
        B[i] = B[half + i];
        B[half + i] = t;
    }
}

/* Modules with the same A share its rows in the result. */
static dreamo_status build_layer(output *o, const lora_file *f, const layer *l, lora_naming naming, dreamo_error *err)
{
    int from, to, rank = 0, nparts = 0, in = l->w->in;
    struct { const lora_module *m; int at; } part[16];
    float scale = 1;
    bool one_scale = true;
    for (int i = 0; i < f->nmodules; i++) {
        const lora_module *m = &f->modules[i];
        if (!falls(m, l, &from, &to)) continue;
        if (nparts == 16) return fail(err, DREAMO_LIMIT, "%s: more than 16 matrices for %s", f->path, l->stem);
        int shared = -1;
        for (int k = 0; k < nparts && shared < 0; k++)
            if (same_A(part[k].m, m) && part[k].m->a.scale == m->a.scale) shared = part[k].at;
        if (nparts == 0) scale = m->a.scale;
        one_scale = one_scale && scale == m->a.scale;
        part[nparts].m = m;
        part[nparts++].at = shared >= 0 ? shared : rank;
        if (shared < 0) rank += m->a.rank;
    }
    if (!nparts) return DREAMO_OK;
    bool fold = !namings[naming].alpha || !one_scale; /* the scale into B */
    float *A = make(o, (size_t)rank * (size_t)in), *B = make(o, (size_t)l->rows * (size_t)rank), *alpha = make(o, 1);
    if (!A || !B || !alpha) return fail(err, DREAMO_MEMORY, "%s: no memory for %s", f->path, l->stem);
    for (int k = 0; k < nparts; k++) {
        const lora_module *m = part[k].m;
        memcpy(A + (size_t)part[k].at * (size_t)in, m->a.A, (size_t)m->a.rank * (size_t)in * sizeof *A);
        falls(m, l, &from, &to);
        for (int r = from; r < to; r++)
            for (int c = 0; c < m->a.rank; c++)
                B[(size_t)(r - l->row0) * (size_t)rank + (size_t)(part[k].at + c)] +=
                    m->a.B[(size_t)(r - m->a.row0) * (size_t)m->a.rank + (size_t)c] * (fold ? m->a.scale : 1);
    }
    if (l->swapped) swap_halves(B, l->rows, rank);
    *alpha = (fold ? 1 : scale) * (float)rank;
    add_tensor(o, l->stem, namings[naming].down, 2, rank, in, A);
    add_tensor(o, l->stem, namings[naming].up, 2, l->rows, rank, B);
    if (namings[naming].alpha) add_tensor(o, l->stem, namings[naming].alpha, 0, 1, 1, alpha);
    return DREAMO_OK;
}

static void add_tables(output *o, const dreamo_tables *t)
{
    if (t->task) add_tensor(o, tables_names[0], "", 2, 2, t->width, t->task);
    if (t->idx) add_tensor(o, tables_names[1], "", 2, t->nslots, t->width, t->idx);
    if (t->t5) add_tensor(o, tables_names[2], "", 2, DREAMO_T5_ROWS, t->text_width, t->t5);
}

/* PEFT's files need alphas only where ranks differ (the library takes the first rank for all) or a scale is not 1. */
static void drop_alphas(output *o)
{
    int kept = 0;
    bool plain = true;
    for (int i = 0; i + 2 < o->n && plain; i += 3)
        plain = o->t[i].shape[0] == o->t[0].shape[0] && *(const float *)o->t[i + 2].data == (float)o->t[i].shape[0];
    for (int i = 0; i < o->n && plain; i++)
        if (i % 3 < 2) o->t[kept++] = o->t[i];
    if (plain) o->n = kept;
}

/* bf16 where every number is one: half the bytes, the same numbers. */
static dreamo_status write_exact(const char *path, output *o, dreamo_error *err)
{
    bool half = true;
    for (int i = 0; i < o->n && half; i++)
        for (size_t k = 0; k < o->t[i].count && half; k++) {
            uint32_t bits;
            memcpy(&bits, (const float *)o->t[i].data + k, sizeof bits);
            half = (bits & 0xffff) == 0;
        }
    for (int i = 0; i < o->n; i++) {
        st_tensor *t = &o->t[i];
        t->type = half ? DT_BF16 : DT_F32;
        t->nbytes = t->count * dtype_nbytes(t->type);
        if (!half) continue;
        void *bytes = make(o, (t->count + 1) / 2);
        if (!bytes) return fail(err, DREAMO_MEMORY, "%s: no memory", path);
        dtype_from_f32(DT_BF16, t->data, t->count, bytes);
        t->data = bytes;
    }
    return st_write(path, o->t, o->n, NULL, 0, err);
}

dreamo_status lora_write(const char *path, const lora_file *f, dit *m, lora_naming naming, dreamo_error *err)
{
    layers l = { 0 };
    bool tables = naming == NAMING_DREAMO || naming == NAMING_EMBEDDING;
    dreamo_status s = naming == NAMING_EMBEDDING || list_layers(&l, m, naming) ? DREAMO_OK : fail(err, DREAMO_MEMORY, "%s: no memory", path);
    output o = { .room = 3 * l.n + 3 };
    o.t = mem_calloc((size_t)o.room, sizeof *o.t);
    o.names = mem_calloc((size_t)o.room, sizeof *o.names);
    o.made = mem_calloc(2 * (size_t)o.room, sizeof *o.made);
    if (!s && (!o.t || !o.names || !o.made)) s = fail(err, DREAMO_MEMORY, "%s: no memory", path);
    if (!s && naming != NAMING_EMBEDDING) s = check_named(f, &l, naming, err);
    for (int i = 0; i < l.n && !s; i++) s = build_layer(&o, f, &l.list[i], naming, err);
    if (!s && naming == NAMING_DIFFUSERS) drop_alphas(&o);
    if (!s && tables) add_tables(&o, &f->tables);
    if (!s && !o.n) s = fail(err, DREAMO_MISMATCH, "%s: holds nothing that the %s naming has names for", f->path, namings[naming].word);
    if (!s) s = write_exact(path, &o, err);
    for (int i = 0; i < o.nmade; i++) mem_free(o.made[i]);
    mem_free(o.made);
    mem_free(o.names);
    mem_free(o.t);
    mem_free(l.list);
    return s;
}
