/* http.c - libmicrohttpd on one side, handlers on the other. */
#include "serve/http.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "serve/server.h"
#include "serve/stream.h"

enum {
    TARGET_MAX = 8192, HEADERS_MAX = 100, HEADER_BYTES = 49152, /* of a connection: the line, the headers, and what we answer with */
    EARLY_BODY = 1 << 20, /* a refused request whose body is no larger is read to its end, or the client might never see the answer */
    POOL_THREADS = 16,
};

/* ---- replies ---- */

const char *exchange_header(exchange *x, const char *name) { return MHD_lookup_connection_value(x->c, MHD_HEADER_KIND, name); }
const char *exchange_query(exchange *x, const char *name) { return MHD_lookup_connection_value(x->c, MHD_GET_ARGUMENT_KIND, name); }

static void reply_clear(reply *r)
{
    if (r->release) r->release(r->data);
    stream_free(r->stream);
    *r = (reply){ 0 };
}

/* Headers that were set before stay. */
void reply_bytes(exchange *x, int status, const char *type, void *data, size_t nbytes, void (*release)(void *data))
{
    reply *r = &x->reply;
    if (r->release) r->release(r->data);
    r->status = status;
    r->type = type;
    r->data = data;
    r->nbytes = nbytes;
    r->release = release;
}

void exchange_set(exchange *x, const char *name, const char *format, ...)
{
    reply *r = &x->reply;
    va_list ap;
    if (r->nheaders == REPLY_HEADERS) return;
    va_start(ap, format);
    vsnprintf(r->headers[r->nheaders].value, sizeof r->headers[0].value, format, ap);
    va_end(ap);
    r->headers[r->nheaders++].name = name;
}

static void reply_no_memory(exchange *x)
{
    static char words[] = "{\"error\":{\"code\":\"no_memory\",\"message\":\"no memory for the answer\"}}";
    reply_bytes(x, 507, "application/json", words, sizeof words - 1, NULL);
}

void reply_text(exchange *x, int status, const char *type, text *t)
{
    if (t->failed) {
        text_free(t);
        reply_no_memory(x);
        return;
    }
    reply_bytes(x, status, type, t->data, t->nbytes, free);
    *t = (text){ 0 };
}

void reply_json(exchange *x, int status, json_t *o)
{
    text t = { 0 };
    text_json(&t, o);
    text_add(&t, "\n", 1);
    json_decref(o);
    reply_text(x, status, "application/json", &t);
}

static const char *openai_type(int status) { return status == 401 ? "authentication_error" : status == 429 ? "rate_limit_error" : status >= 500 ? "server_error" : "invalid_request_error"; }

void reply_problem(exchange *x, const problem *p)
{
    int status = p->http ? p->http : dreamo_http_status(p->e.status);
    const char *code = dreamo_status_code(p->e.status), *field = *p->field ? p->field : NULL, *message = *p->e.message ? p->e.message : "it did not work";
    json_t *o;
    if (x->route && x->route->flags & ROUTE_OPENAI)
        o = json_pack("{s:s, s:s, s:s?, s:s, s:s}", "message", message, "type", openai_type(status), "param", field, "code", code, "request", x->id);
    else
        o = json_pack("{s:s, s:s*, s:s, s:s*, s:s}", "code", code, "field", field, "message", message, "hint", *p->e.hint ? p->e.hint : NULL, "request", x->id);
    if (p->retry_after) exchange_set(x, "Retry-After", "%d", p->retry_after);
    if (status == 401) exchange_set(x, "WWW-Authenticate", "Bearer");
    metrics_refused(&x->server->metrics, p->e.status);
    reply_json(x, status, json_pack("{s:o}", "error", o));
}

/* ---- out ---- */

static const char *const safe_headers[][2] = {
    { "X-Content-Type-Options", "nosniff" }, { "Referrer-Policy", "no-referrer" }, { "Cross-Origin-Resource-Policy", "same-origin" },
    { "Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
                                 "base-uri 'none'; form-action 'none'; frame-ancestors 'none'" },
};

