/* image_webp.c - still WebP pictures through libwebp. */
#include <webp/decode.h>
#include "format/image_codec.h"

dreamo_status webp_decode(image_source *src, bitmap *out, dreamo_error *err)
{
    WebPBitstreamFeatures f;
    if (WebPGetFeatures(src->data, src->nbytes, &f) != VP8_STATUS_OK) return fail(err, DREAMO_FORMAT, "%s: broken WebP: its header cannot be read", src->what);
    if (f.has_animation) return fail(err, DREAMO_FORMAT, "%s: is an animation; a single picture is needed", src->what);
    dreamo_status s = image_check_size(src->what, f.width, f.height, err);
    if (!s) s = bitmap_new(out, f.width, f.height, f.has_alpha ? 4 : 3, err);
    if (s) return s;
    int stride = out->width * out->channels;
    size_t room = (size_t)stride * (size_t)out->height;
    unsigned char *ok = f.has_alpha ? WebPDecodeRGBAInto(src->data, src->nbytes, out->data, room, stride)
                                    : WebPDecodeRGBInto(src->data, src->nbytes, out->data, room, stride);
    if (ok) return DREAMO_OK;
    bitmap_free(out);
    return fail(err, DREAMO_FORMAT, "%s: broken WebP: its pixels cannot be read; the file is cut short or damaged", src->what);
}
