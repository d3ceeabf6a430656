/* keep_sqlite.c - jobs, uploads and pictures in one SQLite file on this machine.
 *
 * The file is the truth; memory holds how many jobs wait, which run and what is told about it.  A job that ran when the server ended is
 * queued again when the file is opened, at most JOB_TRIES times. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "serve/jobs/keep_sqlite.h"
#include "serve/text.h"

static const char schema[] =
    "CREATE TABLE IF NOT EXISTS jobs(seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, who TEXT NOT NULL, state INTEGER NOT NULL,"
    " tries INTEGER NOT NULL DEFAULT 0, created INTEGER NOT NULL, started INTEGER NOT NULL DEFAULT 0, ended INTEGER NOT NULL DEFAULT 0,"
    " request TEXT, count INTEGER NOT NULL, last_event INTEGER NOT NULL DEFAULT 0, status INTEGER NOT NULL DEFAULT 0, message TEXT, hint TEXT);"
    "CREATE INDEX IF NOT EXISTS jobs_by_state ON jobs(state, seq);"
    "CREATE TABLE IF NOT EXISTS images(job TEXT NOT NULL, n INTEGER NOT NULL, sha256 TEXT NOT NULL, width INTEGER, height INTEGER, data BLOB NOT NULL,"
    " UNIQUE(job, n));"
    "CREATE TABLE IF NOT EXISTS uploads(sha256 TEXT NOT NULL UNIQUE, used INTEGER NOT NULL, width INTEGER, height INTEGER, data BLOB NOT NULL);"
    "CREATE TABLE IF NOT EXISTS needs(job TEXT NOT NULL, sha256 TEXT NOT NULL, UNIQUE(job, sha256));" /* while the job waits or runs */
    "CREATE INDEX IF NOT EXISTS needs_by_upload ON needs(sha256);"
    "CREATE TABLE IF NOT EXISTS once(name TEXT NOT NULL UNIQUE, body TEXT NOT NULL, job TEXT NOT NULL, created INTEGER NOT NULL);";

int64_t jobs_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

int jobs_running(sqlite_jobs *q, const char *id)
{
    int i = 0;
    while (i < JOB_BATCH && strcmp(q->running[i].id, id)) i++;
    return i < JOB_BATCH ? i : -1;
}

void jobs_count(sqlite_jobs *q, int from, int to)
{
    pthread_mutex_lock(&q->lock);
    if (from >= 0) q->of[from]--;
    if (to >= 0) q->of[to]++;
    if (to == JOB_QUEUED) pthread_cond_signal(&q->more);
    pthread_mutex_unlock(&q->lock);
}

/* ---- submitting ---- */

typedef struct submission { sqlite_jobs *q; const job_new *what; job_ticket *out; char once[400]; int64_t now; } submission;

/* Has this key been used?  Then its job is the answer, if the request is the same. */
static dreamo_status look_up_once(store *db, submission *m, problem *p)
{
    bool row;
    sqlite3_stmt *s = store_query(db, "SELECT job, body FROM once WHERE name=?", "t", m->once);
    dreamo_status status = store_step(db, s, &row, p);
    if (status || !row) return status;
    if (strcmp(store_text(s, 1), m->what->body_hash)) {
        status = refuse(p, DREAMO_MISMATCH, NULL, "Idempotency-Key: was used with another request");
        advise(p, "use a new key for a new request");
    } else {
        snprintf(m->out->id, sizeof m->out->id, "%s", store_text(s, 0));
        m->out->again = true;
    }
    store_done(s);
    return status;
}

static dreamo_status take_uploads(store *db, submission *m, problem *p)
{
    for (int i = 0; i < m->what->nuploads; i++) {
        const char *sha = m->what->uploads[i];
        dreamo_status status = store_run(db, p, "UPDATE uploads SET used=? WHERE sha256=?", "it", m->now, sha);
        if (status) return status;
        if (store_changes(db) == 0) {
            refuse(p, DREAMO_NOT_FOUND, NULL, "upload %s: is not here (any more)", sha);
            return advise(p, "upload the picture again");
        }
        status = store_run(db, p, "INSERT OR IGNORE INTO needs(job, sha256) VALUES(?, ?)", "tt", m->out->id, sha);
        if (status) return status;
    }
    return DREAMO_OK;
}

