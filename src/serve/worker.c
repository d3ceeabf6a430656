/* worker.c - from the queue to the picture. */
#include "serve/worker.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "serve/text.h"

/* One job on its way. */
typedef struct task {
    worker *w;
    const job *j;
    ask a;
    dreamo_request r;
    dreamo_reference refs[ASK_REFS];
    int picture;
    hub_progress now;
    double began, step_began;
    bool given_up;               /* the server stops: the job goes back */
} task;

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void tell(task *t, const char *event, json_t *o)
{
    text line = { 0 };
    text_json(&line, o);
    json_decref(o);
    if (!line.failed) t->w->jobs->work->tell(t->w->jobs, t->j, event, line.data);
    text_free(&line);
}

/* ---- events of the library ---- */

static void on_step(task *t, const dreamo_event *e)
{
    double now = seconds(), left = e->seconds_left;
    int more = (int)t->a.count - t->picture - 1;
    if (left >= 0 && more > 0 && e->seconds_a_step > 0) left += more * (double)e->total * e->seconds_a_step;
    metrics_step(t->w->metrics, now - t->step_began);
    t->step_began = now;
    t->now = (hub_progress){ .step = (int)e->done, .steps = (int)e->total, .picture = t->picture, .seconds_left = left };
    t->w->jobs->work->progress(t->w->jobs, t->j, &t->now);
    tell(t, "step", json_pack("{s:i, s:i, s:i, s:i, s:f}", "step", t->now.step, "steps", t->now.steps, "picture", t->picture, "pictures",
                              (int)t->a.count, "seconds_left", left));
}

static void on_preview(task *t, const dreamo_event *e)
{
    void *png;
    size_t nbytes;
    text line = { 0 };
    if (dreamo_image_encode(e->image, "png", 0, &png, &nbytes, NULL)) return;
    text_format(&line, "{\"step\":%d,\"steps\":%d,\"picture\":%d,\"width\":%d,\"height\":%d,\"type\":\"image/png\",\"base64\":\"", (int)e->done,
                (int)e->total, t->picture, e->image->width, e->image->height);
    encode_base64(&line, png, nbytes);
    text_format(&line, "\"}");
    dreamo_bytes_free(png);
    if (!line.failed) t->w->jobs->work->tell(t->w->jobs, t->j, "preview", line.data);
    text_free(&line);
}

static bool on_event(void *user, const dreamo_event *e)
{
    task *t = user;
    switch (e->kind) {
    case DREAMO_EVENT_STEP: on_step(t, e); break;
    case DREAMO_EVENT_PREVIEW: on_preview(t, e); break;
    case DREAMO_EVENT_WARNING: tell(t, "warning", json_pack("{s:s?, s:i}", "text", e->text, "picture", t->picture)); break;
    default: break;
    }
    if (atomic_load(&t->w->stop) == WORKER_STOP) t->given_up = true;
    return !t->given_up && t->w->jobs->work->wanted(t->w->jobs, t->j);
}

/* ---- one job ---- */

static dreamo_status fetch_references(task *t, problem *p)
{
    for (int i = 0; i < t->a.nrefs; i++) {
        blob b;
        dreamo_status s = t->w->jobs->ops->upload_get(t->w->jobs, t->a.refs[i].upload, &b, p);
        if (s) return s;
        t->a.refs[i].data = b.data;
        t->a.refs[i].nbytes = b.nbytes;
    }
    return DREAMO_OK;
}

static dreamo_status keep_picture(task *t, const dreamo_image *im, problem *p)
{
    void *png;
    blob b = { .width = im->width, .height = im->height };
    dreamo_status s = dreamo_image_encode(im, "png", 0, &png, &b.nbytes, &p->e);
    if (s) return s;
    b.data = png;
    dreamo_sha256(png, b.nbytes, b.sha256);
    s = t->w->jobs->work->image_put(t->w->jobs, t->j, t->picture, &b, p);
    if (!s) tell(t, "image", json_pack("{s:i, s:s, s:i, s:i, s:o}", "picture", t->picture, "sha256", b.sha256, "width", im->width, "height",
                                       im->height, "bytes", json_integer((json_int_t)b.nbytes)));
    dreamo_bytes_free(png);
    return s;
}

static dreamo_status make_picture(task *t, problem *p)
{
    dreamo_image im;
    ask_request(&t->a, t->picture, t->refs, &t->r);
    t->r.progress = on_event;
    t->r.user = t;
    t->step_began = seconds();
    double began = t->step_began;
    dreamo_status s = dreamo_generate(t->w->engine->model, &t->r, &im, &p->e);
    if (s) return s;
    metrics_picture(t->w->metrics, seconds() - began);
    s = keep_picture(t, &im, p);
    dreamo_image_free(&im);
    return s;
}

