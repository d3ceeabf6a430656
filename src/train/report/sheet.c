/* sheet.c - contact sheets. */
#include "train/report/sheet.h"

#include <string.h>

#include "base/mem.h"

enum { ZOOM = 2 };

/* One row: the sample, where it stands, and what it is asked with. */
typedef struct sheet_row { data_kind kind; data_sample sample; } sheet_row;

typedef struct sheet_job {
    stage *s;
    dreamo_model *m;
    sheet_row *row;
    sheet_wishes w;
    data_split split;           /* what is held out; a set that holds nothing out shows what it is trained on */
    int rows, refs;             /* refs: most of any row */
    int width, height;          /* of a cell */
    bitmap out;
} sheet_job;

static void paste(sheet_job *j, const unsigned char *rgb, int w, int h, int row, int column)
{
    bitmap *sheet = &j->out;
    for (int y = 0; y < h * ZOOM; y++)
        for (int x = 0; x < w * ZOOM; x++) {
            size_t to = (size_t)(row * j->height * ZOOM + y) * (size_t)sheet->width + (size_t)(column * j->width * ZOOM + x);
            memcpy(sheet->data + to * 3, rgb + ((size_t)(y / ZOOM) * (size_t)w + (size_t)(x / ZOOM)) * 3, 3);
        }
}

/* ---- which samples ---- */

static dreamo_status compose_row(void *arg, int i, dreamo_error *err)
{
    const sheet_job *j = arg;
    const recipe *r = j->s->r;
    sheet_row *row = &j->row[i];
    int before = 0; /* rows of this kind above */
    for (int k = 0; k < i; k++) before += j->row[k].kind == row->kind;
    const mixture_part *size = &r->pictures.part[i % r->pictures.n];
    mixture sides = mixture_for(&r->ref_sides, (int)row->kind);
    data_request q = { row->kind, j->split, (uint64_t)r->seed, (uint64_t)before, size->a, size->b, sides.part[i % sides.n].a };
    return data_sample_make(j->s->data, NULL, &q, &row->sample, err);
}

static int which_can(sheet_job *j, const mixture *kinds, data_split split, data_kind *can)
{
    int n = 0;
    j->split = split;
    for (int i = 0; i < kinds->n; i++)
        if (data_can(j->s->data, (data_kind)kinds->part[i].a, split)) can[n++] = (data_kind)kinds->part[i].a;
    return n;
}

static dreamo_status compose_rows(sheet_job *j, const mixture *kinds, dreamo_error *err)
{
    data_kind can[MIXTURE_MAX];
    int n = which_can(j, kinds, DATA_VAL, can), rows = (int)j->s->r->samples;
    if (!n) n = which_can(j, kinds, DATA_TRAIN, can);
    if (!n) return fail(err, DREAMO_CONTENT, "the dataset has nothing to draw a sheet of");
    j->rows = rows < n ? n : rows;
    j->row = mem_calloc((size_t)j->rows, sizeof *j->row);
    if (!j->row) return fail(err, DREAMO_MEMORY, "no memory for a sheet");
    for (int i = 0; i < j->rows; i++) j->row[i].kind = can[(size_t)i * (size_t)n / (size_t)j->rows];
    dreamo_status status = stage_each(j->s, j->rows, compose_row, j, err);
    for (int i = 0; i < j->rows && !status; i++) {
        const data_sample *s = &j->row[i].sample;
        if (s->width > j->width) j->width = s->width;
        if (s->height > j->height) j->height = s->height;
        if (j->w.references && s->nrefs > j->refs) j->refs = s->nrefs;
        for (int k = 0; j->w.references && k < s->nrefs; k++) {
            if (s->ref[k].picture.width > j->width) j->width = s->ref[k].picture.width;
            if (s->ref[k].picture.height > j->height) j->height = s->ref[k].picture.height;
        }
    }
    return status;
}

/* ---- what becomes of them ---- */

static dreamo_status make_row(sheet_job *j, int row, dreamo_error *err)
{
    static const dreamo_task tasks[] = { [DATA_IP] = DREAMO_IP, [DATA_FACE] = DREAMO_ID, [DATA_LOOK] = DREAMO_STYLE };
    const data_sample *sample = &j->row[row].sample;
    dreamo_image picture[DATA_MAX_REFS] = { { 0 } };
    dreamo_reference ref[DATA_MAX_REFS] = { { 0 } };
    dreamo_request q;
    dreamo_status s = DREAMO_OK;
    dreamo_request_init(&q);
    q.prompt = sample->caption;
    q.width = sample->width;
    q.height = sample->height;
    q.refs = ref;
    for (int k = 0; j->w.references && k < sample->nrefs; k++) {
        const data_ref *from = &sample->ref[k];
        picture[k] = (dreamo_image){ .width = from->picture.width, .height = from->picture.height, .rgb = from->picture.data };
        ref[k] = (dreamo_reference){ .task = tasks[from->task], .image = &picture[k], .slot = from->slot, .res = -1, .cut = DREAMO_CUT_OFF };
        q.nrefs++;
        paste(j, from->picture.data, from->picture.width, from->picture.height, row, k);
    }
    paste(j, sample->target.data, sample->width, sample->height, row, j->refs);
    for (int k = 0; k < j->w.seeds && !s; k++) {
        dreamo_image made = { 0 };
        q.seed = (uint64_t)k + 1;
        s = dreamo_generate(j->m, &q, &made, err);
        if (!s) paste(j, made.rgb, made.width, made.height, row, j->refs + 1 + k);
        dreamo_image_free(&made);
    }
    return s;
}

dreamo_status sheet_generated(stage *s, const char *model, const char *path, const mixture *kinds, sheet_wishes w, dreamo_error *err)
{
    sheet_job j = { .s = s, .w = w };
    dreamo_model_options o;
    dreamo_model_options_init(&o);
    o.dir = model;
    o.backend = backend_for_pictures(s->dev->be->name);
    o.threads = pool_threads(s->dev->threads);
    if (w.frozen) {
        o.dit = s->n.from[PART_DIT];
        o.t5 = s->n.from[PART_T5];
        o.clip = s->n.from[PART_CLIP];
    }
    o.vae = s->n.from[PART_VAE]; /* only its own stage trains it, which draws other sheets */
    dreamo_status status = compose_rows(&j, kinds, err);
    if (!status) status = dreamo_open(&o, &j.m, err);
    if (!status) status = bitmap_new(&j.out, (j.refs + 1 + w.seeds) * j.width * ZOOM, j.rows * j.height * ZOOM, 3, err);
    if (!status) memset(j.out.data, 255, (size_t)j.out.width * (size_t)j.out.height * 3);
    for (int row = 0; row < j.rows && !status; row++) status = make_row(&j, row, err);
    if (!status) status = image_write_png(path, &j.out, NULL, 0, true, err);
    for (int row = 0; row < j.rows && j.row; row++) data_sample_free(&j.row[row].sample);
    mem_free(j.row);
    bitmap_free(&j.out);
    dreamo_close(j.m);
    return status;
}
