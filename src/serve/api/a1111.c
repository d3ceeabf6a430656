/* a1111.c - the routes of A1111's API that editors and chat programs call, over the native one.
 *
  * cfg_scale is true CFG (1 = off), distilled_cfg_scale is guidance, init_images are references, alwayson_scripts.dreamo.args[0] takes the native
 * fields.  What would change the picture and cannot be done is refused by name; what only tells A1111 how to keep house is let through.  Addresses in place of
 * pictures are not fetched. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/sysinfo.h>

#include "serve/api/take.h"

/* ---- jobs in flight ---- */

static void flight_add(exchange *x, const char *job)
{
    flights *f = &x->server->flights;
    pthread_mutex_lock(&f->lock);
    if (f->n < FLIGHTS) {
        snprintf(f->of[f->n].job, sizeof f->of[0].job, "%s", job);
        snprintf(f->of[f->n].who, sizeof f->of[0].who, "%s", x->who);
        f->n++;
    }
    pthread_mutex_unlock(&f->lock);
}

static void flight_remove(exchange *x, const char *job)
{
    flights *f = &x->server->flights;
    pthread_mutex_lock(&f->lock);
    for (int i = 0; i < f->n; i++)
        if (strcmp(f->of[i].job, job) == 0) {
            memmove(&f->of[i], &f->of[i + 1], (size_t)(f->n - i - 1) * sizeof f->of[0]);
            f->n--;
            break;
        }
    pthread_mutex_unlock(&f->lock);
}

/* The asker's oldest. */
static bool flight_find(exchange *x, char job[JOB_ID + 1])
{
    flights *f = &x->server->flights;
    bool found = false;
    pthread_mutex_lock(&f->lock);
    for (int i = 0; i < f->n && !found; i++)
        if ((found = strcmp(f->of[i].who, x->who) == 0)) memcpy(job, f->of[i].job, JOB_ID + 1);
    pthread_mutex_unlock(&f->lock);
    return found;
}

/* ---- fields ---- */

/* Let through whatever they say: they name nothing that is in the picture. */
static const char *const housekeeping[] = { "save_images", "send_images", "do_not_save_samples", "do_not_save_grid",
                                            "override_settings_restore_afterwards", "sampler_index",
                                            "comments", "include_init_images", "infotext", "session_hash", "force_task_id", "script_args", NULL };

static bool is_empty(const json_t *v)
{
    return json_is_string(v) ? !json_string_length(v) : json_is_array(v) ? !json_array_size(v) : json_is_object(v) && !json_object_size(v);
}

/* Allowed with the one value that does nothing. */
static bool does_nothing(const char *key, const json_t *v)
{
    static const struct { const char *key; double value; } numbers[] = {
        { "subseed", -1 }, { "subseed_strength", 0 }, { "seed_resize_from_h", -1 }, { "seed_resize_from_w", -1 }, { "eta", 0 },
                                                                         { "s_churn", 0 }, { "s_tmin", 0 }, { "s_noise", 1 }, { "clip_skip", 1 },
    };
    static const char *const flags[] = { "tiling", "restore_faces", "enable_hr", "disable_extra_networks", NULL };
    static const char *const empties[] = { "styles", "override_settings", "script_name", "refiner_checkpoint", NULL };
    double d = json_number_value(v);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (strcmp(key, numbers[i].key) == 0 && json_is_number(v) && d >= numbers[i].value && d <= numbers[i].value) return true;
    for (const char *const *k = flags; *k; k++)
        if (strcmp(key, *k) == 0 && json_is_false(v)) return true;
    for (const char *const *k = empties; *k; k++)
        if (strcmp(key, *k) == 0 && is_empty(v)) return true;
    return json_is_null(v);
}

static bool listed(const char *key, const char *const *list)
{
    for (; *list; list++)
        if (strcmp(key, *list) == 0) return true;
    return false;
}

static dreamo_status check_word(const json_t *v, const char *key, const char *const *known, problem *p)
{
    const char *s = json_string_value(v);
    for (const char *const *k = known; s && *k; k++)
        if (strcasecmp(s, *k) == 0) return DREAMO_OK;
    refuse(p, DREAMO_ARG, key, "\"%.40s\" is not there", s ? s : "");
    return advise(p, "%s", known[0]);
}

