/* image_png.c - PNG through libpng, with its errors as statuses and its memory from base/mem.h. */
#include <png.h>
#include <setjmp.h>
#include <string.h>
#include "base/file.h"
#include "base/mem.h"
#include "format/image_codec.h"

#define MAX_TEXT 1000000 /* bytes of a text chunk after decompression */

typedef struct png_job {
    dreamo_error *err;
    const char *what;
    const unsigned char *data; /* reading */
    size_t left;
    filewriter *file;          /* writing */
    dreamo_status status;
} png_job;

static void on_error(png_structp png, png_const_charp message)
{
    png_job *job = png_get_error_ptr(png);
    if (!job->status) {
        bool memory = strstr(message, "emory") != NULL;
        job->status = fail(job->err, memory ? DREAMO_MEMORY : DREAMO_FORMAT, "%s: broken PNG: %s", job->what, message);
    }
    longjmp(png_jmpbuf(png), 1);
}

static void on_warning(png_structp png, png_const_charp message) { (void)png, (void)message; }
static png_voidp take(png_structp png, png_alloc_size_t n) { (void)png; return mem_alloc(n); }
static void give(png_structp png, png_voidp p) { (void)png; mem_free(p); }

static void on_read(png_structp png, png_bytep to, size_t n)
{
    png_job *job = png_get_io_ptr(png);
    if (n > job->left) png_error(png, "the file is cut short");
    memcpy(to, job->data, n);
    job->data += n;
    job->left -= n;
}

/* Whatever the file holds becomes 8-bit RGB or RGBA; 16 bits are scaled with rounding. */
static int set_transforms(png_structp png, png_infop info, image_source *src)
{
    int type = png_get_color_type(png, info), depth = png_get_bit_depth(png, info);
    bool alpha = (type & PNG_COLOR_MASK_ALPHA) || png_get_valid(png, info, PNG_INFO_tRNS);
    if (type == PNG_COLOR_TYPE_PALETTE) png_set_palette_to_rgb(png);
    if (type == PNG_COLOR_TYPE_GRAY && depth < 8) png_set_expand_gray_1_2_4_to_8(png);
    if (png_get_valid(png, info, PNG_INFO_tRNS)) png_set_tRNS_to_alpha(png);
    if (depth == 16) png_set_scale_16(png);
    if (type == PNG_COLOR_TYPE_GRAY || type == PNG_COLOR_TYPE_GRAY_ALPHA) png_set_gray_to_rgb(png);
    png_set_interlace_handling(png);
    if (png_get_valid(png, info, PNG_INFO_iCCP)) image_note(src, "its colour profile is ignored");
    return alpha ? 4 : 3;
}

static void find_orientation(png_structp png, png_infop info, image_source *src)
{
#ifdef PNG_eXIf_SUPPORTED
    png_bytep exif = NULL;
    png_uint_32 n = 0;
    if (png_get_eXIf_1(png, info, &n, &exif)) src->orientation = image_exif_orientation(exif, n);
#else
    (void)png, (void)info, (void)src;
#endif
}

dreamo_status png_decode(image_source *src, bitmap *out, dreamo_error *err)
{
    png_job job = { .err = err, .what = src->what, .data = src->data, .left = src->nbytes };
    png_bytep *volatile rows = NULL;
    png_infop info = NULL;
    png_structp png = png_create_read_struct_2(PNG_LIBPNG_VER_STRING, &job, on_error, on_warning, NULL, take, give);
    if (!png || !(info = png_create_info_struct(png))) {
        png_destroy_read_struct(&png, &info, NULL);
        return fail(err, DREAMO_MEMORY, "%s: no memory to read it", src->what);
    }
    if (setjmp(png_jmpbuf(png))) {
        png_destroy_read_struct(&png, &info, NULL);
        mem_free((void *)rows);
        bitmap_free(out);
        return job.status;
    }
    png_set_read_fn(png, &job, on_read);
    png_set_user_limits(png, 0x7FFFFFFF, 0x7FFFFFFF); /* our own limits name what is allowed */
    png_set_chunk_malloc_max(png, MAX_TEXT);
    png_set_keep_unknown_chunks(png, PNG_HANDLE_CHUNK_NEVER, NULL, 0);
    png_set_keep_unknown_chunks(png, PNG_HANDLE_CHUNK_NEVER, (png_const_bytep)"tEXt\0zTXt\0iTXt\0", 3); /* skipped unread */
    png_read_info(png, info);
    job.status = image_check_size(src->what, png_get_image_width(png, info), png_get_image_height(png, info), err);
    if (job.status) png_error(png, "size");
    int channels = set_transforms(png, info, src);
    png_read_update_info(png, info);
    job.status = bitmap_new(out, (int)png_get_image_width(png, info), (int)png_get_image_height(png, info), channels, err);
    if (job.status) png_error(png, "memory");
    rows = mem_calloc((size_t)out->height, sizeof *rows);
    if (!rows) png_error(png, "out of memory");
    for (int y = 0; y < out->height; y++) rows[y] = out->data + (size_t)y * (size_t)out->width * (size_t)channels;
    png_read_image(png, rows);
    png_read_end(png, info);
    find_orientation(png, info, src);
    png_destroy_read_struct(&png, &info, NULL);
    mem_free((void *)rows);
    return DREAMO_OK;
}

