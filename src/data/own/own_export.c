/* own_export.c - dreamo_dataset_export: composed samples, or given ones, as a manifest and its pictures. */
#include <stdio.h>
#include "base/options.h"
#include "base/progress.h"
#include "base/report.h"
#include "data/own/own.h"
#include "data/own/own_write.h"

typedef struct exporting {
    const dreamo_export_options *o;
    data_kind kind[DATA_KINDS];
    int nkinds;
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

static dreamo_status check_kinds(const exporting *x, dreamo_error *err)
{
    const dreamo_export_options *o = x->o;
    for (int k = 0; k < x->nkinds; k++)
        if (!data_can(x->from, x->kind[k], o->held_out ? DATA_VAL : DATA_TRAIN))
            return fail(err, DREAMO_CONTENT, "%s: has nothing %s to make \"%s\" samples of", o->data, o->held_out ? "held out" : "to train on", data_kind_name(x->kind[k]));
    return DREAMO_OK;
}

static dreamo_status export_kinds(exporting *x, dreamo_error *err)
{
    dreamo_status s = DREAMO_OK;
    progress_start(&x->pace, x->nkinds * x->o->count);
    for (int k = 0; k < x->nkinds; k++)
        for (int i = 0; !s && i < x->o->count; i++) s = export_one(x, x->kind[k], i, err);
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
    x.told = (reporter){ own.progress, own.user };
    if (!s) s = data_kind_list(own.kinds ? own.kinds : "subject", x.kind, &x.nkinds, err);
    if (!s) s = data_open(own.data, &x.from, err);
    if (!s) s = check_kinds(&x, err);
    if (!s) s = own_write_open(&x.to, own.out, err);
    if (!s) s = export_kinds(&x, err);
    if (!s) s = own_write_finish(&x.to, err);
    own_write_close(&x.to);
    data_close(x.from);
    return s;
}
