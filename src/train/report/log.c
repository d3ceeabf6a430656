/* log.c - table lines, log.ndjson, and the event file beside it. */
#include "train/report/log.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "train/report/events.h"

enum { LOG_MAX = 1 << 28, LINE_MAX_BYTES = 1024 };

/* ---- log.ndjson ---- */

/* Keep the lines of steps up to `done`, of that step itself only its own when not `whole`; every line begins with {"step":N. */
static dreamo_status cut_after(const char *path, int64_t done, bool whole, dreamo_error *err)
{
    char *text = NULL;
    size_t nbytes = 0, kept = 0;
    if (!file_exists(path)) return DREAMO_OK;
    dreamo_status s = file_read(path, LOG_MAX, &text, &nbytes, err);
    if (s) return s;
    for (char *line = text, *end; (end = strchr(line, '\n')) != NULL; line = end + 1) {
        int64_t step = -1;
        int after = 0;
        size_t n = (size_t)(end - line) + 1;
        if (sscanf(line, "{\"step\":%" SCNd64 "%n", &step, &after) != 1 || step > done) continue;
        if (step == done && !whole && strncmp(line + after, ",\"loss\"", 7) != 0) continue;
        memmove(text + kept, line, n);
        kept += n;
    }
    if (kept != nbytes) s = file_replace(path, text, kept, err);
    mem_free(text);
    return s;
}

typedef struct line { char text[LINE_MAX_BYTES]; size_t used; } line;