/* Width, height, counts become ours; the rest is renamed. */
static dreamo_status map_field(json_t *native, const char *key, json_t *v, bool images, problem *p)
{
    static const char *const samplers[] = { "Euler", NULL }, *const schedulers[] = { "Simple", "Automatic", NULL };
    static const struct { const char *theirs, *ours; } same[] = {
        { "prompt", "prompt" }, { "negative_prompt", "negative" }, { "steps", "steps" }, { "cfg_scale", "true_cfg" }, { "distilled_cfg_scale", "guidance" },
    };
    for (size_t i = 0; i < sizeof same / sizeof *same; i++)
        if (strcmp(key, same[i].theirs) == 0) return json_object_set(native, same[i].ours, v) ? refuse(p, DREAMO_MEMORY, key, "no memory") : DREAMO_OK;
    if (strcmp(key, "seed") == 0) { /* -1: random */
        if (!json_is_integer(v) || json_integer_value(v) < -1) return refuse(p, DREAMO_ARG, key, "is neither -1 nor a seed");
        if (json_integer_value(v) >= 0) json_object_set(native, "seed", v);
        return DREAMO_OK;
    }
    if (strcmp(key, "sampler_name") == 0) return check_word(v, key, samplers, p);
    if (strcmp(key, "scheduler") == 0) return check_word(v, key, schedulers, p);
    if (strcmp(key, "width") == 0 || strcmp(key, "height") == 0 || strcmp(key, "batch_size") == 0 || strcmp(key, "n_iter") == 0)
        return json_is_integer(v) && json_integer_value(v) >= 1 && json_integer_value(v) < 100000
                   ? DREAMO_OK : refuse(p, DREAMO_ARG, key, "is not a whole number of 1 or more");
    /* references are not painted over */
    if (images && (strcmp(key, "init_images") == 0 || strcmp(key, "denoising_strength") == 0 || strcmp(key, "resize_mode") == 0)) return DREAMO_OK;
    if (strcmp(key, "alwayson_scripts") == 0 || listed(key, housekeeping) || does_nothing(key, v)) return DREAMO_OK;
    char name[64];
    snprintf(name, sizeof name, "%.60s", key);
    return refuse(p, DREAMO_ARG, name, "is not supported by this server");
}

static int64_t integer(const json_t *o, const char *key, int64_t otherwise)
{
    const json_t *v = json_object_get(o, key);
    return json_is_integer(v) ? json_integer_value(v) : otherwise;
}

static dreamo_status set_sizes(exchange *x, const json_t *o, json_t *native)
{
    const dreamo_model_about *m = &x->server->engine.about;
    char size[48];
    json_object_set_new(native, "count", json_integer(integer(o, "batch_size", 1) * integer(o, "n_iter", 1)));
    json_object_set_new(native, "preview_every", json_integer(5));
    if (!json_object_get(o, "width") && !json_object_get(o, "height")) return DREAMO_OK;
    snprintf(size, sizeof size, "%lldx%lld", (long long)integer(o, "width", m->width), (long long)integer(o, "height", m->height));
    json_object_set_new(native, "size", json_string(size));
    return DREAMO_OK;
}

/* alwayson_scripts: {"dreamo": {"args": [{...}]}} and nothing else. */
static dreamo_status add_script(const json_t *o, json_t *native, json_t **tasks, problem *p)
{
    json_t *scripts = json_object_get(o, "alwayson_scripts"), *value;
    const char *key;
    json_object_foreach(scripts, key, value) {
        json_t *args = json_object_get(value, "args"), *own = json_array_get(args, 0);
        if (strcmp(key, "dreamo") && json_array_size(args) == 0) continue;
        if (strcmp(key, "dreamo")) return refuse(p, DREAMO_ARG, "alwayson_scripts", "the script \"%.40s\" is not here", key);
        if (json_array_size(args) != 1 || !json_is_object(own)) return refuse(p, DREAMO_ARG, "alwayson_scripts", "dreamo takes one object in args");
        *tasks = json_object_get(own, "tasks");
        json_object_update(native, own);
        json_object_del(native, "tasks");
    }
    return DREAMO_OK;
}

