/* convert_verify.c - what was written, read back from the disk and compared with what was to be written. */
#include <math.h>
#include <string.h>
#include "base/mem.h"
#include "weights/convert_job.h"

/* Root mean square error that a type may have, as a share of the tensor's.  Types of one number at a time: what rounding can do at
 * most.  Blocks: about twice what normally distributed numbers have. */
static double bound_of(dtype t)
{
    switch (t) {
    case DT_F32: return 0;
    case DT_BF16: return 0x1p-8;
    case DT_F16: return 0x1p-10;
    case DT_F8_E4M3: return 0.05;
    case DT_Q8_0: return 0.012;
    case DT_Q6_K: return 0.035;
    case DT_Q5_K: case DT_Q5_0: case DT_Q5_1: return 0.085;
    default: return 0.17;
    }
}

/* Sums over one call's rows, joined in the order of rows, so that the number of threads does not matter. */
typedef struct loss { double error, size; float worst, most; } loss;

typedef struct comparison { const convert_tensor *t; const st_tensor *stored; float *room; loss *losses; } comparison;

static bool take_loss(void *user, int64_t row0, int n, float *rows, int worker)
{
    const comparison *c = user;
    const convert_tensor *t = c->t;
    size_t count = (size_t)n * (size_t)t->cols;
    float *back = c->room + (size_t)worker * CONVERT_ROWS * (size_t)t->cols;
    loss l = { 0 };
    bool finite = true;
    dtype_to_f32(t->type, (const char *)c->stored->data + dtype_nbytes_of(t->type, (size_t)(row0 * t->cols)), count, back);
    for (size_t k = 0; k < count; k++) {
        float e = back[k] * t->scale - rows[k];
        l.error += (double)e * (double)e;
        l.size += (double)rows[k] * (double)rows[k];
        l.worst = fmaxf(l.worst, fabsf(e));
        l.most = fmaxf(l.most, fabsf(rows[k]));
        finite = finite && isfinite(back[k]);
    }
    c->losses[row0 / CONVERT_ROWS] = l;
    return finite;
}

static dreamo_status compare(convert_job *j, const convert_tensor *t, const st_tensor *stored, dreamo_tensor_loss *out, dreamo_error *err)
{
    size_t calls = (size_t)((t->rows + CONVERT_ROWS - 1) / CONVERT_ROWS);
    comparison c = { .t = t, .stored = stored };
    c.losses = mem_calloc(calls, sizeof *c.losses);
    c.room = mem_alloc((size_t)pool_threads(j->threads) * CONVERT_ROWS * (size_t)t->cols * sizeof *c.room);
    dreamo_status s = c.losses && c.room ? DREAMO_OK : fail(err, DREAMO_MEMORY, "no memory to compare %s", t->name);
    if (!s) s = convert_walk(t, j->o->official, 0, t->rows, j->threads, take_loss, &c, err);
    loss sum = { 0 };
    for (size_t i = 0; !s && i < calls; i++) {
        sum.error += c.losses[i].error;
        sum.size += c.losses[i].size;
        sum.worst = fmaxf(sum.worst, c.losses[i].worst);
        sum.most = fmaxf(sum.most, c.losses[i].most);
    }
    *out = (dreamo_tensor_loss){ .name = t->name, .type = dtype_name(t->type), .bound = bound_of(t->type) };
    if (sum.error > 0) { /* numbers of size 0 that came back as others: infinitely wrong, and so said */
        out->worst = (double)sum.worst / (double)sum.most;
        out->mean = sqrt(sum.error / sum.size);
    }
    mem_free(c.losses);
    mem_free(c.room);
    return s;
}

static dreamo_status verify_one(convert_job *j, int i, const st_file *f, dreamo_tensor_loss *l, dreamo_error *err)
{
    const convert_tensor *t = &j->list.tensors[i];
    const st_tensor *want = &j->out[i], *stored = st_find(f, t->name);
    if (!stored) return fail(err, DREAMO_DIFFERS, "%s: %s is not there", f->path, t->name);
    if (stored->type != want->type || stored->nbytes != want->nbytes || (want->rank && stored->shape[0] != want->shape[0]))
        return fail(err, DREAMO_DIFFERS, "%s: %s has another type or shape than was written", f->path, t->name);
    dreamo_status s = compare(j, t, stored, l, err);
    if (!s) s = convert_job_advance(j, t->rows * t->cols, err);
    if (!s && j->o->row && !j->o->row(j->o->user, l)) s = fail(err, DREAMO_CANCELLED, "stopped on request");
    return s;
}

dreamo_status convert_verify(convert_job *j, dreamo_error *err)
{
    st_file f;
    dreamo_tensor_loss l;
    int lost = 0;
    char name[sizeof j->list.tensors->name] = "";
    dreamo_status s = st_open_any(j->o->out, &f, err);
    if (s) return s;
    for (int i = 0; !s && i < j->list.n; i++) {
        s = verify_one(j, i, &f, &l, err);
        bind_forget(&j->files);
        file_map_forget(&f.map);
        if (s || l.mean <= l.bound) continue;
        if (lost++ == 0) memcpy(name, j->list.tensors[i].name, sizeof name);
    }
    st_close(&f);
    if (s || !lost) return s;
    return fail(err, DREAMO_DIFFERS, "%s: %d tensor%s lost more than the bound of the type, the first is %s", j->o->out, lost, lost > 1 ? "s" : "", name);
}