static struct MHD_Response *make_response(exchange *x)
{
    reply *r = &x->reply;
    struct MHD_Response *out;
    if (r->stream) {
        out = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, 16384, stream_read, r->stream, NULL);
    } else if (r->release) {
        out = MHD_create_response_from_buffer_with_free_callback(r->nbytes, r->data, r->release);
        if (out) r->release = NULL; /* it owns the bytes now */
    } else {
        out = MHD_create_response_from_buffer(r->nbytes, r->data, MHD_RESPMEM_PERSISTENT);
    }
    if (!out) return NULL;
    if (r->type) MHD_add_response_header(out, "Content-Type", r->type);
    MHD_add_response_header(out, "X-Request-Id", x->id);
    for (size_t i = 0; i < sizeof safe_headers / sizeof *safe_headers; i++) MHD_add_response_header(out, safe_headers[i][0], safe_headers[i][1]);
    for (int i = 0; i < r->nheaders; i++) MHD_add_response_header(out, r->headers[i].name, r->headers[i].value);
    return out;
}

static enum MHD_Result send_reply(exchange *x)
{
    if (!x->reply.status) reply_problem(x, &(problem){ .e = { .status = DREAMO_BUG, .message = "no answer was made" } });
    struct MHD_Response *out = make_response(x);
    if (!out) return MHD_NO;
    line_enter(&x->server->http.lines, x->line, LINE_REPLY);
    if (x->reply.stream) stream_begin(x->reply.stream, x);
    if (atomic_load(&x->server->http.closing)) MHD_add_response_header(out, "Connection", "close");
    metrics_request(&x->server->metrics, x->route ? routes_index(x->route) : METRICS_ROUTES - 1, x->reply.status);
    enum MHD_Result done = MHD_queue_response(x->c, (unsigned)x->reply.status, out);
    MHD_destroy_response(out);
    return done;
}

/* ---- in: the line and the headers ---- */

typedef struct header_count { int n, hosts, lengths, encodings, types, keys; bool zero; } header_count;

static enum MHD_Result count_header(void *user, enum MHD_ValueKind kind, const char *name, size_t name_nbytes, const char *value, size_t nbytes)
{
    header_count *h = user;
    (void)kind;
    h->n++;
    h->hosts += strcasecmp(name, "Host") == 0;
    h->lengths += strcasecmp(name, "Content-Length") == 0;
    h->encodings += strcasecmp(name, "Transfer-Encoding") == 0;
    h->types += strcasecmp(name, "Content-Type") == 0;
    h->keys += strcasecmp(name, "Authorization") == 0;
    if (strlen(name) != name_nbytes || (value && strlen(value) != nbytes)) h->zero = true;
    return MHD_YES;
}

static dreamo_status check_headers(exchange *x, problem *p)
{
    header_count h = { 0 };
    MHD_get_connection_values_n(x->c, MHD_HEADER_KIND, count_header, &h);
    const char *encoding = exchange_header(x, "Transfer-Encoding"), *length = exchange_header(x, "Content-Length");
    if (h.n > HEADERS_MAX) return refuse_http(p, DREAMO_LIMIT, 431, "%d headers, at most %d are allowed", h.n, HEADERS_MAX);
    if (h.zero) return refuse_http(p, DREAMO_ARG, 400, "a header holds a zero byte");
    if (h.hosts > 1 || h.lengths > 1 || h.encodings > 1 || h.types > 1 || h.keys > 1)
        return refuse_http(p, DREAMO_ARG, 400, "a header that may come once comes twice");
    if (length && encoding) return refuse_http(p, DREAMO_ARG, 400, "Content-Length and Transfer-Encoding exclude each other");
    if (length && (strspn(length, "0123456789") != strlen(length) || !*length)) return refuse_http(p, DREAMO_ARG, 400, "Content-Length: \"%.40s\" is not a number of bytes", length);
    if (encoding && strcasecmp(encoding, "chunked")) return refuse_http(p, DREAMO_ARG, 501, "Transfer-Encoding: \"%.40s\" is not known", encoding);
    const char *packed = exchange_header(x, "Content-Encoding");
    if (packed && strcasecmp(packed, "identity")) return refuse_http(p, DREAMO_ARG, 415, "Content-Encoding: \"%.40s\": bodies must come as they are", packed);
    return DREAMO_OK;
}

