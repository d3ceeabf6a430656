/* jobs.c - what every keeper of jobs shares. */
#include "serve/jobs.h"

#include <stdlib.h>

const char *job_state_name(job_state s)
{
    static const char *const names[] = { "queued", "running", "done", "failed", "cancelled" };
    return names[s];
}

void job_free(job *j)
{
    free(j->request);
    *j = (job){ 0 };
}

void blob_free(blob *b)
{
    free(b->data);
    *b = (blob){ 0 };
}
