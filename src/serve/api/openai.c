/* openai.c - OpenAI's images API over the native one: generations, edits, partial images as a stream.
 *
 * What it knows and cannot do is refused by name (mask, transparent backgrounds, styles); a field `dreamo` takes the native fields that OpenAI has no
 * word for, and `tasks` of the images. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "serve/http/form.h"
#include "serve/api/take.h"

enum { PARTIAL_MAX = 3 };

/* What an answer needs to know of its request. */
typedef struct order {
    bool edit, stream, url;
    int partial, told;           /* previews wanted, told */
    int compression;             /* 0 = the best */
    char format[8], size[24];
} order;

/* ---- fields ---- */

typedef struct values { json_t *o; bool form; } values; /* in a form every value is text */

static dreamo_status get_number(const values *v, const char *name, int lo, int hi, int *out, problem *p)
{
    const json_t *n = json_object_get(v->o, name);
    int64_t value = 0;
    if (!n || json_is_null(n)) return DREAMO_OK;
    const char *s = v->form ? json_string_value(n) : NULL;
    if (s && *s && strlen(s) < 7 && strspn(s, "0123456789") == strlen(s)) value = strtol(s, NULL, 10);
    else if (!v->form && json_is_integer(n)) value = json_integer_value(n);
    else return refuse(p, DREAMO_ARG, name, "is not a whole number");
    if (value < lo || value > hi) return refuse(p, DREAMO_ARG, name, "%lld is outside %d to %d", (long long)value, lo, hi);
    *out = (int)value;
    return DREAMO_OK;
}

static dreamo_status get_flag(const values *v, const char *name, bool *out, problem *p)
{
    const json_t *n = json_object_get(v->o, name);
    const char *s = json_string_value(n);
    if (!n || json_is_null(n)) return DREAMO_OK;
    if (v->form && s && (strcmp(s, "true") == 0 || strcmp(s, "false") == 0)) *out = *s == 't';
    else if (!v->form && json_is_boolean(n)) *out = json_is_true(n);
    else return refuse(p, DREAMO_ARG, name, "is neither true nor false");
    return DREAMO_OK;
}

/* One of the words, the first when it is not given.  `words` ends with NULL. */
static dreamo_status get_word(const values *v, const char *name, const char *const *words, char *out, size_t nbytes, problem *p)
{
    const json_t *n = json_object_get(v->o, name);
    const char *s = n && !json_is_null(n) ? json_string_value(n) : words[0];
    char known[120] = "";
    for (const char *const *w = words; *w; w++) {
        if (s && strcmp(s, *w) == 0) {
            if (out) snprintf(out, nbytes, "%s", s);
            return DREAMO_OK;
        }
        snprintf(known + strlen(known), sizeof known - strlen(known), "%s%s", w == words ? "" : ", ", *w);
    }
    refuse(p, DREAMO_ARG, name, "\"%.40s\" is not supported", s ? s : "");
    return advise(p, "supported: %s", known);
}

static dreamo_status check_known(const values *v, problem *p)
{
    static const char *const known[] = { "prompt", "model", "n", "size", "response_format", "output_format", "output_compression", "stream",
                                         "partial_images", "user", "quality",
                                         "background", "moderation", "dreamo", NULL };
    static const char *const unsupported[] = { "mask", "style", "input_fidelity", NULL };
    const char *key;
    json_t *value;
    json_object_foreach(v->o, key, value) {
        bool found = false;
        for (const char *const *k = known; *k; k++) found = found || strcmp(key, *k) == 0;
        for (const char *const *k = unsupported; *k; k++)
            if (strcmp(key, *k) == 0 && !json_is_null(value)) return refuse(p, DREAMO_ARG, key, "is not supported by this server");
        if (!found && !json_is_null(value)) {
            char name[64];
            snprintf(name, sizeof name, "%.60s", key);
            return refuse(p, DREAMO_ARG, name, "no such parameter");
        }
    }
    return DREAMO_OK;
}

static dreamo_status check_model(exchange *x, const values *v, problem *p)
{
    const json_t *n = json_object_get(v->o, "model");
    const char *s = json_string_value(n);
    if (!n || json_is_null(n) || (s && (strcmp(s, "dreamo") == 0 || strcmp(s, x->server->engine.about.name) == 0))) return DREAMO_OK;
    refuse(p, DREAMO_NOT_FOUND, "model", "\"%.60s\" is not served here", s ? s : "");
    return advise(p, "dreamo");
}

