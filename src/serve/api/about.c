/* about.c - what the server says about itself: capabilities, openapi.json, health, metrics.  Limits and fields come from the tables that the
 * validator reads. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "serve/server.h"

/* ---- fields ---- */

static json_t *reference_schema(void)
{
    static const char *const texts[] = { "image", "upload", "name" };
    json_t *properties = json_pack("{s:{s:s, s:[s, s, s, s]}, s:{s:s, s:i, s:i}, s:{s:[b, b, s, s]}, s:{s:s, s:i}, s:{s:s, s:i, s:i, s:{s:s}}, s:{s:[s]}, s:{}}",
                                   "task", "type", "string", "enum", "ip", "id", "style", "auto", "slot", "type", "integer", "minimum", 1, "maximum", 9, "cut", "enum", 1, 0, "alpha", "net",
                                   "face", "type", "integer", "minimum", 1, "box", "type", "array", "minItems", 4, "maxItems", 4, "items", "type", "integer", "part", "enum", "garment", "res");
    for (int i = 0; properties && i < 3; i++) json_object_set_new(properties, texts[i], json_pack("{s:s}", "type", "string"));
    return json_pack("{s:s, s:[s], s:b, s:o}", "type", "object", "required", "task", "additionalProperties", 0, "properties", properties);
}

static json_t *field_schema(const ask_field *f, const limits *l)
{
    switch (f->kind) {
    case ASK_TEXT: return json_pack("{s:s, s:I, s:s}", "type", "string", "maxLength", (json_int_t)f->hi, "description", f->doc);
    case ASK_SIZE: return json_pack("{s:s, s:s, s:s}", "type", "string", "pattern", "^[0-9]+x[0-9]+$", "description", f->doc);
    case ASK_INTEGER: {
        json_t *o = json_pack("{s:s, s:I, s:s}", "type", "integer", "minimum", (json_int_t)f->lo, "description", f->doc);
        if (o && f->hi < 9e18) json_object_set_new(o, "maximum", json_integer((json_int_t)f->hi));
        return o;
    }
    case ASK_NUMBER: return json_pack("{s:s, s:f, s:f, s:s}", "type", "number", "minimum", f->lo, "maximum", f->hi, "description", f->doc);
    default:
        return json_pack("{s:s, s:I, s:s, s:o}", "type", "array", "maxItems", (json_int_t)l->refs, "description", f->doc, "items", reference_schema());
    }
}

static json_t *request_schema(const limits *l)
{
    ask_field f[24];
    int n = ask_fields(l, f);
    json_t *properties = json_object();
    for (int i = 0; properties && i < n; i++) json_object_set_new(properties, f[i].name, field_schema(&f[i], l));
    return json_pack("{s:s, s:[s], s:b, s:o}", "type", "object", "required", "prompt", "additionalProperties", 0, "properties", properties);
}

/* ---- capabilities ---- */

static json_t *field_rows(const limits *l)
{
    static const char *const kinds[] = { "text", "integer", "number", "size", "list" };
    ask_field f[24];
    int n = ask_fields(l, f);
    json_t *list = json_array();
    for (int i = 0; list && i < n; i++) {
        json_t *o = json_pack("{s:s, s:s, s:s}", "name", f[i].name, "kind", kinds[f[i].kind], "doc", f[i].doc);
        if (o && f[i].hi < 9e18) json_object_update_new(o, json_pack("{s:f, s:f}", "lo", f[i].lo, "hi", f[i].hi));
        json_array_append_new(list, o);
    }
    return list;
}

/* By their files' names, without the folders. */
static json_t *lora_rows(const dreamo_model_options *o)
{
    json_t *list = json_array();
    for (int i = 0; list && i < o->nloras; i++) {
        const char *path = o->loras[i].path, *slash = strrchr(path, '/');
        json_array_append_new(list, json_pack("{s:s, s:f}", "name", slash ? slash + 1 : path, "scale", (double)o->loras[i].scale));
    }
    return list;
}

void about_capabilities(exchange *x)
{
    const limits *l = &x->server->limits;
    const dreamo_model_about *m = &x->server->engine.about;
    json_t *limits_row = json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:i}", "body_bytes", (json_int_t)l->body, "pixels",
                                   (json_int_t)l->pixels, "upload_pixels", (json_int_t)l->upload_pixels, "references", (json_int_t)l->refs,
                                   "steps", (json_int_t)l->steps, "count", (json_int_t)l->count, "queue", (json_int_t)l->queue, "prompt_bytes",
                                   (json_int_t)l->prompt, "side", (json_int_t)l->side, "side_multiple_of", l->cell);
    json_t *defaults = json_pack("{s:i, s:i, s:i, s:f, s:f, s:i, s:i, s:i, s:i, s:i}", "width", m->width, "height", m->height, "steps", m->steps, "guidance",
                                 m->guidance, "true_cfg", m->true_cfg, "ref_res", m->ref_res,
                                 "ref_res_face", m->ref_res_face, "ref_res_style", m->ref_res_style, "ref_res_several", m->ref_res_several,
                                 "ref_res_faces", m->ref_res_faces);
    json_t *model = json_pack("{s:s, s:s, s:s, s:i, s:I}", "name", m->name, "sha256", m->hash, "backend", m->backend, "threads", m->threads,
                              "weight_bytes", (json_int_t)m->weight_bytes);
    jobs *q = x->server->jobs;
    reply_json(x, 200, json_pack("{s:s, s:o, s:o, s:o, s:[s, s, s, s], s:[s, s, s], s:I, s:b, s:o, s:[{s:s, s:i}], s:o, s:o*}", "version", dreamo_version(), "model", model,
                                 "limits", limits_row, "defaults", defaults, "tasks", "ip", "id", "style", "auto", "formats", "png", "jpeg", "webp",
                                 "keep_seconds", (json_int_t)x->server->o->keep_seconds, "keys", x->server->http.guard.nkeys > 0, "loras",
                                 lora_rows(&x->server->o->model), "devices", "name", m->backend, "threads", m->threads, "fields", field_rows(l), "workers", q->ops->workers ? q->ops->workers(q) : NULL));
}

