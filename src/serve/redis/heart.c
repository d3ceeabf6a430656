/* heart.c - the worker's thread of the Redis keeper: says that the worker is there and has its jobs, and sends what they tell.
 *
 * Events wait a moment for each other and go out together, so that a step waits for no answer and many steps cost one write to the disk.
 * What is not sent when a job ends is sent before its end.  While Redis is away events are lost. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "serve/redis/keep.h"
#include "serve/text.h"

enum { BEAT_MS = 1000 /* or an eighth of the lease */, TELL_MS = 40, TOGETHER = 16 /* events in a call */ };

/* ---- the jobs it has ---- */

held_job *redis_held(redis_jobs *q, const char *id)
{
    for (int i = 0; i < JOB_BATCH; i++)
        if (strcmp(q->held[i].id, id) == 0) return &q->held[i];
    return NULL;
}

void redis_hold(redis_jobs *q, const job *j)
{
    pthread_mutex_lock(&q->lock);
    held_job *h = redis_held(q, "");
    if (h) {
        *h = (held_job){ .tries = j->tries };
        memcpy(h->id, j->id, sizeof h->id);
    }
    pthread_mutex_unlock(&q->lock);
}

void redis_release(redis_jobs *q, const job *j)
{
    pthread_mutex_lock(&q->lock);
    held_job *h = redis_held(q, j->id);
    if (h) *h = (held_job){ 0 };
    pthread_mutex_unlock(&q->lock);
}

void redis_lose(redis_jobs *q, const char *id, int tries)
{
    pthread_mutex_lock(&q->lock);
    held_job *h = redis_held(q, id);
    if (h && h->tries == tries) h->lost = true; /* another try may be ours again */
    pthread_mutex_unlock(&q->lock);
}

bool redis_lost(redis_jobs *q, const job *j)
{
    pthread_mutex_lock(&q->lock);
    held_job *h = redis_held(q, j->id);
    bool lost = !h || h->lost;
    pthread_mutex_unlock(&q->lock);
    return lost;
}

void redis_add_job(redis_words *w, redis_jobs *q, const char *id, int tries)
{
    redis_text(w, id);
    redis_text(w, q->who);
    redis_number(w, tries);
}

/* What a script answers about a job of ours: it is (1), is another's (0), shall stop (-1).  It may have ended meanwhile. */
static void hear(redis_jobs *q, const char *id, int tries, int64_t answer)
{
    if (answer == 0) redis_lose(q, id, tries);
    if (answer >= 0) return;
    pthread_mutex_lock(&q->lock);
    held_job *h = redis_held(q, id);
    if (h && h->tries == tries) h->cancelled = true;
    pthread_mutex_unlock(&q->lock);
}

/* ---- beating ---- */

static char *introduce(redis_jobs *q)
{
    text t = { 0 };
    json_t *job = json_null();
    pthread_mutex_lock(&q->lock);
    for (int i = 0; i < JOB_BATCH && json_is_null(job); i++)
        if (*q->held[i].id) job = json_string(q->held[i].id);
    json_t *o = json_pack("{s:s, s:s, s:s, s:s, s:i, s:o, s:o}", "name", q->who, "model", q->place.model, "sha256", q->place.hash, "backend",
                          q->place.backend, "threads", q->place.threads, "seconds_a_step",
                          q->step_seconds >= 0 ? json_real(q->step_seconds) : json_null(), "job", job);
    pthread_mutex_unlock(&q->lock);
    text_json(&t, o);
    json_decref(o);
    if (t.failed) text_free(&t);
    return t.data;
}

/* Says who it is, and that this job (an empty id: none) is its. */
static void beat_for(redis_jobs *q, const char *json, const held_job *mine)
{
    redis_words w = { 0 };
    int64_t answer;
    problem p = { 0 };
    redis_text(&w, q->who);
    redis_number(&w, q->place.lease_ms / 1000 + 1);
    redis_text(&w, q->place.hash);
    redis_text(&w, json ? json : "{}");
    redis_text(&w, mine->id);
    redis_number(&w, mine->tries);
    if (!jobs_script(q, script_beat, &w, &answer, &p) && *mine->id) hear(q, mine->id, mine->tries, answer);
}

