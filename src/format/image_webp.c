/* image_webp.c - still WebP pictures through libwebp.  Its memory is its own: it takes none before we have checked the size. */
#include <string.h>
#include <webp/decode.h>
#include <webp/encode.h>
#include "format/image_codec.h"
#include "format/image_sink.h"

/* The chunks of the RIFF container: EXIF's orientation, and whether there is a colour profile. */
static void read_chunks(image_source *src)
{
    for (size_t at = 12; at + 8 <= src->nbytes;) {
        const unsigned char *p = src->data + at;
        size_t n = (size_t)p[4] | (size_t)p[5] << 8 | (size_t)p[6] << 16 | (size_t)p[7] << 24;
        if (n > src->nbytes - at - 8) return;
        bool named = n > 6 && memcmp(p + 8, "Exif\0\0", 6) == 0; /* a JPEG's prefix, which some programs leave in */
        if (memcmp(p, "EXIF", 4) == 0) image_read_exif(src, p + 8 + (named ? 6 : 0), n - (named ? 6 : 0));
        if (memcmp(p, "ICCP", 4) == 0) image_note(src, "its colour profile is ignored");
        at += 8 + n + (n & 1);
    }
}

static dreamo_status failure(VP8StatusCode code, const char *what, dreamo_error *err)
{
    if (code == VP8_STATUS_OUT_OF_MEMORY) return fail(err, DREAMO_MEMORY, "%s: no memory to read it", what);
    bool cut = code == VP8_STATUS_NOT_ENOUGH_DATA || code == VP8_STATUS_SUSPENDED;
    return fail(err, DREAMO_FORMAT, "%s: broken WebP: %s", what, cut ? "the file is cut short" : "its data is damaged");
}

dreamo_status webp_decode(image_source *src, bitmap *out, dreamo_error *err)
{
    WebPDecoderConfig c;
    if (!WebPInitDecoderConfig(&c)) return fail(err, DREAMO_BUG, "%s: libwebp is of another version than its header", src->what);
    VP8StatusCode code = WebPGetFeatures(src->data, src->nbytes, &c.input);
    if (code != VP8_STATUS_OK) return failure(code, src->what, err);
    if (c.input.has_animation) return fail(err, DREAMO_FORMAT, "%s: is an animation; a single picture is needed", src->what);
    dreamo_status s = image_check_size(src->what, c.input.width, c.input.height, src->max_pixels, err);
    if (!s) s = bitmap_new(out, c.input.width, c.input.height, c.input.has_alpha ? 4 : 3, err);
    if (s) return s;
    int stride = out->width * out->channels;
    c.output.colorspace = c.input.has_alpha ? MODE_RGBA : MODE_RGB;
    c.output.is_external_memory = 1;
    c.output.u.RGBA = (WebPRGBABuffer){ out->data, stride, (size_t)stride * (size_t)out->height };
    code = WebPDecode(src->data, src->nbytes, &c);
    WebPFreeDecBuffer(&c.output);
    if (code == VP8_STATUS_OK) {
        read_chunks(src);
        return DREAMO_OK;
    }
    bitmap_free(out);
    return failure(code, src->what, err);
}

/* ---- writing ---- */

typedef struct encoding { image_sink *to; dreamo_status status; dreamo_error *err; } encoding;

static int on_bytes(const uint8_t *data, size_t nbytes, const WebPPicture *p)
{
    encoding *e = p->custom_ptr;
    e->status = image_sink_put(e->to, data, nbytes, e->err);
    return e->status == DREAMO_OK;
}

dreamo_status webp_encode(const bitmap *b, const char *what, int quality, image_sink *to, dreamo_error *err)
{
    WebPConfig c;
    WebPPicture p;
    encoding e = { .to = to, .err = err };
    if (b->width > WEBP_MAX_DIMENSION || b->height > WEBP_MAX_DIMENSION)
        return fail(err, DREAMO_LIMIT, "%s: %d x %d pixels, WebP holds at most %d a side", what, b->width, b->height, WEBP_MAX_DIMENSION);
    if (!WebPConfigPreset(&c, WEBP_PRESET_DEFAULT, (float)quality) || !WebPPictureInit(&p))
        return fail(err, DREAMO_BUG, "%s: libwebp is of another version than its header", what);
    p.width = b->width;
    p.height = b->height;
    p.writer = on_bytes;
    p.custom_ptr = &e;
    int stride = b->width * b->channels;
    bool done = (b->channels == 4 ? WebPPictureImportRGBA(&p, b->data, stride) : WebPPictureImportRGB(&p, b->data, stride)) && WebPEncode(&c, &p);
    bool starved = p.error_code == VP8_ENC_ERROR_OUT_OF_MEMORY || p.error_code == VP8_ENC_ERROR_BITSTREAM_OUT_OF_MEMORY;
    WebPPictureFree(&p);
    if (e.status) return e.status;
    if (done) return DREAMO_OK;
    return fail(err, starved ? DREAMO_MEMORY : DREAMO_BUG, "%s: %s", what, starved ? "no memory to write it" : "libwebp could not write it");
}
