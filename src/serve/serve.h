/* serve.h - `dreamo serve`: one model kept open behind an HTTP server.  The program's side of it.
 *
 * Everything in this folder sees the library through include/dreamo.h alone. */
#ifndef SERVE_SERVE_H
#define SERVE_SERVE_H
#include "dreamo.h"

enum { SERVE_NAMES = 16 };

typedef struct serve_options {
    dreamo_model_options model;
    const char *listen;             /* "HOST:PORT", "[IPV6]:PORT" or "unix:PATH" */
    const char *keys;               /* lines "NAME KEY [PER-MINUTE]"; NULL: no key is asked for */
    bool insecure;                  /* serve others than this machine without keys */
    const char *store;              /* the SQLite file with jobs, uploads and pictures */
    const char *hosts[SERVE_NAMES], *origins[SERVE_NAMES]; /* Host names and Origins to accept beside our own */
    int nhosts, norigins;
    int64_t queue;                  /* jobs that may wait */
    int64_t max_body, max_pixels, max_upload_pixels, max_refs, max_steps, max_count;
    int64_t max_connections;
    int64_t keep_seconds;           /* results and uploads */
    int64_t drain_seconds;          /* after `stop`: how long jobs may still run */
    const char *queue_at;           /* redis://...: jobs are handed to workers there, `store` is not used; NULL: made here */
    int64_t batch;                  /* jobs of equal shape made at a time, 1 to DREAMO_BATCH */
    const char *blobs;              /* with it: a folder that the workers see, too, for pictures; NULL: they lie in Redis */
    bool no_web;
    bool no_worker;                 /* take jobs in and make none of them */
    void (*say)(const char *label, const char *text); /* one line of talk; any thread */
    const volatile bool *stop;      /* true: drain and return */
} serve_options;

void          serve_options_init(serve_options *o);
/* Returns when stopped, DREAMO_OK after a drain. */
dreamo_status serve_run(const serve_options *o, dreamo_error *err);
#endif
