/* image_jpeg.c - JPEG through libjpeg-turbo: baseline and progressive, grey, YCbCr, RGB and Adobe's CMYK. */
#include <setjmp.h>
#include <stdio.h>
#include <string.h>
#include <jpeglib.h>
#include <jerror.h>
#include "base/file.h"
#include "base/mem.h"
#include "format/image_codec.h"

#define MAX_SCANS 64
#define MARKER_EXIF (JPEG_APP0 + 1)
#define MARKER_ICC (JPEG_APP0 + 2)

/* What both directions share; first in their jobs, so that libjpeg's pointer to its manager is a pointer to the job.  Everything lives in the
 * job: leaving libjpeg by longjmp loses nothing. */
typedef struct jpeg_job {
    struct jpeg_error_mgr manager;
    jmp_buf out;
    dreamo_error *err;
    const char *what;
    dreamo_status status;
    bool extra_bytes;          /* harmless ones before the end */
} jpeg_job;

static void on_error(j_common_ptr c)
{
    jpeg_job *job = (jpeg_job *)c->err;
    char text[JMSG_LENGTH_MAX];
    c->err->format_message(c, text);
    if (!job->status) job->status = fail(job->err, c->err->msg_code == JERR_OUT_OF_MEMORY ? DREAMO_MEMORY : DREAMO_FORMAT, "%s: broken JPEG: %s", job->what, text);
    longjmp(job->out, 1);
}

/* Warnings that say that pixels were lost are errors: better no picture than a half grey one. */
static void on_message(j_common_ptr c, int level)
{
    jpeg_job *job = (jpeg_job *)c->err;
    bool at_the_end = c->err->msg_code == JWRN_EXTRANEOUS_DATA && c->err->msg_parm.i[1] == JPEG_EOI;
    if (at_the_end) job->extra_bytes = true;
    else if (level < 0 && c->err->msg_code != JWRN_NOT_SEQUENTIAL && c->err->msg_code != JWRN_JFIF_MAJOR) on_error(c);
}

static void silent(j_common_ptr c) { (void)c; }

static void job_init(jpeg_job *job, const char *what, dreamo_error *err)
{
    *job = (jpeg_job){ .err = err, .what = what };
    jpeg_std_error(&job->manager);
    job->manager.error_exit = on_error;
    job->manager.emit_message = on_message;
    job->manager.output_message = silent;
}

/* Leave when a function of ours has failed. */
static void check(jpeg_job *job, dreamo_status s)
{
    job->status = s;
    if (s) longjmp(job->out, 1);
}

/* ---- reading ---- */

typedef struct decoding {
    jpeg_job job;
    struct jpeg_decompress_struct d;
    struct jpeg_progress_mgr progress;
    image_source *src;
    bitmap *out;
    unsigned char *row;        /* of CMYK */
} decoding;

/* A progressive file may repeat scans without end; each costs a pass over the whole picture. */
static void on_scan(j_common_ptr c)
{
    jpeg_job *job = (jpeg_job *)c->err;
    if (((j_decompress_ptr)c)->input_scan_number > MAX_SCANS) check(job, fail(job->err, DREAMO_LIMIT, "%s: more than %d scans", job->what, MAX_SCANS));
}

static void read_markers(j_decompress_ptr d, image_source *src)
{
    bool profile = false;
    for (jpeg_saved_marker_ptr m = d->marker_list; m; m = m->next) {
        if (m->marker == MARKER_EXIF && m->data_length > 6 && memcmp(m->data, "Exif\0\0", 6) == 0) image_read_exif(src, m->data + 6, m->data_length - 6);
        if (m->marker == MARKER_ICC && m->data_length >= 12 && memcmp(m->data, "ICC_PROFILE", 12) == 0) profile = true; /* in pieces */
    }
    if (profile) image_note(src, "its colour profile is ignored");
}

/* Adobe stores CMYK inverted: 255 is no ink. */
static void cmyk_to_rgb(const unsigned char *row, int width, unsigned char *rgb)
{
    for (int x = 0; x < width; x++)
        for (int c = 0; c < 3; c++) rgb[3 * x + c] = (unsigned char)((row[4 * x + c] * row[4 * x + 3] + 127) / 255);
}

/* libjpeg would multiply by a zero and show grey. */
static dreamo_status check_quantisation(j_decompress_ptr d, const char *what, dreamo_error *err)
{
    for (int t = 0; t < NUM_QUANT_TBLS; t++)
        for (int i = 0; i < DCTSIZE2 && d->quant_tbl_ptrs[t]; i++)
            if (d->quant_tbl_ptrs[t]->quantval[i] == 0) return fail(err, DREAMO_FORMAT, "%s: broken JPEG: quantisation table %d holds a zero", what, t);
    return DREAMO_OK;
}

