/* routes.c - the table of everything that can be asked, and finding a row. */
#include <string.h>

#include "serve/server.h"

const route routes[] = {
    { "POST", "/api/v1/jobs", ROUTE_JSON | ROUTE_FORM, native_post_job, "Make pictures. 202 with the job; its Location tells how it goes." },
    { "GET", "/api/v1/jobs/{id}", 0, native_get_job, "State, progress, pictures, error." },
    { "GET", "/api/v1/jobs/{id}/events", 0, native_get_events,
      "Server-sent events: queued start step preview warning image done error; goes on after Last-Event-ID." },
    { "DELETE", "/api/v1/jobs/{id}", 0, native_delete_job, "Cancel. Answers when the job has stopped." },
    { "GET", "/api/v1/jobs/{id}/images/{n}", 0, native_get_image, "Picture n, from 0; ?format=png|jpeg|webp&quality=1..100." },
    { "GET", "/api/v1/jobs/{id}/refs/{n}", 0, native_get_ref, "What the model saw of reference n, from 0." },
    { "POST", "/api/v1/plan", ROUTE_JSON | ROUTE_FORM, native_post_plan, "What a request would cost, without making it." },
    { "POST", "/api/v1/uploads", ROUTE_BYTES | ROUTE_FORM, uploads_post,
      "A picture, to be named in jobs; ?task=ip|id|style&res=N|keep&cut=off tells what the model will see." },
    { "GET", "/api/v1/uploads/{id}", 0, uploads_get, "The picture as it came." },
    { "GET", "/api/v1/uploads/{id}/seen", 0, uploads_seen, "What the model will see of it; ?task=ip|id|style&res=N|keep&cut=off." },
    { "DELETE", "/api/v1/uploads/{id}", 0, uploads_delete, "Forget it now." },
    { "GET", "/api/v1/capabilities", ROUTE_AT_ONCE, about_capabilities, "Limits, defaults, tasks, the model." },
    { "GET", "/api/v1/openapi.json", ROUTE_OPEN | ROUTE_AT_ONCE, about_openapi, "This description." },
    { "GET", "/health", ROUTE_OPEN | ROUTE_AT_ONCE, about_health, "200: alive." },
    { "GET", "/ready", ROUTE_OPEN | ROUTE_AT_ONCE, about_ready, "200: jobs are taken; 503: not now." },
    { "GET", "/metrics", ROUTE_AT_ONCE, about_metrics, "Numbers for Prometheus." },
    { "GET", "/version", ROUTE_OPEN | ROUTE_AT_ONCE, about_version, "What is running." },
    { "POST", "/v1/images/generations", ROUTE_JSON | ROUTE_OPENAI, openai_generations, "OpenAI's; a field dreamo takes our own fields beside." },
    { "POST", "/v1/images/edits", ROUTE_FORM | ROUTE_OPENAI, openai_edits, "OpenAI's; images are references of task ip, or as dreamo's tasks say." },
    { "GET", "/v1/models", ROUTE_AT_ONCE | ROUTE_OPENAI, openai_models, "OpenAI's." },
    { "GET", "/v1/models/{id}", ROUTE_AT_ONCE | ROUTE_OPENAI, openai_model, "OpenAI's." },
    { "POST", "/sdapi/v1/txt2img", ROUTE_JSON, a1111_txt2img, "A1111's; alwayson_scripts.dreamo.args[0] takes our own fields." },
    { "POST", "/sdapi/v1/img2img", ROUTE_JSON, a1111_img2img, "A1111's; init_images are references." },
    { "GET", "/sdapi/v1/progress", 0, a1111_progress, "A1111's." },
    { "POST", "/sdapi/v1/interrupt", 0, a1111_interrupt, "A1111's." },
    { "POST", "/sdapi/v1/skip", 0, a1111_interrupt, "A1111's." },
    { "POST", "/sdapi/v1/png-info", ROUTE_JSON, a1111_png_info, "A1111's." },
    { "GET", "/sdapi/v1/options", ROUTE_AT_ONCE, a1111_options, "A1111's." },
    { "GET", "/sdapi/v1/samplers", ROUTE_AT_ONCE, a1111_samplers, "A1111's." },
    { "GET", "/sdapi/v1/schedulers", ROUTE_AT_ONCE, a1111_schedulers, "A1111's." },
    { "GET", "/sdapi/v1/sd-models", ROUTE_AT_ONCE, a1111_models, "A1111's." },
    { "GET", "/sdapi/v1/memory", ROUTE_AT_ONCE, a1111_memory, "A1111's." },
    { "GET", "/sdapi/v1/cmd-flags", ROUTE_AT_ONCE, a1111_flags, "A1111's." },
    { "GET", "/sdapi/v1/loras", ROUTE_AT_ONCE, a1111_nothing, "A1111's." },
    { "GET", "/sdapi/v1/upscalers", ROUTE_AT_ONCE, a1111_nothing, "A1111's." },
    { "GET", "/", ROUTE_OPEN | ROUTE_AT_ONCE, page_html, NULL },
    { "GET", "/page.js", ROUTE_OPEN | ROUTE_AT_ONCE, page_js, NULL },
    { "GET", "/page.css", ROUTE_OPEN | ROUTE_AT_ONCE, page_css, NULL },
    { "GET", "/examples/{name}", ROUTE_OPEN | ROUTE_AT_ONCE, page_example, NULL },
    { 0 }
};
_Static_assert(sizeof routes / sizeof *routes <= METRICS_ROUTES, "a counter for each route, and one for what is none");

/* A segment in braces takes any segment of our alphabet. */
static bool matches(const char *pattern, const char *path, char args[2][80])
{
    int n = 0;
    while (*pattern) {
        if (*pattern == '{') {
            size_t length = strspn(path, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_.");
            if (length == 0 || length >= 80 || n == 2) return false;
            memcpy(args[n], path, length);
            args[n++][length] = '\0';
            path += length;
            pattern += strcspn(pattern, "}") + 1;
        } else if (*pattern++ != *path++) {
            return false;
        }
    }
    return *path == '\0';
}

const route *routes_find(const char *method, const char *path, char args[2][80], bool *other_method)
{
    for (const route *r = routes; r->path; r++) {
        if (!matches(r->path, path, args)) continue;
        if (strcmp(r->method, method) == 0) return r;
        *other_method = true;
    }
    return NULL;
}

int routes_index(const route *r) { return (int)(r - routes); }

void routes_names(const char *names[METRICS_ROUTES])
{
    int n = 0;
    for (; routes[n].path && n < METRICS_ROUTES - 1; n++) names[n] = routes[n].path;
    while (n < METRICS_ROUTES - 1) names[n++] = NULL;
    names[n] = "other";
}
