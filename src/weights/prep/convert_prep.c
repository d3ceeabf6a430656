/* convert_prep.c - the network's parameters under the official names, without prefixes, counters and what training left.
 *
 * Matrices and filters take the type that is asked for; vectors (biases, norms and their statistics) stay f32: they are a thousandth of the numbers.
 * What 16 bits lose is told: relative to the weights, in the mean (L2) and of the tensor that loses most. */
#include "weights/prep/convert_prep.h"
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include "base/mem.h"
#include "base/options.h"
#include "base/report.h"
#include "weights/kind.h"
#include "weights/prep/bind_prep.h"

enum { MOST = 1200, BATCH = 1 << 18 };

typedef struct prep_job {
    dreamo_convert_options o;
    reporter to_caller;
    const prep_network *is;
    void *network;
    bound_files files;
    dtype to;
    int n;
    st_tensor out[MOST];
    struct { const void *data; dtype type; } from[MOST];
    char names[MOST][160];
    double lost, all, worst;   /* squares; the largest share of one tensor */
    const char *worst_name;
    progress progress;
    double done, total;
    float *numbers, *again;
    unsigned char *bytes;
} prep_job;

static void list_one(void *user, const param *p)
{
    prep_job *j = user;
    if (j->n == MOST) return;
    st_tensor *t = &j->out[j->n];
    memcpy(j->names[j->n], p->name, sizeof j->names[0]);
    *t = (st_tensor){ .name = j->names[j->n], .type = p->w ? j->to : DT_F32, .rank = p->rank, .count = (size_t)param_count(p) };
    for (int i = 0; i < p->rank; i++) t->shape[i] = p->shape[i];
    t->nbytes = dtype_nbytes_of(t->type, t->count);
    j->from[j->n].data = p->w ? p->w->part[p->part].data : *p->fp32;
    j->from[j->n++].type = p->w ? p->w->part[p->part].type : DT_F32;
    j->total += (double)t->count;
}

/* f16 ends at 65,504; no weight of these networks comes near, and one that does would be another network. */
static dreamo_status fill(void *user, int i, filewriter *w, dreamo_error *err)
{
    prep_job *j = user;
    const st_tensor *t = &j->out[i];
    const char *data = j->from[i].data;
    double lost = 0, all = 0;
    for (size_t at = 0; at < t->count; at += BATCH) {
        size_t n = t->count - at < BATCH ? t->count - at : BATCH;
        dtype_to_f32(j->from[i].type, data + dtype_nbytes_of(j->from[i].type, at), n, j->numbers);
        dtype_from_f32(t->type, j->numbers, n, j->bytes);
        dtype_to_f32(t->type, j->bytes, n, j->again);
        for (size_t k = 0; k < n; k++) {
            if (!isfinite(j->again[k])) return fail(err, DREAMO_MISMATCH, "%s: holds %g, which %s does not", t->name, (double)j->numbers[k], dtype_name(t->type));
            lost += ((double)j->again[k] - j->numbers[k]) * ((double)j->again[k] - j->numbers[k]);
            all += (double)j->numbers[k] * j->numbers[k];
        }
        dreamo_status s = file_write(w, j->bytes, dtype_nbytes_of(t->type, n), err);
        if (s) return s;
    }
    j->lost += lost;
    j->all += all;
    if (all > 0 && lost / all > j->worst) j->worst = lost / all, j->worst_name = t->name;
    j->done += (double)t->count;
    int64_t percent = (int64_t)(100 * j->done / j->total);
    if (percent == j->progress.done) return DREAMO_OK;
    progress_step(&j->progress, percent);
    return report_step(&j->to_caller, &j->progress, err);
}

/* A plan may name a file that is there. */
static dreamo_status choose(prep_job *j, bool plan, dreamo_error *err)
{
    const char *out = j->o.out, *to = j->o.to ? j->o.to : "f16";
    size_t n = strlen(out);
    j->to = strcasecmp(to, "f32") == 0 ? DT_F32 : strcasecmp(to, "bf16") == 0 ? DT_BF16 : DT_F16;
    if (n < 12 || strcasecmp(out + n - 12, ".safetensors") != 0) return fail(err, DREAMO_ARG, "%s: %s becomes a .safetensors file", out, j->is->name);
    if (strcasecmp(to, "f32") && strcasecmp(to, "f16") && strcasecmp(to, "bf16")) return fail(err, DREAMO_ARG, "\"%.40s\" is none of f32, f16, bf16, which %s can have", to, j->is->name);
    if (j->o.nfuse || j->o.variant) return fail(err, DREAMO_ARG, "%s: holds %s; a LoRA is fused into a transformer", j->o.in, j->is->name);
    if (file_same(j->o.in, out)) return fail(err, DREAMO_ARG, "%s: is the file that is converted; name another", out);
    if (plan || !file_exists(out) || j->o.clobber) return DREAMO_OK;
    fail(err, DREAMO_IO, "%s: exists already", out);
    return hint(err, "--force replaces it");
}

