/* image_jpeg.c - JPEG through libjpeg-turbo: baseline and progressive, grey, YCbCr and CMYK. */
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <jpeglib.h>
#include "base/file.h"
#include "base/mem.h"
#include "format/image_codec.h"

#define MAX_SCANS 64
#define MARKER_EXIF (JPEG_APP0 + 1)
#define MARKER_ICC (JPEG_APP0 + 2)

typedef struct jpeg_job {
    struct jpeg_error_mgr manager; /* first: libjpeg hands back its address */
    jmp_buf out;
    dreamo_error *err;
    const char *what;
    dreamo_status status;
} jpeg_job;

static void on_error(j_common_ptr c)
{
    jpeg_job *job = (jpeg_job *)c->err;
    char text[JMSG_LENGTH_MAX];
    if (!job->status) {
        c->err->format_message(c, text);
        job->status = fail(job->err, c->err->msg_code == 56 ? DREAMO_MEMORY : DREAMO_FORMAT, "%s: broken JPEG: %s", job->what, text);
    }
    longjmp(job->out, 1);
}

/* A warning means that data was damaged or cut short: refuse it, do not show grey. */
static void on_message(j_common_ptr c, int level)
{
    if (level < 0) on_error(c);
}

static void on_scan(j_common_ptr c)
{
    jpeg_job *job = (jpeg_job *)c->err;
    if (((j_decompress_ptr)c)->input_scan_number <= MAX_SCANS) return;
    job->status = fail(job->err, DREAMO_LIMIT, "%s: more than %d scans", job->what, MAX_SCANS);
    longjmp(job->out, 1);
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

static void read_markers(j_decompress_ptr d, image_source *src)
{
    for (jpeg_saved_marker_ptr m = d->marker_list; m; m = m->next) {
        if (m->marker == MARKER_EXIF && m->data_length > 6 && memcmp(m->data, "Exif\0\0", 6) == 0)
            src->orientation = image_exif_orientation(m->data + 6, m->data_length - 6);
        if (m->marker == MARKER_ICC && m->data_length > 12 && memcmp(m->data, "ICC_PROFILE", 12) == 0) image_note(src, "its colour profile is ignored");
    }
}

/* Adobe stores CMYK inverted: 255 is no ink. */
static void cmyk_to_rgb(const unsigned char *row, int width, unsigned char *rgb)
{
    for (int x = 0; x < width; x++)
        for (int c = 0; c < 3; c++) rgb[3 * x + c] = (unsigned char)((row[4 * x + c] * row[4 * x + 3] + 127) / 255);
}

static void read_rows(j_decompress_ptr d, bitmap *out, unsigned char *row)
{
    while (d->output_scanline < d->output_height) {
        unsigned char *to = out->data + (size_t)d->output_scanline * (size_t)out->width * 3;
        JSAMPROW line = row ? row : to;
        jpeg_read_scanlines(d, &line, 1);
        if (row) cmyk_to_rgb(row, out->width, to);
    }
}

dreamo_status jpeg_decode(image_source *src, bitmap *out, dreamo_error *err)
{
    jpeg_job job;
    struct jpeg_decompress_struct d;
    struct jpeg_progress_mgr progress = { .progress_monitor = on_scan };
    unsigned char *volatile row = NULL;
    job_init(&job, src->what, err);
    d.err = &job.manager;
    if (setjmp(job.out)) {
        jpeg_destroy_decompress(&d);
        mem_free(row);
        bitmap_free(out);
        return job.status;
    }
    jpeg_create_decompress(&d);
    d.progress = &progress;
    jpeg_save_markers(&d, MARKER_EXIF, 0xFFFF);
    jpeg_save_markers(&d, MARKER_ICC, 64);
    jpeg_mem_src(&d, src->data, (unsigned long)src->nbytes);
    jpeg_read_header(&d, TRUE);
    job.status = image_check_size(src->what, d.image_width, d.image_height, err);
    if (job.status) longjmp(job.out, 1);
    read_markers(&d, src);
    bool cmyk = d.jpeg_color_space == JCS_CMYK || d.jpeg_color_space == JCS_YCCK;
    if (cmyk && !d.saw_Adobe_marker) {
        job.status = fail(err, DREAMO_FORMAT, "%s: CMYK without Adobe's marker; convert it to RGB first", src->what);
        longjmp(job.out, 1);
    }
    d.out_color_space = cmyk ? JCS_CMYK : JCS_RGB;
    jpeg_start_decompress(&d);
    job.status = bitmap_new(out, (int)d.output_width, (int)d.output_height, 3, err);
    if (!job.status && cmyk && !(row = mem_alloc((size_t)out->width * 4))) job.status = fail(err, DREAMO_MEMORY, "%s: no memory", src->what);
    if (job.status) longjmp(job.out, 1);
    read_rows(&d, out, row);
    jpeg_finish_decompress(&d);
    jpeg_destroy_decompress(&d);
    mem_free(row);
    return DREAMO_OK;
}

dreamo_status image_write_jpeg(const char *path, const bitmap *b, int quality, bool clobber, dreamo_error *err)
{
    jpeg_job job;
    filewriter w;
    struct jpeg_compress_struct c;
    unsigned char *data = NULL; /* libjpeg's own malloc */
    unsigned long nbytes = 0;
    if (b->channels != 3) return fail(err, DREAMO_ARG, "%s: JPEG has no alpha", path);
    job_init(&job, path, err);
    c.err = &job.manager;
    if (setjmp(job.out)) {
        jpeg_destroy_compress(&c);
        return job.status;
    }
    jpeg_create_compress(&c);
    jpeg_mem_dest(&c, &data, &nbytes);
    c.image_width = (JDIMENSION)b->width;
    c.image_height = (JDIMENSION)b->height;
    c.input_components = 3;
    c.in_color_space = JCS_RGB;
    jpeg_set_defaults(&c);
    jpeg_set_quality(&c, quality, TRUE);
    jpeg_start_compress(&c, TRUE);
    while (c.next_scanline < c.image_height) {
        JSAMPROW line = b->data + (size_t)c.next_scanline * (size_t)b->width * 3;
        jpeg_write_scanlines(&c, &line, 1);
    }
    jpeg_finish_compress(&c);
    jpeg_destroy_compress(&c);
    dreamo_status s = file_create(&w, path, clobber, err);
    if (!s) {
        s = file_write(&w, data, nbytes, err);
        if (s) file_abort(&w);
        else s = file_commit(&w, err);
    }
    (free)(data);
    return s;
}
