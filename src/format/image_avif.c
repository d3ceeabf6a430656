/* image_avif.c - still AVIF pictures through libavif, with the decoder that it was built with (dav1d, libaom); without it they are refused by name. */
#include "format/image_codec.h"

#ifdef DREAMO_AVIF
#include <avif/avif.h>

#include "base/error.h"

/* What irot and imir ask for, as EXIF counts it: first turned anticlockwise, then mirrored (ISO/IEC 23008-12). */
static int orientation_of(const avifImage *im)
{
    static const int turned[4] = { 1, 8, 3, 6 }, mirrored[2][4] = { { 4, 5, 2, 7 }, { 2, 7, 4, 5 } };
    int turn = im->transformFlags & AVIF_TRANSFORM_IROT ? im->irot.angle & 3 : 0;
    return im->transformFlags & AVIF_TRANSFORM_IMIR ? mirrored[im->imir.mode & 1][turn] : turned[turn];
}

static dreamo_status failure(avifResult r, const char *what, dreamo_error *err)
{
    if (r == AVIF_RESULT_OUT_OF_MEMORY) return fail(err, DREAMO_MEMORY, "%s: no memory to read it", what);
    return fail(err, DREAMO_FORMAT, "%s: broken AVIF: %s", what, avifResultToString(r));
}

static dreamo_status to_pixels(const image_source *src, const avifImage *im, bitmap *out, dreamo_error *err)
{
    avifRGBImage rgb;
    avifRGBImageSetDefaults(&rgb, im);
    rgb.depth = 8;
    rgb.format = out->channels == 4 ? AVIF_RGB_FORMAT_RGBA : AVIF_RGB_FORMAT_RGB;
    rgb.pixels = out->data;
    rgb.rowBytes = (uint32_t)(out->width * out->channels);
    avifResult r = avifImageYUVToRGB(im, &rgb);
    return r == AVIF_RESULT_OK ? DREAMO_OK : failure(r, src->what, err);
}

static dreamo_status decode(image_source *src, avifDecoder *d, bitmap *out, dreamo_error *err)
{
    d->maxThreads = 1;
    d->imageSizeLimit = IMAGE_MAX_SIDE * IMAGE_MAX_SIDE; /* ours is told below, before a pixel is decoded */
    d->imageCountLimit = 2;
    d->strictFlags = AVIF_STRICT_DISABLED;
    avifResult r = avifDecoderSetIOMemory(d, src->data, src->nbytes);
    if (r == AVIF_RESULT_OK) r = avifDecoderParse(d);
    if (r != AVIF_RESULT_OK) return failure(r, src->what, err);
    if (d->imageCount > 1) return fail(err, DREAMO_FORMAT, "%s: is an animation; a single picture is needed", src->what);
    dreamo_status s = image_check_size(src->what, d->image->width, d->image->height, src->max_pixels, err);
    if (s) return s;
    if ((r = avifDecoderNextImage(d)) != AVIF_RESULT_OK) return failure(r, src->what, err);
    if (d->image->icc.size) image_note(src, "its colour profile is ignored");
    src->orientation = orientation_of(d->image); /* the container's word goes before EXIF's */
    if (src->orientation == 1 && d->image->exif.size) image_read_exif(src, d->image->exif.data, d->image->exif.size);
    s = bitmap_new(out, (int)d->image->width, (int)d->image->height, d->alphaPresent ? 4 : 3, err);
    return s ? s : to_pixels(src, d->image, out, err);
}

dreamo_status avif_decode(image_source *src, bitmap *out, dreamo_error *err)
{
    avifDecoder *d = avifDecoderCreate();
    if (!d) return fail(err, DREAMO_MEMORY, "%s: no memory to read it", src->what);
    dreamo_status s = decode(src, d, out, err);
    if (s) bitmap_free(out);
    avifDecoderDestroy(d);
    return s;
}
#endif
