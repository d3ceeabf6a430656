/* jobs.c - what every keeper of jobs shares. */
#include "serve/jobs/jobs.h"

#include <stdlib.h>

#include "serve/text.h"

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

const dreamo_error job_stopped = { .status = DREAMO_CANCELLED, .message = "stopped on request" };

char *job_end_json(job_state end, const dreamo_error *why, int images)
{
    text t = { 0 };
    json_t *o = end == JOB_DONE ? json_pack("{s:s, s:i}", "state", "done", "images", images)
                                : json_pack("{s:s, s:{s:s, s:s, s:s}}", "state", job_state_name(end), "error", "code",
                                            dreamo_status_code(why->status), "message", why->message, "hint", why->hint);
    text_json(&t, o);
    json_decref(o);
    if (t.failed) text_free(&t);
    return t.data;
}

void blob_free(blob *b)
{
    free(b->data);
    *b = (blob){ 0 };
}

#ifndef DREAMO_REDIS
dreamo_status jobs_open_redis(const fleet_place *at, hub *h, jobs **out, problem *p)
{
    (void)at, (void)h;
    *out = NULL;
    refuse(p, DREAMO_NOT_FOUND, NULL, "--queue: this program was built without Redis");
    return advise(p, "install libhiredis-dev, and build again");
}
#endif
