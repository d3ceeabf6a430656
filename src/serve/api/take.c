/* take.c - everything between a body and the queue.  What will be refused is refused here, before anything waits. */
#include "serve/api/take.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "serve/http/form.h"

/* ---- bodies ---- */

static dreamo_status ask_from_json(exchange *x, ask *out, problem *p)
{
    json_t *o;
    dreamo_status s = json_text_read(x->body, x->nbytes, "the request", &o, p);
    if (s) return s;
    s = ask_read(o, &x->server->limits, false, out, p);
    json_decref(o);
    return s;
}

static dreamo_status add_field(json_t *fields, const form_part *part, problem *p)
{
    if (json_object_get(fields, part->name)) return refuse(p, DREAMO_ARG, part->name, "is given twice");
    json_t *value = json_stringn(part->data, part->nbytes); /* NULL: not UTF-8 */
    if (!value || memchr(part->data, '\0', part->nbytes)) {
        json_decref(value);
        return refuse(p, DREAMO_ARG, part->name, "is not text in UTF-8");
    }
    return json_object_set_new(fields, part->name, value) ? refuse(p, DREAMO_MEMORY, NULL, "no memory for a form") : DREAMO_OK;
}

static dreamo_status ask_from_form(exchange *x, ask *out, problem *p)
{
    form *f = malloc(sizeof *f);
    json_t *fields = json_object();
    dreamo_status s = f && fields ? form_read(exchange_header(x, "Content-Type"), x->body ? x->body : "", x->nbytes, f, p)
                                  : refuse(p, DREAMO_MEMORY, NULL, "no memory for a form");
    for (int i = 0; !s && i < f->n; i++)
        if (!*f->part[i].file) s = add_field(fields, &f->part[i], p);
    if (!s) s = ask_read(fields, &x->server->limits, true, out, p);
    bool made = !s;
    for (int i = 0; !s && i < f->n; i++) {
        const form_part *part = &f->part[i];
        if (!*part->file) continue;
        void *copy = malloc(part->nbytes + 1);
        if (!copy) s = refuse(p, DREAMO_MEMORY, part->name, "no memory for a picture");
        else s = ask_add_file(out, &x->server->limits, part->name, part->file, memcpy(copy, part->data, part->nbytes), part->nbytes, p);
    }
    if (s && made) ask_free(out);
    json_decref(fields);
    free(f);
    return s;
}

dreamo_status take_ask(exchange *x, ask *out, problem *p)
{
    *out = (ask){ 0 };
    if (!x->body_type) return refuse(p, DREAMO_ARG, NULL, "the request has no body");
    return strcmp(x->body_type, "application/json") ? ask_from_form(x, out, p) : ask_from_json(x, out, p);
}

/* ---- pictures ---- */

void look_begin(struct server *s)
{
    while (sem_wait(&s->looks)) {} /* a signal */
}

void look_end(struct server *s) { sem_post(&s->looks); }

dreamo_status take_picture(struct server *s, const char *name, const void *data, size_t nbytes, blob *out, problem *p)
{
    dreamo_image im;
    look_begin(s);
    dreamo_status status = dreamo_image_decode(data, nbytes, name, s->limits.upload_pixels, &im, &p->e);
    *out = (blob){ .nbytes = nbytes, .width = im.width, .height = im.height };
    if (!status) dreamo_image_free(&im);
    look_end(s);
    if (status) return status;
    dreamo_sha256(data, nbytes, out->sha256);
    return DREAMO_OK;
}

dreamo_status take_format(struct server *s, const blob *png, const char *format, int quality, void **data, size_t *nbytes, problem *p)
{
    dreamo_image im;
    look_begin(s);
    dreamo_status status = dreamo_image_decode(png->data, png->nbytes, "the picture", 0, &im, &p->e);
    if (!status) {
        status = dreamo_image_encode(&im, format, quality, data, nbytes, &p->e);
        dreamo_image_free(&im);
    }
    look_end(s);
    return status;
}

dreamo_status take_references(struct server *s, ask *a, problem *p)
{
    for (int i = 0; i < a->nrefs; i++) {
        blob b;
        ask_ref *r = &a->refs[i];
        if (r->data) continue;
        dreamo_status status = s->jobs->ops->upload_get(s->jobs, r->upload, &b, p);
        if (status) {
            snprintf(p->field, sizeof p->field, "references[%d].upload", i);
            return status;
        }
        r->data = b.data;
        r->nbytes = b.nbytes;
    }
    return DREAMO_OK;
}

