/* metrics.c - counting, and the text format of Prometheus 0.0.4. */
#include "serve/metrics.h"

#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "serve/engine.h"
#include "serve/jobs/jobs.h"

static const double bounds[METRICS_BUCKETS] = { 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300 };

void metrics_init(metrics *m)
{
    *m = (metrics){ 0 };
    pthread_mutex_init(&m->lock, NULL);
}

static void observe(metrics *m, histogram *h, double seconds)
{
    int i = 0;
    while (i < METRICS_BUCKETS && seconds > bounds[i]) i++;
    pthread_mutex_lock(&m->lock);
    h->in[i]++;
    h->count++;
    h->sum += seconds;
    pthread_mutex_unlock(&m->lock);
}

/* The longest squares of each class of sizes, in pixels of a side. */
static const int sides[METRICS_SIZES] = { 256, 512, 1024, 0 };

static int size_of(const dreamo_plan *plan)
{
    int i = 0;
    while (sides[i] && (int64_t)plan->width * plan->height > (int64_t)sides[i] * sides[i]) i++;
    return i;
}

void metrics_step(metrics *m, const dreamo_plan *plan, double seconds)
{
    observe(m, &m->step[size_of(plan)], seconds);
    pthread_mutex_lock(&m->lock);
    m->tokens += plan->tokens;
    pthread_mutex_unlock(&m->lock);
}

void metrics_plan(metrics *m, const dreamo_plan *plan)
{
    int64_t work = (int64_t)plan->work_bytes;
    pthread_mutex_lock(&m->lock);
    m->arena = work > m->arena ? work : m->arena;
    m->device = (int64_t)plan->weight_bytes + work;
    pthread_mutex_unlock(&m->lock);
}

void metrics_picture(metrics *m, double seconds) { observe(m, &m->picture, seconds); }

static void bump(metrics *m, int64_t *n)
{
    pthread_mutex_lock(&m->lock);
    ++*n;
    pthread_mutex_unlock(&m->lock);
}

void metrics_request(metrics *m, int route, int status)
{
    int class = status / 100;
    if (route >= 0 && route < METRICS_ROUTES && class >= 1 && class <= METRICS_CLASSES) bump(m, &m->requests[route][class]);
}

void metrics_refused(metrics *m, dreamo_status why)
{
    if ((unsigned)why < METRICS_REASONS) bump(m, &m->refused[why]);
}

void metrics_cut(metrics *m) { bump(m, &m->cut); }

/* ---- the text ---- */

static void head(text *t, const char *name, const char *type, const char *help) { text_format(t, "# HELP %s %s\n# TYPE %s %s\n", name, help, name,
                                                                                              type); }

/* `label`: "size=\"512\"," or empty. */
static void write_histogram(text *t, const char *name, const char *label, const histogram *h)
{
    int64_t sum = 0;
    char alone[40] = "";
    if (*label) snprintf(alone, sizeof alone, "{%.*s}", (int)strlen(label) - 1, label);
    for (int i = 0; i < METRICS_BUCKETS; i++) text_format(t, "%s_bucket{%sle=\"%g\"} %lld\n", name, label, bounds[i], (long long)(sum += h->in[i]));
    text_format(t, "%s_bucket{%sle=\"+Inf\"} %lld\n%s_sum%s %.6f\n%s_count%s %lld\n", name, label, (long long)h->count, name, alone, h->sum, name, alone,
                (long long)h->count);
}

static void write_steps(text *t, const metrics *m)
{
    head(t, "dreamo_step_seconds", "histogram", "One denoising step, by the picture's size: at most a square of so many pixels a side.");
    for (int i = 0; i < METRICS_SIZES; i++) {
        char label[24] = "size=\"more\",";
        if (sides[i]) snprintf(label, sizeof label, "size=\"%d\",", sides[i]);
        write_histogram(t, "dreamo_step_seconds", label, &m->step[i]);
    }
    head(t, "dreamo_tokens_total", "counter", "Tokens that the transformer was shown, a step at a time.");
    text_format(t, "dreamo_tokens_total %lld\n", (long long)m->tokens);
    head(t, "dreamo_arena_bytes", "gauge", "Most memory that the work on a picture took.");
    text_format(t, "dreamo_arena_bytes{kind=\"peak\"} %lld\n", (long long)m->arena);
    head(t, "dreamo_device_bytes", "gauge", "Weights and work of the last picture, where they are computed.");
    text_format(t, "dreamo_device_bytes %lld\n", (long long)m->device);
}

static void write_jobs(text *t, jobs *q)
{
    int64_t of[JOB_STATES];
    q->ops->counts(q, of);
    head(t, "dreamo_jobs", "gauge", "Jobs in the store by state.");
    for (int i = 0; i < JOB_STATES; i++) text_format(t, "dreamo_jobs{state=\"%s\"} %lld\n", job_state_name((job_state)i), (long long)of[i]);
    head(t, "dreamo_queue_depth", "gauge", "Jobs that wait.");
    text_format(t, "dreamo_queue_depth %lld\n", (long long)of[JOB_QUEUED]);
    head(t, "dreamo_listeners", "gauge", "Connections that wait for a job or its events.");
    text_format(t, "dreamo_listeners %d\n", hub_listeners(q->hub));
}

static void write_http(text *t, const metrics *m, const char *const names[METRICS_ROUTES])
{
    head(t, "dreamo_http_requests_total", "counter", "Answers by route and class of status.");
    for (int r = 0; r < METRICS_ROUTES; r++)
        for (int c = 1; c <= METRICS_CLASSES; c++)
            if (names[r] && m->requests[r][c])
                text_format(t, "dreamo_http_requests_total{route=\"%s\",code=\"%dxx\"} %lld\n", names[r], c, (long long)m->requests[r][c]);
    head(t, "dreamo_refused_total", "counter", "Refusals by reason.");
    for (int i = 1; i < METRICS_REASONS; i++)
        if (m->refused[i]) text_format(t, "dreamo_refused_total{reason=\"%s\"} %lld\n", dreamo_status_code((dreamo_status)i), (long long)m->refused[i]);
    head(t, "dreamo_connections_cut_total", "counter", "Connections that were cut for being too slow.");
    text_format(t, "dreamo_connections_cut_total %lld\n", (long long)m->cut);
}

void metrics_write(metrics *m, const char *const names[METRICS_ROUTES], jobs *q, const engine *e, text *t)
{
    struct rusage used = { 0 };
    pthread_mutex_lock(&m->lock);
    metrics now = *m;
    pthread_mutex_unlock(&m->lock);
    getrusage(RUSAGE_SELF, &used);
    write_jobs(t, q);
    write_steps(t, &now);
    head(t, "dreamo_image_seconds", "histogram", "One picture.");
    write_histogram(t, "dreamo_image_seconds", "", &now.picture);
    write_http(t, &now, names);
    head(t, "dreamo_peak_bytes", "gauge", "Most memory that the process has held.");
    text_format(t, "dreamo_peak_bytes %lld\n", (long long)used.ru_maxrss * 1024);
    head(t, "dreamo_model_info", "gauge", "The open model.");
    if (e->model) text_format(t, "dreamo_model_info{sha256=\"%s\",backend=\"%s\"} 1\n", e->about.hash, e->about.backend);
    head(t, "dreamo_build_info", "gauge", "The program.");
    text_format(t, "dreamo_build_info{version=\"%s\"} 1\n", dreamo_version());
}
