/* keep.c - jobs, uploads and pictures on a Redis server, for fronts and workers on many machines: the front's side, and opening.
 *
 * Redis is the truth (scripts.c has its keys); a front holds no more than what it is told about jobs, which one thread reads for
 * all listeners.  How much of a promise "accepted" is, is Redis's: with `appendonly yes` and `appendfsync always` it is on the disk. */
#include "serve/redis/keep.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "serve/redis/blobs.h"
#include "serve/text.h"

enum { POLL_MS = 1000 };

/* ---- calls ---- */

dreamo_status jobs_script(redis_jobs *q, const char *script, const redis_words *w, int64_t *answer, problem *p)
{
    redisReply *a;
    dreamo_status s = redis_script(q->r, script, w, &a, p);
    *answer = s ? 0 : redis_integer(a);
    freeReplyObject(a);
    return s;
}

static bool is_hex(const char *s, size_t digits) { return strlen(s) == digits && strspn(s, "0123456789abcdef") == digits; }

/* From Redis, or from the folder that *out's hash names it in. */
static dreamo_status read_data(const redis_jobs *q, const redisReply *data, blob *out, problem *p)
{
    if (data && data->type == REDIS_REPLY_STRING) {
        if (!(out->data = malloc(data->len + 1))) return refuse(p, DREAMO_MEMORY, NULL, "no memory for a picture of %zu bytes", data->len);
        memcpy(out->data, data->str, out->nbytes = data->len);
        return DREAMO_OK;
    }
    if (q->place.blobs) return blobs_get(q->place.blobs, out->sha256, out, p);
    refuse(p, DREAMO_NOT_FOUND, NULL, "picture %.16s...: lies in a folder that others share", out->sha256);
    return advise(p, "give --blobs DIR here, too");
}

dreamo_status redis_blob(redis_jobs *q, const char *key, blob *out, problem *p)
{
    redis_words w = { 0 };
    redisReply *a;
    static const char *const words[] = { "data", "sha256", "width", "height" };
    *out = (blob){ 0 };
    redis_text(&w, "HMGET");
    redis_text(&w, key);
    for (int i = 0; i < 4; i++) redis_text(&w, words[i]);
    dreamo_status s = redis_call(q->r, &w, 0, &a, p);
    if (s) return s;
    snprintf(out->sha256, sizeof out->sha256, "%s", redis_string(redis_at(a, 1)));
    out->width = (int)redis_integer(redis_at(a, 2));
    out->height = (int)redis_integer(redis_at(a, 3));
    s = !is_hex(out->sha256, 64) ? DREAMO_NOT_FOUND : read_data(q, redis_at(a, 0), out, p);
    freeReplyObject(a);
    return s;
}

void redis_add_data(redis_words *w, const redis_jobs *q, const blob *b) { redis_bytes(w, q->place.blobs ? "" : b->data, q->place.blobs ? 0 : b->nbytes); }

/* ---- submitting ---- */

static dreamo_status read_ticket(const redisReply *a, job_ticket *out, problem *p)
{
    const char *what = redis_string(redis_at(a, 0));
    if (strcmp(what, "ok") == 0) {
        out->position = redis_integer(redis_at(a, 1));
        return DREAMO_OK;
    }
    if (strcmp(what, "again") == 0) {
        snprintf(out->id, sizeof out->id, "%s", redis_string(redis_at(a, 1)));
        out->again = true;
        return DREAMO_OK;
    }
    if (strcmp(what, "full") == 0) {
        p->retry_after = 2;
        refuse(p, DREAMO_BUSY, NULL, "the queue is full: %lld jobs wait", (long long)redis_integer(redis_at(a, 1)));
        return advise(p, "try again later");
    }
    if (strcmp(what, "upload") == 0) {
        refuse(p, DREAMO_NOT_FOUND, NULL, "upload %s: is not here (any more)", redis_string(redis_at(a, 1)));
        return advise(p, "upload the picture again");
    }
    if (strcmp(what, "mismatch") == 0) {
        refuse(p, DREAMO_MISMATCH, NULL, "Idempotency-Key: was used with another request");
        return advise(p, "use a new key for a new request");
    }
    return refuse(p, DREAMO_BUG, NULL, "the queue's answer to a job is not known");
}

