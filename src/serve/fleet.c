/* fleet.c - the life of a worker without a server: open, take jobs, and leave none half made. */
#include "serve/fleet.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "serve/api/ask.h"
#include "serve/worker.h"

void fleet_options_init(fleet_options *o)
{
    *o = (fleet_options){ .lease_seconds = 10, .drain_seconds = 60, .batch = 1 };
    dreamo_model_options_init(&o->model);
}

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void nap(void) { nanosleep(&(struct timespec){ .tv_nsec = 50000000 }, NULL); }

static void run(const fleet_options *o, worker *w)
{
    while (!*o->stop) nap();
    o->say("worker", "draining: the running job is finished, no other taken");
    worker_stop(w, WORKER_LAST);
    for (double until = seconds() + (double)o->drain_seconds; !worker_ended(w) && seconds() < until;) nap();
    worker_stop(w, WORKER_STOP);
    while (!worker_ended(w)) nap();
}

dreamo_status fleet_work(const fleet_options *o, dreamo_error *err)
{
    problem p = { 0 };
    engine e = { 0 };
    metrics m;
    jobs *q = NULL;
    char line[256], host[40] = "";
    metrics_init(&m);
    worker w = { .engine = &e, .metrics = &m, .batch = (int)o->batch, .say = o->say };
    dreamo_status s = engine_open(&o->model, &e, &p.e);
    if (!s) {
        gethostname(host, sizeof host - 1);
        snprintf(w.name, sizeof w.name, "%s-%d", *host ? host : "worker", (int)getpid());
        fleet_place at = { .worker = w.name, .url = o->queue, .model = e.about.name, .hash = e.about.hash, .backend = e.about.backend, .threads = e.about.threads,
                           .lease_ms = o->lease_seconds * 1000, .blobs = o->blobs };
        s = jobs_open_redis(&at, NULL, &q, &p);
    }
    if (!s) {
        w.jobs = q;
        worker_wide_limits(&w);
        s = worker_start(&w, &p);
    }
    if (!s) {
        snprintf(line, sizeof line, "takes jobs for %s (%.12s)", e.about.name, e.about.hash);
        o->say("worker", line);
        run(o, &w);
    }
    if (q) q->ops->close(q);
    engine_close(&e);
    if (s) *err = p.e;
    return s;
}