static dreamo_status add_images(const json_t *o, json_t *native, const json_t *tasks, problem *p)
{
    json_t *images = json_object_get(o, "init_images"), *refs = json_object_get(native, "references"), *image;
    size_t i;
    if (!json_is_array(images) || json_array_size(images) == 0) return refuse(p, DREAMO_ARG, "init_images", "is missing");
    if (!refs) json_object_set_new(native, "references", refs = json_array());
    json_array_foreach(images, i, image) {
        const char *task = json_string_value(json_array_get(tasks, i));
        json_array_append_new(refs, json_pack("{s:s, s:O}", "task", task ? task : "ip", "image", image));
    }
    return DREAMO_OK;
}

static dreamo_status to_native(exchange *x, const json_t *o, bool images, json_t *native, problem *p)
{
    const char *key;
    json_t *v, *tasks = NULL;
    dreamo_status s = DREAMO_OK;
    if (!json_is_object(o)) return refuse(p, DREAMO_ARG, NULL, "the request is not a JSON object");
    json_object_foreach((json_t *)(uintptr_t)o, key, v)
        if ((s = map_field(native, key, v, images, p))) return s;
    s = set_sizes(x, o, native);
    if (!s) s = add_script(o, native, &tasks, p);
    if (!s && images) s = add_images(o, native, tasks, p);
    double cfg = json_number_value(json_object_get(native, "true_cfg"));
    if (!s && cfg > 1 && !json_object_get(native, "negative")) json_object_set_new(native, "negative", json_string(""));
    if (!s && cfg > 1 && !json_object_get(native, "cfg_end")) /* A1111's CFG is for all steps */
        json_object_set_new(native, "cfg_end", json_integer(integer(native, "steps", x->server->engine.about.steps)));
    return s;
}

/* ---- making ---- */

static void add_info(const job *j, text *t)
{
    problem p = { 0 };
    json_t *request = NULL, *info;
    text inner = { 0 };
    if (j->request) json_text_read(j->request, strlen(j->request), "the stored request", &request, &p);
    info = json_pack("{s:O*, s:O*, s:s}", "seed", json_object_get(request, "seed"), "prompt", json_object_get(request, "prompt"), "job", j->id);
    text_json(&inner, info);
    json_t *string = json_string(inner.data ? inner.data : "{}");
    text_json(t, string);
    json_decref(string);
    json_decref(info);
    json_decref(request);
    text_free(&inner);
}

static void answer(exchange *x)
{
    job j;
    problem p = { 0 };
    text t = { 0 };
    flight_remove(x, x->job);
    dreamo_status s = take_end(x, &j, &p);
    if (!s) {
        text_format(&t, "{\"images\":[");
        for (int i = 0; !s && i < j.images; i++) {
            blob b = { 0 };
            s = x->server->jobs->ops->image(x->server->jobs, x->job, i, &b, &p);
            text_format(&t, "%s\"", i ? "," : "");
            encode_base64(&t, b.data, b.nbytes);
            text_format(&t, "\"");
            blob_free(&b);
        }
        text_format(&t, "],\"parameters\":%s,\"info\":", j.request ? j.request : "{}");
        add_info(&j, &t);
        text_format(&t, "}\n");
        job_free(&j);
    }
    reply_built(x, s, &t, &p);
}

static void make(exchange *x, bool images)
{
    ask a = { 0 };
    problem p = { 0 };
    job_ticket ticket;
    json_t *o = NULL, *native = json_object();
    dreamo_status s = json_text_read(x->body, x->nbytes, "the request", &o, &p);
    if (!s) s = to_native(x, o, images, native, &p);
    if (!s) s = ask_read(native, &x->server->limits, false, &a, &p);
    if (!s) s = take_job(x, &a, &ticket, NULL, &p);
    ask_free(&a);
    json_decref(o);
    json_decref(native);
    if (s) {
        reply_problem(x, &p);
        return;
    }
    flight_add(x, ticket.id);
    exchange_wait(x, ticket.id, answer);
}

void a1111_txt2img(exchange *x) { make(x, false); }
void a1111_img2img(exchange *x) { make(x, true); }

/* ---- while it runs ---- */

