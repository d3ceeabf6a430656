/* keep.h - between the front's and the worker's side of the Redis keeper, and its scripts. */
#ifndef SERVE_REDIS_KEEP_H
#define SERVE_REDIS_KEEP_H
#include <pthread.h>
#include <stdatomic.h>
#include "serve/jobs/jobs.h"
#include "serve/redis/redis.h"

/* A job that this worker has; an empty id: none. */
typedef struct held_job {
    char id[JOB_ID + 1];
    int tries;
    bool lost, cancelled;       /* another has it; its owner stopped it */
} held_job;

typedef struct told told;       /* heart.c */

typedef struct redis_jobs {
    jobs base;
    redis *r;
    fleet_place place;          /* its texts are the owner's */
    char who[96];               /* this worker's name, like no other's; "" in a front */
    pthread_t thread;           /* a front: reads events; a worker: its heartbeat */
    bool threaded;
    atomic_bool closing, woken;
    pthread_mutex_t sending;    /* of what jobs tell: one thread at a time */
    pthread_mutex_t lock;       /* what follows */
    pthread_cond_t some;        /* is told */
    held_job held[JOB_BATCH];
    told *told, **last_told;    /* not yet sent */
    double stepped, step_seconds; /* when the last step ended; how long one takes, smoothed */
} redis_jobs;

dreamo_status jobs_script(redis_jobs *q, const char *script, const redis_words *w, int64_t *answer, problem *p); /* one that answers a number */
dreamo_status redis_blob(redis_jobs *q, const char *key, blob *out, problem *p); /* DREAMO_NOT_FOUND, without words */
void          redis_add_data(redis_words *w, const redis_jobs *q, const blob *b); /* of what is put: nothing, when it lies in the shared folder */

/* keep_take.c */
extern const jobs_worker_ops redis_work;
bool redis_waits(redis_jobs *q);                  /* after a call that found Redis away: shall it be made again? */

/* heart.c */
held_job *redis_held(redis_jobs *q, const char *id); /* under the lock; NULL: it is not held */
void  redis_hold(redis_jobs *q, const job *j);
void  redis_release(redis_jobs *q, const job *j);
void  redis_lose(redis_jobs *q, const char *id, int tries); /* give it up without a word: its lease runs out */
bool  redis_lost(redis_jobs *q, const job *j);
void  redis_add_job(redis_words *w, redis_jobs *q, const char *id, int tries);
void  redis_tell(jobs *base, const job *j, const char *event, const char *json);
void  redis_send(redis_jobs *q);                  /* what has been told is sent when this returns, or lost */
void *redis_heart(void *q);
void  redis_leave(redis_jobs *q);

extern const char script_submit[], script_get[], script_cancel[], script_upload_put[], script_upload_drop[], script_take[], script_tell[], script_image_put[],
                  script_finish[], script_put_back[], script_beat[], script_leave[], script_workers[], script_needed[];
#endif
