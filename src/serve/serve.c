/* serve.c - the life of a server: open everything, watch, drain, close. */
#include "serve/serve.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "serve/http/listen.h"
#include "serve/server.h"

enum { LISTENERS = 1000, LOOKS = 2, TICK_MS = 100, TIDY_SECONDS = 5 };

void serve_options_init(serve_options *o)
{
    *o = (serve_options){ .listen = "127.0.0.1:7860", .queue = 16, .max_body = 32 << 20, .max_pixels = 2 << 20, .max_upload_pixels = 16 << 20, .max_refs = 9,
                          .max_steps = 60, .max_count = 8, .max_connections = 1024, .keep_seconds = 600, .drain_seconds = 60, .batch = 1 };
    dreamo_model_options_init(&o->model);
}

static int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }

/* What was asked for, within what the model can do. */
static void set_limits(server *s)
{
    const serve_options *o = s->o;
    const dreamo_model_about *m = &s->engine.about;
    s->limits = (limits){ .body = o->max_body, .pixels = o->max_pixels, .upload_pixels = o->max_upload_pixels, .refs = smaller(o->max_refs,
            m->max_refs),
                          .steps = smaller(o->max_steps, m->max_steps), .count = o->max_count, .queue = o->queue, .prompt = 65536,
                              .side = m->max_side, .cell = m->cell };
    s->worker.engine = &s->engine;
    worker_wide_limits(&s->worker);
}

static dreamo_status open_queue(server *s, problem *p)
{
    const serve_options *o = s->o;
    const fleet_place at = { .url = o->queue_at, .model = s->engine.about.name, .hash = s->engine.about.hash, .queue = o->queue,
                             .keep_seconds = o->keep_seconds, .blobs = o->blobs };
    return jobs_open_redis(&at, s->hub, &s->jobs, p);
}

/* Many threads that take and give small pieces: two heaps serve them as well as one for each, and stay small. */
static void share_heaps(void)
{
#ifdef M_ARENA_MAX
    mallopt(M_ARENA_MAX, 2);
#endif
}

static void allow_descriptors(int64_t connections)
{
    struct rlimit r;
    rlim_t want = (rlim_t)connections + 128;
    if (getrlimit(RLIMIT_NOFILE, &r) || r.rlim_cur >= want) return;
    r.rlim_cur = r.rlim_max < want ? r.rlim_max : want;
    setrlimit(RLIMIT_NOFILE, &r);
}

static dreamo_status check_options(const serve_options *o, const listening *l, problem *p)
{
    if (o->keys || o->insecure || l->loopback) return DREAMO_OK;
    refuse(p, DREAMO_ARG, NULL, "--listen %.80s: others than this machine could use the server without a key", o->listen);
    return advise(p, "give --key-file FILE (or --insecure, if that is what you want)");
}

static dreamo_status start(server *s, listening *l, problem *p)
{
    dreamo_status status = guard_init(&s->http.guard, s->o, l->host, l->local, p);
    if (!status && !(s->hub = hub_new(LISTENERS))) status = refuse(p, DREAMO_MEMORY, NULL, "no memory for events");
    if (!status && !s->o->queue_at) status = jobs_open_sqlite(s->o->store, s->o->queue, s->hub, &s->jobs, p); /* before the model: a second server on it ends at once */
    if (!status) status = engine_open(&s->o->model, &s->engine, &p->e);
    if (!status && s->o->queue_at) status = open_queue(s, p);
    if (status) return status;
    set_limits(s);
    s->worker.jobs = s->jobs;
    s->worker.metrics = &s->metrics;
    s->worker.batch = (int)s->o->batch;
    s->worker.say = s->o->say;
    snprintf(s->worker.name, sizeof s->worker.name, "local");
    status = http_start(s, l->fd, p);
    if (status) return status;
    l->fd = -1; /* the daemon's now */
    status = s->o->no_worker || s->o->queue_at ? DREAMO_OK : worker_start(&s->worker, p);
    if (status) http_stop(s);
    return status;
}

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void tick(server *s, double *tidied)
{
    double now = seconds();
    http_sweep(s);
    notify("WATCHDOG=1");
    if (now - *tidied > TIDY_SECONDS) {
        s->jobs->ops->tidy(s->jobs, s->o->keep_seconds);
        *tidied = now;
    }
    nanosleep(&(struct timespec){ .tv_nsec = TICK_MS * 1000000 }, NULL);
}

static void run(server *s)
{
    double tidied = 0;
    while (!*s->o->stop) tick(s, &tidied);
    atomic_store(&s->draining, true);
    notify("STOPPING=1\nSTATUS=draining");
    s->o->say("serve", s->o->queue_at ? "stopping: jobs stay in the queue" : "draining: jobs that run or wait are finished, new ones refused");
    worker_stop(&s->worker, WORKER_DRAIN);
    for (double until = seconds() + (double)s->o->drain_seconds; !worker_ended(&s->worker) && seconds() < until;) tick(s, &tidied);
    worker_stop(&s->worker, WORKER_STOP); /* what is left is in the store, and goes on when the server is started again */
    while (!worker_ended(&s->worker)) tick(s, &tidied);
    http_stop(s);
}

static void finish(server *s)
{
    if (s->jobs) s->jobs->ops->close(s->jobs);
    engine_close(&s->engine);
    hub_free(s->hub);
    guard_free(&s->http.guard);
    sem_destroy(&s->looks);
}

dreamo_status serve_run(const serve_options *o, dreamo_error *err)
{
    problem p = { 0 };
    listening l;
    server *s = calloc(1, sizeof *s);
    if (!s) {
        refuse(&p, DREAMO_MEMORY, NULL, "no memory for a server");
        *err = p.e;
        return err->status;
    }
    s->o = o;
    metrics_init(&s->metrics);
    pthread_mutex_init(&s->flights.lock, NULL);
    sem_init(&s->looks, 0, LOOKS);
    share_heaps();
    allow_descriptors(o->max_connections);
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); /* no program that we might be made to start could gain anything */
    dreamo_status status = listen_open(o->listen, &l, &p);
    if (!status) status = check_options(o, &l, &p);
    if (!status) status = start(s, &l, &p);
    if (!status) {
        o->say("serve", l.words);
        notify("READY=1");
        run(s);
    }
    if (l.fd >= 0) close(l.fd);
    listen_close(&l);
    finish(s);
    free(s);
    if (status) *err = p.e;
    return status;
}
