/* stage.c - work that all stages share. */
#include "train/stages/stage.h"

#include "base/mem.h"

typedef struct each_job { each_fn fn; void *arg; dreamo_error *errors; } each_job;

static void run_one(void *arg, int task, int worker)
{
    each_job *j = arg;
    (void)worker;
    j->errors[task].status = j->fn(j->arg, task, &j->errors[task]);
}

dreamo_status stage_each(const stage *s, int n, each_fn fn, void *arg, dreamo_error *err) { return stage_each_on(s->dev->threads, n, fn, arg, err); }

dreamo_status stage_each_on(pool *threads, int n, each_fn fn, void *arg, dreamo_error *err)
{
    each_job j = { fn, arg, mem_calloc((size_t)n + 1, sizeof *j.errors) };
    if (!j.errors) return fail(err, DREAMO_MEMORY, "no memory for %d tasks", n);
    pool_run(threads, n, run_one, &j);
    dreamo_status status = DREAMO_OK;
    for (int i = 0; i < n && !status; i++)
        if (j.errors[i].status) status = fail(err, j.errors[i].status, "%s", j.errors[i].message);
    mem_free(j.errors);
    return status;
}

dreamo_status stage_kinds(const stage *s, data_kind otherwise, mixture *out, dreamo_error *err)
{
    *out = s->r->kinds;
    if (s->data && data_given(s->data) && otherwise != DATA_T2I) otherwise = DATA_ANY; /* each sample has a kind of its own */
    if (!out->n) out->part[out->n++] = (mixture_part){ .a = (int)otherwise, .share = 1 };
    for (int i = 0; s->data && i < out->n; i++)
        if (!data_can(s->data, (data_kind)out->part[i].a, DATA_TRAIN))
            return fail(err, DREAMO_CONTENT, "the dataset has nothing to make \"%s\" samples of, which the recipe's kinds list",
                        data_kind_name((data_kind)out->part[i].a));
    return DREAMO_OK;
}

dreamo_status stage_check_sizes(const stage *s, int cell, dreamo_error *err)
{
    const mixture *p = &s->r->pictures, *f = &s->r->ref_sides;
    for (int i = 0; i < p->n; i++)
        if (p->part[i].a % cell || p->part[i].b % cell)
            return fail(err, DREAMO_ARG, "pictures = %dx%d: both sides must be multiples of %d", p->part[i].a, p->part[i].b, cell);
    for (int i = 0; i < f->n; i++)
        if (f->part[i].a % cell) return fail(err, DREAMO_ARG, "ref_sides = %d: must be a multiple of %d", f->part[i].a, cell);
    return DREAMO_OK;
}

void stage_backward(nn *cx, tensor x, const float *values, float *grad)
{
    size_t n = (size_t)x.rows * (size_t)x.cols;
    for (size_t i = 0; i < n && !nn_device(cx)->be->dry; i++) grad[i] = (float)(values[i] - 0.5 * (double)n * grad[i]);
    nn_backward(cx, op_mse(cx, x, tensor_from(cx, x.rows, x.cols, grad), NULL));
}
