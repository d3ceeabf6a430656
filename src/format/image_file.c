/* image_file.c - what a picture file is, limits, bitmaps; the codecs are in image_png.c, image_jpeg.c, image_webp.c, image_avif.c and image_heif.c. */
#include "format/image_file.h"
#include <stdio.h>
#include <string.h>
#include "base/file.h"
#include "base/mem.h"
#include "format/image_codec.h"
#include "format/sniff.h"

dreamo_status image_check_size(const char *what, int64_t width, int64_t height, int64_t max_pixels, dreamo_error *err)
{
    if (width < 1 || height < 1) return fail(err, DREAMO_FORMAT, "%s: a picture of %lld x %lld pixels", what, (long long)width, (long long)height);
    if (width > IMAGE_MAX_SIDE || height > IMAGE_MAX_SIDE)
        return fail(err, DREAMO_LIMIT, "%s: %lld x %lld pixels, a side may have at most %d", what, (long long)width, (long long)height, IMAGE_MAX_SIDE);
    if (width * height > max_pixels)
        return fail(err, DREAMO_LIMIT, "%s: %lld x %lld pixels, at most %.3g million are allowed", what, (long long)width, (long long)height, (double)max_pixels * 1e-6);
    return DREAMO_OK;
}

dreamo_status bitmap_new(bitmap *b, int width, int height, int channels, dreamo_error *err)
{
    *b = (bitmap){ 0 };
    dreamo_status s = image_check_size("picture", width, height, IMAGE_MAX_PIXELS, err);
    if (s) return s;
    unsigned char *data = mem_alloc((size_t)width * (size_t)height * (size_t)channels);
    if (!data) return fail(err, DREAMO_MEMORY, "no memory for a picture of %d x %d", width, height);
    *b = (bitmap){ width, height, channels, data };
    return DREAMO_OK;
}

void bitmap_free(bitmap *b)
{
    mem_free(b->data);
    *b = (bitmap){ 0 };
}

dreamo_status bitmap_cut(const bitmap *from, int left, int top, int width, int height, bitmap *out, dreamo_error *err)
{
    size_t pixel = (size_t)from->channels, row = pixel * (size_t)width;
    dreamo_status s = bitmap_new(out, width, height, from->channels, err);
    for (int y = 0; y < height && !s; y++)
        memcpy(out->data + (size_t)y * row, from->data + pixel * ((size_t)(top + y) * (size_t)from->width + (size_t)left), row);
    return s;
}

dreamo_status bitmap_copy(const bitmap *from, bitmap *out, dreamo_error *err) { return bitmap_cut(from, 0, 0, from->width, from->height, out, err); }

void image_note(const image_source *src, const char *text)
{
    size_t used = src->note && src->note_nbytes ? strlen(src->note) : 0;
    if (src->note && used < src->note_nbytes) snprintf(src->note + used, src->note_nbytes - used, "%s%s", used ? "; " : "", text);
}

/* ---- reading ---- */

static bool is_png(const unsigned char *data, size_t n) { return n >= 8 && memcmp(data, "\x89PNG\r\n\x1A\n", 8) == 0; }
static bool is_jpeg(const unsigned char *data, size_t n) { return n >= 3 && data[0] == 0xFF && data[1] == 0xD8 && data[2] == 0xFF; }
static bool is_webp(const unsigned char *data, size_t n) { return n >= 12 && memcmp(data, "RIFF", 4) == 0 && memcmp(data + 8, "WEBP", 4) == 0; }


/* A file of ISO's base format with this brand, as its own or, where that says little ("mif1"), among those that it is compatible with. */
static bool has_brand(const unsigned char *data, size_t n, const char *begins)
{
    enum { BRANDS = 32 };
    if (n < 16 || memcmp(data + 4, "ftyp", 4) != 0) return false;
    size_t box = (size_t)data[0] << 24 | (size_t)data[1] << 16 | (size_t)data[2] << 8 | data[3];
    if (box > n) box = n;
    for (size_t at = 8, k = 0; at + 4 <= box && k < BRANDS; at += at == 8 ? 8 : 4, k++)
        if (memcmp(data + at, begins, strlen(begins)) == 0) return true;
    return false;
}

static bool is_avif(const unsigned char *data, size_t n) { return has_brand(data, n, "avif"); }
static bool is_heif(const unsigned char *data, size_t n) { return has_brand(data, n, "hei") || has_brand(data, n, "hev"); }

/* AVIF and HEIC, where built with their libraries. */
static bool is_read_by_library(const unsigned char *data, size_t n)
{
    bool avif = false, heif = false;
#ifdef DREAMO_AVIF
    avif = is_avif(data, n);
#endif
#ifdef DREAMO_HEIF
    heif = is_heif(data, n);
#endif
    return avif || heif;
}

