/* native.c - /api/v1/jobs: submit, look, listen, cancel, fetch.  Everything else that the server speaks is a translation of this. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "serve/http/stream.h"
#include "serve/api/take.h"

/* ---- a job as JSON ---- */

static json_t *times(const job *j)
{
    json_t *o = json_pack("{s:f}", "created", (double)j->created / 1000);
    if (o && j->started) json_object_set_new(o, "started", json_real((double)j->started / 1000));
    if (o && j->ended) json_object_set_new(o, "ended", json_real((double)j->ended / 1000));
    return o;
}

static json_t *pictures(const job *j)
{
    char url[96];
    json_t *list = json_array();
    for (int i = 0; list && i < j->images; i++) {
        snprintf(url, sizeof url, "/api/v1/jobs/%s/images/%d", j->id, i);
        json_array_append_new(list, json_string(url));
    }
    return list;
}

static json_t *describe(exchange *x, const job *j)
{
    problem p = { 0 };
    hub_progress now = { .seconds_left = -1 };
    bool live = j->state == JOB_RUNNING && hub_get_progress(x->server->hub, j->id, &now);
    json_t *request = NULL, *o = json_pack("{s:s, s:s, s:i, s:o, s:o}", "id", j->id, "state", job_state_name(j->state), "count", j->count,
                                           "images", pictures(j), "times", times(j));
    if (!o) return NULL;
    if (j->state == JOB_QUEUED) json_object_set_new(o, "position", json_integer(j->position));
    if (live) json_object_update_new(o, json_pack("{s:i, s:i, s:i, s:o}", "step", now.step, "steps", now.steps, "picture", now.picture,
                                                  "seconds_left", now.seconds_left >= 0 ? json_real(now.seconds_left) : json_null()));
    if (j->state == JOB_FAILED || j->state == JOB_CANCELLED)
        json_object_set_new(o, "error", json_pack("{s:s, s:s, s:s*}", "code", dreamo_status_code(j->error.status), "message", j->error.message,
                                                  "hint", *j->error.hint ? j->error.hint : NULL));
    if (j->request && !json_text_read(j->request, strlen(j->request), "the stored request", &request, &p)) json_object_set_new(o, "request", request);
    if (!j->request) json_object_set_new(o, "expired", json_true());
    return o;
}

static bool find_job(exchange *x, job *j)
{
    problem p = { 0 };
    if (x->server->jobs->ops->get(x->server->jobs, x->args[0], x->who, j, &p) == DREAMO_OK) return true;
    reply_problem(x, &p);
    return false;
}

void native_get_job(exchange *x)
{
    job j;
    if (!find_job(x, &j)) return;
    reply_json(x, 200, describe(x, &j));
    job_free(&j);
}

/* ---- submitting ---- */

void native_post_job(exchange *x)
{
    ask a;
    problem p = { 0 };
    job_ticket ticket;
    dreamo_plan plan;
    dreamo_status s = take_ask(x, &a, &p);
    if (!s) {
        s = take_job(x, &a, &ticket, &plan, &p);
        if (!s) {
            json_t *o = json_pack("{s:s, s:s, s:I, s:I, s:o}", "id", ticket.id, "state", "queued", "position", (json_int_t)ticket.position,
                                  "seed", (json_int_t)a.seed, "plan", take_plan_json(&plan));
            if (o && ticket.again) { /* what has become of it since is for GET to say */
                json_object_del(o, "state");
                json_object_del(o, "position");
                json_object_del(o, "seed");
                json_object_set_new(o, "again", json_true());
            }
            exchange_set(x, "Location", "/api/v1/jobs/%s", ticket.id);
            reply_json(x, 202, o);
        }
        ask_free(&a);
    }
    if (s) reply_problem(x, &p);
}

void native_post_plan(exchange *x)
{
    ask a;
    problem p = { 0 };
    dreamo_plan plan;
    dreamo_status s = take_ask(x, &a, &p);
    if (!s) {
        for (int i = 0; !s && i < a.nrefs; i++) {
            blob b;
            if (a.refs[i].data) s = take_picture(x->server, a.refs[i].name, a.refs[i].data, a.refs[i].nbytes, &b, &p);
        }
        if (!s) s = take_references(x->server, &a, &p);
        if (!s) s = take_plan(x->server, &a, &plan, &p);
        if (!s) reply_json(x, 200, take_plan_json(&plan));
        ask_free(&a);
    }
    if (s) reply_problem(x, &p);
}

/* ---- events ---- */

