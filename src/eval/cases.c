/* cases.c - one file that needs nothing else. */
#include "eval/cases.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/file.h"
#include "base/mem.h"
#include "image/resize.h"

enum { SHOWN = 6 }; /* of the worst, and of the median */

static const char style[] =
    ":root{--back:#fff;--ink:#1d2129;--dim:#68707d;--rule:#e3e6ea;--card:#f7f8fa;--good:#2c8a4b;--bad:#c0392b}"
    "@media(prefers-color-scheme:dark){:root{--back:#14171c;--ink:#e6e9ee;--dim:#949cab;--rule:#2b3038;--card:#1b1f26;--good:#62c284;--bad:#f0875c}}"
    "body{margin:0 auto;max-width:1180px;padding:24px;background:var(--back);color:var(--ink);font:15px/1.5 system-ui,sans-serif}"
    "h1{font-size:24px;margin:0 0 4px}h2{font-size:18px;margin:40px 0 8px;border-bottom:1px solid var(--rule);padding-bottom:4px}h3{font-size:14px;"
    "margin:18px 0 8px;color:var(--dim)}.dim{color:var(--dim)}.cases{display:grid;grid-template-columns:repeat(auto-fill,minmax(340px,1fr));gap:14px}"
    "figure{margin:0;padding:10px 12px;background:var(--card);border:1px solid var(--rule);border-radius:8px}.row{display:flex;flex-wrap:wrap;gap:8px;"
    "align-items:flex-start}.row div{font-size:12px;max-width:150px;overflow-wrap:anywhere}img{display:block;border-radius:4px;image-rendering:auto}"
    ".ref img{width:72px;height:72px;object-fit:contain;background:#fff}.big img{width:144px;height:144px;object-fit:contain}.good{color:var(--good)}"
    ".bad{color:var(--bad)}figcaption{font-size:14px;margin-bottom:8px}table{border-collapse:collapse;font-variant-numeric:tabular-nums}"
    "td,th{padding:2px 14px 2px 0;text-align:left}";

static dreamo_status shrink(const bitmap *from, int most, bitmap *out, dreamo_error *err)
{
    int longest = from->width > from->height ? from->width : from->height, side = longest < most ? longest : most;
    int w = from->width * side / longest, h = from->height * side / longest;
    return resize_area(from, w > 0 ? w : 1, h > 0 ? h : 1, out, err);
}

dreamo_status case_fill(kind_case *c, const bitmap *picture, const answer *a, int counted, int right, const candidates *pool, const asked *about, dreamo_error *err)
{
    c->counted = counted;
    c->right = right;
    c->margin = a->n ? a->margin[0] : counted ? (double)(right - counted) / counted : 0;
    for (int i = 0; i < a->n; i++) {
        c->first[i] = a->first[i];
        if (a->margin[i] < c->margin) c->margin = a->margin[i];
        if (!a->first[i] && a->instead[i] >= 0) snprintf(c->instead[i], sizeof c->instead[i], "%s", pool[about->head[i]].words[a->instead[i]]);
    }
    bitmap_free(&c->picture);
    return shrink(picture, CASE_SIDE, &c->picture, err);
}

static dreamo_status put_picture(text *t, const bitmap *b, dreamo_error *err)
{
    bitmap small;
    unsigned char *data = NULL;
    size_t nbytes = 0;
    dreamo_status s = shrink(b, CASE_SIDE, &small, err);
    if (s) return s;
    if (!(s = image_encode(&small, "png", 0, NULL, 0, &data, &nbytes, err))) {
        text_put(t, "<img alt='' src='data:image/png;base64,");
        text_base64(t, data, nbytes);
        text_put(t, "'>");
    }
    mem_free(data);
    bitmap_free(&small);
    return s;
}

static dreamo_status put_case(text *t, const evaluation *e, data_kind kind, int i, const kind_case *c, dreamo_error *err)
{
    data_sample sample = { 0 };
    dreamo_status s = measure_sample(e, kind, i, &sample, err);
    if (s) return s;
    text_put(t, "<figure><figcaption>");
    text_html(t, sample.caption);
    text_put(t, "</figcaption><div class=row>");
    for (int k = 0; k < sample.nrefs && !s; k++) {
        text_put(t, "<div class=ref>");
        s = put_picture(t, &sample.ref[k].picture, err);
        text_html(t, sample.ref[k].name);
        text_put(t, c->first[k] ? "<br><span class=good>found</span></div>" : "<br><span class=bad>rather ");
        if (c->first[k]) continue;
        text_html(t, *c->instead[k] ? c->instead[k] : "nothing");
        text_put(t, "</span></div>");
    }
    text_put(t, "<div class=big>");
    if (!s) s = put_picture(t, &c->picture, err);
    text_put(t, "made");
    if (c->counted) text_put(t, ", %d of %d words seen", c->right, c->counted);
    text_put(t, "</div>");
    if (!s && !sample.bare) {
        text_put(t, "<div class=ref>");
        s = put_picture(t, &sample.target, err);
        text_put(t, "the data's own</div>");
    }
    text_put(t, "</div></figure>\n");
    data_sample_free(&sample);
    return s;
}

