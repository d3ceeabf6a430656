/* sheet.c - contact sheets: what the trainer sees, for human eyes. */
#include <stdio.h>
#include <string.h>
#include "base/error.h"
#include "base/file.h"
#include "base/mem.h"
#include "data/sample.h"

#define GAP 4

typedef unsigned char byte;

/* A square picture (channels 3, or 1 for a mask) magnified into the sheet. */
static void put(bitmap *sheet, int left, int top, const byte *from, int channels, int size, int zoom)
{
    for (int y = 0; y < size * zoom; y++)
        for (int x = 0; x < size * zoom; x++)
            for (int k = 0; k < 3; k++)
                sheet->data[3 * ((size_t)(top + y) * (size_t)sheet->width + (size_t)(left + x)) + (size_t)k] =
                    from[(size_t)channels * ((size_t)(y / zoom) * (size_t)size + (size_t)(x / zoom)) + (size_t)(channels == 3 ? k : 0)];
}

static dreamo_status append_line(char **text, const char *line, dreamo_error *err)
{
    char *longer = mem_printf("%s%s\n", *text ? *text : "", line);
    if (!longer) return fail(err, DREAMO_MEMORY, "no memory for the captions of a contact sheet");
    mem_free(*text);
    *text = longer;
    return DREAMO_OK;
}

dreamo_status data_sheet(const data_set *d, const data_params *params, data_kind kind, data_split split, uint64_t seed,
                         int count, int columns, int size, int zoom, bitmap *sheet, char **captions, dreamo_error *err)
{
    if (count < 1 || count > 4096 || columns < 1 || columns > 64 || zoom < 1 || zoom > 16)
        return fail(err, DREAMO_ARG, "contact sheet: %d samples in %d columns, %d times: allowed are 1..4096, 1..64, 1..16", count, columns, zoom);
    if (size < 16 || size > 1024) return fail(err, DREAMO_ARG, "contact sheet: a side of %d is not in 16..1024", size);
    int each = size * zoom, panels = kind == DATA_SUBJECT ? 3 : 2, rows = (count + columns - 1) / columns;
    int cell_width = panels * each + GAP, cell_height = each + GAP;
    dreamo_status status = bitmap_new(sheet, columns * cell_width + GAP, rows * cell_height + GAP, 3, err);
    if (status) return status;
    memset(sheet->data, 128, (size_t)sheet->width * (size_t)sheet->height * 3);
    char *text = NULL;
    for (int i = 0; i < count && !status; i++) {
        data_sample s;
        if ((status = data_sample_make(d, params, kind, split, seed, (uint64_t)i, size, &s, err))) break;
        int left = GAP + i % columns * cell_width, top = GAP + i / columns * cell_height;
        const byte *mask = s.nrefs ? s.mask[0] : s.subject_mask;
        if (s.nrefs) put(sheet, left, top, s.ref[0].data, 3, size, zoom), left += each;
        put(sheet, left, top, s.target.data, 3, size, zoom);
        if (mask) put(sheet, left + each, top, mask, 1, size, zoom);
        if (captions) status = append_line(&text, s.caption, err);
        data_sample_free(&s);
    }
    if (captions && !status) *captions = text;
    else mem_free(text);
    if (status) bitmap_free(sheet);
    return status;
}

void dreamo_sheet_options_init(dreamo_sheet_options *o)
{
    *o = (dreamo_sheet_options){ .size = sizeof *o, .count = 24, .columns = 4, .side = 64, .zoom = 2 };
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
    status = data_sheet(d, NULL, o->text_only ? DATA_T2I : DATA_SUBJECT, o->held_out ? DATA_VAL : DATA_TRAIN, o->seed, o->count,
                        o->columns, o->side, o->zoom, &sheet, &captions, err);
    if (!status) status = image_write_png(o->path, &sheet, NULL, 0, o->clobber, err);
    if (!status) status = file_replace(beside, captions, strlen(captions), err);
    bitmap_free(&sheet);
    mem_free(captions);
    mem_free(beside);
    data_close(d);
    return status;
}
