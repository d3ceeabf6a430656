/* group.c - an adapter file's keys (spec 2.8, 2.9).
 *
 * Keys are grouped by stem; each stem is looked up in the tables of names, and what it holds says the method.  Refused: matrices without their partners,
 * ranks that differ, rank 0 (DREAMO_FORMAT); shapes or blocks that this model does not have (DREAMO_MISMATCH); methods that are not known, by name. */
#include "weights/lora/group.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

enum { RANK_MAX = 65536, BLOCK_MAX = 4096 };

static int by_stem(const void *x, const void *y)
{
    const lora_key *a = x, *b = y;
    int c = memcmp(a->t->name, b->t->name, a->stem < b->stem ? a->stem : b->stem);
    if (c) return c;
    if (a->stem != b->stem) return a->stem < b->stem ? -1 : 1;
    return a->role != b->role ? (a->role < b->role ? -1 : 1) : strcmp(a->t->name, b->t->name);
}

static const st_tensor *first_of(const lora_group *g)
{
    for (int i = 0; i < LORA_ROLES; i++)
        if (g->t[i]) return g->t[i];
    return NULL;
}

/* Groups in the order in which the file stores them: the trainer's files keep it. */
static int by_place(const void *x, const void *y)
{
    const lora_group *a = x, *b = y;
    const char *p = (a->t[LORA_B] ? a->t[LORA_B] : first_of(a))->data, *q = (b->t[LORA_B] ? b->t[LORA_B] : first_of(b))->data;
    return p < q ? -1 : p > q;
}

static void note(lora_leftover *l, const char *name)
{
    if (l->n++ >= 5) return;
    size_t n = strlen(l->names);
    snprintf(l->names + n, sizeof l->names - n, "%s%.70s", n ? ", " : "", name);
}

static bool is_float(dtype t) { return t == DT_F64 || (dtype_is_weight(t) && dtype_block(t) == 1); }

static dreamo_status wrong_type(const lora_reader *r, const st_tensor *t, dreamo_error *err)
{
    return fail(err, DREAMO_FORMAT, "%s: %s has type %s, allowed are F32, BF16, F16, F64, fp8", r->path, t->name, dtype_name(t->type));
}

static bool is_table(const char *name) { return strncmp(name, "dreamo_", 7) == 0 && strstr(name, "_embedding.weight") != NULL; }

/* ---- keys to groups ---- */

static dreamo_status split_keys(lora_reader *r, dreamo_error *err)
{
    r->keys = mem_calloc((size_t)r->file.ntensors + 1, sizeof *r->keys);
    r->groups = mem_calloc((size_t)r->file.ntensors + 1, sizeof *r->groups);
    if (!r->keys || !r->groups) return fail(err, DREAMO_MEMORY, "%s: no memory for %d keys", r->path, r->file.ntensors);
    for (int i = 0; i < r->file.ntensors; i++) {
        const st_tensor *t = &r->file.tensors[i];
        const char *method = lora_foreign_key(t->name);
        if (is_table(t->name)) continue;
        if (method) {
            fail(err, DREAMO_FORMAT, "%s: holds %s (%.100s), which is not applied here", r->path, method, t->name);
            return hint(err, "LoRA, LoKr, LoHa, OFT, DoRA and plain differences are");
        }
        lora_key k = { .t = t };
        k.role = lora_split_key(t->name, &k.stem);
        if (k.role == LORA_OTHER) note(&r->unmatched, t->name);
        else r->keys[r->nkeys++] = k;
    }
    qsort(r->keys, (size_t)r->nkeys, sizeof *r->keys, by_stem);
    return DREAMO_OK;
}

static bool same_stem(const lora_key *a, const lora_key *b) { return a->stem == b->stem && memcmp(a->t->name, b->t->name, a->stem) == 0; }

static bool has(const lora_group *g, lora_role first, lora_role last)
{
    for (int i = (int)first; i <= (int)last; i++)
        if (g->t[i]) return true;
    return false;
}

static dreamo_status no_matrix(const lora_reader *r, const lora_group *g, const char *what, dreamo_error *err)
{
    return fail(err, DREAMO_FORMAT, "%s: %.*s has no matrix %s", r->path, (int)g->stem, g->name, what);
}

