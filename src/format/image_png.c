/* image_png.c - PNG through libpng, with its errors as statuses and its memory from base/mem.h.
 *
 * libpng reads the pixels, the palette and tRNS; every other chunk it skips unread, so that no text or profile can make it
 * decompress anything.  What we want of those (is there a profile, which way is up) is found by walking the chunks ourselves. */
#include <png.h>
#include <setjmp.h>
#include <string.h>
#include "base/file.h"
#include "base/mem.h"
#include "format/image_codec.h"
#include "format/image_sink.h"

#define MAX_TEXT 1000000 /* bytes of a text chunk after decompression */

/* One libpng call sequence: everything lives here, so that leaving it by longjmp loses nothing. */
typedef struct png_job {
    dreamo_error *err;
    const char *what;
    dreamo_status status;
    bool starved;              /* an allocation failed; libpng goes on without what it was for, we do not */
    png_structp png;
    png_infop info;
    const unsigned char *data; /* reading: what is left of the file */
    size_t left;
    image_sink *to;            /* writing */
} png_job;

static void on_error(png_structp png, png_const_charp message)
{
    png_job *job = png_get_error_ptr(png);
    if (!job->status && !job->starved) job->status = fail(job->err, DREAMO_FORMAT, "%s: broken PNG: %s", job->what, message);
    png_longjmp(png, 1);
}

static void on_warning(png_structp png, png_const_charp message) { (void)png, (void)message; }
static void give(png_structp png, png_voidp p) { (void)png; mem_free(p); }

static png_voidp take(png_structp png, png_alloc_size_t n)
{
    png_job *job = png_get_mem_ptr(png);
    void *p = mem_alloc(n);
    if (!p) job->starved = true;
    return p;
}

/* Leave the sequence when a function of ours has failed. */
static void check(png_job *job, dreamo_status s)
{
    job->status = s;
    if (s) png_longjmp(job->png, 1);
}

static void on_read(png_structp png, png_bytep to, size_t n)
{
    png_job *job = png_get_io_ptr(png);
    if (n > job->left) png_error(png, "the file is cut short");
    memcpy(to, job->data, n);
    job->data += n;
    job->left -= n;
}

static void on_write(png_structp png, png_bytep from, size_t n)
{
    png_job *job = png_get_io_ptr(png);
    check(job, image_sink_put(job->to, from, n, job->err));
}

static void on_flush(png_structp png) { (void)png; }

/* Run `body` between creation and destruction; reading when job->data is given. */
static dreamo_status run(png_job *job, void (*body)(png_job *job, void *user), void *user)
{
    bool reading = job->data != NULL;
    job->png = reading ? png_create_read_struct_2(PNG_LIBPNG_VER_STRING, job, on_error, on_warning, job, take, give)
                       : png_create_write_struct_2(PNG_LIBPNG_VER_STRING, job, on_error, on_warning, job, take, give);
    job->info = job->png ? png_create_info_struct(job->png) : NULL;
    if (!job->info) job->starved = true;
    else if (setjmp(png_jmpbuf(job->png)) == 0) body(job, user);
    if (job->starved && !job->status) job->status = fail(job->err, DREAMO_MEMORY, "%s: no memory for it", job->what);
    if (reading) png_destroy_read_struct(&job->png, &job->info, NULL);
    else png_destroy_write_struct(&job->png, &job->info);
    return job->status;
}

/* ---- reading pixels ---- */

typedef struct decoding {
    bitmap *out;
    int64_t max_pixels;
    png_bytep *rows;
} decoding;

/* Whatever the file holds becomes 8-bit RGB or RGBA, or indices of a palette; 16 bits are scaled with rounding.  Returns the channels that
 * the picture will have. */
static int set_transforms(png_structp png, png_infop info)
{
    int type = png_get_color_type(png, info), depth = png_get_bit_depth(png, info);
    bool transparent = png_get_valid(png, info, PNG_INFO_tRNS);
    png_set_packing(png);
    if (type == PNG_COLOR_TYPE_GRAY && depth < 8) png_set_expand_gray_1_2_4_to_8(png);
    if (transparent && type != PNG_COLOR_TYPE_PALETTE) png_set_tRNS_to_alpha(png);
    if (depth == 16) png_set_scale_16(png);
    if (type == PNG_COLOR_TYPE_GRAY || type == PNG_COLOR_TYPE_GRAY_ALPHA) png_set_gray_to_rgb(png);
    png_set_interlace_handling(png);
    return transparent || (type & PNG_COLOR_MASK_ALPHA) ? 4 : 3;
}

/* libpng would show indices beyond the palette as black, so we look them up.  Each row's indices stand at its end and become colours from
 * its beginning on; a colour never reaches an index that has not been read. */
static void apply_palette(png_job *job, const decoding *d)
{
    png_colorp colors;
    png_bytep alphas = NULL;
    int ncolors = 0, nalphas = 0;
    png_get_PLTE(job->png, job->info, &colors, &ncolors);
    png_get_tRNS(job->png, job->info, &alphas, &nalphas, NULL);
    for (int y = 0; y < d->out->height; y++) {
        unsigned char *to = d->out->data + (size_t)y * (size_t)d->out->width * (size_t)d->out->channels;
        for (int x = 0; x < d->out->width; x++) {
            int i = d->rows[y][x];
            if (i >= ncolors) png_error(job->png, "a pixel is beyond its palette");
            *to++ = colors[i].red;
            *to++ = colors[i].green;
            *to++ = colors[i].blue;
            if (d->out->channels == 4) *to++ = i < nalphas ? alphas[i] : 255;
        }
    }
}

