/* http.c - libmicrohttpd on one side, handlers on the other. */
#include "serve/http/http.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "serve/server.h"

enum {
    TARGET_MAX = 8192, HEADER_BYTES = 49152, /* of a connection: the line, the headers, and what we answer with */
    EARLY_BODY = 1 << 20, /* a refused request whose body is no larger is read to its end, or the client might never see the answer */
    POOL_THREADS = 64, /* as many as may wait for one write to the disk */
};

/* ---- bodies ---- */

/* Bodies of all requests together are bounded, too. */
static bool ledger_take(exchange *x, size_t nbytes)
{
    http *h = &x->server->http;
    if (atomic_fetch_add(&h->ledger, (long long)nbytes) + (long long)nbytes <= h->ledger_max) {
        x->ledger += nbytes;
        return true;
    }
    atomic_fetch_sub(&h->ledger, (long long)nbytes);
    return false;
}

static void refuse_body(exchange *x, const problem *p)
{
    reply_problem(x, p);
    free(x->body);
    x->body = NULL;
    x->nbytes = x->room = 0;
}

static void take_body(exchange *x, const char *data, size_t nbytes)
{
    problem p = { 0 };
    if (x->reply.status || !(x->route->flags & (ROUTE_JSON | ROUTE_FORM | ROUTE_BYTES))) return; /* refused, or not wanted: read and forgotten */
    if ((int64_t)(x->nbytes + nbytes) > x->server->limits.body) {
        refuse(&p, DREAMO_LIMIT, NULL, "a body of more than %lld bytes", (long long)x->server->limits.body);
    } else if (x->nbytes + nbytes > x->room) {
        size_t want = x->room ? 2 * x->room : 4096, length = (size_t)(exchange_announced(x) > 0 ? exchange_announced(x) : 0);
        if (want < x->nbytes + nbytes) want = x->nbytes + nbytes;
        if (length && want > length) want = length;
        char *more = ledger_take(x, want - x->room) ? realloc(x->body, want + 1) : NULL;
        if (more) {
            x->body = more;
            x->room = want;
        } else {
            p.retry_after = 2;
            refuse_http(&p, DREAMO_BUSY, 503, "too many large requests at once");
        }
    }
    if (p.e.status) {
        refuse_body(x, &p);
        return;
    }
    memcpy(x->body + x->nbytes, data, nbytes);
    x->body[x->nbytes += nbytes] = '\0';
}

/* ---- handling ---- */

/* Who waits is handed over by one word: AWAKE while a thread has the exchange, ASLEEP while nobody has, CALLED once somebody has called.  The
 * caller that finds it asleep puts it into the pool; the thread that finds itself called goes on at once. */
enum { AWAKE, ASLEEP, CALLED };

static void on_wake(void *user)
{
    exchange *x = user;
    if (atomic_exchange(&x->wake, CALLED) == ASLEEP) pool_put(&x->server->http.pool, &x->item);
}

static void on_tick(void *user, bool gone, double now)
{
    exchange *x = user;
    (void)now;
    if (!gone && !atomic_load(&x->server->http.closing)) return;
    atomic_store(&x->gone, true);
    on_wake(x);
}

static void end_wait(exchange *x)
{
    line_unwait(&x->server->http.lines, x->line);
    hub_leave(x->server->hub, &x->listener);
}

void exchange_wait(exchange *x, const char *id, void (*again)(exchange *x))
{
    problem p = { 0 };
    job j;
    x->again = again;
    x->listener = (listener){ .wake = on_wake, .user = x, .only_end = true };
    if (id != x->job) snprintf(x->job, sizeof x->job, "%s", id);
    if (hub_listen(x->server->hub, x->job, &x->listener, &p)) {
        x->again = NULL;
        reply_problem(x, &p);
        return;
    }
    if (x->server->jobs->ops->get(x->server->jobs, x->job, NULL, &j, &p) || j.state >= JOB_DONE) on_wake(x); /* it ended before we listened */
    job_free(&j);
}

