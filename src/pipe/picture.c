/* picture.c - the public picture functions. */
#include <string.h>

#include "base/mem.h"
#include "base/sha256.h"
#include "dreamo.h"
#include "format/image_codec.h"
#include "format/image_file.h"
#include "image/resize.h"

/* Takes `raw` over. */
static dreamo_status on_white(bitmap *raw, dreamo_image *out, dreamo_error *err)
{
    bitmap rgb = *raw;
    if (raw->channels == 4) {
        dreamo_status s = composite_white(raw, &rgb, err);
        bitmap_free(raw);
        if (s != DREAMO_OK) return s;
    }
    *out = (dreamo_image){ .width = rgb.width, .height = rgb.height, .rgb = rgb.data };
    return DREAMO_OK;
}

dreamo_status dreamo_image_read(const char *path, dreamo_image *out, dreamo_error *err)
{
    if (!out) return fail(err, DREAMO_ARG, "the place for the picture is missing");
    *out = (dreamo_image){ 0 };
    if (!path) return fail(err, DREAMO_ARG, "no picture file is given");
    bitmap raw = { 0 };
    dreamo_status s = image_read(path, &raw, NULL, 0, err);
    return s == DREAMO_OK ? on_white(&raw, out, err) : s;
}

dreamo_status dreamo_image_decode(const void *data, size_t nbytes, const char *what, int64_t max_pixels, dreamo_image *out, dreamo_error *err)
{
    if (!out) return fail(err, DREAMO_ARG, "the place for the picture is missing");
    *out = (dreamo_image){ 0 };
    if (!data && nbytes) return fail(err, DREAMO_ARG, "no picture is given");
    if (max_pixels <= 0 || max_pixels > IMAGE_MAX_PIXELS) max_pixels = IMAGE_MAX_PIXELS;
    bitmap raw = { 0 };
    dreamo_status s = image_decode_within(data, nbytes, what ? what : "the picture", max_pixels, &raw, NULL, 0, err);
    return s == DREAMO_OK ? on_white(&raw, out, err) : s;
}

dreamo_status dreamo_image_metadata(const void *data, size_t nbytes, const char *what, char **json, dreamo_error *err)
{
    if (!data || !json) return fail(err, DREAMO_ARG, "%s is missing", !data ? "the picture" : "the place for the metadata");
    *json = NULL;
    bool png = nbytes > 8 && memcmp(data, "\x89PNG", 4) == 0;
    return png ? image_find_text(data, nbytes, what ? what : "the picture", "dreamo", json, err) : DREAMO_OK;
}

dreamo_status dreamo_image_encode(const dreamo_image *im, const char *format, int quality, void **data, size_t *nbytes, dreamo_error *err)
{
    if (!im || !im->rgb || im->width < 1 || im->height < 1 || !format || !data || !nbytes) return fail(err, DREAMO_ARG, "no picture to encode");
    if (quality < 0 || quality > 100) return fail(err, DREAMO_ARG, "quality %d: allowed is 1 to 100", quality);
    bitmap b = { im->width, im->height, 3, im->rgb };
    const char *const text[][2] = { { "dreamo", im->metadata } };
    unsigned char *bytes;
    dreamo_status s = image_encode(&b, format, quality ? quality : 95, text, im->metadata ? 1 : 0, &bytes, nbytes, err);
    *data = bytes;
    return s;
}

void dreamo_bytes_free(void *data) { mem_free(data); }
void dreamo_sha256(const void *data, size_t nbytes, char out[65]) { sha256_hex(data, nbytes, out); }

dreamo_status dreamo_image_write(const dreamo_image *im, const char *path, const char *format, bool clobber, dreamo_error *err)
{
    if (!im || !im->rgb || im->width < 1 || im->height < 1) return fail(err, DREAMO_ARG, "no picture to write");
    if (!path || !format) return fail(err, DREAMO_ARG, "a picture needs a file name and a format");
    bitmap b = { im->width, im->height, 3, im->rgb };
    const char *const text[][2] = { { "dreamo", im->metadata } };
    if (strcmp(format, "png") == 0) return image_write_png(path, &b, text, im->metadata ? 1 : 0, clobber, err);
    if (strcmp(format, "jpeg") == 0) return image_write_jpeg(path, &b, 95, clobber, err);
    return fail(err, DREAMO_ARG, "format \"%s\" is neither png nor jpeg", format);
}

void dreamo_image_free(dreamo_image *im)
{
    if (!im) return;
    mem_free(im->rgb);
    mem_free(im->metadata);
    *im = (dreamo_image){ 0 };
}