static void decode(png_job *job, void *user)
{
    decoding *d = user;
    png_structp png = job->png;
    png_set_read_fn(png, job, on_read);
    png_set_user_limits(png, 0x7FFFFFFF, 0x7FFFFFFF); /* our own limits name what is allowed */
    png_set_chunk_malloc_max(png, 0);
    png_set_keep_unknown_chunks(png, PNG_HANDLE_CHUNK_NEVER, NULL, -1); /* all but IHDR, PLTE, tRNS, IDAT, IEND */
    png_read_info(png, job->info);
    png_uint_32 width = png_get_image_width(png, job->info), height = png_get_image_height(png, job->info);
    check(job, image_check_size(job->what, width, height, d->max_pixels, job->err));
    int channels = set_transforms(png, job->info);
    png_read_update_info(png, job->info);
    check(job, bitmap_new(d->out, (int)width, (int)height, channels, job->err));
    d->rows = mem_alloc(height * sizeof *d->rows);
    if (!d->rows) check(job, fail(job->err, DREAMO_MEMORY, "%s: no memory for it", job->what));
    bool indexed = png_get_color_type(png, job->info) == PNG_COLOR_TYPE_PALETTE;
    size_t row = (size_t)width * (size_t)channels, begin = indexed ? row - width : 0;
    for (size_t y = 0; y < height; y++) d->rows[y] = d->out->data + y * row + begin;
    png_read_image(png, d->rows);
    png_read_end(png, NULL);
    if (indexed) apply_palette(job, d);
}

static void read_chunks(image_source *src)
{
    for (size_t at = 8; at + 12 <= src->nbytes;) {
        const unsigned char *p = src->data + at;
        size_t n = (size_t)p[0] << 24 | (size_t)p[1] << 16 | (size_t)p[2] << 8 | p[3];
        if (n > src->nbytes - at - 12) return;
        if (memcmp(p + 4, "iCCP", 4) == 0) image_note(src, "its colour profile is ignored");
        if (memcmp(p + 4, "eXIf", 4) == 0) image_read_exif(src, p + 8, n);
        at += 12 + n;
    }
}

dreamo_status png_decode(image_source *src, bitmap *out, dreamo_error *err)
{
    png_job job = { .err = err, .what = src->what, .data = src->data, .left = src->nbytes };
    decoding d = { .out = out, .max_pixels = src->max_pixels };
    dreamo_status s = run(&job, decode, &d);
    mem_free((void *)d.rows);
    if (s) bitmap_free(out);
    else read_chunks(src);
    return s;
}

/* ---- text chunks ---- */

typedef struct search { const char *key; char **value; } search;

/* Our own texts stand before the pixels, and nothing behind them is read. */
static void find_text(png_job *job, void *user)
{
    search *wanted = user;
    png_textp text;
    int n = 0;
    png_set_read_fn(job->png, job, on_read);
    png_set_chunk_malloc_max(job->png, MAX_TEXT);
    png_read_info(job->png, job->info);
    png_get_text(job->png, job->info, &text, &n);
    for (int i = 0; i < n && !*wanted->value; i++)
        if (strcmp(text[i].key, wanted->key) == 0 && !(*wanted->value = mem_strdup(text[i].text))) job->starved = true;
}

dreamo_status image_find_text(const unsigned char *data, size_t nbytes, const char *what, const char *key, char **value, dreamo_error *err)
{
    search wanted = { key, value };
    *value = NULL;
    png_job job = { .err = err, .what = what, .data = data, .left = nbytes };
    dreamo_status s = run(&job, find_text, &wanted);
    if (s) {
        mem_free(*value);
        *value = NULL;
    }
    return s;
}

dreamo_status image_read_text(const char *path, const char *key, char **value, dreamo_error *err)
{
    char *data;
    size_t nbytes;
    *value = NULL;
    dreamo_status s = file_read(path, IMAGE_MAX_FILE, &data, &nbytes, err);
    if (s) return s;
    s = image_find_text((const unsigned char *)data, nbytes, path, key, value, err);
    mem_free(data);
    return s;
}

/* ---- writing ---- */

typedef struct encoding {
    const bitmap *b;
    const char *const (*text)[2];
    int ntext;
} encoding;

static void encode(png_job *job, void *user)
{
    const encoding *e = user;
    const bitmap *b = e->b;
    png_structp png = job->png;
    png_set_write_fn(png, job, on_write, on_flush);
    png_set_IHDR(png, job->info, (png_uint_32)b->width, (png_uint_32)b->height, 8, b->channels == 4 ? PNG_COLOR_TYPE_RGBA : PNG_COLOR_TYPE_RGB,
                 PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    for (int i = 0; i < e->ntext; i++) {
        png_text t = { .compression = PNG_ITXT_COMPRESSION_NONE, .key = (png_charp)(uintptr_t)e->text[i][0], .text = (png_charp)(uintptr_t)e->text[i][1] };
        png_set_text(png, job->info, &t, 1);
    }
    png_write_info(png, job->info);
    for (int y = 0; y < b->height; y++) png_write_row(png, b->data + (size_t)y * (size_t)b->width * (size_t)b->channels);
    png_write_end(png, NULL);
}

dreamo_status png_encode(const bitmap *b, const char *what, const char *const (*text)[2], int ntext, image_sink *to, dreamo_error *err)
{
    encoding e = { b, text, ntext };
    png_job job = { .err = err, .what = what, .to = to };
    return run(&job, encode, &e);
}

dreamo_status image_write_png(const char *path, const bitmap *b, const char *const (*text)[2], int ntext, bool clobber, dreamo_error *err)
{
    filewriter w;
    image_sink to = { .file = &w };
    dreamo_status s = file_create(&w, path, clobber, err);
    if (s) return s;
    s = png_encode(b, path, text, ntext, &to, err);
    if (!s) return file_commit(&w, err);
    file_abort(&w);
    return s;
}