static dreamo_status read_order(exchange *x, const values *v, order *o, problem *p)
{
    static const char *const formats[] = { "png", "jpeg", "webp", NULL }, *const responses[] = { "b64_json", "url", NULL };
    static const char *const qualities[] = { "auto", "standard", NULL }, *const backgrounds[] = { "auto", "opaque", NULL },
        *const moderations[] = { "auto", "low", NULL };
    char response[16];
    int quality = 100;
    dreamo_status s = check_known(v, p);
    if (!s) s = check_model(x, v, p);
    if (!s) s = get_word(v, "output_format", formats, o->format, sizeof o->format, p);
    if (!s) s = get_word(v, "response_format", responses, response, sizeof response, p);
    if (!s) s = get_word(v, "quality", qualities, NULL, 0, p);
    if (!s) s = get_word(v, "background", backgrounds, NULL, 0, p);
    if (!s) s = get_word(v, "moderation", moderations, NULL, 0, p);
    if (!s) s = get_number(v, "output_compression", 0, 100, &quality, p);
    if (!s) s = get_flag(v, "stream", &o->stream, p);
    if (!s) s = get_number(v, "partial_images", 0, PARTIAL_MAX, &o->partial, p);
    if (s) return s;
    o->url = strcmp(response, "url") == 0;
    o->compression = quality < 1 ? 1 : quality;
    if (o->partial && !o->stream) return refuse(p, DREAMO_ARG, "partial_images", "needs stream = true");
    if (o->stream && o->url) return refuse(p, DREAMO_ARG, "response_format", "a stream carries pictures in base64 only");
    if (quality != 100 && strcmp(o->format, "png") == 0) return refuse(p, DREAMO_ARG, "output_compression", "PNG has none; it is for jpeg and webp");
    return DREAMO_OK;
}

/* Our own fields: the order's in our words, and what `dreamo` adds.  tasks (borrowed from *extra) may be NULL. */
static dreamo_status to_native(exchange *x, const values *v, const order *o, json_t **native, json_t **extra, json_t **tasks, problem *p)
{
    const json_t *given = json_object_get(v->o, "dreamo");
    const char *size = json_string_value(json_object_get(v->o, "size"));
    int n = 1;
    dreamo_status s = get_number(v, "n", 1, (int)x->server->limits.count, &n, p);
    *extra = NULL;
    *tasks = NULL;
    *native = json_object();
    if (!s && json_is_string(given)) s = json_text_read(json_string_value(given), json_string_length(given), "dreamo", extra, p);
    else if (!s && given && !json_is_null(given)) *extra = json_deep_copy(given);
    if (!s && *extra && !json_is_object(*extra)) s = refuse(p, DREAMO_ARG, "dreamo", "is not an object");
    if (s) return s;
    if (*extra) {
        *tasks = json_object_get(*extra, "tasks");
        json_object_update(*native, *extra);
        json_object_del(*native, "tasks");
    }
    json_t *prompt = json_object_get(v->o, "prompt");
    if (prompt) json_object_set(*native, "prompt", prompt);
    if (size && strcmp(size, "auto")) json_object_set_new(*native, "size", json_string(size));
    json_object_set_new(*native, "count", json_integer(n));
    int64_t steps = json_is_integer(json_object_get(*native, "steps")) ? json_integer_value(json_object_get(*native, "steps"))
        : x->server->engine.about.steps;
    if (o->partial && steps > 0) json_object_set_new(*native, "preview_every", json_integer((steps + o->partial) / (o->partial + 1)));
    return DREAMO_OK;
}

/* ---- answers ---- */

static dreamo_status add_base64(exchange *x, const order *o, const blob *b, text *out, problem *p)
{
    void *data;
    size_t nbytes;
    if (strcmp(o->format, "png") == 0) {
        encode_base64(out, b->data, b->nbytes);
        return DREAMO_OK;
    }
    dreamo_status s = take_format(x->server, b, o->format, o->compression, &data, &nbytes, p);
    if (s) return s;
    encode_base64(out, data, nbytes);
    dreamo_bytes_free(data);
    return DREAMO_OK;
}

static dreamo_status add_picture(exchange *x, order *o, int i, text *out, problem *p)
{
    blob b = { 0 };
    const char *host = exchange_header(x, "Host");
    if (o->url) {
        text_format(out, "{\"url\":\"http://%s/api/v1/jobs/%s/images/%d?format=%s&quality=%d\"}", host ? host : "localhost", x->job, i, o->format,
                    o->compression);
        return DREAMO_OK;
    }
    dreamo_status s = x->server->jobs->ops->image(x->server->jobs, x->job, i, &b, p);
    snprintf(o->size, sizeof o->size, "%dx%d", b.width, b.height);
    text_format(out, "{\"b64_json\":\"");
    if (!s) s = add_base64(x, o, &b, out, p);
    text_format(out, "\"}");
    blob_free(&b);
    return s;
}