/* Announced bytes; -1: chunked; more than any limit when it does not fit a number. */
static int64_t announced(exchange *x)
{
    const char *length = exchange_header(x, "Content-Length");
    if (exchange_header(x, "Transfer-Encoding")) return -1;
    if (!length) return 0;
    return strlen(length) > 18 ? INT64_MAX : strtoll(length, NULL, 10);
}

static bool type_is(const char *type, const char *what)
{
    size_t n = strcspn(type, "; \t");
    return strlen(what) == n && strncasecmp(type, what, n) == 0;
}

static dreamo_status check_body(exchange *x, int64_t nbytes, problem *p)
{
    const int takes = x->route->flags & (ROUTE_JSON | ROUTE_FORM | ROUTE_BYTES);
    const char *type = exchange_header(x, "Content-Type");
    if (nbytes > x->server->limits.body) {
        refuse(p, DREAMO_LIMIT, NULL, "a body of %lld bytes", (long long)nbytes);
        return advise(p, "at most %lld", (long long)x->server->limits.body);
    }
    if (nbytes == 0 || !takes) return DREAMO_OK; /* what is not wanted is read and forgotten */
    if (!type) return refuse_http(p, DREAMO_ARG, 415, "the Content-Type header is missing");
    if (takes & ROUTE_JSON && type_is(type, "application/json")) x->body_type = "application/json";
    else if (takes & ROUTE_FORM && type_is(type, "multipart/form-data")) x->body_type = "multipart/form-data";
    else if (takes & ROUTE_BYTES && (strncasecmp(type, "image/", 6) == 0 || type_is(type, "application/octet-stream"))) x->body_type = "image";
    else {
        refuse_http(p, DREAMO_ARG, 415, "Content-Type: \"%.60s\" is not taken here", type);
        return advise(p, "%s%s%s", takes & ROUTE_JSON ? "application/json" : "", takes & ROUTE_FORM ? takes & ROUTE_JSON ? " or multipart/form-data" : "multipart/form-data" : "",
                      takes & ROUTE_BYTES ? " or image/png, image/jpeg, image/webp" : "");
    }
    return DREAMO_OK;
}

static dreamo_status check_origin(exchange *x, problem *p)
{
    bool allowed;
    const char *origin = exchange_header(x, "Origin"), *site = exchange_header(x, "Sec-Fetch-Site");
    dreamo_status s = guard_origin(&x->server->http.guard, origin, exchange_header(x, "Host"), &allowed, p);
    if (!s && allowed) {
        exchange_set(x, "Access-Control-Allow-Origin", "%s", origin);
        exchange_set(x, "Access-Control-Expose-Headers", "Location, Retry-After, X-Request-Id");
        exchange_set(x, "Vary", "Origin");
    }
    bool reads = strcmp(x->method, "GET") == 0;
    if (!s && !allowed && !reads && site && strcasecmp(site, "same-origin") && strcasecmp(site, "none"))
        s = refuse_http(p, DREAMO_AUTH, 403, "Sec-Fetch-Site: \"%.20s\": other pages may not change anything here", site);
    return s;
}

