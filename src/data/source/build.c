/* build.c - dreamo_dataset_build: every item of every source, drawn by a pool, packed into one folder. */
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include "base/error.h"
#include "base/mem.h"
#include "base/progress.h"
#include "base/threads.h"
#include "data/source/emoji.h"
#include "data/source/furniture.h"
#include "data/source/garments.h"
#include "data/source/pack.h"
#include "data/source/people.h"

enum { GARMENTS = 4000 }; /* of a class, to train on */

typedef struct build {
    const dreamo_dataset_options *o;
    emoji_source emoji;
    furniture_source furniture;
    people_source people;
    garment_source garments;
    int nassets, nitems;       /* subjects; and people after them: what the pool draws */
    asset *assets;
    dreamo_error *errors;      /* one an item */
    atomic_int done, stop;
    progress pace;
} build;

void dreamo_dataset_options_init(dreamo_dataset_options *o)
{
    *o = (dreamo_dataset_options){ .size = sizeof *o };
}

static bool tell(const build *b, dreamo_event_kind kind, const char *text)
{
    if (!b->o->progress) return true;
    dreamo_event e = { .kind = kind, .done = b->pace.done, .total = b->pace.total, .seconds_left = progress_seconds_left(&b->pace),
                       .seconds_a_step = progress_seconds_a_step(&b->pace), .text = text };
    return b->o->progress(b->o->user, &e);
}

static const char **refusal(build *b, int i) { return i < b->nassets ? &b->assets[i].refused : &b->people.items[i - b->nassets].refused; }

static void draw_one(void *arg, int i, int worker)
{
    build *b = arg;
    if (atomic_load(&b->stop)) return;
    dreamo_error *err = &b->errors[i];
    if (i < b->emoji.nitems) emoji_draw(&b->emoji, i, &b->assets[i], err);
    else if (i < b->nassets) furniture_draw(&b->furniture, i - b->emoji.nitems, &b->assets[i], err);
    else people_draw(&b->people, i - b->nassets, err);
    if (err->status == DREAMO_FORMAT || err->status == DREAMO_LIMIT) *refusal(b, i) = "cannot be drawn"; /* a bad item stays out; the rest goes on */
    else if (err->status) atomic_store(&b->stop, 1);
    if (*refusal(b, i) && i < b->nassets) asset_free(&b->assets[i]);
    int done = atomic_fetch_add(&b->done, 1) + 1;
    if (worker) return; /* the caller's own thread speaks */
    progress_step(&b->pace, done);
    if (!tell(b, DREAMO_EVENT_STEP, NULL)) {
        fail(err, DREAMO_CANCELLED, "stopped after %d of %d drawings", done, b->nitems);
        atomic_store(&b->stop, 1);
    }
}

/* One warning a reason, and one for each item that could not be drawn. */
static void report(build *b, int from, int to, const char *what)
{
    char line[640];
    for (int i = from; i < to; i++) {
        const char *why = *refusal(b, i);
        if (why && b->errors[i].status) {
            snprintf(line, sizeof line, "left out: %s", b->errors[i].message);
            tell(b, DREAMO_EVENT_WARNING, line);
        }
        bool first = why != NULL;
        int count = 0;
        for (int j = from; why && j < to; j++) {
            if (!*refusal(b, j) || strcmp(*refusal(b, j), why)) continue;
            if (j < i) first = false;
            count++;
        }
        if (!first) continue;
        snprintf(line, sizeof line, "left out: %d %s: %s", count, what, why);
        tell(b, DREAMO_EVENT_NOTE, line);
    }
}

static void report_all(build *b)
{
    char line[160];
    report(b, 0, b->nassets, "subjects");
    report(b, b->nassets, b->nitems, "people");
    if (!b->garments.seen) return;
    snprintf(line, sizeof line, "left out: of %d garments %d too dark, %d too small", b->garments.seen, b->garments.dark, b->garments.small);
    tell(b, DREAMO_EVENT_NOTE, line);
}

static dreamo_status pack(const build *b, dreamo_error *err)
{
    int n = 0;
    asset_source *sources = mem_calloc((size_t)(b->emoji.nsets + b->furniture.ncatalogues + b->people.nsystems + 2), sizeof *sources);
    if (!sources) return fail(err, DREAMO_MEMORY, "%s: no memory", b->o->out);
    for (int i = 0; i < b->emoji.nsets; i++) {
        const emoji_set *s = &b->emoji.sets[i];
        sources[n++] = (asset_source){ s->set, s->package, s->version, s->licence, s->author };
    }
    if (b->emoji.nsets) sources[n++] = (asset_source){ "(names)", "emojibase-data", b->emoji.labels_version, "MIT", "emojibase" };
    for (int i = 0; i < b->furniture.ncatalogues; i++) {
        const furniture_catalogue *c = &b->furniture.catalogues[i];
        sources[n++] = (asset_source){ c->name, "sweethome3d-furniture", c->version, c->licence, c->author };
    }
    for (int i = 0; i < b->people.nsystems; i++) {
        const people_system *s = &b->people.systems[i];
        sources[n++] = (asset_source){ s->system, s->package, s->version, s->licence, s->author };
    }
    if (b->o->garments) sources[n++] = (asset_source){ "(garments)", "Fashion-MNIST", "2017", "MIT", "Zalando SE" };
    dreamo_status status = pack_write(b->o->out, &(pack_lists){ b->nassets, b->people.nitems, b->o->garments ? 2 * WARDROBE_CLASSES : 0, n, b->assets,
                                                                b->people.items, b->garments.item, sources }, err);
    mem_free(sources);
    return status;
}

static dreamo_status run(build *b, dreamo_error *err)
{
    dreamo_status status = DREAMO_OK;
    if (b->o->npm) status = emoji_open(b->o->npm, &b->emoji, err);
    if (!status && b->o->furniture) status = furniture_open(b->o->furniture, &b->furniture, err);
    if (!status && b->o->people) status = people_open(b->o->people, &b->people, err);
    if (!status && b->o->garments) status = garments_open(b->o->garments, GARMENTS, &b->garments, err);
    if (status) return status;
    b->nassets = b->emoji.nitems + b->furniture.nitems;
    b->nitems = b->nassets + b->people.nitems;
    b->assets = mem_calloc((size_t)b->nassets, sizeof *b->assets);
    b->errors = mem_calloc((size_t)b->nitems, sizeof *b->errors);
    pool *p = pool_new(b->o->threads);
    if (!b->assets || !b->errors || !p) status = fail(err, DREAMO_MEMORY, "%s: no memory for %d drawings", b->o->out, b->nitems);
    else {
        progress_start(&b->pace, b->nitems);
        pool_run(p, b->nitems, draw_one, b);
        for (int i = 0; i < b->nitems && !status; i++)
            if (b->errors[i].status && !*refusal(b, i)) {
                status = b->errors[i].status;
                if (err) *err = b->errors[i];
            }
        if (!status) report_all(b);
        if (!status) status = pack(b, err);
    }
    pool_free(p);
    return status;
}

dreamo_status dreamo_dataset_build(const dreamo_dataset_options *o, dreamo_error *err)
{
    if (!o->out || (!o->npm && !o->furniture)) return fail(err, DREAMO_ARG, "dataset build: needs an output folder and at least one source");
    build b = { .o = o };
    dreamo_status status = run(&b, err);
    for (int i = 0; b.assets && i < b.nassets; i++) asset_free(&b.assets[i]);
    mem_free(b.assets);
    mem_free(b.errors);
    emoji_close(&b.emoji);
    furniture_close(&b.furniture);
    people_close(&b.people);
    garments_close(&b.garments);
    return status;
}
