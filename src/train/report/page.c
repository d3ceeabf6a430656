/* page.c - the parts of the page, from top to bottom. */
#include "train/report/page.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/ends.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/progress.h"
#include "train/report/curve.h"

enum { SHEETS = 6, SHEET_MAX = 8 << 20, TEXT_MAX = 1 << 20 };

static const char style[] =
    ":root{--back:#fff;--ink:#1d2129;--dim:#68707d;--rule:#e3e6ea;--card:#f7f8fa;--c0:#1664c0;--c1:#d1582c;--c2:#2c8a4b;--c3:#8a4bb5;"
    "--c4:#a88200;--c5:#0f8a8a}"
    "@media(prefers-color-scheme:dark){:root{--back:#14171c;--ink:#e6e9ee;--dim:#949cab;--rule:#2b3038;--card:#1b1f26;--c0:#6aa9f4;"
    "--c1:#f0875c;--c2:#62c284;--c3:#c08ae6;--c4:#dcb93c;--c5:#4cc7c7}}"
    "body{margin:0 auto;max-width:1080px;padding:24px;background:var(--back);color:var(--ink);font:15px/1.5 system-ui,sans-serif}"
    "h1{font-size:24px;margin:0 0 4px}h2{font-size:17px;margin:36px 0 12px;border-bottom:1px solid var(--rule);padding-bottom:4px}"
    ".dim{color:var(--dim)}.bar0{height:6px;border-radius:3px;background:var(--rule);margin:14px 0;overflow:hidden}.bar0 i{display:block;"
    "height:100%;background:var(--c0)}"
    "dl{display:grid;grid-template-columns:repeat(auto-fill,minmax(190px,1fr));gap:10px 24px;margin:0}dt{color:var(--dim);font-size:13px}"
    "dd{margin:0;font-variant-numeric:tabular-nums;overflow-wrap:anywhere}"
    ".curves{display:grid;grid-template-columns:repeat(auto-fill,minmax(330px,1fr));gap:16px}"
    "figure{margin:0;padding:10px 12px;background:var(--card);border:1px solid var(--rule);border-radius:8px}"
    "figcaption{font-weight:600;font-size:14px;margin-bottom:4px}figcaption span{font-weight:400;margin-left:8px;font-size:13px;color:var(--c)}"
    "svg{display:block;width:100%;height:auto}svg text{fill:var(--dim);font-size:11px}text.y{text-anchor:end}text.x{text-anchor:middle}"
    ".grid{stroke:var(--rule);fill:none}.line{stroke:var(--c);stroke-width:1.8;fill:none;stroke-linejoin:round}.bar{stroke:var(--c);"
    "stroke-width:1;opacity:.5;fill:none}.faint{opacity:.45}path.faint{stroke-width:1}circle{fill:var(--c)}"
    ".c0{--c:var(--c0)}.c1{--c:var(--c1)}.c2{--c:var(--c2)}.c3{--c:var(--c3)}.c4{--c:var(--c4)}.c5{--c:var(--c5)}"
    ".sheets{display:grid;gap:16px}.sheets img{max-width:100%;height:auto;display:block;border-radius:4px}"
    "pre{background:var(--card);border:1px solid var(--rule);border-radius:8px;padding:12px;overflow:auto;font-size:13px;line-height:1.4;"
    "max-height:420px}summary{cursor:pointer}";

/* ---- facts ---- */

static void fact(text *t, const char *name, const char *format, ...) __attribute__((format(printf, 3, 4)));
static void fact(text *t, const char *name, const char *format, ...)
{
    char value[512];
    va_list ap;
    va_start(ap, format);
    vsnprintf(value, sizeof value, format, ap);
    va_end(ap);
    text_put(t, "<div><dt>%s</dt><dd>", name);
    text_html(t, value);
    text_put(t, "</dd></div>");
}

static double last_of(const history *h, const char *name)
{
    const series *s = history_find(h, "", name);
    return s && s->n ? s->value[s->n - 1] : 0;
}

