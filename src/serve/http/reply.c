/* reply.c - what handlers answer, and how it becomes the HTTP library's response. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "serve/server.h"
#include "serve/http/stream.h"

/* ---- what handlers say ---- */

const char *exchange_header(exchange *x, const char *name) { return MHD_lookup_connection_value(x->c, MHD_HEADER_KIND, name); }
const char *exchange_query(exchange *x, const char *name) { return MHD_lookup_connection_value(x->c, MHD_GET_ARGUMENT_KIND, name); }

void reply_clear(reply *r)
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

static const char *openai_type(int status) { return status == 401 ? "authentication_error" : status == 429 ? "rate_limit_error" : status >= 500
                                             ? "server_error" : "invalid_request_error"; }

void reply_problem(exchange *x, const problem *p)
{
    int status = p->http ? p->http : dreamo_http_status(p->e.status);
    const char *code = dreamo_status_code(p->e.status), *field = *p->field ? p->field : NULL, *message = *p->e.message ? p->e.message
        : "it did not work";
    json_t *o;
    if (x->route && x->route->flags & ROUTE_OPENAI)
        o = json_pack("{s:s, s:s, s:s?, s:s, s:s}", "message", message, "type", openai_type(status), "param", field, "code", code, "request", x->id);
    else
        o = json_pack("{s:s, s:s*, s:s, s:s*, s:s}", "code", code, "field", field, "message", message, "hint", *p->e.hint ? p->e.hint : NULL,
                      "request", x->id);
    if (p->retry_after) exchange_set(x, "Retry-After", "%d", p->retry_after);
    if (status == 401) exchange_set(x, "WWW-Authenticate", "Bearer");
    metrics_refused(&x->server->metrics, p->e.status);
    reply_json(x, status, json_pack("{s:o}", "error", o));
}

void reply_built(exchange *x, dreamo_status s, text *json, const problem *p)
{
    if (!s) {
        reply_text(x, 200, "application/json", json);
        return;
    }
    text_free(json);
    reply_problem(x, p);
}

/* ---- out ---- */

static const char *const safe_headers[][2] = {
    { "X-Content-Type-Options", "nosniff" }, { "Referrer-Policy", "no-referrer" }, { "Cross-Origin-Resource-Policy", "same-origin" },
    { "Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
                                 "base-uri 'none'; form-action 'none'; frame-ancestors 'none'" },
};

/* What no handler says anything about is kept nowhere: browsers keep a 410 for ever, and a page that asks again would never reach us. */
static bool says_how_long(const reply *r)
{
    for (int i = 0; i < r->nheaders; i++)
        if (strcmp(r->headers[i].name, "Cache-Control") == 0) return true;
    return false;
}

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
    if (!says_how_long(r)) MHD_add_response_header(out, "Cache-Control", "no-store");
    for (int i = 0; i < r->nheaders; i++) MHD_add_response_header(out, r->headers[i].name, r->headers[i].value);
    return out;
}

enum MHD_Result reply_send(exchange *x)
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
