/* image_heif.c - the main picture of HEIC files through libheif, with the decoder that it was built with; without it they are refused by name.
 *
 * libheif itself turns and mirrors as the container asks; EXIF's orientation says the same and is not looked at. */
#include "format/image_codec.h"

#ifdef DREAMO_HEIF
#include <libheif/heif.h>
#include <string.h>

#include "base/error.h"

typedef struct reading { struct heif_context *file; struct heif_image_handle *handle; struct heif_image *image; struct heif_decoding_options *options; } reading;

static dreamo_status failure(struct heif_error e, const char *what, dreamo_error *err)
{
    if (e.code == heif_error_Memory_allocation_error && e.subcode == heif_suberror_Security_limit_exceeded)
        return fail(err, DREAMO_LIMIT, "%s: HEIC: %s", what, e.message ? e.message : "too large");
    if (e.code == heif_error_Unsupported_filetype || e.code == heif_error_Unsupported_feature)
        return fail(err, DREAMO_FORMAT, "%s: is a HEIC picture that cannot be decoded here: %s", what, e.message ? e.message : "unsupported");
    return fail(err, DREAMO_FORMAT, "%s: broken HEIC: %s", what, e.message ? e.message : "no reason is told");
}

static dreamo_status decode(image_source *src, reading *r, bitmap *out, dreamo_error *err)
{
    if (!(r->file = heif_context_alloc()) || !(r->options = heif_decoding_options_alloc())) return fail(err, DREAMO_MEMORY, "%s: no memory to read it", src->what);
    heif_context_set_maximum_image_size_limit(r->file, IMAGE_MAX_SIDE);
    struct heif_error e = heif_context_read_from_memory_without_copy(r->file, src->data, src->nbytes, NULL);
    if (!e.code) e = heif_context_get_primary_image_handle(r->file, &r->handle);
    if (e.code) return failure(e, src->what, err);
    int width = heif_image_handle_get_width(r->handle), height = heif_image_handle_get_height(r->handle), alpha = heif_image_handle_has_alpha_channel(r->handle), stride;
    dreamo_status s = image_check_size(src->what, width, height, src->max_pixels, err);
    if (s) return s;
    if (heif_image_handle_get_color_profile_type(r->handle) != heif_color_profile_type_not_present) image_note(src, "its colour profile is ignored");
    r->options->convert_hdr_to_8bit = 1;
    e = heif_decode_image(r->handle, &r->image, heif_colorspace_RGB, alpha ? heif_chroma_interleaved_RGBA : heif_chroma_interleaved_RGB, r->options);
    if (e.code) return failure(e, src->what, err);
    const uint8_t *from = heif_image_get_plane_readonly(r->image, heif_channel_interleaved, &stride);
    width = heif_image_get_width(r->image, heif_channel_interleaved), height = heif_image_get_height(r->image, heif_channel_interleaved);
    if (!from) return fail(err, DREAMO_FORMAT, "%s: broken HEIC: it has no pixels", src->what);
    if (!(s = image_check_size(src->what, width, height, src->max_pixels, err))) s = bitmap_new(out, width, height, alpha ? 4 : 3, err);
    for (int y = 0; y < height && !s; y++) {
        size_t row = (size_t)width * (size_t)out->channels;
        memcpy(out->data + (size_t)y * row, from + (size_t)y * (size_t)stride, row);
    }
    return s;
}

dreamo_status heif_decode(image_source *src, bitmap *out, dreamo_error *err)
{
    reading r = { 0 };
    dreamo_status s = decode(src, &r, out, err);
    heif_image_release(r.image);
    heif_image_handle_release(r.handle);
    heif_decoding_options_free(r.options);
    heif_context_free(r.file);
    if (s) bitmap_free(out);
    return s;
}
#endif