typedef struct place { double margin; int i; } place;

static int by_margin(const void *a, const void *b)
{
    const place *x = a, *y = b;
    return x->margin < y->margin ? -1 : x->margin > y->margin ? 1 : x->i - y->i;
}

static void put_share(text *t, const char *name, double value)
{
    if (value >= 0) text_put(t, "<tr><td>%s<td>%.3f</tr>", name, value);
}

static void put_numbers(text *t, const dreamo_eval_row *r)
{
    text_put(t, "<h2>%s</h2><table>", r->kind);
    if (r->top1 >= 0) text_put(t, "<tr><td>references found first of %d<td>%.3f (%.3f to %.3f)</tr>", r->candidates, r->top1, r->top1_lo, r->top1_hi);
    if (r->ceiling >= 0) text_put(t, "<tr><td>in real pictures (ceiling)<td>%.3f (%.3f to %.3f)</tr>", r->ceiling, r->ceiling_lo, r->ceiling_hi);
    put_share(t, "another's references (floor)", r->floor);
    put_share(t, "all references of a picture", r->all);
    put_share(t, "swapped", r->swapped);
    put_share(t, "merged", r->merged);
    if (r->text >= 0) text_put(t, "<tr><td>words seen<td>%.3f (%.3f to %.3f)</tr>", r->text, r->text_lo, r->text_hi);
    put_share(t, "words seen in real pictures", r->text_ceiling);
    put_share(t, "references found in another scene", r->scenes);
    put_share(t, "diversity over seeds", r->diversity);
    put_share(t, "copies", r->copies);
    put_share(t, "better than the other model", r->wins);
    text_put(t, "</table>\n");
}

dreamo_status cases_write(text *t, const evaluation *e, data_kind kind, const dreamo_eval_row *r, const kind_case *list, int n, dreamo_error *err)
{
    place *order = mem_alloc((size_t)(n + 1) * sizeof *order);
    int worst = n < SHOWN ? n : SHOWN, middle = n - worst < SHOWN ? n - worst : SHOWN, from = (n - middle) / 2;
    dreamo_status s = order ? DREAMO_OK : fail(err, DREAMO_MEMORY, "no memory for %d cases", n);
    put_numbers(t, r);
    for (int i = 0; i < n && !s; i++) order[i] = (place){ list[i].margin, i };
    if (!s) qsort(order, (size_t)n, sizeof *order, by_margin);
    if (from < worst) from = worst;
    bool pictures = !s && n && list[0].picture.data;
    if (pictures) text_put(t, "<h3>The worst %d of %d</h3><div class=cases>\n", worst, n);
    for (int i = 0; i < worst && pictures && !s; i++) s = put_case(t, e, kind, order[i].i, &list[order[i].i], err);
    if (pictures) text_put(t, "</div>\n");
    if (pictures && middle) text_put(t, "<h3>From the middle</h3><div class=cases>\n");
    for (int i = from; i < from + middle && pictures && !s; i++) s = put_case(t, e, kind, order[i].i, &list[order[i].i], err);
    if (pictures && middle) text_put(t, "</div>\n");
    mem_free(order);
    return s;
}

dreamo_status cases_page(const char *path, const text *sections, const dreamo_eval_options *o, const char *model, dreamo_error *err)
{
    text t = { 0 };
    text_put(&t, "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'><title>");
    text_html(&t, model);
    text_put(&t, "</title><style>%s</style><h1>", style);
    text_html(&t, model);
    text_put(&t, "</h1><div class=dim>measured on ");
    text_html(&t, o->data);
    text_put(&t, ": up to %d samples of a kind, %d seed%s; intervals of 95 %%</div>\n", o->n, o->seeds, o->seeds == 1 ? "" : "s");
    if (sections->n) text_put(&t, "%s", sections->p);
    text_put(&t, "</html>\n");
    bool lost = t.failed || sections->failed;
    dreamo_status s = lost ? fail(err, DREAMO_MEMORY, "%s: no memory", path) : file_replace(path, t.p, t.n, err);
    mem_free(t.p);
    return s;
}
