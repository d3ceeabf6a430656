/* worker.c - from the queue to the picture. */
#include "serve/worker.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "serve/text.h"

/* One job on its way. */
struct task {
    worker *w;
    job j;
    ask a;
    dreamo_request r;
    dreamo_reference refs[ASK_REFS];
    dreamo_plan plan;            /* of each of its pictures */
    int picture;
    hub_progress now;
    double began, step_began;
    bool given_up;               /* the server stops, or the queue is away: the job goes back */
    bool ended;                  /* cancelled, and its end is written */
    int others;                  /* made with it */
    dreamo_status status;        /* how it goes; *p says why not */
    problem p;
};

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
    if (!line.failed) t->w->jobs->work->tell(t->w->jobs, &t->j, event, line.data);
    text_free(&line);
}

/* ---- events of the library ---- */

static void on_step(task *t, const dreamo_event *e)
{
    double now = seconds(), left = e->seconds_left;
    int more = (int)t->a.count - t->picture - 1;
    if (left >= 0 && more > 0 && e->seconds_a_step > 0) left += more * (double)e->total * e->seconds_a_step;
    metrics_step(t->w->metrics, &t->plan, now - t->step_began);
    t->step_began = now;
    t->now = (hub_progress){ .step = (int)e->done, .steps = (int)e->total, .picture = t->picture, .seconds_left = left };
    t->w->jobs->work->progress(t->w->jobs, &t->j, &t->now);
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
    if (!line.failed) t->w->jobs->work->tell(t->w->jobs, &t->j, "preview", line.data);
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
    if (t->given_up) return false;
    if (t->w->jobs->work->wanted(t->w->jobs, &t->j)) return true;
    problem none = { 0 }; /* told at once: others of its batch may go on for long.  What fails is tried again at the end */
    t->ended = t->ended || !t->w->jobs->work->finish(t->w->jobs, &t->j, JOB_CANCELLED, &job_stopped, &none);
    return false;
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

static dreamo_status read_request(const worker *w, const job *j, ask *out, problem *p)
{
    json_t *o;
    dreamo_status s = json_text_read(j->request ? j->request : "", j->request ? strlen(j->request) : 0, "the stored request", &o, p);
    if (!s) s = ask_read(o, &w->limits, false, out, p);
    json_decref(o);
    return s;
}

static void begin(task *t)
{
    t->began = seconds();
    t->status = read_request(t->w, &t->j, &t->a, &t->p);
    if (!t->status && (t->status = fetch_references(t, &t->p)) == DREAMO_BUSY) t->given_up = true; /* the queue is away: the job can wait */
    problem none = { 0 };
    if (!t->status && !engine_plan(t->w->engine, &t->a, &t->plan, &none)) metrics_plan(t->w->metrics, &t->plan);
    if (!t->status) tell(t, "start", json_pack("{s:s, s:s, s:i}", "state", "running", "worker", t->w->name, "try", t->j.tries));
}

static dreamo_status keep_picture(task *t, const dreamo_image *im, problem *p)
{
    void *png;
    blob b = { .width = im->width, .height = im->height };
    dreamo_status s = dreamo_image_encode(im, "png", 0, &png, &b.nbytes, &p->e);
    if (s) return s;
    b.data = png;
    dreamo_sha256(png, b.nbytes, b.sha256);
    s = t->w->jobs->work->image_put(t->w->jobs, &t->j, t->picture, &b, p);
    if (!s) tell(t, "image", json_pack("{s:i, s:s, s:i, s:i, s:o}", "picture", t->picture, "sha256", b.sha256, "width", im->width, "height",
                                       im->height, "bytes", json_integer((json_int_t)b.nbytes)));
    dreamo_bytes_free(png);
    return s;
}

/* The end must be written, or the job would be made again: on a full disk it is tried until there is room. */
static void write_end(task *t, job_state end, const dreamo_error *why)
{
    const jobs_worker_ops *to = t->w->jobs->work;
    for (int i = 0; atomic_load(&t->w->stop) != WORKER_STOP || i == 0; i++) {
        problem p = { 0 };
        dreamo_status s = t->given_up ? to->put_back(t->w->jobs, &t->j, &p) : to->finish(t->w->jobs, &t->j, end, why, &p);
        if (!s) return;
        if (i == 0) t->w->say("warning", p.e.message);
        nanosleep(&(struct timespec){ .tv_nsec = 500000000 }, NULL);
    }
}

static void finish(task *t)
{
    char line[160], with[40] = "";
    dreamo_status s = t->status;
    job_state end = s == DREAMO_OK ? JOB_DONE : s == DREAMO_CANCELLED ? JOB_CANCELLED : JOB_FAILED;
    if (!t->ended) write_end(t, end, s ? &t->p.e : NULL);
    if (t->others) snprintf(with, sizeof with, ", %d at a time", t->others + 1);
    snprintf(line, sizeof line, "%.12s  %s in %.2f s%s%s%.60s", t->j.id, t->given_up ? "put back" : job_state_name(end), seconds() - t->began, with,
             s ? ": " : "", s ? dreamo_status_code(s) : ""); /* no prompt, no message that may quote one */
    t->w->say("job", line);
    ask_free(&t->a);
    job_free(&t->j);
}

/* ---- jobs of equal shape ---- */

/* Whether the library would make them as one batch; what differs otherwise may. */
static bool alike(const ask *a, const ask *b)
{
    return a->width == b->width && a->height == b->height && a->steps == b->steps && a->true_cfg >= b->true_cfg && a->true_cfg <= b->true_cfg &&
           a->cfg_start == b->cfg_start && a->cfg_end == b->cfg_end;
}

static bool fits(void *first, const job *j)
{
    const task *t = first;
    ask a = { 0 };
    problem p = { 0 };
    bool fine = !read_request(t->w, j, &a, &p) && alike(&t->a, &a);
    ask_free(&a);
    return fine;
}

/* The next picture of each of them, in one run. */
static void make_pictures(worker *w, task *const *of, int n)
{
    const dreamo_request *r[JOB_BATCH];
    dreamo_image im[JOB_BATCH] = { 0 };
    dreamo_error errs[JOB_BATCH] = { 0 };
    double began = seconds();
    for (int i = 0; i < n; i++) {
        task *t = of[i];
        ask_request(&t->a, t->picture, t->refs, &t->r);
        t->r.progress = on_event;
        t->r.user = t;
        t->step_began = began;
        r[i] = &t->r;
    }
    if (n > 1) dreamo_generate_batch(w->engine->model, r, n, im, errs);
    else dreamo_generate(w->engine->model, r[0], &im[0], &errs[0]);
    for (int i = 0; i < n; i++) {
        task *t = of[i];
        t->p.e = t->ended ? job_stopped : errs[i];
        if ((t->status = t->p.e.status)) {
            dreamo_image_free(&im[i]);
            continue;
        }
        metrics_picture(w->metrics, seconds() - began);
        t->status = keep_picture(t, &im[i], &t->p);
        dreamo_image_free(&im[i]);
        t->picture++;
    }
}

static void run(worker *w, task *tasks, int n)
{
    task *left[JOB_BATCH];
    for (int i = 0; i < n; i++) {
        left[i] = &tasks[i];
        tasks[i].others = n - 1;
    }
    while (n > 0) {
        int still = 0;
        for (int i = 0; i < n; i++) {
            task *t = left[i];
            if (t->status || t->picture == (int)t->a.count) finish(t);
            else left[still++] = t;
        }
        if ((n = still)) make_pictures(w, left, n);
    }
}

/* The next job, and those that wait right behind it and are like it. */
static dreamo_status take(worker *w, task *tasks, int *n, problem *p)
{
    const jobs_worker_ops *from = w->jobs->work;
    *n = 0;
    tasks[0] = (task){ .w = w };
    dreamo_status s = from->take(w->jobs, 1000, NULL, NULL, &tasks[0].j, p);
    if (s) return s;
    begin(&tasks[(*n)++]);
    while (!tasks[0].status && *n < w->batch) {
        problem none = { 0 };
        tasks[*n] = (task){ .w = w };
        if (from->take(w->jobs, 0, fits, &tasks[0], &tasks[*n].j, &none)) break;
        begin(&tasks[(*n)++]);
    }
    return DREAMO_OK;
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
    static const struct timespec second = { .tv_sec = 1 };
    for (int n;;) {
        int how = atomic_load(&w->stop);
        if (how == WORKER_STOP || how == WORKER_LAST || (how == WORKER_DRAIN && !some_wait(w))) break;
        problem p = { 0 };
        dreamo_status s = take(w, w->tasks, &n, &p);
        if (s == DREAMO_OK) {
            run(w, w->tasks, n);
        } else if (s != DREAMO_NOT_FOUND) {
            w->say("warning", p.e.message);
            nanosleep(&second, NULL);
        }
    }
    free(w->tasks);
    return NULL;
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
    if (!(w->tasks = calloc(JOB_BATCH, sizeof *w->tasks))) return refuse(p, DREAMO_MEMORY, NULL, "no memory for a worker");
    sigfillset(&all);
    sigdelset(&all, SIGBUS);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are the main thread's, but for a model that was cut short */
    bool failed = pthread_create(&w->thread, NULL, work, w) != 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failed) free(w->tasks);
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