static dreamo_status redis_submit(jobs *base, const job_new *what, job_ticket *out, problem *p)
{
    redis_jobs *q = (redis_jobs *)base;
    redis_words w = { 0 };
    redisReply *a;
    char once[400] = "";
    *out = (job_ticket){ 0 };
    random_hex(out->id, JOB_ID);
    if (what->once) snprintf(once, sizeof once, "%s\n%s", what->who, what->once);
    redis_text(&w, out->id);
    redis_text(&w, q->place.hash);
    redis_text(&w, what->who);
    redis_text(&w, what->request);
    redis_number(&w, what->count);
    redis_number(&w, q->place.keep_seconds);
    redis_number(&w, q->place.queue);
    redis_text(&w, once);
    redis_text(&w, what->body_hash);
    for (int i = 0; i < what->nuploads; i++) redis_text(&w, what->uploads[i]);
    dreamo_status s = redis_script(q->r, script_submit, &w, &a, p);
    if (!s) s = read_ticket(a, out, p);
    freeReplyObject(a);
    return s;
}

/* ---- looking ---- */

static dreamo_status no_job(const char *id, problem *p) { return refuse(p, DREAMO_NOT_FOUND, NULL, "job %.40s: there is no such job", id); }

static dreamo_status read_job(const redisReply *a, job *out, problem *p)
{
    const redisReply *request = redis_at(a, 13);
    int64_t state = redis_integer(redis_at(a, 2));
    snprintf(out->id, sizeof out->id, "%s", redis_string(redis_at(a, 0)));
    snprintf(out->who, sizeof out->who, "%s", redis_string(redis_at(a, 1)));
    out->state = state >= 0 && state < JOB_STATES ? (job_state)state : JOB_FAILED;
    out->tries = (int)redis_integer(redis_at(a, 3));
    out->created = redis_integer(redis_at(a, 4));
    out->started = redis_integer(redis_at(a, 5));
    out->ended = redis_integer(redis_at(a, 6));
    out->count = (int)redis_integer(redis_at(a, 7));
    out->images = (int)redis_integer(redis_at(a, 8));
    out->last_event = redis_integer(redis_at(a, 9));
    out->error.status = (dreamo_status)redis_integer(redis_at(a, 10));
    snprintf(out->error.message, sizeof out->error.message, "%s", redis_string(redis_at(a, 11)));
    snprintf(out->error.hint, sizeof out->error.hint, "%s", redis_string(redis_at(a, 12)));
    out->position = redis_integer(redis_at(a, 14));
    if (request && request->type == REDIS_REPLY_STRING && !(out->request = strdup(request->str)))
        return refuse(p, DREAMO_MEMORY, NULL, "no memory for a job");
    return DREAMO_OK;
}

static dreamo_status redis_get(jobs *base, const char *id, const char *who, job *out, problem *p)
{
    redis_jobs *q = (redis_jobs *)base;
    redis_words w = { 0 };
    redisReply *a;
    *out = (job){ 0 };
    if (!is_hex(id, JOB_ID)) return no_job(id, p);
    redis_text(&w, id);
    dreamo_status s = redis_script(q->r, script_get, &w, &a, p);
    if (s) return s;
    if (a->type != REDIS_REPLY_ARRAY || (who && strcmp(who, redis_string(redis_at(a, 1))))) s = no_job(id, p);
    else s = read_job(a, out, p);
    freeReplyObject(a);
    if (s) job_free(out);
    return s;
}