static dreamo_status submit_work(store *db, void *job, problem *p)
{
    submission *m = job;
    const job_new *w = m->what;
    dreamo_status status = DREAMO_OK;
    m->out->again = false;
    m->now = jobs_now(); /* here, where jobs get their order */
    if (w->once) status = look_up_once(db, m, p);
    if (status || m->out->again) return status;
    random_hex(m->out->id, JOB_ID);
    status = store_run(db, p, "INSERT INTO jobs(id, who, state, created, request, count) VALUES(?, ?, 0, ?, ?, ?)", "ttiti", m->out->id, w->who,
                       m->now, w->request, (int64_t)w->count);
    if (!status) status = take_uploads(db, m, p);
    if (!status && w->once)
        status = store_run(db, p, "INSERT INTO once(name, body, job, created) VALUES(?, ?, ?, ?)", "ttti", m->once, w->body_hash, m->out->id, m->now);
    return status;
}

static dreamo_status once_work(store *db, void *job, problem *p) { return look_up_once(db, job, p); }

/* A place in the queue is taken before the transaction, so that no burst can pass the limit. */
static dreamo_status jobs_submit(jobs *base, const job_new *what, job_ticket *out, problem *p)
{
    sqlite_jobs *q = (sqlite_jobs *)base;
    submission m = { .q = q, .what = what, .out = out };
    *out = (job_ticket){ 0 };
    if (what->once) snprintf(m.once, sizeof m.once, "%s\n%s", what->who, what->once);
    pthread_mutex_lock(&q->lock);
    bool full = q->of[JOB_QUEUED] >= q->queue;
    out->position = q->of[JOB_QUEUED] + q->of[JOB_RUNNING];
    if (!full) q->of[JOB_QUEUED]++;
    pthread_mutex_unlock(&q->lock);
    if (full && what->once) { /* a job that is in already may be asked for again */
        dreamo_status s = store_read(q->db, once_work, &m, p);
        if (s || out->again) return s;
    }
    if (full) {
        p->retry_after = 2;
        refuse(p, DREAMO_BUSY, NULL, "the queue is full: %lld jobs wait", (long long)q->queue);
        return advise(p, "try again later");
    }
    dreamo_status s = store_write(q->db, submit_work, &m, p);
    jobs_count(q, JOB_QUEUED, s || out->again ? -1 : JOB_QUEUED); /* gives the place back, or makes it known to the worker */
    return s;
}

/* ---- looking ---- */

typedef struct lookup { const char *id, *who; job *out; int n; blob *blob; const char *sha256; } lookup;

static dreamo_status no_job(const char *id, problem *p) { return refuse(p, DREAMO_NOT_FOUND, NULL, "job %.40s: there is no such job", id); }

dreamo_status jobs_read(store *db, const char *id, const char *who, job *out, problem *p)
{
    bool row;
    *out = (job){ 0 };
    sqlite3_stmt *s = store_query(db, "SELECT id, who, state, tries, created, started, ended, request, count, last_event, status, message, hint,"
                                      " (SELECT COUNT(*) FROM images WHERE job=jobs.id) FROM jobs WHERE id=?", "t", id);
    dreamo_status status = store_step(db, s, &row, p);
    if (status) return status;
    if (!row) return no_job(id, p);
    if (who && strcmp(who, store_text(s, 1))) {
        store_done(s);
        return no_job(id, p);
    }
    snprintf(out->id, sizeof out->id, "%s", store_text(s, 0));
    snprintf(out->who, sizeof out->who, "%s", store_text(s, 1));
    out->state = (job_state)sqlite3_column_int(s, 2);
    out->tries = sqlite3_column_int(s, 3);
    out->created = sqlite3_column_int64(s, 4);
    out->started = sqlite3_column_int64(s, 5);
    out->ended = sqlite3_column_int64(s, 6);
    if (sqlite3_column_type(s, 7) != SQLITE_NULL && !(out->request = strdup(store_text(s, 7))))
        status = refuse(p, DREAMO_MEMORY, NULL, "no memory for a job");
    out->count = sqlite3_column_int(s, 8);
    out->last_event = sqlite3_column_int64(s, 9);
    out->error.status = (dreamo_status)sqlite3_column_int(s, 10);
    snprintf(out->error.message, sizeof out->error.message, "%s", store_text(s, 11));
    snprintf(out->error.hint, sizeof out->error.hint, "%s", store_text(s, 12));
    out->images = sqlite3_column_int(s, 13);
    store_done(s);
    return status;
}