/* What the tensors together are; each of them has its partner. */
static dreamo_status find_method(const lora_reader *r, lora_group *g, dreamo_error *err)
{
    const st_tensor *const *t = g->t;
    const bool is[METHODS] = { [LORA] = has(g, LORA_A, LORA_B_BIAS), [LOKR] = has(g, LOKR_W1, LOKR_W2_B), [LOHA] = has(g, LOHA_W1_A, LOHA_W2_B),
                               [OFT] = has(g, OFT_BLOCKS, OFT_RESCALE), [PEFT_OFT] = has(g, OFT_R, OFT_S), [DIFFERENCE] = t[LORA_DIFF] };
    int n = 0;
    g->method = BIAS_ONLY;
    for (int i = 0; i < METHODS; i++)
        if (is[i]) g->method = (lora_method)i, n++;
    if (n > 1) return fail(err, DREAMO_FORMAT, "%s: %.*s is changed by two methods at once", r->path, (int)g->stem, g->name);
    if (n == 0 && (!t[LORA_DIFF_BIAS] || t[LORA_MAGNITUDE])) return no_matrix(r, g, "A (down)", err);
    if (g->method == LORA && (!t[LORA_A] || !t[LORA_B])) return no_matrix(r, g, t[LORA_A] ? "B (up)" : "A (down)", err);
    if (g->method == LOKR && !t[LOKR_W1] && (!t[LOKR_W1_A] || !t[LOKR_W1_B])) return no_matrix(r, g, "lokr_w1", err);
    if (g->method == LOKR && !t[LOKR_W2] && (!t[LOKR_W2_A] || !t[LOKR_W2_B])) return no_matrix(r, g, "lokr_w2", err);
    for (int i = LOHA_W1_A; g->method == LOHA && i <= LOHA_W2_B; i++)
        if (!t[i]) return no_matrix(r, g, "of the four hada_w1_a, hada_w1_b, hada_w2_a, hada_w2_b", err);
    if (g->method == OFT && !t[OFT_BLOCKS]) return no_matrix(r, g, "oft_blocks", err);
    if (g->method == PEFT_OFT && !t[OFT_R]) return no_matrix(r, g, "oft_r", err);
    return DREAMO_OK;
}

/* Which layer, of which network. */
static lora_found find_target(const lora_reader *r, const char *stem, lora_target *out)
{
    lora_found found = lora_find(r->to.dit, stem, out);
    return found == LORA_UNKNOWN ? lora_find_text(r->to.clip, r->to.t5, stem, out) : found;
}

/* Keys [from, to) share a stem. */
static dreamo_status add_group(lora_reader *r, int from, int to, dreamo_error *err)
{
    char stem[256];
    lora_group g = { .name = r->keys[from].t->name, .stem = r->keys[from].stem, .alpha = NAN };
    snprintf(stem, sizeof stem, "%.*s", (int)(g.stem < sizeof stem ? g.stem : 0), g.name);
    lora_found found = find_target(r, stem, &g.target);
    if (found == LORA_NO_BLOCK)
        return fail(err, DREAMO_MISMATCH, "%s: %s is for a larger model; this one has %d double and %d single blocks", r->path,
                    stem, r->to.dit->config.layers, r->to.dit->config.single_layers);
    for (int i = from; i < to; i++) {
        const lora_key *k = &r->keys[i];
        if (found == LORA_UNKNOWN) {
            note(lora_is_text(stem) && !(r->to.clip && r->to.t5) ? &r->text : &r->unmatched, k->t->name);
            continue;
        }
        if (!is_float(k->t->type)) return wrong_type(r, k->t, err);
        const st_tensor **place = &g.t[k->role];
        if (*place) return fail(err, DREAMO_FORMAT, "%s: %s and %s say the same thing", r->path, (*place)->name, k->t->name);
        *place = k->t;
    }
    if (found == LORA_UNKNOWN) return DREAMO_OK;
    dreamo_status s = find_method(r, &g, err);
    if (s == DREAMO_OK) r->groups[r->ngroups++] = g;
    return s;
}

static dreamo_status group_keys(lora_reader *r, dreamo_error *err)
{
    for (int from = 0, to; from < r->nkeys; from = to) {
        for (to = from + 1; to < r->nkeys && same_stem(&r->keys[from], &r->keys[to]); to++) {}
        dreamo_status s = add_group(r, from, to, err);
        if (s != DREAMO_OK) return s;
    }
    qsort(r->groups, (size_t)r->ngroups, sizeof *r->groups, by_place);
    return DREAMO_OK;
}

