/* take.h - from a request's body to an ask, and from an ask to a job: what the three APIs share. */
#ifndef SERVE_TAKE_H
#define SERVE_TAKE_H
#include "serve/server.h"

/* The native body: JSON, or a form whose files are named by their task. */
dreamo_status take_ask(exchange *x, ask *out, problem *p);
/* Around whatever decodes pictures. */
void          look_begin(struct server *s);
void          look_end(struct server *s);
/* A picture from a stranger: its type, its size against the limit, and whether it can be read at all.  Fills the sizes and the hash. */
dreamo_status take_picture(struct server *s, const char *name, const void *data, size_t nbytes, blob *out, problem *p);
/* References by id get their bytes, so that the model can look at them. */
dreamo_status take_references(struct server *s, ask *a, problem *p);
/* Check it against the model, keep its pictures, queue it.  The seed has been drawn afterwards.  plan may be NULL. */
dreamo_status take_job(exchange *x, ask *a, job_ticket *ticket, dreamo_plan *plan, problem *p);
/* The job that was waited for (exchange_wait): done, with its pictures; or why there are none.  job_free *out when it is DREAMO_OK. */
dreamo_status take_end(exchange *x, job *out, problem *p);
dreamo_status take_plan(struct server *s, const ask *a, dreamo_plan *out, problem *p); /* references with their bytes */
json_t       *take_plan_json(const dreamo_plan *plan);
/* native.c: the job's events from after number `after` on, told by `format`. */
void          native_stream(exchange *x, const job *j, int64_t after, stream_format format, bool heavy);
/* A kept picture (PNG) in another format; quality 0 = 95.  *data is dreamo_bytes_free's. */
dreamo_status take_format(struct server *s, const blob *png, const char *format, int quality, void **data, size_t *nbytes, problem *p);
#endif