static void write_head(text *t, const page *p, const history *h)
{
    char when[32], left[32] = "";
    time_t now = time(NULL);
    struct tm utc;
    strftime(when, sizeof when, "%Y-%m-%d %H:%M UTC", gmtime_r(&now, &utc));
    if (p->step < p->steps) progress_words(last_of(h, "left_s"), left, sizeof left);
    text_put(t, "<!doctype html><html lang=en data-step=%" PRId64 "><meta charset=utf-8><meta name=viewport content='width=device-width'><title>", p->step);
    text_html(t, p->out);
    text_put(t, "</title><style>%s</style><h1>", style);
    text_html(t, p->out);
    text_put(t, "</h1><div class=dim>stage %s, step %" PRId64 " of %" PRId64 "%s%s; written %s</div>", p->stage, p->step, p->steps,
             *left ? ", left about " : "", left, when);
    text_put(t, "<div class=bar0><i style='width:%.1f%%'></i></div><dl>", 100.0 * (double)p->step / (double)p->steps);
    fact(t, "computing", "%.2f hours", p->seconds / 3600);
    fact(t, "a step", "%.3g s, %" PRId64 " samples", p->step ? p->seconds / (double)p->step : 0, p->batch);
    fact(t, "samples seen", "%" PRId64, p->samples);
    fact(t, "trained numbers", "%.3f M", (double)p->parameters / 1e6);
    fact(t, "optimizer", "%s", p->optimizer);
    fact(t, "skipped steps", "%" PRId64, p->skipped);
    fact(t, "computer", "%s", p->computer);
    if (p->processes > 1) fact(t, "processes", "%d", p->processes);
    fact(t, "began from", "%s", p->model);
    text_put(t, "</dl>\n");
}

/* ---- curves ---- */

static void one_curve(text *t, const history *h, const char *title, const char *name, const char *behind, bool logarithmic)
{
    curve c = { .title = title, .logarithmic = logarithmic };
    const series *s = history_find(h, "", name), *b = behind ? history_find(h, "", behind) : NULL;
    if (s) c.line[c.n++] = (curve_line){ .of = s };
    if (b) c.line[c.n++] = (curve_line){ .of = b, .faint = true };
    curve_write(t, &c);
}

/* "right" has its error in "right_error"; "loss", alone, in "error". */
static const series *error_of(const history *h, const series *s)
{
    char name[80];
    snprintf(name, sizeof name, "%s_error", s->name);
    const series *e = history_find(h, s->group, name);
    return e || strcmp(s->name, "loss") != 0 ? e : history_find(h, s->group, "error");
}

/* All numbers of a group, those that are differences of others apart from them; a new picture when one is full. */
static void group_curves(text *t, const history *h, const char *group, bool differences)
{
    char title[96];
    curve c = { .title = title };
    snprintf(title, sizeof title, differences ? "%s, in pairs" : "%s", group);
    for (int i = 0; i < h->n; i++) {
        const series *s = &h->list[i];
        bool difference = strstr(s->name, "_minus_") != NULL;
        if (strcmp(s->group, group) != 0 || ends(s->name, "error") || difference != differences) continue;
        c.line[c.n++] = (curve_line){ .of = s, .error = error_of(h, s) };
        if (c.n < CURVE_LINES) continue;
        curve_write(t, &c);
        c.n = 0;
    }
    curve_write(t, &c);
}

static void write_curves(text *t, const history *h)
{
    static const char *const known[] = { "loss", "smoothed", "lr", "grad_norm", "s_per_step", "samples_per_s", "left_s" };
    text_put(t, "<h2>Curves</h2><div class=curves>\n");
    one_curve(t, h, "loss", "smoothed", "loss", false);
    for (int i = 0; i < h->n; i++) { /* what the loss consists of, and groups, once each */
        const series *s = &h->list[i];
        bool part = !*s->group, seen = false;
        for (size_t k = 0; k < sizeof known / sizeof *known; k++) part = part && strcmp(known[k], s->name) != 0;
        if (part) one_curve(t, h, s->name, s->name, NULL, false);
        for (int k = 0; k < i; k++) seen = seen || strcmp(h->list[k].group, s->group) == 0;
        if (!*s->group || seen) continue;
        group_curves(t, h, s->group, false);
        group_curves(t, h, s->group, true);
    }
    one_curve(t, h, "length of the gradient", "grad_norm", NULL, true);
    one_curve(t, h, "learning rate", "lr", NULL, false);
    one_curve(t, h, "samples a second", "samples_per_s", NULL, false);
    text_put(t, "</div>\n");
}

