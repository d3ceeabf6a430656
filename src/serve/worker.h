/* worker.h - one thread that takes jobs and makes their pictures, several of equal shape at a time.  It knows where jobs live only through jobs.h. */
#ifndef SERVE_WORKER_H
#define SERVE_WORKER_H
#include <pthread.h>
#include <stdatomic.h>
#include "serve/engine.h"
#include "serve/jobs/jobs.h"
#include "serve/metrics.h"

typedef struct task task;        /* a job on its way */

typedef struct worker {
    engine *engine;
    jobs *jobs;
    metrics *metrics;
    int batch;                   /* jobs of equal shape that are made at a time */
    limits limits;               /* wide ones: what is in the queue has passed the front's */
    char name[64];
    void (*say)(const char *label, const char *text);
    pthread_t thread;
    task *tasks;                 /* of the thread */
    bool running;
    atomic_int stop;             /* WORKER_GO, then one of the others */
} worker;

enum { WORKER_GO, WORKER_DRAIN /* until no job waits */, WORKER_LAST /* after the running job */, WORKER_STOP /* put the running job back */ };

void          worker_wide_limits(worker *w);   /* what the model can do: what is in the queue has passed a front */
dreamo_status worker_start(worker *w, problem *p);
void          worker_stop(worker *w, int how); /* asks; may be followed by a harder one */
void          worker_join(worker *w);
bool          worker_ended(worker *w);
#endif