/* Pictures that came with the request become uploads. */
static dreamo_status keep_references(struct server *s, ask *a, problem *p)
{
    char name[32];
    for (int i = 0; i < a->nrefs; i++) {
        ask_ref *r = &a->refs[i];
        blob b;
        if (*r->upload) continue;
        snprintf(name, sizeof name, "reference %d", i + 1);
        dreamo_status status = take_picture(s, *r->name ? r->name : name, r->data, r->nbytes, &b, p);
        if (!status) {
            b.data = r->data;
            status = s->jobs->ops->upload_put(s->jobs, &b, p);
        }
        if (status) {
            if (!*p->field) snprintf(p->field, sizeof p->field, "references[%d]", i);
            return status;
        }
        memcpy(r->upload, b.sha256, sizeof r->upload);
    }
    return DREAMO_OK;
}

/* ---- jobs ---- */

json_t *take_plan_json(const dreamo_plan *plan)
{
    json_t *o = json_pack("{s:i, s:i, s:i, s:i, s:f, s:I}", "width", plan->width, "height", plan->height, "steps", plan->steps, "tokens",
                          plan->tokens, "flops", plan->flops, "peak_bytes", (json_int_t)plan->peak_bytes);
    if (o) json_object_set_new(o, "seconds", plan->seconds >= 0 ? json_real(plan->seconds) : json_null());
    return o;
}

/* The request in its canonical words. */
static void write_request(const ask *a, text *t)
{
    json_t *o = ask_write(a);
    text_json(t, o);
    json_decref(o);
}

static dreamo_status queue_job(exchange *x, ask *a, job_ticket *ticket, problem *p)
{
    char uploads[ASK_REFS][65], hash[65] = "";
    text t = { 0 };
    /* as it came: a seed to be drawn is the same in both requests of one key, and so are a form's words behind other boundaries */
    write_request(a, &t);
    if (!t.failed) dreamo_sha256(t.data, t.nbytes, hash);
    text_free(&t);
    ask_draw_seed(a);
    write_request(a, &t);
    for (int i = 0; i < a->nrefs; i++) memcpy(uploads[i], a->refs[i].upload, 65);
    job_new what = { .who = x->who, .request = t.data, .count = (int)a->count, .uploads = uploads, .nuploads = a->nrefs,
                     .once = exchange_header(x, "Idempotency-Key"), .body_hash = hash };
    dreamo_status s = t.failed ? refuse(p, DREAMO_MEMORY, NULL, "no memory for a job") : DREAMO_OK;
    if (!s && what.once && (strlen(what.once) > 255 || !*what.once)) s = refuse(p, DREAMO_ARG, NULL, "Idempotency-Key: allowed are 1 to 255 bytes");
    if (!s) s = x->server->jobs->ops->submit(x->server->jobs, &what, ticket, p);
    text_free(&t);
    return s;
}

dreamo_status take_plan(struct server *s, const ask *a, dreamo_plan *out, problem *p)
{
    if (a->nrefs) look_begin(s);
    dreamo_status status = engine_plan(&s->engine, a, out, p);
    if (a->nrefs) look_end(s);
    return status;
}

dreamo_status take_job(exchange *x, ask *a, job_ticket *ticket, dreamo_plan *plan, problem *p)
{
    struct server *s = x->server;
    dreamo_plan own;
    if (atomic_load(&s->draining)) {
        p->retry_after = 10;
        return refuse_http(p, DREAMO_BUSY, 503, "the server is being stopped");
    }
    dreamo_status status = keep_references(s, a, p);
    if (!status) status = take_references(s, a, p);
    if (!status) status = take_plan(s, a, plan ? plan : &own, p);
    if (!status) status = queue_job(x, a, ticket, p);
    return status;
}

dreamo_status take_end(exchange *x, job *out, problem *p)
{
    const jobs_ops *on = x->server->jobs->ops;
    job_state was;
    if (atomic_load(&x->gone)) { /* nobody is left to read it */
        problem unheard = { 0 };
        if (!atomic_load(&x->server->http.closing)) on->cancel(x->server->jobs, x->job, x->who, &was, &unheard);
        return refuse_http(p, DREAMO_CANCELLED, 503, "the request was given up");
    }
    dreamo_status s = on->get(x->server->jobs, x->job, x->who, out, p);
    if (s || out->state == JOB_DONE) return s;
    p->e = out->error;
    s = out->error.status ? out->error.status : DREAMO_BUG;
    if (s == DREAMO_CANCELLED) p->http = 409;
    job_free(out);
    return s;
}