/* ---- samples ---- */

static void write_sheet(text *t, const char *folder, const char *name)
{
    char *path = path_join(folder, name), *data = NULL;
    size_t nbytes = 0;
    if (path && file_read(path, SHEET_MAX, &data, &nbytes, NULL) == DREAMO_OK) {
        text_put(t, "<figure><figcaption>%.*s</figcaption><img alt='' src='data:image/png;base64,", (int)strcspn(name, "."), name);
        text_base64(t, (const unsigned char *)data, nbytes);
        text_put(t, "'></figure>\n");
    }
    mem_free(data);
    mem_free(path);
}

/* The newest ones first; names sort by step. */
static void write_samples(text *t, const page *p)
{
    char *folder = path_join(p->out, "samples"), **names = NULL;
    int n = 0, shown = 0;
    if (!folder || !folder_exists(folder) || folder_list(folder, &names, &n, NULL)) n = 0;
    if (n) text_put(t, "<h2>Samples of what was held out</h2><div class=sheets>\n");
    for (int i = n - 1; i >= 0 && shown < SHEETS; i--)
        if (strncmp(names[i], "step-", 5) == 0 && ends(names[i], ".png")) {
            write_sheet(t, folder, names[i]);
            shown++;
        }
    if (n) text_put(t, "</div>\n");
    folder_list_free(names, n);
    mem_free(folder);
}

/* ---- data and recipe ---- */

static void write_file(text *t, const char *folder, const char *name, const char *title)
{
    char *path = path_join(folder, name), *data = NULL;
    size_t nbytes = 0;
    if (path && file_exists(path) && file_read(path, TEXT_MAX, &data, &nbytes, NULL) == DREAMO_OK && strlen(data) == nbytes) {
        text_put(t, "<details><summary>%s</summary><pre>", title);
        text_html(t, data);
        text_put(t, "</pre></details>\n");
    }
    mem_free(data);
    mem_free(path);
}

static void write_data(text *t, const page *p)
{
    text_put(t, "<h2>Data</h2><dl>");
    fact(t, "folder", "%s", p->data);
    fact(t, "trained concepts", "%" PRId64, p->concepts[0]);
    fact(t, "trained subjects", "%" PRId64, p->subjects[0]);
    fact(t, "held-out concepts", "%" PRId64, p->concepts[1]);
    fact(t, "held-out subjects", "%" PRId64, p->subjects[1]);
    text_put(t, "</dl><p>\n");
    write_file(t, p->data, "attribution.txt", "sources and licences");
    write_file(t, p->data, "held-out.txt", "held-out concepts");
    text_put(t, "<h2>Recipe</h2><pre>");
    text_html(t, p->recipe);
    text_put(t, "</pre>\n</html>\n");
}

dreamo_status page_write(const page *p, dreamo_error *err)
{
    text t = { 0 };
    history h = { 0 };
    char *log = path_join(p->out, "log.ndjson"), *path = path_join(p->out, "report.html");
    dreamo_status s = log && path ? history_read(&h, log, err) : fail(err, DREAMO_MEMORY, "%s: no memory", p->out);
    if (!s) {
        write_head(&t, p, &h);
        write_curves(&t, &h);
        write_samples(&t, p);
        write_data(&t, p);
        s = t.failed ? fail(err, DREAMO_MEMORY, "%s: no memory", path) : file_replace(path, t.p, t.n, err);
    }
    history_free(&h);
    mem_free(t.p);
    mem_free(log);
    mem_free(path);
    return s;
}

int64_t page_step(const char *out)
{
    char *path = path_join(out, "report.html");
    int64_t step = -1;
    filemap map;
    if (path && file_exists(path) && file_map(path, &map, NULL) == DREAMO_OK) {
        char head[64] = "";
        memcpy(head, map.data, map.nbytes < sizeof head - 1 ? map.nbytes : sizeof head - 1);
        if (sscanf(head, "<!doctype html><html lang=en data-step=%" SCNd64 ">", &step) != 1) step = -1;
        file_unmap(&map);
    }
    mem_free(path);
    return step;
}
