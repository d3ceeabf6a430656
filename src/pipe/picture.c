/* picture.c - the public picture functions. */
#include <string.h>

#include "base/mem.h"
#include "dreamo.h"
#include "format/image_file.h"
#include "image/resize.h"

dreamo_status dreamo_image_read(const char *path, dreamo_image *out, dreamo_error *err)
{
    if (!out) return fail(err, DREAMO_ARG, "the place for the picture is missing");
    *out = (dreamo_image){ 0 };
    if (!path) return fail(err, DREAMO_ARG, "no picture file is given");
    bitmap raw = { 0 }, rgb = { 0 };
    dreamo_status s = image_read(path, &raw, NULL, 0, err);
    if (s != DREAMO_OK) return s;
    if (raw.channels == 4) {
        s = composite_white(&raw, &rgb, err);
        bitmap_free(&raw);
        if (s != DREAMO_OK) return s;
    } else {
        rgb = raw;
    }
    *out = (dreamo_image){ .width = rgb.width, .height = rgb.height, .rgb = rgb.data };
    return DREAMO_OK;
}

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