void a1111_progress(exchange *x)
{
    char id[JOB_ID + 1] = "";
    hub_progress now = { 0 };
    const char *skip = exchange_query(x, "skip_current_image");
    bool busy = flight_find(x, id) && hub_get_progress(x->server->hub, id, &now), skipped = skip && strcmp(skip, "true") == 0;
    char *preview = busy && !skipped ? hub_preview(x->server->hub, id) : NULL;
    json_t *image = preview ? json_loads(preview, 0, NULL) : NULL, *base64 = json_object_get(image, "base64");
    json_t *o = json_pack("{s:f, s:f, s:{s:b, s:b, s:s, s:i, s:i, s:i, s:i}, s:n}", "progress", now.steps ? (double)now.step / now.steps : 0.0,
                          "eta_relative", busy && now.seconds_left > 0 ? now.seconds_left : 0.0, "state", "skipped", 0, "interrupted", 0, "job",
                          id, "job_count", busy ? 1 : 0, "job_no", now.picture, "sampling_step", now.step, "sampling_steps", now.steps,
                          "textinfo");
    json_object_set_new(o, "current_image", base64 ? json_incref(base64) : json_null());
    json_decref(image);
    free(preview);
    reply_json(x, 200, o);
}

void a1111_interrupt(exchange *x)
{
    char id[JOB_ID + 1];
    job_state was;
    problem p = { 0 };
    if (flight_find(x, id)) x->server->jobs->ops->cancel(x->server->jobs, id, x->who, &was, &p);
    reply_json(x, 200, json_object());
}

void a1111_png_info(exchange *x)
{
    json_t *o = NULL, *image, *items = NULL;
    problem p = { 0 };
    void *data = NULL;
    size_t nbytes;
    blob b;
    char *text = NULL;
    dreamo_status s = json_text_read(x->body, x->nbytes, "the request", &o, &p);
    if (!s && !json_is_string(image = json_object_get(o, "image"))) s = refuse(&p, DREAMO_ARG, "image", "is missing");
    if (!s) {
        const char *given = json_string_value(image), *comma = strncmp(given, "data:", 5) == 0 ? strchr(given, ',') : NULL;
        if (comma) given = comma + 1;
        s = base64_read(given, strlen(given), "image", &data, &nbytes, &p);
    }
    if (!s) s = take_picture(x->server, "image", data, nbytes, &b, &p);
    if (!s) s = dreamo_image_metadata(data, nbytes, "image", &text, &p.e);
    if (!s && text) items = json_loads(text, 0, NULL);
    if (s) reply_problem(x, &p);
    else reply_json(x, 200, json_pack("{s:s, s:o, s:{}}", "info", text ? text : "", "items", items ? items : json_object(), "parameters"));
    dreamo_text_free(text);
    free(data);
    json_decref(o);
}

/* ---- what there is ---- */

void a1111_options(exchange *x)
{
    reply_json(x, 200, json_pack("{s:s, s:s, s:s}", "sd_model_checkpoint", x->server->engine.about.name, "sd_checkpoint_hash",
                                 x->server->engine.about.hash, "samples_format", "png"));
}

void a1111_samplers(exchange *x) { reply_json(x, 200, json_pack("[{s:s, s:[s], s:{}}]", "name", "Euler", "aliases", "euler", "options")); }

void a1111_schedulers(exchange *x)
{
    reply_json(x, 200, json_pack("[{s:s, s:s, s:n, s:f, s:b}]", "name", "simple", "label", "Simple", "aliases", "default_rho", -1.0, "need_inner_model", 0));
}

void a1111_flags(exchange *x) { reply_json(x, 200, json_object()); }
void a1111_nothing(exchange *x) { reply_json(x, 200, json_array()); }

void a1111_models(exchange *x)
{
    const dreamo_model_about *m = &x->server->engine.about;
    reply_json(x, 200, json_pack("[{s:s, s:s, s:s%, s:s, s:s, s:n}]", "title", m->name, "model_name", m->name, "hash", m->hash, (size_t)10,
                                 "sha256", m->hash, "filename", m->name, "config"));
}

void a1111_memory(exchange *x)
{
    struct sysinfo i = { 0 };
    sysinfo(&i);
    int64_t all = (int64_t)i.totalram * i.mem_unit, left = (int64_t)i.freeram * i.mem_unit;
    reply_json(x, 200, json_pack("{s:{s:I, s:I, s:I}, s:{}}", "ram", "free", (json_int_t)left, "used", (json_int_t)(all - left), "total",
                                 (json_int_t)all, "cuda"));
}