static dreamo_status make_all(task *t, problem *p)
{
    json_t *o;
    dreamo_status s = json_text_read(t->j->request ? t->j->request : "", t->j->request ? strlen(t->j->request) : 0, "the stored request", &o, p);
    if (s) return s;
    s = ask_read(o, &t->w->limits, false, &t->a, p);
    json_decref(o);
    if (!s && (s = fetch_references(t, p)) == DREAMO_BUSY) t->given_up = true; /* the queue is away: the job can wait */
    if (!s) tell(t, "start", json_pack("{s:s, s:s, s:i}", "state", "running", "worker", t->w->name, "try", t->j->tries));
    for (; !s && t->picture < (int)t->a.count; t->picture++) s = make_picture(t, p);
    return s;
}

/* The end must be written, or the job would be made again: on a full disk it is tried until there is room. */
static void write_end(task *t, job_state end, const dreamo_error *why)
{
    for (int i = 0; atomic_load(&t->w->stop) != WORKER_STOP || i == 0; i++) {
        problem p = { 0 };
        dreamo_status s = t->given_up ? t->w->jobs->work->put_back(t->w->jobs, t->j, &p) : t->w->jobs->work->finish(t->w->jobs, t->j, end, why, &p);
        if (!s) return;
        if (i == 0) t->w->say("warning", p.e.message);
        nanosleep(&(struct timespec){ .tv_nsec = 500000000 }, NULL);
    }
}

static void run(worker *w, const job *j)
{
    task t = { .w = w, .j = j, .began = seconds() };
    problem p = { 0 };
    char line[160];
    dreamo_status s = make_all(&t, &p);
    job_state end = s == DREAMO_OK ? JOB_DONE : s == DREAMO_CANCELLED ? JOB_CANCELLED : JOB_FAILED;
    write_end(&t, end, s ? &p.e : NULL);
    snprintf(line, sizeof line, "%.12s  %s in %.2f s%s%.60s", j->id, t.given_up ? "put back" : job_state_name(end), seconds() - t.began, s ? ": " : "",
             s ? dreamo_status_code(s) : ""); /* no prompt, no message that may quote one */
    w->say("job", line);
    ask_free(&t.a);
}

/* ---- the thread ---- */

static bool some_wait(worker *w)
{
    int64_t of[JOB_STATES];
    w->jobs->ops->counts(w->jobs, of);
    return of[JOB_QUEUED] > 0;
}

static void *work(void *user)
{
    worker *w = user;
    for (;;) {
        int how = atomic_load(&w->stop);
        if (how == WORKER_STOP || how == WORKER_LAST || (how == WORKER_DRAIN && !some_wait(w))) return NULL;
        job j;
        problem p = { 0 };
        dreamo_status s = w->jobs->work->take(w->jobs, 1000, NULL, NULL, &j, &p);
        if (s == DREAMO_OK) {
            run(w, &j);
            job_free(&j);
        } else if (s != DREAMO_NOT_FOUND) {
            w->say("warning", p.e.message);
            nanosleep(&(struct timespec){ .tv_sec = 1 }, NULL);
        }
    }
}

void worker_wide_limits(worker *w)
{
    const dreamo_model_about *m = &w->engine->about;
    w->limits = (limits){ .pixels = (int64_t)m->max_side * m->max_side, .refs = ASK_REFS, .steps = m->max_steps, .count = 1 << 20, .prompt = 1 << 20,
                          .side = m->max_side, .cell = m->cell };
}

dreamo_status worker_start(worker *w, problem *p)
{
    sigset_t all, before;
    sigfillset(&all);
    sigdelset(&all, SIGBUS);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are the main thread's, but for a model that was cut short */
    bool failed = pthread_create(&w->thread, NULL, work, w) != 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failed) return refuse(p, DREAMO_MEMORY, NULL, "no thread for a worker");
    w->running = true;
    return DREAMO_OK;
}

void worker_stop(worker *w, int how)
{
    atomic_store(&w->stop, how);
    w->jobs->work->wake(w->jobs);
}

bool worker_ended(worker *w)
{
    if (!w->running) return true;
    if (pthread_tryjoin_np(w->thread, NULL)) return false;
    w->running = false;
    return true;
}

void worker_join(worker *w)
{
    if (w->running) pthread_join(w->thread, NULL);
    w->running = false;
}