static void run_in_pool(void *user)
{
    exchange *x = user;
    void (*run)(exchange *) = x->again ? x->again : x->route->run;
    for (;;) {
        if (x->again) end_wait(x);
        x->again = NULL;
        run(x);
        if (!x->again) break;
        run = x->again;
        int awake = AWAKE;
        line_wait(&x->server->http.lines, x->line, on_tick, x);
        if (atomic_compare_exchange_strong(&x->wake, &awake, ASLEEP)) return; /* from here on it is in other hands */
        atomic_store(&x->wake, AWAKE);
    }
    MHD_resume_connection(x->c);
}

static enum MHD_Result dispatch(exchange *x)
{
    x->dispatched = true;
    line_enter(&x->server->http.lines, x->line, LINE_WORK);
    if (!x->reply.status && atomic_load(&x->server->http.closing)) { /* nobody may be suspended any more */
        problem p = { .retry_after = 10 };
        refuse_http(&p, DREAMO_BUSY, 503, "the server is being stopped");
        reply_problem(x, &p);
    }
    if (x->reply.status) return reply_send(x);
    if (x->route->flags & ROUTE_AT_ONCE) {
        x->route->run(x);
        return reply_send(x);
    }
    x->item = (pool_item){ .run = run_in_pool, .user = x };
    MHD_suspend_connection(x->c);
    pool_put(&x->server->http.pool, &x->item);
    return MHD_YES;
}

/* ---- the library's callbacks ---- */

