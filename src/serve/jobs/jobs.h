/* jobs.h - where jobs live: the seam between the HTTP side, the workers, and what keeps jobs in between.
 *
 * The front (HTTP handlers) submits, looks, cancels and fetches; a worker takes, tells and finishes.  Both sides call these functions only, so
 * that a queue on another machine can take the place of the file on this one: it brings another table of functions.  All of them may
 * be called from any thread.  A submitted job is on the disk before its ticket is given out. */
#ifndef SERVE_JOBS_H
#define SERVE_JOBS_H
#include <jansson.h>
#include "serve/jobs/hub.h"

typedef enum job_state { JOB_QUEUED, JOB_RUNNING, JOB_DONE, JOB_FAILED, JOB_CANCELLED, JOB_STATES } job_state;
const char *job_state_name(job_state s);

enum { JOB_ID = 32, JOB_TRIES = 3, JOB_BATCH = DREAMO_BATCH };

/* A job as it is kept; strings are the reader's (job_free). */
typedef struct job {
    char id[JOB_ID + 1];
    char who[64];               /* the key's name; "" without keys */
    job_state state;
    int tries;                  /* how often a worker has begun it */
    int64_t created, started, ended; /* milliseconds since 1970; 0 = not yet */
    char *request;              /* canonical JSON of ask.h; NULL: the results' time is over */
    int count, images;          /* pictures asked for, made */
    int64_t position;           /* queued: jobs before it */
    int64_t last_event;         /* ended: number of its last event */
    dreamo_error error;         /* failed */
} job;
void job_free(job *j);
extern const dreamo_error job_stopped; /* why a job ends that its owner cancelled */
char *job_end_json(job_state end, const dreamo_error *why, int images); /* what its last event says; free's, NULL: no memory */

typedef struct job_new {
    const char *who, *request;
    int count;
    const char (*uploads)[65];  /* ids that the request needs */
    int nuploads;
    const char *once;           /* Idempotency-Key; NULL = none */
    const char *body_hash;      /* with it: of the request, which must be the same when the key comes again */
} job_new;
typedef struct job_ticket { char id[JOB_ID + 1]; int64_t position; bool again; } job_ticket; /* again: the key was known, this is its job */

/* A picture or upload.  data is free's. */
typedef struct blob { void *data; size_t nbytes; char sha256[65]; int width, height; } blob;
void blob_free(blob *b);

typedef struct jobs jobs;

/* The front's side; who NULL = any. */
typedef struct jobs_ops {
    dreamo_status (*submit)(jobs *q, const job_new *what, job_ticket *out, problem *p);   /* DREAMO_BUSY: the queue is full */
    dreamo_status (*get)(jobs *q, const char *id, const char *who, job *out, problem *p); /* DREAMO_NOT_FOUND */
    /* A queued job ends at once, a running one soon; *was is what it was before. */
    dreamo_status (*cancel)(jobs *q, const char *id, const char *who, job_state *was, problem *p);
    dreamo_status (*image)(jobs *q, const char *id, int n, blob *out, problem *p);
    dreamo_status (*upload_put)(jobs *q, const blob *b, problem *p);                      /* known already: its time begins again */
    dreamo_status (*upload_get)(jobs *q, const char *sha256, blob *out, problem *p);      /* a worker's, too */
    dreamo_status (*upload_drop)(jobs *q, const char *sha256, problem *p);                /* DREAMO_BUSY: a waiting job needs it */
    void          (*counts)(jobs *q, int64_t of[JOB_STATES]);                             /* a worker's, too */
    bool          (*alive)(jobs *q, problem *p);                                          /* can it take jobs? */
    json_t       *(*workers)(jobs *q);      /* what each worker elsewhere says of itself; NULL in the table: the worker is here */
    void          (*tidy)(jobs *q, int64_t keep_seconds);                                 /* what is older goes */
    void          (*close)(jobs *q);
} jobs_ops;

/* A worker's side; it may have JOB_BATCH jobs at a time. */
typedef bool (*job_fits)(void *user, const job *j);
typedef struct jobs_worker_ops {
    /* The next job, or DREAMO_NOT_FOUND after wait_ms; it is the caller's until finish or put_back.  fits (NULL: any does) sees it first: one that does
     * not fit stays in the queue. */
    dreamo_status (*take)(jobs *q, int wait_ms, job_fits fits, void *user, job *out, problem *p);
    bool          (*wanted)(jobs *q, const job *j);                                       /* false: cancelled; cheap */
    void          (*progress)(jobs *q, const job *j, const hub_progress *now);
    void          (*tell)(jobs *q, const job *j, const char *event, const char *json);    /* lost when nobody listens */
    dreamo_status (*image_put)(jobs *q, const job *j, int n, const blob *b, problem *p);
    dreamo_status (*finish)(jobs *q, const job *j, job_state end, const dreamo_error *why, problem *p);
    dreamo_status (*put_back)(jobs *q, const job *j, problem *p);                         /* this try does not count */
    void          (*wake)(jobs *q);                                                       /* `take` returns early */
} jobs_worker_ops;

struct jobs { const jobs_ops *ops; const jobs_worker_ops *work; hub *hub; };

/* keep_sqlite.c: in one file, for one server; running jobs of a server that was killed are queued again. */
dreamo_status jobs_open_sqlite(const char *path, int64_t queue, hub *h, jobs **out, problem *p);

/* redis/keep.c: on a Redis server, for any number of fronts and workers; each front hands its jobs to the workers of its model. */
typedef struct fleet_place {
    const char *url;            /* redis/redis.h */
    const char *model, *hash;   /* its name; what tells it from others */
    const char *worker, *backend; /* of a worker: what it calls itself */
    int threads;
    const char *blobs;          /* folder that all share, for pictures and uploads; NULL: they lie in Redis */
    int64_t queue, keep_seconds; /* of a front */
    int64_t lease_ms;           /* of a worker: not heard for so long, its job is another's */
} fleet_place;
dreamo_status jobs_open_redis(const fleet_place *at, hub *h, jobs **out, problem *p); /* h NULL: a worker, and the front's side is not to be called */
#endif