static dreamo_status get_work(store *db, void *user, problem *p)
{
    lookup *l = user;
    bool row;
    dreamo_status status = jobs_read(db, l->id, l->who, l->out, p);
    if (status || l->out->state != JOB_QUEUED) return status;
    sqlite3_stmt *s = store_query(db, "SELECT COUNT(*) FROM jobs WHERE state=0 AND seq < (SELECT seq FROM jobs WHERE id=?)", "t", l->id);
    status = store_step(db, s, &row, p);
    if (row) l->out->position = sqlite3_column_int64(s, 0);
    store_done(s);
    return status;
}

static dreamo_status jobs_get(jobs *base, const char *id, const char *who, job *out, problem *p)
{
    sqlite_jobs *q = (sqlite_jobs *)base;
    lookup l = { .id = id, .who = who, .out = out };
    dreamo_status s = store_read(q->db, get_work, &l, p);
    if (!s && out->state == JOB_QUEUED) {
        pthread_mutex_lock(&q->lock);
        out->position += q->of[JOB_RUNNING];
        pthread_mutex_unlock(&q->lock);
    }
    if (s) job_free(out);
    return s;
}

static dreamo_status copy_blob(sqlite3_stmt *s, blob *out, problem *p) /* columns: data, sha256, width, height */
{
    size_t n = (size_t)sqlite3_column_bytes(s, 0);
    *out = (blob){ .data = malloc(n + 1), .nbytes = n, .width = sqlite3_column_int(s, 2), .height = sqlite3_column_int(s, 3) };
    snprintf(out->sha256, sizeof out->sha256, "%s", store_text(s, 1));
    if (!out->data) return refuse(p, DREAMO_MEMORY, NULL, "no memory for a picture of %zu bytes", n);
    if (n) memcpy(out->data, sqlite3_column_blob(s, 0), n);
    return DREAMO_OK;
}

static dreamo_status image_work(store *db, void *user, problem *p)
{
    lookup *l = user;
    bool row;
    sqlite3_stmt *s = store_query(db, "SELECT data, sha256, width, height FROM images WHERE job=? AND n=?", "ti", l->id, (int64_t)l->n);
    dreamo_status status = store_step(db, s, &row, p);
    if (status) return status;
    if (!row) return refuse(p, DREAMO_NOT_FOUND, NULL, "job %s: has no picture %d", l->id, l->n);
    status = copy_blob(s, l->blob, p);
    store_done(s);
    return status;
}

static dreamo_status jobs_image(jobs *base, const char *id, int n, blob *out, problem *p)
{
    lookup l = { .id = id, .n = n, .blob = out };
    return store_read(((sqlite_jobs *)base)->db, image_work, &l, p);
}

/* ---- uploads ---- */

static dreamo_status upload_put_work(store *db, void *user, problem *p)
{
    const blob *b = user;
    dreamo_status s = store_run(db, p, "UPDATE uploads SET used=? WHERE sha256=?", "it", jobs_now(), b->sha256);
    if (s || store_changes(db)) return s;
    return store_run(db, p, "INSERT INTO uploads(sha256, used, width, height, data) VALUES(?, ?, ?, ?, ?)", "tiiib", b->sha256, jobs_now(),
                     (int64_t)b->width, (int64_t)b->height, b->data, b->nbytes);
}

static dreamo_status jobs_upload_put(jobs *base, const blob *b, problem *p)
{
    return store_write(((sqlite_jobs *)base)->db, upload_put_work, (void *)(uintptr_t)b, p);
}

static dreamo_status no_upload(const char *sha256, problem *p)
{
    return refuse(p, DREAMO_NOT_FOUND, NULL, "upload %.70s: is not here (any more)", sha256);
}

static dreamo_status upload_get_work(store *db, void *user, problem *p)
{
    lookup *l = user;
    bool row;
    sqlite3_stmt *s = store_query(db, "SELECT data, sha256, width, height FROM uploads WHERE sha256=?", "t", l->sha256);
    dreamo_status status = store_step(db, s, &row, p);
    if (status) return status;
    if (!row) return no_upload(l->sha256, p);
    status = copy_blob(s, l->blob, p);
    store_done(s);
    return status;
}

static dreamo_status jobs_upload_get(jobs *base, const char *sha256, blob *out, problem *p)
{
    lookup l = { .sha256 = sha256, .blob = out };
    return store_read(((sqlite_jobs *)base)->db, upload_get_work, &l, p);
}

