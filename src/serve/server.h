/* server.h - what the parts of the server share. */
#ifndef SERVE_SERVER_H
#define SERVE_SERVER_H
#include <semaphore.h>
#include "serve/engine.h"
#include "serve/http/http.h"
#include "serve/jobs/jobs.h"
#include "serve/serve.h"
#include "serve/worker.h"

/* Jobs of the A1111 routes that have not been answered: their progress is asked for without an id. */
enum { FLIGHTS = 64 };
typedef struct flights { pthread_mutex_t lock; struct { char job[JOB_ID + 1], who[64]; } of[FLIGHTS]; int n; } flights; /* oldest first */

typedef struct server {
    const serve_options *o;
    limits limits;
    engine engine;
    hub *hub;
    jobs *jobs;
    worker worker;
    metrics metrics;
    http http;
    sem_t looks;             /* pictures that may be decoded at a time: memory is bounded by that */
    flights flights;
    atomic_bool draining;
} server;

/* routes.c */
const route *routes_find(const char *method, const char *path, char args[2][80], bool *other_method);
int          routes_index(const route *r);
void         routes_names(const char *names[METRICS_ROUTES]);
extern const route routes[]; /* path NULL ends it */

/* The handlers, one file a family. */
void native_post_job(exchange *x);
void native_get_job(exchange *x);
void native_get_events(exchange *x);
void native_delete_job(exchange *x);
void native_get_image(exchange *x);
void native_get_ref(exchange *x);
void native_post_plan(exchange *x);
void uploads_post(exchange *x);
void uploads_get(exchange *x);
void uploads_seen(exchange *x);
void uploads_delete(exchange *x);
void about_capabilities(exchange *x);
void about_openapi(exchange *x);
void about_health(exchange *x);
void about_ready(exchange *x);
void about_metrics(exchange *x);
void about_version(exchange *x);
void a1111_txt2img(exchange *x);
void a1111_img2img(exchange *x);
void a1111_progress(exchange *x);
void a1111_interrupt(exchange *x);
void a1111_png_info(exchange *x);
void a1111_options(exchange *x);
void a1111_samplers(exchange *x);
void a1111_schedulers(exchange *x);
void a1111_models(exchange *x);
void a1111_memory(exchange *x);
void a1111_flags(exchange *x);
void a1111_nothing(exchange *x);
void openai_generations(exchange *x);
void openai_edits(exchange *x);
void openai_models(exchange *x);
void openai_model(exchange *x);
void page_html(exchange *x);
void page_js(exchange *x);
void page_css(exchange *x);
void page_example(exchange *x);
#endif
