/* http.h - from bytes on a socket to a handler and back.
 *
 * One thread of libmicrohttpd polls all sockets and never waits for anything.  A request whose answer is at hand is answered there; others
 * are suspended and handled by the pool.  What a client sent is looked at in this order: the line and the headers (guard.c), the announced length,
 * the body; each may end it. */
#ifndef SERVE_HTTP_H
#define SERVE_HTTP_H
#include <jansson.h>
#include <microhttpd.h>
#include <stdatomic.h>
#include "serve/http/guard.h"
#include "serve/http/line.h"
#include "serve/metrics.h"
#include "serve/http/pool.h"
#include "serve/jobs/hub.h"

typedef struct exchange exchange;
struct server;

typedef enum route_flags {
    ROUTE_OPEN = 1,        /* without a key */
    ROUTE_AT_ONCE = 2,     /* answered by the polling thread */
    ROUTE_JSON = 4, ROUTE_FORM = 8, ROUTE_BYTES = 16, /* bodies it takes; none of them: no body */
    ROUTE_OPENAI = 32      /* errors in that shape */
} route_flags;

typedef struct route {
    const char *method, *path;      /* "/api/v1/jobs/{id}": a name in braces takes one segment */
    int flags;
    void (*run)(exchange *x);
    const char *doc;                /* for openapi.json; NULL: not in it */
} route;

enum { REPLY_HEADERS = 8 };
typedef struct reply {
    int status;                     /* 0: none yet */
    const char *type;
    void *data;
    size_t nbytes;
    void (*release)(void *data);    /* NULL: data is static */
    struct { const char *name; char value[200]; } headers[REPLY_HEADERS];
    int nheaders;
    struct stream *stream;          /* events in place of data */
} reply;

struct exchange {
    struct server *server;
    struct MHD_Connection *c;
    line *line;
    const route *route;
    char method[16];
    bool head;                      /* HEAD: as GET, without the body */
    char args[2][80];               /* what the names in braces took */
    char id[20];                    /* "r_..." */
    char who[64];                   /* the key's name */
    const char *body_type;          /* "application/json", of the request */
    char *body;
    size_t nbytes, room, ledger;
    bool begun, dispatched, early;  /* early: refused before the body */
    problem bad_target;             /* seen in the raw target */
    reply reply;
    pool_item item;
    /* waiting for a job (exchange_wait) */
    listener listener;
    void (*again)(exchange *x);     /* set by exchange_wait */
    atomic_int wake;
    atomic_bool gone;               /* the client left meanwhile, or we stop */
    char job[80];
    bool owns_job;                  /* a stream whose client alone wants the job: when it leaves, the job is cancelled */
    void *memory;                   /* the handler's own, freed with free */
};

/* ---- between http.c, admit.c and reply.c ---- */

/* admit.c: Host, Origin, key, route, announced body, in this order. */
dreamo_status   exchange_admit(exchange *x, const char *method, const char *path, problem *p);
int64_t         exchange_announced(exchange *x); /* bytes of the body; -1: in chunks; more than any limit when the number is too large */
enum MHD_Result reply_send(exchange *x);         /* reply.c */
void            reply_clear(reply *r);

/* ---- for handlers ---- */

const char *exchange_header(exchange *x, const char *name);           /* NULL: not sent */
const char *exchange_query(exchange *x, const char *name);
void exchange_set(exchange *x, const char *name, const char *format, ...) __attribute__((format(printf, 3, 4))); /* a header of the reply */
void reply_json(exchange *x, int status, json_t *o);                  /* takes o over; NULL becomes no_memory */
void reply_text(exchange *x, int status, const char *type, text *t);  /* takes the text over */
void reply_bytes(exchange *x, int status, const char *type, void *data, size_t nbytes, void (*release)(void *data));
void reply_problem(exchange *x, const problem *p);
void reply_built(exchange *x, dreamo_status s, text *json, const problem *p); /* the text, or why it came to nothing; takes the text over */
/* The last thing that a handler does: the reply comes later.  `again` is called in the pool once the job has ended, or the client has left or
 * we stop (x->gone). */
void exchange_wait(exchange *x, const char *job, void (*again)(exchange *x));

/* ---- event streams ---- */

/* How one event becomes text; nothing added = not told.  *end: nothing comes after it. */
typedef void (*stream_format)(exchange *x, const hub_event *e, text *out, bool *end);
/* The reply becomes a stream of x->job's events after number `after`.  heavy: `format` takes long (pictures), and is called in the pool. */
bool reply_stream(exchange *x, int64_t after, stream_format format, bool heavy);

/* ---- the daemon ---- */

typedef struct http {
    struct MHD_Daemon *daemon;
    lines lines;
    pool pool;
    guard guard;
    atomic_llong ledger;            /* bytes of bodies in memory */
    int64_t ledger_max;
    atomic_bool closing;
} http;

dreamo_status http_start(struct server *s, int listen_fd, problem *p);
void          http_sweep(struct server *s);  /* several times a second */
void          http_stop(struct server *s);
#endif
