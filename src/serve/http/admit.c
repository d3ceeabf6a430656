/* admit.c - everything about a request that can be refused before its body is read. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "serve/server.h"

enum { HEADERS_MAX = 100 };

/* ---- headers ---- */

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
    if (length && (strspn(length, "0123456789") != strlen(length) || !*length)) return refuse_http(p, DREAMO_ARG, 400,
            "Content-Length: \"%.40s\" is not a number of bytes", length);
    if (encoding && strcasecmp(encoding, "chunked")) return refuse_http(p, DREAMO_ARG, 501, "Transfer-Encoding: \"%.40s\" is not known", encoding);
    const char *packed = exchange_header(x, "Content-Encoding");
    if (packed && strcasecmp(packed, "identity")) return refuse_http(p, DREAMO_ARG, 415,
                                                                     "Content-Encoding: \"%.40s\": bodies must come as they are", packed);
    return DREAMO_OK;
}

int64_t exchange_announced(exchange *x)
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
        return advise(p, "%s%s%s", takes & ROUTE_JSON ? "application/json" : "",
                      takes & ROUTE_FORM ? takes & ROUTE_JSON ? " or multipart/form-data" : "multipart/form-data" : "",
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
dreamo_status exchange_admit(exchange *x, const char *method, const char *path, problem *p)
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
    if (!s) s = check_body(x, exchange_announced(x), p);
    return s;
}
