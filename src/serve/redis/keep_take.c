/* keep_take.c - the worker's side of the Redis keeper: from the queue to a job's end; a heart (heart.c) beats meanwhile.
 *
 * A job is this worker's while it is heard of once in lease_ms.  When Redis is away the worker goes on, and waits with what it has made
 * until Redis is back; when somebody else has the job then, what it has made is thrown away: both would be the same bytes. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "serve/redis/blobs.h"
#include "serve/redis/keep.h"
#include "serve/text.h"

enum { AWAY_MS = 3600000 /* longer than any lease: only what was put back */ };

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* After a call that found Redis away: shall it be made again?  A front answers its client instead. */
bool redis_waits(redis_jobs *q)
{
    if (!*q->who || atomic_load(&q->woken)) return false;
    nanosleep(&(struct timespec){ .tv_nsec = 200000000 }, NULL);
    return true;
}

/* ---- taking ---- */

static void add_end(redis_words *w, const dreamo_error *why, const char *json)
{
    redis_number(w, why->status);
    redis_text(w, why->message);
    redis_text(w, why->hint);
    redis_text(w, json ? json : "{}");
}

/* entry NULL: one whose worker died, or that was put back.  *again: what was found had ended, and there may be more. */
static dreamo_status take_one(redis_jobs *q, const char *entry, const char *id, job *out, bool *again, problem *p)
{
    redis_words w = { 0 };
    redisReply *a;
    dreamo_error worn = { .status = DREAMO_BUG };
    snprintf(worn.message, sizeof worn.message, "its worker ended while it was being made, %d times", JOB_TRIES);
    char *stopped = job_end_json(JOB_CANCELLED, &job_stopped, 0), *tried = job_end_json(JOB_FAILED, &worn, 0);
    redis_text(&w, q->place.hash);
    redis_text(&w, q->who);
    redis_number(&w, redis_up_ms(q->r) > q->place.lease_ms ? q->place.lease_ms : AWAY_MS); /* when Redis was away, others get the time to be heard again */
    redis_number(&w, JOB_TRIES);
    add_end(&w, &job_stopped, stopped);
    add_end(&w, &worn, tried);
    if (entry) {
        redis_text(&w, entry);
        redis_text(&w, id);
    }
    *out = (job){ 0 };
    dreamo_status s = redis_script(q->r, script_take, &w, &a, p);
    free(stopped);
    free(tried);
    if (s) return s;
    *again = a->type == REDIS_REPLY_INTEGER;
    if (a->type != REDIS_REPLY_ARRAY) {
        s = DREAMO_NOT_FOUND;
    } else {
        out->state = JOB_RUNNING;
        snprintf(out->id, sizeof out->id, "%s", redis_string(redis_at(a, 0)));
        snprintf(out->who, sizeof out->who, "%s", redis_string(redis_at(a, 1)));
        out->tries = (int)redis_integer(redis_at(a, 2));
        out->created = redis_integer(redis_at(a, 3));
        out->count = (int)redis_integer(redis_at(a, 4));
        redis_hold(q, out); /* before anything can fail: the heart beats for it, or its lease runs out */
        if (!(out->request = strdup(redis_string(redis_at(a, 5))))) {
            redis_release(q, out);
            s = refuse(p, DREAMO_MEMORY, NULL, "no memory for a job");
        }
    }
    freeReplyObject(a);
    return s;
}

/* The next that nobody has had; waits for it. */
static dreamo_status take_new(redis_jobs *q, int wait_ms, job *out, bool *again, problem *p)
{
    redis_words w = { 0 };
    redisReply *a;
    char stream[100];
    snprintf(stream, sizeof stream, "dreamo:queue:%s", q->place.hash);
    redis_text(&w, "XREADGROUP");
    redis_text(&w, "GROUP");
    redis_text(&w, "workers");
    redis_text(&w, q->who);
    redis_text(&w, "COUNT");
    redis_text(&w, "1");
    redis_text(&w, "BLOCK");
    redis_number(&w, wait_ms > 0 ? wait_ms : 1);
    redis_text(&w, "STREAMS");
    redis_text(&w, stream);
    redis_text(&w, ">");
    dreamo_status s = redis_call(q->r, &w, wait_ms / 1000, &a, p);
    if (s) return s;
    const redisReply *found = redis_at(redis_at(redis_at(a, 0), 1), 0);
    *again = false;
    s = found ? take_one(q, redis_string(redis_at(found, 0)), redis_string(redis_at(redis_at(found, 1), 1)), out, again, p) : DREAMO_NOT_FOUND;
    freeReplyObject(a);
    return s;
}

