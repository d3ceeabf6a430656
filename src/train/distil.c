/* distil.c - a dataset of the model's own pictures: what the frozen base makes of a dataset's captions, without references and adapter.
 *
 * Stage 3 of DreamO's training takes them as targets, so that the adapter goes back to the base's own manner (training spec 1.3).  The
 * folder holds 000000.png with 000000.txt beside it, a dataset like any of one's own; what is there already is not made again. */
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/options.h"
#include "base/progress.h"
#include "base/report.h"
#include "data/sample.h"
#include "format/image_file.h"
#include "train/mixture.h"

enum { DISTIL_STREAM = 0x64697374 };

typedef struct distil_job {
    const dreamo_distil_options *o;
    mixture kinds, sizes;
    data_set *data;
    dreamo_model *m;
} distil_job;

void dreamo_distil_options_init_sized(dreamo_distil_options *o, size_t nbytes)
{
    const dreamo_distil_options usual = { .size = sizeof usual, .kinds = "t2i", .pictures = "128x128", .seed = 1, .count = 1000 };
    options_give(o, nbytes, &usual, sizeof usual);
}

static dreamo_status check(const dreamo_distil_options *o, dreamo_error *err)
{
    if (!o->model || !o->data || !o->out) return fail(err, DREAMO_ARG, "distilling needs a model, a dataset and a folder to write into");
    if (o->count < 1) return fail(err, DREAMO_ARG, "%d pictures: at least 1", o->count);
    return DREAMO_OK;
}

static dreamo_status begin(distil_job *j, dreamo_error *err)
{
    const dreamo_distil_options *o = j->o;
    dreamo_model_options m;
    dreamo_status s = mixture_read(&j->kinds, MIXTURE_KINDS, "distil", "kinds", o->kinds, err);
    if (!s && !j->kinds.n) s = fail(err, DREAMO_ARG, "distil: kinds = %s: must name some", o->kinds);
    if (!s) s = mixture_read(&j->sizes, MIXTURE_SIZES, "distil", "pictures", o->pictures, err);
    for (int i = 0; i < j->sizes.n && !s; i++)
        if (!j->sizes.part[i].b) s = fail(err, DREAMO_ARG, "distil: pictures = %s: sizes must be told", o->pictures);
    if (!s) s = folder_make(o->out, err);
    if (!s) s = data_open(o->data, &j->data, err);
    dreamo_model_options_init(&m);
    m.dir = o->model;
    m.dit = o->dit;
    m.t5 = o->t5;
    m.clip = o->clip;
    m.vae = o->vae;
    m.no_default_lora = true;
    m.threads = o->threads;
    m.backend = o->backend;
    return s ? s : dreamo_open(&m, &j->m, err);
}

/* Picture i and its caption, the caption first: a picture that is there has one. */
static dreamo_status make_one(distil_job *j, int i, dreamo_error *err)
{
    const dreamo_distil_options *o = j->o;
    char words[2048];
    rng r = rng_new(o->seed ^ DISTIL_STREAM, (uint64_t)i);
    const mixture_part *size = mixture_draw(&j->sizes, &r);
    data_request q = { (data_kind)mixture_draw(&j->kinds, &r)->a, DATA_TRAIN, o->seed ^ DISTIL_STREAM, (uint64_t)i, size->a, size->b, 0 };
    char *text = mem_printf("%s/%06d.txt", o->out, i), *path = mem_printf("%s/%06d.png", o->out, i);
    dreamo_image made = { 0 };
    dreamo_status s = text && path ? DREAMO_OK : fail(err, DREAMO_MEMORY, "%s: no memory", o->out);
    if (!s && file_exists(text) && file_exists(path)) goto done;
    if (!s) s = data_sample_words(j->data, &q, words, sizeof words, err);
    dreamo_request g;
    dreamo_request_init(&g);
    g.prompt = words;
    g.width = size->a;
    g.height = size->b;
    g.seed = o->seed + (uint64_t)i;
    if (!s) s = dreamo_generate(j->m, &g, &made, err);
    if (!s) s = file_replace(text, words, strlen(words), err);
    bitmap b = { .width = made.width, .height = made.height, .channels = 3, .data = made.rgb };
    if (!s) s = image_write_png(path, &b, NULL, 0, true, err);
done:
    dreamo_image_free(&made);
    mem_free(text);
    mem_free(path);
    return s;
}

dreamo_status dreamo_dataset_distil(const dreamo_distil_options *given, dreamo_error *err)
{
    dreamo_distil_options own;
    const dreamo_distil_options *o = &own;
    distil_job j = { .o = o };
    dreamo_distil_options_init(&own);
    dreamo_status s = options_take(&own, sizeof own, given, err);
    if (!s) s = check(o, err);
    if (!s) s = begin(&j, err);
    progress p;
    reporter to = { s ? NULL : o->progress, s ? NULL : o->user };
    progress_start(&p, s ? 1 : o->count);
    for (int i = 0; !s && i < o->count; i++) {
        s = make_one(&j, i, err);
        progress_step(&p, i + 1);
        if (!s) s = report_step(&to, &p, err);
    }
    dreamo_close(j.m);
    data_close(j.data);
    return s;
}