static void answer(exchange *x)
{
    order *o = x->memory;
    job j;
    problem p = { 0 };
    text t = { 0 };
    dreamo_status s = take_end(x, &j, &p);
    if (!s) {
        text_format(&t, "{\"created\":%lld,\"background\":\"opaque\",\"output_format\":\"%s\",\"data\":[", (long long)time(NULL), o->format);
        for (int i = 0; !s && i < j.images; i++) {
            if (i) text_add(&t, ",", 1);
            s = add_picture(x, o, i, &t, &p);
        }
        text_format(&t, "]");
        if (*o->size) text_format(&t, ",\"size\":\"%s\"", o->size);
        text_format(&t, "}\n");
        job_free(&j);
    }
    reply_built(x, s, &t, &p);
}

/* ---- the stream ---- */

static void begin_event(const order *o, const char *what, text *out)
{
    const char *kind = o->edit ? "image_edit" : "image_generation";
    text_format(out, "event: %s.%s\ndata: {\"type\":\"%s.%s\",\"created_at\":%lld,\"background\":\"opaque\",\"quality\":\"auto\",", kind, what, kind, what,
                (long long)time(NULL));
    text_format(out, "\"output_format\":\"%s\"", o->format);
}

static long long number_of(const json_t *o, const char *key) { return (long long)json_integer_value(json_object_get(o, key)); }

static void add_partial(exchange *x, order *o, const hub_event *e, text *out)
{
    problem p = { 0 };
    blob b = { 0 };
    void *data = NULL;
    json_t *preview = json_loadb(e->data, e->nbytes, 0, NULL), *base64 = json_object_get(preview, "base64");
    if (o->told < o->partial && base64 && !base64_read(json_string_value(base64), json_string_length(base64), NULL, &data, &b.nbytes, &p)) {
        b.data = data;
        begin_event(o, "partial_image", out);
        text_format(out, ",\"partial_image_index\":%d,\"size\":\"%lldx%lld\",\"b64_json\":\"", o->told++,
                    number_of(preview, "width"),
                    number_of(preview, "height"));
        add_base64(x, o, &b, out, &p);
        text_format(out, "\"}\n\n");
    }
    free(data);
    json_decref(preview);
}

static void add_completed(exchange *x, order *o, const hub_event *e, text *out)
{
    problem p = { 0 };
    blob b = { 0 };
    json_t *image = json_loadb(e->data, e->nbytes, 0, NULL);
    int n = (int)json_integer_value(json_object_get(image, "picture"));
    json_decref(image);
    if (!x->server->jobs->ops->image(x->server->jobs, x->job, n, &b, &p)) {
        begin_event(o, "completed", out);
        text_format(out, ",\"size\":\"%dx%d\",\"usage\":{\"input_tokens\":0,\"output_tokens\":0,\"total_tokens\":0,", b.width, b.height);
        text_format(out, "\"input_tokens_details\":{\"image_tokens\":0,\"text_tokens\":0}},\"b64_json\":\"");
        add_base64(x, o, &b, out, &p);
        text_format(out, "\"}\n\n");
    }
    blob_free(&b);
}

static void format_event(exchange *x, const hub_event *e, text *out, bool *end)
{
    order *o = x->memory;
    if (strcmp(e->name, "preview") == 0) {
        add_partial(x, o, e, out);
    } else if (strcmp(e->name, "image") == 0) {
        add_completed(x, o, e, out);
    } else if (strcmp(e->name, "error") == 0) {
        text_format(out, "event: error\ndata: ");
        text_add(out, e->data, e->nbytes);
        text_format(out, "\n\n");
        *end = true;
    } else if (strcmp(e->name, "done") == 0) {
        *end = true;
    }
}

/* ---- the two requests ---- */

