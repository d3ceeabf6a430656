/* dataset.c - dreamo dataset build|check|stats|show|captions|vocab|distil: training data on disk. */
#include <string.h>
#include "cli/commands.h"
#include "cli/screen.h"

const option dataset_options[] = {
    { "data", 0, VALUE_TEXT, false, 0, 0, "DIR", "the dataset folder" },
    { "npm", 0, VALUE_TEXT, false, 0, 0, "DIR", "build: folder with node_modules of the emoji packages" },
    { "furniture", 0, VALUE_TEXT, false, 0, 0, "DIR", "build: folder with Sweet Home 3D's .sh3f files" },
    { "people", 0, VALUE_TEXT, false, 0, 0, "DIR", "build: folder that tools/people.mjs wrote" },
    { "garments", 0, VALUE_TEXT, false, 0, 0, "DIR", "build: folder with the files of Fashion-MNIST" },
    { "threads", 0, VALUE_INTEGER, false, 1, 1024, "N", "build: one a core by default" },
    { "output", 'o', VALUE_TEXT, false, 0, 0, "FILE", "show: the contact sheet; captions: the text file; vocab: the folder" },
    { "kind", 0, VALUE_TEXT, false, 0, 0, "KIND", "show: t2i, subject (default), subjects, id, ids, style, id-style, tryon, id-tryon, ..." },
    { "held-out", 0, VALUE_NONE, false, 0, 0, NULL, "show: subjects that are never trained on" },
    { "seed", 0, VALUE_INTEGER, false, 0, 9e15, "N", "show: another choice" },
    { "count", 'n', VALUE_INTEGER, false, 1, 10000, "N", "show: samples (24)" },
    { "pieces", 0, VALUE_INTEGER, false, 300, 32000, "N", "vocab: entries of each vocabulary (4096)" },
    { "length", 0, VALUE_INTEGER, false, 8, 4096, "N", "vocab: longest text in tokens (96)" },
    { "model", 'm', VALUE_TEXT, false, 0, 0, "DIR", "distil: whose base makes the pictures" },
    { "pictures", 0, VALUE_TEXT, false, 0, 0, "SIZES", "distil: 128x128, or a list like 128x128:6 128x96:1" },
    { "columns", 0, VALUE_INTEGER, false, 1, 100, "N", "show: samples in a row (4)" },
    { 0 }
};

static dreamo_status build(const parsed *p, const char *data, dreamo_error *err)
{
    dreamo_dataset_options o;
    dreamo_dataset_options_init(&o);
    o.npm = option_text(p, "npm", NULL);
    o.furniture = option_text(p, "furniture", NULL);
    o.people = option_text(p, "people", NULL);
    o.garments = option_text(p, "garments", NULL);
    o.out = data;
    o.threads = (int)option_integer(p, "threads", 0);
    o.progress = screen_event;
    if (!o.npm && !o.furniture) return complain(err, DREAMO_ARG, NULL, "dataset build: --npm DIR or --furniture DIR is missing");
    dreamo_status s = dreamo_dataset_build(&o, err);
    if (!s) screen_result(data);
    return s;
}

static dreamo_status stats(const parsed *p, const char *data, dreamo_error *err)
{
    dreamo_dataset_stats c;
    (void)p;
    dreamo_status s = dreamo_dataset_count(data, &c, err);
    if (s) return s;
    if (screen_json())
        printf("{\"subjects\":%d,\"flat\":%d,\"solid\":%d,\"concepts\":%d,\"held_out_concepts\":%d,\"held_out_subjects\":%d,"
               "\"people\":%d,\"held_out_people\":%d,\"variants\":%d,\"systems\":%d,\"garments\":%d,\"held_out_garments\":%d,\"bytes\":%llu}\n",
               c.subjects, c.flat, c.solid, c.concepts, c.held_out_concepts, c.held_out_subjects, c.people, c.held_out_people, c.variants, c.systems,
               c.garments, c.held_out_garments, (unsigned long long)c.bytes);
    else {
        printf("%d subjects (%d drawings, %d models), %d concepts to train on, %d held out (%d subjects), %.1f MB\n", c.subjects, c.flat, c.solid, c.concepts,
               c.held_out_concepts, c.held_out_subjects, (double)c.bytes / (1 << 20));
        if (c.people) printf("%d people in %d ways of drawing, %d variants; %d held out\n", c.people, c.systems, c.variants, c.held_out_people);
        if (c.garments) printf("%d garments; %d held out\n", c.garments, c.held_out_garments);
    }
    return DREAMO_OK;
}