/* ---- the job ---- */

static bool redis_wanted(jobs *base, const job *j)
{
    redis_jobs *q = (redis_jobs *)base;
    pthread_mutex_lock(&q->lock);
    const held_job *h = redis_held(q, j->id);
    bool wanted = h && !h->lost && !h->cancelled;
    pthread_mutex_unlock(&q->lock);
    return wanted;
}

static void redis_progress(jobs *base, const job *j, const hub_progress *now)
{
    redis_jobs *q = (redis_jobs *)base;
    double t = seconds();
    (void)j; /* fronts read it from the event "step" */
    pthread_mutex_lock(&q->lock);
    double took = t - q->stepped;
    if (now->step > 1) q->step_seconds = q->step_seconds < 0 ? took : 0.8 * q->step_seconds + 0.2 * took;
    q->stepped = t;
    pthread_mutex_unlock(&q->lock);
}

static dreamo_status redis_image_put(jobs *base, const job *j, int n, const blob *b, problem *p)
{
    redis_jobs *q = (redis_jobs *)base;
    redis_words w = { 0 };
    int64_t answer = 0;
    dreamo_status s = DREAMO_OK;
    redis_add_job(&w, q, j->id, j->tries);
    redis_number(&w, n);
    redis_text(&w, b->sha256);
    redis_number(&w, b->width);
    redis_number(&w, b->height);
    redis_add_data(&w, q, b);
    if (q->place.blobs) s = blobs_put(q->place.blobs, b, p);
    while (!s && !redis_lost(q, j) && (s = jobs_script(q, script_image_put, &w, &answer, p)) == DREAMO_BUSY && redis_waits(q)) *p = (problem){ 0 };
    if (s || answer == 0) redis_lose(q, j->id, j->tries);
    return s ? s : answer ? DREAMO_OK : refuse(p, DREAMO_CANCELLED, NULL, "another worker has the job");
}

/* DREAMO_OK, too, when the job is another's by now. */
static dreamo_status redis_finish(jobs *base, const job *j, job_state end, const dreamo_error *why, problem *p)
{
    redis_jobs *q = (redis_jobs *)base;
    static const dreamo_error fine = { 0 };
    redis_words w = { 0 };
    int64_t answer;
    dreamo_status s = DREAMO_OK;
    if (!why) why = &fine;
    char *json = job_end_json(end, why, j->count);
    redis_add_job(&w, q, j->id, j->tries);
    redis_number(&w, (int64_t)end);
    add_end(&w, why, json);
    redis_send(q);
    if (!redis_lost(q, j)) s = jobs_script(q, script_finish, &w, &answer, p);
    free(json);
    if (!s) redis_release(q, j);
    return s;
}

static dreamo_status redis_put_back(jobs *base, const job *j, problem *p)
{
    redis_jobs *q = (redis_jobs *)base;
    redis_words w = { 0 };
    int64_t answer;
    redis_add_job(&w, q, j->id, j->tries);
    redis_send(q);
    dreamo_status s = redis_lost(q, j) ? DREAMO_OK : jobs_script(q, script_put_back, &w, &answer, p);
    if (!s) redis_release(q, j);
    return s;
}

static dreamo_status redis_take(jobs *base, int wait_ms, job_fits fits, void *user, job *out, problem *p)
{
    redis_jobs *q = (redis_jobs *)base;
    bool again;
    dreamo_status s;
    do s = take_one(q, NULL, NULL, out, &again, p);
    while (s == DREAMO_NOT_FOUND && again);
    if (s == DREAMO_NOT_FOUND && !atomic_load(&q->woken)) s = take_new(q, wait_ms, out, &again, p);
    if (!s && fits && !fits(user, out)) { /* only who has it can look at it */
        while ((s = redis_put_back(base, out, p)) == DREAMO_BUSY && redis_waits(q)) *p = (problem){ 0 };
        if (s) redis_release(q, out); /* its lease runs out */
        job_free(out);
        if (!s) s = DREAMO_NOT_FOUND;
    }
    return s == DREAMO_NOT_FOUND ? refuse(p, s, NULL, "no job waits") : s;
}

static void redis_wake(jobs *base) { atomic_store(&((redis_jobs *)base)->woken, true); }

const jobs_worker_ops redis_work = {
    .take = redis_take, .wanted = redis_wanted, .progress = redis_progress, .tell = redis_tell, .image_put = redis_image_put, .finish = redis_finish,
    .put_back = redis_put_back, .wake = redis_wake,
};
