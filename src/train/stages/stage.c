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

dreamo_status stage_each(const stage *s, int n, each_fn fn, void *arg, dreamo_error *err)
{
    each_job j = { fn, arg, mem_calloc((size_t)n + 1, sizeof *j.errors) };
    if (!j.errors) return fail(err, DREAMO_MEMORY, "no memory for %d tasks", n);
    pool_run(s->dev->threads, n, run_one, &j);
    dreamo_status status = DREAMO_OK;
    for (int i = 0; i < n && !status; i++)
        if (j.errors[i].status) status = fail(err, j.errors[i].status, "%s", j.errors[i].message);
    mem_free(j.errors);
    return status;
}
