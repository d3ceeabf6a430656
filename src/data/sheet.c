/* sheet.c - contact sheets: what the trainer sees, for human eyes. */
#include <stdio.h>
#include <string.h>
#include "base/error.h"
#include "base/file.h"
#include "base/mem.h"
#include "data/sample.h"

#define GAP 4

typedef unsigned char byte;

/* A picture magnified into the sheet. */
static void put(bitmap *sheet, int left, int top, const byte *rgb, int width, int height, int zoom)
{
    for (int y = 0; y < height * zoom; y++)
        for (int x = 0; x < width * zoom; x++)
            memcpy(sheet->data + 3 * ((size_t)(top + y) * (size_t)sheet->width + (size_t)(left + x)),
                   rgb + 3 * ((size_t)(y / zoom) * (size_t)width + (size_t)(x / zoom)), 3);
}

/* The target, grey, with each mask in a colour of its own. */
static void lay_masks(const data_sample *s, byte *rgb)
{
    static const byte inks[4][3] = { { 255, 60, 60 }, { 60, 120, 255 }, { 60, 220, 90 }, { 250, 210, 40 } };
    size_t n = (size_t)s->width * (size_t)s->height;
    for (size_t i = 0; i < n; i++) {
        const byte *p = s->target.data + 3 * i;
        double grey = 0.25 * (0.30 * p[0] + 0.59 * p[1] + 0.11 * p[2]), left = 1, mix[3] = { 0 };
        for (int k = 0; k < DATA_MAX_REFS; k++) {
            const byte *mask = s->nrefs ? s->ref[k].mask : k ? NULL : s->subject_mask;
            if (!mask) continue;
            left -= mask[i] / 255.0;
            for (int c = 0; c < 3; c++) mix[c] += mask[i] / 255.0 * (0.35 * inks[k][c] + 0.65 * p[c]);
        }
        for (int c = 0; c < 3; c++) {
            double v = mix[c] + (left > 0 ? left : 0) * grey;
            rgb[3 * i + (size_t)c] = (byte)(v > 255 ? 255 : v);
        }
    }
}

static dreamo_status append_line(char **text, const char *line, dreamo_error *err)
{
    char *longer = mem_printf("%s%s\n", *text ? *text : "", line);
    if (!longer) return fail(err, DREAMO_MEMORY, "no memory for the captions of a contact sheet");
    mem_free(*text);
    *text = longer;
    return DREAMO_OK;
}

/* How many references a sample of the kind has at most. */
static int most_refs(data_kind kind)
{
    switch (kind) {
    case DATA_T2I: return 0;
    case DATA_SUBJECT: case DATA_ID: case DATA_STYLE: return 1;
    case DATA_SUBJECTS: case DATA_IDS: case DATA_ID_TRYON: return 3;
    default: return 2;
    }
}

dreamo_status data_sheet(const data_set *d, const data_params *params, const data_request *first, int count, int columns, int zoom,
                         bitmap *sheet, char **captions, dreamo_error *err)
{
    if (count < 1 || count > 4096 || columns < 1 || columns > 64 || zoom < 1 || zoom > 16)
        return fail(err, DREAMO_ARG, "contact sheet: %d samples in %d columns, %d times: allowed are 1..4096, 1..64, 1..16", count, columns, zoom);
    data_request q = *first;
    if (q.width < 16 || q.width > 1024 || q.height < 16 || q.height > 1024)
        return fail(err, DREAMO_ARG, "contact sheet: a picture of %d x %d is not in 16..1024", q.width, q.height);
    int side = q.ref_side ? q.ref_side : q.width < q.height ? q.width : q.height, refs = most_refs(q.kind);
    int cell_width = (refs * side + 2 * q.width) * zoom + GAP, cell_height = (q.height > side ? q.height : side) * zoom + GAP;
    dreamo_status status = bitmap_new(sheet, columns * cell_width + GAP, (count + columns - 1) / columns * cell_height + GAP, 3, err);
    if (status) return status;
    memset(sheet->data, 128, (size_t)sheet->width * (size_t)sheet->height * 3);
    char *text = NULL;
    byte *masks = mem_alloc((size_t)q.width * (size_t)q.height * 3);
    if (!masks) status = fail(err, DREAMO_MEMORY, "no memory for a contact sheet");
    for (int i = 0; i < count && !status; i++) {
        data_sample s;
        q.index = first->index + (uint64_t)i;
        if ((status = data_sample_make(d, params, &q, &s, err))) break;
        int left = GAP + i % columns * cell_width, top = GAP + i / columns * cell_height;
        for (int k = 0; k < s.nrefs; k++) put(sheet, left + k * side * zoom, top, s.ref[k].picture.data, side, side, zoom);
        left += refs * side * zoom;
        put(sheet, left, top, s.target.data, q.width, q.height, zoom);
        lay_masks(&s, masks);
        put(sheet, left + q.width * zoom, top, masks, q.width, q.height, zoom);
        if (captions) status = append_line(&text, *s.placed ? s.placed : s.caption, err);
        data_sample_free(&s);
    }
    mem_free(masks);
    if (captions && !status) *captions = text;
    else mem_free(text);
    if (status) bitmap_free(sheet);
    return status;
}

void dreamo_sheet_options_init(dreamo_sheet_options *o)
{
    *o = (dreamo_sheet_options){ .size = sizeof *o, .kind = "subject", .count = 24, .columns = 4, .side = 128, .zoom = 1 };
}

dreamo_status dreamo_dataset_show(const dreamo_sheet_options *o, dreamo_error *err)
{
    data_set *d;
    bitmap sheet = { 0 };
    char *captions = NULL, *beside = mem_printf("%s.txt", o->path);
    dreamo_status status = beside ? data_open(o->folder, &d, err) : fail(err, DREAMO_MEMORY, "%s: no memory", o->path);
    if (status) {
        mem_free(beside);
        return status;
    }
    data_request q = { .split = o->held_out ? DATA_VAL : DATA_TRAIN, .seed = o->seed, .width = o->side, .height = o->side };
    if (!data_kind_find(o->kind, &q.kind)) status = fail(err, DREAMO_ARG, "kind: \"%s\" is none of " DATA_KIND_NAMES, o->kind);
    if (!status) status = data_sheet(d, NULL, &q, o->count, o->columns, o->zoom, &sheet, &captions, err);
    if (!status) status = image_write_png(o->path, &sheet, NULL, 0, o->clobber, err);
    if (!status) status = file_replace(beside, captions, strlen(captions), err);
    bitmap_free(&sheet);
    mem_free(captions);
    mem_free(beside);
    data_close(d);
    return status;
}