/* ---- text chunks ---- */

dreamo_status image_read_text(const char *path, const char *key, char **value, dreamo_error *err)
{
    char *data = NULL;
    size_t nbytes;
    png_infop info = NULL;
    *value = NULL;
    dreamo_status s = file_read(path, (size_t)64 << 20, &data, &nbytes, err);
    if (s) return s;
    png_job job = { .err = err, .what = path, .data = (const unsigned char *)data, .left = nbytes };
    png_structp png = png_create_read_struct_2(PNG_LIBPNG_VER_STRING, &job, on_error, on_warning, NULL, take, give);
    if (!png || !(info = png_create_info_struct(png))) {
        png_destroy_read_struct(&png, &info, NULL);
        mem_free(data);
        return fail(err, DREAMO_MEMORY, "%s: no memory to read it", path);
    }
    if (setjmp(png_jmpbuf(png))) {
        png_destroy_read_struct(&png, &info, NULL);
        mem_free(data);
        mem_free(*value);
        *value = NULL;
        return job.status;
    }
    png_set_read_fn(png, &job, on_read);
    png_set_chunk_malloc_max(png, MAX_TEXT);
    png_read_info(png, info); /* our own chunks stand before the pixels */
    png_textp text;
    int n = 0;
    png_get_text(png, info, &text, &n);
    for (int i = 0; i < n && !*value; i++)
        if (strcmp(text[i].key, key) == 0) {
            *value = mem_strdup(text[i].text);
            if (!*value) png_error(png, "out of memory");
        }
    png_destroy_read_struct(&png, &info, NULL);
    mem_free(data);
    return DREAMO_OK;
}

/* ---- writing ---- */

static void on_write(png_structp png, png_bytep from, size_t n)
{
    png_job *job = png_get_io_ptr(png);
    job->status = file_write(job->file, from, n, job->err);
    if (job->status) png_error(png, "write");
}

static void on_flush(png_structp png) { (void)png; }

static dreamo_status encode(png_job *job, const bitmap *b, const char *const (*text)[2], int ntext)
{
    png_infop info = NULL;
    png_structp png = png_create_write_struct_2(PNG_LIBPNG_VER_STRING, job, on_error, on_warning, NULL, take, give);
    if (!png || !(info = png_create_info_struct(png))) {
        png_destroy_write_struct(&png, &info);
        return fail(job->err, DREAMO_MEMORY, "%s: no memory to write it", job->what);
    }
    if (setjmp(png_jmpbuf(png))) {
        png_destroy_write_struct(&png, &info);
        return job->status;
    }
    png_set_write_fn(png, job, on_write, on_flush);
    png_set_IHDR(png, info, (png_uint_32)b->width, (png_uint_32)b->height, 8, b->channels == 4 ? PNG_COLOR_TYPE_RGBA : PNG_COLOR_TYPE_RGB,
                 PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    for (int i = 0; i < ntext; i++) {
        png_text t = { .compression = PNG_ITXT_COMPRESSION_NONE, .key = (png_charp)(uintptr_t)text[i][0], .text = (png_charp)(uintptr_t)text[i][1] };
        png_set_text(png, info, &t, 1);
    }
    png_write_info(png, info);
    for (int y = 0; y < b->height; y++) png_write_row(png, b->data + (size_t)y * (size_t)b->width * (size_t)b->channels);
    png_write_end(png, NULL);
    png_destroy_write_struct(&png, &info);
    return DREAMO_OK;
}

dreamo_status image_write_png(const char *path, const bitmap *b, const char *const (*text)[2], int ntext, bool clobber, dreamo_error *err)
{
    filewriter w;
    dreamo_status s = file_create(&w, path, clobber, err);
    if (s) return s;
    png_job job = { .err = err, .what = path, .file = &w };
    if ((s = encode(&job, b, text, ntext)) == DREAMO_OK) return file_commit(&w, err);
    file_abort(&w);
    return s;
}
