/* eval.c - dreamo eval -m MODEL --data DATA: a table with intervals, a JSON object a kind, a page of cases. */
#include <stdio.h>
#include <string.h>
#include "cli/commands.h"
#include "cli/model.h"
#include "cli/screen.h"

const option eval_options[] = {
    { "model", 'm', VALUE_TEXT, false, 0, 0, "DIR", "model folder; the shipped model by default" },
    { "data", 0, VALUE_TEXT, false, 0, 0, "DIR", "dataset folder; or your own: a folder, tar files, x.jsonl (of prompts and references, targets if there are)" },
    { "judge", 0, VALUE_TEXT, false, 0, 0, "DIR", "config.json and model.safetensors of a judge; the shipped one by default" },
    { "real", 0, VALUE_NONE, false, 0, 0, NULL, "no model: only what the judge makes of real pictures" },
    { "kinds", 0, VALUE_TEXT, false, 0, 0, "LIST", "t2i subject subjects id ids style id-style tryon id-tryon id-subject subject-style; all by default" },
    { "count", 'n', VALUE_INTEGER, false, 1, 1e6, "N", "samples of a kind (100)" },
    { "seeds", 0, VALUE_INTEGER, false, 1, 64, "K", "pictures of a sample (1); diversity needs two" },
    { "candidates", 0, VALUE_INTEGER, false, 2, 10000, "N", "among so many a reference is to be found (100)" },
    { "among", 0, VALUE_TEXT, false, 0, 0, "DIR", "a dataset that these come from; --data by default" },
    { "seed", 0, VALUE_INTEGER, false, 0, 9e15, "N", "other samples (1)" },
    { "size", 's', VALUE_TEXT, false, 0, 0, "WxH", "of the pictures; the model's by default" },
    { "ref-side", 0, VALUE_INTEGER, false, 16, 1024, "N", "references of N x N pixels; the model's default otherwise" },
    { "steps", 0, VALUE_INTEGER, false, 1, 1000, "N", "the model's by default" },
    { "guidance", 0, VALUE_NUMBER, false, 0, 100, "X", "the model's by default" },
    { "true-cfg", 0, VALUE_NUMBER, false, 1, 100, "X", "the model's by default" },
    { "placed", 0, VALUE_NONE, false, 0, 0, NULL, "captions say [ref#1] and so on" },
    { "scenes", 0, VALUE_NONE, false, 0, 0, NULL, "once more, each with another sample's scene" },
    { "trained", 0, VALUE_NONE, false, 0, 0, NULL, "of your own pictures also those that training would see" },
    { "keep", 0, VALUE_TEXT, false, 0, 0, "DIR", "keep the pictures here; a run that was stopped goes on from them" },
    { "pairs", 0, VALUE_TEXT, false, 0, 0, "DIR", "write preferences to train on (dpo): a better and a worse picture of each sample; needs --seeds 2" },
    { "pairs-real", 0, VALUE_NONE, false, 0, 0, NULL, "in --pairs the sample's own target is the better one; one seed does" },
    { "against", 0, VALUE_TEXT, false, 0, 0, "DIR", "another model's --keep of the same samples: how often this one's pictures are the better" },
    { "output", 'o', VALUE_TEXT, false, 0, 0, "FILE", "an HTML page with the worst and the median cases" },
    { "dit", 0, VALUE_TEXT, false, 0, 0, "FILE", "transformer from another file; likewise the next three" },
    { "t5", 0, VALUE_TEXT, false, 0, 0, "FILE", "" },
    { "clip", 0, VALUE_TEXT, false, 0, 0, "FILE", "" },
    { "vae", 0, VALUE_TEXT, false, 0, 0, "FILE", "" },
    { "variant", 0, VALUE_TEXT, false, 0, 0, "NAME", "DreamO's published LoRAs: v1.1 or v1" },
    { "dreamo", 0, VALUE_TEXT, false, 0, 0, "DIR", "where these lie; MODEL/dreamo by default" },
    { "lora", 0, VALUE_TEXT, true, 0, 0, "FILE[@SCALE]", "more LoRAs, in order" },
    { "no-adapter", 0, VALUE_NONE, false, 0, 0, NULL, "without the model folder's own adapter" },
    { "threads", 0, VALUE_INTEGER, false, 1, 1024, "N", "one a core by default" },
    { 0 }
};