/* The preflight of a page that is allowed. */
static bool is_preflight(exchange *x, const char *method)
{
    bool allowed;
    problem p = { 0 };
    const char *origin = exchange_header(x, "Origin");
    if (strcmp(method, "OPTIONS") || !origin || guard_origin(&x->server->http.guard, origin, exchange_header(x, "Host"), &allowed, &p)) return false;
    exchange_set(x, "Access-Control-Allow-Methods", "GET, POST, DELETE");
    exchange_set(x, "Access-Control-Allow-Headers", "Authorization, Content-Type, Idempotency-Key, Last-Event-ID");
    exchange_set(x, "Access-Control-Max-Age", "600");
    reply_bytes(x, 204, NULL, "", 0, NULL);
    return true;
}

static dreamo_status find_route(exchange *x, const char *method, const char *path, problem *p)
{
    bool other = false;
    snprintf(x->method, sizeof x->method, "%s", x->head ? "GET" : method);
    x->route = routes_find(x->method, path, x->args, &other);
    if (x->route) return DREAMO_OK;
    if (other) return refuse_http(p, DREAMO_ARG, 405, "%.20s is not possible here", method);
    return refuse(p, DREAMO_NOT_FOUND, NULL, "%.100s: there is nothing here", path);
}

/* Everything that can be refused before the body. */
static dreamo_status admit(exchange *x, const char *method, const char *path, problem *p)
{
    http *h = &x->server->http;
    const char *host = exchange_header(x, "Host");
    if (x->bad_target.e.status) {
        *p = x->bad_target;
        return p->e.status;
    }
    dreamo_status s = check_headers(x, p);
    if (!s) s = guard_host(&h->guard, host, x->line ? x->line->fd : -1, p);
    if (!s && is_preflight(x, method)) return DREAMO_OK;
    if (!s) s = find_route(x, method, path, p);
    if (!s) s = check_origin(x, p);
    if (!s && !(x->route->flags & ROUTE_OPEN)) s = guard_key_check(&h->guard, exchange_header(x, "Authorization"), x->who, p);
    if (!s) s = check_body(x, announced(x), p);
    return s;
}

/* ---- in: the body ---- */

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
        size_t want = x->room ? 2 * x->room : 4096, length = (size_t)(announced(x) > 0 ? announced(x) : 0);
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
    if (x->reply.status) return send_reply(x);
    if (x->route->flags & ROUTE_AT_ONCE) {
        x->route->run(x);
        return send_reply(x);
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
    if (strlen(target) > TARGET_MAX) refuse_http(&x->bad_target, DREAMO_LIMIT, 414, "a target of %zu bytes, at most %d are allowed", strlen(target), TARGET_MAX);
    else if (*target != '/') refuse_http(&x->bad_target, DREAMO_ARG, 400, "the target does not begin with /");
    else if (memchr(target, '%', path) || memchr(target, '\\', path) || memmem(target, path, "//", 2) || memmem(target, path, "..", 2) || strstr(target, "%00"))
        refuse(&x->bad_target, DREAMO_NOT_FOUND, NULL, "%.100s: there is nothing here", target);
    return x;
}

static enum MHD_Result on_request(void *user, struct MHD_Connection *c, const char *path, const char *method, const char *version, const char *data, size_t *nbytes,
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
        if (admit(x, method, path, &p)) {
            reply_problem(x, &p);
            int64_t length = announced(x);
            x->early = length < 0 || length > EARLY_BODY || p.http == 431;
            if (x->early) return send_reply(x);
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
    return x->reply.status ? send_reply(x) : MHD_YES;
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
                                 MHD_OPTION_LISTEN_SOCKET, listen_fd, MHD_OPTION_URI_LOG_CALLBACK, on_target, s, MHD_OPTION_NOTIFY_COMPLETED, on_completed, s,
                                 MHD_OPTION_NOTIFY_CONNECTION, on_connection, s, MHD_OPTION_UNESCAPE_CALLBACK, keep_escapes, NULL,
                                 MHD_OPTION_CONNECTION_TIMEOUT, 30u, MHD_OPTION_CONNECTION_LIMIT, (unsigned)max + 32, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
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
