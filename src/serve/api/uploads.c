/* uploads.c - /api/v1/uploads: pictures that are sent once and named in jobs by their hash. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "serve/http/form.h"
#include "serve/api/take.h"

/* ?task=&res=&cut= as in a job's reference; *given: there is a task. */
static dreamo_status read_query(exchange *x, ask_ref *r, bool *given, problem *p)
{
    const char *task = exchange_query(x, "task"), *res = exchange_query(x, "res"), *cut = exchange_query(x, "cut");
    char *end = NULL;
    *given = task != NULL;
    if (task && !task_from_name(task, &r->task)) return refuse(p, DREAMO_ARG, "task", "\"%.20s\" is none of ip, id, style, auto", task);
    if (res && strcmp(res, "keep") == 0) {
        r->res = -1;
    } else if (res) {
        long n = strlen(res) < 6 ? strtol(res, &end, 10) : 0;
        if (n < 16 || n > 4096 || *end) return refuse(p, DREAMO_ARG, "res", "\"%.20s\" is neither keep nor 16 to 4096", res);
        r->res = (int)n;
    }
    if (cut && !cut_from_name(cut, &r->cut)) return refuse(p, DREAMO_ARG, "cut", "\"%.20s\" is none of on, off, alpha, net", cut);
    return DREAMO_OK;
}

/* The one picture of the body. */
static dreamo_status find_picture(exchange *x, const void **data, size_t *nbytes, char name[ASK_NAME], problem *p)
{
    snprintf(name, ASK_NAME, "the upload");
    *data = x->body;
    *nbytes = x->nbytes;
    if (!x->body_type || !x->nbytes) return refuse(p, DREAMO_ARG, NULL, "the request has no body");
    if (strcmp(x->body_type, "multipart/form-data")) return DREAMO_OK;
    form *f = malloc(sizeof *f);
    dreamo_status s = f ? form_read(exchange_header(x, "Content-Type"), x->body, x->nbytes, f, p)
                        : refuse(p, DREAMO_MEMORY, NULL, "no memory for a form");
    if (!s && (f->n != 1 || !*f->part[0].file)) s = refuse(p, DREAMO_ARG, NULL, "form: one part is needed, with a file");
    if (!s) {
        *data = f->part[0].data;
        *nbytes = f->part[0].nbytes;
        snprintf(name, ASK_NAME, "%s", f->part[0].file);
    }
    free(f);
    return s;
}

/* "prepared": what the model will see, in the answer itself. */
static dreamo_status add_prepared(exchange *x, const ask_ref *r, json_t *answer, problem *p)
{
    char notes[400];
    void *png;
    size_t nbytes;
    int width, height;
    text t = { 0 };
    look_begin(x->server);
    dreamo_status s = engine_show(&x->server->engine, r, 0, &png, &nbytes, &width, &height, notes, sizeof notes, p);
    look_end(x->server);
    if (s) return s;
    text_format(&t, "data:image/png;base64,");
    encode_base64(&t, png, nbytes);
    dreamo_bytes_free(png);
    json_object_set_new(answer, "prepared", json_pack("{s:s, s:i, s:i, s:s*, s:s}", "task", task_name(r->task), "width", width, "height", height,
                                                      "note", *notes ? notes : NULL, "image", t.failed ? "" : t.data));
    text_free(&t);
    return DREAMO_OK;
}

void uploads_post(exchange *x)
{
    ask_ref r = { 0 };
    bool given;
    blob b;
    problem p = { 0 };
    const void *data;
    size_t nbytes;
    json_t *answer = NULL;
    dreamo_status s = read_query(x, &r, &given, &p);
    if (!s) s = find_picture(x, &data, &nbytes, r.name, &p);
    if (!s) s = take_picture(x->server, r.name, data, nbytes, &b, &p);
    if (!s) {
        r.data = b.data = (void *)(uintptr_t)data; /* borrowed */
        r.nbytes = nbytes;
        answer = json_pack("{s:s, s:i, s:i, s:I}", "id", b.sha256, "width", b.width, "height", b.height, "bytes", (json_int_t)nbytes);
        if (given) s = add_prepared(x, &r, answer, &p);
    }
    if (!s) s = x->server->jobs->ops->upload_put(x->server->jobs, &b, &p);
    if (s) {
        json_decref(answer);
        reply_problem(x, &p);
        return;
    }
    exchange_set(x, "Location", "/api/v1/uploads/%s", b.sha256);
    reply_json(x, 201, answer);
}

static bool find_upload(exchange *x, blob *b)
{
    problem p = { 0 };
    if (x->server->jobs->ops->upload_get(x->server->jobs, x->args[0], b, &p) == DREAMO_OK) return true;
    reply_problem(x, &p);
    return false;
}

static const char *type_of(const blob *b)
{
    const unsigned char *d = b->data;
    return b->nbytes > 3 && d[0] == 0x89 ? "image/png" : b->nbytes > 3 && d[0] == 0xFF ? "image/jpeg" : "image/webp";
}

void uploads_get(exchange *x)
{
    blob b;
    if (!find_upload(x, &b)) return;
    exchange_set(x, "Cache-Control", "private, max-age=600");
    reply_bytes(x, 200, type_of(&b), b.data, b.nbytes, free);
}

void uploads_seen(exchange *x)
{
    ask_ref r = { .name = "the upload" };
    bool given;
    blob b;
    problem p = { 0 };
    void *png;
    size_t nbytes;
    int width, height;
    if (read_query(x, &r, &given, &p)) {
        reply_problem(x, &p);
        return;
    }
    if (!find_upload(x, &b)) return;
    r.data = b.data;
    r.nbytes = b.nbytes;
    look_begin(x->server);
    dreamo_status s = engine_show(&x->server->engine, &r, 0, &png, &nbytes, &width, &height, NULL, 0, &p);
    look_end(x->server);
    if (s) reply_problem(x, &p);
    else reply_bytes(x, 200, "image/png", png, nbytes, dreamo_bytes_free);
    blob_free(&b);
}

void uploads_delete(exchange *x)
{
    problem p = { 0 };
    if (x->server->jobs->ops->upload_drop(x->server->jobs, x->args[0], &p)) reply_problem(x, &p);
    else reply_bytes(x, 204, NULL, "", 0, NULL);
}