/* The raw target, before anything is decoded. */
static void *on_target(void *user, const char *target, struct MHD_Connection *c)
{
    exchange *x = calloc(1, sizeof *x);
    if (!x) return NULL;
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(c, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    *x = (exchange){ .server = user, .c = c, .line = info ? info->socket_context : NULL };
    memcpy(x->id, "r_", 2);
    random_hex(x->id + 2, 16);
    size_t path = strcspn(target, "?");
    if (strlen(target) > TARGET_MAX) refuse_http(&x->bad_target, DREAMO_LIMIT, 414, "a target of %zu bytes, at most %d are allowed",
                                                 strlen(target), TARGET_MAX);
    else if (*target != '/') refuse_http(&x->bad_target, DREAMO_ARG, 400, "the target does not begin with /");
    else if (memchr(target, '%', path) || memchr(target, '\\', path) || memmem(target, path, "//", 2) || memmem(target, path, "..", 2) ||
             strstr(target, "%00"))
        refuse(&x->bad_target, DREAMO_NOT_FOUND, NULL, "%.100s: there is nothing here", target);
    return x;
}

static enum MHD_Result on_request(void *user, struct MHD_Connection *c, const char *path, const char *method, const char *version, const char *data,
                                  size_t *nbytes,
                                  void **context)
{
    exchange *x = *context;
    (void)user, (void)c, (void)version;
    if (!x) return MHD_NO;
    if (!x->begun) {
        problem p = { 0 };
        x->begun = true;
        x->head = strcmp(method, "HEAD") == 0;
        line_enter(&x->server->http.lines, x->line, LINE_BODY);
        if (exchange_admit(x, method, path, &p)) {
            reply_problem(x, &p);
            int64_t length = exchange_announced(x);
            x->early = length < 0 || length > EARLY_BODY || p.http == 431;
            if (x->early) return reply_send(x);
        }
        return MHD_YES;
    }
    if (*nbytes) {
        take_body(x, data, *nbytes);
        if (x->line) atomic_fetch_add(&x->line->body, *nbytes);
        *nbytes = 0;
        return MHD_YES;
    }
    if (!x->dispatched) return dispatch(x);
    return x->reply.status ? reply_send(x) : MHD_YES;
}

/* The client of a stream has left: its job is nobody's. */
typedef struct orphan { pool_item item; struct server *server; char job[80], who[64]; } orphan;

static void drop_orphan(void *user)
{
    orphan *o = user;
    problem p = { 0 };
    job_state was;
    o->server->jobs->ops->cancel(o->server->jobs, o->job, o->who, &was, &p);
    free(o);
}

static void leave_orphan(exchange *x)
{
    orphan *o = malloc(sizeof *o);
    if (!o) return;
    *o = (orphan){ .item = { .run = drop_orphan, .user = o }, .server = x->server };
    memcpy(o->job, x->job, sizeof o->job);
    memcpy(o->who, x->who, sizeof o->who);
    pool_put(&x->server->http.pool, &o->item);
}

static void on_completed(void *user, struct MHD_Connection *c, void **context, enum MHD_RequestTerminationCode why)
{
    exchange *x = *context;
    struct server *s = user;
    (void)c;
    if (!x) return;
    *context = NULL;
    end_wait(x);
    if (x->owns_job && why != MHD_REQUEST_TERMINATED_COMPLETED_OK && !atomic_load(&s->http.closing)) leave_orphan(x);
    line_enter(&s->http.lines, x->line, LINE_IDLE);
    atomic_fetch_sub(&s->http.ledger, (long long)x->ledger);
    reply_clear(&x->reply);
    free(x->memory);
    free(x->body);
    free(x);
}

static void on_connection(void *user, struct MHD_Connection *c, void **context, enum MHD_ConnectionNotificationCode what)
{
    struct server *s = user;
    if (what == MHD_CONNECTION_NOTIFY_STARTED) {
        const union MHD_ConnectionInfo *info = MHD_get_connection_info(c, MHD_CONNECTION_INFO_CONNECTION_FD);
        *context = info ? line_open(&s->http.lines, info->connect_fd) : NULL;
    } else {
        line_close(&s->http.lines, *context);
        *context = NULL;
    }
}

static size_t keep_escapes(void *user, struct MHD_Connection *c, char *s)
{
    (void)user, (void)c;
    return strlen(s); /* no path or query of ours needs any */
}

/* ---- start and stop ---- */

dreamo_status http_start(struct server *s, int listen_fd, problem *p)
{
    http *h = &s->http;
    int max = (int)s->o->max_connections;
    h->ledger_max = 8 * s->limits.body;
    lines_init(&h->lines, max);
    if (!pool_start(&h->pool, POOL_THREADS)) return refuse(p, DREAMO_MEMORY, NULL, "no threads for requests");
    h->daemon = MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD | MHD_USE_ITC | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL, on_request, s,
                                 MHD_OPTION_LISTEN_SOCKET, listen_fd, MHD_OPTION_URI_LOG_CALLBACK, on_target, s, MHD_OPTION_NOTIFY_COMPLETED,
                                     on_completed, s,
                                 MHD_OPTION_NOTIFY_CONNECTION, on_connection, s, MHD_OPTION_UNESCAPE_CALLBACK, keep_escapes, NULL,
                                 MHD_OPTION_CONNECTION_TIMEOUT, 30u, MHD_OPTION_CONNECTION_LIMIT, (unsigned)max + 32,
                                     MHD_OPTION_CONNECTION_MEMORY_LIMIT,
                                 (size_t)HEADER_BYTES, MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_END);
    if (h->daemon) return DREAMO_OK;
    pool_stop(&h->pool);
    return refuse(p, DREAMO_NET, NULL, "the HTTP server could not be started");
}

void http_sweep(struct server *s)
{
    for (int n = lines_sweep(&s->http.lines); n > 0; n--) metrics_cut(&s->metrics);
}

/* Everybody who waits is woken and answered, whoever does not read is cut off after a second; then nobody is suspended any more, and the daemon
 * may go: libmicrohttpd ends the process that stops it earlier. */
void http_stop(struct server *s)
{
    http *h = &s->http;
    atomic_store(&h->closing, true);
    for (int i = 0; i < 4 || hub_listeners(s->hub) > 0; i++) {
        http_sweep(s);
        if (i == 20) lines_cut_all(&h->lines);
        nanosleep(&(struct timespec){ .tv_nsec = 50000000 }, NULL);
    }
    pool_stop(&h->pool);
    MHD_stop_daemon(h->daemon);
    pthread_mutex_destroy(&h->lines.lock);
}
