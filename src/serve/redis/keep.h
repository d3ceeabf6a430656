/* keep.h - between the front's and the worker's side of the Redis keeper, and its scripts. */
#ifndef SERVE_REDIS_KEEP_H
#define SERVE_REDIS_KEEP_H
#include <pthread.h>
#include <stdatomic.h>
#include "serve/jobs/jobs.h"
#include "serve/redis/redis.h"

typedef struct redis_jobs {
    jobs base;
    redis *r;
    fleet_place place;          /* its texts are the owner's */
    char who[96];               /* this worker's name, like no other's; "" in a front */
    pthread_t thread;           /* a front: reads events; a worker: its heartbeat */
    bool threaded;
    atomic_bool closing, woken;
    pthread_mutex_t lock;       /* what follows: the job that this worker has */
    char running[JOB_ID + 1];
    int tries;
    bool lost, cancelled;       /* another has it; its owner stopped it */
    double stepped, step_seconds; /* when the last step ended; how long one takes, smoothed */
} redis_jobs;

dreamo_status jobs_script(redis_jobs *q, const char *script, const redis_words *w, int64_t *answer, problem *p); /* one that answers a number */
dreamo_status redis_blob(redis_jobs *q, const char *key, blob *out, problem *p); /* DREAMO_NOT_FOUND, without words */

/* keep_take.c */
extern const jobs_worker_ops redis_work;
void          redis_lose(redis_jobs *q);          /* give the job up without a word: its lease runs out */
bool          redis_waits(redis_jobs *q);         /* after a call that found Redis away: shall it be made again? */
void         *redis_heart(void *q);               /* the worker's thread */
void          redis_leave(redis_jobs *q);

extern const char script_submit[], script_get[], script_cancel[], script_upload_put[], script_upload_drop[], script_take[], script_tell[], script_image_put[],
                  script_finish[], script_put_back[], script_beat[], script_leave[], script_workers[];
#endif