static dreamo_status redis_cancel(jobs *base, const char *id, const char *who, job_state *was, problem *p)
{
    redis_words w = { 0 };
    int64_t before;
    job j;
    dreamo_status s = redis_get(base, id, who, &j, p);
    if (s) return s;
    char *json = job_end_json(JOB_CANCELLED, &job_stopped, 0);
    redis_text(&w, id);
    redis_number(&w, job_stopped.status);
    redis_text(&w, job_stopped.message);
    redis_text(&w, job_stopped.hint);
    redis_text(&w, json ? json : "{}");
    s = jobs_script((redis_jobs *)base, script_cancel, &w, &before, p);
    if (!s) *was = (job_state)before;
    free(json);
    job_free(&j);
    return s;
}

static dreamo_status redis_image(jobs *base, const char *id, int n, blob *out, problem *p)
{
    char key[80];
    snprintf(key, sizeof key, "dreamo:image:%s:%d", id, n);
    dreamo_status s = redis_blob((redis_jobs *)base, key, out, p);
    return s == DREAMO_NOT_FOUND ? refuse(p, s, NULL, "job %s: has no picture %d", id, n) : s;
}

/* ---- uploads ---- */

static dreamo_status redis_upload_put(jobs *base, const blob *b, problem *p)
{
    redis_jobs *q = (redis_jobs *)base;
    redis_words w = { 0 };
    int64_t answer;
    redis_text(&w, b->sha256);
    redis_number(&w, b->width);
    redis_number(&w, b->height);
    redis_add_data(&w, q, b);
    redis_number(&w, q->place.keep_seconds > 0 ? q->place.keep_seconds : 1);
    dreamo_status s = q->place.blobs ? blobs_put(q->place.blobs, b, p) : DREAMO_OK; /* first: what is known is there */
    return s ? s : jobs_script(q, script_upload_put, &w, &answer, p);
}

static dreamo_status no_upload(const char *sha256, problem *p)
{
    return refuse(p, DREAMO_NOT_FOUND, NULL, "upload %.70s: is not here (any more)", sha256);
}

/* Both sides call this one: a worker waits for a server that is away. */
static dreamo_status redis_upload_get(jobs *base, const char *sha256, blob *out, problem *p)
{
    redis_jobs *q = (redis_jobs *)base;
    char key[100];
    dreamo_status s;
    *out = (blob){ 0 };
    if (!is_hex(sha256, 64)) return no_upload(sha256, p);
    snprintf(key, sizeof key, "dreamo:upload:%s", sha256);
    while ((s = redis_blob(q, key, out, p)) == DREAMO_BUSY && redis_waits(q)) *p = (problem){ 0 };
    return s == DREAMO_NOT_FOUND ? no_upload(sha256, p) : s;
}

static bool needed(void *user, const char *sha256)
{
    redis_words w = { 0 };
    int64_t answer;
    problem p = { 0 };
    redis_text(&w, sha256);
    return jobs_script(user, script_needed, &w, &answer, &p) || answer != 0; /* not known: perhaps */
}

static dreamo_status redis_upload_drop(jobs *base, const char *sha256, problem *p)
{
    redis_words w = { 0 };
    int64_t answer;
    if (!is_hex(sha256, 64)) return no_upload(sha256, p);
    redis_text(&w, sha256);
    redis_jobs *q = (redis_jobs *)base;
    dreamo_status s = jobs_script(q, script_upload_drop, &w, &answer, p);
    if (s) return s;
    if (answer > 0 && q->place.blobs && !needed(q, sha256)) blobs_drop(q->place.blobs, sha256);
    if (answer < 0) return refuse_http(p, DREAMO_BUSY, 409, "upload %.16s...: a job that waits or runs needs it", sha256);
    return answer ? DREAMO_OK : no_upload(sha256, p);
}

/* ---- the whole ---- */