static dreamo_status upload_drop_work(store *db, void *user, problem *p)
{
    const char *sha256 = user;
    bool row;
    sqlite3_stmt *s = store_query(db, "SELECT 1 FROM needs WHERE sha256=? LIMIT 1", "t", sha256);
    dreamo_status status = store_step(db, s, &row, p);
    if (status) return status;
    if (row) {
        store_done(s);
        return refuse_http(p, DREAMO_BUSY, 409, "upload %.16s...: a job that waits or runs needs it", sha256);
    }
    status = store_run(db, p, "DELETE FROM uploads WHERE sha256=?", "t", sha256);
    return status || store_changes(db) ? status : no_upload(sha256, p);
}

static dreamo_status jobs_upload_drop(jobs *base, const char *sha256, problem *p)
{
    return store_write(((sqlite_jobs *)base)->db, upload_drop_work, (void *)(uintptr_t)sha256, p);
}

/* ---- ending ---- */

dreamo_status jobs_end_work(store *db, void *user, problem *p)
{
    ending *e = user;
    const dreamo_error *w = e->why;
    dreamo_status s = store_run(db, p, "UPDATE jobs SET state=?, ended=?, last_event=?, status=?, message=?, hint=? WHERE id=? AND state=?",
                                "iiiittti", (int64_t)e->to, jobs_now(), e->last_event, (int64_t)(w ? w->status : 0), w ? w->message : NULL,
                                w ? w->hint : NULL, e->id, (int64_t)e->from);
    e->changed = !s && store_changes(db) > 0;
    if (s || !e->changed) return s;
    return store_run(db, p, "DELETE FROM needs WHERE job=?", "t", e->id);
}

/* The event that is told after this has been written. */
int64_t jobs_next_event(sqlite_jobs *q, const char *id, int tries)
{
    int64_t last = hub_last_id(q->base.hub, id), base = (int64_t)tries << 16;
    return last > base ? last + 1 : base + 2; /* after "queued" */
}

void jobs_tell_end(sqlite_jobs *q, const char *id, int tries, job_state end, const dreamo_error *why, int images)
{
    char *json = job_end_json(end, why, images);
    hub_tell(q->base.hub, id, tries, end == JOB_DONE ? "done" : "error", json ? json : "{}", true);
    free(json);
}

static dreamo_status jobs_cancel(jobs *base, const char *id, const char *who, job_state *was, problem *p)
{
    sqlite_jobs *q = (sqlite_jobs *)base;
    job j;
    dreamo_status s = jobs_get(base, id, who, &j, p);
    if (s) return s;
    *was = j.state;
    if (j.state == JOB_QUEUED) {
        ending e = { .id = id, .from = JOB_QUEUED, .to = JOB_CANCELLED, .why = &job_stopped, .last_event = jobs_next_event(q, id, j.tries) };
        s = store_write(q->db, jobs_end_work, &e, p);
        if (!s && e.changed) {
            jobs_count(q, JOB_QUEUED, JOB_CANCELLED);
            jobs_tell_end(q, id, j.tries, JOB_CANCELLED, &job_stopped, 0);
        }
        if (!s && !e.changed) *was = JOB_RUNNING; /* a worker was faster: it hears below */
    }
    pthread_mutex_lock(&q->lock);
    int place = jobs_running(q, id);
    if (place >= 0) q->running[place].cancelled = true;
    pthread_mutex_unlock(&q->lock);
    job_free(&j);
    return s;
}

/* ---- keeping house ---- */

typedef struct age { int64_t now, before, long_before; } age;

/* A clock that was set back would keep what it finds in its future so much longer. */
static dreamo_status from_the_future(store *db, const age *a, problem *p)
{
    dreamo_status s = store_run(db, p, "UPDATE jobs SET ended=? WHERE state>1 AND ended>?", "ii", a->now, a->now);
    if (!s) s = store_run(db, p, "UPDATE uploads SET used=? WHERE used>?", "ii", a->now, a->now);
    if (!s) s = store_run(db, p, "UPDATE once SET created=? WHERE created>?", "ii", a->now, a->now);
    return s;
}