bool image_is_known(const unsigned char *data, size_t nbytes) { return is_png(data, nbytes) || is_jpeg(data, nbytes) || is_webp(data, nbytes) || is_read_by_library(data, nbytes); }

static dreamo_status decode(image_source *src, bitmap *out, dreamo_error *err)
{
    const unsigned char *data = src->data;
    size_t nbytes = src->nbytes;
    const char *what = src->what;
    *out = (bitmap){ 0 };
    if (src->note && src->note_nbytes) src->note[0] = '\0';
    if (nbytes > IMAGE_MAX_FILE) return fail(err, DREAMO_LIMIT, "%s: %zu bytes, at most %zu are allowed", what, nbytes, IMAGE_MAX_FILE);
    if (is_png(data, nbytes)) return png_decode(src, out, err);
    if (is_jpeg(data, nbytes)) return jpeg_decode(src, out, err);
    if (is_webp(data, nbytes)) return webp_decode(src, out, err);
#ifdef DREAMO_AVIF
    if (is_avif(data, nbytes)) return avif_decode(src, out, err);
#endif
#ifdef DREAMO_HEIF
    if (is_heif(data, nbytes)) return heif_decode(src, out, err);
#endif
    if (is_avif(data, nbytes) || is_heif(data, nbytes)) {
        fail(err, DREAMO_FORMAT, "%s: is %s picture, and this dreamo is built without the library that reads it", what, is_avif(data, nbytes) ? "an AVIF" : "a HEIC");
        return hint(err, "convert it to PNG, or build dreamo where Debian's libavif-dev and libheif-dev are installed");
    }
    sniffed is = sniff(data, nbytes);
    if (!is.what) return fail(err, DREAMO_FORMAT, "%s: is not a picture of a known kind; PNG, JPEG and WebP are read", what);
    fail(err, DREAMO_FORMAT, "%s: is %s; PNG, JPEG and WebP are read", what, is.what);
    return hint(err, "%s", is.instead);
}

dreamo_status image_decode_within(const unsigned char *data, size_t nbytes, const char *what, int64_t max_pixels, bitmap *out, char *note, size_t note_nbytes,
                                  dreamo_error *err)
{
    image_source src = { data, nbytes, what, note, note_nbytes, 1, max_pixels };
    dreamo_status s = decode(&src, out, err);
    if (!s) s = image_orient(out, src.orientation, err);
    if (s) bitmap_free(out);
    return s;
}

dreamo_status image_decode(const unsigned char *data, size_t nbytes, const char *what, bitmap *out, char *note, size_t note_nbytes, dreamo_error *err)
{
    return image_decode_within(data, nbytes, what, IMAGE_MAX_PIXELS, out, note, note_nbytes, err);
}

dreamo_status image_decode_as_stored(const unsigned char *data, size_t nbytes, const char *what, bitmap *out, char *note, size_t note_nbytes, dreamo_error *err)
{
    image_source src = { data, nbytes, what, note, note_nbytes, 1, IMAGE_MAX_PIXELS };
    dreamo_status s = decode(&src, out, err);
    if (s) bitmap_free(out);
    return s;
}

dreamo_status image_read(const char *path, bitmap *out, char *note, size_t note_nbytes, dreamo_error *err)
{
    char *data;
    size_t nbytes;
    *out = (bitmap){ 0 };
    dreamo_status s = file_read(path, IMAGE_MAX_FILE, &data, &nbytes, err);
    if (s) return s;
    s = image_decode((const unsigned char *)data, nbytes, path, out, note, note_nbytes, err);
    mem_free(data);
    return s;
}

/* ---- into memory ---- */

dreamo_status image_encode(const bitmap *b, const char *format, int quality, const char *const (*text)[2], int ntext, unsigned char **data, size_t *nbytes,
                           dreamo_error *err)
{
    image_sink to = { 0 };
    dreamo_status s;
    *data = NULL;
    if (strcmp(format, "png") == 0) s = png_encode(b, "the picture", text, ntext, &to, err);
    else if (strcmp(format, "jpeg") == 0) s = jpeg_encode(b, "the picture", quality, &to, err);
    else if (strcmp(format, "webp") == 0) s = webp_encode(b, "the picture", quality, &to, err);
    else s = fail(err, DREAMO_ARG, "format \"%s\" is none of png, jpeg, webp", format);
    if (s) mem_free(to.data);
    else *data = to.data;
    *nbytes = s ? 0 : to.nbytes;
    return s;
}
