/* sheet.c - contact sheets. */
#include "train/report/sheet.h"

#include <string.h>

#include "base/mem.h"

enum { ZOOM = 2 };

static void paste(bitmap *sheet, const unsigned char *rgb, int side, int row, int column)
{
    for (int y = 0; y < side * ZOOM; y++)
        for (int x = 0; x < side * ZOOM; x++) {
            size_t to = (size_t)(row * side * ZOOM + y) * (size_t)sheet->width + (size_t)(column * side * ZOOM + x);
            memcpy(sheet->data + to * 3, rgb + ((size_t)(y / ZOOM) * (size_t)side + (size_t)(x / ZOOM)) * 3, 3);
        }
}

typedef struct sheet_job { stage *s; dreamo_model *m; bitmap out; data_kind kind; bool references; int seeds, side; } sheet_job;

static dreamo_status make_row(sheet_job *j, int row, dreamo_error *err)
{
    data_sample sample = { 0 };
    int column = 0;
    data_request wanted = { j->kind, DATA_VAL, (uint64_t)j->s->r->seed, (uint64_t)row, j->side, j->side, 0 };
    dreamo_status s = data_sample_make(j->s->data, NULL, &wanted, &sample, err);
    dreamo_image picture = { .width = j->side, .height = j->side, .rgb = sample.ref[0].picture.data };
    dreamo_reference ref = { .task = DREAMO_IP, .image = &picture, .slot = 1, .res = -1, .no_cut = true };
    dreamo_request q;
    dreamo_request_init(&q);
    q.prompt = sample.caption;
    q.width = q.height = j->side;
    if (j->references && sample.nrefs) {
        q.refs = &ref;
        q.nrefs = 1;
        paste(&j->out, sample.ref[0].picture.data, j->side, row, column);
    }
    column += j->references;
    if (!s) paste(&j->out, sample.target.data, j->side, row, column++);
    for (int k = 0; k < j->seeds && !s; k++) {
        dreamo_image made = { 0 };
        q.seed = (uint64_t)k + 1;
        s = dreamo_generate(j->m, &q, &made, err);
        if (!s) paste(&j->out, made.rgb, j->side, row, column++);
        dreamo_image_free(&made);
    }
    data_sample_free(&sample);
    return s;
}

dreamo_status sheet_generated(stage *s, const char *model, const char *path, data_kind kind, bool references, int seeds,
                              dreamo_error *err)
{
    sheet_job j = { .s = s, .kind = kind, .references = references, .seeds = seeds, .side = (int)s->r->picture };
    int rows = (int)s->r->samples, columns = seeds + 1 + references;
    dreamo_model_options o;
    dreamo_model_options_init(&o);
    o.dir = model;
    o.backend = s->dev->be->name;
    o.threads = pool_threads(s->dev->threads);
    dreamo_status status = dreamo_open(&o, &j.m, err);
    if (!status) status = bitmap_new(&j.out, columns * j.side * ZOOM, rows * j.side * ZOOM, 3, err);
    for (int row = 0; row < rows && !status; row++) status = make_row(&j, row, err);
    if (!status) status = image_write_png(path, &j.out, NULL, 0, true, err);
    bitmap_free(&j.out);
    dreamo_close(j.m);
    return status;
}