enum { MAX_LORAS = 8 };
typedef struct job { dreamo_model_options model; dreamo_eval_options o; model_names names; bool headed; } job;

/* ---- rows ---- */

/* "0.910", or null where nothing was measured. */
static void json_share(const char *name, double x)
{
    if (x < 0) printf(",\"%s\":null", name);
    else printf(",\"%s\":%.4f", name, x);
}

static void json_parts(const char *name, const dreamo_eval_part *p, int n)
{
    printf(",\"%s\":{", name);
    for (int i = 0; i < n; i++) {
        printf("%s", i ? "," : "");
        json_print_string(stdout, p[i].name);
        printf(":{\"n\":%d", p[i].n);
        json_share("share", p[i].share);
        json_share("ceiling", p[i].ceiling);
        printf("}");
    }
    printf("}");
}

static void json_interval(const char *name, double share, double lo, double hi)
{
    if (share < 0) printf(",\"%s\":null", name);
    else printf(",\"%s\":[%.4f,%.4f]", name, lo, hi);
}

static void json_row(const dreamo_eval_row *r)
{
    printf("{\"kind\":\"%s\",\"n\":%d,\"seeds\":%d,\"references\":%d,\"candidates\":%d", r->kind, r->n, r->seeds, r->references, r->candidates);
    json_share("top1", r->top1);
    json_interval("top1_interval", r->top1, r->top1_lo, r->top1_hi);
    json_share("ceiling", r->ceiling);
    json_interval("ceiling_interval", r->ceiling, r->ceiling_lo, r->ceiling_hi);
    json_share("floor", r->floor);
    json_share("all", r->all);
    json_share("swapped", r->swapped);
    json_share("swapped_ceiling", r->swapped_ceiling);
    json_share("merged", r->merged);
    json_share("text", r->text);
    json_interval("text_interval", r->text, r->text_lo, r->text_hi);
    json_share("text_ceiling", r->text_ceiling);
    json_share("scenes", r->scenes);
    json_share("diversity", r->diversity);
    json_share("copies", r->copies);
    json_share("wins", r->wins);
    json_interval("wins_interval", r->wins, r->wins_lo, r->wins_hi);
    json_parts("heads", r->heads, r->nheads);
    json_parts("labels", r->labels, r->nlabels);
    printf("}\n");
}

/* A share as a column; what was not measured is a dash. */
static void column(double x, int width)
{
    if (x < 0) printf("%*s", width, "-");
    else printf("%*.3f", width, x);
}

static void with_interval(double x, double lo, double hi)
{
    char text[32] = "-";
    if (x >= 0) snprintf(text, sizeof text, "%.3f %.2f..%.2f", x, lo, hi);
    printf("  %16s", text);
}

static void table_row(const dreamo_eval_row *r, int wanted, bool *headed)
{
    if (!*headed)
        printf("%-13s %5s  %16s  %16s %6s %6s %7s %6s  %16s %8s %6s %7s %6s\n", "kind", "n", "top-1", "ceiling", "floor", "all", "swapped", "merged", "text", "ceiling",
               "scenes", "diverse", "copies");
    *headed = true;
    printf("%-13s %5d", r->kind, r->n);
    with_interval(r->top1, r->top1_lo, r->top1_hi);
    with_interval(r->ceiling, r->ceiling_lo, r->ceiling_hi);
    column(r->floor, 7);
    column(r->all, 7);
    column(r->swapped, 8);
    column(r->merged, 7);
    with_interval(r->text, r->text_lo, r->text_hi);
    column(r->text_ceiling, 9);
    column(r->scenes, 7);
    column(r->diversity, 8);
    column(r->copies, 7);
    printf("\n");
    if (r->wins >= 0) printf("%-13s        better than the other model's in %.3f (%.2f..%.2f) of the pictures that differ\n", "", r->wins, r->wins_lo, r->wins_hi);
    if (r->candidates && r->candidates < wanted) printf("%-13s        (among %d: there are no more)\n", "", r->candidates);
}