static void put(line *l, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void put(line *l, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    int n = vsnprintf(l->text + l->used, sizeof l->text - l->used, format, ap);
    va_end(ap);
    if (n > 0) l->used += (size_t)n < sizeof l->text - l->used ? (size_t)n : sizeof l->text - l->used - 1;
}

/* JSON has no NaN and no infinity. */
static void put_number(line *l, const char *before, const char *name, double value)
{
    if (isfinite(value)) put(l, "%s\"%s\":%.9g", before, name, value);
    else put(l, "%s\"%s\":null", before, name);
}

static dreamo_status append(train_log *l, line *text, dreamo_error *err)
{
    put(text, "\n");
    return !l->path ? DREAMO_OK : file_append(l->path, text->text, text->used, err);
}

dreamo_status log_open(train_log *l, const char *out, int64_t done, bool whole, int64_t total, int64_t every, dreamo_progress call,
                       void *user, dreamo_error *err)
{
    *l = (train_log){ .path = out ? path_join(out, "log.ndjson") : NULL, .every = every, .smoothed = -1, .call = call, .user = user };
    progress_start(&l->clock, total);
    l->clock.done = done;
    if (!out) return DREAMO_OK;
    l->events = path_join(out, "events.out.tfevents.dreamo");
    dreamo_status s = l->path && l->events ? cut_after(l->path, done, whole, err) : fail(err, DREAMO_MEMORY, "%s: no memory", out);
    return s ? s : events_open(l->events, done, whole, err);
}

void log_close(train_log *l)
{
    mem_free(l->path);
    mem_free(l->events);
    l->path = l->events = NULL;
}

/* ---- the event file: the log of a run must be written, this may fail once with a warning ---- */

static void check_events(train_log *l, dreamo_status s, const dreamo_error *why)
{
    if (!s) return;
    log_warn(l, "TensorBoard's file is not written any more: %s", why->message);
    mem_free(l->events);
    l->events = NULL;
}

static void add_events(train_log *l, int64_t step, const char *prefix, const log_part *part, int n)
{
    dreamo_error why = { 0 };
    if (l->events) check_events(l, events_numbers(l->events, step, prefix, part, n, &why), &why);
}

void log_picture(train_log *l, int64_t step, const char *png)
{
    dreamo_error why = { 0 };
    char *data = NULL;
    size_t nbytes = 0;
    if (!l->events) return;
    dreamo_status s = file_read(png, LOG_MAX, &data, &nbytes, &why);
    if (!s) s = events_picture(l->events, step, "samples", data, nbytes, &why);
    check_events(l, s, &why);
    mem_free(data);
}

/* ---- the callback ---- */

static void tell(train_log *l, const dreamo_event *e)
{
    if (l->call && !l->call(l->user, e)) l->stop = true;
}

static void tell_line(train_log *l, dreamo_event_kind kind, const char *format, va_list ap)
{
    char text[LINE_MAX_BYTES];
    vsnprintf(text, sizeof text, format, ap);
    tell(l, &(dreamo_event){ .kind = kind, .done = l->clock.done, .total = l->clock.total, .seconds_left = -1,
                             .seconds_a_step = -1, .text = text });
}

void log_note(train_log *l, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    tell_line(l, DREAMO_EVENT_NOTE, format, ap);
    va_end(ap);
}

void log_warn(train_log *l, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    tell_line(l, DREAMO_EVENT_WARNING, format, ap);
    va_end(ap);
}

/* ---- steps ---- */

static void table_heading(train_log *l, const log_step *s)
{
    line t = { .used = 0 };
    put(&t, "%8s %9s %9s", "step", "loss", "smoothed");
    for (int i = 0; i < s->nparts; i++) put(&t, " %9s", s->part[i].name);
    put(&t, " %9s %9s %7s %9s  %s", "lr", "grad", "s/step", "samples/s", "left");
    log_note(l, "%s", t.text);
    l->headed = true;
}

static void table_line(train_log *l, const log_step *s, double rate, line *t)
{
    char left[32];
    progress_words(progress_seconds_left(&l->clock), left, sizeof left);
    put(t, "%8" PRId64 " %9.5f %9.5f", s->step, s->loss, l->smoothed);
    for (int i = 0; i < s->nparts; i++) put(t, " %9.5f", s->part[i].value);
    put(t, " %9.3g %9.4f %7.3f %9.1f  %s%s", s->lr, s->norm, progress_seconds_a_step(&l->clock), rate, left,
        s->skipped ? "  skipped" : "");
}

static dreamo_status json_step(train_log *l, const log_step *s, double rate, dreamo_error *err)
{
    line t = { .used = 0 };
    put(&t, "{\"step\":%" PRId64, s->step);
    put_number(&t, ",", "loss", s->loss);
    put_number(&t, ",", "smoothed", l->smoothed);
    for (int i = 0; i < s->nparts; i++) put_number(&t, ",", s->part[i].name, s->part[i].value);
    put_number(&t, ",", "lr", s->lr);
    put_number(&t, ",", "grad_norm", s->norm);
    put_number(&t, ",", "s_per_step", progress_seconds_a_step(&l->clock));
    put_number(&t, ",", "samples_per_s", rate);
    put_number(&t, ",", "left_s", progress_seconds_left(&l->clock));
    put(&t, ",\"skipped\":%s}", s->skipped ? "true" : "false");
    log_part all[LOG_PARTS + 6] = { { "loss", s->loss }, { "smoothed", l->smoothed }, { "lr", s->lr }, { "grad_norm", s->norm },
                                    { "samples_per_s", rate }, { "skipped", s->skipped } };
    for (int i = 0; i < s->nparts; i++) all[6 + i] = s->part[i];
    add_events(l, s->step, "", all, 6 + s->nparts);
    return append(l, &t, err);
}

dreamo_status log_add_step(train_log *l, const log_step *s, dreamo_error *err)
{
    if (isfinite(s->loss)) l->smoothed = l->smoothed < 0 ? s->loss : 0.98 * l->smoothed + 0.02 * s->loss;
    progress_step(&l->clock, s->step);
    l->samples += s->samples;
    line t = { .used = 0 };
    bool due = s->step % l->every == 0 || s->step == l->clock.total || s->skipped;
    dreamo_status status = DREAMO_OK;
    if (due) {
        double now = seconds_now(), rate = now > l->since && l->since > 0 ? l->samples / (now - l->since)
                                                                          : s->samples / progress_seconds_a_step(&l->clock);
        if (!l->headed) table_heading(l, s);
        table_line(l, s, rate, &t);
        status = json_step(l, s, rate, err);
        l->since = now;
        l->samples = 0;
    }
    tell(l, &(dreamo_event){ .kind = DREAMO_EVENT_STEP, .done = s->step, .total = l->clock.total,
                             .seconds_left = progress_seconds_left(&l->clock),
                             .seconds_a_step = progress_seconds_a_step(&l->clock), .text = due ? t.text : NULL });
    return status;
}

dreamo_status log_numbers(train_log *l, int64_t step, const char *what, const log_part *part, int n, dreamo_error *err)
{
    line t = { .used = 0 };
    put(&t, "{\"step\":%" PRId64 ",\"%s\":{", step, what);
    for (int i = 0; i < n; i++) put_number(&t, i ? "," : "", part[i].name, part[i].value);
    put(&t, "}}");
    char prefix[64];
    snprintf(prefix, sizeof prefix, "%.60s/", what);
    add_events(l, step, prefix, part, n);
    return append(l, &t, err);
}
