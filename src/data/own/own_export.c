/* own_export.c - dreamo_dataset_export: composed samples, or given ones, as a manifest and its pictures. */
#include <stdio.h>
#include <string.h>
#include "base/options.h"
#include "base/progress.h"
#include "base/report.h"
#include "data/own/own.h"
#include "data/own/own_write.h"

typedef struct exporting {
    const dreamo_export_options *o;
    data_set *from;
    own_writer to;
    progress pace;
    reporter told;
    int done;
} exporting;

void dreamo_export_options_init_sized(dreamo_export_options *o, size_t nbytes)
{
    const dreamo_export_options usual = { .kinds = "subject", .seed = 1, .count = 24, .width = 128, .height = 128 };
    options_give(o, nbytes, &usual, sizeof usual);
}

/* The next name of a list; false: none is left. */
static bool next_kind(const char **at, char name[32])
{
    *at += strspn(*at, " ,\t\n");
    int n = (int)strcspn(*at, " ,\t\n");
    snprintf(name, 32, "%.*s", n, *at);
    *at += n;
    return n > 0;
}

static dreamo_status export_one(exporting *x, data_kind kind, int i, dreamo_error *err)
{
    const dreamo_export_options *o = x->o;
    data_sample s = { 0 };
    data_request q = { kind, o->held_out ? DATA_VAL : DATA_TRAIN, o->seed, (uint64_t)i, o->width, o->height, o->ref_side };
    char name[64];
    snprintf(name, sizeof name, "%s-%06d", data_kind_name(kind), i);
    dreamo_status status = data_sample_make(x->from, NULL, &q, &s, err);
    if (!status)
        status = own_write_sample(&x->to, &s, &(own_written){ .name = name, .words = o->placed && *s.placed ? s.placed : s.caption, .target = &s.target,
                                                              .rejected = s.rejected.data ? &s.rejected : NULL, .masks = true, .split = q.split }, err);
    data_sample_free(&s);
    progress_step(&x->pace, ++x->done);
    return status ? status : report_step(&x->told, &x->pace, err);
}

static dreamo_status export_kinds(exporting *x, bool check, dreamo_error *err)
{
    dreamo_status s = DREAMO_OK;
    char name[32];
    data_kind kind;
    int kinds = 0;
    for (const char *at = x->o->kinds; !s && next_kind(&at, name); kinds++) {
        if (!data_kind_find(name, &kind) || kind == DATA_ANY) s = fail(err, DREAMO_ARG, "kinds: \"%s\" is none of " DATA_KIND_NAMES, name);
        else if (!data_can(x->from, kind, x->o->held_out ? DATA_VAL : DATA_TRAIN))
            s = fail(err, DREAMO_CONTENT, "%s: has nothing %s to make \"%s\" samples of", x->o->data, x->o->held_out ? "held out" : "to train on", name);
        for (int i = 0; !check && !s && i < x->o->count; i++) s = export_one(x, kind, i, err);
    }
    if (!s && !kinds) s = fail(err, DREAMO_ARG, "kinds: \"%s\" names none", x->o->kinds);
    if (!s && check) progress_start(&x->pace, kinds * x->o->count);
    return s;
}

dreamo_status dreamo_dataset_export(const dreamo_export_options *given, dreamo_error *err)
{
    dreamo_export_options own;
    exporting x = { .o = &own };
    dreamo_export_options_init(&own);
    dreamo_status s = options_take(&own, sizeof own, given, err);
    if (!s && (!own.data || !own.out)) s = fail(err, DREAMO_ARG, "dataset export: the %s is missing", own.data ? "folder to be written" : "data folder");
    if (!s && (own.count < 1 || own.count > 999999)) s = fail(err, DREAMO_ARG, "count %d: allowed is 1 to 999999", own.count);
    if (!own.kinds) own.kinds = "subject";
    x.told = (reporter){ own.progress, own.user };
    if (!s) s = data_open(own.data, &x.from, err);
    if (!s) s = export_kinds(&x, true, err);
    if (!s) s = own_write_open(&x.to, own.out, err);
    if (!s) s = export_kinds(&x, false, err);
    if (!s) s = own_write_finish(&x.to, err);
    own_write_close(&x.to);
    data_close(x.from);
    return s;
}