static dreamo_status tidy_work(store *db, void *user, problem *p)
{
    const age *a = user;
    dreamo_status s = from_the_future(db, a, p);
    if (!s) s = store_run(db, p, "DELETE FROM images WHERE job IN (SELECT id FROM jobs WHERE state>1 AND ended<? AND request IS NOT NULL)",
                                "i", a->before);
    if (!s) s = store_run(db, p, "UPDATE jobs SET request=NULL WHERE state>1 AND ended<? AND request IS NOT NULL", "i", a->before);
    if (!s) s = store_run(db, p, "DELETE FROM jobs WHERE state>1 AND ended<?", "i", a->long_before);
    if (!s) s = store_run(db, p, "DELETE FROM uploads WHERE used<? AND sha256 NOT IN (SELECT sha256 FROM needs)", "i", a->before);
    if (!s) s = store_run(db, p, "DELETE FROM once WHERE created<? AND job NOT IN (SELECT id FROM jobs WHERE request IS NOT NULL)", "i", a->before);
    return s;
}

/* A job whose results are gone is remembered ten times as long, so that it can be told from one that never was. */
static void jobs_tidy(jobs *base, int64_t keep_seconds)
{
    int64_t now = jobs_now(), keep = keep_seconds * 1000;
    age a = { now, now - keep, now - 10 * keep };
    problem p = { 0 };
    store_write(((sqlite_jobs *)base)->db, tidy_work, &a, &p);
}

static void jobs_counts(jobs *base, int64_t of[JOB_STATES])
{
    sqlite_jobs *q = (sqlite_jobs *)base;
    pthread_mutex_lock(&q->lock);
    memcpy(of, q->of, sizeof q->of);
    pthread_mutex_unlock(&q->lock);
}

static bool jobs_alive(jobs *base, problem *p)
{
    (void)base, (void)p;
    return true;
}

static void jobs_close(jobs *base)
{
    sqlite_jobs *q = (sqlite_jobs *)base;
    store_close(q->db);
    pthread_mutex_destroy(&q->lock);
    pthread_cond_destroy(&q->more);
    free(q);
}

static const jobs_ops ops = {
    .submit = jobs_submit, .get = jobs_get, .cancel = jobs_cancel, .image = jobs_image, .upload_put = jobs_upload_put, .upload_get = jobs_upload_get,
    .upload_drop = jobs_upload_drop, .counts = jobs_counts, .alive = jobs_alive, .tidy = jobs_tidy, .close = jobs_close,
};

/* ---- opening ---- */

/* What ran when the last server ended waits again; what has had its tries is over. */
static dreamo_status recover_work(store *db, void *user, problem *p)
{
    sqlite_jobs *q = user;
    bool row;
    dreamo_status s = store_run(db, p,
                                "UPDATE jobs SET state=3, ended=?, status=?, message='the server ended while it was being made, ' || tries || ' times'"
                                       " WHERE state=1 AND tries>=?", "iii", jobs_now(), (int64_t)DREAMO_BUG, (int64_t)JOB_TRIES);
    if (!s) s = store_run(db, p, "UPDATE jobs SET state=0 WHERE state=1", "");
    if (!s) s = store_run(db, p, "DELETE FROM needs WHERE job NOT IN (SELECT id FROM jobs WHERE state<2)", "");
    sqlite3_stmt *c = s ? NULL : store_query(db, "SELECT state, COUNT(*) FROM jobs GROUP BY state", "");
    memset(q->of, 0, sizeof q->of);
    while (!s && !(s = store_step(db, c, &row, p)) && row) {
        int state = sqlite3_column_int(c, 0);
        if (state >= 0 && state < JOB_STATES) q->of[state] = sqlite3_column_int64(c, 1);
    }
    return s;
}

dreamo_status jobs_open_sqlite(const char *path, int64_t queue, hub *h, jobs **out, problem *p)
{
    sqlite_jobs *q = calloc(1, sizeof *q);
    *out = NULL;
    if (!q) return refuse(p, DREAMO_MEMORY, NULL, "no memory for the queue");
    q->base = (jobs){ &ops, &sqlite_work, h };
    q->queue = queue;
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_mutex_init(&q->lock, NULL);
    pthread_cond_init(&q->more, &monotonic);
    pthread_condattr_destroy(&monotonic);
    dreamo_status s = store_open(path, schema, 1, &q->db, p);
    if (!s) s = store_write(q->db, recover_work, q, p);
    if (s) jobs_close(&q->base);
    else *out = &q->base;
    return s;
}