static dreamo_status count_costs(const prep_job *j, dreamo_convert_costs *c, dreamo_error *err)
{
    *c = (dreamo_convert_costs){ 0 };
    for (int i = 0; i < j->n; i++) {
        const st_tensor *t = &j->out[i];
        int k = 0;
        while (k < c->ntypes && strcmp(c->types[k].type, dtype_name(t->type)) != 0) k++;
        if (k == c->ntypes) c->types[c->ntypes++].type = dtype_name(t->type);
        c->types[k].tensors++;
        c->types[k].numbers += (int64_t)t->count;
        c->types[k].bytes += t->nbytes;
        c->bytes += t->nbytes;
    }
    return file_space(j->o.out, &c->free_bytes, err);
}

static dreamo_status tell_loss(prep_job *j, dreamo_error *err)
{
    if (!(j->all > 0) || j->lost == 0) return report_line(&j->to_caller, DREAMO_EVENT_NOTE, err, "%s: %d tensors, nothing lost", j->is->name, j->n);
    return report_line(&j->to_caller, DREAMO_EVENT_NOTE, err, "%s: %d tensors; %s loses %.1e of the weights (L2), most in %s: %.1e", j->is->name, j->n, dtype_name(j->to), sqrt(j->lost / j->all),
                       j->worst_name, sqrt(j->worst));
}

static dreamo_status convert(prep_job *j, dreamo_error *err)
{
    const char *const meta[][2] = { { "dreamo.network", j->is->name } };
    j->numbers = mem_alloc(BATCH * sizeof(float));
    j->again = mem_alloc(BATCH * sizeof(float));
    j->bytes = mem_alloc(BATCH * sizeof(float));
    if (!j->numbers || !j->again || !j->bytes) return fail(err, DREAMO_MEMORY, "%s: no memory to convert it", j->o.in);
    progress_start(&j->progress, 100);
    dreamo_status s = st_write_filled(j->o.out, j->o.clobber, j->out, j->n, meta, 1, fill, j, err);
    return s ? s : tell_loss(j, err);
}

static void job_close(prep_job *j)
{
    mem_free(j->numbers);
    mem_free(j->again);
    mem_free(j->bytes);
    if (j->network) j->is->unmake(j->network);
    bind_close(&j->files);
    mem_free(j);
}

/* What the file holds, NULL: none of these.  Whatever else is wrong with it, the other conversion says; only memory is the same for both. */
static dreamo_status look(const char *path, const prep_network **out, dreamo_error *err)
{
    st_file f;
    *out = NULL;
    if (folder_exists(path)) return DREAMO_OK;
    dreamo_status s = st_open_any(path, &f, NULL);
    if (s == DREAMO_MEMORY) return fail(err, s, "%s: no memory for its header", path);
    if (s) return DREAMO_OK;
    *out = prep_network_of(kind_of_weights(&f).holds);
    st_close(&f);
    return DREAMO_OK;
}

dreamo_status convert_prep(const dreamo_convert_options *given, dreamo_convert_costs *costs, bool *mine, dreamo_error *err)
{
    prep_job *j = mem_calloc(1, sizeof *j);
    *mine = !j;
    if (!j) return fail(err, DREAMO_MEMORY, "no memory for a conversion");
    dreamo_convert_options_init(&j->o);
    bool taken = options_take(&j->o, sizeof j->o, given, NULL) == DREAMO_OK && j->o.in && j->o.out;
    dreamo_status s = taken ? look(j->o.in, &j->is, err) : DREAMO_OK;
    if (s || !j->is) {
        job_close(j);
        *mine = s != DREAMO_OK;
        return s;
    }
    *mine = true;
    j->to_caller = (reporter){ j->o.progress, j->o.user };
    s = choose(j, costs != NULL, err);
    if (!s && !(j->network = j->is->make())) s = fail(err, DREAMO_MEMORY, "%s: no memory for the network", j->o.in);
    if (!s) s = j->is->bind(j->network, j->o.in, &j->files, err);
    if (!s) j->is->walk(j->network, list_one, j);
    if (!s && j->n == MOST) s = fail(err, DREAMO_BUG, "%s: more than %d tensors", j->is->name, MOST);
    if (!s) s = costs ? count_costs(j, costs, err) : convert(j, err);
    job_close(j);
    return s;
}
