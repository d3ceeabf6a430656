/* keep_sqlite.h - between the front's and the worker's side of the SQLite keeper. */
#ifndef SERVE_KEEP_SQLITE_H
#define SERVE_KEEP_SQLITE_H
#include <pthread.h>
#include "serve/jobs/jobs.h"
#include "serve/jobs/store.h"

typedef struct sqlite_jobs {
    jobs base;
    store *db;
    int64_t queue;
    pthread_mutex_t lock;       /* what follows */
    pthread_cond_t more;
    int64_t of[JOB_STATES];
    struct { char id[JOB_ID + 1]; bool cancelled; } running[JOB_BATCH]; /* those that the worker has; an empty id: none */
    bool woken;                 /* `take` shall return */
} sqlite_jobs;

/* keep_sqlite.c */
int           jobs_running(sqlite_jobs *q, const char *id);     /* its place in `running`, under the lock; -1: none */
int64_t       jobs_now(void);                                   /* milliseconds since 1970 */
void          jobs_count(sqlite_jobs *q, int from, int to);     /* a job went from one state to another; -1: none */
dreamo_status jobs_read(store *db, const char *id, const char *who, job *out, problem *p);

typedef struct ending { const char *id; job_state from, to; const dreamo_error *why; int64_t last_event; bool changed; } ending;

dreamo_status jobs_end_work(store *db, void *ending, problem *p); /* inside a transaction */
int64_t       jobs_next_event(sqlite_jobs *q, const char *id, int tries); /* number of the event that is told after it */
void          jobs_tell_end(sqlite_jobs *q, const char *id, int tries, job_state end, const dreamo_error *why, int images);

extern const jobs_worker_ops sqlite_work; /* keep_sqlite_take.c */
#endif
