/* prep.c - dreamo prep -r TASK=FILE ... : what a model will see of references. */
#include <string.h>

#include "cli/commands.h"
#include "cli/output.h"
#include "cli/refs.h"
#include "cli/screen.h"

const option prep_options[] = {
    { "ref", 'r', VALUE_TEXT, true, 0, 0, "TASK=FILE", REFS_HELP },
    REFS_OPTIONS,
    { "cache", 0, VALUE_TEXT, false, 0, 0, "DIR", "keep results here by a hash of all that they depend on, and take them from here" },
    { "res", 0, VALUE_INTEGER, false, 16, 4096, "N", "area of references that do not say, N x N pixels; 512 by default, as DreamO has it on FLUX" },
    { "cell", 0, VALUE_INTEGER, false, 1, 256, "N", "sides become multiples of it; 16 by default, FLUX's" },
    { "output", 'o', VALUE_TEXT, false, 0, 0, "FILE", "of a single reference, PNG or, by its name, JPEG; - for standard output; ref-1.png by default" },
    { "device", 0, VALUE_TEXT, false, 0, 0, "NAME", "cpu (default) or ggml:NAME as `dreamo info --devices` lists them: what the networks compute on" },
    { "threads", 0, VALUE_INTEGER, false, 1, 1024, "N", "one a core by default" },
    { 0 }
};

static dreamo_status put(const char *path, const dreamo_image *im, dreamo_error *err)
{
    void *data;
    size_t nbytes;
    if (strcmp(path, "-") != 0) return dreamo_image_write(im, path, output_format(path), true, err);
    dreamo_status s = dreamo_image_encode(im, "png", 0, &data, &nbytes, err);
    if (s) return s;
    if (fwrite(data, 1, nbytes, stdout) != nbytes) s = complain(err, DREAMO_IO, NULL, "standard output: could not be written");
    dreamo_bytes_free(data);
    return s;
}

static int slot_of(const ref_list *l, int i) { return l->ref[i].slot ? l->ref[i].slot : i + 1; }

/* Everything that can be wrong with where results go. */
static dreamo_status check(const ref_list *l, const char *saved, const char *output, dreamo_error *err)
{
    char path[4200];
    if (l->n == 0) return complain(err, DREAMO_ARG, "dreamo prep -r ip=toy.jpg -o toy.png", "prep: no reference is given");
    if (l->n > 1 && !saved) return complain(err, DREAMO_ARG, "say --save-refs DIR", "prep: %d references, and one file", l->n);
    if (output && l->n > 1) return complain(err, DREAMO_ARG, "leave out -o", "prep: %d references, and one file", l->n);
    if (output && refs_is_input(l, output)) return complain(err, DREAMO_ARG, NULL, "--output %s: is the run's own input", output);
    for (int i = 0; i < l->n; i++) {
        refs_path(saved ? saved : "", slot_of(l, i), path, sizeof path);
        if (saved && refs_is_input(l, path)) return complain(err, DREAMO_ARG, NULL, "--save-refs: %s is the run's own input", path);
        for (int k = 0; k < i; k++)
            if (slot_of(l, i) == slot_of(l, k)) return complain(err, DREAMO_ARG, NULL, "prep: two references with slot %d", slot_of(l, i));
    }
    return DREAMO_OK;
}

/* One picture after the other; the names of the files are printed. */
static dreamo_status run_all(dreamo_prep *with, const ref_list *l, const char *saved, const char *output, dreamo_error *err)
{
    char path[4200];
    dreamo_status s = DREAMO_OK;
    for (int i = 0; i < l->n && !s; i++) {
        dreamo_image im = { 0 };
        s = refs_error(dreamo_prep_run(with, &l->ref[i], i, refs_event, NULL, &im, NULL, err), err);
        if (!s && output) s = put(output, &im, err);
        if (!s && output && strcmp(output, "-") != 0) screen_result(output);
        if (!s && saved) {
            refs_path(saved, slot_of(l, i), path, sizeof path);
            screen_result(path);
        }
        dreamo_image_free(&im);
    }
    return s;
}

int run_prep(const parsed *p)
{
    static ref_list l; /* large, used once */
    dreamo_error err = { 0 };
    dreamo_prep *with = NULL;
    dreamo_prep_options o;
    dreamo_prep_options_init(&o);
    o.networks = option_text(p, "networks", NULL);
    o.cutter = option_text(p, "cutter", NULL);
    o.cache = option_text(p, "cache", NULL);
    o.device = option_text(p, "device", NULL);
    o.threads = (int)option_integer(p, "threads", 0);
    o.res = (int)option_integer(p, "res", o.res);
    o.cell = (int)option_integer(p, "cell", o.cell);
    const char *saved = option_text(p, "save-refs", NULL), *output = option_text(p, "output", saved ? NULL : "ref-1.png");
    dreamo_status s = refs_read(p, &l, &err);
    if (!s) s = check(&l, saved, output, &err);
    screen_catch_signals();
    if (!s) s = dreamo_prep_open(&o, &with, &err);
    if (!s) s = run_all(with, &l, saved, output, &err);
    dreamo_prep_close(with);
    return s ? report(p, &err) : 0;
}