static void decode(decoding *w)
{
    j_decompress_ptr d = &w->d;
    const char *what = w->src->what;
    jpeg_create_decompress(d);
    d->progress = &w->progress;
    jpeg_save_markers(d, MARKER_EXIF, 0xFFFF);
    jpeg_save_markers(d, MARKER_ICC, 12);
    jpeg_mem_src(d, w->src->data, (unsigned long)w->src->nbytes);
    jpeg_read_header(d, TRUE);
    check(&w->job, image_check_size(what, d->image_width, d->image_height, w->src->max_pixels, w->job.err));
    check(&w->job, check_quantisation(d, what, w->job.err));
    read_markers(d, w->src);
    bool cmyk = d->jpeg_color_space == JCS_CMYK || d->jpeg_color_space == JCS_YCCK;
    if (cmyk && !d->saw_Adobe_marker) check(&w->job, fail(w->job.err, DREAMO_FORMAT, "%s: is CMYK without Adobe's marker; convert it to RGB first", what));
    d->out_color_space = cmyk ? JCS_CMYK : JCS_RGB;
    jpeg_start_decompress(d);
    check(&w->job, bitmap_new(w->out, (int)d->output_width, (int)d->output_height, 3, w->job.err));
    w->row = cmyk ? mem_alloc((size_t)d->output_width * 4) : NULL;
    if (cmyk && !w->row) check(&w->job, fail(w->job.err, DREAMO_MEMORY, "%s: no memory to read it", what));
    while (d->output_scanline < d->output_height) {
        unsigned char *to = w->out->data + (size_t)d->output_scanline * (size_t)w->out->width * 3;
        JSAMPROW line = cmyk ? w->row : to;
        jpeg_read_scanlines(d, &line, 1);
        if (cmyk) cmyk_to_rgb(w->row, w->out->width, to);
    }
    jpeg_finish_decompress(d);
}

dreamo_status jpeg_decode(image_source *src, bitmap *out, dreamo_error *err)
{
    decoding *w = mem_calloc(1, sizeof *w);
    if (!w) return fail(err, DREAMO_MEMORY, "%s: no memory to read it", src->what);
    *w = (decoding){ .src = src, .out = out, .progress.progress_monitor = on_scan };
    job_init(&w->job, src->what, err);
    w->d.err = &w->job.manager;
    if (setjmp(w->job.out) == 0) decode(w);
    dreamo_status s = w->job.status;
    if (!s && w->job.extra_bytes) image_note(src, "bytes before its end are ignored");
    if (s) bitmap_free(out);
    jpeg_destroy_decompress(&w->d);
    mem_free(w->row);
    mem_free(w);
    return s;
}

/* ---- writing ---- */

typedef struct encoding {
    jpeg_job job;
    struct jpeg_compress_struct c;
    struct jpeg_destination_mgr to;
    image_sink *sink;
    unsigned char buffer[65536];
} encoding;

static void begin_buffer(j_compress_ptr c)
{
    encoding *w = (encoding *)c->err;
    w->to.next_output_byte = w->buffer;
    w->to.free_in_buffer = sizeof w->buffer;
}

static boolean on_full(j_compress_ptr c)
{
    encoding *w = (encoding *)c->err;
    check(&w->job, image_sink_put(w->sink, w->buffer, sizeof w->buffer, w->job.err));
    begin_buffer(c);
    return TRUE;
}

static void on_end(j_compress_ptr c)
{
    encoding *w = (encoding *)c->err;
    check(&w->job, image_sink_put(w->sink, w->buffer, sizeof w->buffer - w->to.free_in_buffer, w->job.err));
}

static void encode(encoding *w, const bitmap *b, int quality)
{
    j_compress_ptr c = &w->c;
    jpeg_create_compress(c);
    c->dest = &w->to;
    c->image_width = (JDIMENSION)b->width;
    c->image_height = (JDIMENSION)b->height;
    c->input_components = 3;
    c->in_color_space = JCS_RGB;
    jpeg_set_defaults(c);
    jpeg_set_quality(c, quality, TRUE);
    jpeg_start_compress(c, TRUE);
    while (c->next_scanline < c->image_height) {
        JSAMPROW line = b->data + (size_t)c->next_scanline * (size_t)b->width * 3;
        jpeg_write_scanlines(c, &line, 1);
    }
    jpeg_finish_compress(c);
}

dreamo_status jpeg_encode(const bitmap *b, const char *what, int quality, image_sink *to, dreamo_error *err)
{
    if (b->channels != 3) return fail(err, DREAMO_ARG, "%s: JPEG has no alpha; a PNG has", what);
    encoding *w = mem_calloc(1, sizeof *w);
    if (!w) return fail(err, DREAMO_MEMORY, "%s: no memory to write it", what);
    job_init(&w->job, what, err);
    w->c.err = &w->job.manager;
    w->sink = to;
    w->to = (struct jpeg_destination_mgr){ .init_destination = begin_buffer, .empty_output_buffer = on_full, .term_destination = on_end };
    if (setjmp(w->job.out) == 0) encode(w, b, quality);
    jpeg_destroy_compress(&w->c);
    dreamo_status s = w->job.status;
    mem_free(w);
    return s;
}

dreamo_status image_write_jpeg(const char *path, const bitmap *b, int quality, bool clobber, dreamo_error *err)
{
    filewriter w;
    image_sink to = { .file = &w };
    dreamo_status s = file_create(&w, path, clobber, err);
    if (s) return s;
    s = jpeg_encode(b, path, quality, &to, err);
    if (!s) return file_commit(&w, err);
    file_abort(&w);
    return s;
}
