/* image_file.c - what a picture file is, limits, bitmaps, orientation; the codecs are in image_png.c, image_jpeg.c, image_webp.c. */
#include "format/image_file.h"
#include <stdio.h>
#include <string.h>
#include "base/file.h"
#include "base/mem.h"
#include "format/image_codec.h"

#define MAX_FILE ((size_t)64 << 20)

dreamo_status image_check_size(const char *what, int64_t width, int64_t height, dreamo_error *err)
{
    if (width < 1 || height < 1) return fail(err, DREAMO_FORMAT, "%s: a picture of %lld x %lld pixels", what, (long long)width, (long long)height);
    if (width > IMAGE_MAX_SIDE || height > IMAGE_MAX_SIDE)
        return fail(err, DREAMO_LIMIT, "%s: %lld x %lld pixels, a side may have at most %d", what, (long long)width, (long long)height, IMAGE_MAX_SIDE);
    if (width * height > IMAGE_MAX_PIXELS)
        return fail(err, DREAMO_LIMIT, "%s: %lld x %lld pixels, at most %d million are allowed", what, (long long)width, (long long)height, IMAGE_MAX_PIXELS / 1000000);
    return DREAMO_OK;
}

dreamo_status bitmap_new(bitmap *b, int width, int height, int channels, dreamo_error *err)
{
    *b = (bitmap){ 0 };
    dreamo_status s = image_check_size("picture", width, height, err);
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

/* ---- what is it ---- */

/* Formats that people try, so that the message can name them. */
static const struct { const char *magic; size_t at, n; const char *name; } others[] = {
    { "GIF8", 0, 4, "a GIF" }, { "BM", 0, 2, "a BMP" }, { "II*\0", 0, 4, "a TIFF" }, { "MM\0*", 0, 4, "a TIFF" }, { "%PDF", 0, 4, "a PDF" },
    { "ftypheic", 4, 8, "a HEIC picture" }, { "ftypmif1", 4, 8, "a HEIF picture" }, { "ftypavif", 4, 8, "an AVIF picture" }, { "<svg", 0, 4, "an SVG drawing" },
    { "<?xml", 0, 5, "XML, perhaps an SVG drawing" }, { "<!DOCTYPE", 0, 9, "a web page" }, { "<html", 0, 5, "a web page" }, { "GGUF", 0, 4, "a GGUF model" },
    { "PK\3\4", 0, 4, "a zip archive" }, { "\0\0\1\0", 0, 4, "an icon file" }, { "8BPS", 0, 4, "a Photoshop file" }, { "qoif", 0, 4, "a QOI picture" },
};

static dreamo_status not_a_picture(const unsigned char *data, size_t nbytes, const char *what, dreamo_error *err)
{
    const char *name = nbytes == 0 ? "empty" : "not a picture that is known";
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (nbytes >= others[i].at + others[i].n && memcmp(data + others[i].at, others[i].magic, others[i].n) == 0) name = others[i].name;
    fail(err, DREAMO_FORMAT, "%s: is %s; PNG, JPEG and WebP are read", what, name);
    return hint(err, "convert it first");
}

/* ---- EXIF orientation, 1 to 8 ---- */

static dreamo_status orient(bitmap *b, int orientation, dreamo_error *err)
{
    bitmap turned;
    bool swap = orientation >= 5;
    int w = b->width, h = b->height;
    if (orientation <= 1 || orientation > 8) return DREAMO_OK;
    dreamo_status s = bitmap_new(&turned, swap ? h : w, swap ? w : h, b->channels, err);
    if (s) return s;
    for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x++) {
            int mx = w - 1 - x, my = h - 1 - y;
            int to_x = (int[]){ 0, x, mx, mx, x, y, my, my, y }[orientation], to_y = (int[]){ 0, y, y, my, my, x, x, mx, mx }[orientation];
            memcpy(turned.data + ((size_t)to_y * (size_t)turned.width + (size_t)to_x) * (size_t)b->channels,
                   b->data + ((size_t)y * (size_t)w + (size_t)x) * (size_t)b->channels, (size_t)b->channels);
        }
    bitmap_free(b);
    *b = turned;
    return DREAMO_OK;
}

/* The orientation tag in TIFF-style EXIF data; 1 when there is none or it is broken. */
int image_exif_orientation(const unsigned char *p, size_t n)
{
    if (n < 14 || n > 65536 || (memcmp(p, "II*\0", 4) && memcmp(p, "MM\0*", 4))) return 1;
    bool little = p[0] == 'I';
#define U16(i) (uint32_t)(little ? p[i] | p[(i) + 1] << 8 : p[i] << 8 | p[(i) + 1])
#define U32(i) (little ? U16(i) | U16((i) + 2) << 16 : U16(i) << 16 | U16((i) + 2))
    size_t ifd = U32(4);
    if (ifd > n - 2) return 1;
    size_t entries = U16(ifd);
    for (size_t i = 0; i < entries && ifd + 2 + 12 * (i + 1) <= n; i++) {
        size_t at = ifd + 2 + 12 * i;
        if (U16(at) == 0x0112 && U16(at + 2) == 3) return (int)U16(at + 8);
    }
    return 1;
#undef U16
#undef U32
}

/* ---- reading ---- */

dreamo_status image_decode(const unsigned char *data, size_t nbytes, const char *what, bitmap *out, char *note, size_t note_nbytes, dreamo_error *err)
{
    static const unsigned char png[8] = { 0x89, 'P', 'N', 'G', '\r', '\n', 0x1A, '\n' };
    image_source src = { data, nbytes, what, note, note_nbytes, 1 };
    *out = (bitmap){ 0 };
    if (note && note_nbytes) note[0] = '\0';
    if (nbytes > MAX_FILE) return fail(err, DREAMO_LIMIT, "%s: %zu bytes, at most %zu are allowed", what, nbytes, MAX_FILE);
    dreamo_status s;
    if (nbytes >= 8 && memcmp(data, png, 8) == 0) s = png_decode(&src, out, err);
    else if (nbytes >= 3 && data[0] == 0xFF && data[1] == 0xD8 && data[2] == 0xFF) s = jpeg_decode(&src, out, err);
    else if (nbytes >= 12 && memcmp(data, "RIFF", 4) == 0 && memcmp(data + 8, "WEBP", 4) == 0) s = webp_decode(&src, out, err);
    else return not_a_picture(data, nbytes, what, err);
    if (!s) s = orient(out, src.orientation, err);
    if (s) bitmap_free(out);
    return s;
}

dreamo_status image_read(const char *path, bitmap *out, char *note, size_t note_nbytes, dreamo_error *err)
{
    char *data;
    size_t nbytes;
    *out = (bitmap){ 0 };
    dreamo_status s = file_read(path, MAX_FILE, &data, &nbytes, err);
    if (s) return s;
    s = image_decode((const unsigned char *)data, nbytes, path, out, note, note_nbytes, err);
    mem_free(data);
    return s;
}

void image_note(const image_source *src, const char *text)
{
    if (src->note && src->note_nbytes && !src->note[0]) snprintf(src->note, src->note_nbytes, "%s", text);
}
