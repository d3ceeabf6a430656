/* keep_sqlite_take.c - the worker's side of the SQLite keeper: jobs from the oldest that waits to their end. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "serve/jobs/keep_sqlite.h"

static void let_go(sqlite_jobs *q, const char *id)
{
    pthread_mutex_lock(&q->lock);
    int place = *id ? jobs_running(q, id) : -1;
    if (place >= 0) q->running[place].id[0] = '\0';
    pthread_mutex_unlock(&q->lock);
}

typedef struct taking { sqlite_jobs *q; job_fits fits; void *user; job *out; bool found; char held[JOB_ID + 1]; } taking;

/* Here, in the order of transactions: a cancel that comes too late to find it waiting finds it running. */
static void hold(taking *t, const char *id)
{
    sqlite_jobs *q = t->q;
    pthread_mutex_lock(&q->lock);
    int place = jobs_running(q, "");
    if (place >= 0) {
        memcpy(q->running[place].id, id, JOB_ID + 1);
        memcpy(t->held, id, JOB_ID + 1);
        q->running[place].cancelled = false;
    }
    pthread_mutex_unlock(&q->lock);
}

static dreamo_status take_work(store *db, void *user, problem *p)
{
    taking *t = user;
    bool row;
    char id[JOB_ID + 1];
    t->found = false;
    let_go(t->q, t->held); /* of a transaction that came to nothing */
    sqlite3_stmt *s = store_query(db, "SELECT id FROM jobs WHERE state=0 ORDER BY seq LIMIT 1", "");
    dreamo_status status = store_step(db, s, &row, p);
    if (status || !row) return status;
    snprintf(id, sizeof id, "%s", store_text(s, 0));
    store_done(s);
    job_free(t->out);
    if (t->fits) {
        status = jobs_read(db, id, NULL, t->out, p);
        if (status || !t->fits(t->user, t->out)) return status;
        job_free(t->out);
    }
    status = store_run(db, p, "UPDATE jobs SET state=1, tries=tries+1, started=? WHERE id=?", "it", jobs_now(), id);
    if (!status) status = store_run(db, p, "DELETE FROM images WHERE job=?", "t", id); /* of an earlier try */
    if (!status) status = jobs_read(db, id, NULL, t->out, p);
    t->found = !status;
    if (!status) hold(t, id);
    return status;
}

static struct timespec deadline_in(int ms)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    t.tv_sec += ms / 1000;
    t.tv_nsec += (long)(ms % 1000) * 1000000;
    if (t.tv_nsec >= 1000000000) {
        t.tv_nsec -= 1000000000;
        t.tv_sec++;
    }
    return t;
}

static dreamo_status jobs_take(jobs *base, int wait_ms, job_fits fits, void *user, job *out, problem *p)
{
    sqlite_jobs *q = (sqlite_jobs *)base;
    struct timespec until = deadline_in(wait_ms);
    *out = (job){ 0 };
    pthread_mutex_lock(&q->lock);
    while (q->of[JOB_QUEUED] == 0 && !q->woken)
        if (pthread_cond_timedwait(&q->more, &q->lock, &until)) break;
    bool any = q->of[JOB_QUEUED] > 0;
    q->woken = false;
    pthread_mutex_unlock(&q->lock);
    taking t = { .q = q, .fits = fits, .user = user, .out = out };
    dreamo_status s = any ? store_write(q->db, take_work, &t, p) : DREAMO_OK;
    if (s || !t.found) {
        if (s) let_go(q, t.held);
        job_free(out);
        return s ? s : refuse(p, DREAMO_NOT_FOUND, NULL, "no job waits");
    }
    jobs_count(q, JOB_QUEUED, JOB_RUNNING);
    return DREAMO_OK;
}

static bool jobs_wanted(jobs *base, const job *j)
{
    sqlite_jobs *q = (sqlite_jobs *)base;
    pthread_mutex_lock(&q->lock);
    int place = jobs_running(q, j->id);
    bool wanted = place < 0 || !q->running[place].cancelled;
    pthread_mutex_unlock(&q->lock);
    return wanted;
}

static void jobs_progress(jobs *base, const job *j, const hub_progress *now) { hub_set_progress(base->hub, j->id, now); }
static void jobs_tell(jobs *base, const job *j, const char *event, const char *json) { hub_tell(base->hub, j->id, j->tries, event, json, false); }

typedef struct image_put { const job *j; int n; const blob *b; } image_put;

static dreamo_status image_put_work(store *db, void *user, problem *p)
{
    const image_put *i = user;
    return store_run(db, p, "INSERT OR REPLACE INTO images(job, n, sha256, width, height, data) VALUES(?, ?, ?, ?, ?, ?)", "titiib", i->j->id,
                     (int64_t)i->n, i->b->sha256, (int64_t)i->b->width, (int64_t)i->b->height, i->b->data, i->b->nbytes);
}

static dreamo_status jobs_image_put(jobs *base, const job *j, int n, const blob *b, problem *p)
{
    image_put i = { j, n, b };
    return store_write(((sqlite_jobs *)base)->db, image_put_work, &i, p);
}

static dreamo_status jobs_finish(jobs *base, const job *j, job_state end, const dreamo_error *why, problem *p)
{
    sqlite_jobs *q = (sqlite_jobs *)base;
    ending e = { .id = j->id, .from = JOB_RUNNING, .to = end, .why = why, .last_event = jobs_next_event(q, j->id, j->tries) };
    dreamo_status s = store_write(q->db, jobs_end_work, &e, p);
    if (s) return s;
    let_go(q, j->id);
    jobs_count(q, JOB_RUNNING, (int)end);
    jobs_tell_end(q, j->id, j->tries, end, why, j->count);
    return DREAMO_OK;
}

static dreamo_status put_back_work(store *db, void *user, problem *p)
{
    return store_run(db, p, "UPDATE jobs SET state=0, tries=tries-1, started=0 WHERE id=?", "t", ((const job *)user)->id);
}

static dreamo_status jobs_put_back(jobs *base, const job *j, problem *p)
{
    sqlite_jobs *q = (sqlite_jobs *)base;
    dreamo_status s = store_write(q->db, put_back_work, (void *)(uintptr_t)j, p);
    if (s) return s;
    let_go(q, j->id);
    jobs_count(q, JOB_RUNNING, JOB_QUEUED);
    return DREAMO_OK;
}

static void jobs_wake(jobs *base)
{
    sqlite_jobs *q = (sqlite_jobs *)base;
    pthread_mutex_lock(&q->lock);
    q->woken = true;
    pthread_cond_broadcast(&q->more);
    pthread_mutex_unlock(&q->lock);
}

const jobs_worker_ops sqlite_work = {
    .take = jobs_take, .wanted = jobs_wanted, .progress = jobs_progress, .tell = jobs_tell, .image_put = jobs_image_put, .finish = jobs_finish,
    .put_back = jobs_put_back, .wake = jobs_wake,
};
