/* sheet.c - contact sheets: what the trainer sees, for human eyes. */
#include <stdio.h>
#include <string.h>
#include "base/error.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/options.h"
#include "data/sample.h"

#define GAP 4

typedef unsigned char byte;

/* A picture magnified into the sheet, in the middle of a place of room x room_high pixels. */
static void put(bitmap *sheet, int left, int top, int room, int room_high, const byte *rgb, int width, int height, int zoom)
{
    left += (room - width) / 2 * zoom;
    top += (room_high - height) / 2 * zoom;
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

/* What a sample takes: its references' and its target's places, and whether there are masks to show. */
typedef struct room { int refs, ref_width, ref_height, width, height; bool masks; } room;

static int larger(int a, int b) { return a > b ? a : b; }

/* Pictures of one's own: what those of this sheet need. */
static dreamo_status measure(const data_set *d, const data_params *params, data_request q, int count, room *r, dreamo_error *err)
{
    dreamo_status status = DREAMO_OK;
    *r = (room){ 0 };
    for (int i = 0; i < count && !status; i++, q.index++) {
        data_sample s;
        if ((status = data_sample_make(d, params, &q, &s, err))) break;
        r->refs = larger(r->refs, s.nrefs);
        r->width = larger(r->width, s.width);
        r->height = larger(r->height, s.height);
        for (int k = 0; k < s.nrefs; k++) {
            r->ref_width = larger(r->ref_width, s.ref[k].picture.width);
            r->ref_height = larger(r->ref_height, s.ref[k].picture.height);
            r->masks |= s.ref[k].mask != NULL;
        }
        data_sample_free(&s);
    }
    return status;
}

dreamo_status data_sheet(const data_set *d, const data_params *params, const data_request *first, int count, int columns, int zoom,
                         bitmap *sheet, char **captions, dreamo_error *err)
{
    if (count < 1 || count > 4096 || columns < 1 || columns > 64 || zoom < 1 || zoom > 16)
        return fail(err, DREAMO_ARG, "contact sheet: %d samples in %d columns, %d times: allowed are 1..4096, 1..64, 1..16", count, columns, zoom);
    data_request q = *first;
    bool free_shapes = !q.height;
    int most = free_shapes ? q.width : q.width > q.height ? q.width : q.height, least = free_shapes || q.width < q.height ? q.width : q.height;
    if (least < 16 || most > 1024) return fail(err, DREAMO_ARG, "contact sheet: a picture of %d x %d is not in 16..1024", q.width, q.height);
    int side = q.ref_side ? q.ref_side : least;
    room r = { data_most_refs(d, q.kind), side, side, q.width, q.height, true };
    dreamo_status status = free_shapes ? measure(d, params, q, count, &r, err) : DREAMO_OK;
    if (status) return status;
    int cell_width = (r.refs * r.ref_width + (r.masks ? 2 : 1) * r.width) * zoom + GAP, cell_height = larger(r.height, r.ref_height) * zoom + GAP;
    status = bitmap_new(sheet, columns * cell_width + GAP, (count + columns - 1) / columns * cell_height + GAP, 3, err);
    if (status) return status;
    memset(sheet->data, 128, (size_t)sheet->width * (size_t)sheet->height * 3);
    char *text = NULL;
    byte *masks = mem_alloc((size_t)r.width * (size_t)r.height * 3);
    if (!masks) status = fail(err, DREAMO_MEMORY, "no memory for a contact sheet");
    for (int i = 0; i < count && !status; i++) {
        data_sample s;
        q.index = first->index + (uint64_t)i;
        if ((status = data_sample_make(d, params, &q, &s, err))) break;
        int left = GAP + i % columns * cell_width, top = GAP + i / columns * cell_height;
        for (int k = 0; k < s.nrefs; k++)
            put(sheet, left + k * r.ref_width * zoom, top, r.ref_width, r.ref_height, s.ref[k].picture.data, s.ref[k].picture.width, s.ref[k].picture.height, zoom);
        left += r.refs * r.ref_width * zoom;
        put(sheet, left, top, r.width, r.height, s.target.data, s.width, s.height, zoom);
        if (r.masks) {
            lay_masks(&s, masks);
            put(sheet, left + r.width * zoom, top, r.width, r.height, masks, s.width, s.height, zoom);
        }
        if (captions) status = append_line(&text, *s.placed ? s.placed : s.caption, err);
        data_sample_free(&s);
    }
    mem_free(masks);
    if (captions && !status) *captions = text;
    else mem_free(text);
    if (status) bitmap_free(sheet);
    return status;
}

void dreamo_sheet_options_init_sized(dreamo_sheet_options *o, size_t nbytes)
{
    const dreamo_sheet_options usual = { .size = sizeof usual, .kind = "subject", .count = 24, .columns = 4, .side = 128, .zoom = 1 };
    options_give(o, nbytes, &usual, sizeof usual);
}

dreamo_status dreamo_dataset_show(const dreamo_sheet_options *given, dreamo_error *err)
{
    data_set *d;
    bitmap sheet = { 0 };
    dreamo_sheet_options own, *o = &own;
    dreamo_sheet_options_init(o);
    dreamo_status status = options_take(o, sizeof own, given, err);
    if (status) return status;
    if (!o->kind) return fail(err, DREAMO_ARG, "dataset show: the kind is missing");
    if (!o->folder || !o->path) return fail(err, DREAMO_ARG, "dataset show: the %s is missing", o->folder ? "name of the sheet" : "data folder");
    char *captions = NULL, *beside = mem_printf("%s.txt", o->path);
    status = beside ? data_open(o->folder, &d, err) : fail(err, DREAMO_MEMORY, "%s: no memory", o->path);
    if (status) {
        mem_free(beside);
        return status;
    }
    data_request q = { .split = o->held_out ? DATA_VAL : DATA_TRAIN, .seed = o->seed, .width = o->side, .height = o->side };
    if (data_given(d)) q.height = 0; /* as they are */
    if (!data_kind_find(o->kind, &q.kind)) status = fail(err, DREAMO_ARG, "kind: \"%s\" is none of " DATA_KIND_NAMES " any", o->kind);
    if (!status) status = data_sheet(d, NULL, &q, o->count, o->columns, o->zoom, &sheet, &captions, err);
    if (!status) status = image_write_png(o->path, &sheet, NULL, 0, o->clobber, err);
    if (!status) status = file_replace(beside, captions, strlen(captions), err);
    bitmap_free(&sheet);
    mem_free(captions);
    mem_free(beside);
    data_close(d);
    return status;
}