static void beat(redis_jobs *q)
{
    held_job all[JOB_BATCH];
    char *json = introduce(q);
    int told = 0;
    pthread_mutex_lock(&q->lock);
    memcpy(all, q->held, sizeof all);
    pthread_mutex_unlock(&q->lock);
    for (int i = 0; i < JOB_BATCH; i++)
        if (*all[i].id && ++told) beat_for(q, json, &all[i]);
    if (!told) beat_for(q, json, &(held_job){ 0 });
    free(json);
}

/* ---- telling ---- */

struct told { told *next; int tries; char id[JOB_ID + 1], name[12], data[]; };

void redis_tell(jobs *base, const job *j, const char *event, const char *json)
{
    redis_jobs *q = (redis_jobs *)base;
    size_t nbytes = strlen(json) + 1;
    if (redis_lost(q, j) || redis_up_ms(q->r) == 0) return; /* the heart finds out when it is back */
    told *e = malloc(sizeof *e + nbytes);
    if (!e) return;
    *e = (told){ .tries = j->tries };
    memcpy(e->id, j->id, sizeof e->id);
    snprintf(e->name, sizeof e->name, "%s", event);
    memcpy(e->data, json, nbytes);
    pthread_mutex_lock(&q->lock);
    *q->last_told = e;
    q->last_told = &e->next;
    pthread_cond_signal(&q->some);
    pthread_mutex_unlock(&q->lock);
}

/* The first of *list, and those that follow it and are of the same job: one call. */
static void send_some(redis_jobs *q, told **list)
{
    told *first = *list, *e = first;
    redis_words w = { 0 };
    int64_t answer;
    problem p = { 0 };
    redis_add_job(&w, q, first->id, first->tries);
    for (int n = 0; e && n < TOGETHER && e->tries == first->tries && strcmp(e->id, first->id) == 0; n++, e = e->next) {
        redis_text(&w, e->name);
        redis_text(&w, e->data);
    }
    if (!jobs_script(q, script_tell, &w, &answer, &p)) hear(q, first->id, first->tries, answer);
    while (*list != e) {
        told *gone = *list;
        *list = gone->next;
        free(gone);
    }
}

void redis_send(redis_jobs *q)
{
    pthread_mutex_lock(&q->sending); /* in their order, and none is on its way when this returns */
    pthread_mutex_lock(&q->lock);
    told *list = q->told;
    q->told = NULL;
    q->last_told = &q->told;
    pthread_mutex_unlock(&q->lock);
    while (list) send_some(q, &list);
    pthread_mutex_unlock(&q->sending);
}

/* ---- the thread ---- */

static struct timespec in_ms(int ms)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    int64_t ns = t.tv_nsec + (int64_t)ms * 1000000;
    return (struct timespec){ .tv_sec = t.tv_sec + ns / 1000000000, .tv_nsec = ns % 1000000000 };
}

static bool past(const struct timespec *t)
{
    struct timespec now = in_ms(0);
    return now.tv_sec > t->tv_sec || (now.tv_sec == t->tv_sec && now.tv_nsec >= t->tv_nsec);
}

void *redis_heart(void *user)
{
    redis_jobs *q = user;
    struct timespec due = in_ms(0);
    while (!atomic_load(&q->closing)) {
        if (past(&due)) {
            beat(q);
            due = in_ms(q->place.lease_ms / 8 < BEAT_MS ? (int)(q->place.lease_ms / 8) : BEAT_MS);
        }
        pthread_mutex_lock(&q->lock);
        while (!q->told && !past(&due) && !atomic_load(&q->closing)) pthread_cond_timedwait(&q->some, &q->lock, &due);
        bool some = q->told;
        pthread_mutex_unlock(&q->lock);
        if (!some) continue;
        nanosleep(&(struct timespec){ .tv_nsec = TELL_MS * 1000000 }, NULL);
        redis_send(q);
    }
    redis_send(q);
    return NULL;
}

void redis_leave(redis_jobs *q)
{
    redis_words w = { 0 };
    int64_t answer;
    problem p = { 0 };
    redis_text(&w, q->place.hash);
    redis_text(&w, q->who);
    jobs_script(q, script_leave, &w, &answer, &p);
}