/* ---- shapes ---- */

static bool matrix(const st_tensor *t, int64_t *rows, int64_t *cols)
{
    for (int i = 2; i < t->rank; i++)
        if (t->shape[i] != 1) return false; /* 1x1 convolutions are matrices */
    if (t->rank < 2) return false;
    *rows = t->shape[0];
    *cols = t->shape[1];
    return true;
}

static dreamo_status misfit(const lora_reader *r, const lora_group *g, int64_t out, int64_t in, dreamo_error *err)
{
    return fail(err, DREAMO_MISMATCH, "%s: %.*s adapts a layer of %lld x %lld, this model's is %d x %d", r->path, (int)g->stem, g->name, (long long)out,
                (long long)in, g->target.rows, g->target.w->in);
}

/* The product of two thin matrices: left [*out, rank], right [rank, *in]. */
static dreamo_status check_product(const lora_reader *r, const lora_group *g, lora_role left, lora_role right, int64_t *out, int64_t *in, int *rank, dreamo_error *err)
{
    int64_t rank_left = 0, rank_right = 0;
    int n = (int)g->stem;
    if (!matrix(g->t[left], out, &rank_left) || !matrix(g->t[right], &rank_right, in))
        return fail(err, DREAMO_FORMAT, "%s: %.*s: A and B must be matrices", r->path, n, g->name);
    if (rank_left != rank_right)
        return fail(err, DREAMO_FORMAT, "%s: %.*s: A has rank %lld, B has rank %lld", r->path, n, g->name, (long long)rank_right, (long long)rank_left);
    if (rank_left < 1 || rank_left > RANK_MAX)
        return fail(err, DREAMO_FORMAT, "%s: %.*s has rank %lld, allowed is 1 to %d", r->path, n, g->name, (long long)rank_left, RANK_MAX);
    *rank = (int)rank_left;
    return DREAMO_OK;
}

/* One factor of a LoKr: whole, or a product. */
static dreamo_status check_factor(const lora_reader *r, lora_group *g, lora_role whole, int64_t *out, int64_t *in, dreamo_error *err)
{
    dreamo_status s = g->t[whole] ? DREAMO_OK : check_product(r, g, whole + 1, whole + 2, out, in, &g->rank, err);
    if (s != DREAMO_OK || ((!g->t[whole] || matrix(g->t[whole], out, in)) && *out > 0 && *in > 0)) return s;
    return fail(err, DREAMO_FORMAT, "%s: %.*s: its factors must be matrices", r->path, (int)g->stem, g->name);
}

/* Blocks of b x b that turn `n` rows or columns. */
static dreamo_status check_blocks(const lora_reader *r, const lora_group *g, const st_tensor *t, int64_t n, bool may_share, dreamo_error *err)
{
    if (t->rank == 4) {
        fail(err, DREAMO_FORMAT, "%s: %.*s is BOFT, which is not applied here", r->path, (int)g->stem, g->name);
        return hint(err, "LoRA, LoKr, LoHa, OFT, DoRA and plain differences are");
    }
    if (t->rank != 3 || t->shape[1] != t->shape[2] || t->shape[1] < 1 || t->shape[1] > BLOCK_MAX || t->shape[0] < 1)
        return fail(err, DREAMO_FORMAT, "%s: %s must be square blocks of at most %d", r->path, t->name, BLOCK_MAX);
    bool shared = may_share && t->shape[0] == 1 && n % t->shape[1] == 0;
    if (shared || t->shape[0] * t->shape[1] == n) return DREAMO_OK;
    return fail(err, DREAMO_MISMATCH, "%s: %.*s turns %lld rows or columns, this model's layer has %lld", r->path, (int)g->stem, g->name,
                (long long)(t->shape[0] * t->shape[1]), (long long)n);
}

/* A tensor of n numbers, whatever its rank; NULL is fine. */
static dreamo_status check_count(const lora_reader *r, const st_tensor *t, size_t n, dreamo_error *err)
{
    if (!t || t->count == n) return DREAMO_OK;
    return fail(err, DREAMO_MISMATCH, "%s: %s has %zu numbers, this model's layer has %zu", r->path, t->name, t->count, n);
}