static dreamo_status begin(exchange *x, ask *a, const order *o, problem *p)
{
    job_ticket ticket;
    job j;
    dreamo_status s = take_job(x, a, &ticket, NULL, p);
    if (s) return s;
    x->memory = malloc(sizeof *o);
    if (!x->memory) return refuse(p, DREAMO_MEMORY, NULL, "no memory for an answer");
    memcpy(x->memory, o, sizeof *o);
    snprintf(x->job, sizeof x->job, "%s", ticket.id);
    if (!o->stream) {
        exchange_wait(x, ticket.id, answer);
    } else if (!(s = x->server->jobs->ops->get(x->server->jobs, ticket.id, x->who, &j, p))) {
        x->owns_job = true;
        native_stream(x, &j, 0, format_event, true);
        job_free(&j);
    }
    return s;
}

static void translate(exchange *x, const values *v, order *o, const form *f)
{
    ask a = { 0 };
    problem p = { 0 };
    json_t *native = NULL, *extra = NULL, *tasks = NULL;
    dreamo_status s = read_order(x, v, o, &p);
    if (!s) s = to_native(x, v, o, &native, &extra, &tasks, &p);
    if (!s) s = ask_read(native, &x->server->limits, false, &a, &p);
    for (int i = 0, n = 0; !s && f && i < f->n; i++) {
        const form_part *part = &f->part[i];
        const char *task = json_string_value(json_array_get(tasks, (size_t)n));
        if (!*part->file) continue;
        if (strcmp(part->name, "image") && strcmp(part->name, "image[]")) {
            s = refuse(&p, DREAMO_ARG, part->name, strcmp(part->name, "mask") ? "no such parameter for a file" : "is not supported by this server");
            break;
        }
        void *copy = malloc(part->nbytes + 1);
        if (!copy) s = refuse(&p, DREAMO_MEMORY, part->name, "no memory for a picture");
        else s = ask_add_file(&a, &x->server->limits, task ? task : "ip", part->file, memcpy(copy, part->data, part->nbytes), part->nbytes, &p);
        n++;
    }
    if (!s && o->edit && a.nrefs == 0) s = refuse(&p, DREAMO_ARG, "image", "is missing");
    if (!s) s = begin(x, &a, o, &p);
    if (s) reply_problem(x, &p);
    ask_free(&a);
    json_decref(native);
    json_decref(extra);
}

void openai_generations(exchange *x)
{
    values v = { 0 };
    problem p = { 0 };
    order o = { 0 };
    dreamo_status s = json_text_read(x->body, x->nbytes, "the request", &v.o, &p);
    if (!s && !json_is_object(v.o)) s = refuse(&p, DREAMO_ARG, NULL, "the request is not a JSON object");
    if (s) reply_problem(x, &p);
    else translate(x, &v, &o, NULL);
    json_decref(v.o);
}

void openai_edits(exchange *x)
{
    values v = { .o = json_object(), .form = true };
    problem p = { 0 };
    order o = { .edit = true };
    form *f = malloc(sizeof *f);
    dreamo_status s = DREAMO_OK;
    if (!f) s = refuse(&p, DREAMO_MEMORY, NULL, "no memory for a form");
    else if (!x->body) s = refuse(&p, DREAMO_ARG, NULL, "the request has no body");
    else s = form_read(exchange_header(x, "Content-Type"), x->body, x->nbytes, f, &p);
    for (int i = 0; !s && i < f->n; i++) {
        const form_part *part = &f->part[i];
        if (*part->file) continue;
        json_t *value = memchr(part->data, '\0', part->nbytes) ? NULL : json_stringn(part->data, part->nbytes);
        if (!value || json_object_get(v.o, part->name)) {
            s = refuse(&p, DREAMO_ARG, part->name, value ? "is given twice" : "is not text in UTF-8");
            json_decref(value);
        } else {
            json_object_set_new(v.o, part->name, value);
        }
    }
    if (s) reply_problem(x, &p);
    else translate(x, &v, &o, f);
    json_decref(v.o);
    free(f);
}

/* ---- models ---- */

static json_t *model_row(const char *id) { return json_pack("{s:s, s:s, s:i, s:s}", "id", id, "object", "model", "created", 0, "owned_by", "dreamo"); }

void openai_models(exchange *x)
{
    reply_json(x, 200, json_pack("{s:s, s:[o, o]}", "object", "list", "data", model_row("dreamo"), model_row(x->server->engine.about.name)));
}

void openai_model(exchange *x)
{
    problem p = { 0 };
    if (strcmp(x->args[0], "dreamo") == 0 || strcmp(x->args[0], x->server->engine.about.name) == 0) {
        reply_json(x, 200, model_row(x->args[0]));
    } else {
        refuse(&p, DREAMO_NOT_FOUND, "model", "\"%.60s\" is not served here", x->args[0]);
        reply_problem(x, &p);
    }
}
