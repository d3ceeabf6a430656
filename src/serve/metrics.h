/* metrics.h - numbers for Prometheus.  Any thread counts; one text tells them all. */
#ifndef SERVE_METRICS_H
#define SERVE_METRICS_H
#include <pthread.h>
#include <stdint.h>
#include "serve/text.h"

enum { METRICS_ROUTES = 48, METRICS_CLASSES = 5, METRICS_BUCKETS = 14, METRICS_REASONS = 18, METRICS_SIZES = 4 };

typedef struct histogram { int64_t in[METRICS_BUCKETS + 1], count; double sum; } histogram;

typedef struct metrics {
    pthread_mutex_t lock;
    histogram step[METRICS_SIZES], picture;                /* steps by the picture's size */
    int64_t tokens, arena, device;                         /* tokens that the transformer was shown; most bytes of work; weights and work of the last job */
    int64_t requests[METRICS_ROUTES][METRICS_CLASSES + 1]; /* by route and class of status, 1xx to 5xx */
    int64_t refused[METRICS_REASONS];                      /* by outcome */
    int64_t cut;                                           /* connections that were too slow */
} metrics;

void metrics_init(metrics *m);
void metrics_step(metrics *m, const dreamo_plan *plan, double seconds);
void metrics_plan(metrics *m, const dreamo_plan *plan); /* of a job that is about to be made */
void metrics_picture(metrics *m, double seconds);
void metrics_request(metrics *m, int route, int status);
void metrics_refused(metrics *m, dreamo_status why);
void metrics_cut(metrics *m);

/* Everything in the text format; names[route] are the routes'. */
struct jobs;
struct engine;
void metrics_write(metrics *m, const char *const names[METRICS_ROUTES], struct jobs *jobs, const struct engine *e, text *out);
#endif