static void redis_counts(jobs *base, int64_t of[JOB_STATES])
{
    redis_jobs *q = (redis_jobs *)base;
    redis_words w = { 0 };
    redisReply *a;
    problem p = { 0 };
    char key[100];
    snprintf(key, sizeof key, "dreamo:counts:%s", q->place.hash);
    redis_text(&w, "HMGET");
    redis_text(&w, key);
    for (int i = 0; i < JOB_STATES; i++) redis_number(&w, i);
    bool failed = redis_call(q->r, &w, 0, &a, &p);
    for (int i = 0; i < JOB_STATES; i++) of[i] = failed ? 0 : redis_integer(redis_at(a, (size_t)i));
    freeReplyObject(a);
}

static dreamo_status ask_workers(redis_jobs *q, redisReply **a, problem *p)
{
    redis_words w = { 0 };
    redis_text(&w, q->place.hash);
    return redis_script(q->r, script_workers, &w, a, p);
}

static bool redis_alive(jobs *base, problem *p)
{
    redis_jobs *q = (redis_jobs *)base;
    redisReply *a;
    if (ask_workers(q, &a, p)) return false;
    bool some = a->type == REDIS_REPLY_ARRAY && a->elements > 0;
    freeReplyObject(a);
    if (some) return true;
    refuse_http(p, DREAMO_BUSY, 503, "no worker has the model %s (%.12s): jobs wait", q->place.model, q->place.hash);
    advise(p, "dreamo worker --queue %s -m MODEL", redis_name(q->r));
    return false;
}

static json_t *redis_workers(jobs *base)
{
    json_t *list = json_array(), *one;
    redisReply *a;
    problem p = { 0 };
    if (ask_workers((redis_jobs *)base, &a, &p)) return list;
    for (size_t i = 0; redis_at(a, i); i++) {
        const char *s = redis_string(redis_at(a, i));
        if (!json_text_read(s, strlen(s), "a worker", &one, &p)) json_array_append_new(list, one);
    }
    freeReplyObject(a);
    return list;
}

/* Redis does: everything has its time to live, but for files. */
static void redis_tidy(jobs *base, int64_t keep_seconds)
{
    redis_jobs *q = (redis_jobs *)base;
    if (q->place.blobs) blobs_sweep(q->place.blobs, keep_seconds, needed, q);
}

/* ---- events ---- */

static void relay(redis_jobs *q, const char *id, int64_t n, const char *name, const char *data, bool last)
{
    json_t *o;
    problem p = { 0 };
    if (strcmp(name, "step") == 0 && !json_text_read(data, strlen(data), "a step", &o, &p)) {
        json_t *left = json_object_get(o, "seconds_left");
        hub_progress now = { .step = (int)json_integer_value(json_object_get(o, "step")), .steps = (int)json_integer_value(json_object_get(o, "steps")),
                             .picture = (int)json_integer_value(json_object_get(o, "picture")), .seconds_left = left ? json_number_value(left) : -1 };
        json_decref(o);
        hub_set_progress(q->base.hub, id, &now);
    }
    hub_relay(q->base.hub, id, n, name, data, last);
}

/* The preview itself lies elsewhere, so that the stream stays small; it may have been replaced by a newer one since, or be gone. */
static void relay_preview(redis_jobs *q, const char *id, int64_t n)
{
    redis_words w = { 0 };
    redisReply *a;
    problem p = { 0 };
    char key[64];
    snprintf(key, sizeof key, "dreamo:preview:%s", id);
    redis_text(&w, "GET");
    redis_text(&w, key);
    if (redis_call(q->r, &w, 0, &a, &p)) return;
    if (a->type == REDIS_REPLY_STRING) relay(q, id, n, "preview", a->str, false);
    freeReplyObject(a);
}