static dreamo_status show(const parsed *p, const char *data, dreamo_error *err)
{
    dreamo_sheet_options o;
    dreamo_sheet_options_init(&o);
    o.folder = data;
    o.path = option_text(p, "output", "dataset.png");
    o.kind = option_text(p, "kind", o.kind);
    o.held_out = option_flag(p, "held-out");
    o.seed = (uint64_t)option_integer(p, "seed", (int64_t)o.seed);
    o.count = (int)option_integer(p, "count", o.count);
    o.columns = (int)option_integer(p, "columns", o.columns);
    o.clobber = true;
    dreamo_status s = dreamo_dataset_show(&o, err);
    if (!s) screen_result(o.path);
    return s;
}

static dreamo_status check(const parsed *p, const char *data, dreamo_error *err)
{
    (void)p;
    return dreamo_dataset_check(data, screen_event, NULL, err);
}

static dreamo_status captions(const parsed *p, const char *data, dreamo_error *err)
{
    const char *path = option_text(p, "output", NULL);
    if (!path) return complain(err, DREAMO_ARG, NULL, "dataset captions: --output FILE is missing");
    return dreamo_dataset_captions(data, path, err);
}

static dreamo_status vocab(const parsed *p, const char *data, dreamo_error *err)
{
    const char *folder = option_text(p, "output", NULL);
    if (!folder) return complain(err, DREAMO_ARG, NULL, "dataset vocab: --output FOLDER is missing");
    dreamo_status s = dreamo_dataset_vocabulary(data, (int)option_integer(p, "pieces", 4096), (int)option_integer(p, "length", 96), folder, err);
    if (!s) screen_result(folder);
    return s;
}

static dreamo_status distil(const parsed *p, const char *data, dreamo_error *err)
{
    dreamo_distil_options o;
    dreamo_distil_options_init(&o);
    o.data = data;
    o.model = option_text(p, "model", NULL);
    o.out = option_text(p, "output", NULL);
    o.kinds = option_text(p, "kind", o.kinds);
    o.pictures = option_text(p, "pictures", o.pictures);
    o.seed = (uint64_t)option_integer(p, "seed", (int64_t)o.seed);
    o.count = (int)option_integer(p, "count", o.count);
    o.threads = (int)option_integer(p, "threads", 0);
    o.progress = screen_event;
    if (!o.model || !o.out) return complain(err, DREAMO_ARG, NULL, "dataset distil: --model DIR or --output FOLDER is missing");
    dreamo_status s = dreamo_dataset_distil(&o, err);
    if (!s) screen_result(o.out);
    return s;
}

int run_dataset(const parsed *p)
{
    static const struct { const char *name; dreamo_status (*run)(const parsed *, const char *, dreamo_error *); } verbs[] = {
        { "build", build }, { "check", check }, { "stats", stats }, { "show", show }, { "captions", captions }, { "vocab", vocab },
        { "distil", distil },
    };
    dreamo_error err = { 0 };
    const char *data = option_text(p, "data", NULL);
    dreamo_status s = DREAMO_ARG;
    size_t i = 0, n = sizeof verbs / sizeof *verbs;
    while (i < n && strcmp(verbs[i].name, p->args[0]) != 0) i++;
    screen_catch_signals();
    if (i == n) complain(&err, DREAMO_ARG, NULL, "dataset: \"%s\" is none of build, check, stats, show, captions, vocab, distil", p->args[0]);
    else if (!data) complain(&err, DREAMO_ARG, NULL, "dataset %s: --data DIR is missing", p->args[0]);
    else s = verbs[i].run(p, data, &err);
    return s ? report(p, &err) : 0;
}
