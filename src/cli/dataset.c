/* dataset.c - dreamo dataset build|check|stats|show|export|captions|vocab|distil|split|pack|remove: training data on disk. */
#include <stdio.h>
#include <string.h>
#include "cli/commands.h"
#include "cli/screen.h"

const option dataset_options[] = {
    { "data", 0, VALUE_TEXT, false, 0, 0, "DIR", "the dataset folder; or pictures of your own: a folder, x.jsonl, x.tar, 'x-*.tar'" },
    { "npm", 0, VALUE_TEXT, false, 0, 0, "DIR", "build: folder with node_modules of the emoji packages" },
    { "furniture", 0, VALUE_TEXT, false, 0, 0, "DIR", "build: folder with Sweet Home 3D's .sh3f files" },
    { "people", 0, VALUE_TEXT, false, 0, 0, "DIR", "build: folder that tools/people.mjs wrote" },
    { "garments", 0, VALUE_TEXT, false, 0, 0, "DIR", "build: folder with the files of Fashion-MNIST" },
    { "threads", 0, VALUE_INTEGER, false, 1, 1024, "N", "build: one a core by default" },
    { "output", 'o', VALUE_TEXT, false, 0, 0, "FILE", "show: the contact sheet; export: the folder; captions: the text file; vocab: the folder; pack: the folder for tar files" },
    { "kind", 0, VALUE_TEXT, false, 0, 0, "KIND", "show: any (pictures of your own), t2i, subject (default), subjects, id, ids, style, id-style, tryon, id-tryon, ...; export: several, apart by blanks" },
    { "held-out", 0, VALUE_NONE, false, 0, 0, NULL, "show, export: subjects that are never trained on" },
    { "seed", 0, VALUE_INTEGER, false, 0, 9e15, "N", "show, export: another choice" },
    { "count", 'n', VALUE_INTEGER, false, 1, 10000, "N", "show: samples (24); export: of each kind" },
    { "pieces", 0, VALUE_INTEGER, false, 300, 32000, "N", "vocab: entries of each vocabulary (4096)" },
    { "length", 0, VALUE_INTEGER, false, 8, 4096, "N", "vocab: longest text in tokens (96)" },
    { "side", 0, VALUE_INTEGER, false, 16, 1024, "N", "show, stats: pictures of about N x N pixels (128); export: of N x N" },
    { "share", 0, VALUE_NUMBER, false, 0, 1, "X", "split: how much is held out (0.1)" },
    { "shard", 0, VALUE_INTEGER, false, 1, 1900, "MB", "pack: begin a new tar file after so many megabytes (256)" },
    { "source", 0, VALUE_TEXT, false, 0, 0, "HASH", "remove: sha256 of the file whose samples go, or its first digits" },
    { "model", 'm', VALUE_TEXT, false, 0, 0, "DIR", "distil: whose base makes the pictures" },
    { "dit", 0, VALUE_TEXT, false, 0, 0, "FILE", "distil: transformer from another file" },
    { "t5", 0, VALUE_TEXT, false, 0, 0, "FILE", "distil: T5 from another file" },
    { "clip", 0, VALUE_TEXT, false, 0, 0, "FILE", "distil: CLIP from another file" },
    { "vae", 0, VALUE_TEXT, false, 0, 0, "FILE", "distil: autoencoder from another file" },
    { "pictures", 0, VALUE_TEXT, false, 0, 0, "SIZES", "distil: 128x128, or a list like 128x128:6 128x96:1" },
    { "placed", 0, VALUE_NONE, false, 0, 0, NULL, "export: captions say [ref#1] and so on" },
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

/* "samples  train 9, held out 1": a group of rows is a line. */
static bool tally_row(void *user, const char *group, const char *name, int64_t count)
{
    char *last = user;
    if (screen_json()) {
        printf("{\"group\":");
        json_print_string(stdout, group);
        printf(",\"name\":");
        json_print_string(stdout, name);
        printf(",\"count\":%lld}\n", (long long)count);
    } else if (strcmp(last, group)) {
        printf("%s%-8s %s %lld", *last ? "\n" : "", group, name, (long long)count);
        snprintf(last, 32, "%s", group);
    } else
        printf(", %s %lld", name, (long long)count);
    return !screen_stop;
}

static dreamo_status stats(const parsed *p, const char *data, dreamo_error *err)
{
    dreamo_dataset_stats c;
    if (dreamo_dataset_is_own(data)) {
        char last[32] = "";
        dreamo_status s = dreamo_dataset_tally(data, (int)option_integer(p, "side", 128), tally_row, last, err);
        if (*last) putchar('\n');
        return s;
    }
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
    o.kind = option_text(p, "kind", dreamo_dataset_is_own(data) ? "any" : o.kind);
    o.side = (int)option_integer(p, "side", o.side);
    o.held_out = option_flag(p, "held-out");
    o.seed = (uint64_t)option_integer(p, "seed", (int64_t)o.seed);
    o.count = (int)option_integer(p, "count", o.count);
    o.columns = (int)option_integer(p, "columns", o.columns);
    o.clobber = true;
    dreamo_status s = dreamo_dataset_show(&o, err);
    if (!s) screen_result(o.path);
    return s;
}

static dreamo_status export(const parsed *p, const char *data, dreamo_error *err)
{
    dreamo_export_options o;
    dreamo_export_options_init(&o);
    o.data = data;
    o.out = option_text(p, "output", NULL);
    o.kinds = option_text(p, "kind", NULL);
    o.held_out = option_flag(p, "held-out");
    o.placed = option_flag(p, "placed");
    o.seed = (uint64_t)option_integer(p, "seed", (int64_t)o.seed);
    o.count = (int)option_integer(p, "count", o.count);
    o.width = o.height = (int)option_integer(p, "side", o.width);
    o.progress = screen_event;
    if (!o.out) return complain(err, DREAMO_ARG, NULL, "dataset export: --output FOLDER is missing");
    dreamo_status s = dreamo_dataset_export(&o, err);
    screen_clear();
    if (!s) screen_result(o.out);
    return s;
}

static dreamo_status check(const parsed *p, const char *data, dreamo_error *err)
{
    (void)p;
    dreamo_status s = dreamo_dataset_check(data, screen_event, NULL, err);
    screen_clear();
    return s;
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

static dreamo_status split(const parsed *p, const char *data, dreamo_error *err)
{
    const char *out = option_text(p, "output", NULL);
    dreamo_status s = dreamo_dataset_split(data, out, option_number(p, "share", 0.1), err);
    if (!s) screen_result(out ? out : data);
    return s;
}

static dreamo_status pack(const parsed *p, const char *data, dreamo_error *err)
{
    const char *out = option_text(p, "output", NULL);
    if (!out) return complain(err, DREAMO_ARG, NULL, "dataset pack: --output FOLDER is missing");
    dreamo_status s = dreamo_dataset_pack(data, out, (uint64_t)option_integer(p, "shard", 256) << 20, err);
    if (!s) screen_result(out);
    return s;
}

static dreamo_status drop(const parsed *p, const char *data, dreamo_error *err)
{
    const char *source = option_text(p, "source", NULL);
    int n = 0;
    if (!source) return complain(err, DREAMO_ARG, NULL, "dataset remove: --source HASH is missing");
    dreamo_status s = dreamo_dataset_remove(data, source, screen_event, NULL, &n, err);
    if (!s) screen_line("gone", "%d sample%s", n, n == 1 ? "" : "s");
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
    o.dit = option_text(p, "dit", NULL);
    o.t5 = option_text(p, "t5", NULL);
    o.clip = option_text(p, "clip", NULL);
    o.vae = option_text(p, "vae", NULL);
    if (!o.model || !o.out) return complain(err, DREAMO_ARG, NULL, "dataset distil: --model DIR or --output FOLDER is missing");
    dreamo_status s = dreamo_dataset_distil(&o, err);
    if (!s) screen_result(o.out);
    return s;
}

int run_dataset(const parsed *p)
{
    static const struct { const char *name; dreamo_status (*run)(const parsed *, const char *, dreamo_error *); } verbs[] = {
        { "build", build }, { "check", check }, { "stats", stats }, { "show", show }, { "export", export }, { "captions", captions }, { "vocab", vocab },
        { "split", split }, { "pack", pack }, { "remove", drop },
        { "distil", distil },
    };
    dreamo_error err = { 0 };
    const char *data = option_text(p, "data", NULL);
    dreamo_status s = DREAMO_ARG;
    size_t i = 0, n = sizeof verbs / sizeof *verbs;
    while (i < n && strcmp(verbs[i].name, p->args[0]) != 0) i++;
    screen_catch_signals();
    if (i == n) complain(&err, DREAMO_ARG, NULL, "dataset: \"%s\" is none of build, check, stats, show, export, captions, vocab, distil, split, pack, remove", p->args[0]);
    else if (!data) complain(&err, DREAMO_ARG, NULL, "dataset %s: --data DIR is missing", p->args[0]);
    else s = verbs[i].run(p, data, &err);
    return s ? report(p, &err) : 0;
}