/* [entry, [name, value, ...]] in the order in which script tell() writes. */
static void relay_entry(redis_jobs *q, const redisReply *entry, char last[64])
{
    const redisReply *v = redis_at(entry, 1);
    const char *id = redis_string(redis_at(v, 1)), *name = redis_string(redis_at(v, 5));
    int64_t n = redis_integer(redis_at(v, 3));
    snprintf(last, 64, "%s", redis_string(redis_at(entry, 0)));
    if (!is_hex(id, JOB_ID) || n <= 0) return;
    if (strcmp(name, "preview") == 0) relay_preview(q, id, n);
    else relay(q, id, n, name, redis_string(redis_at(v, 7)), redis_integer(redis_at(v, 9)) != 0);
}

/* From the oldest that is there: a front that comes later tells of the jobs that run as the others do. */
static void *read_events(void *user)
{
    redis_jobs *q = user;
    char last[64] = "0";
    while (!atomic_load(&q->closing)) {
        redis_words w = { 0 };
        redisReply *a;
        problem p = { 0 };
        static const char *const words[] = { "XREAD", "COUNT", "100", "BLOCK", "500", "STREAMS", "dreamo:events" };
        for (size_t i = 0; i < sizeof words / sizeof *words; i++) redis_text(&w, words[i]);
        redis_text(&w, last);
        if (redis_call(q->r, &w, 1, &a, &p)) {
            nanosleep(&(struct timespec){ .tv_nsec = 200000000 }, NULL);
            continue;
        }
        const redisReply *entries = redis_at(redis_at(a, 0), 1);
        for (size_t i = 0; redis_at(entries, i); i++) relay_entry(q, redis_at(entries, i), last);
        freeReplyObject(a);
    }
    return NULL;
}

/* ---- opening ---- */

static void redis_jobs_close(jobs *base)
{
    redis_jobs *q = (redis_jobs *)base;
    pthread_mutex_lock(&q->lock);
    atomic_store(&q->closing, true);
    pthread_cond_signal(&q->some);
    pthread_mutex_unlock(&q->lock);
    if (q->threaded) pthread_join(q->thread, NULL);
    if (q->threaded && *q->who) redis_leave(q);
    redis_close(q->r);
    pthread_mutex_destroy(&q->lock);
    pthread_mutex_destroy(&q->sending);
    pthread_cond_destroy(&q->some);
    free(q);
}

static const jobs_ops ops = {
    .submit = redis_submit, .get = redis_get, .cancel = redis_cancel, .image = redis_image, .upload_put = redis_upload_put, .upload_get = redis_upload_get,
    .upload_drop = redis_upload_drop, .counts = redis_counts, .alive = redis_alive, .workers = redis_workers, .tidy = redis_tidy, .close = redis_jobs_close,
};

static void name_worker(redis_jobs *q)
{
    char salt[9];
    random_hex(salt, 8);
    snprintf(q->who, sizeof q->who, "%s-%s", q->place.worker, salt);
}

dreamo_status jobs_open_redis(const fleet_place *at, hub *h, jobs **out, problem *p)
{
    redis_jobs *q = calloc(1, sizeof *q);
    *out = NULL;
    if (!q) return refuse(p, DREAMO_MEMORY, NULL, "no memory for the queue");
    q->base = (jobs){ &ops, &redis_work, h };
    q->place = *at;
    q->step_seconds = -1;
    q->last_told = &q->told;
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_mutex_init(&q->lock, NULL);
    pthread_mutex_init(&q->sending, NULL);
    pthread_cond_init(&q->some, &monotonic);
    pthread_condattr_destroy(&monotonic);
    if (!h) name_worker(q);
    dreamo_status s = at->blobs ? blobs_check(at->blobs, p) : DREAMO_OK;
    if (!s) s = redis_open(at->url, &q->r, p);
    if (!s && pthread_create(&q->thread, NULL, h ? read_events : redis_heart, q)) s = refuse(p, DREAMO_MEMORY, NULL, "no thread for the queue");
    q->threaded = !s;
    if (s) redis_jobs_close(&q->base);
    else *out = &q->base;
    return s;
}