static bool row(void *user, const dreamo_eval_row *r)
{
    job *j = user;
    screen_clear();
    if (screen_json()) json_row(r);
    else table_row(r, j->o.candidates, &j->headed);
    fflush(stdout);
    return !screen_stop;
}

/* With --json standard output holds the kinds and nothing else. */
static bool event(void *user, const dreamo_event *e)
{
    return screen_json() && e->kind == DREAMO_EVENT_STEP ? !screen_stop : screen_event(user, e);
}

/* ---- options ---- */

static dreamo_status read_model(const parsed *p, job *j, dreamo_error *err)
{
    dreamo_model_options *m = &j->model;
    dreamo_model_options_init(m);
    dreamo_status s = option_model(p, m, &j->names, err);
    m->no_default_lora = option_flag(p, "no-adapter");
    m->progress = NULL; /* the measuring tells how it goes */
    return s || m->nloras <= MAX_LORAS ? s : complain(err, DREAMO_LIMIT, NULL, "more than %d LoRAs", MAX_LORAS);
}

static dreamo_status read_size(const char *text, dreamo_eval_options *o, dreamo_error *err)
{
    const char *x = strchr(text, 'x');
    char first[8];
    int64_t w, h;
    snprintf(first, sizeof first, "%.*s", x && x - text < 7 ? (int)(x - text) : 0, text);
    if (!x || !text_integer(first, &w) || !text_integer(x + 1, &h) || w < 16 || h < 16 || w > 1024 || h > 1024)
        return complain(err, DREAMO_ARG, "for example 128x128", "--size: \"%s\" is not WIDTHxHEIGHT with sides from 16 to 1024", text);
    o->width = (int)w;
    o->height = (int)h;
    return DREAMO_OK;
}

static dreamo_status read_job(const parsed *p, job *j, dreamo_error *err)
{
    dreamo_eval_options *o = &j->o;
    dreamo_eval_options_init(o);
    o->data = option_text(p, "data", NULL);
    if (!o->data) return complain(err, DREAMO_ARG, "dreamo eval -m MODEL --data DATA", "eval: --data is missing");
    bool real = option_flag(p, "real");
    if (real && option_text(p, "model", NULL)) return complain(err, DREAMO_ARG, NULL, "--real makes no pictures, so --model says nothing");
    dreamo_status s = read_model(p, j, err);
    o->model = real ? NULL : &j->model;
    o->judge = option_text(p, "judge", NULL);
    o->among = option_text(p, "among", NULL);
    o->kinds = option_text(p, "kinds", NULL);
    o->n = (int)option_integer(p, "count", o->n);
    o->seeds = (int)option_integer(p, "seeds", o->seeds);
    o->candidates = (int)option_integer(p, "candidates", o->candidates);
    o->seed = (uint64_t)option_integer(p, "seed", (int64_t)o->seed);
    o->ref_side = (int)option_integer(p, "ref-side", 0);
    o->steps = (int)option_integer(p, "steps", 0);
    o->guidance = option_number(p, "guidance", o->guidance);
    o->true_cfg = option_number(p, "true-cfg", 0);
    o->placed = option_flag(p, "placed");
    o->scenes = option_flag(p, "scenes");
    o->trained = option_flag(p, "trained");
    o->keep = option_text(p, "keep", NULL);
    o->pairs = option_text(p, "pairs", NULL);
    o->against = option_text(p, "against", NULL);
    o->pairs_real = option_flag(p, "pairs-real");
    o->page = option_text(p, "output", NULL);
    o->threads = j->model.threads;
    o->progress = event;
    o->row = row;
    o->user = j;
    const char *size = option_text(p, "size", NULL);
    return s || !size ? s : read_size(size, o, err);
}

int run_eval(const parsed *p)
{
    static job j; /* large, used once */
    dreamo_error err = { 0 };
    dreamo_status s = read_job(p, &j, &err);
    screen_catch_signals();
    if (!s) s = dreamo_eval(&j.o, &err);
    screen_clear();
    if (s) return report(p, &err);
    if (j.o.page) screen_result(j.o.page);
    return 0;
}