static void format_event(exchange *x, const hub_event *e, text *out, bool *end)
{
    (void)x;
    text_format(out, "id: %lld\nevent: %s\ndata: ", (long long)e->id, e->name);
    text_add(out, e->data, e->nbytes);
    text_add(out, "\n\n", 2);
    *end = strcmp(e->name, "done") == 0 || strcmp(e->name, "error") == 0;
}

/* A job that ended so long ago that nobody remembers how: its last event alone. */
static void reply_last_event(exchange *x, const job *j)
{
    text t = { 0 };
    hub_event e = { .id = j->last_event };
    json_t *o = j->state == JOB_DONE ? json_pack("{s:s, s:i}", "state", "done", "images", j->images)
                                     : json_pack("{s:s, s:{s:s, s:s, s:s}}", "state", job_state_name(j->state), "error", "code",
                                                 dreamo_status_code(j->error.status), "message", j->error.message, "hint", j->error.hint);
    text data = { 0 };
    bool end;
    text_json(&data, o);
    json_decref(o);
    snprintf(e.name, sizeof e.name, "%s", j->state == JOB_DONE ? "done" : "error");
    e.data = data.failed ? "{}" : data.data;
    e.nbytes = strlen(e.data);
    format_event(x, &e, &t, &end);
    text_free(&data);
    reply_text(x, 200, "text/event-stream", &t);
}

static dreamo_status last_seen(exchange *x, int64_t *after, problem *p)
{
    const char *s = exchange_header(x, "Last-Event-ID");
    *after = 0;
    if (!s) return DREAMO_OK;
    if (!*s || strlen(s) > 15 || strspn(s, "0123456789") != strlen(s))
        return refuse(p, DREAMO_ARG, NULL, "Last-Event-ID: \"%.40s\" is not the number of an event", s);
    *after = strtoll(s, NULL, 10);
    return DREAMO_OK;
}

static dreamo_status no_such_event(int64_t after, problem *p)
{
    refuse_http(p, DREAMO_NOT_FOUND, 410, "Last-Event-ID: %lld: the events after it are not here", (long long)after);
    return advise(p, "ask without it; GET the job tells its state");
}

void native_get_events(exchange *x)
{
    job j;
    int64_t after;
    problem p = { 0 };
    if (last_seen(x, &after, &p)) {
        reply_problem(x, &p);
        return;
    }
    if (!find_job(x, &j)) return;
    snprintf(x->job, sizeof x->job, "%s", j.id);
    bool ended = j.state >= JOB_DONE, known = hub_last_id(x->server->hub, j.id) > 0;
    if (ended && after == j.last_event) {
        reply_bytes(x, 204, NULL, "", 0, NULL); /* EventSource stops asking */
    } else if (ended && !known) {
        if (after > j.last_event) {
            no_such_event(after, &p);
            reply_problem(x, &p);
        } else {
            reply_last_event(x, &j);
        }
    } else {
        native_stream(x, &j, after, format_event, false);
    }
    job_free(&j);
}

void native_stream(exchange *x, const job *j, int64_t after, stream_format format, bool heavy)
{
    problem p = { 0 };
    if (!reply_stream(x, after, format, heavy)) return;
    if (j->state == JOB_QUEUED && hub_last_id(x->server->hub, j->id) == 0) {
        char line[80];
        snprintf(line, sizeof line, "{\"state\":\"queued\",\"position\":%lld}", (long long)j->position);
        hub_tell(x->server->hub, j->id, j->tries, "queued", line, false);
    }
    if (after && stream_has(x->reply.stream, after)) {
        stream_free(x->reply.stream);
        x->reply.stream = NULL;
        x->reply.status = 0;
        x->reply.nheaders = 0;
        no_such_event(after, &p);
        reply_problem(x, &p);
    }
}

/* ---- cancelling ---- */

static void cancelled(exchange *x)
{
    job j;
    problem p = { 0 };
    if (x->server->jobs->ops->get(x->server->jobs, x->job, x->who, &j, &p)) {
        reply_problem(x, &p);
        return;
    }
    reply_json(x, j.state >= JOB_DONE ? 200 : 202, describe(x, &j)); /* 202: we stop, and it has not yet */
    job_free(&j);
}

void native_delete_job(exchange *x)
{
    problem p = { 0 };
    job_state was;
    if (x->server->jobs->ops->cancel(x->server->jobs, x->args[0], x->who, &was, &p)) {
        reply_problem(x, &p);
    } else if (was == JOB_DONE || was == JOB_FAILED) {
        refuse_http(&p, DREAMO_MISMATCH, 409, "job %s: is over (%s)", x->args[0], job_state_name(was));
        reply_problem(x, &p);
    } else if (was == JOB_RUNNING) {
        exchange_wait(x, x->args[0], cancelled);
    } else {
        snprintf(x->job, sizeof x->job, "%s", x->args[0]);
        cancelled(x);
    }
}