static dreamo_status check_layer(const lora_reader *r, lora_group *g, dreamo_error *err)
{
    const lora_target *to = &g->target;
    int64_t out = to->rows, in = to->w->in, out2 = 1, in2 = 1;
    int ignored;
    dreamo_status s = DREAMO_OK;
    switch (g->method) {
    case LORA: s = check_product(r, g, LORA_B, LORA_A, &out, &in, &g->rank, err); break;
    case LOKR:
        s = check_factor(r, g, LOKR_W1, &out, &in, err);
        if (s == DREAMO_OK) s = check_factor(r, g, LOKR_W2, &out2, &in2, err);
        break;
    case LOHA:
        s = check_product(r, g, LOHA_W1_A, LOHA_W1_B, &out, &in, &g->rank, err);
        if (s == DREAMO_OK && (out != to->rows || in != to->w->in)) s = misfit(r, g, out, in, err);
        if (s == DREAMO_OK) s = check_product(r, g, LOHA_W2_A, LOHA_W2_B, &out, &in, &ignored, err);
        break;
    case OFT:
        s = check_blocks(r, g, g->t[OFT_BLOCKS], out, false, err);
        if (s == DREAMO_OK) s = check_count(r, g->t[OFT_RESCALE], (size_t)out, err);
        break;
    case PEFT_OFT:
        s = check_blocks(r, g, g->t[OFT_R], in, true, err);
        if (s == DREAMO_OK) s = check_count(r, g->t[OFT_S], (size_t)out, err);
        break;
    case DIFFERENCE:
        if (!matrix(g->t[LORA_DIFF], &out, &in)) s = fail(err, DREAMO_FORMAT, "%s: %s must be a matrix", r->path, g->t[LORA_DIFF]->name);
        break;
    case BIAS_ONLY: case METHODS: break;
    }
    if (s == DREAMO_OK && (out > INT32_MAX / out2 || in > INT32_MAX / in2 || out * out2 != to->rows || in * in2 != to->w->in)) s = misfit(r, g, out, in, err);
    if (s == DREAMO_OK) s = check_count(r, g->t[LORA_B_BIAS], (size_t)to->rows, err);
    if (s == DREAMO_OK) s = check_count(r, g->t[LORA_DIFF_BIAS], (size_t)to->rows, err);
    const st_tensor *length = g->t[LORA_MAGNITUDE];
    if (s == DREAMO_OK && length && (g->method == OFT || g->method == PEFT_OFT))
        s = fail(err, DREAMO_FORMAT, "%s: %s: DoRA of an OFT is not known", r->path, length->name);
    if (s == DREAMO_OK && length && !(length->rank == 2 && length->shape[0] == 1 && length->shape[1] == to->w->in)) s = check_count(r, length, (size_t)to->rows, err);
    return s;
}

static dreamo_status check_vector(const lora_reader *r, const lora_group *g, dreamo_error *err)
{
    if (g->method == DIFFERENCE) return check_count(r, g->t[LORA_DIFF], (size_t)g->target.n, err);
    return fail(err, DREAMO_MISMATCH, "%s: %.*s is a vector, which takes a plain difference only", r->path, (int)g->stem, g->name);
}

static dreamo_status check_group(const lora_reader *r, lora_group *g, dreamo_error *err)
{
    dreamo_status s = g->target.w ? check_layer(r, g, err) : check_vector(r, g, err);
    const st_tensor *alpha = g->t[LORA_ALPHA];
    if (s != DREAMO_OK || !alpha) return s;
    if (alpha->count != 1) return fail(err, DREAMO_FORMAT, "%s: %s must be one number", r->path, alpha->name);
    dtype_to_f32(alpha->type, alpha->data, 1, &g->alpha);
    if (isfinite(g->alpha)) return DREAMO_OK;
    return fail(err, DREAMO_FORMAT, "%s: %s is %f, it must be a finite number", r->path, alpha->name, (double)g->alpha);
}

dreamo_status lora_group_keys(lora_reader *r, dreamo_error *err)
{
    dreamo_status s = split_keys(r, err);
    if (s == DREAMO_OK) s = group_keys(r, err);
    for (int i = 0; s == DREAMO_OK && i < r->ngroups; i++) s = check_group(r, &r->groups[i], err);
    return s;
}