/* ---- openapi.json ---- */

static json_t *operation(const route *r)
{
    const char *answer = r->flags & ROUTE_OPENAI ? "as OpenAI has it" : "errors: {\"error\":{\"code\",\"field\",\"message\",\"hint\",\"request\"}}";
    json_t *parameters = json_array(), *o = json_pack("{s:s, s:{s:{s:s}}}", "summary", r->doc, "responses", "default", "description", answer);
    for (const char *at = r->path; (at = strchr(at, '{')); at++) {
        char name[16];
        snprintf(name, sizeof name, "%.*s", (int)strcspn(at + 1, "}"), at + 1);
        json_array_append_new(parameters, json_pack("{s:s, s:s, s:b, s:{s:s}}", "name", name, "in", "path", "required", 1, "schema", "type", "string"));
    }
    if (json_array_size(parameters)) json_object_set(o, "parameters", parameters);
    json_decref(parameters);
    json_t *content = json_object();
    if (r->flags & ROUTE_JSON && !(r->flags & ROUTE_OPENAI) && strncmp(r->path, "/api/", 5) == 0)
        json_object_set_new(content, "application/json", json_pack("{s:{s:s}}", "schema", "$ref", "#/components/schemas/Request"));
    else if (r->flags & ROUTE_JSON) json_object_set_new(content, "application/json", json_object());
    if (r->flags & ROUTE_FORM) json_object_set_new(content, "multipart/form-data", json_object());
    if (r->flags & ROUTE_BYTES) json_object_set_new(content, "image/*", json_object());
    if (json_object_size(content)) json_object_set_new(o, "requestBody", json_pack("{s:O}", "content", content));
    json_decref(content);
    if (r->flags & ROUTE_OPEN) json_object_set_new(o, "security", json_array());
    return o;
}

void about_openapi(exchange *x)
{
    json_t *paths = json_object();
    for (const route *r = routes; r->path; r++) {
        char method[8] = "";
        json_t *path = json_object_get(paths, r->path);
        if (!r->doc) continue;
        for (size_t i = 0; r->method[i] && i < sizeof method - 1; i++) method[i] = (char)(r->method[i] | 0x20);
        if (!path) json_object_set_new(paths, r->path, path = json_object());
        json_object_set_new(path, method, operation(r));
    }
    reply_json(x, 200, json_pack("{s:s, s:{s:s, s:s}, s:o, s:{s:{s:o}, s:{s:{s:s, s:s}}}, s:[{s:[]}]}", "openapi", "3.1.0", "info", "title",
                                 "dreamo", "version", dreamo_version(), "paths", paths, "components", "schemas", "Request",
                                 request_schema(&x->server->limits), "securitySchemes", "key", "type", "http", "scheme", "bearer", "security",
                                 "key"));
}

/* ---- state ---- */

void about_health(exchange *x) { reply_json(x, 200, json_pack("{s:s}", "status", "ok")); }

void about_ready(exchange *x)
{
    int64_t of[JOB_STATES];
    problem p = { 0 };
    x->server->jobs->ops->counts(x->server->jobs, of);
    if (atomic_load(&x->server->draining)) refuse_http(&p, DREAMO_BUSY, 503, "the server is being stopped");
    else if (of[JOB_QUEUED] >= x->server->limits.queue) refuse_http(&p, DREAMO_BUSY, 503, "the queue is full");
    else if (!x->server->jobs->ops->alive(x->server->jobs, &p)) p.http = 503;
    if (p.e.status) reply_problem(x, &p);
    else reply_json(x, 200, json_pack("{s:s, s:I}", "status", "ready", "queued", (json_int_t)of[JOB_QUEUED]));
}

void about_metrics(exchange *x)
{
    const char *names[METRICS_ROUTES];
    text t = { 0 };
    routes_names(names);
    metrics_write(&x->server->metrics, names, x->server->jobs, &x->server->engine, &t);
    reply_text(x, 200, "text/plain; version=0.0.4; charset=utf-8", &t);
}

void about_version(exchange *x) { reply_json(x, 200, json_pack("{s:s, s:s}", "program", "dreamo", "version", dreamo_version())); }