/* ---- pictures ---- */

/* "7" and nothing else. */
static bool small_number(const char *s, int lo, int hi, int *out)
{
    if (!*s || strlen(s) > 6 || strspn(s, "0123456789") != strlen(s)) return false;
    *out = (int)strtol(s, NULL, 10);
    return *out >= lo && *out <= hi;
}

static dreamo_status gone(const job *j, problem *p) { return refuse_http(p, DREAMO_NOT_FOUND, 410,
                                                                         "job %s: its pictures were kept for their time and are gone", j->id); }

/* In another format: decoded and encoded anew.  ETag tells them apart. */
static dreamo_status convert(exchange *x, const char *format, const blob *b, problem *p)
{
    const char *text = exchange_query(x, "quality");
    int quality = 95;
    void *data;
    size_t nbytes;
    bool png = !format || strcmp(format, "png") == 0;
    if (text && !small_number(text, 1, 100, &quality)) return refuse(p, DREAMO_ARG, "quality", "\"%.20s\" is not 1 to 100", text);
    if (!png && strcmp(format, "jpeg") && strcmp(format, "webp")) return refuse(p, DREAMO_ARG, "format", "\"%.20s\" is none of png, jpeg, webp",
                                                                                format);
    exchange_set(x, "Cache-Control", "private, max-age=86400, immutable");
    if (png) {
        exchange_set(x, "ETag", "\"%s\"", b->sha256);
        return DREAMO_OK;
    }
    dreamo_status s = take_format(x->server, b, format, quality, &data, &nbytes, p);
    if (s) return s;
    exchange_set(x, "ETag", "\"%s-%s-%d\"", b->sha256, format, quality);
    reply_bytes(x, 200, strcmp(format, "jpeg") ? "image/webp" : "image/jpeg", data, nbytes, dreamo_bytes_free);
    return DREAMO_OK;
}

void native_get_image(exchange *x)
{
    job j;
    int n = 0;
    blob b = { 0 };
    problem p = { 0 };
    const char *match = exchange_header(x, "If-None-Match");
    if (!find_job(x, &j)) return;
    dreamo_status s = DREAMO_OK;
    if (!small_number(x->args[1], 0, 99999, &n)) s = refuse(&p, DREAMO_NOT_FOUND, NULL, "job %s: has no picture \"%.20s\"", j.id, x->args[1]);
    else if (!j.request) s = gone(&j, &p);
    if (!s) s = x->server->jobs->ops->image(x->server->jobs, j.id, n, &b, &p);
    if (!s) s = convert(x, exchange_query(x, "format"), &b, &p);
    const char *etag = x->reply.nheaders ? x->reply.headers[x->reply.nheaders - 1].value : "";
    if (s) {
        x->reply.nheaders = 0;
        reply_problem(x, &p);
    } else if (match && strcmp(match, etag) == 0) {
        reply_bytes(x, 304, NULL, "", 0, NULL);
    } else if (!x->reply.status) {
        reply_bytes(x, 200, "image/png", b.data, b.nbytes, free);
        b.data = NULL;
    }
    blob_free(&b);
    job_free(&j);
}

void native_get_ref(exchange *x)
{
    job j;
    int n = 0, width, height;
    ask a = { 0 };
    problem p = { 0 };
    json_t *o = NULL;
    void *png;
    size_t nbytes;
    if (!find_job(x, &j)) return;
    dreamo_status s = j.request ? json_text_read(j.request, strlen(j.request), "the stored request", &o, &p) : gone(&j, &p);
    if (!s) s = ask_read(o, &x->server->worker.limits, false, &a, &p);
    if (!s && (!small_number(x->args[1], 0, ASK_REFS, &n) || n >= a.nrefs))
        s = refuse(&p, DREAMO_NOT_FOUND, NULL, "job %s: has no reference \"%.20s\"", j.id, x->args[1]);
    if (!s) s = take_references(x->server, &a, &p);
    if (!s) {
        look_begin(x->server);
        s = engine_show(&x->server->engine, &a.refs[n], n, &png, &nbytes, &width, &height, NULL, 0, &p);
        look_end(x->server);
    }
    if (s) reply_problem(x, &p);
    else reply_bytes(x, 200, "image/png", png, nbytes, dreamo_bytes_free);
    json_decref(o);
    ask_free(&a);
    job_free(&j);
}
